// How a form is saved: one at a time, what the gateway refuses beside its field, and the word when it is done.

import { faultField } from '../../lib/alarm/api';
import { HostError } from '../../lib/host/types';
import { faultText, texts } from '../../lib/texts';

/** What is wrong with fields, by the names that the API gives them. */
export type Faults = Readonly<Record<string, string>>;
export type Saver = ReturnType<typeof createSaver>;

/** What a refusal says of the whole: the gateway's own words where they say more than its code. */
export function refusalText(error: unknown): string {
  const isOfContent = error instanceof HostError && (error.code === 'bad_field' || error.code === 'bad_request' || texts.reason(error.code) === error.code.replaceAll('_', ' '));
  return isOfContent && error instanceof HostError ? error.message : faultText(error);
}

/** `fields` are those that the form shows: what the gateway refuses of others is said of the whole. */
export function createSaver(fields: readonly string[]) {
  let busy = $state(false);
  let faults = $state.raw<Faults>({});
  let fault = $state<string | null>(null);
  let saved = $state(false);

  return {
    get busy() {
      return busy;
    },
    get faults() {
      return faults;
    },
    get fault() {
      return fault;
    },
    get saved() {
      return saved;
    },
    /** Says what is wrong before anything is sent. */
    refuse(wrong: Faults): void {
      faults = wrong;
      fault = null;
      saved = false;
    },
    /** Somebody goes on writing: what was said of it is old. */
    touch(field?: string): void {
      saved = false;
      if (field !== undefined && field in faults) faults = Object.fromEntries(Object.entries(faults).filter(([name]) => name !== field));
    },
    /** Resolves to what came back; null where it was refused, or another one is under way. */
    async run<T>(save: () => Promise<T>): Promise<T | null> {
      if (busy) return null;
      busy = true;
      [faults, fault, saved] = [{}, null, false];
      try {
        const answer = await save();
        saved = true;
        return answer;
      } catch (error) {
        const about = error instanceof HostError ? faultField(error.message) : null;
        const field = fields.find((each) => each === about?.field) ?? fields.find((each) => about?.field.startsWith(`${each}.`) === true);
        if (about !== null && field !== undefined) faults = { [field]: about.expected };
        else fault = texts.plans.notSaved(refusalText(error));
        return null;
      } finally {
        busy = false;
      }
    },
  };
}
