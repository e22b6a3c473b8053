// What the controller's API says; docs/http-controller.md is its reference.

export type ValueType = 'bool' | 'int' | 'num' | 'time';
export type PointType = 'digital_input' | 'digital_output' | 'analogue_input' | 'analogue_output';

export interface Cause {
  kind: string;
  by?: number;
  reference?: number;
}

export interface Point {
  name: string;
  pin: string;
  type: PointType;
  value: number;
  manual?: true;
  bad?: true;
  fault?: true;
  forced?: true;
  confirm?: true;
  force_left_ms?: number;
  cause: Cause;
}

export interface Value {
  name: string;
  /** The last three are of a shadow alone. */
  kind: 'variable' | 'retained' | 'parameter' | 'machine' | 'alarm' | 'input' | 'output' | 'command';
  type: ValueType;
  value: number;
  line: number;
  min?: number;
  max?: number;
  state?: string;
}

export interface Argument {
  name: string;
  type: ValueType;
  min: number;
  max: number;
}

export interface Command {
  name: string;
  arguments: Argument[];
  /** Why the script refuses it when it does. */
  refusal?: string;
}

export interface Network {
  link: 'down' | 'opening' | 'live' | 'none';
  gateway: number;
  wifi: 'down' | 'joining' | 'joined' | 'wrong_password' | 'not_found';
  rssi_dbm: number;
  ip: string;
  access_point: boolean;
}

export interface Trial {
  script: 'none' | 'runs' | 'on_trial' | 'stopped';
  script_hash: number;
  trial_left_ms: number;
}

export interface Live extends Network, Trial {
  boot_id: number;
  uptime_ms: number;
  why_last: number;
  points: Point[];
  values: Value[];
}

/** A scan that somebody looks into. */
export interface Shadow {
  state: 'none' | 'waiting' | 'stopped' | 'ended';
  /** Where it stands, or is to stop; else 0. */
  line: number;
  values: Value[];
}

export interface Status extends Network, Trial {
  board: string;
  software: string;
  address: number;
  boot_id: number;
  uptime_ms: number;
  time_ms: number;
  free_bytes: number;
  operations: number;
  scan_us: number;
  late_scans: number;
  longest_gap_ms: number;
  longest_gap: string;
  divisions_by_zero: number;
  update: 'none' | 'writing' | 'written' | 'on_trial' | 'fell_back';
  update_bytes: number;
  update_written_bytes: number;
}

export interface Session {
  state: 'setup' | 'setup_closed' | 'login' | 'open';
  name: string;
  wait_ms: number;
}

export interface Receipt {
  receipt: number;
  stage: string;
  reason: string;
  final: boolean;
}

export interface WhyEntry {
  number: number;
  boot_id: number;
  uptime_ms: number;
  time_ms: number;
  name: string;
  type: PointType;
  value: number;
  cause: Cause;
  /** The name is a pin's, and the line is none of the script that runs now. */
  other_script?: true;
}

export interface Settings {
  name: string;
  host: string;
  wifi: string;
  has_wifi_password: boolean;
  gateway_1: string;
  gateway_2: string;
  zone: string;
}

export interface FoundNetwork {
  wifi: string;
  rssi_dbm: number;
  secured: boolean;
}

export interface Compiled {
  operations: number;
  /** That a scan takes at most on the chip. */
  scan_us: number;
  code_words: number;
  table_words: number;
}
