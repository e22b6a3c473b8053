// Alarms, plans and values in words, and times of day in people's own zones.

import { describe, expect, it } from 'vitest';
import { parsePlace, placeLink } from '../place.svelte';
import { alarmsEn } from '../texts/alarmsEn';
import { alarmsZh } from '../texts/alarmsZh';
import { rungWritten, sheetLines, turnWritten, weekBegin, weeks } from './planWords';
import { families, heldOrder, roleAt } from './standing';
import { attemptNow, timeLine } from './timeLine';
import type { AlarmView, AttemptView, Rung, Shift, Who } from './types';
import { conditionWritten, durationWritten, parseDuration, parseValue, pointSort, valueWritten } from './written';
import { addDays, dayOf, isZone, minuteText, momentOf, parseMinute, wallAt } from './zone';

const ms = (text: string): number => Date.parse(text);

describe('the time line', () => {
  const attempt: AttemptView = {
    id: 7,
    contact: 1,
    contact_name: 'Li',
    channel: 'sip',
    destination: '+49 30 1',
    alarms: [1],
    begun_ms: 1_000,
    steps: [
      { step: 'begun', at_ms: 1_000 },
      { step: 'ringing', at_ms: 2_000 },
      { step: 'answered', at_ms: 5_000 },
      { step: 'told', at_ms: 6_000 },
    ],
    keys: '*1',
    ended_ms: 9_000,
    outcome: { kind: 'acknowledged' },
  };
  const notes = [
    { at_ms: 500, kind: 'raised', value: '82.4' },
    { at_ms: 1_000, kind: 'attempted', attempt: 7 },
    { at_ms: 1_000, kind: 'attempted', attempt: 8 },
    { at_ms: 9_000, kind: 'acknowledged', by: 'Li', how: 'call' as const },
    { at_ms: 9_000, kind: 'cleared' },
    { at_ms: 9_500, kind: 'skipped', rung: 0, reason: 'quiet hours' },
    { at_ms: 9_600, kind: 'shelved', by: 'wang', how: 'api' as const, until_ms: 99_000 },
    { at_ms: 9_700, kind: 'praised_loudly' },
  ];

  it('is of notes and attempts together, the youngest first, each told once', () => {
    const entries = timeLine({ notes, attempts: [attempt] }, alarmsEn, (at) => `T${at}`);
    expect(entries.map(({ at, words }) => [at, words])).toEqual([
      [9_700, 'praised loudly'],
      [9_600, 'shelved until T99000 by wang'],
      [9_500, 'nobody to tell at step 1 of the chain'],
      [9_000, 'over'],
      [9_000, 'acknowledged by Li, by a key in the call'],
      [1_000, 'call to Li, +49 30 1 (SIP)'],
      // An attempt that the gateway no longer tells of is not lost.
      [1_000, 'somebody was to be told'],
      [500, 'raised at 82.4'],
    ]);
    const call = entries.find(({ key }) => key === 'attempt 7');
    expect(call?.steps.map(({ words }) => words)).toEqual(['rings', 'answered', 'it is spoken', 'pressed *1']);
    expect(call?.end).toEqual({ at: 9_000, words: 'acknowledged' });
    expect(entries[2]?.quoted).toBe('quiet hours');
    expect(new Set(entries.map(({ key }) => key)).size).toBe(entries.length);
  });

  it('says of an attempt how far it is, in both languages', () => {
    const { outcome: _, ended_ms: __, ...open } = attempt;
    const after = (count: number): AttemptView => ({ ...open, steps: attempt.steps.slice(0, count) });
    expect([1, 2, 3, 4].map((count) => attemptNow(after(count), alarmsEn).words)).toEqual(['dialling…', 'rings', 'answered', 'it is spoken']);
    expect([1, 2, 3, 4].map((count) => attemptNow(after(count), alarmsZh).words)).toEqual(['正在拨号…', '振铃', '接听', '正在播报']);
    expect(attemptNow({ ...after(1), channel: 'email' }, alarmsEn).words).toBe('sending…');
    const text: AttemptView = { ...open, channel: 'provider_sms', steps: [{ step: 'told', at_ms: 2 }, { step: 'delivered', at_ms: 3 }] };
    expect(timeLine({ notes: [], attempts: [{ ...text, keys: '' }] }, alarmsEn, String)[0]?.steps.map(({ words }) => words)).toEqual(['handed over', 'delivered']);
    expect(attemptNow(text, alarmsZh).words).toBe('已送达');
    expect(attemptNow({ ...attempt, outcome: { kind: 'no_answer' } }, alarmsEn)).toEqual({ sign: 'stopped', words: 'no answer' });
    const [entry] = timeLine({ notes: [], attempts: [after(2)] }, alarmsEn, String);
    expect([entry?.isUnderWay, entry?.end]).toEqual([true, null]);
  });
});

describe('the list', () => {
  const alarm = (id: number, part_of?: number) => ({ id, ...(part_of === undefined ? {} : { part_of }) }) as AlarmView;

  it('folds parts under what they are parts of, where that is on view', () => {
    const rows = families([alarm(1), alarm(2, 1), alarm(3, 9), alarm(4, 1)]);
    expect(rows.map((row) => [row.alarm.id, row.parts.map(({ id }) => id)])).toEqual([
      [1, [2, 4]],
      [3, []],
    ]);
  });

  it('keeps its order while it is held', () => {
    expect(heldOrder([1, 2, 3], [9, 3, 1], true)).toEqual({ order: [1, 2, 3], waiting: [9] });
    expect(heldOrder([1, 2, 3], [9, 3, 1], false)).toEqual({ order: [9, 3, 1], waiting: [] });
    expect(heldOrder([], [9], true)).toEqual({ order: [9], waiting: [] });
  });

  it('goes by the better of the roles everywhere and at the site', () => {
    const who: Who = { account: 'li', rights: { everywhere: 'viewer', sites: [{ site: 1, role: 'technician' }] }, time: 0 };
    expect([roleAt(who, 1), roleAt(who, 2), roleAt(who, undefined), roleAt(null, 1)]).toEqual([3, 1, 1, 0]);
  });
});

describe('values', () => {
  const yard = [
    { address: 1, points: [{ name: 'DI1', type: 0 }, { name: 'AI0', type: 2 }, { name: 'X', type: 0 }] },
    { address: 2, points: [{ name: 'X', type: 2 }] },
  ];

  it('knows a point by the controllers that have it', () => {
    expect([pointSort(yard, 'everywhere', 'DI1'), pointSort(yard, 'everywhere', 'AI0'), pointSort(yard, 'everywhere', 'X'), pointSort(yard, { controllers: [2] }, 'X'), pointSort(yard, 'everywhere', '?')]).toEqual(['digital', 'analogue', null, 'analogue', null]);
  });

  it.each([
    [21_500, 'analogue', '21.5'],
    [-50, 'analogue', '−0.05'],
    [1, 'analogue', '0.001'],
    [1, 'digital', 'ON'],
    [0, 'digital', 'off'],
    [1, null, 'ON'],
    [80_000, null, '80'],
  ] as const)('%i of an %s point is %s, and back', (value, sort, text) => {
    expect(valueWritten(value, sort, true)).toBe(text);
    expect(parseValue(text, sort)).toBe(value);
  });

  it.each([
    ['on', 'digital', 1],
    ['0', 'digital', 0],
    ['2', 'digital', null],
    ['on', 'analogue', null],
    ['21,5', 'analogue', 21_500],
    ['much', null, null],
  ] as const)('%s of an %s point is %s', (text, sort, value) => {
    expect(parseValue(text, sort)).toBe(value);
  });

  it.each([
    [0, '0 s'],
    [90, '90 s'],
    [300, '5 min'],
    [7_200, '2 h'],
  ])('%i seconds are %s, and back', (seconds, text) => {
    expect(durationWritten(seconds)).toBe(text);
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each([
    ['10', 10],
    ['1.5 min', 90],
    ['5 分', 300],
    ['1小时', 3_600],
    ['0.5 s', null],
    ['', null],
    ['soon', null],
    ['5 toString', null],
  ])('%s is %s seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it('says when a rule is so', () => {
    expect(conditionWritten({ kind: 'above', point: 'AI0', limit: 80_000, clear: 80_000 }, 'analogue')).toBe('AI0 above 80');
    expect(conditionWritten({ kind: 'rises', point: 'AI0', by: 5_000, within_s: 60 }, 'analogue')).toBe('AI0 rises by 5 within 1 min');
  });
});

describe('zones', () => {
  it('show what a clock on the wall there shows', () => {
    expect(wallAt('Europe/Berlin', ms('2026-11-28T23:30:00Z'))).toEqual({ date: '2026-11-29', minute: 30, day: 7 });
    expect(wallAt('Asia/Shanghai', ms('2026-11-28T16:00:00Z'))).toEqual({ date: '2026-11-29', minute: 0, day: 7 });
    expect(wallAt('UTC', 0)).toEqual({ date: '1970-01-01', minute: 0, day: 4 });
  });

  it.each([
    ['Europe/Berlin', '2026-11-30', 540, '2026-11-30T08:00:00Z'],
    ['Europe/Berlin', '2026-07-01', 540, '2026-07-01T07:00:00Z'],
    // The clock is put forward from 2 to 3, and back from 3 to 2.
    ['Europe/Berlin', '2026-03-29', 150, '2026-03-29T01:30:00Z'],
    ['Europe/Berlin', '2026-03-29', 180, '2026-03-29T01:00:00Z'],
    ['Europe/Berlin', '2026-10-25', 150, '2026-10-25T00:30:00Z'],
    ['Europe/Berlin', '2026-10-25', 0, '2026-10-24T22:00:00Z'],
    ['America/New_York', '2026-11-28', 0, '2026-11-28T05:00:00Z'],
    ['UTC', '2026-11-28', 1_439, '2026-11-28T23:59:00Z'],
  ])('%s: %s and %i minutes are %s', (zone, date, minute, at) => {
    expect(new Date(momentOf(zone, date, minute)).toISOString()).toBe(new Date(at).toISOString());
  });

  it('know dates, days and times of day', () => {
    expect([addDays('2026-12-31', 1), addDays('2024-03-01', -1), dayOf('2026-11-29'), dayOf('2026-11-30')]).toEqual(['2027-01-01', '2024-02-29', 7, 1]);
    expect([minuteText(0), minuteText(545), parseMinute('23:59'), parseMinute('24:00'), parseMinute('9:60'), parseMinute('')]).toEqual(['00:00', '09:05', 1_439, null, null, null]);
    expect(['Europe/Berlin', 'UTC', 'Mars/Olympus', '', '+01:00'].map(isZone)).toEqual([true, true, false, false, false]);
  });
});

describe('plans', () => {
  const nameOf = (contact: number) => ['', 'Li', 'Wang'][contact] ?? '?';
  const rung: Rung = { whom: { on_call: 'first' }, medium: 'call', from: 'medium', wait_s: 300, attempts: 3, pause_s: 60 };

  it('are told in words', () => {
    expect(rungWritten(rung, nameOf)).toBe('on call (first): call, medium and high, up to 3 times 1 min apart; then wait 5 min');
    expect(rungWritten({ ...rung, whom: { contact: 2 }, from: 'low', attempts: 1, wait_s: 0 }, nameOf)).toBe('Wang: call; then on at once');
    const turn = { name: 'first', people: [1, 2], hand_over: { day: 1, minute: 540 }, starts_ms: 0 };
    expect([7, 14, 1, 3].map((shift_days) => turnWritten({ ...turn, shift_days }, nameOf))).toEqual([
      'Li, Wang in turn, a week each; handed over Monday, 09:00',
      'Li, Wang in turn, 2 weeks each; handed over Monday, 09:00',
      'Li, Wang in turn, a day each; handed over at 09:00',
      'Li, Wang in turn, 3 days each; handed over at 09:00',
    ]);
  });

  const shift = (turn: string, contact: number, from: string, until: string): Shift => ({ turn, contact, contact_name: nameOf(contact), from_ms: ms(from), until_ms: ms(until), is_override: false });

  it('are drawn by weeks, as long as each shift lasts, also over a change of the clock', () => {
    const zone = 'Europe/Berlin';
    const monday = '2026-10-19';
    const from = weekBegin(zone, monday, 0);
    const shown = weeks([shift('first', 1, '2026-10-01T00:00:00Z', '2026-10-22T10:00:00Z'), shift('first', 2, '2026-10-22T10:00:00Z', '2026-11-10T00:00:00Z')], ['first'], zone, monday, 2);
    expect(shown.map(({ date }) => date)).toEqual(['2026-10-19', '2026-10-26']);
    expect((shown[0]?.until ?? 0) - from).toBe((7 * 24 + 1) * 3_600_000);
    const [bars, after] = shown.map((week) => week.tracks[0]?.bars ?? []);
    expect(bars?.map((bar) => bar.shift.contact)).toEqual([1, 2]);
    expect(bars?.[0]?.left).toBe(0);
    expect((bars?.[0]?.width ?? 0) + (bars?.[1]?.width ?? 0)).toBeCloseTo(100);
    expect(bars?.[0]?.width).toBeCloseTo((100 * (ms('2026-10-22T10:00:00Z') - from)) / ((7 * 24 + 1) * 3_600_000));
    expect(after?.map((bar) => [bar.left, bar.width])).toEqual([[0, 100]]);
  });

  it('are printed with a line for each hand-over of any turn', () => {
    const lines = sheetLines(
      [shift('first', 1, '2026-11-02T08:00:00Z', '2026-11-09T08:00:00Z'), shift('first', 2, '2026-11-09T08:00:00Z', '2026-11-16T08:00:00Z'), shift('deputy', 2, '2026-11-02T08:00:00Z', '2026-11-16T08:00:00Z')],
      ['first', 'deputy'],
    );
    expect(lines.map(({ who, isNew }) => [who.map((each) => each?.contact_name), isNew])).toEqual([
      [['Li', 'Wang'], [true, true]],
      [['Wang', 'Wang'], [true, false]],
    ]);
  });
});

it('has a place of its own for each of the alarm screens', () => {
  const places = ['#/alarms', '#/alarms/12', '#/alarms/on-call', '#/alarms/on-call/0', '#/alarms/on-call/3/edit', '#/alarms/sheet/0', '#/alarms/contacts', '#/alarms/contacts/5', '#/alarms/contacts/new', '#/alarms/rules/new', '#/alarms/rules'];
  expect(places.map((each) => placeLink(parsePlace(each)))).toEqual(places);
  expect(parsePlace('#/alarms/<script>')).toEqual({ screen: 'alarms', alarm: null });
});
