//! Who may come in: the bounds on connections, kept from accepting to closing.

use crate::{
    config::Settings,
    telemetry::{Telemetry, count},
    throttle::{Network, Throttle, network_of},
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Instant,
};
use switchyard_protocol::{Address, Code};

/// Counts connections and hellos, and refuses what is too much.
#[derive(Debug)]
pub(crate) struct Door {
    connections_max: u64,
    pending_per_ip_max: usize,
    pending: Mutex<HashMap<Network, usize>>,
    hellos_by_network: Throttle<Network>,
    // By address *and* network: counted by address alone, anybody could shut a controller out by
    // saying hello in its name.
    hellos_by_address: Throttle<(Address, Network)>,
    telemetry: Arc<Telemetry>,
}

/// A connection's permit to be there; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Door>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0
            .telemetry
            .connections_open
            .fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says that a connection has yet to prove who it is; dropped when it has.
#[derive(Debug)]
pub(crate) struct Pending {
    door: Arc<Door>,
    network: Network,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut pending = self
            .door
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = pending.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                pending.remove(&self.network);
            }
        }
    }
}

impl Door {
    /// A door with these bounds.
    pub(crate) fn new(settings: &Settings, telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Door {
            connections_max: settings.connections_max as u64,
            pending_per_ip_max: settings.pending_per_ip_max,
            pending: Mutex::default(),
            hellos_by_network: Throttle::new(settings.hellos_per_ip_per_minute_max),
            hellos_by_address: Throttle::new(settings.hellos_per_address_per_minute_max),
            telemetry,
        })
    }

    /// A permit for a new connection.
    ///
    /// # Errors
    /// [`Code::Busy`] when the house is full, [`Code::RateLimited`] when this network has too many
    /// that have not said who they are.
    pub(crate) fn admit(self: &Arc<Self>, ip: IpAddr) -> Result<(Permit, Pending), Code> {
        let permit = self.permit()?;
        let pending = self.pend(ip)?;
        count(&self.telemetry.connections_accepted);
        Ok((permit, pending))
    }

    /// A place in the house, whosever it is.
    fn permit(self: &Arc<Self>) -> Result<Permit, Code> {
        let open = &self.telemetry.connections_open;
        let taken = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < self.connections_max).then_some(open + 1)
        });
        taken.map_err(|_| Code::Busy)?;
        Ok(Permit(Arc::clone(self)))
    }

    /// A place among those of this network that have yet to say who they are. Taken anew for a connection
    /// whose proxy has told where it comes from.
    ///
    /// # Errors
    /// [`Code::RateLimited`] when this network has too many of them.
    pub(crate) fn pend(self: &Arc<Self>, ip: IpAddr) -> Result<Pending, Code> {
        let network = network_of(ip);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pending.entry(network).or_insert(0);
        if *known >= self.pending_per_ip_max {
            return Err(Code::RateLimited);
        }
        *known += 1;
        drop(pending);
        Ok(Pending {
            door: Arc::clone(self),
            network,
        })
    }

    /// Counts a hello.
    ///
    /// # Errors
    /// [`Code::RateLimited`].
    pub(crate) fn hello(&self, ip: IpAddr, address: Option<Address>) -> Result<(), Code> {
        let (network, now) = (network_of(ip), Instant::now());
        let passes = self.hellos_by_network.pass(network, now)
            && address.is_none_or(|address| self.hellos_by_address.pass((address, network), now));
        passes.then_some(()).ok_or(Code::RateLimited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn places_are_bounded_and_come_back() {
        let settings = Settings {
            connections_max: 3,
            pending_per_ip_max: 2,
            ..Settings::defaults()
        };
        let telemetry = Telemetry::new();
        let door = Door::new(&settings, Arc::clone(&telemetry));
        let ip = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        let first = door.admit(ip(1)).unwrap();
        let (second, proven) = door.admit(ip(1)).unwrap();
        assert_eq!(door.admit(ip(1)).unwrap_err(), Code::RateLimited);
        drop(proven);
        let third = door.admit(ip(1)).unwrap();
        assert_eq!(door.admit(ip(2)).unwrap_err(), Code::Busy);
        assert_eq!(telemetry.connections_open.load(Ordering::Relaxed), 3);
        drop((first, second, third));
        assert_eq!(telemetry.connections_open.load(Ordering::Relaxed), 0);
        assert!(door.pending.lock().unwrap().is_empty());
        assert!(door.admit(ip(2)).is_ok());
    }
}
