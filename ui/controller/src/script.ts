// The script: an editor with line numbers and errors where they are, its cost, and the trial.

import { Fault, messageOf } from './api';
import { attribute, h, say, show } from './dom';
import { countdown, place, valueText } from './format';
import { confirmed } from './settings';
import { shadowBar } from './shadow';
import type { Controller } from './state';
import type { Compiled, Live } from './types';

const SOURCE_BYTES_MAX = 8192;

/** What is under the cursor's line, from what is live. */
export function liveOfLine(live: Live, words: string): string {
  const names = new Set(words.replace(/#.*/, '').match(/[A-Za-z_]\w*/g) ?? []);
  const parts: string[] = [];
  for (const point of live.points) {
    if (names.has(point.name)) parts.push(`${point.name} = ${valueText(point.type.startsWith('digital') ? 'bool' : 'num', point.value)}`);
  }
  for (const value of live.values) {
    if (names.has(value.name) && value.kind !== 'alarm') parts.push(`${value.name} = ${value.state ?? valueText(value.type, value.value)}`);
  }
  return parts.join('   ');
}

/** How a trial ends: a script that has not cost the controller its gateway stays by itself. */
export function trialText({ trial_left_ms: left }: Pick<Live, 'trial_left_ms'>): string {
  const back = 'A fault or a restart brings the old script back';
  return left > 0 ? `On trial: stays by itself in ${countdown(left)}. ${back}, as does losing the gateway.` : `On trial until you decide. ${back}.`;
}

/** What stands between backquotes is said in the letters of a script. */
const coded = (words: string): (Node | string)[] => words.split('`').map((part, index) => (index % 2 === 1 ? h('code', {}, part) : part));

/** The screen, and how it is brought up to date. */
export function scriptScreen(controller: Controller): { node: HTMLElement; update: () => void; isDirty: () => boolean; goTo: (line: number) => void } {
  const numbers = h('div', { class: 'numbers', 'aria-hidden': 'true' });
  const marks = h('pre', { class: 'marks', 'aria-hidden': 'true' });
  const bubble = h('div', { class: 'bubble', hidden: true });
  const text = h('textarea', { spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', wrap: 'off', 'aria-label': 'Script', rows: 1, 'data-testid': 'script' });
  const sheet = h('div', { class: 'sheet' }, marks, text, bubble);
  const editor = h('div', { class: 'editor' }, numbers, sheet);
  const message = h('div', { class: 'message', role: 'status', 'data-testid': 'script-message' });
  const liveLine = h('div', { class: 'live-line' });
  const size = h('small', { class: 'size' });
  const check = h('button', { type: 'button', 'data-testid': 'check', onclick: () => void send() }, 'Check');
  const begin = h('button', { type: 'button', class: 'primary', 'data-testid': 'try', onclick: () => void trial('begin') }, 'Try it');
  const again = h('button', { type: 'button', class: 'quiet', onclick: () => void reload() }, 'Load again');
  const left = h('span');
  const keep = h('button', { type: 'button', class: 'primary', 'data-testid': 'commit', onclick: () => void trial('commit') }, 'Keep it');
  const back = h('button', { type: 'button', 'data-testid': 'revert', onclick: () => void trial('revert') }, 'Go back');
  const banner = h('div', { class: 'banner', hidden: true }, left, keep, back);
  const shadow = shadowBar(controller, { line: () => (isDirty() ? undefined : lineOfCaret()), mark: markShadow });
  const node = h('section', { class: 'panel script' }, banner, h('div', { class: 'bar' }, h('h2', {}, 'Script'), size, again, check, begin), message, editor, h('div', { class: 'below' }, liveLine, shadow.node));

  /** As the controller has it, and as it was checked. */
  let saved: string | null = null;
  let checked: string | null = null;
  let hash = 0;
  let busy = false;

  /** A line to go to once the script is here. */
  let wanted: number | undefined;

  /** Whether something was typed that the controller does not have; also before its script is here. */
  const isDirty = () => text.value !== (saved ?? '');

  const lineOfCaret = () => text.value.slice(0, text.selectionStart).split('\n').length;

  /** Where the shadow stands, or waits to. */
  function markShadow(line: number, kind: string, follows: boolean): void {
    for (const old of numbers.querySelectorAll('.here, .awaited')) attribute(old, 'class', false);
    const number = numbers.children[line - 1];
    if (number === undefined) return;
    attribute(number, 'class', kind);
    if (follows) number.scrollIntoView({ block: 'nearest' });
  }

  function draw(): void {
    const lines = text.value.split('\n').length;
    if (numbers.childElementCount !== lines) {
      numbers.replaceChildren(...Array.from({ length: lines }, (_, index) => h('div', {}, String(index + 1))));
    }
    text.rows = lines;
    text.cols = Math.max(20, ...text.value.split('\n').map((line) => line.length + 2));
    const count = new TextEncoder().encode(text.value).length;
    say(size, `${count} of ${SOURCE_BYTES_MAX} bytes${isDirty() ? ', changed' : ''}`);
    attribute(size, 'class', count > SOURCE_BYTES_MAX ? 'size over' : 'size');
    attribute(check, 'disabled', busy || count > SOURCE_BYTES_MAX);
    attribute(begin, 'disabled', busy || checked !== text.value || controller.view.live?.script === 'on_trial');
    attribute(again, 'disabled', busy);
    attribute(keep, 'disabled', busy);
    attribute(back, 'disabled', busy);
    shadow.draw();
  }

  function clearMarks(): void {
    marks.replaceChildren();
    bubble.hidden = true;
    for (const number of numbers.children) attribute(number, 'class', false);
  }

  text.addEventListener('input', () => {
    clearMarks();
    if (checked !== text.value) say(message, '');
    draw();
  });
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void send();
  });
  document.addEventListener('selectionchange', showLine);

  function showLine(): void {
    const { live } = controller.view;
    if (live === null || document.activeElement !== text) return;
    const from = text.value.lastIndexOf('\n', text.selectionStart - 1) + 1;
    const to = text.value.indexOf('\n', from);
    // The values are of the script that runs, so they say nothing of one that is being changed.
    say(liveLine, text.value === saved ? liveOfLine(live, text.value.slice(from, to < 0 ? undefined : to)) : '');
  }

  /** Underlines the error in its place, and says beside it what was expected. */
  function mark(fault: Fault): void {
    const { line = 1, column = 1, length = 1, expected = '', fix, other_line: other } = fault.problem;
    const { at, to } = place(text.value, line, column, Math.max(1, length));
    const wrong = text.value.slice(at, to).replace(/\n/g, '');
    marks.replaceChildren(text.value.slice(0, at), h('mark', {}, wrong === '' ? ' ' : wrong));
    attribute(numbers.children[line - 1] ?? numbers, 'class', 'wrong');
    if (other !== undefined) attribute(numbers.children[other - 1] ?? numbers, 'class', 'other');
    const found = wrong.trim() === '' ? 'the line’s end' : `“${wrong}”`;
    const says = `Expected ${expected}, found ${found}.${other === undefined ? '' : ` The other one is in line ${other}.`}`;
    bubble.replaceChildren(h('strong', {}, ...coded(says)), ...(fix === undefined ? [] : [h('div', {}, ...coded(`${fix.charAt(0).toUpperCase()}${fix.slice(1)}.`))]));
    const underlined = marks.querySelector('mark');
    if (underlined !== null) {
      bubble.style.top = `${underlined.offsetTop + underlined.offsetHeight + 4}px`;
      bubble.style.left = `${Math.max(0, Math.min(underlined.offsetLeft, editor.clientWidth - numbers.clientWidth - 300))}px`;
    }
    bubble.hidden = false;
    message.replaceChildren(h('button', { type: 'button', class: 'link', onclick: () => jump(at, to) }, `Line ${line}, column ${column}`), ...coded(`: ${says}`));
    jump(at, to);
  }

  function jump(at: number, to: number): void {
    text.focus({ preventScroll: true });
    text.setSelectionRange(at, to);
    bubble.scrollIntoView({ block: 'nearest' });
  }

  async function run(doing: string, what: () => Promise<string>): Promise<void> {
    if (busy) return;
    busy = true;
    say(message, doing);
    draw();
    try {
      say(message, await what());
    } catch (error) {
      if (error instanceof Fault && error.problem.line !== undefined) mark(error);
      else say(message, messageOf(error));
    }
    busy = false;
    draw();
  }

  const send = () =>
    run('Checking…', async () => {
      clearMarks();
      checked = null;
      const source = text.value;
      const cost = await controller.act((api) => api.upload<Compiled>('script', new TextEncoder().encode(source)));
      checked = source;
      return `No errors. A scan takes at most ${(cost.scan_us / 1000).toFixed(2)} ms of 10 on the chip; program ${cost.code_words} + ${cost.table_words} words.`;
    });

  const trial = (what: 'begin' | 'commit' | 'revert') =>
    run('Asked…', async () => {
      const source = checked;
      await controller.act((api) => api.ask(`trial/${what}`, { body: {} }));
      checked = null;
      if (what === 'revert') await load(true);
      if (what === 'begin') saved = source;
      return { begin: 'It runs, on trial.', commit: 'It stays.', revert: 'The old script runs again.' }[what];
    });

  async function load(force: boolean): Promise<void> {
    if (isDirty() && saved !== null && !force) return;
    const source = await controller.act((api) => api.ask<string>('script', { text: true }));
    const keepsText = isDirty() && !force;
    saved = source;
    if (!keepsText) {
      text.value = source;
      clearMarks();
    }
    draw();
    if (wanted !== undefined) goTo(wanted);
  }

  async function reload(): Promise<void> {
    if (isDirty() && !(await confirmed('Load the script that runs? What you have changed is lost.', 'Load it'))) return;
    await run('Loading…', async () => {
      await load(true);
      return '';
    });
  }

  function goTo(line: number): void {
    wanted = saved === null ? line : undefined;
    if (saved === null) return;
    const { at } = place(text.value, line, 1, 1);
    const end = text.value.indexOf('\n', at);
    text.focus({ preventScroll: true });
    text.setSelectionRange(at, end < 0 ? text.value.length : end);
    numbers.children[line - 1]?.scrollIntoView({ block: 'center' });
    showLine();
  }

  return {
    node,
    isDirty,
    goTo,
    update() {
      const { live } = controller.view;
      if (live === null) return;
      if (live.script_hash !== hash && !busy) {
        hash = live.script_hash;
        load(false).catch(() => (hash = 0));
      }
      show(banner, live.script === 'on_trial');
      if (live.script === 'on_trial') {
        say(left, trialText(live));
      }
      draw();
      showLine();
      shadow.update();
    },
  };
}
