// The browser's host against a scripted gateway that speaks real frames; time stands still unless it is told to pass.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeGateway, TOOL, digital, type Connection } from '../../../tests/fakeGateway';
import { Code, decodeRequest, encodeFields, encodeRequest, Flag, Kind, PointFlag, receiptMessage, Stage } from '../protocol';
import { newKey } from './hex';
import type { Socket } from './link';
import type { FleetChange, HostEvent, Receipt } from './types';
import { ASK_AGAIN_MS, PENDING_COMMANDS_MAX, SUBSCRIBE_AGAIN_MS, WebHost } from './web';

/** A browser's half of a WebSocket whose other half is the fake gateway. Messages arrive in a later microtask. */
class ScriptedSocket implements Socket {
  binaryType: BinaryType = 'blob';
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  isClosed = false;
  private readonly connection: Connection | null;

  constructor(gateway: FakeGateway | null) {
    this.connection =
      gateway?.connect({
        send: (bytes) => this.deliver(bytes.slice().buffer),
        close: () => queueMicrotask(() => this.close()),
      }) ?? null;
    queueMicrotask(() => {
      if (gateway === null) this.close();
      else this.onopen?.();
    });
  }

  deliver(data: unknown): void {
    queueMicrotask(() => {
      if (!this.isClosed) this.onmessage?.({ data });
    });
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.connection?.receive(bytes);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.connection?.closed();
    this.onclose?.();
  }
}

const PUMP = 100042;
const BOOT_CAUSE = { kind: 0, by: null, reference: null };

let gateway: FakeGateway;
let reachable: boolean;
let sessionStatus: number;
let setupAnswer: string;
/** What was sent by HTTP, and where. */
let posted: [string, unknown][];
/** What the API answers to any other request, and the last such request. */
let apiAnswer: () => Promise<Response>;
let apiAsked: { path: string; init: RequestInit } | null;
let sockets: ScriptedSocket[];
let events: HostEvent[];
let host: WebHost;

function addPump(): void {
  gateway.add({
    address: PUMP,
    title: 'Pump house 3',
    online: true,
    since: 1,
    boot: 7,
    sequence: 0xffff_fffe,
    behaviour: 'latching output',
    commands: [],
    points: [digital(0, 'RL1', 1, 0, PointFlag.manual), digital(1, 'DI1', 0, 0), digital(2, 'RL2', 1, 0, PointFlag.manual | PointFlag.confirm)],
  });
}

beforeEach(async () => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  gateway = new FakeGateway(Date.now);
  addPump();
  reachable = true;
  sessionStatus = 200;
  setupAnswer = '{"needed":false}';
  posted = [];
  apiAnswer = () => Promise.resolve(new Response('{}'));
  apiAsked = null;
  sockets = [];
  events = [];
  host = new WebHost({
    fetch: (path, init) => {
      const { method, body } = init;
      if (method === 'POST' && typeof body === 'string') posted.push([path, JSON.parse(body)]);
      if (!reachable) return Promise.reject(new TypeError('refused'));
      if (path === 'api/logout') return Promise.resolve(new Response(null, { status: 204 }));
      if (path === 'api/setup' && method === 'GET') return Promise.resolve(new Response(setupAnswer));
      if (!['api/session', 'api/login', 'api/setup'].includes(path)) {
        apiAsked = { path, init };
        return apiAnswer();
      }
      const answer = sessionStatus === 200 ? { account: 'li', role: 'operator' } : { code: 'not_logged_in', detail: 'log in' };
      return Promise.resolve(new Response(JSON.stringify(answer), { status: sessionStatus }));
    },
    openSocket: () => {
      const socket = new ScriptedSocket(reachable ? gateway : null);
      sockets.push(socket);
      return socket;
    },
    random: () => 0.5,
    monotonic: () => Date.now() - 1_700_000_000_000,
    gateway: 'yard.example',
  });
  host.listen((event) => events.push(event));
});

afterEach(async () => {
  await host.logOut().catch(() => undefined);
  vi.useRealTimers();
});

async function settle(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

async function live(): Promise<void> {
  await host.session();
  await settle();
  expect((await host.link()).state).toBe('live');
}

function changes(): FleetChange[] {
  return events.flatMap((event) => (event.kind === 'fleet' ? event.changes : []));
}

function receipts(): Receipt[] {
  return events.flatMap((event) => (event.kind === 'receipt' ? [event.receipt] : []));
}

function stages(): number[] {
  return receipts().map((receipt) => receipt.stage);
}

async function value(name: string): Promise<number | undefined> {
  const { controllers } = await host.fleet();
  return controllers.find((each) => each.address === PUMP)?.points.find((point) => point.name === name)?.value;
}

function snapshotsAsked(): number {
  return gateway.received.filter((frame) => frame.kind === Kind.query && decodeRequest(frame.kind, frame.payload).verb === 'snapshot').length;
}

function lastSocket(): ScriptedSocket {
  const socket = sockets.at(-1);
  if (socket === undefined) throw new Error('expected a socket');
  return socket;
}

async function setPoint(point = 'RL1', wanted = 1): Promise<string> {
  const key = newKey();
  await host.send({ key, address: PUMP, action: { kind: 'set', point, value: wanted }, expiresInMs: 15_000, wait: false });
  return key;
}

describe('the fleet', () => {
  it('takes the snapshot, then deltas, across the wrap of the sequence', async () => {
    await live();
    expect(await host.fleet()).toMatchObject({ synced: true, controllers: [{ address: PUMP, title: 'Pump house 3', online: true }] });
    for (const wanted of [1, 0, 1]) {
      gateway.change(PUMP, [{ name: 'RL1', value: wanted, cause: BOOT_CAUSE }]);
      await settle();
      expect(await value('RL1')).toBe(wanted);
    }
    expect(changes().filter((change) => change.kind === 'points')).toHaveLength(3);
    expect(snapshotsAsked()).toBe(0);
  });

  it('puts a full status of several pages together, and shows it whole or not at all', async () => {
    gateway.pages = 3;
    await live();
    const { controllers } = await host.fleet();
    expect(controllers[0]?.points.map((point) => point.name)).toEqual(['RL1', 'DI1', 'RL2']);
    const shown = changes().flatMap((change) => (change.kind === 'controller' ? [change.controller.points.length] : []));
    expect(new Set(shown)).toEqual(new Set([0, 3]));
  });

  it('asks once for a snapshot when deltas are missing, and has the truth again', async () => {
    await live();
    gateway.change(PUMP, [{ name: 'RL1', value: 1, cause: BOOT_CAUSE }], true);
    gateway.change(PUMP, [{ name: 'DI1', value: 1, cause: BOOT_CAUSE }]);
    gateway.change(PUMP, [{ name: 'DI1', value: 0, cause: BOOT_CAUSE }]);
    await settle();
    expect(snapshotsAsked()).toBe(1);
    expect(await value('RL1')).toBe(1);
    expect(await value('DI1')).toBe(0);
  });

  it('subscribes again where the gateway could not, rather than be live and show nothing', async () => {
    gateway.refuseSubscribe = Code.store_unavailable;
    await live();
    expect(await host.fleet()).toEqual({ synced: false, controllers: [] });
    await settle(SUBSCRIBE_AGAIN_MS);
    expect(await host.fleet()).toMatchObject({ synced: true, controllers: [{ address: PUMP }] });
  });

  it('takes what a new snapshot does not mention as gone', async () => {
    await live();
    gateway.controllers.delete(PUMP);
    gateway.dropAll();
    await settle(2_000);
    expect(await host.fleet()).toEqual({ synced: true, controllers: [] });
    expect(changes()).toContainEqual({ kind: 'gone', address: PUMP });
  });

  it('forgets at once what it may not see any more, and takes it for new when it is back', async () => {
    await live();
    const goodbye = encodeRequest({ verb: 'presence', controller: PUMP, online: false, since: 0, title: String(PUMP), boot: null, features: null, software: null, board: null, reason: Code.forbidden });
    const inject = (payload: Uint8Array): void => gateway.inject({ kind: Kind.event, flags: 0, correlation: 0, source: 0, destination: 0, payload });
    inject(goodbye);
    gateway.change(PUMP, [{ name: 'RL1', value: 1, cause: BOOT_CAUSE }]);
    await settle();
    expect(await host.fleet()).toEqual({ synced: true, controllers: [] });
    expect(changes().at(-1)).toEqual({ kind: 'gone', address: PUMP });
    expect(snapshotsAsked()).toBe(0);
    const told = changes().length;
    inject(goodbye);
    await settle();
    expect(changes()).toHaveLength(told);
    inject(encodeRequest({ verb: 'presence', controller: PUMP, online: true, since: 1, title: 'Pump house 3', boot: 7, features: null, software: null, board: null, reason: null }));
    await settle();
    expect((await host.fleet()).controllers).toMatchObject([{ title: 'Pump house 3', online: true, points: [] }]);
  });

  it('ignores status that a tool sends, and presence that is not from the gateway', async () => {
    await live();
    const payload = encodeRequest({ verb: 'presence', controller: PUMP, online: false, since: 5, title: 'Forged', boot: null, features: null, software: null, board: null, reason: null });
    gateway.inject({ kind: Kind.event, flags: 0, correlation: 0, source: 0x8000_0009, payload });
    gateway.inject({ kind: Kind.statusDelta, flags: 0, correlation: 0, source: 0x8000_0009, destination: 0, payload: Uint8Array.of(0xa0) });
    gateway.inject({ kind: Kind.statusDelta, flags: 0, correlation: 0, source: PUMP, destination: 0, payload: Uint8Array.of(0xa0) });
    await settle();
    expect((await host.fleet()).controllers).toMatchObject([{ title: 'Pump house 3', online: true }]);
    expect((await host.link()).state).toBe('live');
  });
});

describe('commands', () => {
  it('tells the stages of a command in order, to the confirmed end', async () => {
    await live();
    const key = await setPoint('RL2');
    await settle();
    expect(stages()).toEqual([Stage.sent, Stage.delivered, Stage.executed, Stage.confirmed]);
    expect(receipts().every((receipt) => receipt.key === key)).toBe(true);
    expect(receipts().map((receipt) => receipt.final)).toEqual([false, false, false, true]);
    expect(await value('RL2')).toBe(1);
  });

  it('sends absolute values with an expiry in gateway time', async () => {
    await live();
    await setPoint('RL1', 1);
    const frame = gateway.received.find((each) => each.kind === Kind.command);
    if (frame === undefined) throw new Error('expected a command');
    expect(decodeRequest(Kind.command, frame.payload)).toMatchObject({ verb: 'set', point: 'RL1', value: 1, expiry: Date.now() + 15_000 });
    expect(frame).toMatchObject({ source: TOOL, destination: PUMP });
  });

  it('takes no receipt from a stranger', async () => {
    await live();
    gateway.hold = 'before_sent';
    const key = await setPoint();
    const payload = encodeFields(receiptMessage, { key: Uint8Array.from(Buffer.from(key, 'hex')), stage: Stage.confirmed, at: null, reason: null, detail: null, final: true });
    gateway.inject({ kind: Kind.receipt, flags: 0, correlation: 0, source: 100043, payload });
    await settle();
    expect(receipts()).toEqual([]);
  });

  it('asks after a command whose link was lost, and learns what became of it', async () => {
    await live();
    gateway.hold = 'before_executed';
    await setPoint();
    await settle();
    gateway.dropAll();
    gateway.release(); // Executed while nobody listens.
    await settle(5_000);
    expect((await host.link()).state).toBe('live');
    expect(receipts().at(-1)).toMatchObject({ stage: Stage.executed, final: true });
    expect(receipts().filter((receipt) => receipt.final)).toHaveLength(1);
    expect(await value('RL1')).toBe(1);
  });

  it('asks the controller when the gateway has forgotten, and says unknown when nobody has heard of it', async () => {
    await live();
    gateway.hold = 'before_sent';
    await setPoint();
    gateway.dropAll();
    gateway.receipts.clear();
    await settle(5_000);
    expect(receipts().at(-1)).toMatchObject({ stage: Stage.unknown, reason: Code.link_lost, final: true });
  });

  it('asks after a command once at a time, however long the answer takes', async () => {
    await live();
    gateway.hold = 'before_executed';
    await setPoint();
    gateway.dropAll();
    await settle(1_000);
    gateway.mute = true;
    const from = gateway.received.length;
    await settle(3 * ASK_AGAIN_MS);
    const asked = gateway.received.slice(from).filter((frame) => frame.kind === Kind.query);
    expect(asked).toHaveLength(1);
  });

  it('gives up on a command that nobody ever ends', async () => {
    await live();
    gateway.hold = 'before_sent';
    await setPoint();
    await settle(15_000 + 60_000 + 4_000);
    expect(receipts()).toMatchObject([{ stage: Stage.unknown, final: true }]);
  });

  it('refuses more commands than it can keep', async () => {
    await live();
    gateway.hold = 'before_sent';
    for (let n = 0; n < PENDING_COMMANDS_MAX; n++) await setPoint();
    await expect(setPoint()).rejects.toMatchObject({ code: 'busy' });
  });

  it('fails at once without a link', async () => {
    await expect(setPoint()).rejects.toMatchObject({ code: 'gateway_gone' });
  });
});

describe('the link', () => {
  it('comes back with growing, jittered pauses, and with a correct snapshot', async () => {
    await live();
    reachable = false;
    gateway.dropAll();
    await settle();
    const pauses: number[] = [];
    for (let n = 0; n < 9; n++) {
      const { state, retryInMs } = await host.link();
      expect(state).toBe('waiting');
      pauses.push(retryInMs ?? -1);
      await settle(retryInMs ?? 0);
    }
    // A chance of one half lies in the middle of [d/2, d].
    expect(pauses).toEqual([750, 1_500, 3_000, 6_000, 12_000, 24_000, 45_000, 45_000, 45_000]);
    gateway.change(PUMP, [{ name: 'DI1', value: 1, cause: BOOT_CAUSE }]);
    reachable = true;
    await settle(60_000);
    expect((await host.link()).state).toBe('live');
    expect(await value('DI1')).toBe(1);
    // It was not live for long enough to start the pauses anew.
    gateway.dropAll();
    await settle();
    expect((await host.link()).retryInMs).toBe(45_000);
  });

  it('pings, and takes a missing reply as a dead link', async () => {
    await live();
    await settle(65_000);
    expect(gateway.received.filter((frame) => frame.kind === Kind.ping)).toHaveLength(3);
    gateway.mute = true;
    await settle(20_000);
    expect((await host.link()).state).toBe('live');
    await settle(5_100); // 80 s after the start a ping, and 10 s without its reply.
    expect((await host.link()).state).toBe('waiting');
    expect(lastSocket().isClosed).toBe(true);
  });

  it('makes no storm of pings out of an interval that no timer can hold', async () => {
    gateway.pingIntervalMs = 0xffff_ffff;
    await live();
    await settle(60_000);
    expect(gateway.received.filter((frame) => frame.kind === Kind.ping)).toHaveLength(0);
  });

  it('answers the gateway’s ping', async () => {
    await live();
    gateway.inject({ kind: Kind.ping, flags: 0, correlation: 99, source: 0, payload: Uint8Array.of(0xa0) });
    await settle();
    expect(gateway.received.at(-1)).toMatchObject({ kind: Kind.ping, flags: Flag.reply, correlation: 99 });
  });

  it('does not dial again when only a new log-in helps', async () => {
    gateway.refuseHello = Code.bad_token;
    await host.session();
    await settle(120_000);
    expect(await host.link()).toMatchObject({ state: 'closed', code: Code.bad_token });
    expect(sockets).toHaveLength(1);
    expect(events.at(-1)).toEqual({ kind: 'session', session: null });
  });

  it('notices over HTTP that the session has ended while the gateway was away', async () => {
    await live();
    reachable = false;
    gateway.dropAll();
    await settle(2_000);
    reachable = true;
    sessionStatus = 401;
    await settle(10_000);
    expect(await host.link()).toMatchObject({ state: 'closed', code: Code.bad_token });
  });

  it.each([
    ['a text message', 'hello'],
    ['half a header', Uint8Array.of(0x10, 0).buffer],
    ['an unknown kind', new Uint8Array(16).fill(0x99).buffer],
  ])('leaves a gateway that sends %s', async (_, data) => {
    await live();
    lastSocket().deliver(data);
    await settle();
    expect(await host.link()).toMatchObject({ state: 'waiting', code: Code.malformed });
  });

  it('gives up a dial that nobody answers', async () => {
    gateway.mute = true;
    await host.session();
    await settle(14_000);
    expect((await host.link()).state).toBe('connecting');
    await settle(1_000);
    expect((await host.link()).state).toBe('waiting');
  });

  it('fails open questions when it is lost, and those that nobody answers', async () => {
    await live();
    gateway.mute = true;
    const lost = expect(host.describe(PUMP)).rejects.toMatchObject({ code: 'gateway_gone' });
    gateway.dropAll();
    await settle();
    await lost;
  });
});

describe('other tools', () => {
  it('hears their notes', async () => {
    await live();
    gateway.note(0x8000_0007, 'leave RL1 alone');
    await settle();
    expect(events.at(-1)).toMatchObject({ kind: 'note', note: { from: 0x8000_0007, text: 'leave RL1 alone' } });
  });

  it('answers who it is, and that it supports nothing else', async () => {
    await live();
    gateway.inject({ kind: Kind.query, flags: 0, correlation: 5, source: 0x8000_0007, payload: encodeRequest({ verb: 'identify' }) });
    gateway.inject({ kind: Kind.query, flags: 0, correlation: 6, source: 0x8000_0007, payload: encodeRequest({ verb: 'describe' }) });
    await settle();
    const [identity, refusal] = gateway.received.slice(-2);
    expect(identity).toMatchObject({ kind: Kind.response, correlation: 5, source: TOOL, destination: 0x8000_0007 });
    expect(Buffer.from(identity?.payload ?? []).toString('latin1')).toContain('Switchyard page');
    expect(identity?.payload.at(-1)).toBe(3);
    expect(refusal?.payload).toEqual(Uint8Array.of(0xa2, 0x00, 0x18, Code.unsupported, 0x02, 0x02));
  });
});

describe('the session', () => {
  it('is nobody without a cookie', async () => {
    sessionStatus = 401;
    expect(await host.session()).toBeNull();
    expect(sockets).toHaveLength(0);
  });

  it('says why a log-in failed', async () => {
    sessionStatus = 401;
    await expect(host.logIn({ gateway: '', account: 'li', password: 'x', code: null })).rejects.toMatchObject({ code: 'not_logged_in' });
    reachable = false;
    await expect(host.logIn({ gateway: '', account: 'li', password: 'x', code: null })).rejects.toMatchObject({ code: 'gateway_gone' });
  });

  it('begins by a log-in, with a code only where one was asked for', async () => {
    await host.logIn({ gateway: '', account: 'li', password: 'x', code: null });
    await host.logIn({ gateway: '', account: 'li', password: 'x', code: '123456' });
    expect(posted).toEqual([
      ['api/login', { account: 'li', password: 'x' }],
      ['api/login', { account: 'li', password: 'x', code: '123456' }],
    ]);
    await settle();
    expect((await host.link()).state).toBe('live');
  });

  it('begins by the first account', async () => {
    await host.setUp({ gateway: '', setupCode: 'ABCDE', account: 'li', password: 'x' });
    expect(posted).toEqual([['api/setup', { setup_code: 'ABCDE', account: 'li', password: 'x' }]]);
    await settle();
    expect((await host.link()).state).toBe('live');
  });

  it.each([
    ['{"needed":true}', true],
    ['{"needed":false}', false],
    ['{}', false],
    ['<html>', false],
  ])('takes %s for a gateway to set up: %s', async (answer, needed) => {
    setupAnswer = answer;
    expect(await host.isSetupNeeded()).toBe(needed);
  });

  it('ends with its link and all that was known', async () => {
    await live();
    await host.logOut();
    expect(lastSocket().isClosed).toBe(true);
    expect(await host.fleet()).toEqual({ synced: false, controllers: [] });
    await settle(120_000);
    expect(sockets).toHaveLength(1);
  });
});

describe('the API', () => {
  it('is asked with the cookie, and its answer comes with its status', async () => {
    apiAnswer = () => Promise.resolve(new Response('{"alarms":[7]}', { status: 202 }));
    expect(await host.api({ method: 'POST', path: 'api/alarms/acknowledge', body: { alarms: [7] } })).toEqual({ status: 202, body: { alarms: [7] } });
    expect(apiAsked).toMatchObject({ path: 'api/alarms/acknowledge', init: { method: 'POST', body: '{"alarms":[7]}', credentials: 'same-origin', headers: { 'X-Switchyard': 'page', 'Content-Type': 'application/json' } } });
    apiAnswer = () => Promise.resolve(new Response(null, { status: 204 }));
    expect(await host.api({ method: 'DELETE', path: 'api/alarm-rules/7' })).toEqual({ status: 204, body: null });
  });

  it('refuses by its code, and in its own words', async () => {
    apiAnswer = () => Promise.resolve(new Response('{"code":"bad_field","detail":"expected a telephone number as telephone"}', { status: 422 }));
    await expect(host.api({ method: 'PUT', path: 'api/contacts/1', body: {} })).rejects.toMatchObject({ code: 'bad_field', message: 'expected a telephone number as telephone' });
    apiAnswer = () => Promise.resolve(new Response('<html>', { status: 200 }));
    await expect(host.api({ method: 'GET', path: 'api/alarms' })).rejects.toMatchObject({ code: 'internal' });
    reachable = false;
    await expect(host.api({ method: 'GET', path: 'api/alarms' })).rejects.toMatchObject({ code: 'gateway_gone' });
  });

  it('may hold an answer for as long as it was told, and is left when nobody waits any more', async () => {
    const timeouts = vi.spyOn(AbortSignal, 'timeout');
    const ended = new AbortController();
    apiAnswer = () =>
      new Promise((_, reject) => {
        apiAsked?.init.signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
      });
    const asked = expect(host.api({ method: 'GET', path: 'api/alarms', waitMs: 25_000, signal: ended.signal })).rejects.toMatchObject({ code: 'gateway_gone' });
    expect(timeouts).toHaveBeenLastCalledWith(40_000);
    ended.abort();
    await asked;
  });
});
