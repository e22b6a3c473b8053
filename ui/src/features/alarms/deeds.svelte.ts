// What a person does about alarms, from wherever it is done: sends it, says what came of it, and asks first where it has to
// be asked.

import type { Alarms } from '../../lib/alarm/alarms.svelte';
import type { Wished } from '../../lib/alarm/api';
import { isUnacknowledged } from '../../lib/alarm/standing';
import type { AlarmView } from '../../lib/alarm/types';
import { texts } from '../../lib/texts';
import { refusalText } from './saver.svelte';

/** What the gateway takes in one request. */
export const IDS_MAX = 1_000;

export type Question = { kind: 'acknowledge' | 'shelve' | 'comment'; alarms: readonly AlarmView[] };
export type Deeds = ReturnType<typeof createDeeds>;

export function createDeeds(alarms: Alarms) {
  let note = $state<string | null>(null);
  let question = $state.raw<Question | null>(null);

  /** Resolves to whether it was done or kept. */
  async function send(which: readonly AlarmView[], wish: (ids: number[]) => Promise<Wished>): Promise<boolean> {
    note = null;
    try {
      const ids = which.map(({ id }) => id);
      let isKept = false;
      for (let from = 0; from < ids.length; from += IDS_MAX) isKept = (await wish(ids.slice(from, from + IDS_MAX))).isKept || isKept;
      if (isKept) note = texts.alarms.list.kept;
      return true;
    } catch (error) {
      note = texts.alarms.list.failed(refusalText(error));
      return false;
    }
  }

  /** With those of its parts that nobody has heard of: people are told of them all by the one. */
  function withParts(which: readonly AlarmView[]): AlarmView[] {
    const heads = new Set(which.map(({ id }) => id));
    const parts = alarms.list.filter((alarm) => alarm.part_of !== undefined && heads.has(alarm.part_of) && !heads.has(alarm.id));
    return [...which, ...parts.filter((part) => isUnacknowledged(part) && alarms.mayActOn(part))];
  }

  return {
    /** What is to be said of the last deed; null where it speaks for itself. */
    get note() {
      return note;
    },
    get question() {
      return question;
    },
    ask(next: Question | null): void {
      if (next === null || next.alarms.length > 0) question = next;
    },
    acknowledge: (which: readonly AlarmView[]) => send(withParts(which), (ids) => alarms.acknowledge(ids)),
    shelve: (which: readonly AlarmView[], untilMs: number, comment: string) => send(which, (ids) => alarms.shelve(ids, untilMs, comment === '' ? undefined : comment)),
    unshelve: (which: readonly AlarmView[]) => send(which.filter(({ state }) => state === 'shelved'), (ids) => alarms.unshelve(ids)),
    comment: (which: readonly AlarmView[], text: string) => send(which, (ids) => alarms.comment(ids, text)),
  };
}
