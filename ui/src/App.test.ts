// The screens on a fake host: what people see and can do, by the same marks that the end-to-end stories use.

import { flushSync, mount, tick, unmount } from 'svelte';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { controller, FakeHost, point, SESSION } from '../tests/fakeHost';
import App from './App.svelte';
import type { BoardState } from './lib/host/types';
import { PointFlag, Stage } from './lib/protocol/registry';

const PUMP = 100042;

let host: FakeHost;
let app: object | null;

beforeEach(() => {
  location.hash = '';
  document.body.innerHTML = '';
  host = new FakeHost();
  app = null;
  host.controllers = [
    controller(PUMP, 'Pump house 3', [
      point(0, 'RL1', 1, 0, PointFlag.manual),
      point(1, 'RL2', 1, 1),
      point(2, 'DI1', 0, 0),
      point(3, 'AI0', 2, 72_400),
      point(4, 'AO1', 3, 12_500, PointFlag.manual),
    ]),
    controller(100043, 'Gate', [point(0, 'RL1', 1, 0)]),
    controller(100051, 'Tank 2', [point(0, 'RL1', 1, 1, PointFlag.manual)], { online: false, since: Date.now() - 60_000 }),
  ];
});

afterEach(async () => {
  if (app !== null) await unmount(app);
});

async function settle(): Promise<void> {
  for (let n = 0; n < 8; n++) await tick();
  flushSync();
}

async function show(fragment = ''): Promise<void> {
  location.hash = fragment;
  app = mount(App, { target: document.body, props: { host } });
  await settle();
}

function find(testid: string): HTMLElement | null {
  return document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
}

function get(testid: string): HTMLElement {
  const element = find(testid);
  if (element === null) throw new Error(`expected ${testid} in ${document.body.innerHTML.slice(0, 2_000)}`);
  return element;
}

function text(testid: string): string {
  return get(testid).textContent.replace(/\s+/g, ' ').trim();
}

async function click(testid: string): Promise<void> {
  get(testid).click();
  await settle();
}

async function write(testid: string, value: string): Promise<void> {
  const field = get(testid) as HTMLInputElement;
  field.value = value;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  await settle();
}

async function submit(testid: string): Promise<void> {
  get(testid).closest('form')?.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  await settle();
}

async function receipt(stage: number, final: boolean, reason: number | null = null): Promise<void> {
  const key = host.sent.at(-1)?.key ?? '';
  host.emit({ kind: 'receipt', receipt: { key, stage, at: null, reason, detail: null, final } });
  await settle();
}

function rows(): string[] {
  return [...document.querySelectorAll('[data-testid^="row-"]')].map((row) => row.getAttribute('data-address') ?? '');
}

it('logs in, and says so in words when that fails', async () => {
  host.current = null;
  await show();
  expect(find('login-gateway')).toBeNull();
  await write('login-account', 'li');
  await write('login-password', 'wrong');
  await submit('login-submit');
  expect(text('login-fault')).toBe('wrong account or password');
  expect((get('login-password') as HTMLInputElement).value).toBe('');
  await write('login-password', 'secret');
  await submit('login-submit');
  expect(rows()).toEqual(['100042', '100043', '100051']);
  expect(host.loggedIn.at(-1)).toEqual({ gateway: '', account: 'li', password: 'secret', code: null });
});

it('asks for the second factor when it is needed, and keeps the password meanwhile', async () => {
  host.current = null;
  host.code = '123456';
  await show();
  await write('login-account', 'li');
  await write('login-password', 'secret');
  expect(find('login-code')).toBeNull();
  await submit('login-submit');
  const field = get('login-code') as HTMLInputElement;
  expect([field.autocomplete, field.inputMode]).toEqual(['one-time-code', 'numeric']);
  expect(document.activeElement).toBe(field);
  expect(text('login-fault')).toBe('');
  await write('login-code', '000000');
  await submit('login-submit');
  expect(text('login-fault')).toContain('that code was not taken');
  expect((get('login-password') as HTMLInputElement).value).toBe('secret');
  expect(field.value).toBe('');
  expect(document.activeElement).toBe(field);
  // Another name is another account, which may have none; another password may be wrong.
  for (const [field, other, back] of [['login-account', 'wang', 'li'], ['login-password', 'other', 'secret']] as const) {
    await write(field, other);
    expect(find('login-code')).toBeNull();
    await write(field, back);
  }
  await write('login-code', '123456');
  await submit('login-submit');
  expect(host.loggedIn.map(({ code }) => code)).toEqual([null, '000000', '123456']);
  expect(rows()).toHaveLength(3);
});

it('makes the first account of a new gateway, and says what is expected before it is wrong', async () => {
  host.current = null;
  host.setupCode = 'ABCDE-FGHJK';
  await show();
  expect(text('setup-intro')).toContain('no account yet');
  const hint = (testid: string) => (get(testid).getAttribute('aria-describedby') ?? '').split(' ').map((id) => document.getElementById(id)?.textContent ?? '').join(' ');
  expect(hint('setup-code')).toContain('/var/lib/switchyard/setup-code');
  expect(hint('setup-password')).toContain('Ten characters or more');
  await write('setup-code', 'wrong');
  await write('setup-account', ' ');
  await write('setup-password', 'short');
  await write('setup-again', 'other');
  await submit('setup-submit');
  expect(host.made).toEqual([]);
  expect(hint('setup-password')).toContain('expected ten characters');
  expect(hint('setup-again')).toContain('the same as above');
  expect(hint('setup-account')).toContain('expected a name');
  expect(document.activeElement).toBe(get('setup-account'));
  await write('setup-account', ' li ');
  expect(hint('setup-account')).not.toContain('expected');
  await write('setup-password', 'some long words');
  await write('setup-again', 'some long words');
  await submit('setup-submit');
  expect(hint('setup-code')).toContain('not the code in the file');
  expect(document.activeElement).toBe(get('setup-code'));
  await write('setup-code', 'ABCDE-FGHJK ');
  await submit('setup-submit');
  expect(host.made).toEqual([{ gateway: '', setupCode: 'ABCDE-FGHJK', account: 'li', password: 'some long words' }]);
  expect(rows()).toHaveLength(3);
});

it('goes to the log-in where somebody else has made the first account meanwhile', async () => {
  host.current = null;
  host.setupCode = 'ABCDE-FGHJK';
  host.setUpFault = 'already_set_up';
  await show();
  await write('setup-code', 'ABCDE-FGHJK');
  await write('setup-account', 'li');
  await write('setup-password', 'some long words');
  await write('setup-again', 'some long words');
  await submit('setup-submit');
  expect(text('login-fault')).toBe('there is an account by now; log in');
});

it('finds on the desktop that a gateway has no account once somebody logs in there, and goes back to another', async () => {
  host.current = null;
  host.kind = 'desktop';
  host.gateway = '';
  host.setupCode = 'ABCDE-FGHJK';
  await show();
  await write('login-gateway', 'yard.example');
  await write('login-account', 'li');
  await write('login-password', 'secret');
  await submit('login-submit');
  expect(find('setup-code')).not.toBeNull();
  await click('setup-back');
  expect((get('login-gateway') as HTMLInputElement).value).toBe('yard.example');
});

it('asks for the gateway on the desktop, and shows its serial ports there alone', async () => {
  host.current = null;
  host.kind = 'desktop';
  host.gateway = 'yard.example';
  const usb = { name: '/dev/ttyUSB0', kind: 'usb' as const, vendorId: 0x10c4, productId: 0xea60, manufacturer: 'Silicon Labs', product: 'CP2102', serialNumber: '0001' };
  host.serialPorts = () => Promise.resolve([usb]);
  await show('#/bench');
  expect((get('login-gateway') as HTMLInputElement).value).toBe('yard.example');
  await write('login-account', 'li');
  await write('login-password', 'secret');
  await submit('login-submit');
  expect(text('serial-port')).toMatch(/^\/dev\/ttyUSB0 *USB 10C4:EA60 *Silicon Labs CP2102 *0001$/);
});

const BOARD: BoardState = {
  serialPort: '/dev/pts/7',
  title: 'North pump',
  step: 'finding',
  prompt: 'enterLoader',
  bytes: 0,
  bytesDone: 0,
  chip: null,
  board: null,
  retries: 0,
  lines: [],
  isStopping: false,
  end: null,
};

async function boardIs(board: Partial<BoardState>): Promise<void> {
  host.emit({ kind: 'board', board: { ...BOARD, ...board } });
  await settle();
}

it('orders a controller of a board, and where mains could kill only once somebody says that they are off', async () => {
  const ordered = host.withBench('off_mains_needed');
  await show('#/bench');
  await submit('board-submit');
  expect(text('board-fault')).toContain('Expected a serial port');
  await write('board-port', '/dev/pts/7');
  await write('board-profile', 'sonoff-basic');
  await write('board-title', 'North pump');
  await submit('board-submit');
  expect(text('mains')).toContain('sonoff-basic on /dev/pts/7');
  expect((get('mains-go') as HTMLButtonElement).disabled).toBe(true);
  await click('mains-cancel');
  expect(find('mains')).toBeNull();
  expect(ordered).toEqual([]);
  await submit('board-submit');
  await click('mains-off');
  await click('mains-go');
  expect(ordered.map((order) => [order.title, order.offMains])).toEqual([['North pump', true]]);
});

it('shows what somebody is to do with a board, how it ended, and has the form again for the next', async () => {
  host.withBench();
  await show('#/bench');
  await write('board-title', 'North pump');
  await write('board-wifi', 'yard');
  await boardIs({});
  expect(text('board-prompt')).toContain('Hold GPIO0 to ground and power the board');
  await boardIs({ prompt: null, step: 'writing', bytes: 4096, bytesDone: 2048, retries: 2, lines: ['ready'] });
  expect(text('board')).toContain('2 of 4 KiB done again: 2');
  expect(text('board-lines')).toBe('ready');
  await boardIs({ prompt: null, step: 'reaching', end: { kind: 'failed', message: 'no answer', advice: 'Is it on?', isStopped: false, address: 7, leftOnBoard: false, leftAtGateway: true } });
  expect(text('board-verdict')).toBe('✕ FAIL');
  expect(text('board')).toContain('no answer Is it on? The gateway still knows No. 7');
  await click('board-next');
  expect((get('board-title') as HTMLInputElement).value).toBe('North pump');
  await boardIs({ prompt: null, step: 'reaching', end: { kind: 'done', address: PUMP, page: null, before: null } });
  expect(text('board-verdict')).toBe('✓ PASS');
  expect(get('board-link').getAttribute('href')).toBe(`#/${PUMP}`);
  await click('board-next');
  expect((get('board-title') as HTMLInputElement).value).toBe('');
  expect((get('board-wifi') as HTMLInputElement).value).toBe('yard');
});

it('has no bench on a page', async () => {
  await show('#/bench');
  expect(find('to-bench')).toBeNull();
  expect(rows()).toHaveLength(3);
});

it('names the next step where there is no controller', async () => {
  host.controllers = [];
  await show();
  expect(text('empty')).toBe('No controllers yet. Plug in a board, or run switchyard enrol.');
});

it('filters by number, name and point, and keeps the order while values change', async () => {
  await show();
  await write('filter', 'tank');
  expect(rows()).toEqual(['100051']);
  await write('filter', 'rl1 1000');
  expect(rows()).toEqual(['100042', '100043', '100051']);
  const cause = { kind: 5, by: null, reference: null };
  host.emit({ kind: 'fleet', changes: [{ kind: 'points', address: 100043, boot: 7, sequence: 11, at: Date.now(), points: [{ index: 0, value: 1, flags: 0, cause }] }] });
  await settle();
  expect(rows()).toEqual(['100042', '100043', '100051']);
  expect(text('row-100043')).toContain('ON');
});

it('focuses the filter on /', async () => {
  await show();
  document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true, cancelable: true }));
  expect(document.activeElement).toBe(get('filter'));
});

it('keeps the focus where the eyes are, from the list to a controller and back', async () => {
  await show();
  get('row-100043').focus();
  await settle();
  expect(document.querySelectorAll('[data-testid^="row-"][tabindex="0"]')).toHaveLength(1);
  expect(get('row-100043').tabIndex).toBe(0);
  get('row-100043').click();
  location.hash = '#/100043';
  dispatchEvent(new Event('hashchange'));
  await settle();
  // Without the style sheet nothing hides the way back, as in a narrow window.
  expect(document.activeElement).toBe(get('back'));
  get('back').dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
  await settle();
  expect(document.activeElement).toBe(get('row-100043'));
});

it('says when an absent controller was last seen, and hinders switching it', async () => {
  await show('#/100051');
  expect(text('row-100051')).toContain('last seen');
  expect(get('toggle-RL1').getAttribute('aria-disabled')).toBe('true');
  await click('toggle-RL1');
  expect(host.sent).toEqual([]);
});

it('shows what was asked and what came back, and never an optimistic lie', async () => {
  await show(`#/${PUMP}`);
  expect(text('state-RL1')).toBe('off');
  expect(find('toggle-RL2')).toBeNull(); // Not manual.
  await click('toggle-RL1');
  expect(host.sent).toMatchObject([{ address: PUMP, action: { kind: 'set', point: 'RL1', value: 1 } }]);
  expect(host.sent[0]?.key).toMatch(/^[0-9a-f]{32}$/);
  expect(text('receipt-RL1')).toBe('asked…');
  expect(text('state-RL1')).toBe('off');
  await click('toggle-RL1'); // A second press while the first is awaited does nothing.
  expect(host.sent).toHaveLength(1);
  await receipt(Stage.delivered, false);
  expect(text('receipt-RL1')).toBe('asked…');
  await receipt(Stage.executed, false);
  expect(text('receipt-RL1')).toBe('done, awaiting feedback…');
  const cause = { kind: 2, by: SESSION.address, reference: 0x8f2c0000 };
  host.emit({ kind: 'fleet', changes: [{ kind: 'points', address: PUMP, boot: 7, sequence: 11, at: Date.now(), points: [{ index: 0, value: 1, flags: 1, cause }] }] });
  await receipt(Stage.confirmed, true);
  expect(text('receipt-RL1')).toBe('confirmed');
  expect(text('state-RL1')).toBe('ON');
  expect(text('why')).toContain('you, receipt 8f2c');
  await receipt(Stage.delivered, false); // Late news does not undo the end.
  expect(text('receipt-RL1')).toBe('confirmed');
  await click('toggle-RL1');
  expect(host.sent.at(-1)).toMatchObject({ action: { kind: 'set', point: 'RL1', value: 0 } });
});

it.each([
  [Stage.refused, 68, 'refused: driven by the script'],
  [Stage.refused, 34, 'refused: not allowed for this account'],
  [Stage.expired, 65, 'expired: the controller does not know the time'],
  [Stage.failed, 71, 'failed: the feedback did not follow'],
  [Stage.refused, 200, 'refused: code 200'],
  [Stage.unknown, 72, 'unknown: nobody can tell whether it was executed'],
])('says in words how a command ended: %i %i', async (stage, reason, words) => {
  await show(`#/${PUMP}`);
  await click('toggle-RL1');
  await receipt(stage, true, reason);
  expect(text('receipt-RL1')).toBe(words);
});

it('says so where a command never left', async () => {
  host.sendFault = 'gateway_gone';
  await show(`#/${PUMP}`);
  await click('toggle-RL1');
  expect(text('receipt-RL1')).toBe('refused: the gateway cannot be reached');
});

it('lets a viewer look and not switch', async () => {
  host.current = { ...SESSION, role: 1 };
  await show(`#/${PUMP}`);
  await click('toggle-RL1');
  expect(host.sent).toEqual([]);
  expect(get('toggle-RL1').title).toBe('Your role may look, but not switch.');
});

it('checks a command’s argument before it sends it, in the wire’s unit', async () => {
  host.description = { behaviour: 'timed pulse', commands: ['pulse(t: time in 100ms..60s)', 'dance(x: tango)'] };
  await show(`#/${PUMP}`);
  await write('argument-pulse-t', '2min');
  await submit('call-pulse');
  expect(host.sent).toEqual([]);
  expect(get('argument-pulse-t').getAttribute('aria-invalid')).toBe('true');
  await write('argument-pulse-t', '2.5');
  await submit('call-pulse');
  expect(host.sent).toMatchObject([{ action: { kind: 'call', command: 'pulse', arguments: [2_500] } }]);
  await receipt(Stage.executed, true);
  expect(text('receipt-pulse')).toBe('done');
  expect(document.body.textContent).toContain('dance(x: tango)');
});

it('sets an analogue output in thousandths', async () => {
  await show(`#/${PUMP}`);
  await write('value-AO1', 'much');
  await submit('toggle-AO1');
  expect(host.sent).toEqual([]);
  await write('value-AO1', '40.25');
  await submit('toggle-AO1');
  expect(host.sent).toMatchObject([{ action: { kind: 'set', point: 'AO1', value: 40_250 } }]);
});

it('says that the gateway is gone, when it tries again, and that values are old', async () => {
  await show(`#/${PUMP}`);
  expect(text('link-state')).toBe('live');
  host.emit({ kind: 'link', link: { state: 'waiting', retryInMs: 4_000, code: null } });
  await settle();
  expect(text('link-state')).toBe('gateway gone, retrying in 4 s');
  expect(text(`row-${PUMP}`)).toContain('last seen');
  expect(get('toggle-RL1').title).toBe('Not connected to the gateway.');
});

it('says so where the gateway did not hear of the log-out', async () => {
  host.logOutFault = 'gateway_gone';
  await show();
  await click('log-out');
  expect(text('login-fault')).toBe('The gateway was not told of the log-out, and may still know this browser: the gateway cannot be reached.');
});

it('tells whoever is here for the first time how an account is made', async () => {
  host.current = null;
  await show();
  expect(document.body.textContent).toContain('switchyard-gateway account add NAME --role operator');
});

it('keeps a ramp to one line of the causes, so that it pushes out nothing else', async () => {
  await show(`#/${PUMP}`);
  const cause = { kind: 2, by: 0x8000_0007, reference: 0x8f2c0000 };
  const input = { kind: 5, by: null, reference: null };
  let sequence = 10;
  const tell = (...points: [number, number, typeof cause | typeof input][]) =>
    host.emit({ kind: 'fleet', changes: [{ kind: 'points', address: PUMP, boot: 7, sequence: ++sequence, at: Date.now(), points: points.map(([index, value, why]) => ({ index, value, flags: 1, cause: why })) }] });
  const lines = () => [...get('why').querySelectorAll('li')].map((line) => line.querySelector('.what')?.textContent.replace(/\s+/g, ' ').trim());
  tell([0, 1, cause]);
  for (let n = 1; n <= 100; n++) tell([4, n * 1000, cause], [2, n % 2, input], [3, n * 500, input]);
  await settle();
  expect(lines()).toHaveLength(60);
  tell([0, 0, cause]);
  for (let n = 1; n <= 100; n++) tell([4, n * 10, cause], [3, n * 20, input]);
  await settle();
  expect(lines().slice(0, 3)).toEqual(['AO1 1', 'AI0 2', 'RL1 off']);
  tell([4, 5_000, { ...cause, reference: 1 }]);
  await settle();
  expect(lines().slice(0, 3)).toEqual(['AO1 5', 'AO1 1', 'AI0 2']);
});

it('says when the commands of an absent controller will be known', async () => {
  await show('#/100051');
  expect(document.body.textContent).toContain('Asked for once it is on line.');
});

it('takes no old value for a new one when the link is back, nor switches by it, until it hears', async () => {
  await show(`#/${PUMP}`);
  host.emit({ kind: 'link', link: { state: 'waiting', retryInMs: 4_000, code: null } });
  host.emit({ kind: 'link', link: { state: 'live', retryInMs: null, code: null } });
  await settle();
  expect(text('link-state')).toBe('live');
  expect(text(`row-${PUMP}`)).toContain('last seen');
  await click('toggle-RL1');
  expect(host.sent).toEqual([]);
  expect(get('toggle-RL1').title).toBe('Its status is being read.');
  const pump = host.controllers[0];
  if (pump === undefined) throw new Error('expected a controller');
  host.emit({ kind: 'fleet', changes: [{ kind: 'controller', controller: { ...pump, title: 'Presence alone' } }] });
  await settle();
  expect(text(`row-${PUMP}`)).toContain('last seen');
  host.emit({ kind: 'fleet', changes: [{ kind: 'controller', controller: { ...pump, sequence: 12, points: [point(0, 'RL1', 1, 1, PointFlag.manual)] } }] });
  await settle();
  expect(text(`row-${PUMP}`)).toContain('on line');
  expect(text('row-100043')).toContain('last seen');
  await click('toggle-RL1');
  expect(host.sent).toMatchObject([{ action: { kind: 'set', value: 0 } }]);
  host.emit({ kind: 'fleet', changes: [{ kind: 'synced', count: 3 }] });
  await settle();
  expect(text('row-100043')).toContain('on line');
});

it('takes no old value for a new one when it opens while the link is away', async () => {
  host.linkStatus = { state: 'waiting', retryInMs: 4_000, code: null };
  await show();
  host.emit({ kind: 'link', link: { state: 'live', retryInMs: null, code: null } });
  await settle();
  expect(text(`row-${PUMP}`)).toContain('last seen');
  host.emit({ kind: 'fleet', changes: [{ kind: 'synced', count: 3 }] });
  await settle();
  expect(text(`row-${PUMP}`)).toContain('on line');
});

it('shows a note of another tool until it is dismissed', async () => {
  await show();
  host.emit({ kind: 'note', note: { from: 0x8000_0007, text: 'leave RL1 alone', at: Date.now() } });
  await settle();
  expect(text('note-banner')).toContain('wang (No. 2147483655) says leave RL1 alone');
  await click('note-dismiss');
  expect(find('note-banner')).toBeNull();
});

it('shows a peer’s words on one line, whatever characters they hold', async () => {
  await show(`#/${PUMP}`);
  host.emit({ kind: 'note', note: { from: 0x8000_0007, text: 'leave\u0007RL1\u0085alone', at: Date.now() } });
  await settle();
  expect(get('note-banner').querySelector('strong')?.textContent).toBe('leave RL1 alone');
  await click('toggle-RL1');
  const key = host.sent.at(-1)?.key ?? '';
  host.emit({ kind: 'receipt', receipt: { key, stage: Stage.refused, at: null, reason: 70, detail: 'too\u001bdry', final: true } });
  await settle();
  expect(get('receipt-RL1').textContent).toContain('refused: too dry');
});

it('writes a note to another tool, says that it was sent, and goes back to where one was', async () => {
  await show();
  expect(text('own-number')).toBe('No. 3221225473');
  get('note-write').focus();
  await click('note-write');
  expect(document.activeElement).toBe(get('note-to'));
  await write('note-to', String(PUMP));
  await write('note-text', 'hello');
  await submit('note-send');
  expect(text('note-fault')).toContain('Expected the number of a page');
  await write('note-to', 'No. 2147483655');
  host.absent = 0x8000_0007;
  await submit('note-send');
  expect(text('note-fault')).toBe('off line');
  expect(host.notes).toEqual([]);
  host.absent = null;
  await write('note-text', '泵'.repeat(67));
  await submit('note-send');
  expect(text('note-fault')).toBe('Too long for one note.');
  await write('note-text', 'hello');
  await submit('note-send');
  expect(host.notes).toEqual([{ address: 0x8000_0007, text: 'hello' }]);
  expect(text('note-sent')).toBe('Sent to wang (No. 2147483655).');
  get('note-text').dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
  await settle();
  expect(find('note-to')).toBeNull();
  expect(document.activeElement).toBe(get('note-write'));
});

it('answers a note', async () => {
  await show();
  host.emit({ kind: 'note', note: { from: 0x8000_0007, text: 'leave RL1 alone', at: Date.now() } });
  await settle();
  await click('note-reply');
  expect(document.activeElement).toBe(get('note-text'));
  await write('note-text', 'I shall');
  await submit('note-send');
  expect(host.notes).toEqual([{ address: 0x8000_0007, text: 'I shall' }]);
});

it('drops a delta that the snapshot contained already, and takes the next', async () => {
  await show();
  const cause = { kind: 5, by: null, reference: null };
  const update = (sequence: number, value: number) =>
    host.emit({ kind: 'fleet', changes: [{ kind: 'points', address: 100043, boot: 7, sequence, at: Date.now(), points: [{ index: 0, value, flags: 0, cause }] }] });
  update(10, 1);
  await settle();
  expect(text('row-100043')).toContain('off');
  update(11, 1);
  await settle();
  expect(text('row-100043')).toContain('ON');
});

it('goes back to the log-in when the session ends, and forgets what it knew', async () => {
  await show(`#/${PUMP}`);
  host.emit({ kind: 'session', session: null });
  await settle();
  expect(find('login-submit')).not.toBeNull();
  expect(rows()).toEqual([]);
});
