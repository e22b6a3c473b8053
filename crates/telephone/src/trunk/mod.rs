//! A trunk: one account at one telephone system or provider, over real sockets.

mod call;
mod driver;
mod link;
mod sound;

pub use call::Call;

use crate::{
    error::Error,
    number::Number,
    outcome::Trouble,
    sip::{
        header::split_host,
        requests::{Account, Transport, domain},
    },
};
use driver::{Command, Driver};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

/// How long the system's resolver may think about a name.
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(5);
/// Commands that may wait for the driver: it does each at once.
const COMMANDS_MAX: usize = 64;
/// How long a caller waits for the driver to answer a probe beyond what the driver itself waits.
const DRIVER_TIME_MAX: Duration = Duration::from_secs(20);

/// A password, which shows itself nowhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(String);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Password(text)
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Password(text.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a trunk is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkSettings {
    /// The telephone system: a name or an address, with a number such as `:5060` where it is not the transport's
    /// own. A name is asked of the system's resolver; SRV records are not.
    pub server: String,
    /// How messages are carried.
    pub transport: Transport,
    /// The account.
    pub user: String,
    /// Its password; empty for a trunk that knows us by our address.
    pub password: Password,
    /// The number that is said to call, where it is not the account.
    pub caller: Option<String>,
    /// The name that is said to call.
    pub display_name: Option<String>,
    /// A proxy that everything goes through, written as the server is.
    pub proxy: Option<String>,
    /// Whether the trunk wants to be told where we are before it takes calls.
    pub registers: bool,
    /// Certificates of the authorities that may vouch for the server, in PEM; those of the system when absent.
    pub root_certificates: Option<Vec<u8>>,
    /// The address that the trunk sees us by, for a router that changes addresses and a trunk that does not help.
    pub public_ip: Option<IpAddr>,
    /// The UDP numbers that sound may come in by, for a firewall; any when absent. Each call takes one.
    pub sound_udp_ports: Option<RangeInclusive<u16>>,
    /// How long an answered call may last.
    pub talk_limit: Duration,
    /// How long the trunk may be silent before it is given up. RFC 3261 would wait 32 seconds; somebody who is to
    /// be told of an alarm has other ways by then.
    pub silence_limit: Duration,
    /// How many calls may go on at a time.
    pub calls_max: usize,
    /// What numbers have to begin with that the trunk may redirect a call to, such as `+49`; empty where any may be. A
    /// premium-rate number is where a fault, or a fraud, is paid for.
    pub redirect_prefixes: Vec<String>,
}

impl TrunkSettings {
    /// The usual ones for an account at a server: UDP, no registration, a call of at most five minutes, a silence
    /// of at most ten seconds, four calls.
    #[must_use]
    pub fn new(server: &str, user: &str, password: Password) -> Self {
        TrunkSettings {
            server: server.into(),
            transport: Transport::Udp,
            user: user.into(),
            password,
            caller: None,
            display_name: None,
            proxy: None,
            registers: false,
            root_certificates: None,
            public_ip: None,
            sound_udp_ports: None,
            talk_limit: Duration::from_secs(300),
            silence_limit: Duration::from_secs(10),
            calls_max: 4,
            redirect_prefixes: Vec::new(),
        }
    }
}

/// Whether the trunk knows where we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It does not want to.
    Off,
    /// Nobody knows yet.
    Trying,
    /// It does.
    Registered,
    /// It does not, and is asked again after a while.
    Failed(Trouble),
}

/// One account at one telephone system. Dropping it lets the calls of it go on to their ends.
///
/// It is driven by a task of the runtime that it was opened in.
pub struct Trunk {
    place: Place,
    calls_max: usize,
    talk_limit: Duration,
    silence_limit: Duration,
    sound_udp_ports: Option<RangeInclusive<u16>>,
    public_ip: Option<IpAddr>,
    commands: mpsc::Sender<Command>,
    registration: watch::Receiver<Registration>,
    calls: std::sync::Arc<tokio::sync::Semaphore>,
}

impl fmt::Debug for Trunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trunk")
            .field("server", &self.place.host)
            .finish_non_exhaustive()
    }
}

/// Where a trunk is, by name.
#[derive(Clone, Debug)]
struct Place {
    host: String,
    number: u16,
}

impl Place {
    fn of(server: &str, transport: Transport) -> Result<Self, Error> {
        let (host, number) = split_host(server).ok_or_else(|| Error::Server(server.into()))?;
        let usual = match transport {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        };
        Ok(Place {
            host: host.into(),
            number: number.unwrap_or(usual),
        })
    }

    /// Its address, and ours as it is seen from there.
    async fn locate(&self) -> Result<(SocketAddr, IpAddr), Error> {
        let fail = |source| Error::Resolve {
            server: self.host.clone(),
            source,
        };
        let addresses: Vec<SocketAddr> = match self.host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, self.number)],
            Err(_) => {
                let asked = tokio::net::lookup_host((self.host.as_str(), self.number));
                let answer = timeout(RESOLVE_TIME_MAX, asked)
                    .await
                    .map_err(|_| fail(std::io::ErrorKind::TimedOut.into()))?;
                answer.map_err(fail)?.collect()
            }
        };
        let first = *addresses
            .first()
            .ok_or_else(|| fail(std::io::ErrorKind::NotFound.into()))?;
        for server in addresses {
            // Nothing is sent by this: the kernel chooses the way, and so our address, or knows of none.
            let probe = UdpSocket::bind(unspecified(server))
                .await
                .map_err(Error::Socket)?;
            if probe.connect(server).await.is_ok()
                && let Ok(local) = probe.local_addr()
            {
                return Ok((server, local.ip()));
            }
        }
        // Without a way to any, whatever is sent says so itself.
        Ok((first, unspecified(first).ip()))
    }
}

/// Any address of ours of the same family.
fn unspecified(server: SocketAddr) -> SocketAddr {
    match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    }
}

impl Trunk {
    /// Opens a trunk, and registers if it is to. It need not be there yet, nor be known to the resolver.
    ///
    /// # Errors
    /// When the settings cannot be used, or no socket is to be had.
    pub async fn open(settings: TrunkSettings) -> Result<Self, Error> {
        let domain =
            domain(&settings.server).ok_or_else(|| Error::Server(settings.server.clone()))?;
        let place = match &settings.proxy {
            Some(proxy) => Place::of(proxy, settings.transport)?,
            None => Place::of(&settings.server, settings.transport)?,
        };
        let route = match &settings.proxy {
            None => None,
            Some(_) => {
                let at = crate::sip::requests::domain(&format!(
                    "{}:{}",
                    bracketed(&place.host),
                    place.number
                ));
                let parameter = match settings.transport {
                    Transport::Udp => "",
                    Transport::Tcp => ";transport=tcp",
                    Transport::Tls => ";transport=tls",
                };
                at.map(|at| format!("<sip:{at}{parameter};lr>"))
            }
        };
        let account = Account {
            domain,
            user: settings.user,
            password: settings.password.0,
            caller: settings.caller,
            display_name: settings.display_name,
            transport: settings.transport,
            route,
            public_ip: settings.public_ip,
            silence_limit: settings.silence_limit,
            redirect_prefixes: settings.redirect_prefixes,
        };
        // A host that starts while its network does not yet resolve is no reason to give up: each probe and each
        // call asks again.
        let (server, local_ip) = match place.locate().await {
            Err(Error::Resolve { .. }) => {
                let nowhere = unspecified(([0, 0, 0, 0], 0).into());
                (SocketAddr::new(nowhere.ip(), place.number), nowhere.ip())
            }
            located => located?,
        };
        let roots = settings.root_certificates.as_deref();
        let link = link::Link::open(settings.transport, &place.host, server, roots).await?;
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (told, registration) = watch::channel(match settings.registers {
            true => Registration::Trying,
            false => Registration::Off,
        });
        let driver = Driver::new(account, link, server, local_ip, receiver, told)?;
        tokio::spawn(driver.run(settings.registers));
        Ok(Trunk {
            place,
            calls_max: settings.calls_max,
            talk_limit: settings.talk_limit,
            silence_limit: settings.silence_limit,
            sound_udp_ports: settings.sound_udp_ports,
            public_ip: settings.public_ip,
            commands,
            registration,
            calls: std::sync::Arc::new(tokio::sync::Semaphore::new(settings.calls_max)),
        })
    }

    /// Asks the trunk whether it is there and takes the account, by OPTIONS.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn probe(&self) -> Result<(), Trouble> {
        let (server, local_ip) = self
            .place
            .locate()
            .await
            .map_err(|error| Trouble::Unreachable(in_full(&error)))?;
        let (answer, answered) = oneshot::channel();
        let command = Command::Probe {
            server,
            local_ip,
            answer,
        };
        let closed = || Trouble::Unreachable(Error::Closed.to_string());
        self.commands.send(command).await.map_err(|_| closed())?;
        match timeout(self.silence_limit + DRIVER_TIME_MAX, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(Trouble::Silent),
        }
    }

    /// Whether the trunk knows where we are.
    #[must_use]
    pub fn registration(&self) -> Registration {
        self.registration.borrow().clone()
    }

    /// Calls a number, for which it may ring so long. What becomes of it is told by the [`Call`].
    ///
    /// # Errors
    /// When nothing could be sent at all: no socket, no address, too many calls.
    pub async fn call(&self, to: &Number, ring_limit: Duration) -> Result<Call, Error> {
        let permit = std::sync::Arc::clone(&self.calls)
            .try_acquire_owned()
            .map_err(|_| Error::TooManyCalls(self.calls_max))?;
        self.wait_for_registration().await;
        let (server, local_ip) = self.place.locate().await?;
        let socket = sound::bind(local_ip, self.sound_udp_ports.as_ref()).await?;
        let begin = call::Begin {
            number: to.as_str().into(),
            ring_limit,
            talk_limit: self.talk_limit,
            server,
            local_ip,
            public_ip: self.public_ip,
            socket,
            permit,
        };
        Call::begin(begin, &self.commands).await
    }

    /// A trunk that wants to know where we are takes no calls before it does. Whether it then does is for the call
    /// to find out.
    async fn wait_for_registration(&self) {
        let mut registration = self.registration.clone();
        let known = registration.wait_for(|it| *it != Registration::Trying);
        let _ = timeout(self.silence_limit, known).await;
    }
}

fn bracketed(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => host.into(),
    }
}

/// An error with its sources.
fn in_full(error: &dyn std::error::Error) -> String {
    match error.source() {
        None => error.to_string(),
        Some(source) => format!("{error}: {}", in_full(source)),
    }
}
