// Values, durations and conditions as people write them, and back. Pure.

import { formatThousandths, parseThousandths, texts } from '../texts';
import type { Condition, Scope } from './types';

/** What is known of a point: null where no controller that has it is known here. */
export type PointSort = 'digital' | 'analogue' | null;

/** Controllers and their points, as much as is asked of them. */
export type Yardful = Iterable<{ address: number; points: readonly { name: string; type: number }[] }>;

/** What a point of that name is, on the controllers of a scope as far as they are known; what they do not agree on is not known. */
export function pointSort(controllers: Yardful, scope: Scope, name: string): PointSort {
  const named = scope !== 'everywhere' && 'controllers' in scope ? new Set(scope.controllers) : null;
  let found: PointSort = null;
  for (const { address, points } of controllers) {
    if (named !== null && !named.has(address)) continue;
    const point = points.find((each) => each.name === name);
    if (point === undefined) continue;
    // Types 0 and 1 are the digital ones.
    const sort = point.type <= 1 ? 'digital' : 'analogue';
    if (found !== null && found !== sort) return null;
    found = sort;
  }
  return found;
}

/** `on`, `off` or the number that a value on the wire is. What nothing is known of is taken for digital where it looks so. */
export function valueWritten(value: number, sort: PointSort, mayBeDigital: boolean): string {
  const isDigital = sort === 'digital' || (sort === null && mayBeDigital && (value === 0 || value === 1));
  if (!isDigital) return formatThousandths(value);
  return value === 0 ? texts.state.off : texts.state.on;
}

/** A value as it is on the wire; null where it cannot be one of such a point. */
export function parseValue(text: string, sort: PointSort): number | null {
  const word = text.trim().toLocaleLowerCase();
  if (sort !== 'analogue') {
    if (word === 'on' || word === texts.state.on.toLocaleLowerCase()) return 1;
    if (word === 'off' || word === texts.state.off.toLocaleLowerCase()) return 0;
    if (sort === 'digital') return word === '1' ? 1 : word === '0' ? 0 : null;
  }
  return parseThousandths(text);
}

const UNITS_S: Readonly<Record<string, number>> = { s: 1, sec: 1, 秒: 1, m: 60, min: 60, 分: 60, 分钟: 60, h: 3_600, 时: 3_600, 小时: 3_600, d: 86_400, 天: 86_400 };

/** `10 s`, `5 min`: in the largest unit in which it is whole. */
export function durationWritten(seconds: number): string {
  const words = texts.plans.duration;
  if (seconds !== 0 && seconds % 3_600 === 0) return words.hours(seconds / 3_600);
  if (seconds !== 0 && seconds % 60 === 0) return words.minutes(seconds / 60);
  return words.seconds(seconds);
}

/** What `durationWritten` writes, read back in whole seconds; a bare number is of seconds. Null where it is no duration. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,9}(?:[.,]\d{1,3})?)\s*(\p{L}*)$/u.exec(text.trim().toLowerCase());
  const amount = parseThousandths(match?.[1] ?? '');
  const unit = match?.[2] === '' ? 1 : UNITS_S[match?.[2] ?? ''];
  if (amount === null || unit === undefined) return null;
  const seconds = (amount * unit) / 1_000;
  return Number.isInteger(seconds) ? seconds : null;
}

/** When a rule is so, and for how long it has to be, in one line. */
export function conditionWritten(condition: Condition, sort: PointSort, forS = 0): string {
  const words = texts.plans.rules.when;
  const held = forS === 0 ? '' : ` ${texts.plans.rules.for(durationWritten(forS))}`;
  switch (condition.kind) {
    case 'above':
    case 'below':
      return words[condition.kind](condition.point, valueWritten(condition.limit, sort, false), valueWritten(condition.clear, sort, false), held);
    case 'is':
      return words.is(condition.point, valueWritten(condition.value, sort, true)) + held;
    case 'rises':
    case 'falls':
      return words[condition.kind](condition.point, formatThousandths(condition.by), durationWritten(condition.within_s)) + held;
    case 'bad':
      return words.bad(condition.point) + held;
    case 'silent':
      return words.silent + held;
  }
}

export function scopeWritten(scope: Scope, siteName: (site: number) => string): string {
  const words = texts.plans.rules.scope;
  if (scope === 'everywhere') return words.everywhere;
  if ('site' in scope) return words.site(siteName(scope.site));
  if ('tag' in scope) return words.tag(scope.tag);
  return words.controllers(scope.controllers.join(', '));
}
