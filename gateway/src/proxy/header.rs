//! The header of the PROXY protocol, versions 1 and 2, from bytes: pure, and no byte beyond it.
//!
//! Only what the gateway wants is taken: whose connection it is. What else a proxy may tell in version 2
//! (names, certificates, checksums) is stepped over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// How version 1 begins.
const WORD: &[u8] = b"PROXY ";
/// The longest line of version 1, its end included: what the protocol says.
const LINE_BYTES_MAX: usize = 107;
/// Signature, command, family, length.
const FIXED_BYTES: usize = 16;
/// The longest header that is taken: addresses need 52 bytes; the rest is room for what proxies add to
/// them, of which the names and certificates of their own TLS are the longest.
pub(crate) const HEADER_BYTES_MAX: usize = 2_048;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A client's, who is there.
    Client(SocketAddr),
    /// The proxy's own, as when it looks whether we live; or it does not know.
    Own,
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// They are something else.
    #[error("expected a header of the PROXY protocol")]
    Missing,
    /// It begins as one and goes on as none.
    #[error("expected a header that keeps to the PROXY protocol")]
    Malformed,
    /// It is longer than any that is taken.
    #[error("expected a header of the PROXY protocol within {HEADER_BYTES_MAX} bytes")]
    TooLong,
}

/// The header at the start of `bytes` and its length; `None` when there is more of it to come.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Told, usize)>, HeaderError> {
    if begins(bytes, SIGNATURE) {
        return parse_binary(bytes);
    }
    if begins(bytes, WORD) {
        return parse_line(bytes);
    }
    Err(HeaderError::Missing)
}

/// Whether the bytes that there are agree with a beginning.
fn begins(bytes: &[u8], beginning: &[u8]) -> bool {
    let length = bytes.len().min(beginning.len());
    bytes[..length] == beginning[..length]
}

/// Version 1: a line such as `PROXY TCP4 192.0.2.1 198.51.100.1 51234 7400`.
fn parse_line(bytes: &[u8]) -> Result<Option<(Told, usize)>, HeaderError> {
    let Some(end) = bytes.iter().take(LINE_BYTES_MAX).position(|&b| b == b'\n') else {
        return match bytes.len() {
            0..LINE_BYTES_MAX => Ok(None),
            _ => Err(HeaderError::TooLong),
        };
    };
    let line = bytes[..end]
        .strip_suffix(b"\r")
        .and_then(|line| line.strip_prefix(WORD))
        .and_then(|line| std::str::from_utf8(line).ok())
        .ok_or(HeaderError::Malformed)?;
    let told = match line.split_once(' ').unwrap_or((line, "")) {
        // Whatever else the line says is to be ignored.
        ("UNKNOWN", _) => Some(Told::Own),
        ("TCP4", rest) => endpoints::<Ipv4Addr>(rest),
        ("TCP6", rest) => endpoints::<Ipv6Addr>(rest),
        _ => None,
    };
    Ok(Some((told.ok_or(HeaderError::Malformed)?, end + 1)))
}

/// The source in `SOURCE DESTINATION SOURCE_PORT DESTINATION_PORT`; all four must be right.
fn endpoints<Ip: std::str::FromStr + Into<IpAddr>>(text: &str) -> Option<Told> {
    let mut words = text.split(' ');
    let source: Ip = words.next()?.parse().ok()?;
    let _destination: Ip = words.next()?.parse().ok()?;
    let number = tcp_port(words.next()?)?;
    tcp_port(words.next()?)?;
    let is_all = words.next().is_none();
    is_all.then(|| Told::Client(SocketAddr::new(source.into(), number)))
}

/// A decimal number as the protocol writes it: no sign and no zero in front.
fn tcp_port(text: &str) -> Option<u16> {
    let is_canonical =
        text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_canonical.then(|| text.parse().ok())?
}

/// Version 2: a fixed part that ends in the length of what follows.
fn parse_binary(bytes: &[u8]) -> Result<Option<(Told, usize)>, HeaderError> {
    // What is wrong is told as soon as it is there, not when all has come.
    let command = match bytes.get(12) {
        None => return Ok(None),
        Some(0x20) => Command::Local,
        Some(0x21) => Command::Proxy,
        Some(_) => return Err(HeaderError::Malformed),
    };
    let Some(&[family, high, low]) = bytes.get(13..FIXED_BYTES) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED_BYTES + length > HEADER_BYTES_MAX {
        return Err(HeaderError::TooLong);
    }
    let Some(rest) = bytes.get(FIXED_BYTES..FIXED_BYTES + length) else {
        return Ok(None);
    };
    let told = match (command, family) {
        // A command of its own, whatever the family says.
        (Command::Local, _) => Told::Own,
        (Command::Proxy, TCP4) => {
            let address = address::<4, 12>(rest, 8)?;
            Told::Client(SocketAddr::new(Ipv4Addr::from(address.0).into(), address.1))
        }
        (Command::Proxy, TCP6) => {
            let address = address::<16, 36>(rest, 32)?;
            Told::Client(SocketAddr::new(Ipv6Addr::from(address.0).into(), address.1))
        }
        // Clients without an address of a kind that could be throttled: they count as the proxy.
        (Command::Proxy, UNSPECIFIED | UNIX_STREAM) => Told::Own,
        // Datagrams, which no connection bears, and what the protocol leaves open.
        (Command::Proxy, _) => return Err(HeaderError::Malformed),
    };
    Ok(Some((told, FIXED_BYTES + length)))
}

#[derive(Clone, Copy)]
enum Command {
    Local,
    Proxy,
}

const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

/// The source's address and number out of a block of `BLOCK` bytes, the number at `port_at`.
fn address<const IP: usize, const BLOCK: usize>(
    rest: &[u8],
    port_at: usize,
) -> Result<([u8; IP], u16), HeaderError> {
    let block: &[u8; BLOCK] = rest.first_chunk().ok_or(HeaderError::Malformed)?;
    let ip = block.first_chunk().ok_or(HeaderError::Malformed)?;
    Ok((
        *ip,
        u16::from_be_bytes([block[port_at], block[port_at + 1]]),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header of version 2.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    fn tcp4() -> Vec<u8> {
        binary(
            0x21,
            TCP4,
            &[192, 0, 2, 1, 198, 51, 100, 1, 0xC8, 0x22, 0x1C, 0xE8],
        )
    }

    fn tcp6() -> Vec<u8> {
        let mut rest = vec![0; 36];
        rest[..4].copy_from_slice(&[0x20, 0x01, 0x0D, 0xB8]);
        rest[15] = 7;
        rest[32..34].copy_from_slice(&51_234_u16.to_be_bytes());
        binary(0x21, TCP6, &rest)
    }

    fn client(addr: &str) -> Told {
        Told::Client(addr.parse().unwrap())
    }

    #[test]
    fn takes_what_the_protocol_allows() {
        let longest = "ffff:f...f:ffff";
        let longest = longest.replace("f...f", "ffff:ffff:ffff:ffff:ffff:ffff");
        let worst_case = format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n");
        assert_eq!(worst_case.len(), LINE_BYTES_MAX);
        let mut with_more = tcp4();
        with_more.extend([0x04, 0x00, 0x03, 0, 0, 0]);
        with_more[15] += 6;
        for (header, told) in [
            (
                b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n".to_vec(),
                client("255.255.255.255:65535"),
            ),
            (
                b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n".to_vec(),
                client("192.168.0.1:56324"),
            ),
            (
                format!("PROXY TCP6 {longest} {longest} 65535 0\r\n").into(),
                client(&format!("[{longest}]:65535")),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".to_vec(),
                client("[2001:db8::7]:1"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Told::Own),
            (worst_case.into(), Told::Own),
            (tcp4(), client("192.0.2.1:51234")),
            (tcp6(), client("[2001:db8::7]:51234")),
            (with_more, client("192.0.2.1:51234")),
            (binary(0x20, 0x00, &[]), Told::Own),
            (binary(0x20, 0xFF, &[1, 2, 3]), Told::Own),
            (binary(0x21, UNSPECIFIED, &[]), Told::Own),
            (binary(0x21, UNIX_STREAM, &[0; 216]), Told::Own),
        ] {
            let shown = String::from_utf8_lossy(&header).into_owned();
            assert_eq!(parse(&header), Ok(Some((told, header.len()))), "{shown:?}");
            // What follows is not looked at, and what is cut off is waited for.
            let followed = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(
                parse(&followed),
                Ok(Some((told, header.len()))),
                "{shown:?}"
            );
            for length in 0..header.len() {
                assert_eq!(
                    parse(&header[..length]),
                    Ok(None),
                    "{shown:?} cut at {length}"
                );
            }
        }
    }

    #[test]
    fn refuses_everything_else() {
        use HeaderError::{Malformed, Missing, TooLong};
        let too_long = format!("PROXY UNKNOWN {}", "x".repeat(LINE_BYTES_MAX));
        for (bytes, error) in [
            (b"GET / HTTP/1.1\r\n".to_vec(), Missing),
            (b"\x01\x00".to_vec(), Missing),
            (b"proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n".to_vec(), Missing),
            (b"\r\n\r\n\0\r\nQUIX".to_vec(), Missing),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n".to_vec(), Malformed),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n".to_vec(), Malformed),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n".to_vec(), Malformed),
            (
                b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n".to_vec(),
                Malformed,
            ),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 1\r\n".to_vec(), Malformed),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n".to_vec(), Malformed),
            (b"PROXY TCP4 1.2.3.4 1.2.3.4  1 1\r\n".to_vec(), Malformed),
            (b"PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n".to_vec(), Malformed),
            (b"PROXY TCP4 ::1 ::1 1 1\r\n".to_vec(), Malformed),
            (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n".to_vec(), Malformed),
            (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n".to_vec(), Malformed),
            (b"PROXY \xFF\r\n".to_vec(), Malformed),
            (b"PROXY \r\n".to_vec(), Malformed),
            (too_long.into(), TooLong),
            (binary(0x11, TCP4, &[0; 12]), Malformed),
            (binary(0x22, TCP4, &[0; 12]), Malformed),
            (binary(0x21, TCP4, &[0; 11]), Malformed),
            (binary(0x21, TCP6, &[0; 35]), Malformed),
            (binary(0x21, 0x12, &[0; 12]), Malformed),
            (binary(0x21, 0x32, &[0; 216]), Malformed),
            (binary(0x21, 0x41, &[0; 12]), Malformed),
            (binary(0x20, 0x00, &[0; HEADER_BYTES_MAX]), TooLong),
        ] {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(parse(&bytes), Err(error), "{shown:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_and_within_the_bound(bytes in proptest::collection::vec(any::<u8>(), 0..300), version in 0..3_u8) {
            let start: &[u8] = match version { 0 => b"", 1 => WORD, _ => SIGNATURE };
            let bytes = [start, &bytes].concat();
            match parse(&bytes) {
                Ok(Some((_, length))) => prop_assert!(length <= bytes.len().min(HEADER_BYTES_MAX)),
                Ok(None) => prop_assert!(bytes.len() < HEADER_BYTES_MAX),
                Err(_) => {}
            }
        }

        #[test]
        fn what_is_written_is_read(source: SocketAddr, target: SocketAddr) {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            prop_assume!(source.is_ipv4() == target.is_ipv4());
            let line = format!("PROXY {family} {} {} {} {}\r\n", source.ip(), target.ip(), source.port(), target.port());
            let told = Told::Client(SocketAddr::new(source.ip(), source.port()));
            prop_assert_eq!(parse(line.as_bytes()), Ok(Some((told, line.len()))));
        }
    }
}
