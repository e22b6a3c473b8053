//! Addresses, parameters and lists inside of header fields (RFC 3261 sections 19.1, 20 and 25).

use std::{fmt, net::IpAddr, str::FromStr};

/// A `sip:` or `sips:` address, taken apart as far as a telephone needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// Whether every hop is asked to be encrypted.
    pub is_secure: bool,
    /// What stands before the `@`: a user or a number, as it is escaped.
    pub user: Option<String>,
    /// A name or an address, that of IPv6 without its brackets.
    pub host: String,
    /// Where it listens; the transport's own when absent.
    pub udp_or_tcp_port: Option<u16>,
    /// What stands behind the host, with its first semicolon or question mark; may be empty.
    pub parameters: String,
}

/// A text that is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a sip: or sips: address")]
pub struct UriError;

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError)?;
        let is_secure = scheme.eq_ignore_ascii_case("sips");
        if !is_secure && !scheme.eq_ignore_ascii_case("sip") {
            return Err(UriError);
        }
        if rest
            .chars()
            .any(|it| it.is_control() || it == ' ' || "<>\"".contains(it))
        {
            return Err(UriError);
        }
        // A user may hold ; and ? itself, and its @ is escaped.
        let (user, rest) = match rest.split_once('@') {
            Some(("", _)) => return Err(UriError),
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let end = rest.find([';', '?']).unwrap_or(rest.len());
        let (address, parameters) = rest.split_at(end);
        let (host, udp_or_tcp_port) = split_host(address).ok_or(UriError)?;
        Ok(Uri {
            is_secure,
            user,
            host: host.into(),
            udp_or_tcp_port,
            parameters: parameters.into(),
        })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        if let Some(number) = self.udp_or_tcp_port {
            write!(f, ":{number}")?;
        }
        f.write_str(&self.parameters)
    }
}

impl Uri {
    /// The host where it is written as an address.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether it has this parameter, with a value or without.
    #[must_use]
    pub fn has_parameter(&self, name: &str) -> bool {
        parameters(&self.parameters).any(|(it, _)| it.eq_ignore_ascii_case(name))
    }
}

/// Takes `host`, `host:5060`, `[::1]` or `[::1]:5060` apart.
#[must_use]
pub fn split_host(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_host = |it: u8| it.is_ascii_alphanumeric() || b"-._:".contains(&it);
    if host.is_empty() || !host.bytes().all(is_host) {
        return None;
    }
    match rest.strip_prefix(':') {
        Some(number) => Some((host, Some(number.parse().ok().filter(|it| *it != 0)?))),
        None if rest.is_empty() => Some((host, None)),
        None => None,
    }
}

/// The address in a field such as `"Somebody" <sip:a@b;lr>;tag=1`, or `sip:a@b;tag=1`, whose parameters are the
/// field's then (RFC 3261 section 20.10).
#[must_use]
pub fn address(field: &str) -> &str {
    match outside_of_quotes(field, |it| it == '<') {
        Some(start) => {
            let rest = &field[start + 1..];
            rest.split('>').next().unwrap_or(rest).trim()
        }
        None => field.split(';').next().unwrap_or(field).trim(),
    }
}

/// A parameter of a field: what follows the address.
#[must_use]
pub fn parameter<'a>(field: &'a str, name: &str) -> Option<&'a str> {
    let behind = match outside_of_quotes(field, |it| it == '>') {
        Some(end) => &field[end + 1..],
        None => &field[field.find(';')?..],
    };
    parameters(behind)
        .find(|(it, _)| it.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The tag of a From or To field.
#[must_use]
pub fn tag(field: &str) -> Option<&str> {
    parameter(field, "tag")
}

/// Parameters in `;a=b;c`, with empty values where there is none.
fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(['?'])
        .next()
        .unwrap_or_default()
        .split(';')
        .skip(1)
        .map(|it| it.split_once('=').unwrap_or((it, "")))
        .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
}

/// What stands between the commas of a list, commas in quotes and angle brackets left alone.
pub fn items(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut depth = 0_usize;
        let end = outside_of_quotes(text, |sign| {
            match sign {
                '<' => depth += 1,
                '>' => depth = depth.saturating_sub(1),
                _ => {}
            }
            sign == ',' && depth == 0
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim())
    })
    .filter(|it| !it.is_empty())
}

/// Where the first sign is that is wanted and stands in no quotes.
fn outside_of_quotes(text: &str, mut is_wanted: impl FnMut(char) -> bool) -> Option<usize> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (place, sign) in text.char_indices() {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if !is_quoted && is_wanted(sign) => return Some(place),
            _ => {}
        }
    }
    None
}

/// A text in quotes (RFC 3261 section 25.1).
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for sign in text.chars().filter(|it| !it.is_control()) {
        if matches!(sign, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(sign);
    }
    quoted.push('"');
    quoted
}

/// A user's name as it may stand in an address: everything else is escaped (RFC 3261 section 25.1).
#[must_use]
pub fn escaped_user(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            true => escaped.push(byte.into()),
            // A few lines of our own; the crate for it is not in the tree.
            false => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_taken_apart_and_put_together() {
        for (text, user, host, number) in [
            ("sip:7@pbx", Some("7"), "pbx", None),
            (
                "sips:a;b@pbx:5061;transport=tcp?x=y",
                Some("a;b"),
                "pbx",
                Some(5061),
            ),
            ("sip:[::1]:5070;lr", None, "::1", Some(5070)),
            ("sip:10.0.0.1;lr", None, "10.0.0.1", None),
        ] {
            let uri: Uri = text.parse().unwrap();
            assert_eq!(uri.user.as_deref(), user);
            assert_eq!((uri.host.as_str(), uri.udp_or_tcp_port), (host, number));
            assert_eq!(uri.to_string(), text);
        }
        assert!("sip:a@b;lr".parse::<Uri>().unwrap().has_parameter("lr"));
        for text in [
            "tel:7",
            "sip:",
            "sip:@a",
            "sip:a@b:0",
            "sip:a@b:99999",
            "sip:a b@c",
            "sip:[x]",
            "7",
        ] {
            assert_eq!(text.parse::<Uri>(), Err(UriError), "{text}");
        }
    }

    #[test]
    fn fields_are_taken_apart() {
        for (field, uri, found) in [
            (
                "\"A <b>\" <sip:a@b;tag=no>;x=y; tag=\"1\"",
                "sip:a@b;tag=no",
                Some("1"),
            ),
            ("sip:a@b;tag=2", "sip:a@b", Some("2")),
            ("<sip:a@b>", "sip:a@b", None),
            ("A <sip:a@b> ;tag=3", "sip:a@b", Some("3")),
        ] {
            assert_eq!(address(field), uri);
            assert_eq!(tag(field), found);
        }
        let list = "<sip:a,b@c>;x, \"d, \\\"e\" <sip:f>,, g";
        let found: Vec<_> = items(list).collect();
        assert_eq!(found, ["<sip:a,b@c>;x", "\"d, \\\"e\" <sip:f>", "g"]);
    }

    #[test]
    fn texts_of_people_cannot_leave_their_places() {
        assert_eq!(quoted("a\"b\\c\r\nd"), "\"a\\\"b\\\\cd\"");
        assert_eq!(escaped_user("a@b\r\n#1"), "a%40b%0D%0A%231");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[ -~é\"<>;,@:?]{0,60}") {
            let _ = address(&text);
            let _ = tag(&text);
            let _ = items(&text).count();
            if let Ok(uri) = text.parse::<Uri>() {
                prop_assert_eq!(uri.to_string().parse::<Uri>(), Ok(uri));
            }
        }

        #[test]
        fn addresses_survive(user in proptest::option::of("[a-z0-9;?]{1,9}"), host in "[a-z][a-z0-9.-]{0,9}", number in proptest::option::of(1_u16..), parameters in "(;[a-z]{1,5}(=[a-z]{1,3})?){0,3}") {
            let uri = Uri { is_secure: false, user, host, udp_or_tcp_port: number, parameters };
            prop_assert_eq!(uri.to_string().parse::<Uri>(), Ok(uri));
        }
    }
}
