// A contact as its form holds it, and what the API takes: fields are texts, and those that are empty are left out.

import type { Contact, ContactView, Language, Severity } from '../../lib/alarm/types';
import { isZone, minuteText, ownZone, parseMinute } from '../../lib/alarm/zone';
import { locale, texts } from '../../lib/texts';
import type { Faults } from './saver.svelte';

export interface QuietDraft {
  days: number[];
  from: string;
  to: string;
}

export interface ContactDraft {
  name: string;
  language: Language;
  zone: string;
  account: string;
  telephone: string;
  sms: string;
  email: string;
  push_topic: string;
  webhook_url: string;
  pin: string;
  removesPin: boolean;
  callsPerHour: string;
  quiet: QuietDraft[];
  wakesFrom: Severity;
  isTested: boolean;
  testDay: number;
  testTime: string;
}

const OPTIONAL = ['telephone', 'sms', 'email', 'push_topic', 'webhook_url', 'account'] as const;
/** The fields that the form shows, by the API's names. */
export const CONTACT_FIELDS = ['name', 'zone', ...OPTIONAL, 'pin', 'calls_per_hour_max', 'quiet', 'weekly_test'] as const;
const NAME_BYTES_MAX = 64;

export function draftOfContact(view: ContactView | null): ContactDraft {
  const contact = view?.contact;
  return {
    name: contact?.name ?? '',
    language: contact?.language ?? (locale.startsWith('zh') ? 'zh' : 'en'),
    zone: contact?.zone ?? ownZone(),
    account: contact?.account ?? '',
    telephone: contact?.telephone ?? '',
    sms: contact?.sms ?? '',
    email: contact?.email ?? '',
    push_topic: contact?.push_topic ?? '',
    webhook_url: contact?.webhook_url ?? '',
    pin: '',
    removesPin: false,
    callsPerHour: String(contact?.calls_per_hour_max ?? 12),
    quiet: (contact?.quiet ?? []).map(({ days, from_minute, to_minute }) => ({ days: [...days], from: minuteText(from_minute), to: minuteText(to_minute) })),
    wakesFrom: contact?.wakes_from ?? 'high',
    isTested: contact?.weekly_test !== undefined,
    testDay: contact?.weekly_test?.day ?? 1,
    testTime: minuteText(contact?.weekly_test?.minute ?? 600),
  };
}

/** What is to be saved, or what is wrong. A `pin` that is left out stays as it is. */
export function contactOfDraft(draft: ContactDraft): { contact: Contact; pin?: string } | { faults: Faults } {
  const words = texts.plans;
  const faults: Record<string, string> = {};
  const name = draft.name.trim();
  if (name === '' || new TextEncoder().encode(name).length > NAME_BYTES_MAX) faults['name'] = words.contacts.form.nameBad;
  const zone = draft.zone.trim();
  if (!isZone(zone)) faults['zone'] = words.contacts.form.zoneBad;
  // As much of an address as can be told at a glance; the gateway reads it closely.
  const email = draft.email.trim();
  if (email !== '' && !/^[^\s@]+@[^\s@]+$/.test(email)) faults['email'] = words.contacts.form.emailBad;
  const pin = draft.pin.trim();
  if (pin !== '' && !/^\d{4,12}$/.test(pin)) faults['pin'] = words.contacts.form.pinBad;
  const callsPerHour = Number(draft.callsPerHour.trim() === '' ? Number.NaN : draft.callsPerHour);
  if (!Number.isInteger(callsPerHour) || callsPerHour < 1 || callsPerHour > 60) faults['calls_per_hour_max'] = words.numberBad(1, 60);
  const quiet = draft.quiet.map(({ days, from, to }) => ({ days: [...days].sort((a, b) => a - b), from_minute: parseMinute(from), to_minute: parseMinute(to) }));
  if (quiet.some(({ days, from_minute, to_minute }) => days.length === 0 || from_minute === null || to_minute === null)) faults['quiet'] = words.contacts.form.quietBad;
  const testMinute = parseMinute(draft.testTime);
  if (draft.isTested && testMinute === null) faults['weekly_test'] = words.timeBad;
  if (Object.keys(faults).length > 0) return { faults };
  const optional = Object.fromEntries(OPTIONAL.map((field) => [field, draft[field].trim()]).filter(([, text]) => text !== ''));
  const contact: Contact = {
    name,
    language: draft.language,
    zone,
    ...optional,
    quiet: quiet.map(({ days, from_minute, to_minute }) => ({ days, from_minute: from_minute ?? 0, to_minute: to_minute ?? 0 })),
    wakes_from: draft.wakesFrom,
    calls_per_hour_max: callsPerHour,
    ...(draft.isTested ? { weekly_test: { day: draft.testDay, minute: testMinute ?? 0 } } : {}),
  };
  if (pin !== '') return { contact, pin };
  return draft.removesPin ? { contact, pin: '' } : { contact };
}
