// Every payload of docs/protocol.md as a typed message: those of the link (section 4), requests, responses and
// events (6), status (7) and receipts (8). Handshake frames are raw and stay with the controllers.

import { decodePayload, encodePayload, type CborMap } from './cbor';
import { ProtocolFault } from './fault';
import {
  address,
  among,
  array,
  boolean,
  bytes,
  decodeFields,
  encodeFields,
  integer,
  name,
  nested,
  noteText,
  optional,
  readFields,
  required,
  shortText,
  signed,
  text,
  time,
  title,
  u16,
  u32,
  U32_MAX,
  u8,
  unsigned,
  writeFields,
  type Codec,
  type Shape,
} from './fields';
import {
  ARGUMENTS_MAX,
  EVENT_VALUES_MAX,
  FORCE_MS_MAX,
  LOG_ENTRIES_MAX,
  NAMES_MAX,
  POINTS_MAX,
  RECORD_BYTES_MAX,
  RECORD_BYTES_MIN,
  SIGNATURES_MAX,
  STATUS_PAGES_MAX,
  SUBSCRIBE_ADDRESSES_MAX,
  TOKEN_BYTES_MAX,
  TRANSFER_BYTES_MAX,
  TRANSFER_PIECE_BYTES_MAX,
} from './limits';
import {
  AlarmLevel,
  CauseKind,
  Content,
  kindOfVerb,
  PeerKind,
  PointType,
  ScriptState,
  Stage,
  ValueType,
  Verb,
  type Kind,
} from './registry';

const key16 = bytes(16);

const digest = bytes(32);
const stage = among(Object.values(Stage));
const valueType = among(Object.values(ValueType));

// --- the link ---------------------------------------------------------------------------------------------------

export interface ToolHello {
  version: number;
  token: string | null;
  installation: Uint8Array | null;
  software: string;
}

export const toolHello: Shape<ToolHello> = {
  version: required(0, unsigned),
  token: optional(1, shortText(TOKEN_BYTES_MAX)),
  installation: optional(2, bytes(16)),
  software: required(3, title),
};

export interface ToolWelcome {
  version: number;
  time: number;
  pingIntervalMs: number;
  address: number;
  account: string;
  role: number;
  gateway: Uint8Array;
}

export const toolWelcome: Shape<ToolWelcome> = {
  version: required(0, unsigned),
  time: required(2, time),
  pingIntervalMs: required(3, u32),
  address: required(4, address),
  account: required(5, title),
  role: required(6, integer(1, 4)),
  gateway: required(7, bytes(16)),
};

export interface ControllerHello {
  version: number;
  recordBytesMax: number;
}

export const controllerHello: Shape<ControllerHello> = {
  version: required(0, unsigned),
  recordBytesMax: required(1, integer(RECORD_BYTES_MIN, RECORD_BYTES_MAX)),
};

export interface ControllerWelcome {
  version: number;
  recordBytesMax: number;
  time: number;
  pingIntervalMs: number;
  address: number;
}

export const controllerWelcome: Shape<ControllerWelcome> = {
  version: required(0, unsigned),
  recordBytesMax: required(1, integer(RECORD_BYTES_MIN, RECORD_BYTES_MAX)),
  time: required(2, time),
  pingIntervalMs: required(3, u32),
  address: required(4, address),
};

/** A ping asks with an empty map. */
export const ping: Shape<object> = {};

export interface PingReply {
  time: number | null;
}

export const pingReply: Shape<PingReply> = { time: optional(0, time) };

export interface ErrorMessage {
  code: number;
  detail: string | null;
}

export const errorMessage: Shape<ErrorMessage> = { code: required(0, u8), detail: optional(1, text) };

// --- status and receipts ----------------------------------------------------------------------------------------

export interface Cause {
  kind: number;
  by: number | null;
  reference: number | null;
}

const cause: Shape<Cause> = {
  kind: required(0, integer(CauseKind.boot, CauseKind.safe)),
  by: optional(1, address),
  reference: optional(2, u32),
};

export interface StatusPoint {
  index: number;
  name: string;
  type: number;
  value: number;
  flags: number;
  cause: Cause;
}

const pointFields: Shape<StatusPoint> = {
  index: required(0, integer(0, POINTS_MAX - 1)),
  name: required(1, name),
  type: required(2, integer(0, 3)),
  value: required(3, signed),
  flags: required(4, u32),
  cause: required(5, nested(cause)),
};

/** A digital point is 0 or 1; an analogue one has all thousandths. */
const statusPoint: Codec<StatusPoint> = {
  read(value) {
    const point = nested(pointFields).read(value);
    if (point === undefined) return undefined;
    const digital = point.type === PointType.digitalInput || point.type === PointType.digitalOutput;
    return digital && point.value !== 0 && point.value !== 1 ? undefined : point;
  },
  write: (point) => writeFields(pointFields, point),
};

export interface StatusFull {
  boot: number;
  sequence: number;
  page: number;
  pages: number;
  uptimeMs: number;
  time: number | null;
  points: readonly StatusPoint[];
  layout: number;
}

export const statusFull: Shape<StatusFull> = {
  boot: required(0, u32),
  sequence: required(1, u32),
  page: required(2, integer(0, STATUS_PAGES_MAX - 1)),
  pages: required(3, integer(1, STATUS_PAGES_MAX)),
  uptimeMs: required(4, unsigned),
  time: optional(5, time),
  points: required(6, array(statusPoint, 0, POINTS_MAX)),
  layout: required(7, u32),
};

export interface PointChange {
  index: number;
  value: number;
  flags: number;
  cause: Cause;
}

const pointChange: Shape<PointChange> = {
  index: required(0, integer(0, POINTS_MAX - 1)),
  value: required(3, signed),
  flags: required(4, u32),
  cause: required(5, nested(cause)),
};

export interface StatusDelta {
  boot: number;
  sequence: number;
  uptimeMs: number;
  time: number | null;
  points: readonly PointChange[];
}

export const statusDelta: Shape<StatusDelta> = {
  boot: required(0, u32),
  sequence: required(1, u32),
  uptimeMs: required(4, unsigned),
  time: optional(5, time),
  points: required(6, array(nested(pointChange), 0, POINTS_MAX)),
};

export interface ReceiptMessage {
  key: Uint8Array;
  stage: number;
  at: number | null;
  reason: number | null;
  detail: string | null;
  final: boolean;
}

export const receiptMessage: Shape<ReceiptMessage> = {
  key: required(0, key16),
  stage: required(1, stage),
  at: optional(2, time),
  reason: optional(3, u8),
  detail: optional(4, text),
  final: required(5, boolean),
};

// --- requests and events ----------------------------------------------------------------------------------------

/** Key 2 of all requests and events. Keys 0 and 1 have a meaning in commands only, and are ignored elsewhere. */
const envelope: Shape<{ verb: number }> = { verb: required(2, u16) };

const commandHead: Shape<{ key: Uint8Array; expiry: number }> = { key: required(0, key16), expiry: required(1, time) };

/** What each verb asks or tells. */
export interface RequestFields {
  identify: object;
  describe: object;
  snapshot: { controller: number | null };
  outcome: { key: Uint8Array };
  subscribe: { controllers: readonly number[] | null };
  unsubscribe: object;
  lookup: { address: number };
  receipt: { key: Uint8Array };
  set: { key: Uint8Array; expiry: number; point: string; value: number; wait: boolean | null };
  call: { key: Uint8Array; expiry: number; command: string; arguments: readonly number[]; wait: boolean | null };
  adjust: { key: Uint8Array; expiry: number; parameter: string; value: number; wait: boolean | null };
  parameters: object;
  values: { from: number | null };
  log: { before: number | null };
  health: object;
  transfer_read: { content: number; offset: number };
  enrol: { title: string; site: number | null };
  force: { point: string; value: number; durationMs: number };
  release: { point: string };
  transfer_open: { content: number; size: number; digest: Uint8Array };
  transfer_write: { offset: number; bytes: Uint8Array };
  transfer_commit: { digest: Uint8Array; keep: boolean };
  trial: { keep: boolean };
  restart: object;
  rekey: { key: Uint8Array | null };
  announce: { boot: number; features: number; software: string; board: string; layout: number };
  presence: {
    controller: number;
    online: boolean;
    since: number;
    title: string;
    boot: number | null;
    features: number | null;
    software: string | null;
    board: string | null;
    reason: number | null;
  };
  note: { text: string };
  happened: {
    number: number;
    time: number | null;
    text: string;
    values: readonly number[];
    types: readonly number[];
  };
  alarm: { number: number; time: number | null; level: number; text: string; raised: boolean; alarm: number };
}

export type VerbName = keyof RequestFields;
export type Presence = RequestFields['presence'];

const requestShapes: { [V in VerbName]: Shape<RequestFields[V]> } = {
  identify: {},
  describe: {},
  snapshot: { controller: optional(3, address) },
  outcome: { key: required(3, key16) },
  subscribe: { controllers: optional(3, array(address, 1, SUBSCRIBE_ADDRESSES_MAX)) },
  unsubscribe: {},
  lookup: { address: required(3, address) },
  receipt: { key: required(3, key16) },
  set: { ...commandHead, point: required(3, name), value: required(4, signed), wait: optional(5, boolean) },
  call: {
    ...commandHead,
    command: required(3, name),
    arguments: required(4, array(signed, 0, ARGUMENTS_MAX)),
    wait: optional(5, boolean),
  },
  adjust: { ...commandHead, parameter: required(3, name), value: required(4, signed), wait: optional(5, boolean) },
  parameters: {},
  values: { from: optional(3, u32) },
  log: { before: optional(3, u32) },
  health: {},
  transfer_read: { content: required(3, among([Content.script, Content.recording])), offset: required(4, u32) },
  enrol: { title: required(3, title), site: optional(4, integer(1, U32_MAX)) },
  force: { point: required(3, name), value: required(4, signed), durationMs: required(5, integer(1, FORCE_MS_MAX)) },
  release: { point: required(3, name) },
  transfer_open: {
    content: required(3, among([Content.script, Content.firmwareManifest, Content.firmwareImage])),
    size: required(4, integer(1, TRANSFER_BYTES_MAX)),
    digest: required(5, digest),
  },
  transfer_write: { offset: required(3, u32), bytes: required(4, bytes(1, TRANSFER_PIECE_BYTES_MAX)) },
  transfer_commit: { digest: required(3, digest), keep: required(4, boolean) },
  trial: { keep: required(3, boolean) },
  restart: {},
  rekey: { key: optional(3, bytes(32)) },
  announce: {
    boot: required(3, u32),
    features: required(4, u32),
    software: required(5, title),
    board: required(6, title),
    layout: required(7, u32),
  },
  presence: {
    controller: required(3, address),
    online: required(4, boolean),
    since: required(5, time),
    title: required(6, title),
    boot: optional(7, u32),
    features: optional(8, u32),
    software: optional(9, title),
    board: optional(10, title),
    reason: optional(11, u8),
  },
  note: { text: required(3, noteText) },
  happened: {
    number: required(3, integer(1, U32_MAX)),
    time: optional(4, time),
    text: required(5, text),
    values: required(6, array(signed, 0, EVENT_VALUES_MAX)),
    types: required(7, array(valueType, 0, EVENT_VALUES_MAX)),
  },
  alarm: {
    number: required(3, integer(1, U32_MAX)),
    time: optional(4, time),
    level: required(5, among(Object.values(AlarmLevel))),
    text: required(6, text),
    raised: required(7, boolean),
    alarm: required(8, u8),
  },
};

/** A request or an event: `{ verb: 'lookup', address: 7 }`. */
export type Request = { [V in VerbName]: { verb: V } & RequestFields[V] }[VerbName];

const VERB_NAMES: ReadonlyMap<number, VerbName> = new Map(
  (Object.entries(Verb) as [VerbName, number][]).map(([name, verb]) => [verb, name]),
);

export function verbName(verb: number): VerbName | null {
  return VERB_NAMES.get(verb) ?? null;
}

/** The verb of a request, or of a response, whatever else is in it; null where it has none. */
export function verbOf(map: CborMap): number | null {
  const verb = map.get(2);
  return typeof verb === 'number' ? verb : null;
}

/** Reads a page of a full status; its number must be one of its pages. */
export function decodeStatusFull(payload: Uint8Array): StatusFull {
  const status = decodeFields(statusFull, payload);
  if (status.page >= status.pages) throw new ProtocolFault('bad_field', `page ${status.page} is none of ${status.pages}`);
  return status;
}

/** Reads a query, command, configure, admin or event payload that came under `kind`. */
export function decodeRequest(kind: Kind, payload: Uint8Array): Request {
  const map = decodePayload(payload);
  const { verb } = readFields(envelope, map);
  const verbNamed = verbName(verb);
  if (verbNamed === null) throw new ProtocolFault('unsupported', `no verb is ${verb}`);
  if (kindOfVerb(verb) !== kind) throw new ProtocolFault('wrong_kind', `${verbNamed} does not come under kind ${kind}`);
  // The table pairs each verb with its own fields; only the compiler cannot follow that through a name.
  const shape = requestShapes[verbNamed] as Shape<object>;
  const request = { verb: verbNamed, ...readFields<object>(shape, map) } as Request;
  if (request.verb === 'happened' && request.values.length !== request.types.length) {
    throw new ProtocolFault('bad_field', `${request.values.length} values of ${request.types.length} types`);
  }
  return request;
}

export function encodeRequest(request: Request): Uint8Array {
  const map = writeFields<object>(requestShapes[request.verb] as Shape<object>, request);
  return encodePayload(map.set(2, Verb[request.verb]));
}

/** The kind of frame that a request goes under. */
export function requestKind(request: Request): Kind {
  const kind = kindOfVerb(Verb[request.verb]);
  if (kind === null) throw new RangeError(`no kind carries ${request.verb}`);
  return kind;
}

// --- a controller's inside --------------------------------------------------------------------------------------

export interface Parameter {
  name: string;
  type: number;
  value: number;
  min: number;
  max: number;
}

const parameter: Shape<Parameter> = {
  name: required(0, name),
  type: required(1, valueType),
  value: required(2, signed),
  min: required(3, signed),
  max: required(4, signed),
};

export interface NamedValue {
  name: string;
  type: number;
  value: number;
}

const namedValue: Shape<NamedValue> = { name: required(0, name), type: required(1, valueType), value: required(2, signed) };

export interface LogEntry {
  number: number;
  time: number | null;
  uptimeMs: number;
  about: string;
  value: number | null;
  cause: Cause;
}

const logEntry: Shape<LogEntry> = {
  number: required(0, u32),
  time: optional(1, time),
  uptimeMs: required(2, unsigned),
  about: required(3, text),
  value: optional(4, signed),
  cause: required(5, nested(cause)),
};

export interface ScanHealth {
  late: number;
  longestGapMs: number;
  gapCause: number;
  costUs: number;
}

const scanHealth: Shape<ScanHealth> = {
  late: required(0, u32),
  longestGapMs: required(1, u32),
  gapCause: required(2, u8),
  costUs: required(3, u32),
};

export interface ScriptHealth {
  state: number;
  trialLeftMs: number | null;
  title: string | null;
  digest: Uint8Array | null;
  faults: number;
}

const scriptHealth: Shape<ScriptHealth> = {
  state: required(0, among(Object.values(ScriptState))),
  trialLeftMs: optional(1, u32),
  title: optional(2, title),
  digest: optional(3, digest),
  faults: required(4, u32),
};

export interface FirmwareHealth {
  state: number;
  slot: number;
  version: number;
  profile: string;
}

const firmwareHealth: Shape<FirmwareHealth> = {
  state: required(0, u8),
  slot: required(1, u8),
  version: required(2, u32),
  profile: required(3, title),
};

export interface Health {
  uptimeMs: number;
  boot: number;
  reset: number;
  freeBytes: number | null;
  scan: ScanHealth;
  script: ScriptHealth;
  firmware: FirmwareHealth | null;
}

export interface ScriptFault {
  line: number;
  column: number;
  expected: string;
  fix: string | null;
  otherLine: number | null;
}

const scriptFault: Shape<ScriptFault> = {
  line: required(0, u32),
  column: required(1, u32),
  expected: required(2, text),
  fix: optional(3, text),
  otherLine: optional(4, u32),
};

// --- responses --------------------------------------------------------------------------------------------------

/** What each verb's ok response bears. */
export interface AnswerFields {
  identify: { title: string; software: string; peerKind: number };
  describe: { behaviour: string; commands: readonly string[] };
  snapshot: object;
  outcome: { boot: number; stage: number | null; reason: number | null; final: boolean | null };
  subscribe: { count: number };
  unsubscribe: object;
  lookup: { address: number; online: boolean; since: number; title: string };
  receipt: { stage: number; at: number | null; reason: number | null; final: boolean };
  parameters: { parameters: readonly Parameter[] };
  values: { values: readonly NamedValue[]; total: number };
  log: { entries: readonly LogEntry[] };
  health: Health;
  transfer_read: { size: number; bytes: Uint8Array; digest: Uint8Array };
  enrol: { controller: number; key: Uint8Array };
  force: object;
  release: object;
  transfer_open: { offset: number };
  transfer_write: { offset: number };
  transfer_commit: { fault: ScriptFault | null };
  trial: object;
  restart: object;
  rekey: object;
  happened: { last: number };
  alarm: { last: number };
}

export type AnswerVerb = keyof AnswerFields;

/** A kind of peer that is newer than this page is some program. */
const peerKind: Codec<number> = {
  read: (value) => {
    const number = u8.read(value);
    return number === undefined ? undefined : Math.min(number, PeerKind.program);
  },
  write: (value) => value,
};

const answerShapes: { [V in AnswerVerb]: Shape<AnswerFields[V]> } = {
  identify: { title: required(3, title), software: required(4, title), peerKind: required(5, peerKind) },
  describe: { behaviour: required(3, title), commands: required(4, array(text, 0, SIGNATURES_MAX)) },
  snapshot: {},
  outcome: {
    boot: required(3, u32),
    stage: optional(4, stage),
    reason: optional(5, u8),
    final: optional(6, boolean),
  },
  subscribe: { count: required(3, u32) },
  unsubscribe: {},
  lookup: {
    address: required(3, address),
    online: required(4, boolean),
    since: required(5, time),
    title: required(6, title),
  },
  receipt: { stage: required(3, stage), at: optional(4, time), reason: optional(5, u8), final: required(6, boolean) },
  parameters: { parameters: required(3, array(nested(parameter), 0, NAMES_MAX)) },
  values: { values: required(3, array(nested(namedValue), 0, NAMES_MAX)), total: required(4, u32) },
  log: { entries: required(3, array(nested(logEntry), 0, LOG_ENTRIES_MAX)) },
  health: {
    uptimeMs: required(3, unsigned),
    boot: required(4, u32),
    reset: required(5, u8),
    freeBytes: optional(6, u32),
    scan: required(7, nested(scanHealth)),
    script: required(8, nested(scriptHealth)),
    firmware: optional(9, nested(firmwareHealth)),
  },
  transfer_read: {
    size: required(3, integer(0, TRANSFER_BYTES_MAX)),
    bytes: required(4, bytes(0, TRANSFER_PIECE_BYTES_MAX)),
    digest: required(5, digest),
  },
  enrol: { controller: required(3, address), key: required(4, bytes(32)) },
  force: {},
  release: {},
  transfer_open: { offset: required(3, u32) },
  transfer_write: { offset: required(3, u32) },
  transfer_commit: { fault: optional(3, nested(scriptFault)) },
  trial: {},
  restart: {},
  rekey: {},
  happened: { last: required(3, u32) },
  alarm: { last: required(3, u32) },
};

export interface ResponseHead {
  code: number;
  /** Absent, and ignored, where the code is ok. */
  detail: string | null;
  verb: number;
}

const responseHead: Shape<{ code: number; verb: number }> = { code: required(0, u8), verb: required(2, u16) };
const refusal: Shape<ResponseHead> = { ...responseHead, detail: optional(1, text) };

/** The code and verb of a response, and the map that `decodeAnswer` reads further. */
export function decodeResponse(payload: Uint8Array): ResponseHead & { map: CborMap } {
  const map = decodePayload(payload);
  const head = readFields(responseHead, map);
  return head.code === 0 ? { ...head, detail: null, map } : { ...readFields(refusal, map), map };
}

/** The fields of an ok response to `verb`. */
export function decodeAnswer<V extends AnswerVerb>(verb: V, map: CborMap): AnswerFields[V] {
  return readFields<AnswerFields[V]>(answerShapes[verb], map);
}

export function encodeAnswer<V extends AnswerVerb>(verb: V, fields: AnswerFields[V]): Uint8Array {
  const map = writeFields(responseHead, { code: 0, verb: Verb[verb] });
  return encodePayload(writeFields<AnswerFields[V]>(answerShapes[verb], fields, map));
}

export function encodeRefusal(verb: number, code: number, detail: string | null = null): Uint8Array {
  return encodeFields(refusal, { code, detail, verb });
}

export function isAnswerVerb(verb: VerbName): verb is AnswerVerb {
  return verb in answerShapes;
}

export { decodeFields, encodeFields };
