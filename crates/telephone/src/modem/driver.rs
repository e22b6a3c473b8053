//! The thread that has a modem's serial port: bytes carried between it and the brain, the port opened again when the
//! modem was unplugged or fell silent.

use super::{
    desk::{Event, JobId, Order},
    machine::Machine,
    report::{CallEnd, CallEvent, Condition, ModemState, ReceivedText, TextEvent, TextFault},
};
use std::{
    collections::HashMap,
    fmt,
    io::{self, ErrorKind, Read, Write},
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// How long a read waits: how late an order is seen at most.
const READ_WAIT: Duration = Duration::from_millis(20);
/// How long a write may wait for a modem that takes nothing.
const WRITE_PATIENCE: Duration = Duration::from_secs(3);
/// The waits before a modem that is not there is opened again, each twice as long as the one before.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// How long a modem may take to hang up when the program ends.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A line to a modem. Reading waits for a short while only, and says [`ErrorKind::TimedOut`] or
/// [`ErrorKind::WouldBlock`] when nothing has come; reading nothing or any other error means that the line is gone.
pub trait ModemLine: Read + Write {}

impl<L: Read + Write> ModemLine for L {}

/// Which modem, and how it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModemSettings {
    /// The serial port for commands: a USB modem has several, of which one takes them.
    pub serial_port: PathBuf,
    /// Its rate. USB modems take any.
    pub baud: u32,
    /// The SIM's PIN.
    pub pin: Option<Pin>,
}

/// The PIN of a SIM: 4 to 8 digits. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(String);

/// Something that is no PIN; it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a PIN of 4 to 8 digits")]
pub struct PinError;

impl Pin {
    pub(super) fn digits(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let is_pin = (4..=8).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        is_pin.then(|| Pin(text.to_owned())).ok_or(PinError)
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(***)")
    }
}

/// Somebody who waits for what becomes of a text or a call.
pub(super) enum Waiter {
    Text(mpsc::Sender<TextEvent>),
    Call {
        events: mpsc::Sender<CallEvent>,
        /// Set by the other end: the call is to end.
        hang_up: Arc<AtomicBool>,
    },
}

/// What the thread is asked for.
pub(super) enum Request {
    Begin {
        order: Order,
        id: JobId,
        waiter: Waiter,
    },
    Say {
        id: JobId,
        text: String,
    },
    Stop,
}

/// Opens the serial port of these settings.
pub(super) fn open(settings: &ModemSettings) -> io::Result<impl ModemLine + use<>> {
    let path = settings.serial_port.to_string_lossy();
    let builder = serialport::new(path, settings.baud).timeout(READ_WAIT);
    builder.open_native().map_err(io::Error::from)
}

/// The thread's own things.
pub(super) struct Driver {
    pub(super) pin: Option<Pin>,
    pub(super) requests: Receiver<Request>,
    pub(super) state: watch::Sender<ModemState>,
    pub(super) received: mpsc::Sender<ReceivedText>,
    pub(super) waiters: HashMap<JobId, Waiter>,
    pub(super) is_pin_spent: bool,
}

/// Why a line is not served any more.
enum End {
    Stopped,
    Lost { why: String, has_served: bool },
}

impl Driver {
    /// Serves the modem until nobody wants it any more.
    pub(super) fn run<L: ModemLine>(mut self, mut open: impl FnMut() -> io::Result<L>) {
        let mut pause = PAUSE_MIN;
        loop {
            let why = match open() {
                Err(error) => error.to_string(),
                Ok(line) => match self.serve(line) {
                    End::Stopped => return,
                    End::Lost { why, has_served } => {
                        if has_served {
                            pause = PAUSE_MIN;
                        }
                        why
                    }
                },
            };
            let absent = Condition::Absent(why);
            let is_news = self.state.borrow().condition != absent;
            if is_news {
                tracing::warn!(why = %absent, "the modem cannot be used; it is tried again");
                self.state.send_replace(ModemState {
                    condition: absent.clone(),
                    ..ModemState::default()
                });
            }
            if !self.wait(pause, &absent) {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Waits before the next try, and refuses what is asked for meanwhile. Says whether to go on.
    fn wait(&mut self, pause: Duration, absent: &Condition) -> bool {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.requests.recv_timeout(left) {
                Ok(Request::Begin { id, waiter, .. }) => {
                    let event = match waiter {
                        Waiter::Text(_) => {
                            Event::Text(id, TextEvent::Failed(TextFault::NotReady(absent.clone())))
                        }
                        Waiter::Call { .. } => {
                            Event::Call(id, CallEvent::Ended(CallEnd::NotReady(absent.clone())))
                        }
                    };
                    self.waiters.insert(id, waiter);
                    self.tell(event);
                }
                Ok(Request::Say { .. }) => {}
                Ok(Request::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => return true,
            }
        }
    }

    fn serve(&mut self, mut line: impl ModemLine) -> End {
        let begun = Instant::now();
        let mut machine = Machine::new(begun.elapsed(), self.pin.clone(), self.is_pin_spent);
        let mut stopping_since: Option<Instant> = None;
        let mut bytes = [0; 4_096];
        let why = loop {
            loop {
                match self.requests.try_recv() {
                    Ok(Request::Begin { order, id, waiter }) => {
                        self.waiters.insert(id, waiter);
                        machine.order(order);
                    }
                    Ok(Request::Say { id, text }) => machine.order(Order::Say { id, text }),
                    Err(TryRecvError::Empty) => break,
                    Ok(Request::Stop) | Err(TryRecvError::Disconnected) => {
                        if stopping_since.is_none() {
                            stopping_since = Some(Instant::now());
                            machine.order(Order::Stop);
                        }
                        break;
                    }
                }
            }
            self.hang_up(&mut machine);
            // Where nobody takes texts, they stay on the SIM.
            let is_wanted = !self.received.is_closed();
            let room = if is_wanted {
                self.received.capacity()
            } else {
                0
            };
            machine.order(Order::Room(room));
            let advanced = machine.advance(begun.elapsed());
            self.is_pin_spent = machine.is_pin_spent();
            while let Some(event) = machine.next_event() {
                self.tell(event);
            }
            if let Err(fault) = advanced {
                break fault.to_string();
            }
            if let Err(error) = write(&mut line, &machine.take_output()) {
                break error.to_string();
            }
            let is_late = stopping_since.is_some_and(|since| since.elapsed() > STOP_PATIENCE);
            if stopping_since.is_some() && (machine.is_idle() || is_late) {
                break String::new();
            }
            match line.read(&mut bytes) {
                // A terminal that has hung up says so by reading nothing.
                Ok(0) => break "the line has ended".to_owned(),
                Ok(count) => machine.receive(bytes.get(..count).unwrap_or_default()),
                Err(error) if is_in_time(&error) => {}
                Err(error) => break error.to_string(),
            }
        };
        let condition = Condition::Absent(why.clone());
        let (text, call) = match stopping_since {
            Some(_) => (TextFault::Closing, CallEnd::Closing),
            None => (
                TextFault::NotReady(condition.clone()),
                CallEnd::NotReady(condition),
            ),
        };
        machine.abandon(&text, &call);
        while let Some(event) = machine.next_event() {
            self.tell(event);
        }
        match stopping_since {
            Some(_) => End::Stopped,
            None => End::Lost {
                why,
                has_served: machine.has_served(),
            },
        }
    }

    /// Ends the calls that nobody holds any more, or that are to end.
    fn hang_up(&mut self, machine: &mut Machine) {
        for (id, waiter) in &self.waiters {
            if let Waiter::Call { hang_up, .. } = waiter
                && hang_up.swap(false, Ordering::Relaxed)
            {
                machine.order(Order::HangUp { id: *id });
            }
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::State(state) => {
                let is_news = self.state.borrow().condition != state.condition;
                if is_news {
                    let model = state.capabilities.as_ref().map(|it| it.model.clone());
                    tracing::info!(condition = %state.condition, model, "the modem's condition");
                }
                self.state.send_replace(state);
            }
            // There is room: the brain gives out no more than that.
            Event::Received(text) => drop(self.received.try_send(text)),
            Event::Text(id, event) => {
                let is_last = matches!(event, TextEvent::Sent { .. } | TextEvent::Failed(_));
                if let Some(Waiter::Text(events)) = self.waiters.get(&id) {
                    // Fewer events than there is room for; who does not want to know is not told.
                    drop(events.try_send(event));
                }
                if is_last {
                    self.waiters.remove(&id);
                }
            }
            Event::Call(id, event) => {
                let is_last = matches!(event, CallEvent::Ended(_));
                if let Some(Waiter::Call { events, .. }) = self.waiters.get(&id) {
                    // Keys that nobody looks at go first; the end has a place of its own.
                    let has_room = is_last || events.capacity() > 1;
                    if has_room {
                        drop(events.try_send(event));
                    }
                }
                if is_last {
                    self.waiters.remove(&id);
                }
            }
        }
    }
}

/// Whether an error says only that nothing has come so far.
fn is_in_time(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::Interrupted
    )
}

fn write(line: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    let begun = Instant::now();
    while !bytes.is_empty() {
        match line.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if is_in_time(&error) && begun.elapsed() < WRITE_PATIENCE => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_never_shown() {
        let pin: Pin = "4711".parse().unwrap();
        assert_eq!(format!("{pin:?}"), "Pin(***)");
        for text in ["", "123", "123456789", "12 4", "abcd"] {
            assert_eq!(text.parse::<Pin>(), Err(PinError), "{text}");
        }
    }
}
