// The alarm half of the fake gateway: its HTTP API with rights, refusals, the long poll and an alarm's life, but without
// telephones: how far a call comes is for the test to say.

import { HostError, type ApiAnswer, type ApiRequest } from '../src/lib/host/types';
import { byGravity, roleAt } from '../src/lib/alarm/standing';
import type { AlarmNote, AlarmState, AlarmView, AttemptView, Channel, Contact, ContactView, Medium, Outcome, Override, Overview, Plan, Rule, Site, StepName, Who } from '../src/lib/alarm/types';
import { calendar, checkContact, checkPlan, checkRule, Invalid, onCall } from './fakePlans';

export interface Answer {
  status: number;
  body: unknown;
}

class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

interface Kept {
  view: Omit<AlarmView, 'state' | 'parts'>;
  notes: AlarmNote[];
  /** Somebody was told. */
  isNotified: boolean;
  /** Somebody is still to be told. */
  isPursued: boolean;
}

export type Raised = Partial<AlarmView> & { text: string };

const OPERATOR = 2;
const TECHNICIAN = 3;
const CHANNELS: Readonly<Record<Medium, Channel>> = { call: 'sip', sms: 'modem_sms', email: 'email', push: 'ntfy', webhook: 'webhook' };

export class FakeAlarms {
  readonly rights = new Map<string, Who['rights']>();
  sites: Site[] = [];
  readonly contacts = new Map<number, { contact: Contact; pin: string }>();
  readonly rules = new Map<number, Rule>();
  readonly plans = new Map<number, Plan>();
  readonly attempts = new Map<number, AttemptView>();
  channels: Overview['channels'] = [];
  warnings: string[] = [];
  /** The gateway in charge does not answer: wishes are kept. */
  isAway = false;
  /** Nothing is reached at all. */
  isGone = false;
  /** Every request that came, as `GET api/alarms?…`. */
  readonly asked: string[] = [];
  private readonly alarms = new Map<number, Kept>();
  private revision = 1;
  private lastId = 0;
  private waiting = new Set<() => void>();
  private readonly wishes: (() => void)[] = [];

  constructor(private readonly now: () => number = Date.now) {}

  /** For a fake host: refusals are thrown. */
  readonly answer = async ({ method, path, body, signal }: ApiRequest, account: string): Promise<ApiAnswer> => {
    if (this.isGone) throw new HostError({ code: 'gateway_gone', message: 'nobody there' });
    const { status, body: said } = await this.handle(method, path, body === undefined ? undefined : JSON.parse(JSON.stringify(body)), account, signal);
    if (status < 400) return { status, body: said === null ? null : JSON.parse(JSON.stringify(said)) };
    const problem = said as { code: string; detail: string };
    throw new HostError({ code: problem.code, message: problem.detail });
  };

  /** For a server: refusals are answers. */
  async handle(method: string, path: string, body: unknown, account: string, signal?: AbortSignal): Promise<Answer> {
    this.asked.push(`${method} ${path}`);
    try {
      return await this.route(method, new URL(path, 'http://fake/'), body, account, signal);
    } catch (error) {
      if (error instanceof Refused) return { status: error.status, body: { code: error.code, detail: error.message } };
      if (error instanceof Invalid) return { status: 422, body: { code: 'bad_field', detail: error.message } };
      throw error;
    }
  }

  // --- what happens at the gateway ------------------------------------------------------------------------------

  raise({ text, ...rest }: Raised): number {
    const id = ++this.lastId;
    const at = rest.since_ms ?? rest.raised_ms ?? this.now();
    const { state: _, parts: __, ...view } = { state: 'raised', parts: 0, ...rest };
    const kept: Kept = {
      view: { severity: 'medium', source: { kind: 'rule', rule: 1, controller: rest.controller ?? 0 }, times: 1, is_flapping: false, ...view, id, text, raised_ms: rest.raised_ms ?? at, since_ms: at, is_standing: true },
      notes: [{ at_ms: at, kind: 'raised', ...(rest.value === undefined ? {} : { value: rest.value }) }],
      isNotified: false,
      isPursued: true,
    };
    this.alarms.set(id, kept);
    if (rest.part_of !== undefined) {
      kept.isPursued = false;
      kept.notes.push({ at_ms: at, kind: 'joined', alarm: rest.part_of });
    }
    this.changed();
    return id;
  }

  clear(id: number): void {
    const { view, notes } = this.find(id);
    Object.assign(view, { is_standing: false, cleared_ms: this.now() });
    notes.push({ at_ms: this.now(), kind: 'cleared' });
    // Of what is grave somebody has to hear even when it is over.
    if (view.severity !== 'high') this.find(id).isPursued = false;
    delete view.shelved;
    this.changed();
  }

  /** Raises once more what is over, or changes what is known of it. */
  change(id: number, rest: Partial<AlarmView>): void {
    Object.assign(this.find(id).view, rest);
    this.changed();
  }

  note(id: number, note: AlarmNote): void {
    this.find(id).notes.push(note);
    this.changed();
  }

  begin(contact: number, medium: Medium, alarms: number[], at = this.now()): number {
    const known = this.contacts.get(contact)?.contact;
    const id = ++this.lastId;
    const destination = { call: known?.telephone, sms: known?.sms ?? known?.telephone, email: known?.email, push: known?.push_topic, webhook: known?.webhook_url }[medium] ?? '';
    this.attempts.set(id, { id, contact, contact_name: known?.name ?? '?', channel: CHANNELS[medium], destination, alarms, begun_ms: at, steps: [{ step: 'begun', at_ms: at }], keys: '' });
    for (const alarm of alarms) this.find(alarm).notes.push({ at_ms: at, kind: 'attempted', attempt: id });
    this.changed();
    return id;
  }

  step(attempt: number, step: StepName, at = this.now()): void {
    const known = this.attempt(attempt);
    known.steps.push({ step, at_ms: at });
    if (step === 'told') for (const alarm of known.alarms) this.find(alarm).isNotified = true;
    this.changed();
  }

  end(attempt: number, outcome: Outcome, keys = '', at = this.now()): void {
    const known = this.attempt(attempt);
    Object.assign(known, { outcome, keys, ended_ms: at });
    if (outcome.kind === 'acknowledged') for (const alarm of known.alarms) this.hear(alarm, known.contact_name, 'call', at);
    this.changed();
  }

  /** The gateway in charge is back, and takes what was kept. */
  back(): void {
    this.isAway = false;
    for (const wish of this.wishes.splice(0)) wish();
    this.changed();
  }

  view(id: number, partsOf = this.partsOf()): AlarmView {
    const kept = this.find(id);
    const parts = partsOf.get(id) ?? 0;
    const { next, ...rest } = kept.view;
    return { ...rest, state: this.state(kept), parts, ...(next === undefined || !kept.isPursued ? {} : { next }) };
  }

  private partsOf(): Map<number, number> {
    const counts = new Map<number, number>();
    for (const { view } of this.alarms.values()) if (view.part_of !== undefined) counts.set(view.part_of, (counts.get(view.part_of) ?? 0) + 1);
    return counts;
  }

  private state({ view, isNotified, isPursued }: Kept): AlarmState {
    if (!view.is_standing) return isPursued ? 'returned' : 'cleared';
    if (view.acknowledged !== undefined) return 'acknowledged';
    if (view.shelved !== undefined) return 'shelved';
    return isNotified ? 'notified' : 'raised';
  }

  private find(id: number): Kept {
    const kept = this.alarms.get(id);
    if (kept === undefined) throw new Refused(404, 'not_found', `there is no alarm ${id}`);
    return kept;
  }

  private attempt(id: number): AttemptView {
    const known = this.attempts.get(id);
    if (known === undefined) throw new Error(`no attempt ${id}`);
    return known;
  }

  private hear(id: number, by: string, how: 'api' | 'call', at = this.now()): void {
    const kept = this.find(id);
    if (kept.view.acknowledged !== undefined || this.state(kept) === 'cleared') return;
    kept.view.acknowledged = { by, how, at_ms: at };
    kept.isPursued = false;
    delete kept.view.shelved;
    kept.notes.push({ at_ms: at, kind: 'acknowledged', by, how });
    for (const { view } of this.alarms.values()) if (view.part_of === id) this.hear(view.id, by, how, at);
  }

  private changed(): void {
    this.revision += 1;
    for (const wake of [...this.waiting]) wake();
  }

  // --- the API --------------------------------------------------------------------------------------------------

  private role(account: string, site: number | undefined): number {
    return roleAt(this.who(account), site);
  }

  private who(account: string): Who {
    return { account, rights: this.rights.get(account) ?? { everywhere: 'operator', sites: [] }, time: this.now() };
  }

  private isTechnicianAnywhere(account: string): boolean {
    const { sites } = this.who(account).rights;
    return [undefined, ...sites.map(({ site }) => site)].some((site) => this.role(account, site) >= TECHNICIAN);
  }

  private needTechnician(account: string, site: number | undefined): void {
    if (this.role(account, site) < TECHNICIAN) throw new Refused(403, 'forbidden', 'expected a technician');
  }

  private visible(account: string): AlarmView[] {
    const partsOf = this.partsOf();
    return [...this.alarms.keys()].map((id) => this.view(id, partsOf)).filter((alarm) => this.role(account, alarm.site) >= 1);
  }

  private async route(method: string, url: URL, body: unknown, account: string, signal?: AbortSignal): Promise<Answer> {
    const [, , first = '', second, third] = url.pathname.split('/');
    const id = second === undefined || !/^\d+$/.test(second) ? null : Number(second);
    const ok = (said: unknown, status = 200): Answer => ({ status, body: said });
    switch (`${method} ${first}`) {
      case 'GET who':
        return ok(this.who(account));
      case 'GET sites':
        return ok({ items: this.sites.filter(({ site }) => this.role(account, site) >= 1) });
      case 'GET alarms':
        return id === null ? this.list(url.searchParams, account, signal) : ok(this.history(id, account));
      case 'POST alarms':
        return this.wish(second ?? '', body as Record<string, unknown>, account);
      case 'GET alarm-overview':
        return ok(this.overview(account));
      case 'GET attempts':
        if (!this.isTechnicianAnywhere(account)) throw new Refused(403, 'forbidden', 'expected a technician');
        return ok({ attempts: [...this.attempts.values()].filter(({ contact }) => contact === Number(url.searchParams.get('contact'))).reverse() });
      default:
        break;
    }
    if (first === 'contacts') return this.contactsApi(method, id, third, body, account);
    if (first === 'alarm-rules') return this.rulesApi(method, id, body as Rule, account);
    if (first === 'alarm-plans') return this.plansApi(method, id, third, url.searchParams, body, account);
    throw new Refused(404, 'not_found', 'no such address');
  }

  private async list(query: URLSearchParams, account: string, signal?: AbortSignal): Promise<Answer> {
    if (Number(query.get('revision') ?? -1) === this.revision) await this.wait(Number(query.get('wait_s') ?? 0) * 1000, signal);
    const limit = Number(query.get('limit') ?? 100);
    if (!(limit >= 1 && limit <= 1_000)) throw new Refused(400, 'bad_request', 'limit: expected 1 to 1000');
    const isOpen = (alarm: AlarmView) => alarm.state !== 'cleared';
    const wanted = query.get('open');
    const before = Number(query.get('before') ?? Number.MAX_SAFE_INTEGER);
    // Pages go by number; the gravest come first within each.
    const page = this.visible(account)
      .filter((alarm) => (wanted === null || String(isOpen(alarm)) === wanted) && (!query.has('site') || String(alarm.site) === query.get('site')))
      .filter((alarm) => !query.has('controller') || String(alarm.controller) === query.get('controller'))
      .filter(({ id }) => id < before)
      .sort((one, other) => other.id - one.id)
      .slice(0, limit);
    const next = page.length === limit ? page.at(-1)?.id : undefined;
    if (wanted === 'true') page.sort(byGravity);
    return { status: 200, body: { alarms: page, revision: this.revision, ...(next === undefined ? {} : { next }) } };
  }

  /** Until something changes, at most so long. */
  private wait(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((done, fail) => {
      const leave = () => {
        clearTimeout(timer);
        this.waiting.delete(wake);
        signal?.removeEventListener('abort', abort);
      };
      const wake = () => {
        leave();
        done();
      };
      const abort = () => {
        leave();
        fail(new HostError({ code: 'gateway_gone', message: 'nobody waits' }));
      };
      const timer = setTimeout(wake, ms);
      this.waiting.add(wake);
      signal?.addEventListener('abort', abort);
      if (signal?.aborted === true) abort();
    });
  }

  private history(id: number, account: string): object {
    const alarm = this.visible(account).find((each) => each.id === id);
    if (alarm === undefined) throw new Refused(404, 'not_found', `there is no alarm ${id}`);
    return { alarm, notes: this.find(id).notes, attempts: [...this.attempts.values()].filter(({ alarms }) => alarms.includes(id)).reverse() };
  }

  private wish(what: string, body: Record<string, unknown>, account: string): Answer {
    const ids = body['alarms'] as number[];
    if (!Array.isArray(ids) || ids.length === 0 || ids.length > 1_000) throw new Refused(422, 'bad_field', 'alarms: expected 1 to 1000 numbers');
    const seen = new Map(this.visible(account).map((alarm) => [alarm.id, alarm]));
    for (const id of ids) {
      const alarm = seen.get(id);
      if (alarm === undefined) throw new Refused(404, 'not_found', `there is no alarm ${id}`);
      if (this.role(account, alarm.site) < OPERATOR) throw new Refused(403, 'forbidden', 'expected an operator at the alarm’s site');
    }
    const until = Number(body['until_ms']);
    if (what === 'shelve' && !(until > this.now() && until <= this.now() + 31 * 24 * 3_600_000)) throw new Refused(422, 'bad_field', 'until_ms: expected a time from now on, a month ahead at most');
    const said = what === 'comment' ? body['text'] : body['comment'];
    if (what === 'comment' && (typeof said !== 'string' || said === '')) throw new Refused(422, 'bad_field', 'comment: expected 1 to 500 bytes without control characters');
    const at = this.now();
    const doIt = () => {
      for (const id of ids) {
        const kept = this.find(id);
        const state = this.state(kept);
        const by = { by: account, how: 'api' as const };
        if (what === 'acknowledge') this.hear(id, account, 'api', at);
        else if (what === 'shelve' && (state === 'raised' || state === 'notified' || state === 'shelved')) {
          kept.view.shelved = { until_ms: until, by: account, at_ms: at };
          kept.notes.push({ at_ms: at, kind: 'shelved', until_ms: until, ...by });
        } else if (what === 'unshelve' && kept.view.shelved !== undefined) {
          delete kept.view.shelved;
          kept.notes.push({ at_ms: at, kind: 'unshelved', ...by });
        }
        if (typeof said === 'string') kept.notes.push({ at_ms: at, kind: 'commented', text: said, ...by });
      }
    };
    if (!['acknowledge', 'shelve', 'unshelve', 'comment'].includes(what)) throw new Refused(404, 'not_found', 'no such address');
    if (this.isAway) {
      this.wishes.push(doIt);
      return { status: 202, body: { alarms: ids.map((id) => this.view(id)) } };
    }
    doIt();
    this.changed();
    return { status: 200, body: { alarms: ids.map((id) => this.view(id)) } };
  }

  private overview(account: string): Overview {
    const count = (alarms: AlarmView[]) => ({ low: 0, medium: 0, high: 0, ...Object.fromEntries(['low', 'medium', 'high'].map((severity) => [severity, alarms.filter((alarm) => alarm.severity === severity).length])) });
    const visible = this.visible(account).filter(({ state }) => state !== 'cleared');
    const on_call = [...this.plans].flatMap(([site, plan]) =>
      plan.rota.map((turn) => {
        const { contact, until, isOverride } = onCall(plan, turn, this.now());
        return { site, turn: turn.name, contact, contact_name: this.nameOf(contact), until_ms: until, is_override: isOverride };
      }),
    );
    return {
      is_watched: this.warnings.length === 0,
      channels: this.channels,
      on_call: on_call.filter(({ site }) => this.role(account, site === 0 ? undefined : site) >= 1),
      open: count(visible),
      unacknowledged: count(visible.filter(({ state }) => ['raised', 'notified', 'returned'].includes(state))),
      warnings: this.warnings,
    };
  }

  private nameOf(contact: number): string {
    return this.contacts.get(contact)?.contact.name ?? `contact ${contact}`;
  }

  private contactView(id: number): ContactView {
    const known = this.contacts.get(id);
    if (known === undefined) throw new Refused(404, 'not_found', `there is no contact ${id}`);
    return { id, has_pin: known.pin !== '', contact: known.contact };
  }

  /** Without a gateway in charge a test begins later, and is followed by nothing yet. */
  private contactsApi(method: string, id: number | null, third: string | undefined, body: unknown, account: string): Answer {
    const isOwn = id !== null && this.contacts.get(id)?.contact.account === account;
    if (method === 'GET') {
      if (id !== null) {
        if (!isOwn && !this.isTechnicianAnywhere(account)) throw new Refused(404, 'not_found', 'there is no contact of this number');
        return { status: 200, body: this.contactView(id) };
      }
      const seen = [...this.contacts.keys()].map((each) => this.contactView(each));
      const all = this.isTechnicianAnywhere(account) ? seen : seen.filter(({ contact }) => contact.account === account);
      return { status: 200, body: { contacts: all } };
    }
    if (method === 'POST' && id !== null && third === 'test') {
      if (!isOwn) this.needTechnician(account, undefined);
      const { medium } = body as { medium: Medium };
      const { contact } = this.contactView(id);
      if (this.isAway) return { status: 202, body: {} };
      const alarm = this.raise({ text: `Test for ${contact.name}`, severity: 'low', source: { kind: 'test', contact: id } });
      this.begin(id, medium, [alarm]);
      return { status: 202, body: { alarm } };
    }
    this.needTechnician(account, undefined);
    if (method === 'DELETE' && id !== null) {
      this.contactView(id);
      const isUsed = [...this.plans.values()].some((plan) => plan.rota.some(({ people }) => people.includes(id)) || plan.chain.some(({ whom }) => 'contact' in whom && whom.contact === id));
      if (isUsed) throw new Refused(409, 'in_use', 'a plan names this contact');
      this.contacts.delete(id);
      return { status: 204, body: null };
    }
    const { contact, pin } = body as { contact: Contact; pin?: string };
    checkContact(contact);
    if (pin !== undefined && pin !== '' && !/^\d{4,12}$/.test(pin)) throw new Refused(422, 'bad_field', 'pin: expected 4 to 12 digits');
    const place = id ?? Math.max(0, ...this.contacts.keys()) + 1;
    if (id !== null) this.contactView(id);
    this.contacts.set(place, { contact, pin: pin ?? this.contacts.get(place)?.pin ?? '' });
    return { status: id === null ? 201 : 200, body: this.contactView(place) };
  }

  private rulesApi(method: string, id: number | null, rule: Rule, account: string): Answer {
    const siteOf = ({ scope }: Rule) => (scope !== 'everywhere' && 'site' in scope ? scope.site : undefined);
    if (method === 'GET') return { status: 200, body: { rules: [...this.rules].map(([each, known]) => ({ id: each, rule: known })) } };
    const known = id === null ? undefined : this.rules.get(id);
    if (id !== null && known === undefined) throw new Refused(404, 'not_found', `there is no rule ${id}`);
    if (known !== undefined) this.needTechnician(account, siteOf(known));
    if (method === 'DELETE' && id !== null) {
      this.rules.delete(id);
      return { status: 204, body: null };
    }
    this.needTechnician(account, siteOf(rule));
    checkRule(rule);
    const place = id ?? Math.max(0, ...this.rules.keys()) + 1;
    this.rules.set(place, rule);
    return { status: id === null ? 201 : 200, body: { id: place, rule } };
  }

  private plansApi(method: string, site: number | null, third: string | undefined, query: URLSearchParams, body: unknown, account: string): Answer {
    const place = site ?? 0;
    const where = place === 0 ? undefined : place;
    if (method === 'GET' && site === null) {
      return { status: 200, body: { plans: [...this.plans].filter(([each]) => this.role(account, each === 0 ? undefined : each) >= 1).map(([each, plan]) => ({ site: each, plan })) } };
    }
    const known = this.plans.get(place);
    if (method === 'GET' && third === 'calendar') {
      if (known === undefined) throw new Refused(404, 'not_found', 'there is no plan of its own');
      return { status: 200, body: { shifts: calendar(known, Number(query.get('from_ms')), Number(query.get('until_ms')), (contact) => this.nameOf(contact)) } };
    }
    this.needTechnician(account, where);
    if (method === 'DELETE') {
      if (!this.plans.delete(place)) throw new Refused(404, 'not_found', 'there is no plan of its own');
      return { status: 204, body: null };
    }
    const isKnown = (contact: number) => this.contacts.has(contact);
    if (method === 'POST' && third === 'overrides') {
      if (known === undefined) throw new Refused(404, 'not_found', 'there is no plan of its own');
      const plan = { ...known, overrides: [...known.overrides, body as Override] };
      checkPlan(plan, isKnown);
      this.plans.set(place, plan);
      return { status: 200, body: { site: place, plan } };
    }
    checkPlan(body as Plan, isKnown);
    this.plans.set(place, body as Plan);
    return { status: 200, body: { site: place, plan: body } };
  }
}
