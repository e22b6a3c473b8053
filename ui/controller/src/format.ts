// Values, times and causes as people read and write them.

import type { Argument, Cause, Point, PointType, ValueType } from './types';

const UNITS: readonly [string, number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

/** 1500 thousandths are 1.5. */
export function thousandths(value: number): string {
  const whole = Math.trunc(Math.abs(value) / 1000);
  const rest = String(Math.abs(value) % 1000).padStart(3, '0').replace(/0+$/, '');
  return `${value < 0 ? '−' : ''}${whole}${rest === '' ? '' : `.${rest}`}`;
}

/** As a script writes it: 90,000 ms are 1.5m. */
export function time(ms: number): string {
  if (ms === 0) return '0s';
  // The largest unit of which it is so many quarters.
  const [unit, size] = UNITS.find(([, length]) => Math.abs(ms) >= length && ms % (length / 4) === 0) ?? ['ms', 1];
  return `${ms / size}${unit}`.replace('-', '−');
}

/** With a minus that is as wide as a digit. */
export const signed = (value: number): string => String(value).replace('-', '−');

/** How long, in words that do not dance: 14 s, 9 min, 3 h, 2 d. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Remaining time, exact enough to wait for: 9:05. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

export function bytes(count: number): string {
  return count < 1024 ? `${count} B` : `${(count / 1024).toFixed(1)} KB`;
}

export function valueText(type: ValueType, value: number): string {
  switch (type) {
    case 'bool':
      return value === 0 ? 'off' : 'ON';
    case 'num':
      return thousandths(value);
    case 'time':
      return time(value);
    case 'int':
      return signed(value);
  }
}

export const isInput = (type: PointType): boolean => type.endsWith('input');
export const isDigital = (type: PointType): boolean => type.startsWith('digital');
export const typeOf = (point: Pick<Point, 'type'>): ValueType => (isDigital(point.type) ? 'bool' : 'num');

/** What somebody wrote, as the controller counts it; null: it is no such value. */
export function parseValue(type: ValueType, text: string): number | null {
  const plain = text.trim().replace('−', '-').replace(',', '.').toLowerCase();
  switch (type) {
    case 'bool':
      return ['on', 'true', '1'].includes(plain) ? 1 : ['off', 'false', '0'].includes(plain) ? 0 : null;
    case 'int':
      return /^-?\d{1,10}$/.test(plain) ? Number(plain) : null;
    case 'num':
      return /^-?\d{1,7}(\.\d{1,3})?$/.test(plain) ? Math.round(Number(plain) * 1000) : null;
    case 'time': {
      const match = /^(\d{1,10}(?:\.\d+)?)\s*(ms|s|m|min|h|d)$/.exec(plain);
      if (match === null) return null;
      const size = UNITS.find(([unit]) => unit === (match[2] === 'min' ? 'm' : match[2]))?.[1] ?? 1;
      const ms = Number(match[1]) * size;
      return Number.isInteger(ms) ? ms : null;
    }
  }
}

export function rangeText(of: Pick<Argument, 'type' | 'min' | 'max'>): string {
  if (of.type === 'bool') return 'on or off';
  const limits = { int: 2_147_483_647, num: 2_147_483_647, time: 24 * 86_400_000 }[of.type];
  if (of.min <= -limits && of.max >= limits) return '';
  return `${valueText(of.type, of.min)} to ${valueText(of.type, of.max)}`;
}

/** The script's line that a cause names. */
export const lineOf = (cause: Cause): number | undefined => (['script', 'schedule', 'timer'].includes(cause.kind) ? cause.reference : undefined);

/** Why a point has its value; `own` is this controller's number, by which its page commands. */
export function causeText(cause: Cause, own: number | undefined): string {
  const line = lineOf(cause) === undefined ? '' : `, line ${cause.reference}`;
  switch (cause.kind) {
    case 'script':
      return line === '' ? 'the script' : line.slice(2);
    case 'schedule':
      return `schedule${line}`;
    case 'timer':
      return `timer${line}`;
    case 'command':
      return cause.by === undefined || cause.by === own ? 'from here' : `from No. ${cause.by}`;
    case 'boot':
      return 'at start';
    case 'link_loss':
      return 'link lost';
    case 'force':
      return 'force'; // its begin, or its end
    case 'safe':
      return 'safe value';
    case 'input':
      return '';
    default:
      return cause.kind;
  }
}

/** A moment, by its clock if it was known, else by the start that it came after: the last one, or one before. */
export function moment(entry: { time_ms: number; uptime_ms: number }, now: Date, isLastStart: boolean): string {
  if (entry.time_ms === 0) return `${span(entry.uptime_ms)} after ${isLastStart ? '' : 'an earlier '}start`;
  const at = new Date(entry.time_ms);
  const clock = at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
  const day = at.toDateString() === now.toDateString() ? '' : `${at.toLocaleDateString(undefined, { day: 'numeric', month: 'short' })} `;
  return day + clock;
}

const REASONS: Readonly<Record<string, string>> = {
  refused_by_script: 'the script refused it',
  out_of_range: 'out of range',
  not_manual: 'driven by the script',
  not_confirmed: 'the feedback did not follow',
  expired: 'too late',
  busy: 'too many at once',
};

/** How a command ended, for the place beside its button; `refusal`: the script's own words for why it refuses that one. */
export function receiptText(stage: string, reason: string, refusal?: string): string {
  const why = reason === 'ok' ? '' : `: ${(reason === 'refused_by_script' ? refusal : undefined) ?? REASONS[reason] ?? reason}`;
  switch (stage) {
    case 'executed':
      return 'done';
    case 'delivered':
      return 'asked, not yet executed';
    default:
      return stage + why;
  }
}

/** Where a line and column (bytes, from 1) lie in a text, and how many characters the bytes are. */
export function place(text: string, line: number, column: number, length: number): { at: number; to: number } {
  let at = 0;
  for (let left = line - 1; left > 0; left--) {
    const end = text.indexOf('\n', at);
    if (end < 0) return { at: text.length, to: text.length };
    at = end + 1;
  }
  const end = text.indexOf('\n', at);
  const words = text.slice(at, end < 0 ? undefined : end);
  const from = charactersOf(words, column - 1);
  return { at: at + from, to: at + from + charactersOf(words.slice(from), length) };
}

function charactersOf(text: string, count: number): number {
  const encoder = new TextEncoder();
  let used = 0;
  let at = 0;
  for (const character of text) {
    if (used >= count) break;
    used += encoder.encode(character).length;
    at += character.length;
  }
  return at;
}
