// Times of day in a zone of people's own, such as Europe/Berlin: what a clock on the wall there shows, and when it shows it.
// Dates are `2026-11-28`, minutes are those after midnight, days 1 Monday to 7 Sunday.

const DAY_MS = 24 * 3600 * 1000;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  });
  formats.set(zone, made);
  return made;
}

/** Whether this machine knows it. */
export function isZone(name: string): boolean {
  try {
    // Offsets such as +01:00 are taken by Intl, but are no zone of the gateway's.
    return name !== '' && !/^[+-]/.test(name) && format(name) !== null;
  } catch {
    return false;
  }
}

/** This machine's own zone. */
export function ownZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone ?? 'UTC';
}

/** Zones to suggest. */
export function zones(): readonly string[] {
  return ['UTC', ...Intl.supportedValuesOf('timeZone')];
}

export interface Wall {
  date: string;
  minute: number;
  day: number;
}

/** What a clock on the wall shows at a moment. */
export function wallAt(zone: string, at: number): Wall {
  const parts = Object.fromEntries(format(zone).formatToParts(at).map(({ type, value }) => [type, value]));
  const date = `${parts['year']?.padStart(4, '0')}-${parts['month']}-${parts['day']}`;
  return { date, minute: Number(parts['hour']) * 60 + Number(parts['minute']), day: dayOf(date) };
}

/** 1 Monday to 7 Sunday. */
export function dayOf(date: string): number {
  return ((new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7) + 1;
}

export function addDays(date: string, days: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}

export function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / DAY_MS);
}

/** When a clock on the wall shows it for the first time; where the clock is put forward over it, as long after as it says. */
export function momentOf(zone: string, date: string, minute: number): number {
  const wanted = Date.parse(`${date}T00:00:00Z`) + minute * 60_000;
  const offsetAt = (at: number): number => {
    const wall = wallAt(zone, at);
    return Date.parse(`${wall.date}T00:00:00Z`) + wall.minute * 60_000 - Math.floor(at / 60_000) * 60_000;
  };
  // The offset before and after a change of the clock; the earlier moment that fits counts.
  const [before, after] = [offsetAt(wanted - DAY_MS), offsetAt(wanted + DAY_MS)];
  const fitting = [before, after].map((offset) => wanted - offset).filter((at) => at + offsetAt(at) === wanted);
  return fitting.length > 0 ? Math.min(...fitting) : wanted - before;
}

/** `09:30`, as a field for a time has it. */
export function minuteText(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
}

/** What `minuteText` writes, read back; null where it is no time of day. */
export function parseMinute(text: string): number | null {
  const match = /^(\d{1,2}):(\d\d)(?::\d\d)?$/.exec(text.trim());
  const minute = Number(match?.[1] ?? Number.NaN) * 60 + Number(match?.[2] ?? 0);
  return Number(match?.[2] ?? 60) < 60 && minute < 24 * 60 ? minute : null;
}
