//! What the flasher tells of a board, folded into one state that says all of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use switchyard_flasher::{Event, Stage, Watch};
use tokio::sync::watch;

use crate::dto::{BoardEnd, BoardOrder, BoardPrompt, BoardState, BoardStep};

/// Lines of a board's log that are shown.
const LINES_MAX: usize = 12;
/// Characters of such a line: noise has no end.
const LINE_LENGTH_MAX: usize = 160;

/// Before anything has happened.
pub(super) fn first(order: &BoardOrder) -> BoardState {
    BoardState {
        serial_port: order.serial_port.clone(),
        title: order.title.clone(),
        step: BoardStep::Finding,
        prompt: None,
        bytes: 0,
        bytes_done: 0,
        chip: None,
        board: None,
        retries: 0,
        lines: Vec::new(),
        is_stopping: false,
        end: None,
    }
}

/// Watches the work, and may stop it.
pub(super) struct Progress {
    state: watch::Sender<BoardState>,
    stop: Arc<AtomicBool>,
}

impl Progress {
    pub(super) fn new(state: watch::Sender<BoardState>, stop: Arc<AtomicBool>) -> Self {
        Self { state, stop }
    }

    /// The last word.
    pub(super) fn end(self, end: BoardEnd) {
        self.state.send_modify(|state| {
            state.prompt = None;
            state.end = Some(end);
        });
    }
}

impl Watch for Progress {
    fn event(&mut self, event: Event) {
        let is_stopping = self.is_stopped();
        self.state.send_modify(|state| {
            state.is_stopping = is_stopping;
            follow(state, event);
        });
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn follow(state: &mut BoardState, event: Event) {
    match event {
        Event::WaitingForBoard => {
            begin(state, BoardStep::Finding);
            state.prompt = Some(BoardPrompt::EnterLoader);
        }
        Event::WaitingForStart => {
            begin(state, BoardStep::Starting);
            state.prompt = Some(BoardPrompt::StartProgram);
        }
        Event::Found { chip } => {
            let mac = switchyard_flasher::mac_text(chip.mac);
            state.chip = Some(format!("{} {mac}", chip.name));
            state.prompt = None;
        }
        Event::Described { description } => {
            state.board = Some(printable(&format!(
                "{} {}",
                description.profile, description.software
            )));
            state.prompt = None;
        }
        Event::Comparing { bytes, .. } => measure(state, BoardStep::Comparing, bytes, 0),
        Event::BackingUp { bytes, done, .. } => {
            measure(state, BoardStep::BackingUp, bytes, done);
        }
        Event::Writing { bytes, done, .. } => measure(state, BoardStep::Writing, bytes, done),
        Event::Verifying { bytes, done, .. } => {
            measure(state, BoardStep::Verifying, bytes, done);
        }
        Event::Verified { bytes, .. } => measure(state, BoardStep::Verifying, bytes, bytes),
        Event::Scripting { bytes, done } => measure(state, BoardStep::Script, bytes, done),
        // The person is still asked while the program is waited for.
        Event::Stage(Stage::Starting) => state.step = BoardStep::Starting,
        Event::Stage(stage) => begin(state, step(stage).unwrap_or(state.step)),
        Event::Again { why, .. } => {
            state.retries = state.retries.saturating_add(1);
            say(state, &why);
        }
        Event::Log { line } => say(state, &line),
        // What a form has no place for, or a later flasher tells.
        _ => {}
    }
}

fn begin(state: &mut BoardState, step: BoardStep) {
    measure(state, step, 0, 0);
}

fn measure(state: &mut BoardState, step: BoardStep, bytes: u32, done: u32) {
    state.step = step;
    state.prompt = None;
    (state.bytes, state.bytes_done) = (bytes, done);
}

fn say(state: &mut BoardState, line: &str) {
    if state.lines.len() == LINES_MAX {
        state.lines.remove(0);
    }
    state.lines.push(printable(line));
}

/// A board may say anything.
fn printable(text: &str) -> String {
    let clean = text
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it });
    clean.take(LINE_LENGTH_MAX).collect()
}

fn step(stage: Stage) -> Option<BoardStep> {
    Some(match stage {
        Stage::Starting => BoardStep::Starting,
        Stage::Unlocking => BoardStep::Unlocking,
        Stage::Setting => BoardStep::Setting,
        Stage::Joining => BoardStep::Joining,
        Stage::Script | Stage::Trial => BoardStep::Script,
        Stage::Enrolling => BoardStep::Enrolling,
        Stage::Restarting => BoardStep::Restarting,
        Stage::Reaching => BoardStep::Reaching,
        Stage::RollingBack => BoardStep::RollingBack,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> BoardState {
        BoardState {
            serial_port: "/dev/pts/7".to_owned(),
            title: "North pump".to_owned(),
            step: BoardStep::Finding,
            prompt: None,
            bytes: 0,
            bytes_done: 0,
            chip: None,
            board: None,
            retries: 0,
            lines: Vec::new(),
            is_stopping: false,
            end: None,
        }
    }

    #[test]
    fn a_prompt_stays_until_what_was_asked_for_is_done() {
        let mut state = state();
        follow(&mut state, Event::WaitingForBoard);
        assert_eq!(state.prompt, Some(BoardPrompt::EnterLoader));
        let (offset, bytes) = (0, 4_096);
        follow(&mut state, Event::Comparing { offset, bytes });
        assert_eq!((state.prompt, state.step), (None, BoardStep::Comparing));
        follow(&mut state, Event::WaitingForStart);
        follow(&mut state, Event::Stage(Stage::Starting));
        let line = "ets Jan  8 2013".to_owned();
        follow(&mut state, Event::Log { line });
        assert_eq!(state.prompt, Some(BoardPrompt::StartProgram));
        follow(&mut state, Event::Stage(Stage::Setting));
        assert_eq!((state.prompt, state.step), (None, BoardStep::Setting));
    }

    #[test]
    fn what_a_board_says_is_bounded_and_harmless() {
        let mut state = state();
        for number in 0..100 {
            let line = format!("{number}\u{1b}[2J{}", "x".repeat(1_000));
            follow(&mut state, Event::Log { line });
        }
        assert_eq!(state.lines.len(), LINES_MAX);
        let last = state.lines.last().expect("a line");
        assert!(last.starts_with("99 [2Jx"), "{last}");
        assert_eq!(last.chars().count(), LINE_LENGTH_MAX);
    }

    #[test]
    fn bytes_belong_to_their_step() {
        let mut state = state();
        let (offset, bytes, done) = (0, 100, 40);
        follow(
            &mut state,
            Event::Writing {
                offset,
                bytes,
                done,
            },
        );
        assert_eq!((state.bytes, state.bytes_done), (100, 40));
        follow(&mut state, Event::Stage(Stage::Joining));
        assert_eq!((state.bytes, state.bytes_done), (0, 0));
    }
}
