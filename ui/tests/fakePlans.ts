// What the fake gateway makes of plans: who is on call, and what is wrong with what somebody wrote. By the same rules as the
// gateway: days are those of the calendar, and the exception that was written last counts.

import { addDays, dayOf, daysBetween, isZone, momentOf, wallAt } from '../src/lib/alarm/zone';
import type { Contact, Plan, Rule, Shift, Turn, Weekly } from '../src/lib/alarm/types';

/** What cannot be taken, and what was expected. */
export class Invalid extends Error {
  constructor(
    readonly field: string,
    readonly expected: string,
  ) {
    super(`${field}: expected ${expected}`);
  }
}

function need(isGood: boolean, field: string, expected: string): void {
  if (!isGood) throw new Invalid(field, expected);
}

const bytes = (text: string): number => new TextEncoder().encode(text).length;
const isName = (name: string): boolean => name !== '' && bytes(name) <= 64 && name.trim() === name && !/\p{Cc}/u.test(name);
const isWithin = (value: number, low: number, high: number): boolean => Number.isInteger(value) && value >= low && value <= high;
const isWeekly = (weekly: Weekly): boolean => isWithin(weekly.day, 1, 7) && isWithin(weekly.minute, 0, 1_439);
const NAME = '1 to 64 bytes on one line, without white space around them';
const ZONE = 'a time zone such as Europe/Berlin, which this machine knows';

export function checkContact(contact: Contact): void {
  need(isName(contact.name), 'name', NAME);
  need(isZone(contact.zone), 'zone', ZONE);
  for (const field of ['telephone', 'sms'] as const) {
    const number = contact[field];
    need(number === undefined || /^\+?[\d ()/.-]{2,30}$/.test(number), field, 'a telephone number (digits, with + before the country)');
  }
  need(contact.email === undefined || /^[^\s@]+@[^\s@]+$/.test(contact.email), 'email', 'an e-mail address, such as li@example.org');
  need(contact.push_topic === undefined || /^[\w-]{1,64}$/.test(contact.push_topic), 'push_topic', '1 to 64 letters, digits, _ and -');
  need(contact.webhook_url === undefined || /^https?:\/\/\S+$/.test(contact.webhook_url), 'webhook_url', 'an http or https URL of at most 1,024 bytes');
  need(contact.quiet.length <= 14, 'quiet', 'at most 14 spans');
  for (const { days, from_minute, to_minute } of contact.quiet) {
    need(days.length > 0 && days.every((day) => isWithin(day, 1, 7)) && isWithin(from_minute, 0, 1_439) && isWithin(to_minute, 0, 1_439), 'quiet', 'days 1 to 7 and minutes 0 to 1439');
  }
  need(isWithin(contact.calls_per_hour_max, 1, 60), 'calls_per_hour_max', '1 to 60');
  need(contact.weekly_test === undefined || isWeekly(contact.weekly_test), 'weekly_test', 'day 1 to 7 and minute 0 to 1439');
  need(contact.account === undefined || isName(contact.account), 'account', NAME);
}

export function checkRule(rule: Rule): void {
  const { condition, scope } = rule;
  need(isName(rule.name), 'name', NAME);
  need(rule.text.trim() !== '' && bytes(rule.text) <= 200 && !/\p{Cc}/u.test(rule.text), 'text', '1 to 200 bytes on one line');
  if (scope !== 'everywhere' && 'controllers' in scope) need(isWithin(scope.controllers.length, 1, 1_000), 'scope', '1 to 1000 controllers');
  if (scope !== 'everywhere' && 'tag' in scope) need(isName(scope.tag), 'scope', NAME);
  if ('point' in condition) need(/^[A-Za-z_]\w{0,30}$/.test(condition.point), 'condition.point', 'a point’s name');
  if (condition.kind === 'above') need(condition.clear <= condition.limit, 'condition.clear', 'a value that is not above the limit');
  if (condition.kind === 'below') need(condition.clear >= condition.limit, 'condition.clear', 'a value that is not below the limit');
  if (condition.kind === 'rises' || condition.kind === 'falls') {
    need(condition.by > 0, 'condition.by', 'a positive change');
    need(isWithin(condition.within_s, 1, 3_600), 'condition.within_s', '1 to 3600 seconds');
  }
  if (condition.kind === 'silent') need(rule.for_s >= 5, 'for_s', 'at least 5 seconds for a silence');
  need(isWithin(rule.for_s, 0, 86_400), 'for_s', 'at most 86400 seconds');
  need(isWithin(rule.over_for_s, 0, 86_400), 'over_for_s', 'at most 86400 seconds');
}

export function checkPlan(plan: Plan, isKnown: (contact: number) => boolean): void {
  const known = (field: string, contact: number) => need(isKnown(contact), field, `contacts that there are (not ${contact})`);
  const isTurn = (name: string) => plan.rota.some((turn) => turn.name === name);
  need(isZone(plan.zone), 'zone', ZONE);
  need(plan.chain.length <= 32, 'chain', 'at most 32 rungs');
  need(isWithin(plan.again_s, 60, 86_400), 'again_s', '60 to 86400 seconds');
  need(plan.rota.length <= 8, 'rota', 'at most 8 turns');
  for (const [place, turn] of plan.rota.entries()) {
    need(isName(turn.name), 'rota.name', NAME);
    need(plan.rota.findIndex(({ name }) => name === turn.name) === place, 'rota.name', 'each name once');
    need(isWithin(turn.people.length, 1, 32), 'rota.people', '1 to 32 contacts');
    for (const contact of turn.people) known('rota.people', contact);
    need(isWithin(turn.shift_days, 1, 366), 'rota.shift_days', '1 to 366');
    need(isWeekly(turn.hand_over), 'rota.hand_over', 'day 1 to 7 and minute 0 to 1439');
  }
  for (const rung of plan.chain) {
    if ('on_call' in rung.whom) need(isTurn(rung.whom.on_call), 'chain.whom', 'a turn of the rota, by its name');
    else known('chain.whom', rung.whom.contact);
    need(isWithin(rung.wait_s, 0, 86_400) && isWithin(rung.pause_s, 0, 86_400), 'chain.wait_s', 'at most 86400 seconds');
    need(isWithin(rung.attempts, 1, 10), 'chain.attempts', '1 to 10');
  }
  need(plan.overrides.length <= 256, 'overrides', 'at most 256');
  for (const exception of plan.overrides) {
    need(isTurn(exception.turn), 'overrides.turn', 'a turn of the rota, by its name');
    known('overrides.contact', exception.contact);
    need(exception.from_ms < exception.until_ms, 'overrides.until_ms', 'a time after from_ms');
  }
}

/** Whose shift a moment is in, and when that ends. */
function shiftOf(turn: Turn, zone: string, now: number): { contact: number; until: number } {
  const { minute, day } = turn.hand_over;
  // The hand-over at or before the start of it all.
  let first = wallAt(zone, turn.starts_ms).date;
  while (dayOf(first) !== day || momentOf(zone, first, minute) > turn.starts_ms) first = addDays(first, -1);
  const begin = (shift: number) => momentOf(zone, addDays(first, shift * turn.shift_days), minute);
  let shift = Math.floor(daysBetween(first, wallAt(zone, now).date) / turn.shift_days);
  if (now < begin(shift)) shift -= 1;
  const place = ((shift % turn.people.length) + turn.people.length) % turn.people.length;
  return { contact: turn.people[place] ?? 0, until: begin(shift + 1) };
}

export function onCall(plan: Plan, turn: Turn, now: number): { contact: number; until: number; isOverride: boolean } {
  const exceptions = plan.overrides.filter((each) => each.turn === turn.name);
  const counts = exceptions.findLast(({ from_ms, until_ms }) => from_ms <= now && now < until_ms);
  if (counts !== undefined) {
    // A later one that begins within it counts from there.
    const next = exceptions.slice(exceptions.indexOf(counts) + 1).map(({ from_ms }) => from_ms).filter((at) => at > now);
    return { contact: counts.contact, until: Math.min(counts.until_ms, ...next), isOverride: true };
  }
  const { contact, until } = shiftOf(turn, plan.zone, now);
  return { contact, until: Math.min(until, ...exceptions.map(({ from_ms }) => from_ms).filter((at) => at > now)), isOverride: false };
}

export function calendar(plan: Plan, from: number, until: number, nameOf: (contact: number) => string): Shift[] {
  return plan.rota.flatMap((turn) => {
    const shifts: Shift[] = [];
    for (let at = from; at < until && shifts.length < 1_000; ) {
      const now = onCall(plan, turn, at);
      shifts.push({ turn: turn.name, contact: now.contact, contact_name: nameOf(now.contact), from_ms: at, until_ms: Math.min(now.until, until), is_override: now.isOverride });
      at = now.until;
    }
    return shifts;
  });
}
