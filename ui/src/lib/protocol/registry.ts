// The numbers that docs/protocol.md registers: kinds, flags, verbs, stages, codes, and their names.

export const Kind = {
  hello: 0x01,
  ping: 0x02,
  error: 0x03,
  handshake: 0x04,
  query: 0x10,
  command: 0x11,
  configure: 0x12,
  admin: 0x13,
  response: 0x20,
  event: 0x21,
  statusFull: 0x22,
  statusDelta: 0x23,
  receipt: 0x24,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

const KINDS: ReadonlySet<number> = new Set(Object.values(Kind));

export function isKind(value: number): value is Kind {
  return KINDS.has(value);
}

export const Flag = { more: 0x01, reply: 0x02 } as const;

/** The flags that may stand on a kind. */
export function flagsAllowed(kind: Kind): number {
  switch (kind) {
    case Kind.response:
    case Kind.statusFull:
      return Flag.more;
    case Kind.hello:
    case Kind.ping:
      return Flag.reply;
    default:
      return 0;
  }
}

export const Verb = {
  identify: 1,
  describe: 2,
  snapshot: 3,
  outcome: 4,
  subscribe: 5,
  unsubscribe: 6,
  lookup: 7,
  receipt: 8,
  parameters: 9,
  values: 10,
  log: 11,
  health: 12,
  transfer_read: 13,
  set: 32,
  call: 33,
  adjust: 34,
  enrol: 64,
  force: 65,
  release: 66,
  transfer_open: 67,
  transfer_write: 68,
  transfer_commit: 69,
  trial: 70,
  restart: 71,
  rekey: 96,
  announce: 128,
  presence: 129,
  note: 130,
  happened: 131,
  alarm: 132,
} as const;
export type Verb = (typeof Verb)[keyof typeof Verb];

/** The kind of frame under which a verb must come; null for a verb that is not known here. */
export function kindOfVerb(verb: number): Kind | null {
  if (verb >= Verb.identify && verb <= Verb.transfer_read) return Kind.query;
  if (verb >= Verb.set && verb <= Verb.adjust) return Kind.command;
  if (verb >= Verb.enrol && verb <= Verb.restart) return Kind.configure;
  if (verb === Verb.rekey) return Kind.admin;
  if (verb >= Verb.announce && verb <= Verb.alarm) return Kind.event;
  return null;
}

export const Stage = {
  queued: 1,
  sent: 2,
  delivered: 3,
  executed: 4,
  confirmed: 5,
  expired: 16,
  refused: 17,
  failed: 18,
  unknown: 19,
} as const;

export const PointType = { digitalInput: 0, digitalOutput: 1, analogueInput: 2, analogueOutput: 3 } as const;

export const PointFlag = { manual: 1, bad: 2, fault: 4, forced: 8, confirm: 16 } as const;

export const CauseKind = {
  boot: 0,
  script: 1,
  command: 2,
  schedule: 3,
  linkLoss: 4,
  input: 5,
  timer: 6,
  force: 7,
  safe: 8,
} as const;

export const ValueType = { bool: 0, int: 1, num: 2, time: 3 } as const;

/** What is written to a controller (the first three) or read from it (the first and the last). */
export const Content = { script: 1, firmwareManifest: 2, firmwareImage: 3, recording: 4 } as const;

export const AlarmLevel = { low: 0, medium: 1, high: 2 } as const;

export const ScriptState = { none: 0, kept: 1, onTrial: 2, safeMode: 3 } as const;

export const ResetReason = { power: 0, watchdog: 1, exception: 2, commanded: 3, other: 4 } as const;

export const GapCause = { unknown: 0, erase: 1, handshake: 2, compile: 3 } as const;

export const Role = { viewer: 1, operator: 2, technician: 3, admin: 4 } as const;

export const PeerKind = { gateway: 0, controller: 1, console: 2, page: 3, desktop: 4, program: 5 } as const;

export const Code = {
  ok: 0,
  malformed: 1,
  unsupported_version: 2,
  handshake_failed: 3,
  replayed_handshake: 4,
  bad_record: 5,
  bad_token: 6,
  forged_source: 7,
  too_large: 8,
  handshake_timeout: 9,
  silent: 10,
  slow_peer: 11,
  replaced: 12,
  shutting_down: 13,
  revoked: 14,
  rate_limited: 15,
  unknown_address: 32,
  offline: 33,
  forbidden: 34,
  unsupported: 35,
  wrong_kind: 36,
  bad_field: 37,
  busy: 38,
  not_granted: 39,
  store_unavailable: 40,
  timed_out: 41,
  internal: 42,
  expired: 64,
  stale_clock: 65,
  unknown_point: 66,
  unknown_command: 67,
  not_manual: 68,
  out_of_range: 69,
  refused_by_script: 70,
  not_confirmed: 71,
  link_lost: 72,
  rebooted: 73,
  wrong_state: 74,
} as const;
export type CodeName = keyof typeof Code;

const CODE_NAMES: ReadonlyMap<number, CodeName> = new Map(
  (Object.entries(Code) as [CodeName, number][]).map(([name, code]) => [code, name]),
);

/** The name of a code; one that is newer than this page is shown by its number. */
export function codeName(code: number): string {
  return CODE_NAMES.get(code) ?? `code_${code}`;
}
