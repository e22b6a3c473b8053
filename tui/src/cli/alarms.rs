//! The command line of alarms: what is wrong, contacts, plans and rules.

use super::Output;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use switchyard_client::alarms::{Language, Medium, Severity};

/// What to do about alarms; without a verb they are listed.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AlarmsLine {
    #[command(flatten)]
    pub(crate) list: AlarmsList,
    #[command(subcommand)]
    pub(crate) verb: Option<AlarmsVerb>,
}

/// Which alarms to list.
#[derive(Args, Debug)]
pub(crate) struct AlarmsList {
    /// Those that are over, the newest first
    #[arg(long, conflicts_with = "watch")]
    pub(crate) closed: bool,
    /// Those of this site, by its number or name
    #[arg(long, value_name = "SITE")]
    pub(crate) site: Option<String>,
    /// Go on with what changes, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// At most so many of those that are over
    #[arg(long, value_name = "K", default_value_t = 50)]
    pub(crate) count: usize,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What to do about alarms.
#[derive(Debug, Subcommand)]
pub(crate) enum AlarmsVerb {
    /// List what is wrong, the gravest first
    List {
        #[command(flatten)]
        list: AlarmsList,
    },
    /// Show an alarm and its history: who was called when, what came of it
    Show {
        /// The alarm's number
        id: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Say that you heard: nobody else is told
    #[command(alias = "ack")]
    Acknowledge {
        /// The alarms' numbers
        #[arg(required_unless_present = "all")]
        ids: Vec<u64>,
        /// Everything of which nobody has said that they heard
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// With --all: of this site alone, by its number or name
        #[arg(long, value_name = "SITE", conflicts_with = "ids")]
        site: Option<String>,
        /// Write this down with it
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Have nobody told until a time
    Shelve {
        /// The alarms' numbers
        #[arg(required = true)]
        ids: Vec<u64>,
        /// For how long, such as 30m, 1h or 2d
        #[arg(
            long = "for",
            value_name = "TIME",
            required_unless_present = "until",
            conflicts_with = "until"
        )]
        span: Option<String>,
        /// Until when: 18:00, or 2027-01-15 08:00, in the zone of this machine
        #[arg(long, value_name = "WHEN")]
        until: Option<String>,
        /// Write this down with it
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Have people told again
    Unshelve {
        /// The alarms' numbers
        #[arg(required = true)]
        ids: Vec<u64>,
        #[command(flatten)]
        output: Output,
    },
    /// Write something down about an alarm
    Comment {
        /// The alarm's number
        id: u64,
        /// What
        text: String,
        #[command(flatten)]
        output: Output,
    },
}

/// What to do about contacts: who may be told of alarms, and how.
#[derive(Debug, Subcommand)]
pub(crate) enum ContactsVerb {
    /// List them
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Print one as `set` takes it, without the PIN
    Show {
        /// Their name or number
        contact: String,
        #[command(flatten)]
        output: Output,
    },
    /// Make one, or change what is given of one; an empty text takes a field away
    Set {
        #[command(flatten)]
        order: Box<ContactOrder>,
    },
    /// Remove one
    Remove {
        /// Their name or number
        contact: String,
    },
    /// Have one told that all is well, now, and show what comes of it
    Test {
        /// Their name or number
        contact: String,
        /// By what: call, sms, email, push or webhook
        #[arg(long, value_name = "MEDIUM", default_value = "call", value_parser = medium)]
        by: Medium,
        #[command(flatten)]
        output: Output,
    },
}

/// What a contact is to be.
#[derive(Args, Debug)]
pub(crate) struct ContactOrder {
    /// Their name, or the number of one that there is
    pub(crate) contact: String,
    /// A file of all of it in TOML or JSON, as `show` prints it; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Another name
    #[arg(long, value_name = "NAME")]
    pub(crate) rename: Option<String>,
    /// Their telephone, such as +493012345
    #[arg(long, value_name = "NUMBER")]
    pub(crate) telephone: Option<String>,
    /// Their telephone for short messages, where it is another one
    #[arg(long, value_name = "NUMBER")]
    pub(crate) sms: Option<String>,
    /// Their e-mail address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    /// The topic of their push messages
    #[arg(long, value_name = "TOPIC")]
    pub(crate) push_topic: Option<String>,
    /// A URL of a program of theirs
    #[arg(long, value_name = "URL")]
    pub(crate) webhook_url: Option<String>,
    /// The language that they are told in: en or zh
    #[arg(long, value_name = "LANGUAGE", value_parser = language)]
    pub(crate) language: Option<Language>,
    /// The zone of their times, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// When they are not to be woken, such as "mon-fri 22:00-07:00"; several times for several spans
    #[arg(long, value_name = "SPAN")]
    pub(crate) quiet: Vec<String>,
    /// The lowest severity that wakes them all the same
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    pub(crate) wakes_from: Option<Severity>,
    /// Calls to them in an hour at most
    #[arg(long, value_name = "N")]
    pub(crate) calls_per_hour_max: Option<u8>,
    /// When they are told that all is well, such as "mon 10:00"
    #[arg(long, value_name = "WHEN")]
    pub(crate) weekly_test: Option<String>,
    /// The account that they log in with
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Read their PIN's line from standard input
    #[arg(long)]
    pub(crate) pin_stdin: bool,
    /// Take their PIN away
    #[arg(long, conflicts_with = "pin_stdin")]
    pub(crate) no_pin: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Who is on call; without a verb it is printed.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct OnCallLine {
    /// At this site, by its number or name; `all` is the plan of those that have none of their own [default: every plan]
    #[arg(long, value_name = "SITE")]
    pub(crate) site: Option<String>,
    /// So many weeks ahead
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=53))]
    pub(crate) weeks: u16,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) verb: Option<OnCallVerb>,
}

/// What to do about who is on call.
#[derive(Debug, Subcommand)]
pub(crate) enum OnCallVerb {
    /// Have somebody else take a turn for a while
    Override {
        /// The site whose plan it is, by its number or name; `all` is the plan of those that have none of their own
        #[arg(long, value_name = "SITE", default_value = "all")]
        site: String,
        /// The turn's name
        #[arg(long, value_name = "NAME")]
        turn: String,
        /// Who takes it, by name or number
        #[arg(long, value_name = "CONTACT")]
        contact: String,
        /// From when, such as "2027-01-15 08:00", in the plan's zone [default: now]
        #[arg(long, value_name = "WHEN")]
        from: Option<String>,
        /// Until when
        #[arg(long, value_name = "WHEN")]
        until: String,
        #[command(flatten)]
        output: Output,
    },
}

/// What to do about plans: who is told after whom, and who is on call.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanVerb {
    /// Print a site's plan as `set` takes it
    Show {
        /// The site, by its number or name; `all` is the plan of those that have none of their own
        #[arg(default_value = "all")]
        site: String,
        #[command(flatten)]
        output: Output,
    },
    /// Write a site's plan
    Set {
        /// The site, by its number or name; `all` is the plan of those that have none of their own
        site: String,
        /// A file in TOML or JSON, as `show` prints it; - for standard input
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Remove a site's plan: it follows that of all sites again
    Remove {
        /// The site, by its number or name; `all` is the plan of those that have none of their own
        site: String,
    },
}

/// What to do about rules: what raises an alarm without a script.
#[derive(Debug, Subcommand)]
pub(crate) enum RuleVerb {
    /// List them
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Make one
    Add {
        /// What people call it
        name: String,
        /// What people are told
        #[arg(long)]
        text: String,
        /// When it is so: "level above 80 clear 70", "level below 5", "door is on", "level rises 10 within 5m",
        /// "level falls 10 within 5m", "level bad", "silent"
        #[arg(long, value_name = "CONDITION")]
        when: String,
        #[command(flatten)]
        order: RuleOrder,
    },
    /// Change what is given of one
    Set {
        /// Its name or number
        rule: String,
        /// Another name
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        /// What people are told
        #[arg(long)]
        text: Option<String>,
        /// When it is so; see `add`
        #[arg(long, value_name = "CONDITION")]
        when: Option<String>,
        #[command(flatten)]
        order: RuleOrder,
    },
    /// Remove one
    Remove {
        /// Its name or number
        rule: String,
    },
}

/// What a rule is to be, besides its name, its text and its condition.
#[derive(Args, Debug)]
pub(crate) struct RuleOrder {
    /// How its alarms rank: low, medium or high
    #[arg(long, value_parser = severity)]
    pub(crate) severity: Option<Severity>,
    /// About the controllers of this site, by its number or name
    #[arg(long, value_name = "SITE", group = "scope")]
    pub(crate) site: Option<String>,
    /// About the controllers with this tag
    #[arg(long, group = "scope")]
    pub(crate) tag: Option<String>,
    /// About these controllers, by their numbers
    #[arg(long, value_name = "N,…", value_delimiter = ',', group = "scope")]
    pub(crate) controllers: Vec<u32>,
    /// About all controllers
    #[arg(long, group = "scope")]
    pub(crate) everywhere: bool,
    /// How long it has to be so, such as 10s
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) lasting: Option<String>,
    /// How long it has to be over, such as 10s
    #[arg(long, value_name = "TIME")]
    pub(crate) over_for: Option<String>,
    /// Look at it
    #[arg(long, conflicts_with = "disable")]
    pub(crate) enable: bool,
    /// Do not look at it
    #[arg(long)]
    pub(crate) disable: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// A word of one of the API's lists.
macro_rules! word {
    ($($read:ident $list:ident;)+) => {$(
        pub(crate) fn $read(text: &str) -> Result<$list, String> {
            $list::from_name(text).ok_or_else(|| {
                let known: Vec<_> = $list::ALL.iter().map($list::name).collect();
                format!("expected one of {}", known.join(", "))
            })
        }
    )+};
}

word! {
    medium Medium;
    language Language;
    severity Severity;
}

#[cfg(test)]
mod tests {
    use crate::cli::Arguments;
    use clap::Parser;

    #[test]
    fn reads_and_refuses() {
        for (line, is_taken) in [
            ("alarms", true),
            ("alarms --site North --watch --json", true),
            ("alarms list --closed --count 3", true),
            ("alarms --closed --watch", false),
            ("alarms show 12", true),
            ("alarms show", false),
            ("alarms acknowledge 1 2 --comment seen", true),
            ("alarms ack --all --site 7", true),
            ("alarms acknowledge", false),
            ("alarms acknowledge 1 --all", false),
            ("alarms acknowledge 1 --site 7", false),
            ("alarms shelve 1 --for 1h", true),
            ("alarms shelve 1 --until 18:00", true),
            ("alarms shelve 1", false),
            ("alarms shelve 1 --for 1h --until 18:00", false),
            ("alarms comment 1 seen", true),
            ("contacts set Li --telephone +4930 --pin-stdin", true),
            ("contacts set Li --pin 1234", false),
            ("contacts test Li --by call", true),
            ("contacts test Li --by pigeon", false),
            ("on-call --site North --weeks 2", true),
            ("on-call --weeks 0", false),
            (
                "on-call override --turn first --contact Li --until 18:00",
                true,
            ),
            ("alarm-plan show", true),
            ("alarm-plan set North plan.toml", true),
            ("alarm-plan set North", false),
            ("alarm-rule add level --text t --when silent --for 1m", true),
            (
                "alarm-rule add level --text t --when silent --site 1 --everywhere",
                false,
            ),
            ("alarm-rule set level --disable", true),
            ("alarm-rule set level --disable --enable", false),
        ] {
            let words = std::iter::once("switchyard").chain(line.split_whitespace());
            let parsed = Arguments::try_parse_from(words);
            assert_eq!(parsed.is_ok(), is_taken, "{line}: {parsed:?}");
        }
    }
}
