//! What a program holds of a modem, of a text and of a call.

use super::{
    desk::{CallLimits, JobId, Order},
    driver::{self, Driver, ModemLine, ModemSettings, Pin, Request, Waiter},
    report::{CallEnd, CallEvent, ModemState, ReceivedText, TextEvent, TextFault},
};
use crate::Number;
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::{mpsc, watch};

/// What the modem's thread may be asked for before it looks: it does every few hundredths of a second.
const REQUESTS_MAX: usize = 64;
/// Texts that were received and nobody has looked at. More stay on the SIM.
const RECEIVED_MAX: usize = 32;
/// Events of one call: a few, and a key for each of this many tenths of a second that nobody looks.
const CALL_EVENTS_MAX: usize = 64;
/// A text has three at most.
const TEXT_EVENTS_MAX: usize = 4;

/// Why a modem does not take something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModemError {
    /// Too much was asked for at once.
    #[error("too much is asked of the modem at once")]
    Crowded,
    /// It is closed.
    #[error("the modem is closed")]
    Closed,
}

/// A GSM modem. Clones are the same modem; with the last one it is closed.
#[derive(Clone, Debug)]
pub struct Modem {
    requests: SyncSender<Request>,
    state: watch::Receiver<ModemState>,
    next_id: Arc<AtomicU64>,
}

impl Modem {
    /// A modem on a serial port, which need not be there yet: it is opened whenever it is. With it comes the channel
    /// by which texts are given out; those that nobody takes stay on the SIM.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(settings: ModemSettings) -> io::Result<(Self, mpsc::Receiver<ReceivedText>)> {
        let pin = settings.pin.clone();
        Self::start_on(pin, move || driver::open(&settings))
    }

    /// A modem on any line, which `open` opens, and again whenever it is gone.
    ///
    /// # Errors
    /// As [`Modem::start`].
    pub fn start_on<L: ModemLine>(
        pin: Option<Pin>,
        open: impl FnMut() -> io::Result<L> + Send + 'static,
    ) -> io::Result<(Self, mpsc::Receiver<ReceivedText>)> {
        let (requests, requested) = sync_channel(REQUESTS_MAX);
        let (state_sender, state) = watch::channel(ModemState::default());
        let (received_sender, received) = mpsc::channel(RECEIVED_MAX);
        let driver = Driver {
            pin,
            requests: requested,
            state: state_sender,
            received: received_sender,
            waiters: HashMap::new(),
            is_pin_spent: false,
        };
        let thread = std::thread::Builder::new().name("modem".into());
        thread.spawn(move || driver.run(open))?;
        // Long texts are told apart by the last eight bits: those of this run from those of the one before, too.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let first = since.map_or(0, |since| u64::from(since.subsec_micros()));
        let modem = Modem {
            requests,
            state,
            next_id: Arc::new(AtomicU64::new(first)),
        };
        Ok((modem, received))
    }

    /// What is known of it, now and whenever it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ModemState> {
        self.state.clone()
    }

    /// Sends a text: in one message where it fits, in parts where it does not, and with dots in place of what is too
    /// much even for those ([`PARTS_MAX`](super::PARTS_MAX)). It is sent whether or not anybody waits for that.
    ///
    /// # Errors
    /// When the modem takes nothing now.
    pub fn text(&self, to: Number, text: &str) -> Result<PendingText, ModemError> {
        let (sender, events) = mpsc::channel(TEXT_EVENTS_MAX);
        let text = text.to_owned();
        self.begin(Waiter::Text(sender), |id| Order::Text { id, to, text })?;
        Ok(PendingText { events })
    }

    /// Calls a number.
    ///
    /// # Errors
    /// When the modem takes nothing now.
    pub fn call(&self, to: Number, limits: CallLimits) -> Result<Call, ModemError> {
        let (sender, events) = mpsc::channel(CALL_EVENTS_MAX);
        let hang_up = Arc::new(AtomicBool::new(false));
        let waiter = Waiter::Call {
            events: sender,
            hang_up: Arc::clone(&hang_up),
        };
        let id = self.begin(waiter, |id| Order::Call { id, to, limits })?;
        Ok(Call {
            id,
            events,
            hang_up,
            requests: self.requests.clone(),
        })
    }

    /// Ends what is under way, a call by hanging up, and closes the serial port. Waits until that is done, which takes
    /// some seconds at most.
    pub async fn close(&self) {
        let mut requests = self.request(Request::Stop);
        let mut state = self.state.clone();
        loop {
            tokio::select! {
                changed = state.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(std::time::Duration::from_millis(20)), if requests == Err(ModemError::Crowded) => {
                    requests = self.request(Request::Stop);
                }
            }
        }
    }

    fn begin(
        &self,
        waiter: Waiter,
        order: impl FnOnce(JobId) -> Order,
    ) -> Result<JobId, ModemError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let order = order(id);
        self.request(Request::Begin { order, id, waiter })?;
        Ok(id)
    }

    fn request(&self, request: Request) -> Result<(), ModemError> {
        requested(&self.requests, request)
    }
}

fn requested(requests: &SyncSender<Request>, request: Request) -> Result<(), ModemError> {
    requests.try_send(request).map_err(|error| match error {
        TrySendError::Full(_) => ModemError::Crowded,
        TrySendError::Disconnected(_) => ModemError::Closed,
    })
}

/// A text on its way.
#[derive(Debug)]
pub struct PendingText {
    events: mpsc::Receiver<TextEvent>,
}

impl PendingText {
    /// What happens next; `None` after the last event. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<TextEvent> {
        self.events.recv().await
    }

    /// How it comes out: the messages that it took.
    ///
    /// # Errors
    /// Why it was not sent.
    pub async fn outcome(mut self) -> Result<u8, TextFault> {
        loop {
            match self.next().await {
                Some(TextEvent::Sent { parts }) => return Ok(parts),
                Some(TextEvent::Failed(fault)) => return Err(fault),
                Some(_) => {}
                None => return Err(TextFault::Unknown),
            }
        }
    }
}

/// A call. Dropping it hangs up.
#[derive(Debug)]
pub struct Call {
    id: JobId,
    events: mpsc::Receiver<CallEvent>,
    hang_up: Arc<AtomicBool>,
    requests: SyncSender<Request>,
}

impl Call {
    /// What happens next; `None` after the call's end was told. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<CallEvent> {
        self.events.recv().await
    }

    /// Says something, in place of what is being said; before anybody has answered, it is said to whoever does. That it
    /// has been said comes as an event. The modem's voice reads what it can, English and Chinese mostly, and is not to
    /// be chosen.
    ///
    /// # Errors
    /// When the modem takes nothing now.
    pub fn say(&self, text: &str) -> Result<(), ModemError> {
        let (id, text) = (self.id, text.to_owned());
        requested(&self.requests, Request::Say { id, text })
    }

    /// Hangs up. The end comes as an event.
    pub fn hang_up(&self) {
        self.hang_up.store(true, Ordering::Relaxed);
    }

    /// Waits for the end, whatever happens until then.
    pub async fn ended(mut self) -> CallEnd {
        loop {
            match self.next().await {
                Some(CallEvent::Ended(end)) => return end,
                Some(_) => {}
                None => return CallEnd::ModemLost,
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.hang_up();
    }
}
