// One tool link over WebSocket (docs/protocol.md sections 4.2 to 4.4): dial, hello, ping, back-off, and the open
// requests. It knows nothing of fleets or commands; frames that answer no request go to its owner.

import {
  BACKOFF_MS_MAX,
  BACKOFF_MS_MIN,
  BACKOFF_RESET_AFTER_MS,
  Code,
  codeName,
  decodeAnswer,
  decodeFields,
  decodeMessage,
  decodeResponse,
  encodeFields,
  encodeFrame,
  encodeRequest,
  errorMessage,
  Flag,
  Kind,
  ping,
  pingReply,
  PING_REPLY_TIMEOUT_MS,
  ProtocolFault,
  REQUEST_TIMEOUT_MS,
  requestKind,
  toolHello,
  toolWelcome,
  Verb,
  type AnswerFields,
  type AnswerVerb,
  type Frame,
  type Request,
  type ToolWelcome,
} from '../protocol';
import { HostError, type LinkStatus } from './types';

/** As much of WebSocket as a link needs; tests put a scripted one in its place. */
export interface Socket {
  binaryType: BinaryType;
  readonly bufferedAmount: number;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
  onerror: (() => void) | null;
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
}

export interface LinkOwner {
  openSocket(): Socket;
  software: string;
  /** Uniform in [0, 1). */
  random(): number;
  /** Milliseconds that only ever go forward. */
  monotonic(): number;
  live(welcome: ToolWelcome): void;
  frame(frame: Frame): void;
  /** All frames of one message have been given. */
  messageEnd(): void;
  status(status: LinkStatus): void;
  /** Asked after a dial that failed without a word: null where only a new log-in helps. */
  mayRetry(): Promise<boolean>;
}

/** Requests that wait for an answer at one time. */
export const OPEN_REQUESTS_MAX = 64;
/** Unsent bytes above which the link takes nothing more. */
export const UNSENT_BYTES_MAX = 1 << 20;
/** How long a dial may take until the hello is answered. */
export const DIAL_TIMEOUT_MS = 15_000;

/** Bounds on the ping interval that a gateway may ask for. */
const PING_INTERVAL_MS_MIN = 1_000;
const PING_INTERVAL_MS_MAX = 3_600_000;

const LINK_VERSION = 1;
/** These ends are not mended by dialling again. */
const FINAL_CODES: ReadonlySet<number> = new Set([Code.bad_token, Code.revoked, Code.unsupported_version]);

interface OpenRequest {
  verb: number;
  destination: number;
  timer: ReturnType<typeof setTimeout>;
  resolve(map: ReturnType<typeof decodeResponse>): void;
  reject(error: HostError): void;
}

export class Link {
  private socket: Socket | null = null;
  private state: LinkStatus = { state: 'closed', retryInMs: null, code: null };
  private welcome: ToolWelcome | null = null;
  private attempt = 0;
  private liveSince: number | null = null;
  private lastCode: number | null = null;
  private correlation: number;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private pingTimer: ReturnType<typeof setTimeout> | null = null;
  private pingOpen: number | null = null;
  /** Gateway time less monotonic time. */
  private timeOffset = 0;
  private readonly open = new Map<number, OpenRequest>();

  constructor(private readonly owner: LinkOwner) {
    this.correlation = Math.floor(owner.random() * 0xffff_ffff);
  }

  get status(): LinkStatus {
    return this.state;
  }

  get address(): number | null {
    return this.welcome?.address ?? null;
  }

  gatewayTime(): number {
    return Math.round(this.owner.monotonic() + this.timeOffset);
  }

  start(): void {
    if (this.state.state !== 'closed') return;
    this.attempt = 0;
    this.lastCode = null;
    this.dial();
  }

  stop(): void {
    this.drop();
    this.say({ state: 'closed', retryInMs: null, code: null });
  }

  /** Sends a frame; throws where there is no live link or no room. */
  send(frame: Omit<Frame, 'source'>): void {
    const { socket, welcome } = this;
    if (socket === null || welcome === null) throw new HostError({ code: 'gateway_gone', message: 'expected a live link' });
    if (socket.bufferedAmount > UNSENT_BYTES_MAX) throw new HostError({ code: 'busy', message: 'too much is unsent' });
    this.sendRaw(socket, { ...frame, source: welcome.address });
  }

  nextCorrelation(): number {
    this.correlation = (this.correlation + 1) >>> 0 || 1;
    return this.correlation;
  }

  /** Asks and waits for the ok answer; any other rejects with a `HostError` under its code's name. */
  async request<V extends AnswerVerb>(destination: number, request: Request & { verb: V }): Promise<AnswerFields[V]> {
    if (this.open.size >= OPEN_REQUESTS_MAX) throw new HostError({ code: 'busy', message: 'too many open requests' });
    const correlation = this.nextCorrelation();
    const payload = encodeRequest(request);
    this.send({ kind: requestKind(request), flags: 0, correlation, destination, payload });
    const response = await new Promise<ReturnType<typeof decodeResponse>>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.open.delete(correlation);
        reject(new HostError({ code: 'timed_out', message: `no answer to ${request.verb} in time` }));
      }, REQUEST_TIMEOUT_MS);
      this.open.set(correlation, { verb: Verb[request.verb], destination, timer, resolve, reject });
    });
    if (response.code !== 0) {
      throw new HostError({ code: codeName(response.code), message: response.detail ?? codeName(response.code) });
    }
    try {
      return decodeAnswer(request.verb, response.map);
    } catch (error) {
      throw new HostError({ code: 'bad_field', message: String(error) });
    }
  }

  private say(status: LinkStatus): void {
    this.state = status;
    this.owner.status(status);
  }

  private dial(): void {
    this.say({ state: 'connecting', retryInMs: null, code: this.lastCode });
    let socket: Socket;
    try {
      socket = this.owner.openSocket();
    } catch {
      this.lost(true);
      return;
    }
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      const payload = encodeFields(toolHello, {
        version: LINK_VERSION,
        token: null,
        installation: null,
        software: this.owner.software,
      });
      const correlation = this.nextCorrelation();
      this.sendRaw(socket, { kind: Kind.hello, flags: 0, correlation, source: 0, destination: 0, payload });
    };
    socket.onmessage = (event) => {
      if (this.socket === socket) this.message(event.data);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.lost(this.welcome === null && this.lastCode === null);
    };
    socket.onerror = () => undefined; // `close` always follows, and says no less.
    this.timer = setTimeout(() => this.lost(true), DIAL_TIMEOUT_MS);
  }

  private message(data: unknown): void {
    try {
      if (!(data instanceof ArrayBuffer)) throw new ProtocolFault('malformed', 'a message is binary');
      for (const frame of decodeMessage(new Uint8Array(data))) {
        this.take(frame);
        if (this.socket === null) break; // This frame ended the link.
      }
    } catch (error) {
      if (!(error instanceof ProtocolFault)) throw error;
      // A gateway that breaks the protocol is no gateway: leave, and come back later.
      this.lastCode = Code.malformed;
      this.lost(false);
      return;
    }
    this.owner.messageEnd();
  }

  private take(frame: Frame): void {
    if (frame.kind === Kind.error && frame.source === 0) {
      this.lastCode = decodeFields(errorMessage, frame.payload).code;
      this.lost(false);
    } else if (this.welcome === null) {
      if (frame.kind !== Kind.hello || (frame.flags & Flag.reply) === 0 || frame.source !== 0) {
        throw new ProtocolFault('malformed', 'expected the answer to the hello');
      }
      this.becomeLive(decodeFields(toolWelcome, frame.payload));
    } else if (frame.kind === Kind.ping) {
      this.takePing(frame);
    } else if (frame.kind === Kind.response) {
      this.takeResponse(frame);
    } else {
      this.owner.frame(frame);
    }
  }

  private becomeLive(welcome: ToolWelcome): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.welcome = welcome;
    this.liveSince = this.owner.monotonic();
    this.lastCode = null;
    this.setTime(welcome.time);
    this.schedulePing();
    this.say({ state: 'live', retryInMs: null, code: null });
    this.owner.live(welcome);
  }

  private setTime(time: number): void {
    this.timeOffset = time - this.owner.monotonic();
  }

  private schedulePing(): void {
    // A zero from a confused gateway must not become a storm; nor more than a timer can hold, which it takes as zero.
    const interval = Math.min(Math.max(this.welcome?.pingIntervalMs ?? 0, PING_INTERVAL_MS_MIN), PING_INTERVAL_MS_MAX);
    this.pingTimer = setTimeout(() => {
      const { socket } = this;
      if (socket === null) return;
      this.pingOpen = this.nextCorrelation();
      this.sendRaw(socket, {
        kind: Kind.ping,
        flags: 0,
        correlation: this.pingOpen,
        source: this.welcome?.address ?? 0,
        destination: 0,
        payload: encodeFields(ping, {}),
      });
      this.pingTimer = setTimeout(() => this.lost(false), PING_REPLY_TIMEOUT_MS);
    }, interval);
  }

  private takePing(frame: Frame): void {
    if ((frame.flags & Flag.reply) === 0) {
      if (this.hasRoom() && frame.source === 0) {
        const payload = encodeFields(pingReply, { time: null });
        this.send({ kind: Kind.ping, flags: Flag.reply, correlation: frame.correlation, destination: 0, payload });
      }
      return;
    }
    if (this.pingOpen === null || frame.correlation !== this.pingOpen) return;
    const { time } = decodeFields(pingReply, frame.payload);
    if (time !== null) this.setTime(time);
    this.pingOpen = null;
    if (this.pingTimer !== null) clearTimeout(this.pingTimer);
    this.schedulePing();
  }

  private takeResponse(frame: Frame): void {
    const request = this.open.get(frame.correlation);
    // Only the one who was asked may answer, or the gateway in his place; pages before the last are not awaited.
    if (request === undefined || (frame.source !== request.destination && frame.source !== 0)) return;
    if ((frame.flags & Flag.more) !== 0) return;
    this.open.delete(frame.correlation);
    clearTimeout(request.timer);
    let response: ReturnType<typeof decodeResponse>;
    try {
      response = decodeResponse(frame.payload);
      if (response.verb !== request.verb) throw new ProtocolFault('bad_field', 'an answer to another verb');
    } catch (error) {
      // A peer's bad answer fails its own request and nothing else.
      request.reject(new HostError({ code: 'bad_field', message: String(error) }));
      return;
    }
    request.resolve(response);
  }

  private hasRoom(): boolean {
    return this.socket !== null && this.welcome !== null && this.socket.bufferedAmount <= UNSENT_BYTES_MAX;
  }

  private sendRaw(socket: Socket, frame: Frame): void {
    socket.send(encodeFrame(frame));
  }

  /** Ends the socket, every timer and every open request. */
  private drop(): void {
    const { socket } = this;
    this.socket = null;
    this.welcome = null;
    this.pingOpen = null;
    if (this.timer !== null) clearTimeout(this.timer);
    if (this.pingTimer !== null) clearTimeout(this.pingTimer);
    this.timer = null;
    this.pingTimer = null;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
    }
    for (const request of this.open.values()) {
      clearTimeout(request.timer);
      request.reject(new HostError({ code: 'gateway_gone', message: 'the link was lost' }));
    }
    this.open.clear();
  }

  private lost(silent: boolean): void {
    const { liveSince } = this;
    this.drop();
    this.liveSince = null;
    if (liveSince !== null && this.owner.monotonic() - liveSince >= BACKOFF_RESET_AFTER_MS) this.attempt = 0;
    const code = this.lastCode;
    if (code !== null && FINAL_CODES.has(code)) {
      this.say({ state: 'closed', retryInMs: null, code });
      return;
    }
    this.attempt += 1;
    const most = Math.min(BACKOFF_MS_MIN * 2 ** (this.attempt - 1), BACKOFF_MS_MAX);
    const wait = Math.round(most / 2 + (most / 2) * this.owner.random());
    this.say({ state: 'waiting', retryInMs: wait, code });
    this.timer = setTimeout(() => {
      this.timer = null;
      this.lastCode = null;
      if (silent) void this.dialIfAllowed();
      else this.dial();
    }, wait);
  }

  private async dialIfAllowed(): Promise<void> {
    const allowed = await this.owner.mayRetry();
    if (this.state.state !== 'waiting' || this.timer !== null) return; // Stopped, or started anew, meanwhile.
    if (allowed) this.dial();
    else this.say({ state: 'closed', retryInMs: null, code: Code.bad_token });
  }
}
