//! Bugs on demand: one for each invariant that the simulation checks, to prove that it would catch
//! it. Without the feature the compiler removes every one of them.

use crate::Relay;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "sabotage"),
    expect(unreachable_pub, reason = "it is exported with the feature")
)]
pub enum Sabotage {
    /// Sends a command again to a controller that has restarted: it is executed twice.
    ResendBlindly,
    /// Sends a stored command without waiting for the mark: a killed gateway sends it again.
    SendBeforeMark,
    /// Says `queued` before the store has committed: a killed gateway loses what it promised.
    PromiseEarly,
    /// Loses some commands once they are queued.
    LoseQueued,
    /// Never gives up on a controller that stays away.
    WaitForever,
    /// Forgets the last receipt instead of keeping it: a repeated key is executed again, and
    /// nobody can ask.
    ForgetReceipts,
    /// Forwards a last receipt as often as it comes.
    RepeatFinals,
    /// Sends commands past their expiry.
    SendLate,
    /// Lets new commands overtake those that wait.
    Overtake,
    /// Drops the status of a slow subscriber without marking the controller.
    ForgetMarks,
    /// Forwards deltas that do not follow.
    ForwardAcrossGaps,
    /// Goes on showing controllers to tools that may see them no more.
    KeepShowing,
    /// Sends commands that wait although their account may not give them any more.
    SendWithdrawn,
}

#[cfg(feature = "sabotage")]
impl Relay {
    /// Plants a bug. For the crate's own simulation.
    pub fn sabotage(&mut self, sabotage: Sabotage) {
        self.sabotage = Some(sabotage);
    }

    pub(crate) fn sabotaged(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }
}

#[cfg(not(feature = "sabotage"))]
impl Relay {
    #[expect(clippy::unused_self, reason = "it is used with the feature")]
    #[inline(always)]
    pub(crate) const fn sabotaged(&self, _: Sabotage) -> bool {
        false
    }
}
