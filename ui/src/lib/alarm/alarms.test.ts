// The open alarms as they are kept: storms, pages, and what happens when the gateway cannot be reached.

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { FakeAlarms } from '../../../tests/fakeAlarms';
import { FakeHost } from '../../../tests/fakeHost';
import { fillStorm } from '../../../tests/sampleAlarms';
import { ALARMS_KEPT_MAX, createAlarms, READ_AGAIN_MS, TRY_AGAIN_MS, WHO_AGAIN_MS, type Alarms } from './alarms.svelte';
import { faultField, lean } from './api';

const NOW = 1_800_000_000_000;

let desk: FakeAlarms;
let host: FakeHost;
let alarms: Alarms;
let end: () => void;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  desk = new FakeAlarms(() => Date.now());
  host = new FakeHost();
  host.answer = desk.answer;
  alarms = createAlarms(host, () => Date.now());
  end = () => undefined;
});

afterEach(() => {
  end();
  vi.useRealTimers();
});

async function begin(): Promise<void> {
  end = alarms.attach();
  await vi.advanceTimersByTimeAsync(1);
}

const lists = () => desk.asked.filter((each) => each.startsWith('GET api/alarms?'));

it('takes a storm of 500, reads it seldom, and leaves what has not changed as it was', async () => {
  await begin();
  await vi.advanceTimersByTimeAsync(READ_AGAIN_MS);
  const before = lists().length;
  for (let n = 0; n < 50; n++) {
    fillStorm(desk, NOW, 10);
    await vi.advanceTimersByTimeAsync(20);
  }
  await vi.advanceTimersByTimeAsync(2 * READ_AGAIN_MS);
  expect(alarms.list).toHaveLength(500);
  expect(alarms.unacknowledgedCount).toBe(500);
  expect(alarms.gravest).toBe('high');
  // A second of storm and a second after it: the first change at once, then twice a second, and the question that is open.
  expect(lists().length - before).toBeLessThanOrEqual(6);
  const kept = [...alarms.list];
  const id = kept[0]?.id ?? 0;
  await alarms.acknowledge([id]);
  await vi.advanceTimersByTimeAsync(2 * READ_AGAIN_MS);
  expect(alarms.alarm(id)?.state).toBe('acknowledged');
  expect(alarms.list.filter((alarm) => !kept.includes(alarm)).map((alarm) => alarm.id)).toEqual([id]);
});

it('has one question open while nothing happens, and hears at once when something does', async () => {
  await begin();
  await vi.advanceTimersByTimeAsync(READ_AGAIN_MS);
  const before = lists().length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(lists().length - before).toBeLessThanOrEqual(3);
  desk.raise({ text: 'High water', severity: 'high' });
  await vi.advanceTimersByTimeAsync(1);
  expect(alarms.list.map(({ text }) => text)).toEqual(['High water']);
});

it('puts the gravest first of all pages, which the gateway does of each', async () => {
  const grave = desk.raise({ text: 'Grave', severity: 'high' });
  for (let n = 0; n < 1_001; n++) desk.raise({ text: `Low ${n}`, severity: 'low' });
  await begin();
  expect(lists()).toHaveLength(2);
  expect(alarms.list).toHaveLength(1_002);
  expect(alarms.list[0]?.id).toBe(grave);
});

it('keeps no more than it can show, and says so', async () => {
  fillStorm(desk, NOW, ALARMS_KEPT_MAX + 150);
  await begin();
  await vi.advanceTimersByTimeAsync(1);
  expect(alarms.list).toHaveLength(ALARMS_KEPT_MAX);
  expect(alarms.isCut).toBe(true);
});

it('tries again when the gateway cannot be reached, and says since when it does not know', async () => {
  desk.raise({ text: 'One' });
  await begin();
  desk.isGone = true;
  desk.raise({ text: 'Two' });
  await vi.advanceTimersByTimeAsync(READ_AGAIN_MS);
  expect(alarms.knownUntil).toBeGreaterThanOrEqual(NOW);
  expect(alarms.list).toHaveLength(1);
  desk.isGone = false;
  await vi.advanceTimersByTimeAsync(TRY_AGAIN_MS);
  expect(alarms.knownUntil).toBeNull();
  expect(alarms.list).toHaveLength(2);
});

it('asks seldom where there is nothing for this account, and shows what it may see by then', async () => {
  desk.raise({ text: 'One' });
  host.answer = null;
  await begin();
  expect(alarms.available).toBe(false);
  host.answer = desk.answer;
  await vi.advanceTimersByTimeAsync(WHO_AGAIN_MS - 1_000);
  expect(desk.asked).toEqual([]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(alarms.available).toBe(true);
  expect(alarms.list).toHaveLength(1);
});

it('ends its question when it is ended, and forgets', async () => {
  desk.raise({ text: 'One' });
  await begin();
  end();
  const before = desk.asked.length;
  desk.raise({ text: 'Two' });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(desk.asked.length).toBe(before);
  expect(alarms.list).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

it('goes by the gateway’s clock', async () => {
  desk = new FakeAlarms(() => Date.now() + 3_600_000);
  host.answer = desk.answer;
  await begin();
  expect(alarms.now - Date.now()).toBe(3_600_000);
});

it('takes null for left out', () => {
  expect(lean({ a: null, b: [{ c: null, d: 0 }, null], e: '' })).toEqual({ b: [{ d: 0 }, null], e: '' });
});

it('marks what was kept as asked for until the gateway has taken it, but no comment', async () => {
  const [one, two] = [desk.raise({ text: 'One' }), desk.raise({ text: 'Two' })];
  await begin();
  desk.isAway = true;
  expect((await alarms.acknowledge([one])).isKept).toBe(true);
  await alarms.comment([two], 'seen');
  expect([alarms.isAsked(one), alarms.isAsked(two)]).toEqual([true, false]);
  desk.back();
  await vi.advanceTimersByTimeAsync(READ_AGAIN_MS);
  expect([alarms.isAsked(one), alarms.alarm(one)?.state]).toEqual([false, 'acknowledged']);
});

it.each([
  ['expected 1 to 64 bytes on one line as name', 'name', 'expected 1 to 64 bytes on one line'],
  ['expected a value that is not above the limit as condition.clear', 'condition.clear', 'expected a value that is not above the limit'],
  ['rota.name: expected each name once', 'rota.name', 'expected each name once'],
  ['a plan names this contact', undefined, undefined],
])('finds the field that a refusal is about: %s', (detail, field, expected) => {
  expect([faultField(detail)?.field, faultField(detail)?.expected]).toEqual([field, expected]);
});
