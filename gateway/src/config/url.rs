//! What settings say by URLs.

use axum::http::Uri;

/// The TCP port that a URL names, 1 and up; `Ok(None)` where it names none.
///
/// # Errors
/// When what stands in its place is no TCP port: `Uri` itself takes that for none, and another one than was meant would
/// be dialled.
pub(crate) fn tcp_port(url: &Uri) -> Result<Option<u16>, NotATcpPort> {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    // Behind a user's name, and behind the brackets of an IPv6 address.
    let behind = authority.rsplit(['@', ']']).next().unwrap_or_default();
    match (behind.contains(':'), url.port_u16()) {
        (false, _) => Ok(None),
        (true, Some(tcp_port)) if tcp_port > 0 => Ok(Some(tcp_port)),
        (true, _) => Err(NotATcpPort),
    }
}

/// What stands in the place of a TCP port is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotATcpPort;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_tcp_port_is_made_of_one_that_is_none() {
        for (url, expected) in [
            ("https://host/", Ok(None)),
            ("https://host:8443/a:b", Ok(Some(8_443))),
            ("mqtt://[::1]", Ok(None)),
            ("mqtt://[::1]:7", Ok(Some(7))),
            ("https://a:b@host/", Ok(None)),
            ("mqtt://host:65535", Ok(Some(65_535))),
            ("mqtt://host:65536", Err(NotATcpPort)),
            ("mqtt://host:99999", Err(NotATcpPort)),
            ("mqtt://[::1]:99999", Err(NotATcpPort)),
            ("mqtt://host:0", Err(NotATcpPort)),
            ("mqtt://host:", Err(NotATcpPort)),
        ] {
            // Some of these are not even a URL.
            if let Ok(parsed) = url.parse() {
                assert_eq!(tcp_port(&parsed), expected, "{url}");
            }
        }
        assert!(
            "mqtt://host:99999".parse::<Uri>().is_ok(),
            "and this one is"
        );
    }
}
