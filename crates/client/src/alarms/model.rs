//! What a gateway tells of alarms. Read leniently: fields that are newer than this program are passed over, and words that
//! it does not know are kept as they are. Times are milliseconds of gateway time.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A word of the API, and whatever else a newer gateway may say in its place.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$meaning])* #[serde(rename = $text)] $word,)+
            /// One that is newer than this program.
            #[serde(untagged)]
            Other(String),
        }

        impl $name {
            /// Every one that this program knows.
            pub const ALL: &'static [Self] = &[$(Self::$word,)+];

            /// The word on the wire.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$word => $text,)+
                    Self::Other(name) => name,
                }
            }

            /// The one of that word, if this program knows it.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().find(|it| it.name() == name).cloned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

words! {
    /// How an alarm ranks; the order is by rank, and what is not known ranks highest.
    Severity {
        /// Somebody should know by and by.
        Low = "low",
        /// Somebody should know today.
        Medium = "medium",
        /// Somebody has to know now.
        High = "high",
    }
}

words! {
    /// How an alarm stands.
    State {
        /// Nobody was told yet.
        Raised = "raised",
        /// Somebody was told, and nobody has said that they heard.
        Notified = "notified",
        /// Nobody is told until a time.
        Shelved = "shelved",
        /// Somebody has said that they heard; it is still so.
        Acknowledged = "acknowledged",
        /// It is over, and somebody still has to say that they heard.
        Returned = "returned",
        /// It is over, and nobody has to do anything about it.
        Cleared = "cleared",
    }
}

impl State {
    /// Whether somebody still has to say that they heard; of a state that is not known it is supposed.
    pub fn is_unacknowledged(&self) -> bool {
        !matches!(self, Self::Shelved | Self::Acknowledged | Self::Cleared)
    }
}

words! {
    /// By what people are told, as they choose it.
    Medium {
        /// A telephone call, in which a key says that it was heard.
        Call = "call",
        /// A short message.
        Sms = "sms",
        /// E-mail.
        Email = "email",
        /// A push message.
        Push = "push",
        /// A signed HTTP request.
        Webhook = "webhook",
    }
}

words! {
    /// By which of the gateway's ways people are told.
    Channel {
        /// A telephone call over a SIP trunk.
        Sip = "sip",
        /// A telephone call by a GSM modem.
        ModemCall = "modem_call",
        /// A short message by a GSM modem.
        ModemSms = "modem_sms",
        /// A telephone call by a provider over HTTP.
        ProviderCall = "provider_call",
        /// A short message by a provider over HTTP.
        ProviderSms = "provider_sms",
        /// E-mail.
        Email = "email",
        /// A push message to a telephone.
        Ntfy = "ntfy",
        /// A signed HTTP request.
        Webhook = "webhook",
    }
}

words! {
    /// The language that somebody is told in.
    Language {
        /// English.
        En = "en",
        /// Chinese.
        Zh = "zh",
    }
}

words! {
    /// Of what somebody has to hear even when it is over.
    HeardFrom {
        /// Of everything.
        Low = "low",
        /// Of what is at least medium.
        Medium = "medium",
        /// Of what is high.
        High = "high",
        /// Of nothing.
        Never = "never",
    }
}

words! {
    /// How far an attempt has come.
    StepKind {
        /// It is written down, and about to begin.
        Begun = "begun",
        /// The telephone rings.
        Ringing = "ringing",
        /// The call was taken.
        Answered = "answered",
        /// It is being spoken, or the message is with whoever carries it.
        Told = "told",
    }
}

words! {
    /// By what somebody did something.
    How {
        /// A page, a screen or a program.
        Api = "api",
        /// A key in a call.
        Call = "call",
        /// An answer to a message.
        Message = "message",
        /// By itself.
        Itself = "itself",
    }
}

words! {
    /// How an attempt ended.
    OutcomeKind {
        /// They said that they heard.
        Acknowledged = "acknowledged",
        /// They want the next one to be told.
        Passed = "passed",
        /// They want to hear nothing of it for an hour.
        Muted = "muted",
        /// It was spoken, and no key said that it was heard.
        Unanswered = "unanswered",
        /// The message was taken by whoever carries it.
        Sent = "sent",
        /// They were busy.
        Busy = "busy",
        /// Nobody took the call.
        NoAnswer = "no_answer",
        /// It was refused, or came to nothing.
        Failed = "failed",
        /// A limit did not allow it.
        Limited = "limited",
        /// It was not needed any more.
        Withdrawn = "withdrawn",
        /// The gateway was stopped in the midst.
        Interrupted = "interrupted",
    }
}

/// What raised an alarm: the fields that its kind has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// `script`, `rule`, `site_silent`, `rollout`, `status_store`, `channel`, `test` and others.
    pub kind: String,
    /// The controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<u32>,
    /// Which of its script's alarms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<u32>,
    /// The rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
    /// The site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<u32>,
    /// The roll-out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<u32>,
    /// The way of telling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// The contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<u32>,
    /// By what they are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
}

/// Who said that they heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Their name, for people.
    pub by: String,
    /// By what.
    pub how: How,
    /// When.
    pub at_ms: u64,
}

/// Who wants nobody to be told for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelved {
    /// Until when.
    pub until_ms: u64,
    /// Their name, for people.
    pub by: String,
    /// When they said so.
    pub at_ms: u64,
}

/// Who is told next, or is being told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextTold {
    /// Their number.
    #[serde(default)]
    pub contact: Option<u32>,
    /// Their name.
    #[serde(default)]
    pub contact_name: String,
    /// By what.
    pub medium: Medium,
    /// When.
    pub at_ms: u64,
    /// They are being told now.
    #[serde(default)]
    pub is_under_way: bool,
}

/// An alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its number.
    pub id: u64,
    /// How it stands.
    pub state: State,
    /// How it ranks.
    pub severity: Severity,
    /// What raised it.
    #[serde(default)]
    pub source: Source,
    /// What is wrong, in the words of whoever wrote the script or the rule.
    pub text: String,
    /// The controller, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<u32>,
    /// What people called that controller when it was raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_title: Option<String>,
    /// The site that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<u32>,
    /// What the point was, as people write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// When it was first raised.
    pub raised_ms: u64,
    /// When it was last raised.
    pub since_ms: u64,
    /// Whether it is so now.
    #[serde(default)]
    pub is_standing: bool,
    /// When it ceased to be so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_ms: Option<u64>,
    /// How often it was raised.
    #[serde(default)]
    pub times: u32,
    /// It comes and goes so often that nobody is told each time.
    #[serde(default)]
    pub is_flapping: bool,
    /// Somebody said that they heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
    /// Nobody is told until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shelved: Option<Shelved>,
    /// It is a part of that one, of which people are told in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<u64>,
    /// How many are parts of it.
    #[serde(default)]
    pub parts: u64,
    /// Who is told next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextTold>,
}

/// A page of alarms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmPage {
    /// In the order of the gateway.
    pub alarms: Vec<Alarm>,
    /// Rises with every change of any alarm.
    #[serde(default)]
    pub revision: u64,
    /// Where the next page begins, if there is one.
    #[serde(default)]
    pub next: Option<u64>,
}

/// Something that was written down about an alarm: the fields that its kind has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Note {
    /// When.
    pub at_ms: u64,
    /// `raised`, `cleared`, `flapping`, `joined`, `attempted`, `acknowledged`, `shelved`, `unshelved`, `commented`,
    /// `skipped`, `exhausted` and others.
    pub kind: String,
    /// The value, of what was raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The alarm that it joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<u64>,
    /// The attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// Who did it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// By what they did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<How>,
    /// Until when it is shelved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// What was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The rung that was passed over, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<u32>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often the whole chain was gone through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
}

/// How far an attempt came, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// How far.
    pub step: StepKind,
    /// When.
    pub at_ms: u64,
}

/// How an attempt ended, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How.
    pub kind: OutcomeKind,
    /// Why, of what failed or was limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An attempt at telling somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number.
    pub id: u64,
    /// Who is told.
    pub contact: u32,
    /// What they were called then.
    #[serde(default)]
    pub contact_name: String,
    /// By what.
    pub channel: Channel,
    /// Under which number or address.
    #[serde(default)]
    pub destination: String,
    /// Of which alarms.
    #[serde(default)]
    pub alarms: Vec<u64>,
    /// When it was begun.
    pub begun_ms: u64,
    /// How far it came.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The keys that were pressed.
    #[serde(default)]
    pub keys: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// An alarm with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmHistory {
    /// The alarm.
    pub alarm: Alarm,
    /// What was written down about it.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// The attempts at telling somebody of it.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
}

/// How a way of telling people is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelHealth {
    /// Which.
    pub channel: Channel,
    /// Whether it can be used.
    pub is_in_order: bool,
    /// Why it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who has a turn now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnCall {
    /// The site; 0 for all those that have no plan of their own.
    pub site: u32,
    /// The turn.
    pub turn: String,
    /// Who has it.
    pub contact: u32,
    /// Their name.
    #[serde(default)]
    pub contact_name: String,
    /// Until when.
    pub until_ms: u64,
    /// It is an exception.
    #[serde(default)]
    pub is_override: bool,
}

/// So many alarms of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Low.
    pub low: u64,
    /// Medium.
    pub medium: u64,
    /// High.
    pub high: u64,
}

impl Counts {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.low
            .saturating_add(self.medium)
            .saturating_add(self.high)
    }
}

/// How things stand, as far as the account may see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overview {
    /// Whether a gateway is in charge of the alarms.
    pub is_watched: bool,
    /// The ways of telling people that are set up.
    pub channels: Vec<ChannelHealth>,
    /// Who is on call.
    pub on_call: Vec<OnCall>,
    /// Alarms that are open.
    pub open: Counts,
    /// Those of them of which nobody has said that they heard.
    pub unacknowledged: Counts,
    /// What somebody should see to, in words.
    pub warnings: Vec<String>,
}

/// A time of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekly {
    /// 1 Monday to 7 Sunday.
    pub day: u8,
    /// Minutes after midnight.
    pub minute: u16,
}

/// When somebody is not to be woken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// The days on which it begins: 1 Monday to 7 Sunday.
    pub days: Vec<u8>,
    /// When it begins, in minutes after midnight.
    pub from_minute: u16,
    /// When it ends, in minutes after midnight; on the next day where it is not later.
    pub to_minute: u16,
}

/// A contact, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// What people call them.
    pub name: String,
    /// The language that they are told in.
    #[serde(default = "english")]
    pub language: Language,
    /// The zone of their times.
    #[serde(default = "utc")]
    pub zone: String,
    /// Their telephone, for calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telephone: Option<String>,
    /// Their telephone for short messages, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<String>,
    /// Their e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The topic of their push messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_topic: Option<String>,
    /// A URL of a program of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// When they are not to be woken.
    #[serde(default)]
    pub quiet: Vec<Quiet>,
    /// The lowest severity that wakes them all the same.
    #[serde(default = "high")]
    pub wakes_from: Severity,
    /// Calls to them in an hour at most.
    #[serde(default = "calls_per_hour")]
    pub calls_per_hour_max: u8,
    /// When they are told that all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly_test: Option<Weekly>,
    /// The account that they log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

impl Contact {
    /// One of which nothing is known but a name.
    pub fn new(name: impl Into<String>) -> Self {
        Contact {
            name: name.into(),
            language: english(),
            zone: utc(),
            telephone: None,
            sms: None,
            email: None,
            push_topic: None,
            webhook_url: None,
            quiet: Vec::new(),
            wakes_from: high(),
            calls_per_hour_max: calls_per_hour(),
            weekly_test: None,
            account: None,
        }
    }
}

const fn english() -> Language {
    Language::En
}

fn utc() -> String {
    "UTC".into()
}

const fn high() -> Severity {
    Severity::High
}

/// What a gateway takes where nothing is said.
const fn calls_per_hour() -> u8 {
    12
}

/// A contact that the gateway keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptContact {
    /// Its number.
    pub id: u32,
    /// Whether it has a PIN.
    #[serde(default)]
    pub has_pin: bool,
    /// What it says.
    pub contact: Contact,
}

/// Whom a rung means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// Whoever has this turn.
    OnCall(String),
    /// Always the same one.
    Contact(u32),
}

/// One rung of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Whom it means.
    pub whom: Whom,
    /// By what they are told.
    pub medium: Medium,
    /// The lowest severity that comes here.
    #[serde(default = "low")]
    pub from: Severity,
    /// How long to wait for one to say that they heard, in seconds.
    pub wait_s: u32,
    /// How often they are tried when they are not reached.
    #[serde(default = "one")]
    pub attempts: u8,
    /// How long to wait between those, in seconds.
    #[serde(default = "pause")]
    pub pause_s: u32,
}

const fn low() -> Severity {
    Severity::Low
}

const fn one() -> u8 {
    1
}

const fn pause() -> u32 {
    60
}

/// A turn that people take by and by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Its name.
    pub name: String,
    /// Who takes it, one after the other.
    pub people: Vec<u32>,
    /// How many days each has it.
    pub shift_days: u16,
    /// When it is handed over.
    pub hand_over: Weekly,
    /// The first of the people had it from the hand-over on or before this moment.
    pub starts_ms: u64,
}

/// Somebody else has a turn for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The turn.
    pub turn: String,
    /// Who has it.
    pub contact: u32,
    /// From when.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
}

/// Who is told after whom, and who is on call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Who is told after whom.
    pub chain: Vec<Rung>,
    /// How long to wait before the chain begins anew, in seconds.
    #[serde(default = "again")]
    pub again_s: u32,
    /// The lowest severity of which somebody has to hear even when it is over.
    #[serde(default = "heard_from")]
    pub heard_from: HeardFrom,
    /// The zone of hand-overs.
    #[serde(default = "utc")]
    pub zone: String,
    /// Turns that people take.
    #[serde(default)]
    pub rota: Vec<Turn>,
    /// When somebody else has a turn.
    #[serde(default)]
    pub overrides: Vec<Override>,
}

/// What a gateway takes where nothing is said.
const fn again() -> u32 {
    15 * 60
}

const fn heard_from() -> HeardFrom {
    HeardFrom::High
}

/// A plan that the gateway keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPlan {
    /// Its site; 0 for all those that have none of their own.
    pub site: u32,
    /// What it says.
    pub plan: Plan,
}

/// Somebody's time on call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// The turn.
    pub turn: String,
    /// Who has it.
    pub contact: u32,
    /// Their name.
    #[serde(default)]
    pub contact_name: String,
    /// From when.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// It is an exception.
    #[serde(default)]
    pub is_override: bool,
}

/// Which controllers a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of them.
    #[default]
    Everywhere,
    /// Those of a site.
    Site(u32),
    /// Those with a tag.
    Tag(String),
    /// These.
    Controllers(Vec<u32>),
}

/// When it is so: the fields that its kind has. Values are 0 and 1 of digital points, thousandths of analogue ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// `above`, `below`, `is`, `rises`, `falls`, `bad`, `silent` and others.
    pub kind: String,
    /// The point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Where it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear: Option<i64>,
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    /// How much it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<i64>,
    /// Within which time, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_s: Option<u32>,
}

/// What raises an alarm without a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What people call it.
    pub name: String,
    /// What people are told.
    pub text: String,
    /// How an alarm of it ranks.
    #[serde(default = "medium")]
    pub severity: Severity,
    /// Which controllers it is about.
    #[serde(default)]
    pub scope: Scope,
    /// When it is so.
    pub condition: Condition,
    /// How long it has to be so, in seconds.
    #[serde(default)]
    pub for_s: u32,
    /// How long it has to be over, in seconds.
    #[serde(default)]
    pub over_for_s: u32,
    /// Whether it is looked at.
    #[serde(default = "yes")]
    pub is_enabled: bool,
}

const fn medium() -> Severity {
    Severity::Medium
}

const fn yes() -> bool {
    true
}

/// A rule that the gateway keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRule {
    /// Its number.
    pub id: u32,
    /// What it says.
    pub rule: Rule,
}

/// A site: a group of controllers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its number.
    pub site: u32,
    /// What people call it.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_newer_is_read_as_text_or_passed_over() {
        let alarm: Alarm = serde_json::from_value(json!({
            "id": 7, "state": "dreamt", "severity": "grave", "text": "High water", "raised_ms": 1, "since_ms": 2,
            "source": { "kind": "oracle", "controller": 3, "omen": [1, 2] }, "weather": "fine",
        }))
        .unwrap();
        assert_eq!(alarm.state, State::Other("dreamt".into()));
        assert_eq!(alarm.state.name(), "dreamt");
        assert!(alarm.state.is_unacknowledged());
        assert!(alarm.severity > Severity::High, "{:?}", alarm.severity);
        assert_eq!(
            (alarm.source.kind.as_str(), alarm.source.controller),
            ("oracle", Some(3))
        );
        let attempt: Attempt = serde_json::from_value(json!({
            "id": 1, "contact": 2, "channel": "pigeon", "begun_ms": 1,
            "steps": [{ "step": "fluttering", "at_ms": 5 }], "outcome": { "kind": "eaten", "reason": "a cat" },
        }))
        .unwrap();
        assert_eq!(attempt.channel.name(), "pigeon");
        assert_eq!(attempt.steps[0].step.name(), "fluttering");
        assert_eq!(attempt.outcome.unwrap().kind.name(), "eaten");
    }

    #[test]
    fn words_are_written_as_they_are_read() {
        for state in State::ALL {
            let written = serde_json::to_value(state).unwrap();
            assert_eq!(written, json!(state.name()));
            assert_eq!(serde_json::from_value::<State>(written).unwrap(), *state);
            assert_eq!(State::from_name(state.name()).as_ref(), Some(state));
        }
        let other = Medium::Other("smoke".into());
        assert_eq!(serde_json::to_value(&other).unwrap(), json!("smoke"));
        assert_eq!(Medium::from_name("smoke"), None);
        assert!(Severity::Low < Severity::Medium && Severity::Medium < Severity::High);
    }

    #[test]
    fn plans_and_rules_keep_the_shape_of_the_wire() {
        let plan = json!({
            "chain": [
                { "whom": { "on_call": "first" }, "medium": "call", "from": "low", "wait_s": 300, "attempts": 2, "pause_s": 60 },
                { "whom": { "contact": 3 }, "medium": "sms", "from": "high", "wait_s": 0, "attempts": 1, "pause_s": 60 },
            ],
            "again_s": 900, "heard_from": "never", "zone": "Europe/Berlin",
            "rota": [{ "name": "first", "people": [1, 2], "shift_days": 7, "hand_over": { "day": 1, "minute": 480 }, "starts_ms": 5 }],
            "overrides": [{ "turn": "first", "contact": 3, "from_ms": 1, "until_ms": 2 }],
        });
        let read: Plan = serde_json::from_value(plan.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), plan);
        let rule = json!({
            "name": "level", "text": "High water", "severity": "high", "scope": { "site": 7 }, "for_s": 5, "over_for_s": 0,
            "condition": { "kind": "above", "point": "level", "limit": 80_000, "clear": 70_000 }, "is_enabled": true,
        });
        let read: Rule = serde_json::from_value(rule.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), rule);
        let everywhere: Scope = serde_json::from_value(json!("everywhere")).unwrap();
        assert_eq!(everywhere, Scope::Everywhere);
    }
}
