//! Who goes first where threads want the same core.

/// How far the door's thread gives way: the yard then gets ten times its share of a core that both
/// want, so that many controllers that come at once cannot hold up those that are there.
pub(crate) const DOOR_NICENESS: i32 = 10;
/// How far hashing passwords gives way: strangers can ask for that, so it comes after controllers that
/// prove who they are.
pub(crate) const HASHING_NICENESS: i32 = 15;

/// Has the system prefer other threads to the calling one, for as long as it lives. To no effect where
/// the system knows no such thing for threads.
pub(crate) fn give_way(niceness: i32) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        tracing::debug!(%error, "a thread does not give way");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}
