// An alarm's history as one time line: what is written down about it, and the attempts at telling somebody, each with how far
// it came. Pure: the words are given.

import type { SignName } from '../../components/signs';
import type { Texts } from '../texts/en';
import type { AlarmHistory, AlarmNote, AttemptView } from './types';

type Words = Texts['alarms'];

/** Something with a time of its own within an entry. */
export interface Moment {
  at: number;
  words: string;
}

export interface Entry {
  key: string;
  at: number;
  sign: SignName;
  /** Red is of what is wrong alone. */
  isAlarm: boolean;
  words: string;
  /** What somebody wrote or a machine said, in its own words. */
  quoted: string | null;
  /** Of an attempt, how far it came, in this order. */
  steps: readonly Moment[];
  /** Of an attempt, how it ended. */
  end: Moment | null;
  isUnderWay: boolean;
}

/** The youngest first. An attempt stands where it was begun. `time` writes a moment that is ahead. */
export function timeLine({ notes, attempts }: Pick<AlarmHistory, 'notes' | 'attempts'>, words: Words, time: (at: number) => string): Entry[] {
  const told = new Set(attempts.map(({ id }) => id));
  const entries = [
    // An attempt says more itself than the note that it was made.
    ...notes.filter(({ kind, attempt }) => kind !== 'attempted' || attempt === undefined || !told.has(attempt)).map((note, place) => noteEntry(note, place, words, time)),
    ...attempts.toSorted((one, other) => one.id - other.id).map((attempt) => attemptEntry(attempt, words)),
  ];
  // What came together stays in the order in which it was written down, the last of it uppermost.
  return entries
    .map((entry, place) => ({ entry, place }))
    .sort((one, other) => other.entry.at - one.entry.at || other.place - one.place)
    .map(({ entry }) => entry);
}

const NOTE_SIGNS: Readonly<Record<string, SignName>> = {
  raised: 'alarm',
  cleared: 'off',
  flapping: 'flapping',
  acknowledged: 'heard',
  shelved: 'shelved',
  unshelved: 'shelved',
  commented: 'comment',
  skipped: 'stopped',
  exhausted: 'stopped',
};

function noteEntry(note: AlarmNote, place: number, words: Words, time: (at: number) => string): Entry {
  return {
    key: `note ${place}`,
    at: note.at_ms,
    sign: NOTE_SIGNS[note.kind] ?? 'asked',
    isAlarm: note.kind === 'raised',
    words: noteWords(note, words, time),
    quoted: note.kind === 'commented' ? (note.text ?? null) : (note.reason ?? null),
    steps: [],
    end: null,
    isUnderWay: false,
  };
}

function noteWords(note: AlarmNote, words: Words, time: (at: number) => string): string {
  const how = words.how[note.how ?? ''] ?? '';
  const by = words.by(note.by ?? '?', how);
  const say = words.happened;
  switch (note.kind) {
    case 'raised':
      return say.raised(note.value ?? null);
    case 'cleared':
      return say.cleared;
    case 'flapping':
      return say.flapping;
    case 'joined':
      return say.joined(note.alarm ?? 0);
    case 'attempted':
      return say.attempted;
    case 'acknowledged':
      return say.acknowledged(by);
    case 'shelved':
      return say.shelved(by, time(note.until_ms ?? 0));
    case 'unshelved':
      return say.unshelved(by);
    case 'commented':
      return say.commented(by);
    case 'skipped':
      return say.skipped((note.rung ?? 0) + 1);
    case 'exhausted':
      return say.exhausted(note.rounds ?? 1);
    default:
      return note.kind.replaceAll('_', ' ');
  }
}

function attemptEntry(attempt: AttemptView, words: Words): Entry {
  const { channel, contact_name, destination, outcome, ended_ms } = attempt;
  const isUnderWay = outcome === undefined;
  const steps = attempt.steps.filter(({ step }) => step !== 'begun').map(({ step, at_ms }) => ({ at: at_ms, words: stepWords(attempt, step, words) }));
  if (attempt.keys !== '') steps.push({ at: ended_ms ?? steps.at(-1)?.at ?? attempt.begun_ms, words: words.attempt.pressed(attempt.keys) });
  return {
    key: `attempt ${attempt.id}`,
    at: attempt.begun_ms,
    sign: attemptSign(outcome?.kind),
    isAlarm: false,
    words: words.attempt.to[mediumOf(channel)](contact_name, words.channels[channel] ?? channel, destination),
    quoted: outcome?.reason ?? null,
    steps,
    end: outcome === undefined ? null : { at: ended_ms ?? attempt.begun_ms, words: words.outcome[outcome.kind] ?? outcome.kind.replaceAll('_', ' ') },
    isUnderWay,
  };
}

function stepWords(attempt: AttemptView, step: string, words: Words): string {
  // What is spoken to somebody in a call is handed over as a message.
  if (step === 'told' && mediumOf(attempt.channel) !== 'call') return words.attempt.handedOver;
  return words.attempt.steps[step] ?? step;
}

export function mediumOf(channel: string): 'call' | 'message' {
  return channel === 'sip' || channel.endsWith('_call') ? 'call' : 'message';
}

function attemptSign(outcome: string | undefined): SignName {
  switch (outcome) {
    case undefined:
      return 'asked';
    case 'acknowledged':
      return 'heard';
    case 'sent':
      return 'done';
    case 'passed':
    case 'muted':
    case 'unanswered':
      return 'off';
    default:
      return 'stopped';
  }
}

/** The word for how far an attempt is that is under way, or how it ended. */
export function attemptNow(attempt: AttemptView, words: Words): { sign: SignName; words: string } {
  const { outcome, steps, channel } = attempt;
  if (outcome !== undefined) return { sign: attemptSign(outcome.kind), words: words.outcome[outcome.kind] ?? outcome.kind };
  const last = steps.at(-1)?.step ?? 'begun';
  if (last === 'begun') return { sign: 'asked', words: mediumOf(channel) === 'call' ? words.attempt.dialling : words.attempt.sending };
  return { sign: 'asked', words: stepWords(attempt, last, words) };
}
