//! A simulated plant: what would be wired to a controller's inputs and outputs.

use std::time::Duration;

use crate::{Channel, Controller};

/// How a plant behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlantSettings {
    /// DI1 flips by itself this often; `None`: only when told to.
    pub input_period: Option<Duration>,
    /// The feedback DI2 no longer follows RL1.
    pub stuck_feedback: bool,
}

/// How long a contactor takes from its coil to its auxiliary contact.
const FEEDBACK_DELAY: Duration = Duration::from_millis(50);

/// The plant of one controller. DI2 follows RL1 after 50 ms, AI0 follows AO1 at once.
#[derive(Debug)]
pub struct Plant {
    settings: PlantSettings,
    flips_at: Option<Duration>,
    /// The relay's level as last seen, and when the feedback will show it.
    relay: i32,
    feedback_at: Option<Duration>,
    /// What AI0 reads instead of AO1.
    sensor: Option<i32>,
}

impl Plant {
    /// A plant at rest.
    pub fn new(settings: PlantSettings, now: Duration) -> Self {
        let flips_at = settings.input_period.map(|period| now + period);
        Self {
            settings,
            flips_at,
            relay: 0,
            feedback_at: None,
            sensor: None,
        }
    }

    /// Blocks the feedback where it is, or frees it, when it follows again.
    pub fn stick_feedback(&mut self, stuck: bool, now: Duration) {
        self.settings.stuck_feedback = stuck;
        if !stuck {
            self.feedback_at = Some(now + FEEDBACK_DELAY);
        }
    }

    /// Puts a value on AI0, in thousandths; `None` lets it follow AO1 again.
    pub fn set_sensor(&mut self, value: Option<i32>) {
        self.sensor = value;
    }

    /// Moves the plant up to `now`: reads the controller's outputs and sets its inputs. Returns
    /// when it wants to be moved again, `None` if only outputs can wake it.
    pub fn advance(&mut self, controller: &mut Controller, now: Duration) -> Option<Duration> {
        if let (Some(at), Some(period)) = (self.flips_at, self.settings.input_period)
            && now >= at
        {
            controller.set_input(Channel::Di1, 1 - controller.input(Channel::Di1));
            // Counted from now: a process that was suspended does not flip in a burst.
            self.flips_at = Some(now + period);
        }
        let relay = controller.output(Channel::Rl1);
        if relay != self.relay {
            self.relay = relay;
            self.feedback_at = Some(now + FEEDBACK_DELAY);
        }
        if self.feedback_at.is_some_and(|at| now >= at) {
            self.feedback_at = None;
            if !self.settings.stuck_feedback {
                controller.set_input(Channel::Di2, self.relay);
            }
        }
        let sensor = self
            .sensor
            .unwrap_or_else(|| controller.output(Channel::Ao1));
        controller.set_input(Channel::Ai0, sensor);
        [self.flips_at, self.feedback_at]
            .into_iter()
            .flatten()
            .min()
    }
}
