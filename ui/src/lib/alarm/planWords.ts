// Plans in words and in the shapes that the calendar and the sheet draw. Pure.

import { texts } from '../texts';
import type { Plan, Rung, Shift, Turn } from './types';
import { durationWritten } from './written';
import { addDays, dayOf, minuteText, momentOf, wallAt } from './zone';

export type NameOf = (contact: number) => string;

/** Whom a step of the chain means. */
export function whomWritten(rung: Rung, nameOf: NameOf): string {
  return 'on_call' in rung.whom ? texts.plans.onCall.onCallTurn(rung.whom.on_call) : nameOf(rung.whom.contact);
}

/** A step of the chain, in a line. */
export function rungWritten(rung: Rung, nameOf: NameOf): string {
  const words = texts.plans.onCall;
  const from = rung.from === 'low' ? '' : words.rungFrom(texts.alarms.from[rung.from]);
  const attempts = rung.attempts === 1 ? '' : words.rungAttempts(rung.attempts, durationWritten(rung.pause_s));
  const wait = rung.wait_s === 0 ? words.rungOn : words.rungWait(durationWritten(rung.wait_s));
  return words.rung(whomWritten(rung, nameOf), texts.alarms.media[rung.medium], from, attempts, wait);
}

/** Who takes a turn, for how long, and when it is handed over. */
export function turnWritten(turn: Turn, nameOf: NameOf): string {
  const { day, minute } = turn.hand_over;
  return texts.plans.onCall.turn(turn.people.map(nameOf).join(texts.plans.comma), turn.shift_days, texts.plans.days[day - 1] ?? '', minuteText(minute));
}

/** Everybody whom a plan names or whose shift comes, each once, in the order in which they come. */
export function peopleOf(plan: Plan, shifts: readonly Shift[]): number[] {
  const rungs = plan.chain.flatMap(({ whom }) => ('contact' in whom ? [whom.contact] : []));
  return [...new Set([...shifts.toSorted((one, other) => one.from_ms - other.from_ms).map(({ contact }) => contact), ...rungs])];
}

/** A shift as far as it lies within a week, in hundredths of it. */
export interface Bar {
  shift: Shift;
  left: number;
  width: number;
}

export interface Week {
  /** Its Monday. */
  date: string;
  from: number;
  until: number;
  /** By turn, in the order of the rota. */
  tracks: { turn: string; bars: Bar[] }[];
}

/** The Monday of the week that a moment is in. */
export function mondayOf(zone: string, at: number): string {
  const { date } = wallAt(zone, at);
  return addDays(date, 1 - dayOf(date));
}

export function weekBegin(zone: string, monday: string, weeks: number): number {
  return momentOf(zone, addDays(monday, 7 * weeks), 0);
}

export function weeks(shifts: readonly Shift[], turns: readonly string[], zone: string, monday: string, count: number): Week[] {
  return Array.from({ length: count }, (_, n) => {
    const [from, until] = [weekBegin(zone, monday, n), weekBegin(zone, monday, n + 1)];
    const share = (at: number) => (100 * (Math.min(Math.max(at, from), until) - from)) / (until - from);
    const tracks = turns.map((turn) => ({
      turn,
      bars: shifts
        .filter((shift) => shift.turn === turn && shift.from_ms < until && shift.until_ms > from)
        .map((shift) => ({ shift, left: share(shift.from_ms), width: share(shift.until_ms) - share(shift.from_ms) })),
    }));
    return { date: addDays(monday, 7 * n), from, until, tracks };
  });
}

/** A line of the sheet: from when, and who has each turn from then. */
export interface SheetLine {
  from: number;
  who: (Shift | null)[];
  /** Whether each of them is another one than the line before. */
  isNew: boolean[];
}

/** The shifts of all turns side by side: a new line wherever one of them is handed over. */
export function sheetLines(shifts: readonly Shift[], turns: readonly string[]): SheetLine[] {
  const moments = [...new Set(shifts.map(({ from_ms }) => from_ms))].sort((a, b) => a - b);
  let before: (Shift | null)[] = turns.map(() => null);
  return moments.map((from) => {
    const who = turns.map((turn) => shifts.find((shift) => shift.turn === turn && shift.from_ms <= from && from < shift.until_ms) ?? null);
    const isNew = who.map((shift, place) => shift !== before[place]);
    before = who;
    return { from, who, isNew };
  });
}
