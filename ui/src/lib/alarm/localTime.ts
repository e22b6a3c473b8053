// Times as the fields of a form hold them, in the zone of whoever sits before it.

/** `2026-11-28T08:00`, as a field for date and time has it. */
export function toLocalInput(at: number): string {
  const date = new Date(at);
  return `${toLocalDate(at)}T${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

export function toLocalDate(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

/** What `toLocalInput` writes, read back; null where it is no time. */
export function fromLocalInput(text: string): number | null {
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text) ? new Date(text).getTime() : Number.NaN;
  return Number.isNaN(at) ? null : at;
}

/** Eight o'clock in the morning of the day after. */
export function tomorrowMorning(now: number): number {
  const date = new Date(now);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + 1, 8, 0, 0, 0).getTime();
}

function pad(number: number): string {
  return String(number).padStart(2, '0');
}
