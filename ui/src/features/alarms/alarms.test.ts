// The alarm screens on a fake host whose gateway keeps alarms as the API says: what people see and can do about them.

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { FakeAlarms } from '../../../tests/fakeAlarms';
import { controller, FakeHost, point, SESSION } from '../../../tests/fakeHost';
import { fillAlarms, fillPeople, fillStorm } from '../../../tests/sampleAlarms';
import { clear, click, close, find, get, go, open, PATIENCE_MS, press, settle, submit, text, until, write } from '../../../tests/screen';

vi.setConfig({ testTimeout: PATIENCE_MS });

let host: FakeHost;
let desk: FakeAlarms;

beforeEach(() => {
  clear();
  host = new FakeHost();
  host.controllers = [controller(100042, 'Pump house 3', [point(0, 'RL1', 1, 0)])];
  desk = new FakeAlarms();
  host.answer = desk.answer;
});

afterEach(close);

const show = (fragment = '#/alarms'): Promise<void> => open(host, fragment, () => find('to-alarms') !== null);

function focused(): string | undefined {
  return document.activeElement instanceof HTMLElement ? document.activeElement.dataset['alarm'] : undefined;
}

function rows(): string[] {
  return [...document.querySelectorAll('[data-testid="alarm-list"] [data-alarm] .text')].map((row) => row.textContent);
}

it('shows nothing of alarms where there are none for this account', async () => {
  host.answer = null;
  await open(host, '');
  expect(find('to-alarms')).toBeNull();
  expect(document.title).toBe('Switchyard');
  await close();
  desk.rights.set('li', { everywhere: null, sites: [{ site: 1, role: 'viewer' }] });
  host.answer = desk.answer;
  desk.raise({ text: 'Elsewhere', severity: 'high', site: 2 });
  await show();
  expect(text('alarms-empty')).toContain('No alarms are open.');
  expect(find('alarm-badge')).toBeNull();
});

it('lists the gravest first, with how they stand, and counts in the title what nobody has heard of', async () => {
  fillPeople(desk, Date.now());
  const { water, pump, silent } = fillAlarms(desk, Date.now());
  await show();
  expect(rows().slice(0, 4)).toEqual(['High water in the sump', 'No flow', 'The site is silent', 'Pump 2 does not start']);
  expect(text(`alarm-${water}`)).toMatch(/HIGH High water in the sump 82.4 3 times Pump house 3 · North 4 min ALARM, told next Wang Fang, call, \d\d:\d\d Acknowledge$/);
  expect(text(`alarm-${pump}`)).toContain('calling Li Qiang…');
  expect(text(`alarm-${silent}`)).toContain('acknowledged by Anna Schmidt');
  expect(document.title).toBe('(4) Switchyard');
  expect(text('alarm-badge')).toContain('4 not acknowledged, HIGH');
  expect(text('on-call-strip')).toContain('Li Qiang');
  expect(text('alarm-warnings')).toContain('SMS by the GSM modem is out of order: no network');
});

it('acknowledges in place, and shows what came back', async () => {
  const id = desk.raise({ text: 'High water', severity: 'high' });
  await show();
  await click(`alarm-acknowledge-${id}`);
  expect(desk.view(id).acknowledged).toMatchObject({ by: 'li', how: 'api' });
  expect(text(`alarm-${id}`)).toContain('acknowledged by li');
  expect(find(`alarm-acknowledge-${id}`)).toBeNull();
  expect(document.title).toBe('Switchyard');
});

it('keeps the focus at the row whose button has gone with its alarm', async () => {
  const id = desk.raise({ text: 'High water', severity: 'high' });
  await show();
  get(`alarm-acknowledge-${id}`).focus();
  await click(`alarm-acknowledge-${id}`);
  expect(focused()).toBe(String(id));
});

it('takes no mark along to what is over', async () => {
  const [one, two] = [desk.raise({ text: 'One' }), desk.raise({ text: 'Two' })];
  await show();
  await click(`alarm-mark-${one}`);
  await click(`alarm-mark-${two}`);
  expect(text('acknowledge-marked')).toBe('Acknowledge 2 marked');
  desk.clear(one);
  await until('one mark less', () => text('acknowledge-marked') === 'Acknowledge 1 marked');
});

it('tells no lie while the gateway in charge has not taken it', async () => {
  const id = desk.raise({ text: 'High water', severity: 'high' });
  desk.isAway = true;
  await show();
  await click(`alarm-acknowledge-${id}`);
  expect(text(`alarm-${id}`)).toContain('asked…');
  expect(text('alarms-note')).toContain('Kept: the gateway in charge');
  expect(document.title).toBe('(1) Switchyard');
  desk.back();
  await until('the acknowledgement', () => text(`alarm-${id}`).includes('acknowledged by li'));
  expect(document.title).toBe('Switchyard');
});

it('counts them outside of the page too, where there is a place for it', async () => {
  const counts: [number, string][] = [];
  host.countAlarms = (...said) => Promise.resolve(void counts.push(said));
  const id = desk.raise({ text: 'High water', severity: 'high' });
  await show();
  await click(`alarm-acknowledge-${id}`);
  expect(counts).toEqual([[0, 'en'], [1, 'en'], [0, 'en']]);
});

it('says why it was not done', async () => {
  const id = desk.raise({ text: 'High water', severity: 'high' });
  await show();
  desk.rights.set('li', { everywhere: 'viewer', sites: [] });
  await click(`alarm-acknowledge-${id}`);
  expect(text('alarms-note')).toBe('Not done: not allowed for this account.');
  expect(text(`alarm-${id}`)).not.toContain('asked…');
});

it('lets a viewer look and do nothing, and an operator of one site act there alone', async () => {
  desk.rights.set('li', { everywhere: 'viewer', sites: [{ site: 1, role: 'operator' }] });
  const here = desk.raise({ text: 'Here', site: 1 });
  const there = desk.raise({ text: 'There', site: 2 });
  await show();
  expect(find(`alarm-acknowledge-${here}`)).not.toBeNull();
  expect(find(`alarm-mark-${here}`)).not.toBeNull();
  expect(find(`alarm-acknowledge-${there}`)).toBeNull();
  expect(find(`alarm-mark-${there}`)).toBeNull();
});

it('follows what happens, and keeps the order while somebody is at work in the list', async () => {
  const medium = desk.raise({ text: 'Medium', severity: 'medium' });
  await show();
  desk.raise({ text: 'Low', severity: 'low' });
  await until('the low one', () => rows().includes('Low'));
  get('alarm-list').dispatchEvent(new PointerEvent('pointerenter', { pointerType: 'mouse' }));
  await settle();
  const grave = desk.raise({ text: 'Grave', severity: 'high' });
  await until('the new one at the edge', () => find('alarms-waiting') !== null);
  expect(text('alarms-waiting')).toContain('HIGH');
  expect(text('alarms-waiting')).toContain('Grave');
  expect(rows()).toEqual(['Medium', 'Low']);
  desk.clear(medium);
  await until('the end of it', () => get(`alarm-${medium}`).dataset['state'] === 'cleared');
  expect(rows()).toEqual(['Medium', 'Low']);
  await click('alarms-show');
  expect(rows()).toEqual(['Grave', 'Low']);
  expect(find('alarms-waiting')).toBeNull();
  desk.clear(grave);
  await until('over, but to be heard', () => text(`alarm-${grave}`).includes('over, not acknowledged'));
});

it('is worked by keys: moves, marks, acknowledges and shelves', async () => {
  const ids = ['One', 'Two', 'Three'].map((name, n) => desk.raise({ text: name, severity: 'high', since_ms: Date.now() - n * 1000 }));
  await show();
  await press(document.body, '/');
  expect(document.activeElement).toBe(get('alarms-filter'));
  await press(get('alarms-filter'), 'ArrowDown');
  expect(focused()).toBe(String(ids[0]));
  const onFocused = (key: string) => press(document.activeElement ?? document.body, key);
  await onFocused(' ');
  await onFocused('ArrowDown');
  await onFocused('ArrowDown');
  await onFocused(' ');
  expect(text('acknowledge-marked')).toBe('Acknowledge 2 marked');
  await onFocused('a');
  expect(ids.map((id) => desk.view(id).state)).toEqual(['acknowledged', 'raised', 'acknowledged']);
  expect(find('acknowledge-marked')).toBeNull();
  await onFocused('ArrowUp');
  await onFocused('s');
  expect(text('shelve-dialog')).toContain('Shelve Two');
  await click('shelve-15');
  await write('shelve-comment', 'valve is being changed');
  const before = Date.now();
  await submit('shelve-dialog-go');
  const { shelved } = desk.view(ids[1] ?? 0);
  expect(Math.round(((shelved?.until_ms ?? 0) - before) / 60_000)).toBe(15);
  expect(text(`alarm-${ids[1]}`)).toContain('shelved until');
  expect(focused()).toBe(String(ids[1]));
});

it('asks before it acknowledges everything that is shown', async () => {
  const [one, two] = [desk.raise({ text: 'One', severity: 'high' }), desk.raise({ text: 'Two', severity: 'low', site: 1 })];
  await show();
  await write('alarms-severity', 'medium');
  expect(rows()).toEqual(['One']);
  expect(find('acknowledge-all')).toBeNull();
  await write('alarms-severity', 'low');
  await click('acknowledge-all');
  expect(text('acknowledge-dialog')).toContain('1 HIGH, 1 low');
  await click('acknowledge-dialog-cancel');
  expect(desk.view(one).state).toBe('raised');
  await click('acknowledge-all');
  await submit('acknowledge-dialog-go');
  expect([desk.view(one).state, desk.view(two).state]).toEqual(['acknowledged', 'acknowledged']);
});

it('counts parts with what they are parts of', async () => {
  const whole = desk.raise({ text: 'The site is silent', severity: 'high', site: 1 });
  const part = desk.raise({ text: 'Silent', site: 1, controller: 7, part_of: whole });
  desk.raise({ text: 'Elsewhere' });
  await show();
  await click(`alarm-parts-${whole}`);
  expect(text('acknowledge-all')).toBe('Acknowledge all 2');
  await click('acknowledge-all');
  await submit('acknowledge-dialog-go');
  expect(desk.view(part).state).toBe('acknowledged');
});

it('refuses to shelve until a time that has passed', async () => {
  const id = desk.raise({ text: 'One' });
  await show(`#/alarms/${id}`);
  await click('pane-shelve');
  await write('shelve-own-time', '2020-01-01T08:00');
  await submit('shelve-dialog-go');
  expect(text('shelve-dialog-fault')).toBe('expected a time that is to come, within a month');
  await click('shelve-morning');
  await submit('shelve-dialog-go');
  expect(new Date(desk.view(id).shelved?.until_ms ?? 0).getHours()).toBe(8);
  await click('pane-unshelve');
  expect(desk.view(id).state).toBe('raised');
});

it('folds parts under the alarm that they belong to, and acknowledges them with it', async () => {
  fillPeople(desk, Date.now());
  const head = desk.raise({ text: 'The site is silent', severity: 'high', site: 1 });
  const parts = [1, 2, 3].map((n) => desk.raise({ text: `Silent ${n}`, severity: 'medium', site: 1, part_of: head }));
  await show();
  expect(rows()).toEqual(['The site is silent']);
  expect(document.title).toBe('(1) Switchyard');
  await click(`alarm-parts-${head}`);
  expect(rows()).toHaveLength(4);
  await click(`alarm-parts-${head}`);
  await click(`alarm-acknowledge-${head}`);
  expect(parts.map((id) => desk.view(id).state)).toEqual(['acknowledged', 'acknowledged', 'acknowledged']);
});

it('filters by state, site and words', async () => {
  fillPeople(desk, Date.now());
  fillAlarms(desk, Date.now());
  await show();
  await write('alarms-site', '2');
  expect(rows()).toEqual(['The site is silent']);
  await write('alarms-site', '');
  await write('alarms-filter', '100042 pump');
  expect(rows()).toEqual(['High water in the sump', 'Pump 2 does not start']);
  await write('alarms-filter', 'no such thing');
  expect(text('alarms-empty')).toContain('No alarm matches the filters.');
  await write('alarms-filter', '');
  await click('alarms-over');
  await until('those that are over', () => text('over-list').includes('Pump 1 does not start'));
});

it('tells of an alarm who was called when, what they pressed and how it ended, and follows a call', async () => {
  fillPeople(desk, Date.now());
  const { water, pump } = fillAlarms(desk, Date.now());
  await show(`#/alarms/${water}`);
  const line = () => text('time-line');
  expect(line()).toMatch(/wang wrote: On my way, 20 minutes\..*call to Li Qiang, \+49 30 901820 \(SIP\).*rings.*answered.*it is spoken.*pressed 2.*wants the next one to be told.*no answer.*raised at 82.4$/);
  await go(`#/alarms/${pump}`);
  await until('the call', () => (find('time-line')?.textContent ?? '').includes('under way'));
  const [call] = [...desk.attempts.values()].filter(({ alarms }) => alarms.includes(pump));
  desk.step(call?.id ?? 0, 'answered');
  await until('the answer', () => line().includes('answered'));
  desk.step(call?.id ?? 0, 'told');
  desk.end(call?.id ?? 0, { kind: 'acknowledged' }, '1');
  await until('the key', () => line().includes('pressed 1'));
  expect(line()).toContain('acknowledged by Li Qiang, by a key in the call');
});

it('writes a comment down', async () => {
  const id = desk.raise({ text: 'One' });
  await show(`#/alarms/${id}`);
  await click('pane-comment');
  await submit('comment-dialog-go');
  expect(text('comment-dialog-fault')).toBe('expected a few words');
  await write('comment-text', 'seen it');
  await submit('comment-dialog-go');
  await until('the comment', () => text('time-line').includes('li wrote: seen it'));
});

it('shows a controller’s alarms on its own screen, to be acknowledged there', async () => {
  const id = desk.raise({ text: 'High water', severity: 'high', controller: 100042 });
  desk.raise({ text: 'Elsewhere', controller: 100043 });
  await show('#/100042');
  expect(text('alarm-banner')).toContain('HIGH High water');
  expect(text('alarm-banner')).not.toContain('Elsewhere');
  expect(document.title).toBe('(2) No. 100042 Pump house 3 – Switchyard');
  await click(`banner-acknowledge-${id}`);
  expect(text('alarm-banner')).toContain('acknowledged by li');
  expect(document.title).toBe('(1) No. 100042 Pump house 3 – Switchyard');
  desk.clear(id);
  await until('the end of it', () => find('alarm-banner') === null);
});

it('says that the list is old while the gateway is gone', async () => {
  desk.raise({ text: 'One' });
  await show();
  desk.isGone = true;
  desk.raise({ text: 'Two' });
  await until('the word of it', () => find('alarms-stale') !== null);
  expect(text('alarms-stale')).toContain('not live: the gateway cannot be reached');
  expect(rows()).toEqual(['One']);
});

it('ends its question when nobody is logged in any more', async () => {
  desk.raise({ text: 'One' });
  await show();
  host.emit({ kind: 'session', session: null });
  await settle();
  expect(find('login-submit')).not.toBeNull();
  expect(document.title).toBe('Switchyard');
  const before = desk.asked.length;
  desk.raise({ text: 'Two' });
  await settle();
  expect(desk.asked.length).toBe(before);
  host.emit({ kind: 'session', session: { ...SESSION, account: 'wang' } });
  await until('the alarms of the other account', () => document.title === '(2) Switchyard');
});

it('draws of a long list a change of one row alone', async () => {
  fillStorm(desk, Date.now(), 120);
  await show();
  await until('all of them', () => document.title === '(120) Switchyard');
  expect(rows()).toHaveLength(120);
  const list = get('alarm-list');
  const changes: MutationRecord[] = [];
  const watcher = new MutationObserver((records) => changes.push(...records));
  watcher.observe(list, { childList: true });
  const [first] = [...list.querySelectorAll('li')];
  await click(`alarm-acknowledge-${first?.dataset['testid']?.slice('alarm-'.length) ?? ''}`);
  await until('the acknowledgement', () => document.title === '(119) Switchyard');
  watcher.disconnect();
  expect(changes).toEqual([]);
});
