// Contacts as plans speak of them: whoever may read contacts sees all of each, everybody else the names that the gateway
// tells with shifts.

import { SvelteMap } from 'svelte/reactivity';
import type { Alarms } from '../../lib/alarm/alarms.svelte';
import type { Contact, ContactView, Shift } from '../../lib/alarm/types';

export type People = ReturnType<typeof createPeople>;

export function createPeople(alarms: Alarms) {
  let contacts = $state.raw<readonly ContactView[]>([]);
  let isRead = $state(false);
  const told = new SvelteMap<number, string>();

  return {
    get contacts() {
      return contacts;
    },
    /** Whether it was tried to read them. */
    get isRead() {
      return isRead;
    },
    async read(): Promise<void> {
      // Without the right to read them their names have to do.
      contacts = await alarms.api.contacts().catch(() => []);
      isRead = true;
    },
    learn(shifts: readonly Shift[]): void {
      for (const { contact, contact_name } of shifts) told.set(contact, contact_name);
    },
    contact: (id: number): Contact | undefined => contacts.find((each) => each.id === id)?.contact,
    nameOf: (id: number): string => contacts.find((each) => each.id === id)?.contact.name ?? told.get(id) ?? alarms.overview?.on_call.find(({ contact }) => contact === id)?.contact_name ?? `#${id}`,
  };
}
