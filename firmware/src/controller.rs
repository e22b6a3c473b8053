//! The safe wrapper around the C core: one controller, driven by calls.
//!
//! With `script`, the only module of this crate with unsafe code.

#![expect(unsafe_code, reason = "the C core is called through raw pointers")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    collections::VecDeque,
    ffi::{CStr, CString, c_char, c_void},
    fmt,
    num::NonZeroU32,
    ptr::{self, NonNull},
    time::{Duration, SystemTime},
};

use rand::{RngCore, SeedableRng, rngs::StdRng};
use switchyard_protocol::{
    Address,
    message::{Key, ResetReason, Stage},
    serial::Setting,
};

use crate::{
    ControllerKey,
    board::{Channel, Script},
    device::{Device, Flash},
    ffi::{self, FwController, FwHostApi, FwKeys, FwPort, FwSettings},
    serial::Network,
};

const CHANNELS: usize = Channel::ALL.len();

/// How a controller's link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Waits for its next attempt.
    Closed,
    /// The connection is being made.
    Dialling,
    /// Hello sent.
    Greeting,
    /// The gateway has proven that it knows the key.
    Keyed,
    /// Announce and full status are sent.
    Live,
    /// An error frame is to leave first.
    Closing,
}

/// What the controller wants of the one who drives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect to this gateway (0 or 1), then call [`Controller::connected`] or
    /// [`Controller::disconnected`].
    Dial(u8),
    /// Close the connection, after all outbound bytes taken so far. Needs no answer.
    HangUp,
}

/// Who a controller is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Its number: a controller's.
    pub address: Address,
    /// Its key.
    pub key: ControllerKey,
    /// What it does.
    pub script: Script,
    /// Local time, by which schedules go, as a POSIX TZ string such as
    /// `CET-1CEST,M3.5.0,M10.5.0/3`; `None`: UTC.
    pub zone: Option<String>,
    /// Configured gateways, at most 2, which are dialled in turn; 0: it dials nobody.
    pub gateways: u8,
    /// Speak the clear link. For laboratories and benchmarks.
    pub clear: bool,
    /// `None`: a random one.
    pub boot_id: Option<NonZeroU32>,
    /// Largest record it takes, 264 to 1,056 bytes; `None`: the most.
    pub record_bytes_max: Option<u16>,
    /// Makes every random choice repeatable, keys of the link included. For simulations only.
    pub seed: Option<u64>,
    /// Why it starts.
    pub reset: ResetReason,
    /// What a whole board tells as its chip's own number; `None`: one made of its address.
    pub hardware: Option<[u8; 6]>,
}

impl Settings {
    /// One gateway, the Noise link, a random boot id.
    pub fn new(address: Address, key: ControllerKey, script: impl Into<Script>) -> Self {
        Self {
            address,
            key,
            script: script.into(),
            zone: None,
            gateways: 1,
            clear: false,
            boot_id: None,
            record_bytes_max: None,
            seed: None,
            reset: ResetReason::Power,
            hardware: None,
        }
    }
}

/// The core did not take the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a controller's address (1 to 2147483647), at most two gateways, records of 264 to \
     1056 bytes and, where one is given, a POSIX time zone such as CET-1CEST,M3.5.0,M10.5.0/3"
)]
pub struct SettingsError;

/// Lines of the log that wait for the serial line, which has room for about as many.
const LINES_MAX: usize = 8;

/// What the port functions work on. Reached by C through a raw pointer, and by us only between
/// calls into C.
struct Host {
    now_ms: u32,
    random: Option<Box<StdRng>>,
    outbound: Option<Vec<u8>>,
    actions: VecDeque<Action>,
    inputs: [i32; CHANNELS],
    outputs: [i32; CHANNELS],
    /// Of the log, that nobody has taken yet; `None`: nobody will.
    lines: Option<VecDeque<String>>,
    /// The real address, for log lines and for the end of a forgery.
    address: Address,
}

/// One controller. Every call that drives it is given the time since some fixed moment, which must
/// not run backwards; the core sees it as a wrapping count of milliseconds.
pub struct Controller {
    core: NonNull<FwController>,
    host: NonNull<Host>,
    /// The core keeps pointers to these, and to what the script holds.
    port: Box<FwPort>,
    texts: Texts,
    /// Read at each start; what becomes of them over the link is the core's.
    keys: Box<FwKeys>,
    script: Script,
    /// What is around the core, which then lies within.
    device: Option<Device>,
}

/// Strings that the core points to.
struct Texts {
    title: CString,
    zone: Option<CString>,
}

// SAFETY: the core, the host and the port are owned by this value alone and hold no tie to a
// thread; the pointers are only followed by methods that borrow it.
unsafe impl Send for Controller {}

const SOFTWARE: &CStr = match CStr::from_bytes_with_nul(
    concat!("switchyard-firmware ", env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
) {
    Ok(text) => text,
    Err(_) => panic!("the version holds a zero"),
};

impl Controller {
    /// A controller just started: inputs at 0, its first dial due after a back-off of at most a
    /// second. It keeps nothing: `settings.script` is what it runs, and when it is dropped all is gone.
    pub fn new(settings: Settings, now: Duration) -> Result<Self, SettingsError> {
        let (mut controller, core_settings) = Self::prepare(settings, now)?;
        controller.core = allocate_core();
        // SAFETY: sizes of the two structs are compared with C's; the core's memory has C's size
        // and alignment, does not move, and `port` and the strings live as long as it does.
        let taken = unsafe {
            assert_eq!(ffi::fw_host_settings_bytes(), size_of::<FwSettings>());
            assert_eq!(ffi::fw_host_port_bytes(), size_of::<FwPort>());
            ffi::fw_controller_init(controller.core.as_ptr(), &core_settings, &*controller.port)
        };
        if !taken {
            return Err(SettingsError);
        }
        let script = controller.script.clone();
        controller.run(script, now);
        Ok(controller)
    }

    /// A whole board just started over what is in its flash: its script, values that were retained,
    /// its log, and what was set up, which takes the place of the settings. A blank one gets
    /// `settings.script`. It takes as long as it takes to compile that.
    pub fn with_flash(
        settings: Settings,
        flash: Flash,
        now: Duration,
    ) -> Result<Self, SettingsError> {
        let (reset, hardware) = (settings.reset, settings.hardware);
        let (mut controller, core_settings) = Self::prepare(settings, now)?;
        let source = controller.script.source().as_bytes();
        // SAFETY: what the settings and the port point to lives as long as the controller.
        let device = unsafe {
            let port = &raw const *controller.port;
            Device::start(core_settings, port, flash, source, reset, hardware)
        }
        .ok_or(SettingsError)?;
        let enrolled = device.enrolled();
        controller.core = device.controller();
        controller.device = Some(device);
        // What was set up is who it is, also at the end of a forgery.
        if enrolled != 0 {
            controller.host_mut().address = Address(enrolled);
        }
        Ok(controller)
    }

    /// All but the core.
    fn prepare(settings: Settings, now: Duration) -> Result<(Self, FwSettings), SettingsError> {
        let title = CString::new(format!("No. {}", settings.address)).map_err(|_| SettingsError)?;
        let zone = settings
            .zone
            .map(CString::new)
            .transpose()
            .map_err(|_| SettingsError)?;
        let host = NonNull::from(Box::leak(Box::new(Host {
            now_ms: wrapped_ms(now),
            random: settings
                .seed
                .map(|seed| Box::new(StdRng::seed_from_u64(seed))),
            outbound: None,
            actions: VecDeque::new(),
            inputs: [0; CHANNELS],
            outputs: [0; CHANNELS],
            lines: None,
            address: settings.address,
        })));
        let port = Box::new(FwPort {
            ctx: host.as_ptr().cast(),
            send: port_send,
            now_ms: port_now_ms,
            random: port_random,
            log: port_log,
            dial: port_dial,
            hang_up: port_hang_up,
            read_input: port_read_input,
            write_output: port_write_output,
        });
        let controller = Self {
            core: NonNull::dangling(),
            host,
            port,
            texts: Texts { title, zone },
            keys: Box::new(FwKeys {
                current: *settings.key.bytes(),
                next: [0; 32],
                has_next: false,
            }),
            script: settings.script,
            device: None,
        };
        let core_settings = FwSettings {
            title: controller.texts.title.as_ptr(),
            software: SOFTWARE.as_ptr(),
            board: c"virtual".as_ptr(),
            zone: controller
                .texts
                .zone
                .as_ref()
                .map_or(ptr::null(), |zone| zone.as_ptr()),
            keys: &raw const *controller.keys,
            address: settings.address.0,
            boot_id: settings.boot_id.map_or(0, NonZeroU32::get),
            record_bytes_max: settings.record_bytes_max.unwrap_or(0),
            gateways: settings.gateways,
            clear: settings.clear,
        };
        Ok((controller, core_settings))
    }

    /// Cuts the power and switches it on again: everything begins anew but what is in flash. Of a
    /// controller without one: false, and nothing happens. The connection is to be closed first.
    pub fn restart(&mut self, now: Duration) -> bool {
        let Some(device) = &mut self.device else {
            return false;
        };
        // SAFETY: made by `prepare`, and C does not run now.
        let host = unsafe { self.host.as_mut() };
        host.now_ms = wrapped_ms(now);
        host.outbound = None;
        host.actions.clear();
        host.outputs = [0; CHANNELS];
        device.restart(now);
        // A number that was set up holds now, also for the end of a forgery.
        let enrolled = device.enrolled();
        if enrolled != 0 {
            // SAFETY: as above; C has run in between, so it is borrowed anew.
            unsafe { self.host.as_mut() }.address = Address(enrolled);
        }
        true
    }

    /// Whether the controller wants to be restarted. It is told once.
    pub fn wants_restart(&mut self) -> bool {
        self.device.as_mut().is_some_and(Device::wants_restart)
    }

    /// What an HTTP server in front of the controller is given; `None` for one without flash. It is
    /// good for as long as the controller lives, wherever that is moved.
    pub fn api(&self) -> Option<*const FwHostApi> {
        self.device.as_ref().map(Device::api)
    }

    /// Writes what has changed in flash into its file, if it has one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_flash(&mut self) -> std::io::Result<()> {
        self.device.as_mut().map_or(Ok(()), Device::save)
    }

    /// Gives the board a radio, and these networks around it. Without one it is always on
    /// a network.
    ///
    /// # Errors
    /// When there are more than eight, or a text is longer than a real one's; or there is no board around it.
    pub fn add_radio(&mut self, networks: &[Network], now: Duration) -> Result<(), SettingsError> {
        self.at(now);
        let device = self.device.as_mut().ok_or(SettingsError)?;
        device
            .add_radio(networks)
            .then_some(())
            .ok_or(SettingsError)
    }

    /// Whether its Wi-Fi is joined.
    pub fn is_joined(&self) -> bool {
        self.device.as_ref().is_none_or(Device::is_joined)
    }

    /// The address that was set up on it, which a restart takes.
    pub fn enrolled(&self) -> Option<Address> {
        let address = self.device.as_ref().map_or(0, Device::enrolled);
        (address != 0).then_some(Address(address))
    }

    /// What was set up as this; empty: nothing was. `None` where only a proof of it is kept, and of a controller without
    /// a board around it.
    pub fn setting(&self, setting: Setting) -> Option<String> {
        let device = self.device.as_ref()?;
        (setting.number() <= Setting::Zone.number()).then(|| device.text(setting.number()))
    }

    /// The gateway that was set up under this index, `HOST:PORT`.
    pub fn gateway(&self, index: u8) -> Option<String> {
        let setting = match index {
            0 => Setting::Gateway1,
            _ => Setting::Gateway2,
        };
        self.setting(setting).filter(|text| !text.is_empty())
    }

    /// Which script is in its flash: changes with it; 0: none is.
    pub fn script_hash(&self) -> u32 {
        self.device.as_ref().map_or(0, Device::script_hash)
    }

    /// Gives the board a serial line, which greets, now and at each restart. Its bytes go by the three calls below.
    ///
    /// # Errors
    /// When there is no board around it.
    pub fn add_serial(&mut self, now: Duration) -> Result<(), SettingsError> {
        self.at(now);
        self.device.as_mut().ok_or(SettingsError)?.add_serial(now);
        self.host_mut().lines = Some(VecDeque::new());
        Ok(())
    }

    /// Bytes came on the serial line, split anywhere. Without one they are lost.
    pub fn receive_serial(&mut self, bytes: &[u8], now: Duration) {
        self.at(now);
        if let Some(serial) = self.device.as_mut().and_then(Device::serial) {
            serial.receive(bytes, now);
        }
    }

    /// Does what the serial line has brought, and puts lines of the log on it. Gives how long it may be left alone;
    /// `None` without a line.
    pub fn poll_serial(&mut self, now: Duration) -> Option<Duration> {
        self.at(now);
        let lines = self.host_mut().lines.as_mut().map(std::mem::take);
        let serial = self.device.as_mut().and_then(Device::serial)?;
        for line in lines.unwrap_or_default() {
            serial.log(&line);
        }
        Some(serial.poll(now))
    }

    /// What the serial line has to say next, this many bytes at most; empty: nothing more, until it is polled.
    pub fn take_serial(&mut self, bytes_max: usize) -> Vec<u8> {
        let serial = self.device.as_mut().and_then(Device::serial);
        serial.map_or_else(Vec::new, |serial| serial.take(bytes_max))
    }

    /// Presses the board's button, or lets it go; the serial line's next poll sees it.
    pub fn press_button(&mut self, is_pressed: bool) {
        if let Some(serial) = self.device.as_mut().and_then(Device::serial) {
            serial.press_button(is_pressed);
        }
    }

    /// Runs another script from the next poll on, and keeps it nowhere. The one before leaves its outputs safe; commands
    /// that still waited for it are refused or have failed.
    pub fn run(&mut self, script: Script, now: Duration) {
        self.at(now);
        let program = script.program().in_core();
        // SAFETY: `core` was initialised by `new`; the core copies the program and keeps pointers to
        // its words and to the title, which live on the heap as long as `self.script` does, and is
        // done with those of the script before.
        unsafe {
            ffi::fw_controller_run(
                self.core.as_ptr(),
                &raw const program,
                script.title().as_ptr(),
            );
        }
        self.script = script;
    }

    /// What it runs.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Scans if a scan is due and runs all timers. Returns how long it may be left alone, unless
    /// an input changes or bytes come: up to a minute while nothing moves.
    pub fn poll(&mut self, now: Duration) -> Duration {
        self.at(now);
        let wait_ms = match &mut self.device {
            Some(device) => device.poll(),
            // SAFETY: `core` was initialised by `new`.
            None => unsafe { ffi::fw_controller_poll(self.core.as_ptr()) },
        };
        Duration::from_millis(u64::from(wait_ms))
    }

    /// Bytes came in, split anywhere.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        self.at(now);
        // SAFETY: `core` was initialised by `new`, and the slice is valid for the call.
        unsafe {
            ffi::fw_controller_receive(self.core.as_ptr(), bytes.as_ptr(), bytes.len());
        }
    }

    /// The connection that was asked for stands.
    pub fn connected(&mut self, now: Duration) {
        self.at(now);
        // SAFETY: `core` was initialised by `new`.
        unsafe { ffi::fw_controller_connected(self.core.as_ptr()) }
    }

    /// The connection failed, or is lost.
    pub fn disconnected(&mut self, now: Duration) {
        self.at(now);
        self.host_mut().outbound = None;
        // SAFETY: `core` was initialised by `new`.
        unsafe { ffi::fw_controller_disconnected(self.core.as_ptr()) }
    }

    /// The next bytes for the gateway, at most one record; call until `None`. Leaving them here is
    /// how a link that takes no more looks to the core: it makes no further ones meanwhile, and
    /// changes merge.
    pub fn take_outbound(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.at(now);
        let bytes = self.host_mut().outbound.take()?;
        // SAFETY: `core` was initialised by `new`.
        unsafe { ffi::fw_controller_sent(self.core.as_ptr()) }
        Some(bytes)
    }

    /// What is to be done with the connection; call until `None`, after the outbound bytes.
    pub fn next_action(&mut self) -> Option<Action> {
        let action = self.host_mut().actions.pop_front();
        if matches!(action, Some(Action::Dial(_))) {
            let address = self.host().address;
            // Bytes of the link before are no part of the next one.
            self.host_mut().outbound = None;
            // SAFETY: `core` was initialised by `new`. A forgery lasts one link.
            unsafe { ffi::fw_host_forge_source(self.core.as_ptr(), address.0) }
        }
        action
    }

    /// Puts a value on an input: 0 or 1, or thousandths. The next poll, due at once, scans it.
    pub fn set_input(&mut self, channel: Channel, value: i32) {
        let input = &mut self.host_mut().inputs[channel as usize];
        if *input != value {
            *input = value;
            // SAFETY: `core` was initialised by `new`.
            unsafe { ffi::fw_controller_input_changed(self.core.as_ptr()) }
        }
    }

    /// What the time of day is, for schedules: a gateway's time, when there is one, wins. May be told often.
    pub fn tell_time(&mut self, time: SystemTime, now: Duration) {
        self.at(now);
        let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH);
        let Ok(Ok(ms)) = since_1970.map(|passed| u64::try_from(passed.as_millis())) else {
            return; // a clock that stands before 1970 knows nothing
        };
        // SAFETY: `core` was initialised by `new`.
        unsafe { ffi::fw_controller_tell_time(self.core.as_ptr(), ms) }
    }

    /// The value on an input.
    pub fn input(&self, channel: Channel) -> i32 {
        self.host().inputs[channel as usize]
    }

    /// The value that was last written to an output.
    pub fn output(&self, channel: Channel) -> i32 {
        self.host().outputs[channel as usize]
    }

    /// How the link stands.
    pub fn link_state(&self) -> LinkState {
        // SAFETY: `core` was initialised by `new`.
        match unsafe { ffi::fw_controller_link_state(self.core.as_ptr()) } {
            2 => LinkState::Dialling,
            3 | 4 => LinkState::Greeting,
            5 => LinkState::Keyed,
            6 => LinkState::Live,
            7 => LinkState::Closing,
            _ => LinkState::Closed,
        }
    }

    /// Commands executed since the start.
    pub fn executed(&self) -> u32 {
        // SAFETY: `core` was initialised by `new`.
        unsafe { ffi::fw_host_executed(self.core.as_ptr()) }
    }

    /// The latest commands that were executed, of those whose outcomes are kept: the serial of each
    /// outcome, which rises with every command, and the command's key.
    pub fn executed_keys(&self) -> impl Iterator<Item = (u32, Key)> + '_ {
        let kept = switchyard_protocol::limits::OUTCOMES_KEPT as u8;
        (0..kept).filter_map(|place| {
            let (mut key, mut serial) = ([0; 16], 0);
            // SAFETY: `core` was initialised by `new`, and the key has its 16 bytes.
            let stage = unsafe {
                let core = self.core.as_ptr();
                ffi::fw_host_outcome(core, place, key.as_mut_ptr(), &raw mut serial)
            };
            let stage = Stage::from_number(stage)?;
            let was_executed = matches!(stage, Stage::Executed | Stage::Confirmed | Stage::Failed);
            was_executed.then_some((serial, Key(key)))
        })
    }

    /// This start's boot id.
    pub fn boot_id(&self) -> u32 {
        // SAFETY: `core` was initialised by `new`.
        unsafe { ffi::fw_host_boot_id(self.core.as_ptr()) }
    }

    /// Sequence number of the last status delta.
    pub fn sequence(&self) -> u32 {
        // SAFETY: `core` was initialised by `new`.
        unsafe { ffi::fw_host_sequence(self.core.as_ptr()) }
    }

    /// While the link is closed: the whole of the wait before the next attempt.
    pub fn backoff_wait(&self) -> Duration {
        // SAFETY: `core` was initialised by `new`.
        let wait_ms = unsafe { ffi::fw_host_backoff_wait_ms(self.core.as_ptr()) };
        Duration::from_millis(u64::from(wait_ms))
    }

    /// Fault hook: from now on, and until the link ends, frames bear this source.
    #[doc(hidden)]
    pub fn forge_source(&mut self, source: Address) {
        // SAFETY: `core` was initialised by `new`.
        unsafe { ffi::fw_host_forge_source(self.core.as_ptr(), source.0) }
    }

    /// The link is down: the next attempt comes after `wait_max` at most, however many there were.
    pub fn redial_within(&mut self, wait_max: Duration) {
        let wait_ms_max = u32::try_from(wait_max.as_millis()).unwrap_or(u32::MAX);
        // SAFETY: `core` was initialised by `new`.
        unsafe { ffi::fw_host_redial_within(self.core.as_ptr(), wait_ms_max) }
    }

    fn at(&mut self, now: Duration) {
        self.host_mut().now_ms = wrapped_ms(now);
    }

    fn host(&self) -> &Host {
        // SAFETY: made by `new` and freed by `drop`; C holds the same pointer but follows it only
        // during calls that borrow `self` mutably.
        unsafe { self.host.as_ref() }
    }

    fn host_mut(&mut self) -> &mut Host {
        // SAFETY: as in `host`; no call into C is made while this borrow lives.
        unsafe { self.host.as_mut() }
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller")
            .field("address", &self.host().address)
            .field("link_state", &self.link_state())
            .finish_non_exhaustive()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // SAFETY: `core` has the layout it was allocated with and was at least zeroed, which is
        // enough for `end`; `host` came from `Box::leak`; neither is used again.
        unsafe {
            // Of one that was never given its settings there is only the host.
            if self.core != NonNull::dangling() {
                ffi::fw_controller_end(self.core.as_ptr());
                if self.device.is_none() {
                    dealloc(self.core.as_ptr().cast(), core_layout());
                }
            }
            drop(Box::from_raw(self.host.as_ptr()));
        }
    }
}

/// Bytes of one controller's state in the core, without its two link buffers.
pub fn state_bytes() -> usize {
    // SAFETY: it takes nothing and returns a constant.
    unsafe { ffi::fw_host_state_bytes() }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "wrapping is what a chip's count does"
)]
fn wrapped_ms(now: Duration) -> u32 {
    now.as_millis() as u32
}

fn core_layout() -> Layout {
    // SAFETY: both take nothing and return constants.
    let (bytes, align) = unsafe {
        (
            ffi::fw_host_controller_bytes(),
            ffi::fw_host_controller_align(),
        )
    };
    Layout::from_size_align(bytes, align).unwrap_or_else(|_| unreachable!("C gave a real layout"))
}

fn allocate_core() -> NonNull<FwController> {
    let layout = core_layout();
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout))
}

/// The host behind a port's `ctx`.
///
/// # Safety
/// `ctx` must be the pointer that `Controller::new` put into the port, no other reference to the
/// host may live, and the returned one must not outlive the port function that asked for it. C
/// calls port functions only within calls made by `Controller`, which holds no reference to the
/// host meanwhile: so every port function may ask once.
unsafe fn host_of<'a>(ctx: *mut c_void) -> &'a mut Host {
    // SAFETY: as demanded above.
    unsafe { &mut *ctx.cast::<Host>() }
}

extern "C" fn port_send(ctx: *mut c_void, bytes: *const u8, length: usize) -> i32 {
    // SAFETY: called by C, see `host_of`; the core offers that many bytes of its own buffer.
    let (host, bytes) = unsafe { (host_of(ctx), std::slice::from_raw_parts(bytes, length)) };
    if host.outbound.is_some() {
        return 0;
    }
    host.outbound = Some(bytes.to_vec());
    i32::try_from(length).unwrap_or(i32::MAX)
}

extern "C" fn port_now_ms(ctx: *mut c_void) -> u32 {
    // SAFETY: called by C, see `host_of`.
    unsafe { host_of(ctx) }.now_ms
}

extern "C" fn port_random(ctx: *mut c_void, into: *mut u8, length: usize) {
    // SAFETY: called by C, see `host_of`; the core asks for that many bytes of its own memory.
    let (host, into) = unsafe { (host_of(ctx), std::slice::from_raw_parts_mut(into, length)) };
    match &mut host.random {
        Some(seeded) => seeded.fill_bytes(into),
        None => rand::rng().fill_bytes(into),
    }
}

extern "C" fn port_log(ctx: *mut c_void, level: u32, text: *const c_char) {
    // SAFETY: called by C, see `host_of`; the core passes string constants.
    let (address, text) = unsafe {
        (
            host_of(ctx).address.0,
            CStr::from_ptr(text).to_string_lossy(),
        )
    };
    // SAFETY: called by C, see `host_of`.
    let lines = &mut unsafe { host_of(ctx) }.lines;
    if let Some(lines) = lines
        .as_mut()
        .filter(|lines| lines.len() < LINES_MAX && level < 3)
    {
        lines.push_back(text.clone().into_owned());
    }
    match level {
        0 => tracing::error!(address, "{text}"),
        1 => tracing::warn!(address, "{text}"),
        2 => tracing::info!(address, "{text}"),
        _ => tracing::debug!(address, "{text}"),
    }
}

extern "C" fn port_dial(ctx: *mut c_void, gateway: u8) {
    // SAFETY: called by C, see `host_of`.
    unsafe { host_of(ctx) }
        .actions
        .push_back(Action::Dial(gateway));
}

extern "C" fn port_hang_up(ctx: *mut c_void) {
    // SAFETY: called by C, see `host_of`.
    unsafe { host_of(ctx) }.actions.push_back(Action::HangUp);
}

extern "C" fn port_read_input(ctx: *mut c_void, channel: u8) -> i32 {
    // SAFETY: called by C, see `host_of`.
    let host = unsafe { host_of(ctx) };
    host.inputs.get(usize::from(channel)).copied().unwrap_or(0)
}

extern "C" fn port_write_output(ctx: *mut c_void, channel: u8, value: i32) {
    // SAFETY: called by C, see `host_of`.
    let host = unsafe { host_of(ctx) };
    if let Some(output) = host.outputs.get_mut(usize::from(channel)) {
        *output = value;
    }
}
