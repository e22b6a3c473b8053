// The alarm API of the gateway, typed: docs/http.md. What comes over the wire is taken for what the gateway's own document
// says it is; what a screen switches on is looked at there.

import type { ApiMethod, Host } from '../host/types';
import type {
  AlarmHistory,
  AlarmPage,
  AlarmView,
  AttemptView,
  Contact,
  ContactView,
  Medium,
  Override,
  Overview,
  Plan,
  PlanView,
  Rule,
  RuleView,
  Shift,
  Site,
  Who,
} from './types';

/** Open alarms of one page: as many as the gateway gives, since it puts the gravest first of each page alone. */
export const PAGE_OPEN = 1_000;
/** Alarms of one page of those that are over. */
export const PAGE_OVER = 100;
/** How long the gateway may hold the answer to a list that has not changed. */
export const WAIT_S = 25;

export interface ListQuery {
  open?: boolean;
  site?: number;
  before?: number;
  /** Answered once the list is younger than this, or after `WAIT_S`. */
  revision?: number;
}

/** What came of a wish about alarms: done, or kept until the gateway in charge takes it. */
export interface Wished {
  alarms: AlarmView[];
  isKept: boolean;
}

export type AlarmApi = ReturnType<typeof createAlarmApi>;

export function createAlarmApi(host: Host) {
  async function ask<T>(method: ApiMethod, path: string, body?: unknown, rest: { waitMs?: number; signal?: AbortSignal } = {}): Promise<T> {
    return lean((await host.api({ method, path: `api/${path}`, ...(body === undefined ? {} : { body }), ...rest })).body) as T;
  }

  async function wish(what: string, body: object): Promise<Wished> {
    const answer = await host.api({ method: 'POST', path: `api/alarms/${what}`, body });
    return { alarms: (lean(answer.body) as { alarms: AlarmView[] }).alarms, isKept: answer.status === 202 };
  }

  return {
    who: (signal?: AbortSignal) => ask<Who>('GET', 'who', undefined, signal === undefined ? {} : { signal }),
    sites: async () => (await ask<{ items: Site[] }>('GET', 'sites')).items,

    list: (query: ListQuery, signal?: AbortSignal) => {
      const { revision, ...rest } = query;
      const fields = Object.entries(rest).map(([name, value]) => [name, String(value)]);
      if (revision !== undefined) fields.push(['revision', String(revision)], ['wait_s', String(WAIT_S)]);
      const path = `alarms?${new URLSearchParams([...fields, ['limit', String(query.open === true ? PAGE_OPEN : PAGE_OVER)]] as [string, string][]).toString()}`;
      return ask<AlarmPage>('GET', path, undefined, { ...(revision === undefined ? {} : { waitMs: WAIT_S * 1000 }), ...(signal === undefined ? {} : { signal }) });
    },
    history: (alarm: number) => ask<AlarmHistory>('GET', `alarms/${alarm}`),
    overview: (signal?: AbortSignal) => ask<Overview>('GET', 'alarm-overview', undefined, signal === undefined ? {} : { signal }),
    acknowledge: (alarms: readonly number[], comment?: string) => wish('acknowledge', { alarms, ...(comment === undefined ? {} : { comment }) }),
    shelve: (alarms: readonly number[], until_ms: number, comment?: string) => wish('shelve', { alarms, until_ms, ...(comment === undefined ? {} : { comment }) }),
    unshelve: (alarms: readonly number[]) => wish('unshelve', { alarms }),
    comment: (alarms: readonly number[], text: string) => wish('comment', { alarms, text }),

    contacts: async () => (await ask<{ contacts: ContactView[] }>('GET', 'contacts')).contacts,
    contact: (id: number) => ask<ContactView>('GET', `contacts/${id}`),
    /** A `pin` that is left out keeps it, an empty one removes it. */
    saveContact: (id: number | null, contact: Contact, pin?: string) => {
      const body = { contact, ...(pin === undefined ? {} : { pin }) };
      return id === null ? ask<ContactView>('POST', 'contacts', body) : ask<ContactView>('PUT', `contacts/${id}`, body);
    },
    removeContact: (id: number) => ask<unknown>('DELETE', `contacts/${id}`),
    /** Tells them that all is well, and answers with the alarm by which that can be followed, once there is one. */
    testContact: async (id: number, medium: Medium) => (await ask<{ alarm?: number }>('POST', `contacts/${id}/test`, { medium })).alarm,
    attempts: async (contact: number) => (await ask<{ attempts: AttemptView[] }>('GET', `attempts?contact=${contact}&limit=20`)).attempts,

    rules: async () => (await ask<{ rules: RuleView[] }>('GET', 'alarm-rules')).rules,
    saveRule: (id: number | null, rule: Rule) => (id === null ? ask<RuleView>('POST', 'alarm-rules', rule) : ask<RuleView>('PUT', `alarm-rules/${id}`, rule)),
    removeRule: (id: number) => ask<unknown>('DELETE', `alarm-rules/${id}`),

    plans: async () => (await ask<{ plans: PlanView[] }>('GET', 'alarm-plans')).plans,
    savePlan: (site: number, plan: Plan) => ask<PlanView>('PUT', `alarm-plans/${site}`, plan),
    removePlan: (site: number) => ask<unknown>('DELETE', `alarm-plans/${site}`),
    addOverride: (site: number, exception: Override) => ask<PlanView>('POST', `alarm-plans/${site}/overrides`, exception),
    calendar: async (site: number, from_ms: number, until_ms: number) =>
      (await ask<{ shifts: Shift[] }>('GET', `alarm-plans/${site}/calendar?from_ms=${from_ms}&until_ms=${until_ms}`)).shifts,
  };
}

/** The same without fields that are null: they say no more than fields that are left out. */
export function lean(body: unknown): unknown {
  if (Array.isArray(body)) return body.map(lean);
  if (typeof body !== 'object' || body === null) return body;
  return Object.fromEntries(
    Object.entries(body)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, lean(value)]),
  );
}

/** Which field a refusal is about, as the gateway's detail says it; null where it is about the whole. */
export function faultField(detail: string): { field: string; expected: string } | null {
  const after = /^(expected .+) as ([a-z_]+(?:\.[a-z_]+)*)$/s.exec(detail);
  if (after?.[1] !== undefined && after[2] !== undefined) return { field: after[2], expected: after[1] };
  const before = /^([a-z_]+(?:\.[a-z_]+)*): (.+)$/s.exec(detail);
  if (before?.[1] !== undefined && before[2] !== undefined) return { field: before[1], expected: before[2] };
  return null;
}
