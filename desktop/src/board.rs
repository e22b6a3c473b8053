//! One board on the bench: made a controller on a thread of its own, and told of as it goes. What is done is
//! `switchyard-flasher`'s work; here it is asked for and shown.

mod order;
mod progress;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use switchyard_flasher::{
    Approach, BAUD_SAFE, Backup, Backups, Before, Chip, Gateway, Installation, SerialLine, Stub,
    holds_dtr,
};
use tokio::sync::watch;

use crate::{
    Fault,
    dto::{BoardEnd, BoardOrder, BoardReset, BoardState},
    events::{BATCH_INTERVAL, News, Window},
};
use order::Refusal;
use progress::Progress;

/// The rate at which boards are written; lower ones are gone down to where a cable does not do it.
const BAUD: u32 = 460_800;
/// How long a person may take to hold GPIO0 to ground and power a board.
const PERSON_PATIENCE: Duration = Duration::from_secs(120);

/// Where boards are worked on, one at a time.
#[derive(Default)]
pub(crate) struct Bench {
    work: Mutex<Option<Work>>,
}

/// The board that is on the bench, or was last.
struct Work {
    state: watch::Receiver<BoardState>,
    stop: Arc<AtomicBool>,
}

impl Bench {
    /// Begins to work on a board. Must be called within a runtime.
    ///
    /// # Errors
    /// `board_busy` while another one is worked on, `off_mains_needed` where mains could kill and nobody has said that
    /// the board is not on them, `bad_field` for what cannot be right.
    pub(crate) fn begin(
        &self,
        order: BoardOrder,
        gateway: Gateway,
        window: Arc<dyn Window>,
    ) -> Result<(), Fault> {
        order::check(&order)?;
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if work.as_ref().is_some_and(Work::goes_on) {
            let message = "expected the board before to be finished";
            return Err(Fault::new("board_busy", message));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (told, state) = watch::channel(progress::first(&order));
        tokio::spawn(pass_on(state.clone(), window));
        let progress = Progress::new(told, Arc::clone(&stop));
        // Not tokio's threads for short work: this one lasts minutes.
        std::thread::Builder::new()
            .name("board".to_owned())
            .spawn(move || install(&order, gateway, progress))
            .map_err(|error| Fault::new("internal", error.to_string()))?;
        *work = Some(Work { state, stop });
        Ok(())
    }

    /// How far the board is that is worked on, or how the last one ended.
    pub(crate) fn state(&self) -> Option<BoardState> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        Some(work.as_ref()?.state.borrow().clone())
    }

    /// Asks the work to stop where that does no harm. What was enrolled is taken back first.
    pub(crate) fn stop(&self) {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = work.as_ref() {
            work.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Stops, and waits until it has.
    pub(crate) async fn finish(&self) {
        self.stop();
        let state = {
            let work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
            work.as_ref().map(|work| work.state.clone())
        };
        if let Some(mut state) = state {
            // Ends with the state's other half as well: a thread that died has nothing more to tell.
            let _ = state.wait_for(|state| state.end.is_some()).await;
        }
    }
}

impl Work {
    fn goes_on(&self) -> bool {
        // The sender is gone with its thread, however that ended.
        self.state.has_changed().is_ok() && self.state.borrow().end.is_none()
    }
}

/// Tells the window of the board, at most every [`BATCH_INTERVAL`], and of its end in any case.
async fn pass_on(mut state: watch::Receiver<BoardState>, window: Arc<dyn Window>) {
    state.mark_changed();
    while state.changed().await.is_ok() {
        let now = state.borrow_and_update().clone();
        window.tell(News::Board(now));
        tokio::time::sleep(BATCH_INTERVAL).await;
    }
}

/// All of it, on a thread that may block.
fn install(order: &BoardOrder, mut gateway: Gateway, mut progress: Progress) {
    let end = match run(order, &mut gateway, &mut progress) {
        Ok(end) => end,
        Err(refusal) => refusal.into(),
    };
    progress.end(end);
}

fn run(
    order: &BoardOrder,
    gateway: &mut Gateway,
    progress: &mut Progress,
) -> Result<BoardEnd, Refusal> {
    let installation = Installation {
        approach: approach(order),
        order: order::images(order)?,
        after: order.reset.after(),
        plan: order::plan(order)?,
    };
    let mut backups = Backups::new(None);
    let mut keep = |chip: &Chip, offset: u32, bytes: &[u8]| backups.keep(chip, offset, bytes);
    let mut line = SerialLine::open(&order.serial_port, BAUD_SAFE)?;
    let backup = Some(&mut keep as Backup<'_>);
    let installed = installation.run(&mut line, backup, Some(gateway), progress)?;
    let description = installed.provisioned.description;
    Ok(BoardEnd::Done {
        address: description.address.map(|it| it.0),
        page: description.ip.map(|ip| format!("http://{ip}/")),
        before: installed.provisioned.before.map(|it| it.0),
    })
}

fn approach(order: &BoardOrder) -> Approach {
    Approach {
        before: match order.reset {
            BoardReset::Lines => Before::Reset,
            BoardReset::Person => Before::NoReset,
        },
        baud: BAUD,
        patience: PERSON_PATIENCE,
        stub: Stub::built_in(),
        holds_dtr: holds_dtr(&order.serial_port),
    }
}
