// The open alarms as the gateway has them, made reactive: one question is always open, which the gateway answers as soon as
// something changes. Alarms that have not changed stay the same objects, so that their rows are not drawn again.

import type { Host } from '../host/types';
import { HostError } from '../host/types';
import { Role } from '../protocol/registry';
import { createAlarmApi, type Wished } from './api';
import { byGravity, isUnacknowledged, roleAt } from './standing';
import { SEVERITIES, type AlarmView, type BySeverity, type Overview, type Severity, type Who } from './types';

/** Open alarms that are kept; a yard with more of them has one trouble, which the gravest tell. */
export const ALARMS_KEPT_MAX = 2_000;
/** In a storm the list is read this often at most. */
export const READ_AGAIN_MS = 500;
/** How long after a failure it is tried again. */
export const TRY_AGAIN_MS = 5_000;
/** Rights and sites change seldom: how often they are asked for, and alarms by whoever was refused them. */
export const WHO_AGAIN_MS = 60_000;

export type Alarms = ReturnType<typeof createAlarms>;

function asFault(error: unknown): HostError {
  return error instanceof HostError ? error : new HostError({ code: 'internal', message: String(error) });
}

/** Whether asking again soon cannot help: this account sees no alarms, or this gateway has none. */
function isLasting(fault: HostError): boolean {
  return ['forbidden', 'not_found', 'unsupported', 'not_logged_in', 'http_404', 'http_403', 'http_401'].includes(fault.code);
}

/** `now` is this machine's clock, as the screens see it tick. */
export function createAlarms(host: Host, now: () => number) {
  const api = createAlarmApi(host);
  let list = $state.raw<readonly AlarmView[]>([]);
  /** Null until the first answer; false where there is nothing for this account to see. */
  let available = $state<boolean | null>(null);
  let fault = $state.raw<HostError | null>(null);
  /** When the list was last known to be so, while it cannot be read. */
  let knownUntil = $state<number | null>(null);
  let revision = $state(-1);
  let isCut = $state(false);
  let overview = $state.raw<Overview | null>(null);
  let who = $state.raw<Who | null>(null);
  let sites = $state.raw<ReadonlyMap<number, string>>(new Map());
  /** What the gateway's clock is before this machine's. */
  let skewMs = $state(0);
  /** Asked for and not taken yet, by the way the alarm was when it was asked. */
  let asked = $state.raw<ReadonlyMap<number, AlarmView | undefined>>(new Map());

  const byId = $derived(new Map(list.map((alarm) => [alarm.id, alarm])));
  const byController = $derived.by(() => {
    const groups = new Map<number, AlarmView[]>();
    for (const alarm of list) {
      if (alarm.controller === undefined) continue;
      const group = groups.get(alarm.controller);
      if (group === undefined) groups.set(alarm.controller, [alarm]);
      else group.push(alarm);
    }
    return groups;
  });
  const unacknowledged = $derived.by(() => {
    const counts: BySeverity = { low: 0, medium: 0, high: 0 };
    for (const alarm of list) {
      // Parts are told of by the alarm that they belong to, and a test is no alarm.
      if (isUnacknowledged(alarm) && alarm.part_of === undefined && alarm.source.kind !== 'test') counts[alarm.severity] += 1;
    }
    return counts;
  });
  const gravest = $derived<Severity | null>(SEVERITIES.find((severity) => unacknowledged[severity] > 0) ?? null);

  function put(next: readonly AlarmView[]): void {
    const before = byId;
    list = next.map((alarm) => {
      const known = before.get(alarm.id);
      return known !== undefined && JSON.stringify(known) === JSON.stringify(alarm) ? known : alarm;
    });
    // What was asked for shows in the alarm itself once it was taken.
    const open = [...asked].filter(([id, then]) => then !== undefined && byId.get(id) === then);
    if (open.length !== asked.size) asked = new Map(open);
  }

  /** Takes alarms that came as an answer; their place in the list is found with the next reading. */
  function take(alarms: readonly AlarmView[]): void {
    const fresh = new Map(alarms.map((alarm) => [alarm.id, alarm]));
    const rest = list.filter((alarm) => !fresh.has(alarm.id) || fresh.get(alarm.id)?.state !== 'cleared');
    put(rest.map((alarm) => fresh.get(alarm.id) ?? alarm));
  }

  async function readAll(signal: AbortSignal, isWaiting: boolean): Promise<void> {
    const first = await api.list({ open: true, ...(isWaiting ? { revision } : {}) }, signal);
    fault = null;
    knownUntil = null;
    available = true;
    if (isWaiting && first.revision === revision) return;
    const alarms = [...first.alarms];
    let isMore = first.next !== undefined;
    for (let { next } = first; next !== undefined && alarms.length < ALARMS_KEPT_MAX; ) {
      const page = await api.list({ open: true, before: next }, signal);
      alarms.push(...page.alarms);
      next = page.next;
      isMore = next !== undefined;
    }
    const seen = new Set<number>();
    const sorted = alarms.filter(({ id }) => !seen.has(id) && seen.add(id)).sort(byGravity);
    isCut = isMore || sorted.length > ALARMS_KEPT_MAX;
    put(sorted.slice(0, ALARMS_KEPT_MAX));
    revision = first.revision;
    // Without it the list is as true as with it.
    overview = await api.overview(signal).catch(() => null);
  }

  async function readWho(signal: AbortSignal): Promise<void> {
    const before = Date.now();
    const [answer, known] = await Promise.all([api.who(signal), api.sites()]);
    who = answer;
    skewMs = answer.time - Math.round((before + Date.now()) / 2);
    sites = new Map(known.map(({ site, name }) => [site, name]));
  }

  function pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((done) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        done();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener('abort', end);
    });
  }

  async function follow(signal: AbortSignal): Promise<void> {
    let whoAt = -Infinity;
    while (!signal.aborted) {
      try {
        if (performance.now() - whoAt >= WHO_AGAIN_MS) {
          await readWho(signal);
          whoAt = performance.now();
        }
        const askedAt = performance.now();
        await readAll(signal, revision >= 0 && fault === null);
        // What was waited for is not made to wait any more; only what comes blow by blow is.
        const tookMs = performance.now() - askedAt;
        if (tookMs < READ_AGAIN_MS) await pause(READ_AGAIN_MS - tookMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        fault = asFault(error);
        if (isLasting(fault)) {
          available = false;
          list = [];
          revision = -1;
          whoAt = -Infinity;
          // Somebody may be given the right, and a gateway that is replaced may have learnt of alarms: a page and a tray
          // that stand open for weeks must not stay silent for that.
          await pause(WHO_AGAIN_MS, signal);
          continue;
        }
        knownUntil ??= Date.now();
        await pause(TRY_AGAIN_MS, signal);
      }
    }
  }

  function forget(): void {
    list = [];
    available = null;
    fault = null;
    knownUntil = null;
    revision = -1;
    isCut = false;
    overview = null;
    who = null;
    sites = new Map();
    asked = new Map();
  }

  async function wish(ids: readonly number[], made: Promise<Wished>): Promise<Wished> {
    const marked = new Map(asked);
    for (const id of ids) marked.set(id, byId.get(id));
    asked = marked;
    try {
      const done = await made;
      if (!done.isKept) {
        take(done.alarms);
        asked = new Map([...asked].filter(([id]) => !ids.includes(id)));
      }
      return done;
    } catch (error) {
      asked = new Map([...asked].filter(([id]) => !ids.includes(id)));
      throw error;
    }
  }

  return {
    api,
    get list() {
      return list;
    },
    get available() {
      return available;
    },
    get fault() {
      return fault;
    },
    get knownUntil() {
      return knownUntil;
    },
    /** Rises with every change of any alarm that one may see. */
    get revision() {
      return revision;
    },
    /** Whether there are more than are kept here. */
    get isCut() {
      return isCut;
    },
    get overview() {
      return overview;
    },
    get who() {
      return who;
    },
    get sites() {
      return sites;
    },
    /** Gateway time. */
    get now() {
      return now() + skewMs;
    },
    get unacknowledged() {
      return unacknowledged;
    },
    get unacknowledgedCount() {
      return unacknowledged.low + unacknowledged.medium + unacknowledged.high;
    },
    get gravest() {
      return gravest;
    },
    alarm: (id: number): AlarmView | undefined => byId.get(id),
    ofController: (address: number): readonly AlarmView[] => [...(byController.get(address) ?? [])].sort(byGravity),
    siteName: (site: number): string => sites.get(site) ?? String(site),
    /** Asked for, and neither done nor refused yet. */
    isAsked: (id: number): boolean => asked.has(id),
    /** Whether this account may acknowledge, shelve and comment there. */
    mayActOn: (alarm: AlarmView): boolean => roleAt(who, alarm.site) >= Role.operator,
    /** Whether it may change rules and plans there; 0 and nothing at all are what is everywhere. */
    mayPlan: (site: number): boolean => roleAt(who, site === 0 ? undefined : site) >= Role.technician,
    get mayPlanAnywhere() {
      return roleAt(who, undefined) >= Role.technician || (who?.rights.sites ?? []).some(({ site }) => roleAt(who, site) >= Role.technician);
    },
    acknowledge: (ids: readonly number[], comment?: string) => wish(ids, api.acknowledge(ids, comment)),
    shelve: (ids: readonly number[], untilMs: number, comment?: string) => wish(ids, api.shelve(ids, untilMs, comment)),
    unshelve: (ids: readonly number[]) => wish(ids, api.unshelve(ids)),
    /** A comment changes nothing that an alarm shows of itself. */
    comment: (ids: readonly number[], text: string) => wish([], api.comment(ids, text)),
    /** Follows the list for as long as somebody is logged in; returns what ends that. */
    attach(): () => void {
      forget();
      const ended = new AbortController();
      void follow(ended.signal);
      return () => {
        ended.abort();
        forget();
      };
    },
  };
}
