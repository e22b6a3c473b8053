//! TLS to operators: certificates, and connections by rustls without I/O of its own.
//!
//! [`Session`] is one connection, bytes in and bytes out. It serves HTTP in `http/tls`, and a live
//! WebSocket in `wire/tls`. What others' certificates are checked by, where this gateway dials, is in
//! `outgoing`.

mod outgoing;
mod session;

pub(crate) use outgoing::client_config;
pub(crate) use session::{Fault, Session};

use crate::config::TlsFiles;
use anyhow::Context as _;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    fs::File,
    io::Read as _,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the files have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// The largest file that is taken for a certificate or a key: a chain has some ten kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What is needed to accept TLS, and kept up with the files that it comes from.
#[derive(Debug)]
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
}

/// Reads both files, to see whether they would do.
///
/// # Errors
/// Says which file is not what it should be.
pub(crate) fn check(files: &TlsFiles) -> anyhow::Result<()> {
    read(files, &ring::default_provider()).map(|_| ())
}

/// The certificate of the files and those that vouch for it, the host's own first.
///
/// # Errors
/// As [`check`].
pub(crate) fn chain(files: &TlsFiles) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    Ok(read(files, &ring::default_provider())?.cert)
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// Says which file is not what it should be.
    pub(crate) fn new(files: &TlsFiles) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let certificate = Arc::new(Certificate {
            files: files.clone(),
            current: RwLock::new(Seen {
                stamp: stamp(files),
                key: Arc::new(read(files, &provider)?),
            }),
            provider: Arc::clone(&provider),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("cannot set TLS up")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Certificate>::clone(&certificate));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // The client keeps what a resumption needs: nothing is held here for those that are away.
        config.ticketer = ring::Ticketer::new().context("cannot set TLS tickets up")?;
        Ok(Tls {
            config: Arc::new(config),
            certificate,
        })
    }

    /// A new connection.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub(crate) fn session(&self) -> Result<Session, rustls::Error> {
        Session::new(Arc::clone(&self.config))
    }

    /// Reads the files again whenever they have changed, until `stopping`.
    pub(crate) async fn keep_up(self: Arc<Self>, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            let certificate = Arc::clone(&self.certificate);
            // A look that panics has changed nothing; there is another one.
            let _ = tokio::task::spawn_blocking(move || certificate.look()).await;
        }
    }
}

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Certificate {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: RwLock<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// Of the files when they were looked at last, whether or not that came to anything.
    stamp: Stamp,
    key: Arc<CertifiedKey>,
}

impl Certificate {
    /// Takes over what the files say, if they have changed. What is wrong with them is logged once.
    fn look(&self) {
        // Before they are read: what changes meanwhile is seen at the next look.
        let stamp = stamp(&self.files);
        let current = || self.current.read().unwrap_or_else(PoisonError::into_inner);
        if current().stamp == stamp {
            return;
        }
        let found = read(&self.files, &self.provider);
        let mut seen = self.current.write().unwrap_or_else(PoisonError::into_inner);
        seen.stamp = stamp;
        match found {
            Ok(key) => {
                seen.key = Arc::new(key);
                tracing::info!("the TLS certificate has been renewed");
            }
            // A renewal replaces one file after the other: the next look sees both.
            Err(error) => tracing::warn!(
                error = &*format!("{error:#}"),
                "the new TLS certificate is of no use; going on with the old one"
            ),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current.key))
    }
}

/// By what a changed file is told: when it was written, how long it is, and which one it is.
type Stamp = [Option<(Option<SystemTime>, u64, u64)>; 2];

fn stamp(files: &TlsFiles) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        #[cfg(unix)]
        let which = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let which = 0;
        Some((metadata.modified().ok(), metadata.len(), which))
    })
}

/// A certificate with its chain, and the key that belongs to it.
fn read(files: &TlsFiles, provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
    let TlsFiles { certificate, key } = files;
    let pem = read_file(certificate)
        .with_context(|| format!("tls_certificate: cannot read {}", certificate.display()))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(anyhow::Error::from)
        .and_then(|chain: Vec<_>| match chain.len() {
            0 => Err(anyhow::anyhow!("there is no certificate in it")),
            _ => Ok(chain),
        })
        .with_context(|| {
            let path = certificate.display();
            format!(
                "tls_certificate: expected certificates in PEM, the host's own first, in {path}"
            )
        })?;
    let pem = read_file(key).with_context(|| format!("tls_key: cannot read {}", key.display()))?;
    // The parser's own words might quote the file; they are not repeated.
    let der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let path = key.display();
        anyhow::anyhow!("tls_key: expected a private key in PEM, without a password, in {path}")
    })?;
    CertifiedKey::from_der(chain, der, provider).with_context(|| {
        format!(
            "tls_key: expected the key that belongs to the certificate in {}, and found another in {}",
            certificate.display(),
            key.display()
        )
    })
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
