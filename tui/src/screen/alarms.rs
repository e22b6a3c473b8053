//! Alarms on the screen: what is wrong, the gravest first, and one alarm's time line. [`AlarmDesk`] is plain values; `update`
//! decides and `view` draws, both pure; `watch` alone asks the gateway.

#[cfg(test)]
mod tests;
mod update;
pub(super) mod view;
mod watch;

pub(super) use update::{
    acknowledge, answered, asked, back, comment, heard, leave_filter, mark, open, open_alarm,
    shelve, step, taken, unshelve,
};
pub(super) use watch::{fulfil, watch};

use crate::alarms::{directory::Directory, words};
use std::collections::{BTreeMap, BTreeSet};
use switchyard_client::alarms::{Alarm, AlarmHistory, AlarmPage, Overview};

/// Characters of a comment that is typed.
pub(crate) const COMMENT_CHARS_MAX: usize = 200;

/// Whether alarms are to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Not asked yet.
    #[default]
    Asking,
    /// They are.
    Clear,
    /// The account may not.
    Forbidden,
    /// The gateway is older than alarms.
    Unknown,
    /// It could not be asked; what is shown was so before.
    Lost(String),
}

/// What the screen knows of alarms.
#[derive(Debug, Default)]
pub(crate) struct AlarmDesk {
    pub(crate) sight: Sight,
    /// Those that are open, in the gateway's order.
    pub(crate) list: Vec<Alarm>,
    /// There are more than are kept here.
    pub(crate) is_cut: bool,
    pub(crate) overview: Overview,
    pub(crate) directory: Directory,
    pub(crate) filter: String,
    /// The one under the cursor: by number, so that it keeps it while others come and go.
    pub(crate) selected: Option<u64>,
    /// Those that a key means in its stead.
    pub(crate) marked: BTreeSet<u64>,
    /// The one that is open, once the gateway has told of it.
    pub(crate) history: Option<(u64, Result<Box<AlarmHistory>, String>)>,
    /// It is being read anew: a gateway that is slow is not asked again each second.
    pub(crate) is_reading: bool,
    /// Lines of the time line that are above its first one on the screen.
    pub(crate) scroll: usize,
    /// Those that were told of last, and since when they were so: what is new beside them rings.
    known: Option<BTreeMap<u64, u64>>,
    is_ringing: bool,
}

/// What the screen wants done about alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Show(u64),
    Acknowledge(Vec<u64>),
    Shelve { alarms: Vec<u64>, until_ms: u64 },
    Unshelve(Vec<u64>),
    Comment { alarms: Vec<u64>, text: String },
}

/// What the gateway tells.
#[derive(Debug)]
pub(crate) enum News {
    /// All that is open.
    Told {
        page: Box<AlarmPage>,
        overview: Box<Overview>,
        directory: Directory,
    },
    /// Nothing is to be seen.
    Shut(Sight),
    /// One alarm's history.
    History(u64, Result<Box<AlarmHistory>, String>),
    /// What became of a wish, for people.
    Done(String),
}

impl AlarmDesk {
    /// Those that pass the filter; without one, those that are no part of another that is there.
    pub(crate) fn visible(&self) -> Vec<&Alarm> {
        let all = self.list.iter();
        all.filter(|alarm| self.passes(alarm)).collect()
    }

    fn passes(&self, alarm: &Alarm) -> bool {
        let (wanted, is_inverse) = match self.filter.strip_prefix('!') {
            Some(rest) => (rest.to_lowercase(), true),
            None => (self.filter.to_lowercase(), false),
        };
        if wanted.is_empty() {
            return alarm.part_of.is_none_or(|whole| self.find(whole).is_none());
        }
        let site = alarm.site.map(|site| self.directory.site_name(site));
        let texts = [
            words::what(alarm),
            words::place(alarm, &self.directory),
            words::state(&alarm.state),
            alarm.severity.name().to_owned(),
            alarm.id.to_string(),
            site.unwrap_or_default(),
        ];
        texts.iter().any(|it| it.to_lowercase().contains(&wanted)) != is_inverse
    }

    /// One of those that are open.
    pub(crate) fn find(&self, id: u64) -> Option<&Alarm> {
        self.list.iter().find(|it| it.id == id)
    }

    /// So many of which nobody has said that they heard.
    pub(crate) fn unacknowledged(&self) -> u64 {
        match self.sight {
            Sight::Clear | Sight::Lost(_) if self.is_cut => self.overview.unacknowledged.all(),
            // What is shelved waits too, but nobody has to look at it now.
            Sight::Clear | Sight::Lost(_) => {
                let all = self.list.iter();
                all.filter(|it| {
                    let is_wrong = it.part_of.is_none() && it.source.kind != "test";
                    is_wrong && it.state.is_unacknowledged()
                })
                .count() as u64
            }
            _ => 0,
        }
    }

    /// Whether the bell is to ring, once.
    pub(crate) fn take_bell(&mut self) -> bool {
        std::mem::take(&mut self.is_ringing)
    }
}
