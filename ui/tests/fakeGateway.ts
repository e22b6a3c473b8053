// As much of a gateway as the page can see, speaking real frames: for the page's own tests and for looking at its
// screens. It has no sockets: a peer is a pair of functions, so a test may put anything between.

import {
  Code,
  decodeFields,
  decodeMessage,
  decodeRequest,
  encodeAnswer,
  encodeFields,
  encodeFrame,
  encodeRefusal,
  encodeRequest,
  errorMessage,
  Flag,
  Kind,
  pingReply,
  PointFlag,
  receiptMessage,
  Stage,
  statusDelta,
  statusFull,
  toolHello,
  toolWelcome,
  Verb,
  type Cause,
  type Frame,
  type PointChange,
  type ReceiptMessage,
  type StatusPoint,
} from '../src/lib/protocol';
import { toHex } from '../src/lib/host/hex';

export interface FakeController {
  address: number;
  title: string;
  online: boolean;
  since: number;
  boot: number;
  sequence: number;
  behaviour: string;
  commands: string[];
  points: StatusPoint[];
}

export interface Peer {
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

export interface Connection {
  receive(bytes: Uint8Array): void;
  closed(): void;
}

interface Session {
  peer: Peer;
  address: number;
  subscribed: boolean;
}

/** Where a command is held until the test lets it go on. */
export type Hold = 'nothing' | 'before_sent' | 'before_executed';

export const TOOL = 0xc000_0001;

export function digital(index: number, name: string, type: 0 | 1, value: number, flags = 0, cause: Cause = { kind: 0, by: null, reference: null }): StatusPoint {
  return { index, name, type, value, flags, cause };
}

export class FakeGateway {
  readonly controllers = new Map<number, FakeController>();
  readonly sessions = new Set<Session>();
  /** Every frame that a page sent, hello included. */
  readonly received: Frame[] = [];
  readonly receipts = new Map<string, ReceiptMessage>();
  hold: Hold = 'nothing';
  /** Answers neither pings nor hellos any more. */
  mute = false;
  /** How the next hello is refused; null takes it. */
  refuseHello: number | null = null;
  /** How the next subscription is refused; null takes it. */
  refuseSubscribe: number | null = null;
  pingIntervalMs = 20_000;
  pages = 1;
  private waiting: (() => void)[] = [];

  constructor(private readonly now: () => number) {}

  add(controller: FakeController): void {
    this.controllers.set(controller.address, controller);
    for (const session of this.sessions) if (session.subscribed) this.introduce(session, controller);
  }

  connect(peer: Peer): Connection {
    let session: Session | null = null;
    return {
      receive: (bytes) => {
        for (const frame of decodeMessage(bytes)) {
          this.received.push(frame);
          if (this.mute) continue;
          if (frame.kind === Kind.hello) session = this.hello(peer, frame);
          else if (session !== null) this.take(session, frame);
        }
      },
      closed: () => {
        if (session !== null) this.sessions.delete(session);
      },
    };
  }

  /** Lets held commands go on. */
  release(): void {
    this.hold = 'nothing';
    for (const go of this.waiting.splice(0)) go();
  }

  /** Ends every connection as a dying gateway does. */
  dropAll(): void {
    for (const session of [...this.sessions]) {
      this.sessions.delete(session);
      session.peer.close();
    }
  }

  /** Changes points as the controller would, and tells the subscribers. */
  change(address: number, changes: readonly { name: string; value: number; cause: Cause }[], lose = false): void {
    const controller = this.controllers.get(address);
    if (controller === undefined) throw new Error(`no controller ${address}`);
    controller.sequence = (controller.sequence + 1) >>> 0;
    const points: PointChange[] = changes.map(({ name, value, cause }) => {
      const at = controller.points.findIndex((each) => each.name === name);
      const point = controller.points[at];
      if (point === undefined) throw new Error(`no point ${name}`);
      controller.points[at] = { ...point, value, cause };
      return { index: point.index, value, flags: point.flags, cause };
    });
    if (lose) return;
    const payload = encodeFields(statusDelta, { boot: controller.boot, sequence: controller.sequence, uptimeMs: 1, time: this.now(), points });
    this.toSubscribers({ kind: Kind.statusDelta, flags: 0, correlation: 0, source: address, destination: 0, payload });
  }

  setOnline(address: number, online: boolean, reason: number | null = null): void {
    const controller = this.controllers.get(address);
    if (controller === undefined) throw new Error(`no controller ${address}`);
    controller.online = online;
    controller.since = this.now();
    this.toSubscribers(this.presence(controller, reason));
  }

  note(from: number, text: string): void {
    const payload = encodeRequest({ verb: 'note', text });
    for (const session of this.sessions) {
      this.send(session, { kind: Kind.event, flags: 0, correlation: 0, source: from, destination: session.address, payload });
    }
  }

  /** Sends anything at all to every page. */
  inject(frame: Omit<Frame, 'destination'> & { destination?: number }): void {
    for (const session of this.sessions) this.send(session, { destination: session.address, ...frame });
  }

  private hello(peer: Peer, frame: Frame): Session | null {
    decodeFields(toolHello, frame.payload);
    if (this.refuseHello !== null) {
      const payload = encodeFields(errorMessage, { code: this.refuseHello, detail: null });
      peer.send(encodeFrame({ kind: Kind.error, flags: 0, correlation: 0, source: 0, destination: 0, payload }));
      peer.close();
      return null;
    }
    const session: Session = { peer, address: TOOL, subscribed: false };
    this.sessions.add(session);
    const payload = encodeFields(toolWelcome, {
      version: 1,
      time: this.now(),
      pingIntervalMs: this.pingIntervalMs,
      address: session.address,
      account: 'li',
      role: 2,
      gateway: new Uint8Array(16),
    });
    this.send(session, { kind: Kind.hello, flags: Flag.reply, correlation: frame.correlation, source: 0, destination: session.address, payload });
    return session;
  }

  private take(session: Session, frame: Frame): void {
    switch (frame.kind) {
      case Kind.ping:
        if ((frame.flags & Flag.reply) === 0) {
          const payload = encodeFields(pingReply, { time: this.now() });
          this.send(session, { kind: Kind.ping, flags: Flag.reply, correlation: frame.correlation, source: 0, destination: session.address, payload });
        }
        break;
      case Kind.query:
        this.query(session, frame);
        break;
      case Kind.command:
        this.command(session, frame);
        break;
      default:
        break;
    }
  }

  private query(session: Session, frame: Frame): void {
    const request = decodeRequest(Kind.query, frame.payload);
    const controller = this.controllers.get(frame.destination);
    const answer = (payload: Uint8Array) =>
      this.send(session, { kind: Kind.response, flags: 0, correlation: frame.correlation, source: frame.destination, destination: session.address, payload });
    switch (request.verb) {
      case 'subscribe':
        if (this.refuseSubscribe !== null) {
          answer(encodeRefusal(Verb.subscribe, this.refuseSubscribe));
          this.refuseSubscribe = null;
          break;
        }
        session.subscribed = true;
        for (const each of this.controllers.values()) this.introduce(session, each);
        answer(encodeAnswer('subscribe', { count: this.controllers.size }));
        break;
      case 'snapshot': {
        const wanted = this.controllers.get(request.controller ?? 0);
        if (wanted !== undefined) this.introduce(session, wanted);
        answer(encodeAnswer('snapshot', {}));
        break;
      }
      case 'describe':
        if (controller?.online === true) answer(encodeAnswer('describe', { behaviour: controller.behaviour, commands: controller.commands }));
        else answer(encodeRefusal(Verb.describe, Code.offline));
        break;
      case 'identify':
        answer(encodeAnswer('identify', { title: 'Console at Wang’s', software: 'switchyard 0.1.0', peerKind: 2 }));
        break;
      case 'lookup':
        answer(encodeAnswer('lookup', { address: request.address, online: true, since: 1_800_000_000_000, title: 'wang' }));
        break;
      case 'receipt': {
        const receipt = this.receipts.get(toHex(request.key));
        if (receipt === undefined) answer(encodeRefusal(Verb.receipt, Code.bad_field, 'no such key'));
        else answer(encodeAnswer('receipt', { stage: receipt.stage, at: receipt.at, reason: receipt.reason, final: receipt.final }));
        break;
      }
      case 'outcome': {
        const receipt = this.receipts.get(toHex(request.key));
        const boot = controller?.boot ?? 0;
        answer(encodeAnswer('outcome', { boot, stage: receipt?.stage ?? null, reason: receipt?.reason ?? null, final: receipt?.final ?? null }));
        break;
      }
      default:
        answer(encodeRefusal(Verb[request.verb], Code.unsupported));
    }
  }

  private command(session: Session, frame: Frame): void {
    const command = decodeRequest(Kind.command, frame.payload);
    if (command.verb !== 'set' && command.verb !== 'call') return;
    const { key } = command;
    const controller = this.controllers.get(frame.destination);
    const tell = (source: number, stage: number, final: boolean, reason: number | null = null) => {
      const receipt: ReceiptMessage = { key, stage, at: this.now(), reason, detail: null, final };
      this.receipts.set(toHex(key), receipt);
      const payload = encodeFields(receiptMessage, receipt);
      this.send(session, { kind: Kind.receipt, flags: 0, correlation: frame.correlation, source, destination: session.address, payload });
    };
    if (controller?.online !== true) return tell(0, Stage.refused, true, Code.offline);
    const execute = () => {
      const point = controller.points.find((each) => command.verb === 'set' && each.name === command.point);
      if (command.verb === 'call') return tell(controller.address, Stage.executed, true);
      if (point === undefined) return tell(controller.address, Stage.refused, true, Code.unknown_point);
      if ((point.flags & PointFlag.manual) === 0) return tell(controller.address, Stage.refused, true, Code.not_manual);
      const reference = new DataView(key.buffer, key.byteOffset).getUint32(0);
      const confirms = (point.flags & PointFlag.confirm) !== 0;
      tell(controller.address, Stage.executed, !confirms);
      this.change(controller.address, [{ name: point.name, value: command.value, cause: { kind: 2, by: session.address, reference } }]);
      if (confirms) tell(controller.address, Stage.confirmed, true);
    };
    const deliver = () => {
      tell(0, Stage.sent, false);
      tell(controller.address, Stage.delivered, false);
      if (this.hold === 'before_executed') this.waiting.push(execute);
      else execute();
    };
    if (this.hold === 'before_sent') this.waiting.push(deliver);
    else deliver();
  }

  private presence(controller: FakeController, reason: number | null): Frame {
    const payload = encodeRequest({
      verb: 'presence',
      controller: controller.address,
      online: controller.online,
      since: controller.since,
      title: controller.title,
      boot: controller.online ? controller.boot : null,
      features: controller.online ? 3 : null,
      software: controller.online ? 'Switchyard core 0.1.0' : null,
      board: controller.online ? 'host' : null,
      reason,
    });
    return { kind: Kind.event, flags: 0, correlation: 0, source: 0, destination: TOOL, payload };
  }

  private introduce(session: Session, controller: FakeController): void {
    this.send(session, this.presence(controller, controller.online ? null : Code.silent));
    const size = Math.ceil(controller.points.length / this.pages);
    for (let page = 0; page < this.pages; page++) {
      const payload = encodeFields(statusFull, {
        boot: controller.boot,
        sequence: controller.sequence,
        page,
        pages: this.pages,
        uptimeMs: 1,
        time: controller.online ? this.now() : controller.since,
        points: controller.points.slice(page * size, (page + 1) * size),
        layout: 1,
      });
      const flags = page + 1 < this.pages ? Flag.more : 0;
      this.send(session, { kind: Kind.statusFull, flags, correlation: 0, source: controller.address, destination: 0, payload });
    }
  }

  private toSubscribers(frame: Frame): void {
    for (const session of this.sessions) if (session.subscribed) this.send(session, frame);
  }

  private send(session: Session, frame: Frame): void {
    if (this.sessions.has(session)) session.peer.send(encodeFrame(frame));
  }
}
