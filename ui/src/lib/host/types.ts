// What the screens need from the world, whoever provides it: the browser (web.ts) or the desktop (tauri.ts).
//
// Every shape here is plain JSON, so that it crosses the desktop's bridge unchanged. Numbers that the protocol
// registers (point types, cause kinds, stages, codes, roles) stay numbers: a number that is newer than this page
// is shown as it is. `null` stands for "not known", never for "false". Times are milliseconds since the Unix
// epoch, in gateway time unless said otherwise.

/** A peer's number; see docs/protocol.md section 1. */
export type Address = number;

/** What the page speaks. */
export type Language = 'en' | 'zh';

/** Who is logged in. */
export interface Session {
  account: string;
  /** 1 viewer, 2 operator, 3 technician, 4 admin. */
  role: number;
  /** This tool's own address; null until the link is live. */
  address: Address | null;
  /** What to call the gateway: the host (and TCP port) that was dialled. */
  gateway: string;
}

/** What a log-in asks for. `gateway` is for the desktop alone: a page belongs to the gateway that served it. */
export interface Credentials {
  gateway: string;
  account: string;
  password: string;
  /** Of the second factor; null until the gateway asks for it by `code_needed`. A code counts once. */
  code: string | null;
}

/** The first account of a new gateway, and by what right it is made. */
export interface FirstAccount {
  /** As in `Credentials`. */
  gateway: string;
  /** What the gateway wrote into the file `setup-code` of its data folder. */
  setupCode: string;
  account: string;
  password: string;
}

/** Why a point has its value. */
export interface Cause {
  /** 0 boot, 1 script, 2 command, 3 schedule, 4 link loss, 5 input, 6 timer, 7 force, 8 safe. */
  kind: number;
  /** The commanding tool's address (kind 2). */
  by: Address | null;
  /** Script line (kinds 1 and 3), or the first four bytes of the command's key as a number (kind 2). */
  reference: number | null;
}

/** One input or output of a controller. */
export interface Point {
  /** 0 to 31. */
  index: number;
  name: string;
  /** 0 digital input, 1 digital output, 2 analogue input, 3 analogue output. */
  type: number;
  /** 0 or 1 for digital points, thousandths for analogue ones. */
  value: number;
  /** Bits: 1 manual, 2 bad, 4 fault, 8 forced, 16 confirm. */
  flags: number;
  cause: Cause;
}

/** What a delta says of one point. */
export interface PointUpdate {
  index: number;
  value: number;
  flags: number;
  cause: Cause;
}

/** Everything known of one controller. */
export interface Controller {
  address: Address;
  title: string;
  online: boolean;
  /** Since when it has been on line, or off line. */
  since: number;
  /** Why it went off line (a code of section 9), where the gateway said so. */
  offlineReason: number | null;
  boot: number | null;
  sequence: number | null;
  software: string | null;
  board: string | null;
  features: number | null;
  /** When the points were last heard of; null before the first status. */
  heardAt: number | null;
  /** In ascending order of index. */
  points: Point[];
}

/** The fleet at one moment. `synced` is false until the first snapshot has come in whole. */
export interface FleetSnapshot {
  synced: boolean;
  controllers: Controller[];
}

/**
 * One change of the fleet. `controller` replaces everything known of it (presence or a full status); `points` are
 * the changed points of a delta; `gone` is a controller that is not to be seen any more; `synced` marks the end of a
 * snapshot.
 */
export type FleetChange =
  | { kind: 'controller'; controller: Controller }
  | { kind: 'points'; address: Address; boot: number; sequence: number; at: number; points: PointUpdate[] }
  | { kind: 'gone'; address: Address }
  | { kind: 'synced'; count: number };

/** What a command does: sets a point to an absolute value, or calls one of the controller's commands. */
export type Action =
  | { kind: 'set'; point: string; value: number }
  | { kind: 'call'; command: string; arguments: number[] };

/**
 * A command. The screen chooses the key (32 hex digits, random), so that no receipt can come before it is known
 * whose it is.
 */
export interface Command {
  key: string;
  address: Address;
  action: Action;
  /** From now; the host turns it into gateway time. At most 24 hours. */
  expiresInMs: number;
  /** Whether it may wait in the gateway for a controller that is off line. */
  wait: boolean;
}

/** One stage of a command; exactly one receipt of a key is final, and it is the last. */
export interface Receipt {
  key: string;
  /** 1 queued, 2 sent, 3 delivered, 4 executed, 5 confirmed, 16 expired, 17 refused, 18 failed, 19 unknown. */
  stage: number;
  at: number | null;
  /** A code of section 9. */
  reason: number | null;
  detail: string | null;
  final: boolean;
}

/** What a controller's firmware says of itself. */
export interface Description {
  behaviour: string;
  /** Signatures, such as `pulse(t: time in 100ms..60s)`. */
  commands: string[];
}

/** Who answers at an address. */
export interface Identity {
  title: string;
  software: string;
  /** 0 gateway, 1 controller, 2 console, 3 page, 4 desktop, 5 program. */
  peerKind: number;
}

/** A word from another tool. */
export interface Note {
  from: Address;
  text: string;
  /** When it came, by this machine's clock. */
  at: number;
}

/** The link to the gateway. */
export interface LinkStatus {
  /** `waiting` stands between two attempts; `closed` means logged out, or that only a new log-in helps. */
  state: 'connecting' | 'live' | 'waiting' | 'closed';
  /** How long until the next attempt, at the moment this was said (`waiting` only). */
  retryInMs: number | null;
  /** The code of section 9 that ended the last link, where the gateway gave one. */
  code: number | null;
}

/** A serial port of this machine. */
export interface SerialPort {
  /** What one opens, such as `/dev/ttyUSB0` or `COM7`. */
  name: string;
  kind: 'usb' | 'bluetooth' | 'pci' | 'unknown';
  /** USB only. */
  vendorId: number | null;
  productId: number | null;
  manufacturer: string | null;
  product: string | null;
  serialNumber: string | null;
}

/** A file, and where in the flash it belongs. */
export interface BoardImage {
  offset: number;
  path: string;
}

/** What a board is to become. Files are named by their paths on this machine. */
export interface BoardOrder {
  serialPort: string;
  /** Who brings the board into its loader: the adapter's lines, or a person with GPIO0 and power. */
  reset: 'lines' | 'person';
  /** None where its program is there already. */
  images: BoardImage[];
  profile: string;
  /** Null leaves its network as it is. */
  wifi: string | null;
  /** Empty for an open network. */
  wifiPassword: string;
  /** HOST:PORT, as the board sees them; at most two. */
  gateways: string[];
  title: string;
  site: number | null;
  script: string | null;
  /** Of the board's own page, where it has one already. */
  pagePassword: string | null;
  /** A board that is enrolled already becomes another controller. */
  replace: boolean;
  /** Somebody says that the board is not on mains. */
  offMains: boolean;
}

/** What is being done with a board, in the order in which it is. */
export type BoardStep =
  | 'finding'
  | 'comparing'
  | 'backingUp'
  | 'writing'
  | 'verifying'
  | 'starting'
  | 'unlocking'
  | 'setting'
  | 'joining'
  | 'script'
  | 'enrolling'
  | 'restarting'
  | 'reaching'
  | 'rollingBack';

/** What a person at the board is asked to do. */
export type BoardPrompt = 'enterLoader' | 'startProgram';

/** How it ended. */
export type BoardEnd =
  | {
      kind: 'done';
      address: Address | null;
      /** Where its own page is. */
      page: string | null;
      /** Who it was before; the gateway still knows of that one. */
      before: Address | null;
    }
  | {
      kind: 'failed';
      message: string;
      advice: string | null;
      isStopped: boolean;
      /** The number that was made and taken back, where that was so. */
      address: Address | null;
      /** The board may still have that number. */
      leftOnBoard: boolean;
      /** The gateway may still know it. */
      leftAtGateway: boolean;
    };

/** How far the board on the bench is. Each says all of it. */
export interface BoardState {
  serialPort: string;
  title: string;
  step: BoardStep;
  prompt: BoardPrompt | null;
  /** Of this step; 0 where it has none. */
  bytes: number;
  bytesDone: number;
  chip: string | null;
  /** Profile and software, by its own word. */
  board: string | null;
  /** How often something was lost on the line and done again. */
  retries: number;
  /** The last lines of its log, the youngest last. */
  lines: string[];
  isStopping: boolean;
  end: BoardEnd | null;
}

/**
 * What a host's call fails with. `code` is a stable lowercase word: those of docs/http.md and of docs/protocol.md
 * section 9, and `gateway_gone` when the gateway could not be reached. Screens switch on it; `message` is for logs.
 */
export interface HostFault {
  code: string;
  message: string;
}

/** What a host tells on its own. */
export type HostEvent =
  | { kind: 'fleet'; changes: FleetChange[] }
  | { kind: 'receipt'; receipt: Receipt }
  | { kind: 'note'; note: Note }
  | { kind: 'link'; link: LinkStatus }
  | { kind: 'session'; session: Session | null }
  | { kind: 'board'; board: BoardState };

/** Boards on this machine's serial ports made controllers, one at a time. */
export interface Boards {
  /** How far the board on the bench is, or how the last one ended. */
  state(): Promise<BoardState | null>;
  /** Resolves once it is begun; how far it is comes as events. */
  install(order: BoardOrder): Promise<void>;
  /** Asks to stop where that does no harm. */
  stop(): Promise<void>;
}

export type ApiMethod = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** A request to the gateway's HTTP API (docs/http.md), as whoever is logged in. */
export interface ApiRequest {
  method: ApiMethod;
  /** Such as `api/alarms?open=true`. */
  path: string;
  /** Becomes JSON. */
  body?: unknown;
  /** How long the gateway may hold its answer on purpose, beside what any answer may take. */
  waitMs?: number;
  /** Ends the waiting for the answer; what was asked may have been done. */
  signal?: AbortSignal;
}

/** An answer that is no refusal; a refusal is a `HostError` with the problem's `code`, its `detail` as the message. */
export interface ApiAnswer {
  status: number;
  /** Null where there is none. */
  body: unknown;
}

/** The world, as the screens see it. Every promise rejects with a `HostError`. */
export interface Host {
  readonly kind: 'page' | 'desktop';
  /** The gateway to suggest at log in; null where there is no choice. */
  readonly gateway: string | null;
  session(): Promise<Session | null>;
  logIn(credentials: Credentials): Promise<Session>;
  /** Whether a gateway (as in `Credentials`) has no account yet. */
  isSetupNeeded(gateway: string): Promise<boolean>;
  /** Makes the first account, and is logged in as it. */
  setUp(first: FirstAccount): Promise<Session>;
  logOut(): Promise<void>;
  /** The fleet as it is now; changes after it come as events. */
  fleet(): Promise<FleetSnapshot>;
  link(): Promise<LinkStatus>;
  /** Resolves once the command is on its way; what became of it comes as receipts. */
  send(command: Command): Promise<void>;
  describe(address: Address): Promise<Description>;
  /** What a peer says of itself; fails where nobody is there to say it. */
  identify(address: Address): Promise<Identity>;
  /** Whose an address is by the gateway's word: a controller's name, or the account of a tool, also of one that left. */
  holder(address: Address): Promise<string>;
  sendNote(address: Address, text: string): Promise<void>;
  /** What is not in the protocol: alarms, and who is told of them. */
  api(request: ApiRequest): Promise<ApiAnswer>;
  /** Shows how many alarms nobody has acknowledged, beside the page itself; null where there is no place for it. */
  readonly countAlarms: ((count: number, language: Language) => Promise<void>) | null;
  /** Null where this host has no serial ports. */
  readonly serialPorts: (() => Promise<SerialPort[]>) | null;
  /** Null where this host has no serial ports. */
  readonly boards: Boards | null;
  /** Returns the function that stops it. */
  listen(listener: (event: HostEvent) => void): () => void;
}

/** A failed call, as an error that can be thrown. */
export class HostError extends Error {
  readonly code: string;

  constructor(fault: HostFault) {
    super(fault.message);
    this.name = 'HostError';
    this.code = fault.code;
  }
}
