//! The controller's own core as what runs on the board: over the board's flash, its serial line and its time.

use super::{
    application::{Application, ChipAccess, Restart},
    boot::StartCause,
    flash::Flash,
    options::ApplicationFactory,
    uplink::Uplink,
};
use anyhow::Result;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use switchyard_firmware::{
    Behaviour, Channel, Controller, ControllerKey, FlashChip, LinkState, Network, Plant,
    PlantSettings, Script, Settings, SettingsError,
};
use switchyard_protocol::{Address, message::ResetReason, serial::Setting};

/// The part of the flash that a controller looks at. A smaller chip does not hold it.
const FLASH_BYTES_MIN: usize = 0x10_0000;
/// How often it looks around at least, as the timer of its scans on a chip.
const SCAN: Duration = Duration::from_millis(10);
/// And while a gateway may say something.
const LINK_LOOK: Duration = Duration::from_millis(5);
/// What is taken off the core's serial line at a time.
const SERIAL_BYTES: usize = 512;
/// Who a board is that nobody has enrolled; nobody hears of it, since such a board dials nobody.
const NOBODY: Address = Address(1);

/// What is around a board with a controller on it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Wi-Fi networks, eight at most.
    pub networks: Vec<Network>,
    /// Whether those lead to gateways: an enrolled controller that has joined one dials over TCP from this machine. The
    /// board's time must then be the real one. Without it, every dial fails.
    pub have_uplink: bool,
    /// What a blank board runs.
    pub script: Script,
    /// What is wired to it.
    pub plant: PlantSettings,
    /// Makes every random choice repeatable.
    pub seed: Option<u64>,
}

impl Default for Surroundings {
    /// No network, and relays that hold what they are told.
    fn default() -> Self {
        Surroundings {
            networks: Vec::new(),
            have_uplink: false,
            script: Behaviour::Latch.into(),
            plant: PlantSettings::default(),
            seed: None,
        }
    }
}

/// What is to be seen of a controller from outside of its lines.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControllerView {
    /// Whether it runs. If not, the rest is as it was at its end, but for outputs, Wi-Fi and link, which are off.
    pub is_running: bool,
    /// How often it has started.
    pub starts: u32,
    /// Why it has last.
    pub reset: ResetReason,
    /// Another one at each start.
    pub boot_id: u32,
    /// The address that it was enrolled with when it started.
    pub enrolled: Option<Address>,
    /// Whether its Wi-Fi is joined.
    pub is_joined: bool,
    /// How its link stands.
    pub link: LinkState,
    /// How often the link has been live, in all its starts.
    pub sessions: u32,
    /// Commands executed since it started.
    pub executed: u32,
    /// Which script it has; changes with it, 0: none.
    pub script_hash: u32,
    settings: Vec<(Setting, String)>,
    values: [i32; Channel::ALL.len()],
}

impl ControllerView {
    /// What is set up as this, secrets as well; empty: nothing is. `None` for those two of which only a proof is kept.
    pub fn setting(&self, setting: Setting) -> Option<&str> {
        let mut settings = self.settings.iter();
        let found = settings.find(|(known, _)| *known == setting);
        found.map(|(_, text)| text.as_str())
    }

    /// The value of an input or output: 0 or 1, or thousandths.
    pub fn value(&self, channel: Channel) -> i32 {
        self.values[channel as usize]
    }

    fn end(&mut self) {
        self.is_running = false;
        self.is_joined = false;
        self.link = LinkState::Closed;
        for channel in Channel::ALL.into_iter().filter(|it| it.is_output()) {
            self.values[channel as usize] = 0;
        }
    }
}

impl fmt::Debug for ControllerView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerView")
            .field("is_running", &self.is_running)
            .field("starts", &self.starts)
            .field("reset", &self.reset)
            .field("enrolled", &self.enrolled)
            .field("is_joined", &self.is_joined)
            .field("link", &self.link)
            .field("sessions", &self.sessions)
            .field("script_hash", &self.script_hash)
            .finish_non_exhaustive()
    }
}

/// The controller of one board: makes the application that runs on it, and watches what runs. It ends with the power,
/// a reset or a restart, and what it has set up is in the board's flash and nowhere else.
///
/// ```
/// use std::time::Duration;
/// use switchyard_testkit::board::{Board, BoardOptions, ControllerOnBoard, Surroundings};
///
/// let controller = ControllerOnBoard::new(Surroundings::default());
/// let mut board = Board::new(BoardOptions {
///     application: controller.application(),
///     ..BoardOptions::default()
/// });
/// board.power(Duration::ZERO, true);
/// assert!(!controller.view().is_running, "its flash is blank");
/// ```
#[derive(Clone)]
pub struct ControllerOnBoard {
    surroundings: Arc<Surroundings>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    view: ControllerView,
    /// What a test holds its inputs at.
    inputs: [Option<i32>; Channel::ALL.len()],
    is_button_pressed: bool,
}

impl ControllerOnBoard {
    /// Of a board with this around it.
    pub fn new(surroundings: Surroundings) -> Self {
        ControllerOnBoard {
            surroundings: Arc::new(surroundings),
            shared: Arc::new(Mutex::new(Shared {
                view: ControllerView {
                    is_running: false,
                    starts: 0,
                    reset: ResetReason::Power,
                    boot_id: 0,
                    enrolled: None,
                    is_joined: false,
                    link: LinkState::Closed,
                    sessions: 0,
                    executed: 0,
                    script_hash: 0,
                    settings: Vec::new(),
                    values: [0; Channel::ALL.len()],
                },
                inputs: [None; Channel::ALL.len()],
                is_button_pressed: false,
            })),
        }
    }

    /// For [`BoardOptions::application`](super::BoardOptions::application) of one board. A chip of less than a megabyte
    /// runs nothing.
    pub fn application(&self) -> ApplicationFactory {
        let of_board = self.clone();
        Box::new(move |flash| {
            (flash.len() >= FLASH_BYTES_MIN).then(|| {
                Box::new(OnBoard {
                    of: of_board.clone(),
                    running: None,
                    lent: Arc::default(),
                    due: None,
                }) as Box<dyn Application>
            })
        })
    }

    /// What is to be seen now.
    pub fn view(&self) -> ControllerView {
        self.lock().view.clone()
    }

    /// Waits until the view is as wanted. For boards in real time.
    ///
    /// # Errors
    /// When it never is.
    pub fn wait_for(
        &self,
        what: &str,
        is_wanted: impl Fn(&ControllerView) -> bool,
    ) -> Result<ControllerView> {
        crate::wait_until(what, || {
            let view = self.view();
            is_wanted(&view).then_some(view)
        })
    }

    /// Holds an input at a value, over resets, until it is given another.
    pub fn set_input(&self, channel: Channel, value: i32) {
        self.lock().inputs[channel as usize] = Some(value);
    }

    /// Presses the board's button, which is no reset, or lets it go.
    pub fn press_button(&self, is_pressed: bool) {
        self.lock().is_button_pressed = is_pressed;
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The board's chip and time while the core runs, which is given all of it.
#[derive(Default)]
struct Lent {
    flash: Option<Flash>,
    now: Duration,
}

/// The chip as the core sees it: what it does takes its time, and may go wrong.
struct LentChip(Arc<Mutex<Lent>>);

impl LentChip {
    fn with<T>(&self, act: impl FnOnce(&mut Flash, &mut Duration) -> T) -> Option<T> {
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Lent { flash, now } = &mut *lent;
        flash.as_mut().map(|flash| act(flash, now))
    }
}

impl FlashChip for LentChip {
    fn read(&self, address: u32, into: &mut [u8]) {
        let length = u32::try_from(into.len()).unwrap_or(u32::MAX);
        if let Some(bytes) = self.with(|flash, _| flash.read(address, length)) {
            into.copy_from_slice(&bytes);
        }
    }

    fn program(&mut self, address: u32, bytes: &[u8]) {
        self.with(|flash, now| *now = flash.program(*now, address, bytes));
    }

    fn erase_sector(&mut self, address: u32) {
        self.with(|flash, now| *now = flash.erase_sector(*now, address));
    }
}

/// What runs on the board.
struct OnBoard {
    of: ControllerOnBoard,
    /// Started with the first run, when there is a time and a flash.
    running: Option<Running>,
    lent: Arc<Mutex<Lent>>,
    due: Option<Duration>,
}

impl Application for OnBoard {
    fn run(&mut self, chip: &mut ChipAccess<'_>, received: &[u8]) {
        self.swap(chip);
        let outcome = self.run_core(chip, received);
        self.swap(chip);
        match outcome {
            Ok(said) => chip.send(&said),
            Err(SettingsError) => chip.restart(Restart::Hang),
        }
        if let Some(running) = &mut self.running
            && running.controller.wants_restart()
        {
            chip.restart(Restart::Commanded);
        }
    }

    fn next_due(&self) -> Option<Duration> {
        self.due
    }
}

impl OnBoard {
    /// Lends the board's chip to the core, or takes it back, and the time that has passed meanwhile with it.
    fn swap(&self, chip: &mut ChipAccess<'_>) {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        match lent.flash.take() {
            None => {
                lent.flash = Some(std::mem::replace(chip.flash, Flash::away()));
                lent.now = chip.now;
            }
            Some(flash) => {
                *chip.flash = flash;
                chip.now = lent.now;
            }
        }
    }

    /// Gives what it says on the serial line.
    fn run_core(
        &mut self,
        chip: &ChipAccess<'_>,
        received: &[u8],
    ) -> Result<Vec<u8>, SettingsError> {
        let now = chip.now();
        let mut shared = self
            .of
            .shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let running = match &mut self.running {
            Some(running) => running,
            none => {
                shared.view.starts += 1;
                let lent = LentChip(Arc::clone(&self.lent));
                let starts = shared.view.starts;
                none.insert(Running::start(&self.of.surroundings, chip, lent, starts)?)
            }
        };
        let controller = &mut running.controller;
        for (channel, value) in Channel::ALL.into_iter().zip(shared.inputs) {
            if let Some(value) = value {
                controller.set_input(channel, value);
            }
        }
        controller.press_button(shared.is_button_pressed);
        controller.receive_serial(received, now);
        let mut said = Vec::new();
        self.due = Some(running.advance(&self.of.surroundings, now, &mut said));
        running.show(&mut shared.view);
        Ok(said)
    }
}

impl Drop for OnBoard {
    fn drop(&mut self) {
        self.of.lock().view.end();
    }
}

/// A controller from its start to its end.
struct Running {
    controller: Controller,
    plant: Plant,
    uplink: Uplink,
    reset: ResetReason,
    /// Who it is until it starts again.
    enrolled: Option<Address>,
    was_joined: bool,
    was_live: bool,
}

impl Running {
    fn start(
        surroundings: &Surroundings,
        chip: &ChipAccess<'_>,
        lent: LentChip,
        starts: u32,
    ) -> Result<Self, SettingsError> {
        let now = chip.now();
        let nobody = ControllerKey::new([0; 32]);
        let mut settings = Settings::new(NOBODY, nobody, surroundings.script.clone());
        settings.gateways = 0;
        settings.seed = surroundings
            .seed
            .map(|seed| seed.wrapping_add(starts.into()));
        settings.hardware = Some(chip.mac());
        settings.reset = match chip.cause() {
            StartCause::PowerOn => ResetReason::Power,
            StartCause::ResetPin => ResetReason::Other,
            StartCause::Software => ResetReason::Commanded,
            StartCause::Watchdog => ResetReason::Watchdog,
        };
        let reset = settings.reset;
        let flash = switchyard_firmware::Flash::on_chip(Box::new(lent));
        let mut controller = Controller::with_flash(settings, flash, now)?;
        controller.add_radio(&surroundings.networks, now)?;
        controller.add_serial(now)?;
        Ok(Running {
            enrolled: controller.enrolled(),
            controller,
            plant: Plant::new(surroundings.plant.clone(), now),
            uplink: Uplink::default(),
            reset,
            was_joined: false,
            was_live: false,
        })
    }

    /// Brings everything to this time. Gives when it wants to go on.
    fn advance(
        &mut self,
        surroundings: &Surroundings,
        now: Duration,
        said: &mut Vec<u8>,
    ) -> Duration {
        let controller = &mut self.controller;
        let may_dial = surroundings.have_uplink && self.enrolled.is_some();
        self.uplink.receive(controller, now);
        loop {
            self.plant.advance(controller, now);
            controller.poll(now);
            let serial_wait = controller.poll_serial(now);
            loop {
                let bytes = controller.take_serial(SERIAL_BYTES);
                if bytes.is_empty() {
                    break;
                }
                said.extend(bytes);
            }
            // The serial line may have made work for the core, and a scan may have moved the plant.
            let plant_at = self.plant.advance(controller, now);
            let wait = controller.poll(now);
            let is_joined = controller.is_joined();
            match std::mem::replace(&mut self.was_joined, is_joined) {
                true if !is_joined => self.uplink.lose(controller, now),
                false if is_joined => controller.redial_within(Duration::ZERO),
                _ => {}
            }
            let has_acted = self.uplink.send(controller, now, |controller, index| {
                let gateway = controller.gateway(index).or_else(|| controller.gateway(0));
                gateway.filter(|_| may_dial && controller.is_joined())
            });
            if has_acted {
                continue;
            }
            let look = match self.uplink.is_active() {
                true => LINK_LOOK,
                false => SCAN,
            };
            let wait = wait.min(serial_wait.unwrap_or(look)).min(look);
            return plant_at.map_or(now + wait, |at| at.min(now + wait));
        }
    }

    fn show(&mut self, view: &mut ControllerView) {
        let controller = &self.controller;
        let link = controller.link_state();
        let is_live = link == LinkState::Live;
        if is_live && !self.was_live {
            view.sessions += 1;
        }
        self.was_live = is_live;
        view.is_running = true;
        view.reset = self.reset;
        view.boot_id = controller.boot_id();
        view.enrolled = self.enrolled;
        view.is_joined = controller.is_joined();
        view.link = link;
        view.executed = controller.executed();
        view.script_hash = controller.script_hash();
        let settings = Setting::ALL.iter();
        view.settings = settings
            .filter_map(|setting| Some((*setting, controller.setting(*setting)?)))
            .collect();
        view.values = Channel::ALL.map(|channel| match channel.is_output() {
            true => controller.output(channel),
            false => controller.input(channel),
        });
    }
}
