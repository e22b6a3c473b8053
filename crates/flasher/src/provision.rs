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

use crate::{Error, Event, Result, RunningBoard, Stage, Watch, line::Line};

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
/// The scripts of a description: on trial, and stopped by a fault.
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
}

/// What a board must be to be the right one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its profile.
    pub profile: Option<String>,
    /// Its software's version, as a manifest has it.
    pub version: Option<u32>,
}

impl Expected {
    /// Compares it with what a board says of itself.
    ///
    /// # Errors
    /// [`Error::OtherProfile`], [`Error::OtherVersion`].
    pub fn check(&self, found: &Description) -> Result<()> {
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
        if let Some(address) = found.address
            && registry.is_some()
            && !plan.replaces
        {
            return Err(Error::Enrolled { address });
        }
        if found.is_protected && !found.is_unlocked {
            watch.event(Event::Stage(Stage::Unlocking));
            let password = plan.password.as_ref().ok_or(Error::Locked)?;
            self.unlock(password, watch)?;
        }
        self.set(plan, watch)?;
        let has_wifi = plan.settings.iter().any(|it| it.setting == Setting::Wifi);
        let is_at_hand = registry.as_ref().map(|it| it.is_at_hand());
        let joined = match is_at_hand {
            Some(false) => Some(self.describe(watch)?),
            Some(true) => Some(self.join_set_network(watch)?),
            None if has_wifi => Some(self.join_set_network(watch)?),
            None => None,
        };
        if is_at_hand.is_some() && joined.is_some_and(|it| it.link == Description::LINK_NONE) {
            return Err(Error::NoGateway);
        }
        if let Some(script) = &plan.script {
            watch.event(Event::Stage(Stage::Script));
            self.bring_script(script, watch)?;
        }
        let mut description = None;
        if let Some(registry) = registry {
            description = Some(self.enrol(&plan.title, registry, watch)?);
        }
        let description = match description {
            Some(description) => description,
            None => self.describe(watch)?,
        };
        Ok(Provisioned {
            before: found.address.filter(|_| plan.replaces),
            description,
        })
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
        if found.wifi != WifiState::Down {
            watch.event(Event::Stage(Stage::Joining));
            found = self.await_joined(watch)?;
        }
        if found.wifi == WifiState::Joined
            && found.address.is_some()
            && found.link != Description::LINK_NONE
        {
            watch.event(Event::Stage(Stage::Reaching));
            found = self.await_reached(watch, |found| found.link == Description::LINK_LIVE)?;
        }
        Ok(found)
    }

    /// Settings, as few requests as they fit into; each holds as a whole or not at all.
    fn set(&mut self, plan: &Plan, watch: &mut dyn Watch) -> Result<()> {
        let mut settings = plan.settings.clone();
        let has_name = settings.iter().any(|it| it.setting == Setting::Name);
        if !has_name && !plan.title.is_empty() {
            settings.push(SettingValue {
                setting: Setting::Name,
                text: plan.title.clone(),
            });
        }
        if settings.is_empty() {
            return Ok(());
        }
        watch.event(Event::Stage(Stage::Setting));
        settings.sort_by_key(|it| it.setting);
        for part in parts(settings) {
            self.ask(&Request::Set(part), watch)?;
        }
        Ok(())
    }

    fn join_set_network(&mut self, watch: &mut dyn Watch) -> Result<Description> {
        watch.event(Event::Stage(Stage::Joining));
        self.await_joined(watch)
    }

    /// Waits for the network.
    pub(crate) fn await_joined(&mut self, watch: &mut dyn Watch) -> Result<Description> {
        let begun = self.now();
        let mut failing_since = None;
        loop {
            let found = self.describe(watch)?;
            let now = self.now();
            let is_failing = match found.wifi {
                WifiState::Joined => return Ok(found),
                WifiState::WrongPassword | WifiState::NotFound => true,
                WifiState::Down | WifiState::Joining | WifiState::Other(_) => false,
                // A state of a later version says nothing that is known here.
                _ => false,
            };
            failing_since = failing_since
                .filter(|_| is_failing)
                .or(is_failing.then_some(now));
            let is_believed = failing_since.is_some_and(|it: Duration| now >= it + BELIEVED_AFTER);
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
        mut is_there: impl FnMut(&Description) -> bool,
    ) -> Result<Description> {
        let until = self.now() + REACH_PATIENCE;
        loop {
            let found = self.describe(watch)?;
            if is_there(&found) {
                return Ok(found);
            }
            if self.now() >= until {
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
        self.ask(&Request::Trial(TrialStep::Begin), watch)?;
        self.listen(TRIAL_TIME, watch)?;
        if self.describe(watch)?.script != SCRIPT_ON_TRIAL {
            // The one before is back already, or comes back by this.
            let _ = self.ask(&Request::Trial(TrialStep::Revert), watch);
            return Err(Error::ScriptStopped);
        }
        self.ask(&Request::Trial(TrialStep::Commit), watch)?;
        Ok(())
    }

    /// Both sides, or neither.
    fn enrol(
        &mut self,
        title: &str,
        registry: &mut dyn Registry,
        watch: &mut dyn Watch,
    ) -> Result<Description> {
        watch.event(Event::Stage(Stage::Enrolling));
        let enrolment = registry.enrol(title).map_err(Error::Registry)?;
        let cause = match self.become_controller(&enrolment, registry, watch) {
            Ok(description) => return Ok(description),
            Err(cause) => cause,
        };
        watch.event(Event::Stage(Stage::RollingBack));
        // A person who has asked to stop wants this to be done all the same.
        let mut deaf = Unstoppable(watch);
        let on_board = !self.is_nobody_again(&mut deaf);
        let undone = registry.undo(&enrolment);
        Err(Error::RolledBack {
            cause: Box::new(cause),
            address: enrolment.address,
            left: Remains {
                on_board,
                at_gateway: undone.is_err(),
            },
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
        watch.event(Event::Stage(Stage::Joining));
        self.await_joined(watch)?;
        watch.event(Event::Stage(Stage::Reaching));
        // A gateway that cannot be asked just now may be asked again.
        self.await_reached(watch, |_| registry.is_online(address).unwrap_or(false))
    }

    fn restart(&mut self, boot_id: u32, watch: &mut dyn Watch) -> Result<Description> {
        match self.ask_within(&Request::Restart, FAREWELL_PATIENCE, 1, watch) {
            // It may be gone before its answer is heard.
            Ok(_) | Err(Error::NoAnswer { .. }) => {}
            Err(error) => return Err(error),
        }
        self.await_start(boot_id, watch)
    }

    /// Takes address and key off the board; whether it is seen to have none.
    fn is_nobody_again(&mut self, watch: &mut dyn Watch) -> bool {
        let mut forget = || -> Result<bool> {
            let forget = &Request::Forget;
            self.ask_within(forget, FAREWELL_PATIENCE, FAREWELL_TRIES, watch)?;
            let boot_id = self.describe(watch)?.boot_id;
            Ok(self.restart(boot_id, watch)?.address.is_none())
        };
        forget().unwrap_or(false)
    }
}

/// Watches without ever asking to stop.
struct Unstoppable<'a>(&'a mut dyn Watch);

impl Watch for Unstoppable<'_> {
    fn event(&mut self, event: Event) {
        self.0.event(event);
    }
}

/// Settings in as few requests as they fit into, in their order.
fn parts(settings: Vec<SettingValue>) -> Vec<Vec<SettingValue>> {
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
