// A plan as its form holds it, and what the API takes. Steps name turns by a key, so that a turn may be given another name.

import type { HeardFrom, Medium, Plan, Rung, Severity, Turn } from '../../lib/alarm/types';
import { durationWritten, parseDuration } from '../../lib/alarm/written';
import { addDays, dayOf, isZone, minuteText, momentOf, ownZone, parseMinute, wallAt } from '../../lib/alarm/zone';
import { texts } from '../../lib/texts';
import type { Faults } from './saver.svelte';

export interface TurnDraft {
  key: number;
  name: string;
  people: number[];
  shiftDays: string;
  day: number;
  time: string;
  /** The date of the first hand-over to the first of the people. */
  starts: string;
}

export interface RungDraft {
  key: number;
  /** `turn KEY` or `contact ID`. */
  whom: string;
  medium: Medium;
  from: Severity;
  wait: string;
  attempts: string;
  pause: string;
}

export interface PlanDraft {
  zone: string;
  again: string;
  heardFrom: HeardFrom;
  turns: TurnDraft[];
  rungs: RungDraft[];
  overrides: Plan['overrides'];
  /** By key, what a turn was called when the draft was made: exceptions name it so. */
  names: Record<number, string>;
}

/** The fields that the form shows, by the API's names; those of turns and steps also with their place. */
export const PLAN_FIELDS = ['zone', 'again_s', 'rota', 'chain', 'overrides'] as const;
export const TURNS_MAX = 8;
export const RUNGS_MAX = 32;
export const PEOPLE_MAX = 32;

const WAIT_S_MAX = 24 * 60 * 60;
const NAME_BYTES_MAX = 64;
let lastKey = 0;

export function newKey(): number {
  lastKey += 1;
  return lastKey;
}

export function newTurn(zone: string, now: number, name: string): TurnDraft {
  const { date } = wallAt(isZone(zone) ? zone : 'UTC', now);
  return { key: newKey(), name, people: [], shiftDays: '7', day: 1, time: '09:00', starts: addDays(date, 1 - dayOf(date)) };
}

export function newRung(whom: string): RungDraft {
  return { key: newKey(), whom, medium: 'call', from: 'low', wait: durationWritten(300), attempts: '2', pause: durationWritten(60) };
}

/** The last hand-over on or before a moment: the first of the people had the turn from there. */
function firstHandOver(turn: Turn, zone: string): string {
  let { date } = wallAt(zone, turn.starts_ms);
  while (dayOf(date) !== turn.hand_over.day || momentOf(zone, date, turn.hand_over.minute) > turn.starts_ms) date = addDays(date, -1);
  return date;
}

export function draftOfPlan(plan: Plan | null): PlanDraft {
  if (plan === null) return { zone: ownZone(), again: durationWritten(900), heardFrom: 'high', turns: [], rungs: [], overrides: [], names: {} };
  const turns = plan.rota.map((turn) => ({
    key: newKey(),
    name: turn.name,
    people: [...turn.people],
    shiftDays: String(turn.shift_days),
    day: turn.hand_over.day,
    time: minuteText(turn.hand_over.minute),
    starts: firstHandOver(turn, plan.zone),
  }));
  const keyOf = (name: string) => turns.find((turn) => turn.name === name)?.key ?? 0;
  return {
    zone: plan.zone,
    again: durationWritten(plan.again_s),
    heardFrom: plan.heard_from,
    turns,
    rungs: plan.chain.map((rung) => ({
      key: newKey(),
      whom: 'contact' in rung.whom ? `contact ${rung.whom.contact}` : `turn ${keyOf(rung.whom.on_call)}`,
      medium: rung.medium,
      from: rung.from,
      wait: durationWritten(rung.wait_s),
      attempts: String(rung.attempts),
      pause: durationWritten(rung.pause_s),
    })),
    overrides: plan.overrides,
    names: Object.fromEntries(turns.map(({ key, name }) => [key, name])),
  };
}

/** What is to be saved, or what is wrong: faults of turns and steps go by `rota KEY field` and `chain KEY field`. */
export function planOfDraft(draft: PlanDraft): { plan: Plan } | { faults: Faults } {
  const words = texts.plans;
  const faults: Record<string, string> = {};
  const zone = draft.zone.trim();
  if (!isZone(zone)) faults['zone'] = words.contacts.form.zoneBad;
  const duration = (field: string, text: string, low: number): number => {
    const seconds = parseDuration(text);
    if (seconds === null || seconds < low) faults[field] = words.durationBad;
    else if (seconds > WAIT_S_MAX) faults[field] = words.durationAtMost(durationWritten(WAIT_S_MAX));
    return seconds ?? 0;
  };
  const whole = (field: string, text: string, low: number, high: number): number => {
    const number = /^\d{1,6}$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (!(number >= low && number <= high)) faults[field] = words.numberBad(low, high);
    return number;
  };
  const again_s = duration('again_s', draft.again, 60);
  const rota: Turn[] = draft.turns.map((turn) => {
    const name = turn.name.trim();
    const at = (field: string) => `rota ${turn.key} ${field}`;
    if (name === '' || new TextEncoder().encode(name).length > NAME_BYTES_MAX) faults[at('name')] = words.contacts.form.nameBad;
    else if (draft.turns.some((other) => other.key < turn.key && other.name.trim() === name)) faults[at('name')] = words.plan.nameTwice;
    if (turn.people.length === 0) faults[at('people')] = words.plan.nobody;
    const shift_days = whole(at('shift_days'), turn.shiftDays, 1, 366);
    const minute = parseMinute(turn.time);
    if (minute === null) faults[at('hand_over')] = words.timeBad;
    const isDate = /^\d{4}-\d\d-\d\d$/.test(turn.starts) && !Number.isNaN(Date.parse(turn.starts));
    if (!isDate) faults[at('starts_ms')] = words.dateBad;
    const starts_ms = isDate && minute !== null && isZone(zone) ? momentOf(zone, turn.starts, minute) : 0;
    return { name, people: [...turn.people], shift_days, hand_over: { day: turn.day, minute: minute ?? 0 }, starts_ms };
  });
  const nameOf = new Map(draft.turns.map((turn) => [turn.key, turn.name.trim()]));
  const chain: Rung[] = draft.rungs.map((rung) => {
    const at = (field: string) => `chain ${rung.key} ${field}`;
    const [kind, id = ''] = rung.whom.split(' ');
    const turn = kind === 'turn' ? nameOf.get(Number(id)) : undefined;
    if (kind !== 'contact' && turn === undefined) faults[at('whom')] = words.plan.whomBad;
    const attempts = whole(at('attempts'), rung.attempts, 1, 10);
    return {
      whom: turn === undefined ? { contact: Number(id) } : { on_call: turn },
      medium: rung.medium,
      from: rung.from,
      wait_s: duration(at('wait_s'), rung.wait, 0),
      attempts,
      // Where there is one attempt there is nothing between.
      pause_s: attempts === 1 && parseDuration(rung.pause) === null ? 60 : duration(at('pause_s'), rung.pause, 0),
    };
  });
  if (Object.keys(faults).length > 0) return { faults };
  const renamed = new Map(Object.entries(draft.names).map(([key, name]) => [name, nameOf.get(Number(key))]));
  // Exceptions go with their turn, also when it goes.
  const overrides = draft.overrides.flatMap((exception) => {
    const turn = renamed.get(exception.turn);
    return turn === undefined ? [] : [{ ...exception, turn }];
  });
  return { plan: { chain, again_s, heard_from: draft.heardFrom, zone, rota, overrides } };
}

/** The list with one of it a place earlier (-1) or later (1); the same list where there is no such place. */
export function moved<T>(list: readonly T[], from: number, by: -1 | 1): readonly T[] {
  const to = from + by;
  const [one, other] = [list[from], list[to]];
  if (one === undefined || other === undefined) return list;
  return list.with(from, other).with(to, one);
}
