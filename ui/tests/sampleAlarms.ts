// People, plans, rules and alarms that show every state that the alarm screens know.

import type { Contact } from '../src/lib/alarm/types';
import { FakeAlarms } from './fakeAlarms';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export const LI = 1_001;
export const WANG = 1_002;
export const ANNA = 1_003;

function contact(name: string, rest: Partial<Contact> = {}): Contact {
  return { name, language: 'en', zone: 'Europe/Berlin', quiet: [], wakes_from: 'high', calls_per_hour_max: 12, ...rest };
}

export function fillPeople(desk: FakeAlarms, now: number): void {
  desk.sites = [
    { site: 1, name: 'North' },
    { site: 2, name: '南厂区 South works' },
  ];
  desk.contacts.set(LI, {
    contact: contact('Li Qiang', {
      language: 'zh',
      telephone: '+49 30 901820',
      email: 'li@example.org',
      push_topic: 'li_yard',
      account: 'li',
      quiet: [{ days: [1, 2, 3, 4, 5], from_minute: 22 * 60, to_minute: 6 * 60 }],
      weekly_test: { day: 1, minute: 10 * 60 },
    }),
    pin: '1234',
  });
  desk.contacts.set(WANG, { contact: contact('Wang Fang', { telephone: '+49 170 5550101', sms: '+49 170 5550102', push_topic: 'wang_yard' }), pin: '' });
  desk.contacts.set(ANNA, { contact: contact('Anna Schmidt', { telephone: '+49 89 12345', email: 'anna@example.org' }), pin: '' });
  const starts_ms = now - 20 * DAY_MS;
  desk.plans.set(0, {
    zone: 'Europe/Berlin',
    again_s: 900,
    heard_from: 'high',
    rota: [
      { name: 'first', people: [LI, WANG, ANNA], shift_days: 7, hand_over: { day: 1, minute: 9 * 60 }, starts_ms },
      { name: 'deputy', people: [ANNA, LI], shift_days: 14, hand_over: { day: 1, minute: 9 * 60 }, starts_ms },
    ],
    chain: [
      { whom: { on_call: 'first' }, medium: 'push', from: 'low', wait_s: 60, attempts: 1, pause_s: 60 },
      { whom: { on_call: 'first' }, medium: 'call', from: 'medium', wait_s: 300, attempts: 3, pause_s: 60 },
      { whom: { on_call: 'deputy' }, medium: 'call', from: 'medium', wait_s: 300, attempts: 2, pause_s: 120 },
      { whom: { contact: ANNA }, medium: 'email', from: 'low', wait_s: 0, attempts: 1, pause_s: 60 },
    ],
    overrides: [{ turn: 'first', contact: ANNA, from_ms: now + 2 * DAY_MS, until_ms: now + 3 * DAY_MS }],
  });
  desk.rules.set(1, {
    name: 'High water',
    text: 'High water in the sump',
    severity: 'high',
    scope: { site: 1 },
    condition: { kind: 'above', point: 'AI0', limit: 80_000, clear: 75_500 },
    for_s: 10,
    over_for_s: 60,
    is_enabled: true,
  });
  desk.rules.set(2, { name: 'Silence', text: 'A controller is silent', severity: 'medium', scope: 'everywhere', condition: { kind: 'silent' }, for_s: 120, over_for_s: 30, is_enabled: true });
  desk.rules.set(3, { name: 'Door', text: 'A door is open', severity: 'low', scope: { tag: 'doors' }, condition: { kind: 'is', point: 'DI1', value: 1 }, for_s: 300, over_for_s: 0, is_enabled: false });
  desk.channels = [
    { channel: 'sip', is_in_order: true },
    { channel: 'modem_sms', is_in_order: false, reason: 'no network' },
  ];
}

/** The alarms, and the numbers of those that a tour wants to find again. */
export function fillAlarms(desk: FakeAlarms, now: number): { water: number; pump: number; silent: number } {
  const old = desk.raise({ text: 'Pump 1 does not start', severity: 'medium', controller: 100051, controller_title: 'Tank 2', site: 1, since_ms: now - 30 * HOUR_MS });
  desk.clear(old);
  const water = desk.raise({
    text: 'High water in the sump',
    severity: 'high',
    controller: 100042,
    controller_title: 'Pump house 3',
    site: 1,
    value: '82.4',
    raised_ms: now - 3 * HOUR_MS,
    since_ms: now - 4 * MINUTE_MS,
    times: 3,
    next: { contact: WANG, contact_name: 'Wang Fang', medium: 'call', at_ms: now + 2 * MINUTE_MS, is_under_way: false },
  });
  const push = desk.begin(LI, 'push', [water], now - 4 * MINUTE_MS + 1_000);
  desk.step(push, 'told', now - 4 * MINUTE_MS + 1_400);
  desk.end(push, { kind: 'sent' }, '', now - 4 * MINUTE_MS + 1_400);
  const call = desk.begin(LI, 'call', [water], now - 3 * MINUTE_MS);
  desk.step(call, 'ringing', now - 3 * MINUTE_MS + 3_000);
  desk.end(call, { kind: 'no_answer' }, '', now - 3 * MINUTE_MS + 33_000);
  const again = desk.begin(LI, 'call', [water], now - 2 * MINUTE_MS);
  desk.step(again, 'ringing', now - 2 * MINUTE_MS + 2_000);
  desk.step(again, 'answered', now - 2 * MINUTE_MS + 9_000);
  desk.step(again, 'told', now - 2 * MINUTE_MS + 10_000);
  desk.end(again, { kind: 'passed' }, '2', now - 2 * MINUTE_MS + 31_000);
  desk.note(water, { at_ms: now - MINUTE_MS, kind: 'commented', by: 'wang', how: 'api', text: 'On my way, 20 minutes.' });
  const pump = desk.raise({
    text: 'Pump 2 does not start',
    severity: 'medium',
    controller: 100042,
    controller_title: 'Pump house 3',
    site: 1,
    since_ms: now - 50_000,
    next: { contact: LI, contact_name: 'Li Qiang', medium: 'call', at_ms: now, is_under_way: true },
  });
  desk.step(desk.begin(LI, 'call', [pump], now - 8_000), 'ringing', now - 5_000);
  const heard = { by: 'Anna Schmidt', how: 'call', at_ms: now - 20 * MINUTE_MS } as const;
  const silent = desk.raise({ text: 'The site is silent', severity: 'high', site: 2, source: { kind: 'site_silent', site: 2 }, since_ms: now - 22 * MINUTE_MS, acknowledged: heard });
  desk.note(silent, { at_ms: now - 20 * MINUTE_MS, kind: 'acknowledged', by: 'Anna Schmidt', how: 'call' });
  for (let n = 0; n < 24; n++) {
    desk.raise({ text: 'A controller is silent', severity: 'medium', site: 2, controller: 100_100 + n, controller_title: `Greenhouse ${n + 1}`, part_of: silent, acknowledged: heard, since_ms: now - 22 * MINUTE_MS });
  }
  const flapping = desk.raise({ text: '门开着 A door is open, with rather a long text about which of the many doors it is', severity: 'low', controller: 100043, controller_title: 'Gate', site: 1, since_ms: now - 70 * MINUTE_MS, times: 14, is_flapping: true });
  desk.note(flapping, { at_ms: now - 71 * MINUTE_MS, kind: 'flapping' });
  desk.raise({ text: 'Filter is dirty', severity: 'low', controller: 100052, controller_title: '北区水泵房 – north pump house with a long name', since_ms: now - 26 * HOUR_MS, shelved: { until_ms: now + 5 * HOUR_MS, by: 'wang', at_ms: now - HOUR_MS } });
  const gone = desk.raise({ text: 'No flow', severity: 'high', controller: 100051, controller_title: 'Tank 2', site: 1, value: '0.2', since_ms: now - 12 * MINUTE_MS });
  desk.clear(gone);
  return { water, pump, silent };
}

/** A storm: as many alarms as a bad day brings. */
export function fillStorm(desk: FakeAlarms, now: number, count: number): void {
  for (let n = 0; n < count; n++) {
    const severity = (['high', 'medium', 'low'] as const)[n % 3] ?? 'low';
    desk.raise({ text: `Trouble ${n}`, severity, controller: 200_000 + n, controller_title: `Station ${n}`, site: 1 + (n % 2), since_ms: now - n * 1_000 });
  }
}
