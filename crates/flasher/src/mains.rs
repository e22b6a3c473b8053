//! Boards on which the cable may be as dangerous as the socket.

/// Profiles of boards whose supply is not isolated: while such a board is on mains, its serial pins are live, and so is
/// whatever hangs on the cable.
const LIVE: [&str; 1] = ["sonoff-basic"];

/// Whether a board of this profile must be off mains while a cable is on it, or somebody may die.
///
/// On others the relays' contacts may be on mains still; a cable belongs on no board whose terminals are live.
#[must_use]
pub fn is_live_on_mains(profile: &str) -> bool {
    LIVE.contains(&profile)
}
