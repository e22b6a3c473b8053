//! Which addresses this gateway may tell things to: those of the Internet, and no others.
//!
//! Who may set up a webhook or the like is trusted with this host's settings, but the *name* in it belongs to somebody
//! else, who can have it point to this host's own services, to a cloud's metadata, or into the office. So what
//! counts is the address that is about to be dialled, looked at after the name was looked up, and dialled as
//! it is: a name that says something else a moment later changes nothing.
//!
//! An address of the Internet that is this host's own is none of the others' either: what listens there may be open to
//! this host alone.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
};

/// Networks of IPv4 that are not the Internet: IANA's registry of special purposes, multicast, and what is
/// reserved.
const NOT_PUBLIC_V4: &[(Ipv4Addr, u32)] = &[
    // This network; 0.0.0.0 is this host to most systems.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Behind a carrier's translation.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, the metadata of clouds among it.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Private.
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    // Protocol assignments.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    // Relays of 6to4, which are no more.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Private.
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Benchmarks.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Documentation.
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, broadcast among it.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Networks within the global unicast addresses of IPv6 that are not the Internet.
const NOT_PUBLIC_V6: &[(Ipv6Addr, u32)] = &[
    // Protocol assignments; Teredo, which carries IPv4 addresses, among it.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation.
    (Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4, which carries IPv4 addresses and is no more.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // Documentation.
    (Ipv6Addr::new(0x3FFF, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// All of the global unicast addresses of IPv6; what is outside is special in one way or another.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// Where translators put IPv4 addresses (RFC 6052), on networks that have only IPv6.
const TRANSLATED_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xFF9B, 0, 0, 0, 0, 0, 0), 96);

/// Addresses that nobody has: for documents.
const NOBODYS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1)),
];

/// Whether an address is somewhere on the Internet.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match bare(ip) {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => {
            let lies_in = |network: &(Ipv6Addr, u32)| lies_in_v6(ip, *network);
            lies_in(&GLOBAL_V6) && !NOT_PUBLIC_V6.iter().any(lies_in)
        }
    }
}

/// Whether an address is one of this host's own. Asked of the kernel, which lets a socket have no other: that tells of
/// every sort of interface, and needs neither netlink nor /proc, which a service may be kept from.
pub(super) fn is_own(ip: IpAddr) -> bool {
    let ip = bare(ip);
    let is_same_family = |it: &&IpAddr| it.is_ipv4() == ip.is_ipv4();
    // Where sockets may have any address (ip_nonlocal_bind) that tells nothing. From an own address the kernel reaches
    // it by itself then, but for one that is the second of its network.
    match NOBODYS.iter().find(is_same_family).map(|it| can_have(*it)) {
        Some(true) => reaches_by_itself(ip).unwrap_or(false),
        _ => can_have(ip),
    }
}

fn can_have(ip: IpAddr) -> bool {
    // Anything else than that nobody here has it, such as having no descriptor left, does not say so.
    match UdpSocket::bind((ip, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

/// Whether an address is where packets to it would come from. Nothing is sent.
fn reaches_by_itself(ip: IpAddr) -> io::Result<bool> {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // Any port will do: what is asked for is the route.
    socket.connect((ip, 9))?;
    Ok(socket.local_addr()?.ip() == ip)
}

/// The address of IPv4 that one of IPv6 is about: `::ffff:10.0.0.1` is dialled as 10.0.0.1, and a translator does the
/// same. Any other one as it is.
fn bare(ip: IpAddr) -> IpAddr {
    let ip = ip.to_canonical();
    match ip {
        IpAddr::V6(ip) if lies_in_v6(ip, TRANSLATED_V6) => {
            Ipv4Addr::from_bits(ip.to_bits() as u32).into()
        }
        ip => ip,
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let lies_in = |&(network, bits): &(Ipv4Addr, u32)| {
        let mask = u32::MAX << (32 - bits);
        ip.to_bits() & mask == network.to_bits()
    };
    !NOT_PUBLIC_V4.iter().any(lies_in)
}

fn lies_in_v6(ip: Ipv6Addr, (network, bits): (Ipv6Addr, u32)) -> bool {
    let mask = u128::MAX << (128 - bits);
    ip.to_bits() & mask == network.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_host_has_is_its_own() {
        for (text, expected) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("64:ff9b::7f00:1", true),
            ("192.0.2.1", false),
            ("192.0.2.7", false),
            ("::ffff:192.0.2.7", false),
            ("2001:db8::7", false),
        ] {
            assert_eq!(is_own(text.parse().unwrap()), expected, "{text}");
        }
        // The other way to find out says the same.
        assert!(reaches_by_itself(Ipv4Addr::LOCALHOST.into()).unwrap());
        let elsewhere = reaches_by_itself(Ipv4Addr::new(192, 0, 2, 7).into());
        assert!(!elsewhere.unwrap_or(false));
    }

    #[test]
    fn the_internet_and_nothing_else() {
        for (text, expected) in [
            // Both ends of what is not, and what lies next to them.
            ("0.0.0.0", false),
            ("0.255.255.255", false),
            ("1.0.0.0", true),
            ("9.255.255.255", true),
            ("10.0.0.0", false),
            ("10.255.255.255", false),
            ("11.0.0.0", true),
            ("100.63.255.255", true),
            ("100.64.0.0", false),
            ("100.127.255.255", false),
            ("100.128.0.0", true),
            ("126.255.255.255", true),
            ("127.0.0.1", false),
            ("127.255.255.255", false),
            ("128.0.0.0", true),
            ("169.253.255.255", true),
            ("169.254.169.254", false),
            ("169.255.0.0", true),
            ("172.15.255.255", true),
            ("172.16.0.0", false),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("192.0.0.1", false),
            ("192.0.1.0", true),
            ("192.0.2.1", false),
            ("192.88.99.1", false),
            ("192.167.255.255", true),
            ("192.168.0.1", false),
            ("192.169.0.0", true),
            ("198.17.255.255", true),
            ("198.18.0.0", false),
            ("198.19.255.255", false),
            ("198.20.0.0", true),
            ("198.51.100.7", false),
            ("203.0.113.7", false),
            ("223.255.255.255", true),
            ("224.0.0.1", false),
            ("239.255.255.255", false),
            ("240.0.0.0", false),
            ("255.255.255.255", false),
            ("8.8.8.8", true),
            // IPv6: nothing but global unicast, and not all of that.
            ("::", false),
            ("::1", false),
            ("::7f00:1", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::808:808", true),
            ("64:ff9b:1::808:808", false),
            ("100::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:192.168.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::ffff:8.8.8.8", true),
            ("2001::1", false),
            ("2001:1ff::1", false),
            ("2001:200::1", true),
            ("2001:db8::1", false),
            ("2001:db9::1", true),
            ("2002:7f00:1::1", false),
            ("2002:808:808::1", false),
            ("2606:4700::1111", true),
            ("2a00:1450::1", true),
            ("3fff::1", false),
            ("3fff:1000::1", true),
            ("4000::1", false),
            ("5f00::1", false),
            ("fc00::1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_public(text.parse().unwrap()), expected, "{text}");
        }
    }
}
