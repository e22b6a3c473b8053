// Which catalogue speaks, and the shapes of times and numbers in it.

import type { Language } from '../host/types';
import { en, type Texts } from './en';
import { zh } from './zh';

/**
 * The language to speak. WebKitGTK under `LANG=C.UTF-8` says "C", for which `Intl` throws; so what `Intl` does not
 * take becomes English.
 */
export function soundLanguage(wanted: string | undefined): string {
  try {
    return wanted === undefined || wanted === '' ? 'en' : (Intl.getCanonicalLocales(wanted)[0] ?? 'en');
  } catch {
    return 'en';
  }
}

export const locale = soundLanguage(globalThis.navigator?.language);
export const language: Language = locale.startsWith('zh') ? 'zh' : 'en';
export const texts: Texts = language === 'zh' ? zh : en;

const timeOfDay = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const timeWithSeconds = new Intl.DateTimeFormat(locale, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const dayAndTime = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const fullTime = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'long' });

const DAY_MS = 24 * 3600 * 1000;

/** `14:02`, with the day before it where that is not within the last 24 hours. */
export function formatTime(at: number, now: number): string {
  return Math.abs(now - at) < DAY_MS ? timeOfDay.format(at) : dayAndTime.format(at);
}

export function formatSeconds(at: number): string {
  return timeWithSeconds.format(at);
}

/** For hover and focus: the whole of it, with its zone. */
export function formatFull(at: number): string {
  return fullTime.format(at);
}

const days = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', timeZone: 'UTC' });

/** A date such as `2026-11-30`, as `30 Nov`. */
export function formatDay(date: string): string {
  return days.format(Date.parse(`${date}T00:00:00Z`));
}

const walls = new Map<string, Intl.DateTimeFormat>();

/** A moment by the clock on the wall in a zone: `Mon 30 Nov, 09:00`. */
export function formatWall(at: number, zone: string): string {
  const known = walls.get(zone) ?? new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZone: zone });
  walls.set(zone, known);
  return known.format(at);
}

/** `14 s`, `3 min`: how long ago, in one unit. */
export function formatAgo(at: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  if (seconds < 1) return texts.ago.now;
  if (seconds < 60) return texts.ago.seconds(seconds);
  if (seconds < 3600) return texts.ago.minutes(Math.floor(seconds / 60));
  if (seconds < 24 * 3600) return texts.ago.hours(Math.floor(seconds / 3600));
  return texts.ago.days(Math.floor(seconds / (24 * 3600)));
}

/** Thousandths as people read them: 72400 is `72.4`. */
export function formatThousandths(value: number): string {
  const whole = Math.trunc(Math.abs(value) / 1000);
  const rest = String(Math.abs(value) % 1000).padStart(3, '0').replace(/0+$/, '');
  return `${value < 0 ? '−' : ''}${whole}${rest === '' ? '' : `.${rest}`}`;
}

/** What `formatThousandths` writes, read back; null where it is no such number. */
export function parseThousandths(text: string): number | null {
  const match = /^([-−]?)(\d{1,12})(?:[.,](\d{1,3}))?$/.exec(text.trim());
  if (match === null) return null;
  const value = Number(match[2]) * 1000 + Number((match[3] ?? '').padEnd(3, '0'));
  return match[1] === '' || value === 0 ? value : -value;
}

/** A peer's number as people write it: `100042`, or `No. 100042`. */
export function parseNumber(text: string): number | null {
  const match = /^\s*(?:no\.?\s*)?(\d{1,10})\s*$/i.exec(text);
  const number = Number(match?.[1] ?? Number.NaN);
  return number <= 0xffff_ffff ? number : null;
}

/** A text of another peer's with its control characters replaced, as docs/protocol.md section 3 asks. */
export function plain(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, ' ');
}

/** A host's or a receipt's fault in words. */
export function faultText(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'internal';
  return texts.reason(code);
}
