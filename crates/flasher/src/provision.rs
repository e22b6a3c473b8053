//! A running board made a controller: settings, network, script, and who it is; the last in one act with the gateway,
//! on both sides or on neither.

use std::time::Duration;

use bytes::Bytes;
use switchyard_protocol::{
    Address,
    message::LinkKey,
    serial::{
        Body, DATA_BYTES_MAX, Description, Password, Request, Setting, SettingValue, TrialStep,
        WifiState,
    },
};

use crate::{Error, Event, Result, RunningBoard, Stage, Watch, is_live_on_mains, line::Line};

/// How long a board may take to join its network.
const JOIN_PATIENCE: Duration = Duration::from_secs(45);
/// How long a wrong password or a missing network may be told before it is believed: a radio that is told to join says
/// so now and then while it still tries.
const BELIEVED_AFTER: Duration = Duration::from_secs(6);
/// How long a controller may take from its start until its gateway has it: two dials, and the pause between.
const REACH_PATIENCE: Duration = Duration::from_secs(90);
/// How often it is looked.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);
/// How long a script on trial is watched before it is kept.
const TRIAL_TIME: Duration = Duration::from_secs(1);
/// What is asked of a board that may be gone: so long, so often.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(3);
const FAREWELL_TRIES: usize = 3;
/// How long the state of another network may be told after one was set.
const STALE_TIME: Duration = Duration::from_secs(1);
/// How long a radio may be down between two tries, or before its first.
const DOWN_TIME_MAX: Duration = Duration::from_secs(12);
/// How often a gateway is asked to take an enrolment back, and the pause between.
const UNDO_TRIES: usize = 4;
const UNDO_PAUSE: Duration = Duration::from_secs(3);
/// A description's script that is on trial.
const SCRIPT_ON_TRIAL: u8 = 2;

/// Why a gateway could not do its part.
pub type RegistryError = Box<dyn std::error::Error + Send + Sync>;

/// Where controllers are enrolled: a gateway.
pub trait Registry {
    /// Makes an address and a key.
    ///
    /// # Errors
    /// When it does not; nothing must be left of it.
    fn enrol(&mut self, title: &str) -> Result<Enrolment, RegistryError>;

    /// Whether the controller is there now.
    ///
    /// # Errors
    /// When it cannot be told.
    fn is_online(&mut self, address: Address) -> Result<bool, RegistryError>;

    /// Takes an enrolment back: the address is nobody's any more.
    ///
    /// # Errors
    /// When it stands.
    fn undo(&mut self, enrolment: &Enrolment) -> Result<(), RegistryError>;

    /// Whether it can tell who is there. If not, neither network nor gateway are waited for: a board that has kept who it
    /// is will be there once it can.
    fn is_at_hand(&self) -> bool {
        true
    }
}

/// Who a controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Its address.
    pub address: Address,
    /// The key of its link.
    pub key: LinkKey,
}

/// What a board is to become.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What people call it, at the gateway and on the board.
    pub title: String,
    /// What is set besides the name, each once.
    pub settings: Vec<SettingValue>,
    /// The script that it is to run, and to keep.
    pub script: Option<Vec<u8>>,
    /// The password of its page, where it has one already.
    pub password: Option<Password>,
    /// What it must be.
    pub expected: Expected,
    /// A board that is enrolled already becomes another controller.
    pub replaces: bool,
    /// Where the board is now there is neither its network nor its gateway: nobody waits for them.
    pub is_off_line: bool,
    /// A person has said that the board is not on mains, should it be one that is live there.
    pub is_off_mains: bool,
}

/// What a board must be to be the right one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its profile.
    pub profile: Option<String>,
    /// Its software's version, as a manifest has it.
    pub version: Option<u32>,
    /// The chip's MAC address: it must be the board that was written.
    pub mac: Option<[u8; 6]>,
}

impl Expected {
    /// Compares it with what a board says of itself.
    ///
    /// # Errors
    /// [`Error::OtherProfile`], [`Error::OtherVersion`], [`Error::OtherBoard`].
    pub fn check(&self, found: &Description) -> Result<()> {
        let mac = found.hardware.as_ref();
        let mac = mac.and_then(|it| <[u8; 6]>::try_from(&it[..]).ok());
        if let (Some(expected), Some(found)) = (self.mac, mac)
            && expected != found
        {
            return Err(Error::OtherBoard { expected, found });
        }
        if let Some(expected) = self.profile.as_ref().filter(|it| **it != found.profile) {
            return Err(Error::OtherProfile {
                expected: expected.clone(),
                found: found.profile.clone(),
            });
        }
        match self.version.filter(|it| *it != found.version) {
            Some(expected) => Err(Error::OtherVersion {
                expected,
                found: found.version,
            }),
            None => Ok(()),
        }
    }
}

/// A board that has become what was planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    /// How it is now.
    pub description: Description,
    /// Who it was before, where it was somebody else: the gateway still knows of that one.
    pub before: Option<Address>,
}

/// What a failed enrolment has left behind; nothing, if it could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Remains {
    /// The board may still have its address and key.
    pub on_board: bool,
    /// The gateway may still know the address.
    pub at_gateway: bool,
}

impl<L: Line> RunningBoard<L> {
    /// Makes the board what was planned. Without a registry it is enrolled nowhere, and what it is enrolled as stays.
    ///
    /// What can be wrong without the gateway is found before anything is enrolled: another board, a network that it
    /// cannot join, a script that does not compile.
    ///
    /// # Errors
    /// [`Error`]. Once the gateway has made an address, [`Error::RolledBack`] with the cause, and what is left of it.
    pub fn provision(
        &mut self,
        plan: &Plan,
        registry: Option<&mut dyn Registry>,
        watch: &mut dyn Watch,
    ) -> Result<Provisioned> {
        let found = self.describe(watch)?;
        watch.event(Event::Described {
            description: Box::new(found.clone()),
        });
        plan.expected.check(&found)?;
        if is_live_on_mains(&found.profile) && !plan.is_off_mains {
            return Err(Error::Mains {
                profile: found.profile,
            });
        }
        if let Some(address) = found.address
            && registry.is_some()
            && !plan.replaces
        {
            return Err(Error::Enrolled { address });
        }
        if found.is_protected && !found.is_unlocked {
            watch.event(Event::Stage(Stage::Unlocking));
            self.open_by(plan, watch)?;
        }
        let has_wifi = plan.settings.iter().any(|it| it.setting == Setting::Wifi);
        self.set(plan.settings_first(), watch)?;
        let is_at_hand = !plan.is_off_line && registry.as_ref().is_none_or(|it| it.is_at_hand());
        let joined = match is_at_hand && (has_wifi || registry.is_some()) {
            true => self.join_set_network(has_wifi, watch)?,
            false => self.describe(watch)?,
        };
        if registry.is_some() && joined.link == Description::LINK_NONE {
            return Err(Error::NoGateway);
        }
        if let Some(script) = &plan.script {
            watch.event(Event::Stage(Stage::Script));
            if found.script == SCRIPT_ON_TRIAL {
                // Somebody began it, and nobody said what is to become of it.
                self.ask(&Request::Trial(TrialStep::Revert), watch)?;
            }
            self.bring_script(script, watch)?;
        }
        // What locks a board, and what is printed on it, only once the rest is good: it may be tried again.
        self.set(plan.settings_last(), watch)?;
        let description = match registry {
            Some(registry) => self.enrol(plan, found.address, registry, watch)?,
            None => self.describe(watch)?,
        };
        Ok(Provisioned {
            before: found.address.filter(|_| plan.replaces),
            description,
        })
    }

    /// Unlocks the board by the password that it has, or by the one that it is to get: an earlier try may have come so far.
    fn open_by(&mut self, plan: &Plan, watch: &mut dyn Watch) -> Result<()> {
        let mut outcome = Err(Error::Locked);
        for password in plan.passwords() {
            outcome = self.unlock(&password, watch);
            if !matches!(outcome, Err(Error::WrongPassword)) {
                break;
            }
        }
        outcome
    }

    /// Sees whether a board that has just been written does what it should: the right program on the right board, on its
    /// network if it has one, at its gateway if it is enrolled.
    ///
    /// # Errors
    /// [`Error::OtherProfile`], [`Error::OtherVersion`], [`Error::NotJoined`], [`Error::NotReached`].
    pub fn check(&mut self, expected: &Expected, watch: &mut dyn Watch) -> Result<Description> {
        let mut found = self.describe(watch)?;
        watch.event(Event::Described {
            description: Box::new(found.clone()),
        });
        expected.check(&found)?;
        watch.event(Event::Stage(Stage::Joining));
        match self.await_joined(false, watch) {
            Ok(joined) => found = joined,
            // A board that nobody has set up yet.
            Err(Error::NoNetwork) if found.address.is_none() => {}
            Err(error) => return Err(error),
        }
        if found.wifi == WifiState::Joined
            && found.address.is_some()
            && found.link != Description::LINK_NONE
        {
            watch.event(Event::Stage(Stage::Reaching));
            found = self.await_reached(watch, |found| Ok(found.link == Description::LINK_LIVE))?;
        }
        Ok(found)
    }

    /// Settings, as few requests as they fit into; each holds as a whole or not at all.
    fn set(&mut self, settings: Vec<SettingValue>, watch: &mut dyn Watch) -> Result<()> {
        if settings.is_empty() {
            return Ok(());
        }
        watch.event(Event::Stage(Stage::Setting));
        for part in parts(settings) {
            self.ask(&Request::Set(part), watch)?;
        }
        Ok(())
    }

    fn join_set_network(&mut self, is_new: bool, watch: &mut dyn Watch) -> Result<Description> {
        watch.event(Event::Stage(Stage::Joining));
        if is_new {
            self.listen(STALE_TIME, watch)?;
        }
        self.await_joined(is_new, watch)
    }

    /// Waits for the network. A radio says that it is down now and then while it tries; one that has none to try stays so.
    pub(crate) fn await_joined(
        &mut self,
        has_network: bool,
        watch: &mut dyn Watch,
    ) -> Result<Description> {
        let begun = self.now();
        let mut was_up = has_network;
        let mut failing_since: Option<Duration> = None;
        loop {
            let found = self.describe(watch)?;
            let now = self.now();
            if found.wifi == WifiState::Joined {
                return Ok(found);
            }
            was_up |= found.wifi != WifiState::Down;
            if !was_up && now >= begun + DOWN_TIME_MAX {
                return Err(Error::NoNetwork);
            }
            let is_failing = matches!(found.wifi, WifiState::WrongPassword | WifiState::NotFound);
            failing_since = is_failing.then(|| failing_since.unwrap_or(now));
            let is_believed = failing_since.is_some_and(|it| now >= it + BELIEVED_AFTER);
            if is_believed || now >= begun + JOIN_PATIENCE {
                return Err(Error::NotJoined {
                    state: Some(found.wifi),
                });
            }
            self.listen(LOOK_INTERVAL, watch)?;
        }
    }

    /// Waits until the board is at its gateway, as whoever can tell says.
    fn await_reached(
        &mut self,
        watch: &mut dyn Watch,
        mut is_there: impl FnMut(&Description) -> Result<bool, RegistryError>,
    ) -> Result<Description> {
        let until = self.now() + REACH_PATIENCE;
        loop {
            let found = self.describe(watch)?;
            let seen = is_there(&found);
            if matches!(seen, Ok(true)) {
                return self.describe(watch);
            }
            if self.now() >= until {
                // Whoever could not tell just now may tell the next time, but not for ever.
                seen.map_err(Error::Registry)?;
                return Err(Error::NotReached { wifi: found.wifi });
            }
            self.listen(LOOK_INTERVAL, watch)?;
        }
    }

    /// Brings a script, runs it on trial, and has it kept.
    fn bring_script(&mut self, script: &[u8], watch: &mut dyn Watch) -> Result<()> {
        let bytes = script.len() as u32;
        self.ask(&Request::ScriptBegin { bytes }, watch)?;
        for (at, piece) in (0..)
            .step_by(Request::PIECE_BYTES_MAX)
            .zip(script.chunks(Request::PIECE_BYTES_MAX))
        {
            let piece = Bytes::copy_from_slice(piece);
            self.ask(&Request::ScriptWrite { at, piece }, watch)?;
            watch.event(Event::Scripting {
                bytes,
                done: bytes.min(at + Request::PIECE_BYTES_MAX as u32),
            });
        }
        match self.ask(&Request::ScriptEnd, watch)?.body {
            Body::Fault(fault) => return Err(Error::Script(Box::new(fault))),
            Body::Compiled(compiled) => watch.event(Event::Compiled {
                operations: compiled.operations,
                scan_us: compiled.scan_us,
            }),
            _ => {}
        }
        let tried = self.try_script(watch);
        if tried.is_err() {
            // The one before is back already, or comes back by this: nothing stays on trial.
            let revert = &Request::Trial(TrialStep::Revert);
            let deaf = &mut Unstoppable(watch);
            let _ = self.ask_within(revert, FAREWELL_PATIENCE, FAREWELL_TRIES, deaf);
        }
        tried
    }

    fn try_script(&mut self, watch: &mut dyn Watch) -> Result<()> {
        self.ask(&Request::Trial(TrialStep::Begin), watch)?;
        watch.event(Event::Stage(Stage::Trial));
        self.listen(TRIAL_TIME, watch)?;
        if self.describe(watch)?.script != SCRIPT_ON_TRIAL {
            return Err(Error::ScriptStopped);
        }
        self.ask(&Request::Trial(TrialStep::Commit), watch)?;
        Ok(())
    }

    /// Both sides, or neither.
    fn enrol(
        &mut self,
        plan: &Plan,
        before: Option<Address>,
        registry: &mut dyn Registry,
        watch: &mut dyn Watch,
    ) -> Result<Description> {
        watch.event(Event::Stage(Stage::Enrolling));
        let enrolment = registry.enrol(&plan.title).map_err(Error::Registry)?;
        let address = enrolment.address;
        watch.event(Event::Enrolled { address });
        let cause = match self.become_controller(&enrolment, registry, watch) {
            Ok(description) => return Ok(description),
            Err(cause) => cause,
        };
        if before == Some(address) {
            // It is who it was, whatever has failed.
            return Err(cause);
        }
        watch.event(Event::Stage(Stage::RollingBack));
        // A person who has asked to stop wants this to be done all the same.
        let taken = self.take_back(address, plan, &mut Unstoppable(watch));
        let mut at_gateway = true;
        for attempt in 0..UNDO_TRIES {
            if attempt > 0 {
                self.wait(UNDO_PAUSE);
            }
            if registry.undo(&enrolment).is_ok() {
                at_gateway = false;
                break;
            }
        }
        Err(Error::RolledBack {
            cause: Box::new(cause),
            address,
            left: Remains {
                on_board: matches!(taken, Err(_) | Ok(Taken::Still)),
                at_gateway,
            },
            lost: before.filter(|_| !matches!(taken, Ok(Taken::WasNever))),
        })
    }

    fn become_controller(
        &mut self,
        enrolment: &Enrolment,
        registry: &mut dyn Registry,
        watch: &mut dyn Watch,
    ) -> Result<Description> {
        let before = self.describe(watch)?.boot_id;
        let Enrolment { address, key } = enrolment.clone();
        self.ask(&Request::Enrol { address, key }, watch)?;
        watch.event(Event::Stage(Stage::Restarting));
        self.restart(before, watch)?;
        let found = self.describe(watch)?;
        if found.address != Some(address) {
            return Err(Error::NotKept { address });
        }
        if !registry.is_at_hand() {
            return Ok(found);
        }
        self.await_joined(true, watch)?;
        watch.event(Event::Stage(Stage::Reaching));
        self.await_reached(watch, |_| registry.is_online(address))
    }

    fn restart(&mut self, boot_id: u32, watch: &mut dyn Watch) -> Result<Description> {
        match self.ask_within(&Request::Restart, FAREWELL_PATIENCE, 1, watch) {
            // It may be gone before its answer is heard.
            Ok(_) | Err(Error::NoAnswer { .. }) => {}
            Err(error) => return Err(error),
        }
        self.await_start(boot_id, watch)
    }

    /// Takes address and key off the board, if it has them. A board that never took them stays who it was.
    fn take_back(&mut self, address: Address, plan: &Plan, watch: &mut dyn Watch) -> Result<Taken> {
        let found = self.describe(watch)?;
        if found.address != Some(address) {
            return Ok(Taken::WasNever);
        }
        if found.is_protected && !found.is_unlocked {
            self.open_by(plan, watch)?;
        }
        let forget = &Request::Forget;
        self.ask_within(forget, FAREWELL_PATIENCE, FAREWELL_TRIES, watch)?;
        let boot_id = self.describe(watch)?.boot_id;
        let is_nobody = self.restart(boot_id, watch)?.address.is_none();
        Ok(if is_nobody { Taken::Back } else { Taken::Still })
    }
}

/// What became of an enrolment on the board.
enum Taken {
    /// It never had it.
    WasNever,
    /// It is seen to have it no more.
    Back,
    /// It has it still.
    Still,
}

impl Plan {
    /// What is set at first, the name among it.
    fn settings_first(&self) -> Vec<SettingValue> {
        let mut settings = self.settings.clone();
        let has_name = settings.iter().any(|it| it.setting == Setting::Name);
        if !has_name && !self.title.is_empty() {
            settings.push(SettingValue {
                setting: Setting::Name,
                text: self.title.clone(),
            });
        }
        settings.retain(|it| !is_last(it.setting));
        settings
    }

    fn settings_last(&self) -> Vec<SettingValue> {
        let last = self.settings.iter().filter(|it| is_last(it.setting));
        last.cloned().collect()
    }

    /// What the board's page may ask for.
    fn passwords(&self) -> impl Iterator<Item = Password> {
        let own = self.settings.iter();
        let own = own.filter(|it| it.setting == Setting::PagePassword);
        let own = own.map(|it| Password(it.text.clone()));
        self.password.clone().into_iter().chain(own)
    }
}

/// What locks a board, and what is printed on it.
fn is_last(setting: Setting) -> bool {
    matches!(setting, Setting::Label | Setting::PagePassword)
}

/// Watches without ever asking to stop.
struct Unstoppable<'a>(&'a mut dyn Watch);

impl Watch for Unstoppable<'_> {
    fn event(&mut self, event: Event) {
        self.0.event(event);
    }
}

/// Settings in as few requests as they fit into, in the order of their numbers.
fn parts(mut settings: Vec<SettingValue>) -> Vec<Vec<SettingValue>> {
    settings.sort_by_key(|it| it.setting);
    let mut parts: Vec<Vec<SettingValue>> = Vec::new();
    // What belongs together goes together: a network with its password, both gateways.
    let mut groups: Vec<Vec<SettingValue>> = Vec::new();
    for value in settings {
        let follows = matches!(value.setting, Setting::WifiPassword | Setting::Gateway2);
        match groups.last_mut() {
            Some(group) if follows => group.push(value),
            _ => groups.push(vec![value]),
        }
    }
    for group in groups {
        if let Some(part) = parts.last_mut() {
            let longer = [&part[..], &group[..]].concat();
            if Request::Set(longer.clone()).encode(u8::MAX).len() <= DATA_BYTES_MAX {
                *part = longer;
                continue;
            }
        }
        parts.push(group);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_go_in_as_few_requests_as_they_fit_into() {
        let value = |setting, length| SettingValue {
            setting,
            text: "x".repeat(length),
        };
        let all: Vec<_> = [
            (Setting::Name, 64),
            (Setting::Host, 24),
            (Setting::Wifi, 32),
            (Setting::WifiPassword, 64),
            (Setting::Gateway1, 64),
            (Setting::Gateway2, 64),
            (Setting::Zone, 64),
            (Setting::Label, 24),
            (Setting::PagePassword, 64),
        ]
        .map(|(setting, length)| value(setting, length))
        .into();
        let parts = parts(all.clone());
        assert_eq!(parts.concat(), all);
        for part in &parts {
            assert!(Request::Set(part.clone()).encode(255).len() <= DATA_BYTES_MAX);
        }
        let first: Vec<_> = parts.iter().map(|part| part[0].setting).collect();
        assert_eq!(
            first,
            [
                Setting::Name,
                Setting::Wifi,
                Setting::Gateway1,
                Setting::Zone
            ]
        );
    }
}
