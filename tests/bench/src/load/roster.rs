//! Who plays along: addresses, keys, and what all connections of a run share.

use super::{Driver, Link, Options, http, stream::Dialler};
use anyhow::{Context, Result, bail, ensure};
use std::{net::SocketAddr, time::Duration};

/// What a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A device on TCP.
    Controller,
    /// A page or program on WebSocket.
    Operator,
}

/// One peer, by its number among those of its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// What it is.
    pub(crate) role: Role,
    /// From 0.
    pub(crate) index: usize,
}

/// The address of the first operator where the generator chooses addresses.
const FIRST_OPERATOR: u32 = 0x8000_0000;

/// What all connections of a run share.
pub(crate) struct Roster {
    /// How to reach the controllers' listener.
    pub(crate) to_controllers: Dialler,
    /// How to reach the operators' listener.
    pub(crate) to_operators: Dialler,
    /// `HOST:PORT` of the operators' listener.
    pub(crate) authority: String,
    /// How controllers are linked.
    pub(crate) link: Link,
    /// The operators' log-in, where there is one.
    pub(crate) token: Option<String>,
    /// How long the run may take: a server that wants to be pinged before that is refused.
    pub(crate) quiet: Duration,
    /// Points in a controller's status.
    pub(crate) points: u8,
    first_controller: u32,
    keys: Vec<[u8; 32]>,
}

impl Roster {
    /// Reads the keys and logs in, where the driver asks for it.
    ///
    /// # Errors
    /// When the keys are not to be had, are too few or not in a row, or the log-in is refused.
    pub(crate) async fn of<D: Driver>(options: &Options) -> Result<Self> {
        let (ws, tls): (SocketAddr, _) = (options.ws, options.tls.as_deref());
        let to_operators = Dialler::new(ws, tls)?;
        let is_idle = options.workload == super::WorkloadName::Idle;
        let mut roster = Roster {
            to_controllers: Dialler::new(options.tcp, None)?,
            to_operators,
            authority: ws.to_string(),
            link: options.link,
            token: None,
            quiet: options.quiet(),
            points: if is_idle { 4 } else { 10 },
            first_controller: 1,
            keys: Vec::new(),
        };
        if D::IS_ENROLLED {
            let path = options.keys.as_deref();
            let path = path.context("expected --keys FILE with the enrolled controllers")?;
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("reading {}", path.display()))?;
            (roster.first_controller, roster.keys) = read_keys(&text)?;
            ensure!(
                roster.keys.len() >= options.controllers,
                "expected {} controllers in {} and found {}",
                options.controllers,
                path.display(),
                roster.keys.len()
            );
            roster.token = Some(http::log_in(&roster, &options.account).await?);
        }
        Ok(roster)
    }

    /// Of peers that nobody dials.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let dialler = || Dialler::new(nowhere, None).unwrap();
        Roster {
            to_controllers: dialler(),
            to_operators: dialler(),
            authority: nowhere.to_string(),
            link: Link::Clear,
            token: None,
            quiet: Duration::ZERO,
            points: 10,
            first_controller: 1,
            keys: Vec::new(),
        }
    }

    /// The address of a controller, or the one that an operator chose.
    pub(crate) fn address(&self, peer: Peer) -> u32 {
        match peer.role {
            Role::Controller => self.first_controller + peer.index as u32,
            Role::Operator => FIRST_OPERATOR + peer.index as u32,
        }
    }

    /// Which controller has this address.
    ///
    /// # Errors
    /// When none of this run has.
    pub(crate) fn controller(&self, address: u32) -> Result<usize> {
        match address.checked_sub(self.first_controller) {
            Some(index) if address < FIRST_OPERATOR => Ok(index as usize),
            _ => bail!("expected the address of a controller and found {address}"),
        }
    }

    /// A controller's key.
    ///
    /// # Errors
    /// When it has none.
    pub(crate) fn key(&self, controller: usize) -> Result<&[u8; 32]> {
        self.keys
            .get(controller)
            .with_context(|| format!("expected a key of controller {controller}"))
    }
}

/// The first address and all keys, of addresses that follow each other.
fn read_keys(text: &str) -> Result<(u32, Vec<[u8; 32]>)> {
    let mut first = None;
    let mut keys = Vec::new();
    for line in text.lines() {
        let (address, key) = line
            .split_once(' ')
            .with_context(|| format!("expected `ADDRESS KEY` and found {line:?}"))?;
        let address: u32 = address.parse().context("reading a controller's address")?;
        let expected = *first.get_or_insert(address) + keys.len() as u32;
        ensure!(
            address == expected,
            "expected controller {expected} next and found {address}"
        );
        keys.push(key_of(key.trim()).context("expected a key of 64 hex digits")?);
    }
    let first = first.context("expected at least one controller in the keys")?;
    Ok((first, keys))
}

fn key_of(hex: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in key.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_keys_of_addresses_in_a_row() {
        let (a, b) = ("00".repeat(31) + "07", "ff".repeat(32));
        let (first, keys) = read_keys(&format!("100001 {a}\n100002 {b}\n")).unwrap();
        assert_eq!((first, keys.len(), keys[0][31]), (100_001, 2, 7));
        for wrong in [
            format!("1 {a}\n3 {b}\n"),
            format!("1 {}\n", &a[1..]),
            "1\n".into(),
            String::new(),
        ] {
            assert!(read_keys(&wrong).is_err(), "{wrong:?}");
        }
    }
}
