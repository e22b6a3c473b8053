// The browser's host: HTTP for the log-in (docs/http.md), one WebSocket link for everything else. The session is a
// cookie that no script can read; the page itself holds no secret.

import {
  Code,
  decodeFields,
  decodeRequest,
  decodeStatusFull,
  encodeAnswer,
  encodeRefusal,
  encodeRequest,
  EXPIRY_MS_MAX,
  Kind,
  PeerKind,
  ProtocolFault,
  receiptMessage,
  requestKind,
  Stage,
  statusDelta,
  TOOL_ADDRESS_MIN,
  Verb,
  verbOf,
  decodePayload,
  type Frame,
  type Request,
  type ToolWelcome,
} from '../protocol';
import { FleetState, type Applied } from './fleetState';
import { fromHex, toHex } from './hex';
import { Link, type Socket } from './link';
import {
  HostError,
  type Address,
  type ApiAnswer,
  type ApiRequest,
  type Command,
  type Credentials,
  type Description,
  type FirstAccount,
  type FleetChange,
  type FleetSnapshot,
  type Host,
  type HostEvent,
  type Identity,
  type LinkStatus,
  type Receipt,
  type Session,
} from './types';

/** Commands whose end is not yet known, at one time. */
export const PENDING_COMMANDS_MAX = 64;
/** How often a command that outlived its link is asked after. */
export const ASK_AGAIN_MS = 2_000;
/** A command without an end this long after its expiry has none that anybody will tell. */
export const GIVE_UP_AFTER_EXPIRY_MS = 60_000;
/** How long after a subscription that failed the next is tried, on the same link. */
export const SUBSCRIBE_AGAIN_MS = 5_000;
/** An HTTP request that took longer has failed. */
const HTTP_TIMEOUT_MS = 15_000;

const SOFTWARE = 'Switchyard page 0.1.0';
const GATEWAY = 0;
const ROLES: Readonly<Record<string, number>> = { viewer: 1, operator: 2, technician: 3, admin: 4 };

/** What the page takes from the browser. */
export interface Browser {
  fetch(path: string, init: RequestInit): Promise<Response>;
  openSocket(): Socket;
  random(): number;
  monotonic(): number;
  /** The gateway's host and TCP port. */
  gateway: string;
}

export function thisBrowser(): Browser {
  return {
    fetch: (path, init) => fetch(path, init),
    openSocket: () => {
      const url = new URL('ws', location.href);
      url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
      // A link sets the handlers and never calls them, so their narrower types do no harm.
      return new WebSocket(url, 'switchyard.1') as unknown as Socket;
    },
    random: () => Math.random(),
    monotonic: () => performance.now(),
    gateway: location.host,
  };
}

interface Pending {
  command: Command;
  /** In monotonic time. */
  giveUpAt: number;
  /** Handed to an earlier link than this one, so its receipts may have been missed. */
  orphaned: boolean;
  /** A question after it is open: one at a time, so that they do not take the room of all others. */
  asking: boolean;
}

export class WebHost implements Host {
  readonly kind = 'page';
  readonly gateway = null;
  readonly countAlarms = null;
  readonly serialPorts = null;
  readonly boards = null;

  private readonly listeners = new Set<(event: HostEvent) => void>();
  private readonly state = new FleetState();
  private readonly wire: Link;
  private readonly pending = new Map<string, Pending>();
  private current: Session | null = null;
  /** What one message changed, told when it has been read to its end. */
  private changes: FleetChange[] = [];
  private readonly snapshotsOpen = new Set<Address>();
  /** Controllers whose deltas could not be taken while the first snapshot was under way. */
  private readonly missed = new Set<Address>();
  private askTimer: ReturnType<typeof setTimeout> | null = null;
  private subscribeTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly browser: Browser) {
    this.wire = new Link({
      openSocket: () => browser.openSocket(),
      software: SOFTWARE,
      random: () => browser.random(),
      monotonic: () => browser.monotonic(),
      live: (welcome) => this.live(welcome),
      frame: (frame) => this.frame(frame),
      messageEnd: () => this.flush(),
      status: (status) => this.linkChanged(status),
      mayRetry: () => this.mayRetry(),
    });
  }

  async session(): Promise<Session | null> {
    const response = await this.http('GET', 'api/session');
    if (response.status === 401) {
      this.end();
      return null;
    }
    const session = await this.readSession(response);
    this.begin(session);
    return session;
  }

  logIn({ account, password, code }: Credentials): Promise<Session> {
    return this.enter('api/login', code === null ? { account, password } : { account, password, code });
  }

  async isSetupNeeded(): Promise<boolean> {
    const body: unknown = await (await this.http('GET', 'api/setup')).json().catch(() => null);
    return typeof body === 'object' && body !== null && 'needed' in body && body.needed === true;
  }

  setUp({ setupCode, account, password }: FirstAccount): Promise<Session> {
    return this.enter('api/setup', { setup_code: setupCode, account, password });
  }

  async logOut(): Promise<void> {
    // The link goes first: its end is then a person's wish, not a right withdrawn.
    this.wire.stop();
    try {
      await this.http('POST', 'api/logout');
    } finally {
      this.end();
    }
  }

  fleet(): Promise<FleetSnapshot> {
    return Promise.resolve(this.state.snapshot());
  }

  link(): Promise<LinkStatus> {
    return Promise.resolve(this.wire.status);
  }

  async send(command: Command): Promise<void> {
    if (this.pending.size >= PENDING_COMMANDS_MAX) {
      throw new HostError({ code: 'busy', message: 'too many commands have no end yet' });
    }
    const expiresInMs = Math.min(command.expiresInMs, EXPIRY_MS_MAX);
    const expiry = this.wire.gatewayTime() + expiresInMs;
    const head = { key: fromHex(command.key), expiry, wait: command.wait ? true : null };
    const request: Request =
      command.action.kind === 'set'
        ? { verb: 'set', ...head, point: command.action.point, value: command.action.value }
        : { verb: 'call', ...head, command: command.action.command, arguments: command.action.arguments };
    const giveUpAt = this.browser.monotonic() + expiresInMs + GIVE_UP_AFTER_EXPIRY_MS;
    this.wire.send({
      kind: requestKind(request),
      flags: 0,
      correlation: this.wire.nextCorrelation(),
      destination: command.address,
      payload: encodeRequest(request),
    });
    this.pending.set(command.key, { command, giveUpAt, orphaned: false, asking: false });
    this.scheduleAsking();
  }

  async describe(address: Address): Promise<Description> {
    const answer = await this.wire.request(address, { verb: 'describe' });
    return { behaviour: answer.behaviour, commands: [...answer.commands] };
  }

  async identify(address: Address): Promise<Identity> {
    return this.wire.request(address, { verb: 'identify' });
  }

  async holder(address: Address): Promise<string> {
    return (await this.wire.request(GATEWAY, { verb: 'lookup', address })).title;
  }

  async sendNote(address: Address, text: string): Promise<void> {
    const payload = encodeRequest({ verb: 'note', text });
    this.wire.send({ kind: Kind.event, flags: 0, correlation: 0, destination: address, payload });
  }

  async api({ method, path, body, waitMs = 0, signal }: ApiRequest): Promise<ApiAnswer> {
    const response = await this.http(method, path, body === undefined ? undefined : JSON.stringify(body), waitMs, signal);
    const text = await response.text().catch((error: unknown) => {
      throw new HostError({ code: 'gateway_gone', message: String(error) });
    });
    try {
      return { status: response.status, body: text === '' ? null : JSON.parse(text) };
    } catch (error) {
      throw new HostError({ code: 'internal', message: `the gateway answered with something else than JSON: ${String(error)}` });
    }
  }

  listen(listener: (event: HostEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private emit(event: HostEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  // --- the session ----------------------------------------------------------------------------------------------

  /** Asks for a session. Whoever was in before is so until the gateway has taken the new one. */
  private async enter(path: string, proof: object): Promise<Session> {
    const session = await this.readSession(await this.http('POST', path, JSON.stringify(proof)));
    this.end();
    this.begin(session);
    return session;
  }

  private begin(session: Session): void {
    this.current = session;
    this.wire.start();
  }

  private end(): void {
    this.current = null;
    this.wire.stop();
    this.state.clear();
    this.pending.clear();
    this.scheduleAsking();
  }

  private async mayRetry(): Promise<boolean> {
    try {
      return (await this.http('GET', 'api/session')).status !== 401;
    } catch {
      return true; // Not reached: the dial will say so too.
    }
  }

  private async http(method: string, path: string, body?: string, waitMs = 0, ended?: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { 'X-Switchyard': 'page' };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    let response: Response;
    try {
      const late = AbortSignal.timeout(HTTP_TIMEOUT_MS + waitMs);
      const signal = ended === undefined ? late : AbortSignal.any([late, ended]);
      response = await this.browser.fetch(path, { method, headers, body: body ?? null, signal, credentials: 'same-origin' });
    } catch (error) {
      throw new HostError({ code: 'gateway_gone', message: String(error) });
    }
    if (response.ok || (response.status === 401 && path === 'api/session')) return response;
    throw new HostError(await readProblem(response));
  }

  private async readSession(response: Response): Promise<Session> {
    const body: unknown = await response.json().catch(() => null);
    if (typeof body !== 'object' || body === null || !('account' in body) || !('role' in body)) {
      throw new HostError({ code: 'internal', message: 'the gateway answered with something else than a session' });
    }
    return {
      account: String(body.account),
      role: ROLES[String(body.role)] ?? 1,
      address: this.wire.address,
      gateway: this.browser.gateway,
    };
  }

  // --- the link -------------------------------------------------------------------------------------------------

  private linkChanged(status: LinkStatus): void {
    if (status.state !== 'live') {
      for (const pending of this.pending.values()) pending.orphaned = true;
      this.snapshotsOpen.clear();
      if (this.subscribeTimer !== null) clearTimeout(this.subscribeTimer);
      this.subscribeTimer = null;
    }
    this.emit({ kind: 'link', link: status });
    if (status.state === 'closed' && status.code !== null) {
      this.current = null;
      this.state.clear();
      this.emit({ kind: 'session', session: null });
    }
  }

  private live(welcome: ToolWelcome): void {
    const { account, role, address } = welcome;
    this.current = { account, role, address, gateway: this.browser.gateway };
    this.emit({ kind: 'session', session: this.current });
    this.subscribe();
    this.askAfterOrphans();
  }

  /** Tried until it succeeds: a live link without a subscription would show old values for ever. */
  private subscribe(): void {
    this.state.beginSnapshot();
    this.missed.clear();
    this.wire.request(GATEWAY, { verb: 'subscribe', controllers: null }).then(
      ({ count }) => {
        this.changes.push(...this.state.endSnapshot(count));
        this.flush();
        for (const controller of this.missed) this.askSnapshot(controller);
        this.missed.clear();
      },
      (error: unknown) => {
        console.warn('subscribing failed', error);
        if (this.wire.status.state === 'live') this.subscribeTimer = setTimeout(() => this.subscribe(), SUBSCRIBE_AGAIN_MS);
      },
    );
  }

  private flush(): void {
    if (this.changes.length === 0) return;
    const changes = this.changes;
    this.changes = [];
    this.emit({ kind: 'fleet', changes });
  }

  private frame(frame: Frame): void {
    try {
      switch (frame.kind) {
        case Kind.statusFull:
          if (isFromController(frame)) {
            this.apply(frame.source, this.state.full(frame.source, decodeStatusFull(frame.payload), this.wire.gatewayTime()));
          }
          break;
        case Kind.statusDelta:
          if (isFromController(frame)) {
            this.apply(frame.source, this.state.delta(frame.source, decodeFields(statusDelta, frame.payload), this.wire.gatewayTime()));
          }
          break;
        case Kind.receipt:
          this.receipt(frame);
          break;
        case Kind.event:
          this.event(frame);
          break;
        case Kind.query:
          this.query(frame);
          break;
        default:
          break; // Nothing else is addressed to a page.
      }
    } catch (error) {
      // One peer's bad payload, passed on by a sound gateway, harms nobody else.
      if (!(error instanceof ProtocolFault)) throw error;
      console.warn('dropped a frame', frame.kind, frame.source, error.message);
    }
  }

  private apply(controller: Address, applied: Applied): void {
    if (applied.change !== null) this.changes.push(applied.change);
    if (!applied.gap) return;
    if (this.state.isSynced()) this.askSnapshot(controller);
    else this.missed.add(controller);
  }

  /** One open question per controller; a failed one is asked again at the next gap. */
  private askSnapshot(controller: Address): void {
    if (this.snapshotsOpen.has(controller)) return;
    this.snapshotsOpen.add(controller);
    this.wire
      .request(GATEWAY, { verb: 'snapshot', controller })
      .catch((error: unknown) => console.warn('asking for a snapshot failed', controller, error))
      .finally(() => this.snapshotsOpen.delete(controller));
  }

  private event(frame: Frame): void {
    const event = decodeRequest(Kind.event, frame.payload);
    if (event.verb === 'presence' && frame.source === GATEWAY) {
      this.apply(event.controller, this.state.presence(event));
    } else if (event.verb === 'note') {
      this.emit({ kind: 'note', note: { from: frame.source, text: event.text, at: Date.now() } });
    }
  }

  private query(frame: Frame): void {
    if (frame.correlation === 0) return;
    const { source: destination, correlation } = frame;
    const verb = verbOf(decodePayload(frame.payload)) ?? 0;
    const payload =
      verb === Verb.identify
        ? encodeAnswer('identify', { title: this.current?.account ?? 'page', software: SOFTWARE, peerKind: PeerKind.page })
        : encodeRefusal(verb, Code.unsupported);
    try {
      this.wire.send({ kind: Kind.response, flags: 0, correlation, destination, payload });
    } catch (error) {
      console.warn('an answer found no room', error); // The asker runs into his time-out, which he must expect.
    }
  }

  // --- commands -------------------------------------------------------------------------------------------------

  private receipt(frame: Frame): void {
    const { key, stage, at, reason, detail, final } = decodeFields(receiptMessage, frame.payload);
    const hex = toHex(key);
    const pending = this.pending.get(hex);
    // Receipts come from the gateway or from the controller that was commanded, and for our own keys.
    if (pending === undefined || (frame.source !== GATEWAY && frame.source !== pending.command.address)) return;
    this.tell({ key: hex, stage, at, reason, detail, final });
  }

  private tell(receipt: Receipt): void {
    if (receipt.final) {
      this.pending.delete(receipt.key);
      this.scheduleAsking();
    }
    this.emit({ kind: 'receipt', receipt });
  }

  /** Runs while there are pending commands: gives up on the hopeless, and asks after those of an earlier link. */
  private scheduleAsking(): void {
    if (this.pending.size === 0) {
      if (this.askTimer !== null) clearTimeout(this.askTimer);
      this.askTimer = null;
    } else {
      this.askTimer ??= setTimeout(() => {
        this.askTimer = null;
        this.askAfterOrphans();
        this.scheduleAsking();
      }, ASK_AGAIN_MS);
    }
  }

  private askAfterOrphans(): void {
    const now = this.browser.monotonic();
    for (const [key, pending] of [...this.pending]) {
      if (now >= pending.giveUpAt) this.tell(unknownReceipt(key));
      else if (pending.orphaned && !pending.asking && this.wire.status.state === 'live') {
        pending.asking = true;
        void this.askAfter(key, pending).finally(() => (pending.asking = false));
      }
    }
  }

  /** First the gateway; where it knows nothing of the key (it was restarted), the controller itself. */
  private async askAfter(key: string, pending: Pending): Promise<void> {
    const bytes = fromHex(key);
    try {
      const answer = await this.wire.request(GATEWAY, { verb: 'receipt', key: bytes });
      if (this.pending.has(key)) this.tell({ key, detail: null, ...answer });
      return;
    } catch (error) {
      if (!isAnswered(error)) return;
    }
    try {
      const answer = await this.wire.request(pending.command.address, { verb: 'outcome', key: bytes });
      if (!this.pending.has(key)) return;
      // Neither the gateway nor the controller has heard of it. It may have been executed before a restart of
      // the controller, so nobody can say that it was not.
      if (answer.stage === null) this.tell(unknownReceipt(key));
      else this.tell({ key, stage: answer.stage, at: null, reason: answer.reason, detail: null, final: answer.final ?? false });
    } catch {
      // Off line, or no answer in time: asked again until the command is given up.
    }
  }
}

function unknownReceipt(key: string): Receipt {
  return { key, stage: Stage.unknown, at: null, reason: Code.link_lost, detail: null, final: true };
}

/** Whether somebody answered, if only that he does not know. */
function isAnswered(error: unknown): boolean {
  return error instanceof HostError && !['gateway_gone', 'timed_out', 'busy', 'rate_limited', 'store_unavailable'].includes(error.code);
}

function isFromController(frame: Frame): boolean {
  return frame.destination === 0 && frame.source > 0 && frame.source < TOOL_ADDRESS_MIN;
}

async function readProblem(response: Response): Promise<{ code: string; message: string }> {
  const body: unknown = await response.json().catch(() => null);
  const problem = (typeof body === 'object' && body !== null ? body : {}) as { code?: unknown; detail?: unknown };
  const code = typeof problem.code === 'string' ? problem.code : `http_${response.status}`;
  return { code, message: typeof problem.detail === 'string' ? problem.detail : code };
}

export function createHost(): Host {
  return new WebHost(thisBrowser());
}
