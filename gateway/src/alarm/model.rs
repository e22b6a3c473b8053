//! An alarm, what became of it, and the attempts at telling somebody. All of it is kept as JSON of these types:
//! names never change, and what is added later has a default.

use super::{people::ContactId, rule::RuleId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An alarm's number. It rises, and none is given twice.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
pub struct AlarmId(pub u64);

/// An attempt's number. It rises, and none is given twice.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
pub struct AttemptId(pub u64);

impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How an alarm ranks; the words of scripts.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody should know by and by.
    Low,
    /// Somebody should know today.
    #[default]
    Medium,
    /// Somebody has to know now.
    High,
}

impl Severity {
    /// The stable lowercase name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }
}

/// What raised an alarm. One that is not over is never raised twice for the same source.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Source {
    /// A controller's script, by one of its alarms.
    Script {
        /// The controller.
        controller: u32,
        /// Which of the script's.
        alarm: u8,
    },
    /// A rule, at one controller.
    Rule {
        /// The rule.
        rule: RuleId,
        /// The controller.
        controller: u32,
    },
    /// Most controllers of a site went silent together.
    SiteSilent {
        /// The site.
        site: u32,
    },
    /// A roll-out came to a bad end, or halted.
    Rollout {
        /// Its number.
        rollout: u32,
    },
    /// The status store does not answer.
    StatusStore,
    /// A way of telling people is out of order.
    Channel {
        /// Which.
        channel: Channel,
    },
    /// Somebody is to be told that all is well, to see whether that works.
    Test {
        /// Who.
        contact: ContactId,
        /// By what.
        medium: Medium,
    },
    /// Somebody did not answer such a test.
    TestUnanswered {
        /// Who.
        contact: ContactId,
    },
}

impl Source {
    /// The same as a short text, which is another one for every other source.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Source::Script { controller, alarm } => format!("script {controller} {alarm}"),
            Source::Rule { rule, controller } => format!("rule {} {controller}", rule.0),
            Source::SiteSilent { site } => format!("site {site}"),
            Source::Rollout { rollout } => format!("rollout {rollout}"),
            Source::StatusStore => "status store".into(),
            Source::Channel { channel } => format!("channel {}", channel.name()),
            Source::Test { contact, medium } => format!("test {contact} {}", medium.name()),
            Source::TestUnanswered { contact } => format!("unanswered {contact}"),
        }
    }
}

/// A way of telling somebody.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A telephone call over a SIP trunk.
    Sip,
    /// A telephone call by a GSM modem.
    ModemCall,
    /// A short message by a GSM modem.
    ModemSms,
    /// A telephone call by a provider over HTTP.
    ProviderCall,
    /// A short message by a provider over HTTP.
    ProviderSms,
    /// E-mail.
    Email,
    /// A push message to a telephone.
    Ntfy,
    /// A signed HTTP request.
    Webhook,
}

impl Channel {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Sip,
        Self::ModemCall,
        Self::ModemSms,
        Self::ProviderCall,
        Self::ProviderSms,
        Self::Email,
        Self::Ntfy,
        Self::Webhook,
    ];

    /// The stable lowercase name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::ModemCall => "modem_call",
            Self::ModemSms => "modem_sms",
            Self::ProviderCall => "provider_call",
            Self::ProviderSms => "provider_sms",
            Self::Email => "email",
            Self::Ntfy => "ntfy",
            Self::Webhook => "webhook",
        }
    }

    /// The way people speak of: which address of a contact it takes.
    #[must_use]
    pub const fn medium(self) -> Medium {
        match self {
            Self::Sip | Self::ModemCall | Self::ProviderCall => Medium::Call,
            Self::ModemSms | Self::ProviderSms => Medium::Sms,
            Self::Email => Medium::Email,
            Self::Ntfy => Medium::Push,
            Self::Webhook => Medium::Webhook,
        }
    }
}

/// What people choose of: a medium. Which channel serves it is the host's affair: the first that is set up and in order.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// A telephone call, in which a key says that it was heard.
    Call,
    /// A short message.
    Sms,
    /// E-mail.
    Email,
    /// A push message.
    Push,
    /// A signed HTTP request.
    Webhook,
}

impl Medium {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Call,
        Self::Sms,
        Self::Email,
        Self::Push,
        Self::Webhook,
    ];

    /// The stable lowercase name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Sms => "sms",
            Self::Email => "email",
            Self::Push => "push",
            Self::Webhook => "webhook",
        }
    }

    /// The channels that serve it, the first of which comes first.
    #[must_use]
    pub const fn channels(self) -> &'static [Channel] {
        match self {
            Self::Call => &[Channel::Sip, Channel::ModemCall, Channel::ProviderCall],
            Self::Sms => &[Channel::ModemSms, Channel::ProviderSms],
            Self::Email => &[Channel::Email],
            Self::Push => &[Channel::Ntfy],
            Self::Webhook => &[Channel::Webhook],
        }
    }

    /// Whether it wakes people.
    #[must_use]
    pub const fn rings(self) -> bool {
        matches!(self, Self::Call | Self::Sms | Self::Push)
    }
}

/// Who did something about an alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// An account, over the API.
    Account(String),
    /// A contact, who was told.
    Contact(ContactId),
    /// The gateway itself.
    Gateway,
}

/// By what somebody did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// A key, in this attempt's call.
    Call(AttemptId),
    /// An answer to this attempt's message.
    Message(AttemptId),
    /// A page, a screen or a program, over the API.
    Api,
    /// By itself.
    Itself,
}

impl How {
    /// The attempt by which it was done.
    #[must_use]
    pub const fn attempt(self) -> Option<AttemptId> {
        match self {
            How::Call(attempt) | How::Message(attempt) => Some(attempt),
            How::Api | How::Itself => None,
        }
    }
}

/// Whoever did something, how and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// Who.
    pub who: Who,
    /// By what.
    pub how: How,
    /// When, in milliseconds of gateway time.
    pub at_ms: u64,
}

/// Nobody is told of an alarm until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelf {
    /// When it ends, in milliseconds of gateway time.
    pub until_ms: u64,
    /// Who wanted it.
    pub by: Deed,
}

/// Where the telling of an alarm stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pursuit {
    /// The rung of its site's chain that comes next, or is under way.
    pub rung: u16,
    /// Attempts made at that rung.
    pub attempts: u8,
    /// Channels that failed at that rung.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Channel>,
    /// How often the whole chain was gone through.
    pub rounds: u16,
    /// When there is something to do next; in milliseconds of gateway time.
    pub due_ms: u64,
    /// The attempt that is under way, or was when the gateway was stopped.
    pub attempt: Option<AttemptId>,
    /// Somebody was told: heard it spoken, or was sent a message.
    pub is_notified: bool,
    /// Since the round began, something was tried.
    pub has_tried: bool,
}

/// How an alarm stands, in one word.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody was told yet.
    Raised,
    /// Somebody was told, and nobody has said that they heard.
    Notified,
    /// Nobody is told until a time.
    Shelved,
    /// Somebody has said that they heard; it is still so.
    Acknowledged,
    /// It is not so any more, and somebody still has to say that they heard.
    Returned,
    /// It is not so any more, and nobody has to do anything about it.
    Cleared,
}

impl State {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Raised,
        Self::Notified,
        Self::Shelved,
        Self::Acknowledged,
        Self::Returned,
        Self::Cleared,
    ];

    /// The stable lowercase name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Notified => "notified",
            Self::Shelved => "shelved",
            Self::Acknowledged => "acknowledged",
            Self::Returned => "returned",
            Self::Cleared => "cleared",
        }
    }
}

/// An alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its number.
    pub id: AlarmId,
    /// What raised it.
    pub source: Source,
    /// How it ranks.
    pub severity: Severity,
    /// What is wrong, in the words of whoever wrote the script or the rule.
    pub text: String,
    /// The controller, where it is about one.
    pub controller: Option<u32>,
    /// What people called that controller when it was raised.
    pub controller_title: Option<String>,
    /// The site that it belongs to, whose people are told.
    pub site: Option<u32>,
    /// What the point was when it was raised, as people write it, where a rule looked at one.
    #[serde(default)]
    pub value: Option<String>,
    /// When it was first raised, in milliseconds of gateway time.
    pub raised_ms: u64,
    /// When it was last raised again, or for the first time.
    pub since_ms: u64,
    /// Whether it is so now.
    pub is_standing: bool,
    /// When it ceased to be so, of one that is not standing.
    pub cleared_ms: Option<u64>,
    /// How often it was raised before it was over for good.
    pub times: u32,
    /// When it was raised lately, in milliseconds of gateway time: a few at most.
    #[serde(default)]
    pub lately_ms: Vec<u64>,
    /// It comes and goes so often that nobody is told each time.
    #[serde(default)]
    pub is_flapping: bool,
    /// It says that a controller is silent: many of them together are one alarm.
    #[serde(default)]
    pub is_silence: bool,
    /// Somebody said that they heard.
    pub acknowledged: Option<Deed>,
    /// Nobody is told until then.
    pub shelved: Option<Shelf>,
    /// It is a part of this one, of which people are told in its place.
    pub part_of: Option<AlarmId>,
    /// Where the telling stands; `None` when nobody is told any more.
    pub pursuit: Option<Pursuit>,
}

impl Alarm {
    /// How it stands, in one word.
    #[must_use]
    pub fn state(&self) -> State {
        let is_told = self.pursuit.as_ref().is_some_and(|it| it.is_notified);
        match self {
            Alarm {
                is_standing: true,
                acknowledged: Some(_),
                ..
            } => State::Acknowledged,
            Alarm {
                shelved: Some(_), ..
            } => State::Shelved,
            Alarm {
                is_standing: true, ..
            } if is_told => State::Notified,
            Alarm {
                is_standing: true, ..
            } => State::Raised,
            Alarm {
                pursuit: Some(_), ..
            } => State::Returned,
            _ => State::Cleared,
        }
    }

    /// Whether anything may still become of it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_standing || self.pursuit.is_some() || self.shelved.is_some()
    }
}

/// How an attempt at telling somebody ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// They said that they heard.
    Acknowledged,
    /// They want the next one to be told.
    Passed,
    /// They want to hear nothing of it for an hour.
    Muted,
    /// They, or their voicemail, had it spoken to them and pressed no key that says so.
    Unanswered,
    /// The message was taken by whoever carries it.
    Sent,
    /// They were busy.
    Busy,
    /// Nobody took the call.
    NoAnswer,
    /// The call or message was refused, or came to nothing.
    Failed {
        /// Why.
        reason: String,
    },
    /// It was not begun, since a limit does not allow it.
    Limited {
        /// Which.
        reason: String,
    },
    /// It was not needed any more: somebody else had said that they heard.
    Withdrawn,
    /// The gateway was stopped in the midst.
    Interrupted,
}

impl Outcome {
    /// The stable lowercase name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Passed => "passed",
            Self::Muted => "muted",
            Self::Unanswered => "unanswered",
            Self::Sent => "sent",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Failed { .. } => "failed",
            Self::Limited { .. } => "limited",
            Self::Withdrawn => "withdrawn",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether somebody was told.
    #[must_use]
    pub const fn has_told(&self) -> bool {
        matches!(
            self,
            Self::Acknowledged | Self::Passed | Self::Muted | Self::Unanswered | Self::Sent
        )
    }
}

/// How far an attempt has come.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It is written down, and about to begin.
    Begun,
    /// The telephone rings.
    Ringing,
    /// The call was taken.
    Answered,
    /// It is being spoken, or the message is with whoever carries it.
    Told,
}

/// An attempt at telling somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number.
    pub id: AttemptId,
    /// Who is told.
    pub contact: ContactId,
    /// What they were called then.
    pub contact_name: String,
    /// By what.
    pub channel: Channel,
    /// Under which number or address.
    pub destination: String,
    /// Of which alarms; those that were told, once it has come to that.
    pub alarms: Vec<AlarmId>,
    /// What an answer to a message begins with, that says that it was heard.
    pub code: u32,
    /// When it was written down, in milliseconds of gateway time.
    pub begun_ms: u64,
    /// How far it came, and when.
    pub steps: Vec<(Step, u64)>,
    /// The keys that were pressed; of a PIN only that there was one.
    pub keys: String,
    /// When it ended, in milliseconds of gateway time.
    pub ended_ms: Option<u64>,
    /// How it ended; `None` while it is under way.
    pub outcome: Option<Outcome>,
}

/// Something that is written down about an alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The alarm.
    pub alarm: AlarmId,
    /// When, in milliseconds of gateway time.
    pub at_ms: u64,
    /// What.
    pub what: Happened,
}

/// What may be written down about an alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Happened {
    /// It was raised; again, where it had been before.
    Raised {
        /// The value, as people write it.
        value: Option<String>,
    },
    /// It is not so any more.
    Cleared,
    /// It comes and goes too often.
    Flapping,
    /// It has become a part of another one.
    Joined {
        /// Which.
        alarm: AlarmId,
    },
    /// An attempt at telling somebody was begun.
    Attempted {
        /// Which.
        attempt: AttemptId,
    },
    /// Somebody said that they heard.
    Acknowledged {
        /// Who, and by what.
        by: Deed,
    },
    /// Nobody is told until then.
    Shelved {
        /// Until when, in milliseconds of gateway time.
        until_ms: u64,
        /// Who wanted it, and by what.
        by: Deed,
    },
    /// It is taken from the shelf.
    Unshelved {
        /// Who wanted it, and by what.
        by: Deed,
    },
    /// Somebody wrote something.
    Commented {
        /// What.
        text: String,
        /// Who, and by what.
        by: Deed,
    },
    /// There was nobody to tell at a rung: nobody on call, no such address, or quiet hours.
    Skipped {
        /// Which, from 0.
        rung: u16,
        /// Why.
        reason: String,
    },
    /// The whole chain was gone through, and nobody said that they heard.
    Exhausted {
        /// How often by now.
        rounds: u16,
    },
}
