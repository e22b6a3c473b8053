// How alarms rank and stand, and what may be done about them. Pure.

import { SEVERITIES, type AlarmView, type Severity, type Who } from './types';

const ROLES: Readonly<Record<string, number>> = { viewer: 1, operator: 2, technician: 3, admin: 4 };

/** 0 is the gravest. */
export function rank(severity: Severity): number {
  const place = SEVERITIES.indexOf(severity);
  return place < 0 ? SEVERITIES.length : place;
}

/** The gravest first, of those the youngest. */
export function byGravity(one: AlarmView, other: AlarmView): number {
  return rank(one.severity) - rank(other.severity) || other.since_ms - one.since_ms || other.id - one.id;
}

/** Whether somebody still has to say that they heard. */
export function isUnacknowledged({ state }: AlarmView): boolean {
  return state === 'raised' || state === 'notified' || state === 'returned';
}

/** Whether shelving it would do anything: it is so, and nobody has heard of it yet. */
export function isShelvable({ state }: AlarmView): boolean {
  return state === 'raised' || state === 'notified';
}

/** An account's role at a site, or for what belongs to none; 0 is none. */
export function roleAt(who: Who | null, site: number | undefined): number {
  if (who === null) return 0;
  const everywhere = ROLES[who.rights.everywhere ?? ''] ?? 0;
  const there = who.rights.sites.find((each) => each.site === site);
  return Math.max(everywhere, ROLES[there?.role ?? ''] ?? 0);
}

/** One row of the list: an alarm with those of its parts that are on view. */
export interface Family {
  alarm: AlarmView;
  parts: readonly AlarmView[];
}

/** Puts parts under the alarm that they belong to, where that is on view itself; the order stays. */
export function families(alarms: readonly AlarmView[]): Family[] {
  const heads = new Set(alarms.map(({ id }) => id));
  const parts = new Map<number, AlarmView[]>();
  const rows: AlarmView[] = [];
  for (const alarm of alarms) {
    if (alarm.part_of === undefined || !heads.has(alarm.part_of) || alarm.part_of === alarm.id) rows.push(alarm);
    else {
      const siblings = parts.get(alarm.part_of);
      if (siblings === undefined) parts.set(alarm.part_of, [alarm]);
      else siblings.push(alarm);
    }
  }
  return rows.map((alarm) => ({ alarm, parts: parts.get(alarm.id) ?? [] }));
}

/**
 * The order to show: that of `wanted`, unless somebody is at work in the list. Then what is there keeps its place, also when
 * it is over by now, and what is new waits at the edge.
 */
export function heldOrder(shown: readonly number[], wanted: readonly number[], isHeld: boolean): { order: readonly number[]; waiting: readonly number[] } {
  if (!isHeld || shown.length === 0) return { order: wanted, waiting: [] };
  const known = new Set(shown);
  return { order: shown, waiting: wanted.filter((id) => !known.has(id)) };
}
