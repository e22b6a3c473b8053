// Alarms, contacts, plans and rules as the gateway's API writes them: docs/http.md. Times are milliseconds of gateway time,
// ids are numbers. A field that is left out, or null, is `undefined`; a word that is newer than this page is shown as it is.

import type { Language } from '../host/types';

export type { Language };

export type Severity = 'low' | 'medium' | 'high';
/** From the gravest to the least. */
export const SEVERITIES: readonly Severity[] = ['high', 'medium', 'low'];

export type AlarmState = 'raised' | 'notified' | 'shelved' | 'acknowledged' | 'returned' | 'cleared';

export type Medium = 'call' | 'sms' | 'email' | 'push' | 'webhook';
export const MEDIA: readonly Medium[] = ['call', 'sms', 'email', 'push', 'webhook'];

export type Channel = 'sip' | 'modem_call' | 'modem_sms' | 'provider_call' | 'provider_sms' | 'email' | 'ntfy' | 'webhook';

/** What raised an alarm; of what else a kind bears, the page needs only what is named here. */
export interface Source {
  kind: string;
  controller?: number;
  alarm?: number;
  rule?: number;
  site?: number;
  rollout?: number;
  channel?: string;
  contact?: number;
}

/** By what somebody did something: the API, a key in a call, an answer to a message, or nobody at all. */
export type How = 'api' | 'call' | 'message' | 'itself';

export interface Deed {
  /** A name for people. */
  by: string;
  how: How;
  at_ms: number;
}

/** An alarm as it is now. */
export interface AlarmView {
  id: number;
  state: AlarmState;
  severity: Severity;
  source: Source;
  text: string;
  controller?: number;
  controller_title?: string;
  site?: number;
  value?: string;
  /** When it was first raised. */
  raised_ms: number;
  /** When it was last raised. */
  since_ms: number;
  is_standing: boolean;
  cleared_ms?: number;
  /** How often it was raised. */
  times: number;
  is_flapping: boolean;
  acknowledged?: Deed;
  shelved?: { until_ms: number; by: string; at_ms: number };
  part_of?: number;
  parts: number;
  /** Without a contact there is nobody to tell then. */
  next?: { contact?: number; contact_name: string; medium: Medium; at_ms: number; is_under_way: boolean };
}

export interface AlarmPage {
  alarms: AlarmView[];
  revision: number;
  /** What to ask for the page behind it by, where there is one. */
  next?: number;
}

/** Something that is written down about an alarm; which fields it has is told by its kind. */
export interface AlarmNote {
  at_ms: number;
  kind: string;
  value?: string;
  alarm?: number;
  attempt?: number;
  by?: string;
  how?: How;
  until_ms?: number;
  text?: string;
  rung?: number;
  reason?: string;
  rounds?: number;
}

export type StepName = 'begun' | 'ringing' | 'answered' | 'told' | 'delivered';

export interface Outcome {
  kind: string;
  reason?: string;
}

/** An attempt at telling somebody. */
export interface AttemptView {
  id: number;
  contact: number;
  contact_name: string;
  channel: Channel;
  destination: string;
  alarms: number[];
  begun_ms: number;
  steps: { step: StepName; at_ms: number }[];
  keys: string;
  ended_ms?: number;
  outcome?: Outcome;
}

export interface AlarmHistory {
  alarm: AlarmView;
  notes: AlarmNote[];
  attempts: AttemptView[];
}

export type BySeverity = Record<Severity, number>;

export interface Overview {
  is_watched: boolean;
  channels: { channel: Channel; is_in_order: boolean; reason?: string }[];
  on_call: OnCall[];
  open: BySeverity;
  unacknowledged: BySeverity;
  warnings: string[];
}

export interface OnCall {
  /** 0 is all other sites. */
  site: number;
  turn: string;
  contact: number;
  contact_name: string;
  until_ms: number;
  is_override: boolean;
}

export interface Quiet {
  /** On which it begins: 1 Monday to 7 Sunday. */
  days: number[];
  from_minute: number;
  to_minute: number;
}

export interface Weekly {
  /** 1 Monday to 7 Sunday. */
  day: number;
  minute: number;
}

export interface Contact {
  name: string;
  language: Language;
  zone: string;
  telephone?: string;
  sms?: string;
  email?: string;
  push_topic?: string;
  webhook_url?: string;
  quiet: Quiet[];
  wakes_from: Severity;
  calls_per_hour_max: number;
  weekly_test?: Weekly;
  account?: string;
}

export interface ContactView {
  id: number;
  has_pin: boolean;
  contact: Contact;
}

export type Whom = { on_call: string } | { contact: number };

export interface Rung {
  whom: Whom;
  medium: Medium;
  from: Severity;
  wait_s: number;
  attempts: number;
  pause_s: number;
}

export interface Turn {
  name: string;
  people: number[];
  shift_days: number;
  hand_over: Weekly;
  starts_ms: number;
}

export interface Override {
  turn: string;
  contact: number;
  from_ms: number;
  until_ms: number;
}

export type HeardFrom = Severity | 'never';

export interface Plan {
  chain: Rung[];
  again_s: number;
  heard_from: HeardFrom;
  zone: string;
  rota: Turn[];
  overrides: Override[];
}

export interface PlanView {
  /** 0 is all other sites. */
  site: number;
  plan: Plan;
}

export interface Shift {
  turn: string;
  contact: number;
  contact_name: string;
  from_ms: number;
  until_ms: number;
  is_override: boolean;
}

export type Scope = 'everywhere' | { site: number } | { tag: string } | { controllers: number[] };

/** Values are as on the wire: 0 and 1 of digital points, thousandths of analogue ones. */
export type Condition =
  | { kind: 'above' | 'below'; point: string; limit: number; clear: number }
  | { kind: 'is'; point: string; value: number }
  | { kind: 'rises' | 'falls'; point: string; by: number; within_s: number }
  | { kind: 'bad'; point: string }
  | { kind: 'silent' };

export interface Rule {
  name: string;
  text: string;
  severity: Severity;
  scope: Scope;
  condition: Condition;
  for_s: number;
  over_for_s: number;
  is_enabled: boolean;
}

export interface RuleView {
  id: number;
  rule: Rule;
}

export interface Site {
  site: number;
  name: string;
}

/** Whose log-in this is, and what it may do where. */
export interface Who {
  account: string;
  rights: { everywhere?: string | null; sites: { site: number; role: string }[] };
  /** Gateway time now. */
  time: number;
}
