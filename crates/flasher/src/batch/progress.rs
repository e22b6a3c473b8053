//! What the steps of one board's work mean for its batch: which stage it is in, how far, and how long each took.

use super::{SlotChange, SlotEvent};
use crate::{BatchStage, Event, Stage, Watch, monitor::Banner};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The stages of one board, with their times. Pure: whoever asks says what time it is.
#[derive(Debug)]
pub(super) struct Stages {
    current: BatchStage,
    since: Instant,
    durations: BTreeMap<BatchStage, Duration>,
}

impl Stages {
    pub(super) fn begin(now: Instant) -> Self {
        Stages {
            current: BatchStage::Connect,
            since: now,
            durations: BTreeMap::new(),
        }
    }

    pub(super) fn current(&self) -> BatchStage {
        self.current
    }

    /// Goes on to a stage; whether that is another one.
    pub(super) fn enter(&mut self, stage: BatchStage, now: Instant) -> bool {
        let took = now.saturating_duration_since(self.since);
        *self.durations.entry(self.current).or_default() += took;
        self.since = now;
        std::mem::replace(&mut self.current, stage) != stage
    }

    pub(super) fn end(mut self, now: Instant) -> BTreeMap<BatchStage, Duration> {
        self.enter(self.current, now);
        self.durations
    }
}

/// The stage that an event belongs to; `None`: it changes nothing.
fn stage_of(event: &Event, current: BatchStage) -> Option<BatchStage> {
    Some(match event {
        Event::Found { .. } | Event::WaitingForBoard if current < BatchStage::Flash => {
            BatchStage::Connect
        }
        Event::Comparing { .. }
        | Event::BackingUp { .. }
        | Event::Writing { .. }
        | Event::Verifying { .. } => BatchStage::Flash,
        Event::WaitingForStart | Event::Stage(Stage::Starting) => BatchStage::Boot,
        // The board joins its network twice: for its settings, and again as who it is.
        Event::Stage(Stage::Joining) if current >= BatchStage::Enrol => return None,
        Event::Stage(Stage::Unlocking | Stage::Setting | Stage::Joining) => BatchStage::Provision,
        Event::Stage(Stage::Script) => BatchStage::Script,
        // What is looked at in the end is waited for as well.
        Event::Stage(Stage::Reaching) if current == BatchStage::Check => return None,
        Event::Stage(Stage::Enrolling | Stage::Restarting | Stage::Reaching) => BatchStage::Enrol,
        // A failure stays where it happened.
        _ => return None,
    })
}

/// How far a stage is.
fn percent_of(event: &Event) -> Option<u8> {
    match event {
        Event::BackingUp { bytes, done, .. }
        | Event::Writing { bytes, done, .. }
        | Event::Verifying { bytes, done, .. }
        | Event::Scripting { bytes, done } => {
            let percent = u64::from(*done) * 100 / u64::from((*bytes).max(1));
            Some(percent.min(100) as u8)
        }
        _ => None,
    }
}

/// Watches the work on one board, for its slot.
pub(super) struct SlotWatch<'a> {
    pub(super) slot: usize,
    pub(super) tell: &'a (dyn Fn(SlotEvent) + Sync),
    pub(super) is_stopped: &'a (dyn Fn() -> bool + Sync),
    pub(super) stages: Stages,
    /// The last first line that was heard of a program.
    pub(super) banner: Option<Banner>,
    /// What a scan of the script takes at most, once it was compiled.
    pub(super) scan_us: Option<u32>,
    percent: Option<u8>,
    /// Nothing is told of a board that may not be there at all.
    pub(super) is_found: bool,
}

impl<'a> SlotWatch<'a> {
    pub(super) fn new(
        slot: usize,
        tell: &'a (dyn Fn(SlotEvent) + Sync),
        is_stopped: &'a (dyn Fn() -> bool + Sync),
    ) -> Self {
        SlotWatch {
            slot,
            tell,
            is_stopped,
            stages: Stages::begin(Instant::now()),
            banner: None,
            scan_us: None,
            percent: None,
            is_found: false,
        }
    }

    pub(super) fn tell(&self, change: SlotChange) {
        let slot = self.slot;
        (self.tell)(SlotEvent { slot, change });
    }

    pub(super) fn enter(&mut self, stage: BatchStage) {
        if self.stages.enter(stage, Instant::now()) {
            self.percent = None;
            self.tell(SlotChange::Begun { stage });
        }
    }
}

impl Watch for SlotWatch<'_> {
    fn event(&mut self, event: Event) {
        if matches!(event, Event::Found { .. }) && !self.is_found {
            self.is_found = true;
            let stage = BatchStage::Connect;
            self.tell(SlotChange::Begun { stage });
        }
        if let Some(stage) = stage_of(&event, self.stages.current()) {
            self.enter(stage);
        }
        if let Some(percent) = percent_of(&event)
            && self.percent != Some(percent)
        {
            self.percent = Some(percent);
            self.tell(SlotChange::Progress { percent });
        }
        match event {
            Event::WaitingForStart => self.tell(SlotChange::WaitingForStart),
            // On a line on which nobody is yet, nobody wants to know how it is looked for.
            Event::Again { why, .. } if self.is_found => self.tell(SlotChange::Again { why }),
            Event::Log { line } => self.banner = Banner::read(&line).or(self.banner.take()),
            Event::Compiled { scan_us, .. } => self.scan_us = Some(scan_us),
            Event::Stage(Stage::RollingBack) => self.tell(SlotChange::RollingBack),
            _ => {}
        }
    }

    fn is_stopped(&self) -> bool {
        (self.is_stopped)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn writing(done: u32) -> Event {
        Event::Writing {
            offset: 0,
            bytes: 1000,
            done,
        }
    }

    #[test]
    fn steps_become_stages_and_each_is_told_once() {
        let told = Mutex::new(Vec::new());
        let tell = |event: SlotEvent| super::super::lock(&told).push(event.change);
        let mut watch = SlotWatch::new(1, &tell, &|| false);
        let line = "Switchyard 0.3.1 (abc) nodemcu slot 1 reset power".to_owned();
        for event in [
            writing(0),
            writing(4),
            writing(9),
            writing(500),
            Event::Stage(Stage::Starting),
            Event::Log { line },
            Event::Log {
                line: "noise".into(),
            },
            Event::Stage(Stage::Setting),
            Event::Stage(Stage::Joining),
            Event::Stage(Stage::Script),
            Event::Compiled {
                operations: 5,
                scan_us: 70,
            },
            Event::Stage(Stage::Enrolling),
            Event::Stage(Stage::Restarting),
            Event::Stage(Stage::Joining),
            Event::Stage(Stage::Reaching),
            Event::Stage(Stage::RollingBack),
        ] {
            watch.event(event);
        }
        assert_eq!(watch.banner.as_ref().unwrap().profile, "nodemcu");
        assert_eq!(watch.scan_us, Some(70));
        assert_eq!(watch.stages.current(), BatchStage::Enrol);
        let begun = |stage| SlotChange::Begun { stage };
        let progress = |percent| SlotChange::Progress { percent };
        let expected = [
            begun(BatchStage::Flash),
            progress(0),
            progress(50),
            begun(BatchStage::Boot),
            begun(BatchStage::Provision),
            begun(BatchStage::Script),
            begun(BatchStage::Enrol),
            SlotChange::RollingBack,
        ];
        assert_eq!(super::super::lock(&told)[..], expected);
    }

    #[test]
    fn each_stage_has_its_time() {
        let begin = Instant::now();
        let at = |second| begin + Duration::from_secs(second);
        let mut stages = Stages::begin(begin);
        assert!(stages.enter(BatchStage::Flash, at(2)));
        assert!(!stages.enter(BatchStage::Flash, at(3)));
        assert!(stages.enter(BatchStage::Boot, at(12)));
        assert!(stages.enter(BatchStage::Flash, at(13)));
        let durations: Vec<_> = stages
            .end(at(20))
            .into_iter()
            .map(|(stage, it)| (stage, it.as_secs()))
            .collect();
        let expected = [
            (BatchStage::Connect, 2),
            (BatchStage::Flash, 17),
            (BatchStage::Boot, 1),
        ];
        assert_eq!(durations, expected);
    }
}
