//! What a program says of itself and of the gateway that it wants.

use crate::Error;
use hyper::Uri;
use std::{fmt, str::FromStr};
use switchyard_protocol::{
    Address,
    message::{PeerKind, Title},
};

/// Where a gateway is. Made by parsing: `http://host:port`, `ws://host:port`, or plain `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayUrl {
    host: String,
    tcp_port: u16,
}

impl GatewayUrl {
    /// Host and TCP port, as people know the gateway.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.tcp_port)
    }

    /// The host as the system dials it: an IPv6 address without its brackets.
    pub(crate) fn dial_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn tcp_port(&self) -> u16 {
        self.tcp_port
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.tcp_port)
    }
}

impl FromStr for GatewayUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::BadUrl {
            found: text.chars().take(80).collect(),
        };
        let whole = match text.split_once("://") {
            Some(_) => text.to_owned(),
            None => format!("http://{text}"),
        };
        let uri: Uri = whole.parse().map_err(|_| bad())?;
        match uri.scheme_str() {
            Some("http" | "ws") => {}
            Some("https" | "wss") => return Err(Error::TlsUnsupported),
            _ => return Err(bad()),
        }
        let authority = uri.authority().ok_or_else(bad)?;
        // A name and password in a URL would end in the shell's history: there is a log-in.
        if authority.as_str().contains('@')
            || authority.host().is_empty()
            || !matches!(uri.path(), "" | "/" | "/ws")
            || uri.query().is_some()
        {
            return Err(bad());
        }
        let tcp_port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => 80,
            _ => authority
                .port_u16()
                .filter(|&port| port != 0)
                .ok_or_else(bad)?,
        };
        Ok(GatewayUrl {
            host: authority.host().to_owned(),
            tcp_port,
        })
    }
}

/// A log-in's token. Secret: `Debug` shows a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes what the gateway gave.
    pub fn new(token: impl Into<String>) -> Self {
        Token(token.into())
    }

    /// The token itself, to be stored or sent; never to be shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// What owns an installed tool's address for life. Secret: `Debug` shows a mask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Installation(pub [u8; 16]);

impl Installation {
    /// A new one.
    pub fn random() -> Self {
        Installation(rand::random())
    }
}

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Installation(***)")
    }
}

/// Which controllers to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interest {
    /// All that the account may see.
    Everything,
    /// These alone; at most [`INTEREST_MAX`](crate::INTEREST_MAX).
    Only(Vec<Address>),
    /// None: for a program that only asks or sends.
    Nothing,
}

/// What a client needs to know before it dials.
#[derive(Clone, Debug)]
pub struct Options {
    /// The gateway.
    pub gateway: GatewayUrl,
    /// From [`log_in`](crate::log_in), or kept from an earlier one.
    pub token: Token,
    /// Owns the address that this tool keeps; without one the gateway leases an address.
    pub installation: Option<Installation>,
    /// The program's name and version.
    pub software: Title,
    /// What people call this tool; told to whoever asks it to identify itself.
    pub title: Title,
    /// What sort of peer this is.
    pub peer_kind: PeerKind,
    /// What to subscribe to, now and after every reconnection.
    pub interest: Interest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_urls() {
        for (text, authority) in [
            ("http://yard.example:8080", "yard.example:8080"),
            ("ws://yard.example:8080/ws", "yard.example:8080"),
            ("http://yard.example/", "yard.example:80"),
            ("127.0.0.1:7000", "127.0.0.1:7000"),
            ("yard", "yard:80"),
            ("http://[::1]:7000", "[::1]:7000"),
        ] {
            let url: GatewayUrl = text.parse().unwrap();
            assert_eq!(url.authority(), authority, "{text}");
            assert_eq!(url.to_string().parse::<GatewayUrl>().unwrap(), url);
        }
        for text in [
            "",
            "http://",
            "ftp://yard",
            "http://li:secret@yard",
            "http://yard/elsewhere",
            "http://yard:0",
            "http://yard:99999",
            "http://yard?x=1",
        ] {
            let error = text.parse::<GatewayUrl>().unwrap_err();
            assert_eq!(error.code(), "bad_url", "{text}");
        }
        let error = "https://yard".parse::<GatewayUrl>().unwrap_err();
        assert_eq!(error.code(), "tls_unsupported");
    }

    #[test]
    fn secrets_are_masked() {
        let shown = format!("{:?} {:?}", Token::new("abc"), Installation([7; 16]));
        assert_eq!(shown, "Token(***) Installation(***)");
    }
}
