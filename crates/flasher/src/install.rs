//! From a blank board to a controller, in one go.

use std::time::Duration;

use crate::{
    After, Approach, Backup, Event, Order, Plan, Provisioned, Registry, Result, RunningBoard,
    Stage, Watch, Written, flash, line::Line,
};

/// How long a program may take from a reset until it answers: a fresh flash is laid out first.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// What is to be done with a board.
#[derive(Debug, Clone)]
pub struct Installation {
    /// How its loader is come by.
    pub approach: Approach,
    /// What is written first; `None`: its program is there.
    pub order: Option<Order>,
    /// How it is started then.
    pub after: After,
    /// What it is to become.
    pub plan: Plan,
}

/// What was done with a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// What was written, where something was to be.
    pub written: Option<Written>,
    /// What it has become.
    pub provisioned: Provisioned,
}

impl Installation {
    /// Does all of it.
    ///
    /// # Errors
    /// [`Error`](crate::Error): of writing, as [`flash`] says; of what comes then, as [`RunningBoard::provision`] says.
    pub fn run<L: Line>(
        &self,
        line: &mut L,
        backup: Option<Backup<'_>>,
        registry: Option<&mut dyn Registry>,
        watch: &mut dyn Watch,
    ) -> Result<Installed> {
        let mut written = None;
        let mut was_reset = true;
        if let Some(order) = &self.order {
            let done = flash(line, &self.approach, order, self.after, backup, watch)?;
            (written, was_reset) = (Some(done.0), done.1);
        }
        let mut plan = self.plan.clone();
        if let Some(written) = &written {
            // A person at the jumper may have taken another board.
            plan.expected.mac = Some(written.chip.mac);
        }
        let mut board = start(line, &self.approach, was_reset, watch)?;
        let provisioned = board.provision(&plan, registry, watch)?;
        Ok(Installed {
            written,
            provisioned,
        })
    }
}

/// Waits for the program of a board that was just reset, or that a person is asked to start.
///
/// # Errors
/// As [`RunningBoard::find`] says.
pub fn start<'a, L: Line>(
    line: &'a mut L,
    approach: &Approach,
    was_reset: bool,
    watch: &mut dyn Watch,
) -> Result<RunningBoard<&'a mut L>> {
    let patience = if was_reset {
        START_PATIENCE
    } else {
        watch.event(Event::WaitingForStart);
        approach.patience
    };
    watch.event(Event::Stage(Stage::Starting));
    RunningBoard::find(line, patience, watch)
}
