// Contacts, rota, chain and rules on a fake host whose gateway takes and refuses them as the API says.

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { FakeAlarms } from '../../../tests/fakeAlarms';
import { controller, FakeHost, point } from '../../../tests/fakeHost';
import { ANNA, fillPeople, LI, WANG } from '../../../tests/sampleAlarms';
import { beside, clear, click, close, find, get, go, open, PATIENCE_MS, press, submit, text, until, value, write } from '../../../tests/screen';
// Else the first test would wait for it.
import './PlanningScreen.svelte';

vi.setConfig({ testTimeout: PATIENCE_MS });

/** Saturday, 28 November 2026, 12:00 in Berlin. */
const NOW = Date.parse('2026-11-28T11:00:00Z');
const DAY_MS = 24 * 3600 * 1000;

let host: FakeHost;
let desk: FakeAlarms;

beforeEach(() => {
  clear();
  host = new FakeHost();
  host.controllers = [controller(100042, 'Pump house 3', [point(0, 'RL1', 1, 0), point(1, 'DI1', 0, 0), point(2, 'AI0', 2, 72_400)])];
  desk = new FakeAlarms(() => NOW);
  desk.rights.set('li', { everywhere: 'technician', sites: [] });
  fillPeople(desk, NOW);
  host.answer = desk.answer;
});

afterEach(close);

const show = (fragment: string): Promise<void> => open(host, fragment, () => find('to-alarms') !== null && find('screen-loading') === null);

it('shows a contact as it is, and saves what was changed and nothing else', async () => {
  await show(`#/alarms/contacts/${LI}`);
  expect(text('contact-list')).toContain('Li Qiang +49 30 901820 e-mail, push PIN');
  expect([value('contact-name'), value('contact-zone'), value('quiet-0-from'), value('contact-test-time')]).toEqual(['Li Qiang', 'Europe/Berlin', '22:00', '10:00']);
  const before = structuredClone(desk.contacts.get(LI));
  await write('contact-telephone', '+49 30 1');
  await submit('contact-save');
  expect(text('contact-saved')).toBe('Saved.');
  expect(desk.contacts.get(LI)).toEqual({ pin: '1234', contact: { ...before?.contact, telephone: '+49 30 1' } });
});

it('says beside its field what the gateway does not take', async () => {
  await show(`#/alarms/contacts/${LI}`);
  await write('contact-sms', 'ring me');
  await submit('contact-save');
  expect(beside('contact-sms')).toContain('a telephone number (digits, with + before the country)');
  expect(document.activeElement).toBe(get('contact-sms'));
  await write('contact-sms', '');
  await write('contact-email', 'li at home');
  await write('contact-name', ' ');
  await write('contact-pin', '12');
  await write('quiet-0-to', '');
  await submit('contact-save');
  expect(beside('contact-email')).toBe('expected an e-mail address, such as li@example.org');
  expect(beside('contact-name')).toContain('expected a name');
  expect(beside('contact-pin')).toContain('expected 4 to 12 digits');
  expect(text('quiet-fault')).toContain('expected days');
  expect(desk.contacts.get(LI)?.contact.name).toBe('Li Qiang');
});

it('makes a contact, and removes one unless a plan names it', async () => {
  await show('#/alarms/contacts/new');
  await write('contact-name', 'Zhao');
  await write('contact-telephone', '+86 10 5550123');
  await write('contact-language', 'zh');
  await write('contact-pin', '4711');
  await click('quiet-add');
  await click('quiet-0-day-7');
  await submit('contact-save');
  const [id, made] = [...desk.contacts].at(-1) ?? [0, undefined];
  expect(made).toMatchObject({ pin: '4711', contact: { name: 'Zhao', language: 'zh', quiet: [{ days: [1, 2, 3, 4, 5, 6], from_minute: 1_320, to_minute: 360 }] } });
  expect(location.hash).toBe(`#/alarms/contacts/${id}`);
  await go(location.hash);
  await click('contact-remove');
  expect(text('contact-remove-dialog')).toContain('Remove Zhao?');
  await submit('contact-remove-dialog-go');
  expect(desk.contacts.has(id)).toBe(false);
  await go(`#/alarms/contacts/${ANNA}`);
  await click('contact-remove');
  await submit('contact-remove-dialog-go');
  expect(text('contact-remove-dialog-fault')).toContain('a plan names this contact');
});

it('calls now, and follows the call to the key that was pressed', async () => {
  await show(`#/alarms/contacts/${LI}`);
  expect(find('test-sms')).not.toBeNull(); // By the telephone's number.
  expect(find('test-webhook')).toBeNull();
  await click('test-call');
  await until('the dialling', () => text('test-stage') === 'dialling…');
  const [call] = [...desk.attempts.values()].slice(-1);
  if (call === undefined) throw new Error('expected an attempt');
  await click('test-call');
  expect(desk.attempts.size).toBe(1);
  desk.step(call.id, 'ringing');
  await until('the ringing', () => text('test-stage') === 'rings');
  desk.step(call.id, 'answered');
  await until('the answer', () => text('test-stage') === 'answered');
  desk.step(call.id, 'told');
  desk.end(call.id, { kind: 'acknowledged' }, '1');
  await until('the key', () => text('test-stage') === 'acknowledged pressed 1');
  expect(text('test-end')).toBe('It works.');
  expect(document.title).toBe('Switchyard'); // A test is no alarm.
  await until('what was told', () => text('contact-attempts').includes('call to Li Qiang'));
  desk.isAway = true;
  await click('test-email');
  expect(text('test-fault')).toContain('Kept: the gateway in charge');
});

it('lets a contact without the right read themselves and try it, and nobody else', async () => {
  desk.rights.set('li', { everywhere: 'viewer', sites: [] });
  await show('#/alarms');
  await until('the tab', () => find('tab-contacts') !== null);
  await go(`#/alarms/contacts/${LI}`);
  await until('the contact', () => find('contact-name') !== null);
  expect(find('contact-save')).toBeNull();
  expect(find('test-call')).not.toBeNull();
  expect(find(`contact-${WANG}`)).toBeNull();
  await close();
  desk.contacts.delete(LI);
  await show('#/alarms');
  expect(find('tab-contacts')).toBeNull();
});

it('tells who is on call now and next, and draws the coming weeks', async () => {
  await show('#/alarms/on-call');
  await until('the calendar', () => find('calendar')?.textContent.includes('Li Qiang') === true);
  // It began with Li on 2 November.
  expect(text('on-call-now')).toBe('first Li Qiang +49 30 901820 until Mon, Nov 30, 09:00 then Wang Fangdeputy Li Qiang +49 30 901820 until Mon, Nov 30, 09:00 then Anna Schmidt');
  expect(document.querySelectorAll('[data-testid="calendar"] .week')).toHaveLength(4);
  expect(text('chain')).toContain('2on call (first)callmedium and high3, 1 min apart5 min');
});

it('has somebody stand in, and takes that back', async () => {
  desk.plans.set(0, { ...desk.plans.get(0), overrides: [] } as never);
  await show('#/alarms/on-call/0');
  await until('the exceptions', () => find('exception-add') !== null);
  await click('exception-add');
  await write('exception-who', String(WANG));
  await write('exception-from', '2026-11-28T12:00');
  await write('exception-until', '2026-11-28T11:00');
  await submit('exception-go');
  expect(text('exception-fault')).toBe('expected an end after the beginning');
  await write('exception-until', '2026-11-29T12:00');
  await submit('exception-go');
  // By the clock of the plan's zone, wherever the page is looked at.
  expect(desk.plans.get(0)?.overrides).toEqual([{ turn: 'first', contact: WANG, from_ms: NOW, until_ms: NOW + DAY_MS }]);
  await until('who stands in', () => text('on-call-now').includes('Wang Fang') && text('on-call-now').includes('stands in'));
  await click('exception-remove');
  expect(desk.plans.get(0)?.overrides).toEqual([]);
});

it('saves a plan that nobody changed as it was', async () => {
  const before = structuredClone(desk.plans.get(0));
  await show('#/alarms/on-call/0/edit');
  await until('the form', () => find('plan-save') !== null);
  await submit('plan-save');
  const after = desk.plans.get(0);
  // The first hand-over is written as a date: the moment may move, but not whose turn it is.
  expect({ ...after, rota: after?.rota.map(({ starts_ms: _, ...turn }) => turn) }).toEqual({ ...before, rota: before?.rota.map(({ starts_ms: _, ...turn }) => turn) });
  const shifts = (plan: typeof before) => {
    const other = new FakeAlarms(() => NOW);
    if (plan !== undefined) other.plans.set(0, plan);
    return other.handle('GET', `api/alarm-plans/0/calendar?from_ms=${NOW - 60 * DAY_MS}&until_ms=${NOW + 60 * DAY_MS}`, undefined, 'li');
  };
  expect(await shifts(after)).toEqual(await shifts(before));
});

it('changes the rota: another name, another order, other people', async () => {
  await show('#/alarms/on-call/0/edit');
  await until('the form', () => find('plan-save') !== null);
  await write('turn-0-name', 'duty');
  await click('turn-0-down-0');
  await click('turn-0-without-2');
  await write('turn-0-days', '0');
  await submit('plan-save');
  expect(beside('turn-0-days')).toContain('expected a number from 1 to 366');
  await write('turn-0-days', '1');
  await submit('plan-save');
  const plan = desk.plans.get(0);
  expect(plan?.rota[0]).toMatchObject({ name: 'duty', people: [WANG, LI], shift_days: 1 });
  // Steps and exceptions go with the name.
  expect(plan?.chain.map(({ whom }) => whom)).toEqual([{ on_call: 'duty' }, { on_call: 'duty' }, { on_call: 'deputy' }, { contact: ANNA }]);
  expect(plan?.overrides.map(({ turn }) => turn)).toEqual(['duty']);
});

it('removes no turn that the chain names', async () => {
  await show('#/alarms/on-call/0/edit');
  await until('the form', () => find('plan-save') !== null);
  await click('turn-1-remove');
  expect(beside('turn-1-name')).toContain('expected a turn that no step names any more');
  await click('rung-remove-2');
  await click('turn-1-remove');
  await submit('plan-save');
  expect(desk.plans.get(0)?.rota.map(({ name }) => name)).toEqual(['first']);
});

it('moves the steps of the chain by buttons and by keys, the focus with them', async () => {
  await show('#/alarms/on-call/0/edit');
  await until('the form', () => find('plan-save') !== null);
  get('rung-up-3').focus();
  await click('rung-up-3');
  expect(document.activeElement).toBe(get('rung-up-2'));
  get('rung-medium-2').focus();
  await press(get('rung-medium-2'), 'ArrowUp', true);
  expect(document.activeElement).toBe(get('rung-medium-1'));
  get('rung-up-1').focus();
  await click('rung-up-1');
  expect(document.activeElement).toBe(get('rung-down-0'));
  await write('rung-wait-0', '90 s');
  await click('rung-add');
  await write('rung-whom-4', `contact ${WANG}`);
  await write('rung-attempts-4', '20');
  await submit('plan-save');
  expect(text('rung-fault-4')).toBe('expected a number from 1 to 10');
  await write('rung-attempts-4', '2');
  await submit('plan-save');
  expect(desk.plans.get(0)?.chain.map(({ whom, medium, wait_s }) => [whom, medium, wait_s])).toEqual([
    [{ contact: ANNA }, 'email', 90],
    [{ on_call: 'first' }, 'push', 60],
    [{ on_call: 'first' }, 'call', 300],
    [{ on_call: 'deputy' }, 'call', 300],
    [{ contact: WANG }, 'call', 300],
  ]);
});

it('makes a plan of its own for a site, from that of all sites, and removes it again', async () => {
  desk.rights.set('li', { everywhere: 'operator', sites: [{ site: 1, role: 'technician' }] });
  await show('#/alarms/on-call/0');
  await until('the chain', () => find('chain') !== null);
  expect(find('plan-edit')).toBeNull();
  await go('#/alarms/on-call/1');
  expect(text('on-call')).toContain('North has no plan of its own');
  await click('plan-edit');
  await go(location.hash);
  await write('plan-again', '1 min');
  await submit('plan-save');
  expect(desk.plans.get(1)?.again_s).toBe(60);
  await go(location.hash);
  await click('plan-remove');
  await submit('plan-remove-dialog-go');
  expect(desk.plans.has(1)).toBe(false);
});

it('writes rules as people do, and never in thousandths', async () => {
  await show('#/alarms/rules/1');
  expect(text('rule-list')).toContain('AI0 above 80 for 10 s, until below 75.5');
  expect(text('rule-list')).toContain('DI1 is ON for 5 min');
  expect([value('rule-limit'), value('rule-clear'), value('rule-for'), value('rule-over-for')]).toEqual(['80', '75.5', '10 s', '1 min']);
  await write('rule-limit', '21.5');
  await submit('rule-save');
  expect(beside('rule-clear')).toContain('expected a value that is not above the limit');
  await write('rule-clear', '');
  await write('rule-for', '2 min');
  await submit('rule-save');
  expect(desk.rules.get(1)).toMatchObject({ condition: { kind: 'above', point: 'AI0', limit: 21_500, clear: 21_500 }, for_s: 120 });
  await write('rule-limit', 'much');
  await submit('rule-save');
  expect(beside('rule-limit')).toContain('expected a number, such as 21.5');
});

it('makes a rule of a digital point by on and off, and of silence by its delay', async () => {
  await show('#/alarms/rules/new');
  await write('rule-name', 'Pump');
  await write('rule-text', 'The pump is off');
  await write('rule-severity', 'high');
  await write('rule-kind', 'is');
  await write('rule-point', 'RL1');
  await write('rule-value', 'off');
  await write('rule-scope', 'controllers');
  await write('rule-controllers', 'No. 100042, 7x');
  await submit('rule-save');
  expect(beside('rule-controllers')).toContain('expected numbers of controllers');
  await write('rule-controllers', '100042, 100043');
  await submit('rule-save');
  const [id, rule] = [...desk.rules].at(-1) ?? [0, undefined];
  expect(rule).toMatchObject({ severity: 'high', condition: { kind: 'is', point: 'RL1', value: 0 }, scope: { controllers: [100042, 100043] } });
  await go(`#/alarms/rules/${id}`);
  await write('rule-kind', 'silent');
  await submit('rule-save');
  expect(beside('rule-for')).toContain('expected at least 5 s');
  await write('rule-for', '1 min');
  await submit('rule-save');
  expect(desk.rules.get(id)).toMatchObject({ condition: { kind: 'silent' }, for_s: 60 });
  await click('rule-remove');
  await submit('rule-remove-dialog-go');
  expect(desk.rules.has(id)).toBe(false);
});

it('says of the whole what the gateway refuses of nothing in particular', async () => {
  await show('#/alarms/rules/1');
  desk.rights.set('li', { everywhere: 'viewer', sites: [] });
  await submit('rule-save');
  expect(text('rule-fault')).toBe('Not saved: not allowed for this account');
});

it('prints who is on call when, their telephones and the chain in words', async () => {
  await show('#/alarms/sheet/0');
  await until('the sheet', () => find('sheet') !== null);
  const sheet = text('sheet');
  expect(sheet).toContain('Nov 23 to Dec 20');
  expect(sheet).toContain('+49 30 901820');
  expect(sheet).toContain('on call (first): call, medium and high, up to 3 times 1 min apart; then wait 5 min');
  expect(sheet).toContain('again from step 1 after 15 min');
  expect(document.querySelectorAll('[data-testid="sheet"] tbody tr').length).toBeGreaterThanOrEqual(4);
});
