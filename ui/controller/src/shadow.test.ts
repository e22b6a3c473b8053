// The bar of a shadow against a controller that is only told what to answer.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { Api } from './api';
import { changed, goneText, nameText, shadowBar, stateText } from './shadow';
import { Controller } from './state';
import type { Shadow, Value } from './types';

const value = (name: string, held: number): Value => ({ name, kind: 'variable', type: 'int', value: held, line: 1 });

afterEach(() => document.body.replaceChildren());

/** A bar whose editor has the caret in line 7, and what it asked and marked. */
function bar(answers: (path: string) => Shadow | Response) {
  const asked: string[] = [];
  const controller = new Controller(
    new Api((path, init) => {
      asked.push(`${path} ${String(init.body ?? '')}`.trim());
      const answer = answers(path);
      return Promise.resolve(answer instanceof Response ? answer : Response.json(answer));
    }),
  );
  vi.spyOn(controller, 'poll').mockResolvedValue();
  const editor = { line: 7 as number | undefined, marks: [] as string[] };
  const made = shadowBar(controller, { line: () => editor.line, mark: (line, kind, follows) => editor.marks.push(`${line} ${kind} ${follows}`) });
  document.body.append(made.node);
  made.draw();
  const button = (id: string) => made.node.querySelector<HTMLButtonElement>(`[data-testid=${id}]`) as HTMLButtonElement;
  const text = (id: string) => made.node.querySelector(`[data-testid=${id}]`)?.textContent;
  return { ...made, asked, editor, button, text };
}

describe('shadow', () => {
  it('tells which names hold something else', () => {
    expect(changed([value('a', 1), value('b', 2)], [value('a', 1), value('b', 3), value('c', 4)])).toEqual(new Set(['b']));
    expect(nameText({ ...value('house', 1), kind: 'machine', state: 'busy' })).toBe('house = busy');
    expect(nameText({ ...value('delay', 30_000), type: 'time' })).toBe('delay = 30s');
  });

  it('tells how it stands, and why it is gone', () => {
    expect(stateText({ state: 'waiting', line: 9, values: [] })).toContain('reaches line 9');
    expect(goneText({ state: 'waiting', line: 9, values: [] })).toBe('No scan has reached line 9.');
    expect(goneText({ state: 'stopped', line: 9, values: [] })).toContain('another script');
  });

  it('stops at the caret, steps, shows what has changed, and lets go', async () => {
    let shadow: Shadow = { state: 'waiting', line: 8, values: [] };
    const { update, asked, editor, button, text, node } = bar((path) => {
      if (path.endsWith('release')) shadow = { state: 'none', line: 0, values: [] };
      if (path.endsWith('step')) shadow = { state: 'stopped', line: 9, values: [value('a', 1), value('b', 3)] };
      return shadow;
    });
    expect(button('step').hidden && button('let-go').hidden).toBe(true);
    button('stop').click();
    await vi.waitFor(() => expect(text('shadow')).toContain('Waits'));
    expect(asked).toEqual(['/api/breakpoint {"line":7}']);
    expect(editor.marks.at(-1)).toBe('8 awaited true');
    expect(button('step').hidden).toBe(true);

    shadow = { state: 'stopped', line: 8, values: [value('a', 1), value('b', 2), { ...value('Too warm', 0), kind: 'alarm' }] };
    update();
    await vi.waitFor(() => expect(text('names')).toBe('a = 1b = 2'));
    expect(editor.marks.at(-1)).toBe('8 here true');
    expect(node.querySelector('.changed')).toBeNull();

    button('step').click();
    await vi.waitFor(() => expect(editor.marks.at(-1)).toBe('9 here true'));
    expect(node.querySelector('.changed')?.textContent).toBe('b = 3');

    button('let-go').click();
    await vi.waitFor(() => expect(button('let-go').hidden).toBe(true));
    expect(text('shadow')).toBe('');
    expect(editor.marks.at(-1)?.startsWith('0 ')).toBe(true);
  });

  it('tells when it was let go by itself, and when there is nothing to stop at', async () => {
    const { update, button, text, editor, draw } = bar((path) => {
      if (path.endsWith('breakpoint')) return Response.json({ code: 'out_of_range', message: 'outside of its range' }, { status: 400 });
      return { state: 'none', line: 0, values: [] };
    });
    button('stop').click();
    await vi.waitFor(() => expect(text('shadow')).toBe('No statement from this line on.'));
    editor.line = undefined; // the text is another one than the script that runs
    draw();
    expect(button('stop').disabled).toBe(true);
    update();
    await Promise.resolve();
    expect(button('let-go').hidden).toBe(true);
  });
});
