// A scan looked into: stopped at a line, gone through statement by statement, its values beside it. The outputs and
// the scans themselves go on.

import { Fault, messageOf } from './api';
import { attribute, h, say, show } from './dom';
import { valueText } from './format';
import type { Controller } from './state';
import type { Shadow, Value } from './types';

const NONE: Shadow = { state: 'none', line: 0, values: [] };
/** How often it is asked after: it stops, or is let go, by itself. */
const ASK_MS = 900;

/** A name and what it holds. */
export const nameText = (value: Value): string => `${value.name} = ${value.state ?? valueText(value.type, value.value)}`;

/** The names that hold something else than before, as far as both have them. */
export function changed(before: readonly Value[], after: readonly Value[]): Set<string> {
  const held = new Map(before.map((value) => [value.name, value.value]));
  return new Set(after.filter(({ name, value }) => held.has(name) && held.get(name) !== value).map(({ name }) => name));
}

/** How it stands. */
export function stateText({ state, line }: Shadow): string {
  return {
    none: '',
    waiting: `Waits for a scan that reaches line ${line}. Outputs go on.`,
    stopped: `Before line ${line} of one scan. Outputs go on.`,
    ended: 'At the end of that scan.',
  }[state];
}

/** Why it is there no more, though nobody here let it go. */
export function goneText({ state, line }: Shadow): string {
  return state === 'waiting' ? `No scan has reached line ${line}.` : state === 'none' ? '' : 'Let go, after a minute or for another script.';
}

/** What the bar asks of the editor: the caret's line, if it shows the script that runs, and a mark beside a line. */
export interface Lines {
  line: () => number | undefined;
  mark: (line: number, kind: 'here' | 'awaited', follows: boolean) => void;
}

export function shadowBar(controller: Controller, lines: Lines): { node: HTMLElement; draw: () => void; update: () => void } {
  const says = h('span', { class: 'says', role: 'status', 'data-testid': 'shadow' });
  const stop = h('button', { type: 'button', title: 'Look into one scan at the caret’s line', 'data-testid': 'stop', onclick: () => void ask('breakpoint', { line: lines.line() ?? 0 }) }, 'Stop here');
  const step = h('button', { type: 'button', class: 'primary', 'data-testid': 'step', onclick: () => void ask('step') }, 'Step');
  const letGo = h('button', { type: 'button', 'data-testid': 'let-go', onclick: () => void ask('shadow/release') }, 'Let go');
  const names = h('div', { class: 'names', 'data-testid': 'names' });
  const node = h('div', { class: 'shadow' }, names, h('div', { class: 'bar' }, says, stop, step, letGo));

  let shadow = NONE;
  let busy = false;
  let askedAt = 0;

  function draw(follows = false): void {
    const { state, line } = shadow;
    const isOurs = lines.line() !== undefined;
    show(names, state === 'stopped' || state === 'ended');
    show(step, state === 'stopped');
    show(letGo, state !== 'none');
    attribute(stop, 'disabled', busy || !isOurs);
    attribute(step, 'disabled', busy);
    attribute(letGo, 'disabled', busy);
    lines.mark(isOurs ? line : 0, state === 'waiting' ? 'awaited' : 'here', follows && isOurs);
  }

  function take(next: Shadow, isAsked: boolean): void {
    const before = shadow;
    shadow = next;
    if (next.state !== 'none') say(says, stateText(next));
    else if (before.state !== 'none') say(says, isAsked ? '' : goneText(before));
    const has = next.state === before.state && next.line === before.line && !isAsked;
    if (!has) {
      const news = before.state === 'stopped' ? changed(before.values, next.values) : new Set<string>();
      const shown = next.values.filter((value) => value.kind !== 'alarm');
      names.replaceChildren(...shown.map((value) => h('span', { class: news.has(value.name) ? 'changed' : false }, nameText(value))));
    }
    draw(!has);
  }

  async function ask(path: string, body?: unknown): Promise<void> {
    if (busy) return;
    busy = true;
    draw();
    try {
      const next = await controller.act((api) => api.ask<Shadow>(path, { body: body ?? {} }));
      busy = false;
      take(next, true);
    } catch (error) {
      busy = false;
      const isBehind = error instanceof Fault && error.problem.code === 'out_of_range';
      say(says, isBehind ? 'No statement from this line on.' : messageOf(error));
      draw();
    }
    askedAt = 0;
  }

  async function look(): Promise<void> {
    askedAt = Date.now();
    try {
      const next = await controller.api.ask<Shadow>('shadow');
      if (!busy) take(next, false);
    } catch {
      // The page says that it is not reached; the next answer tells.
    }
  }

  return {
    node,
    draw,
    update() {
      // Once at first: it may have been stopped before this page was opened.
      if ((askedAt === 0 || shadow.state !== 'none') && !busy && Date.now() - askedAt >= ASK_MS) void look();
    },
  };
}
