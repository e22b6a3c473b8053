// The script screen against a controller that is only told what to answer.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { Api } from './api';
import { liveOfLine, scriptScreen, trialText } from './script';
import { Controller } from './state';
import type { Live } from './types';

const LIVE = {
  boot_id: 1,
  script_hash: 1,
  script: 'runs',
  trial_left_ms: 0,
  points: [{ name: 'pump', type: 'digital_output', value: 1 }, { name: 'level', type: 'analogue_input', value: 72_400 }],
  values: [{ name: 'delay', kind: 'parameter', type: 'time', value: 30_000 }, { name: 'house', kind: 'machine', type: 'int', value: 1, state: 'busy' }],
} as unknown as Live;

const SOURCE = 'pump := levl > 5\n';

function answer(path: string): Response {
  if (path === '/api/script/end') {
    return Response.json({ code: 'script_error', message: 'the script has an error', line: 1, column: 9, length: 4, expected: 'a declared name', fix: 'declare it above with `var`' }, { status: 422 });
  }
  return path === '/api/script' ? new Response(SOURCE) : Response.json({});
}

afterEach(() => document.body.replaceChildren());

describe('script', () => {
  it('tells what the names of a line are now', () => {
    expect(liveOfLine(LIVE, 'pump := level > 5 # delay')).toBe('pump = ON   level = 72.4');
    expect(liveOfLine(LIVE, 'x := house.busy or tof(y, delay)')).toBe('delay = 30s   house = busy');
  });

  it('tells how a trial ends, which is for a person to decide where there is no gateway', () => {
    expect(trialText({ trial_left_ms: 65_000 })).toContain('stays by itself in 1:05.');
    expect(trialText({ trial_left_ms: 0 })).toContain('until you decide');
  });

  it('loses nothing that is typed while the script is on its way', async () => {
    let arrive = (_: Response): void => undefined;
    const coming = new Promise<Response>((resolve) => (arrive = resolve));
    const controller = new Controller(new Api((path) => (path === '/api/script' ? coming : Promise.resolve(answer(path)))));
    controller.view.live = LIVE;
    vi.spyOn(controller, 'poll').mockResolvedValue();
    const screen = scriptScreen(controller);
    document.body.append(screen.node);
    screen.update();
    const text = screen.node.querySelector('textarea');
    expect(screen.isDirty()).toBe(false);
    if (text !== null) text.value = 'typed';
    expect(screen.isDirty()).toBe(true);
    arrive(answer('/api/script'));
    const size = screen.node.querySelector('.size');
    await vi.waitFor(() => expect(size?.textContent).toContain('changed'));
    expect(text?.value).toBe('typed');
    if (text !== null) text.value = SOURCE;
    expect(screen.isDirty()).toBe(false);
  });

  it('marks an error where it is, until the text changes', async () => {
    const controller = new Controller(new Api((path) => Promise.resolve(answer(path))));
    controller.view.live = LIVE;
    vi.spyOn(controller, 'poll').mockResolvedValue();
    const screen = scriptScreen(controller);
    document.body.append(screen.node);
    Element.prototype.scrollIntoView = () => undefined;
    screen.update();
    const text = screen.node.querySelector('textarea');
    await vi.waitFor(() => expect(text?.value).toBe(SOURCE));
    expect(screen.isDirty()).toBe(false);
    screen.node.querySelector<HTMLButtonElement>('[data-testid=check]')?.click();
    await vi.waitFor(() => expect(screen.node.querySelector('mark')?.textContent).toBe('levl'));
    expect(screen.node.querySelector('.bubble')?.textContent).toBe('Expected a declared name, found “levl”.Declare it above with var.');
    expect(screen.node.querySelector('.message')?.textContent).toContain('Line 1, column 9');
    expect(screen.node.querySelector('.numbers .wrong')?.textContent).toBe('1');
    expect(screen.node.querySelector<HTMLButtonElement>('[data-testid=try]')?.disabled).toBe(true);
    if (text !== null) text.value = 'pump := level > 5\n';
    text?.dispatchEvent(new Event('input'));
    expect(screen.node.querySelector('mark')).toBeNull();
    expect(screen.isDirty()).toBe(true);
  });
});
