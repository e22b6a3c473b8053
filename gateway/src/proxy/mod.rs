//! Proxies that tell whose connection they carry, by the PROXY protocol.
//!
//! [`client_of`] takes the header off a fresh connection and not one byte more, so that whoever reads it
//! next finds it as if the client had dialled in. Nothing is believed that does not come from a proxy of
//! the settings ([`TrustedNetwork`]).

mod header;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use header::parse as parse_header;

use header::{HEADER_BYTES_MAX, HeaderError, Told};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};
use tokio::net::TcpStream;

/// How long a proxy may take over its header. It sends that at once; the rest is for a segment that
/// was lost on the way.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// An address, or a network of them, whose headers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedNetwork {
    address: IpAddr,
    prefix_bits: u8,
}

impl TrustedNetwork {
    /// Whether an address is in it. An IPv4 address counts as such also where IPv6 carries it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let differing = network.to_bits() ^ ip.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let differing = network.to_bits() ^ ip.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            _ => false,
        }
    }
}

impl FromStr for TrustedNetwork {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted =
            || format!("expected an address or a network such as 10.0.0.0/8, found {text:?}");
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| wanted())?;
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => bits,
            Some(prefix) => prefix.parse().map_err(|_| wanted())?,
        };
        if prefix_bits > bits {
            return Err(wanted());
        }
        Ok(TrustedNetwork {
            address,
            prefix_bits,
        })
    }
}

/// Why a connection that should come through a proxy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyFault {
    /// It comes from elsewhere.
    Untrusted,
    /// It begins with something else, or ended first.
    Missing,
    /// What it begins with breaks the protocol's rules.
    Malformed,
    /// The header has no end within what is taken.
    TooLong,
    /// The header did not come in time.
    TimedOut,
}

impl ProxyFault {
    /// All of them, by their numbers.
    pub(crate) const ALL: [ProxyFault; 5] = [
        ProxyFault::Untrusted,
        ProxyFault::Missing,
        ProxyFault::Malformed,
        ProxyFault::TooLong,
        ProxyFault::TimedOut,
    ];

    /// Its name in log and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            ProxyFault::Untrusted => "untrusted",
            ProxyFault::Missing => "missing",
            ProxyFault::Malformed => "malformed",
            ProxyFault::TooLong => "too_long",
            ProxyFault::TimedOut => "timed_out",
        }
    }
}

impl From<HeaderError> for ProxyFault {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::Missing => ProxyFault::Missing,
            HeaderError::Malformed => ProxyFault::Malformed,
            HeaderError::TooLong => ProxyFault::TooLong,
        }
    }
}

/// Takes the header off a connection from `proxy`: whose connection it is. Not cancel-safe: who gives up
/// waiting gives up the connection.
pub(crate) async fn client_of(
    stream: &TcpStream,
    proxy: SocketAddr,
) -> Result<SocketAddr, ProxyFault> {
    match tokio::time::timeout(HEADER_TIMEOUT, read(stream)).await {
        Ok(told) => Ok(match told? {
            Told::Client(client) => client,
            Told::Own => proxy,
        }),
        Err(_) => Err(ProxyFault::TimedOut),
    }
}

async fn read(stream: &TcpStream) -> Result<Told, ProxyFault> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES_MAX);
    loop {
        // What is there is looked at first and taken afterwards: where a line ends is seen by its end only,
        // and what comes behind that belongs to somebody else.
        let taken = bytes.len();
        bytes.resize(HEADER_BYTES_MAX, 0);
        let seen = stream.peek(&mut bytes[taken..]).await.unwrap_or(0);
        if seen == 0 {
            return Err(ProxyFault::Missing);
        }
        bytes.truncate(taken + seen);
        let whole = header::parse(&bytes)?;
        let end = whole.map_or(bytes.len(), |(_, length)| length);
        take(stream, &mut bytes[taken..end])
            .await
            .map_err(|_| ProxyFault::Missing)?;
        if let Some((told, _)) = whole {
            return Ok(told);
        }
    }
}

/// Takes bytes that are known to be there.
async fn take(stream: &TcpStream, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.readable().await?;
        match stream.try_read(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => bytes = &mut bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    #[test]
    fn networks_are_what_they_say() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.7", "::ffff:10.0.0.7", "10.0.0.6"),
            ("0.0.0.0/0", "192.0.2.1", "::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            let network: TrustedNetwork = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?}");
        }
        for nonsense in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "x/8"] {
            assert!(nonsense.parse::<TrustedNetwork>().is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn faults_are_counted_by_their_places() {
        for (index, fault) in ProxyFault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, index);
        }
    }

    async fn pair() -> (TcpStream, TcpStream, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (far, peer) = listener.accept().await.unwrap();
        (near, far, peer)
    }

    #[tokio::test]
    async fn the_header_is_taken_and_nothing_behind_it() {
        let (mut near, mut far, proxy) = pair().await;
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 51234 7400\r\nhello";
        let writing = async {
            // Byte by byte: wherever the network cuts, it is the same.
            for byte in line {
                near.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (client, ()) = tokio::join!(client_of(&far, proxy), writing);
        assert_eq!(client, Ok("192.0.2.1:51234".parse().unwrap()));
        let mut rest = [0; 5];
        far.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"hello");
        near.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
        assert_eq!(client_of(&far, proxy).await, Ok(proxy));
        near.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        assert_eq!(client_of(&far, proxy).await, Err(ProxyFault::Missing));
        drop(near);
    }

    #[tokio::test]
    async fn an_end_before_the_header_is_none() {
        let (mut near, far, proxy) = pair().await;
        near.write_all(b"PROXY TCP4 ").await.unwrap();
        near.shutdown().await.unwrap();
        assert_eq!(client_of(&far, proxy).await, Err(ProxyFault::Missing));
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_has_so_long_and_no_longer() {
        let (_near, far, proxy) = pair().await;
        let start = tokio::time::Instant::now();
        assert_eq!(client_of(&far, proxy).await, Err(ProxyFault::TimedOut));
        assert_eq!(start.elapsed(), HEADER_TIMEOUT);
    }
}
