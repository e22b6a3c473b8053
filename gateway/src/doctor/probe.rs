//! Who is there where the gateway listens: nobody, a gateway, or somebody else.

use super::{
    Said,
    controller::{Controller, Refused, connect},
    error, ok, warning,
};
use crate::{config::Settings, tls};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::Arc,
};
use switchyard_protocol::Address;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// An address that no gateway has given: they are given from 1 on, and this is the last.
const NOBODY: Address = Address(0x7FFF_FFFF);

/// Who is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nobody; or the system is to choose the number.
    #[default]
    Nobody,
    /// A gateway of this program.
    Gateway,
    /// Somebody else, or nobody that answers.
    Other(String),
}

/// Who is there at each of the two listeners.
#[derive(Debug, Default)]
pub(super) struct Neighbour {
    pub(super) tcp: Seen,
    pub(super) http: Seen,
}

/// Looks at both.
pub(super) fn look(settings: &Settings) -> Neighbour {
    Neighbour {
        tcp: look_tcp(settings),
        http: look_http(settings),
    }
}

fn look_tcp(settings: &Settings) -> Seen {
    let addr = reachable(settings.listen_tcp);
    let stream = match connect(addr, settings.proxy_protocol.tcp()) {
        Ok(stream) if addr.port() != 0 => stream,
        _ => return Seen::Nobody,
    };
    // A key that nobody has for an address that nobody has: whoever refuses it in these words has done
    // everything that a handshake takes.
    match Controller::new(stream, NOBODY).prove(&rand::random()) {
        // In whatever words: its store may be away, or it may be busy or about to stop.
        Err(Refused::Told(_)) => Seen::Gateway,
        Err(refused) => Seen::Other(refused.to_string()),
        Ok(_) => Seen::Other("it took a key that nobody has".into()),
    }
}

fn look_http(settings: &Settings) -> Seen {
    if settings.listen_http.port() == 0 {
        return Seen::Nobody;
    }
    match ask(settings, reachable(settings.listen_http), "/healthz") {
        Ok((200, body)) if body == "ok" => Seen::Gateway,
        Ok((status, _)) => Seen::Other(format!("it answered HTTP {status} to /healthz")),
        Err(fault) if fault.kind() == io::ErrorKind::ConnectionRefused => Seen::Nobody,
        Err(fault) => Seen::Other(fault.to_string()),
    }
}

/// Where a listener on every address is reached from here.
pub(super) fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// One `GET`: status and body.
pub(super) fn ask(settings: &Settings, addr: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let stream = connect(addr, settings.proxy_protocol.http())?;
    match &settings.tls {
        None => request(stream, path),
        Some(files) => {
            let chain =
                tls::chain(files).map_err(|fault| io::Error::other(format!("{fault:#}")))?;
            let connection = pinned(chain, addr.ip()).map_err(io::Error::other)?;
            request(StreamOwned::new(connection, stream), path)
        }
    }
}

fn request(mut stream: impl Read + Write, path: &str) -> io::Result<(u16, String)> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let status = text
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok());
    match (status, text.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
        _ => Err(read
            .err()
            .unwrap_or_else(|| io::Error::other("it does not speak HTTP"))),
    }
}

/// A client that wants exactly the certificate of the settings, whatever name it bears: the name is the
/// operators' business, and this end knows only a number.
fn pinned(
    chain: Vec<CertificateDer<'static>>,
    ip: IpAddr,
) -> Result<ClientConnection, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let none = || rustls::Error::General("there is no certificate".into());
    let verifier = Pinned {
        certificate: chain.into_iter().next().ok_or_else(none)?,
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::from(ip))
}

#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        let words = "it shows another certificate than that of tls_certificate";
        Err(rustls::Error::General(words.into()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Whether the listeners are free, or our own gateway's already.
pub(super) fn listeners(settings: &Settings, neighbour: &Neighbour) -> Vec<Said> {
    let mut said = vec![
        listener("listen_tcp", settings.listen_tcp, &neighbour.tcp),
        listener("listen_http", settings.listen_http, &neighbour.http),
    ];
    if let Some(clear) = settings.listen_clear {
        said.push(
            warning(format!(
                "listen_clear offers the unencrypted link on {clear}"
            ))
            .remedy("unset it outside of laboratories"),
        );
    }
    said
}

fn listener(key: &str, addr: SocketAddr, seen: &Seen) -> Said {
    match seen {
        Seen::Gateway => return ok(format!("{key}: a gateway answers on {addr}")),
        Seen::Other(words) => {
            return error(format!("{key}: somebody is there on {addr}: {words}"))
                .expected("nobody, or this gateway")
                .remedy(format!(
                    "`ss -ltnp` tells who; stop it, or choose another {key}"
                ));
        }
        Seen::Nobody => {}
    }
    match TcpListener::bind(addr) {
        Ok(_) => ok(format!("{key}: {addr} is free")),
        Err(fault) => {
            error(format!("{key}: cannot listen on {addr}: {fault}")).remedy(match fault.kind() {
                io::ErrorKind::PermissionDenied => {
                    "choose a number from 1024 on, or give the program CAP_NET_BIND_SERVICE"
                }
                io::ErrorKind::AddrNotAvailable => "choose an address that this host has",
                _ => "see who holds it: `ss -ltnp`",
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn settings(listener: &TcpListener) -> Settings {
        Settings {
            listen_tcp: listener.local_addr().unwrap(),
            listen_http: listener.local_addr().unwrap(),
            ..Settings::defaults()
        }
    }

    #[test]
    fn a_stranger_is_told_from_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = settings(&listener);
        let answering = std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 512]);
                let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
            }
        });
        let neighbour = look(&settings);
        answering.join().unwrap();
        assert!(matches!(neighbour.tcp, Seen::Other(_)), "{neighbour:?}");
        assert!(matches!(neighbour.http, Seen::Other(_)), "{neighbour:?}");
        let said = listeners(&settings, &neighbour);
        assert!(said.iter().all(|it| it.level == Level::Error), "{said:?}");
        // It is gone now.
        assert_eq!(look_http(&settings), Seen::Nobody);
        assert_eq!(look_tcp(&settings), Seen::Nobody);
    }
}
