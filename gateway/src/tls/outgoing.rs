//! TLS to others: which authorities are believed when this gateway is the one that dials.

use super::read_file;
use anyhow::Context as _;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{path::Path, sync::Arc};

/// What is needed to dial by TLS. Believed are the authorities in `ca_file` (PEM) and no others, or, without
/// one, those that this host trusts. Blocks, for it reads files.
///
/// # Errors
/// When the file cannot be read or holds no certificate, or the host trusts nobody.
pub(crate) fn client_config(ca_file: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let roots = match ca_file {
        Some(path) => roots_in(path)?,
        None => roots_of_host()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("cannot set TLS up")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn roots_in(path: &Path) -> anyhow::Result<RootCertStore> {
    let path_text = path.display();
    let pem = read_file(path).with_context(|| format!("cannot read {path_text}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate =
            certificate.with_context(|| format!("expected certificates in PEM in {path_text}"))?;
        roots
            .add(certificate)
            .with_context(|| format!("a certificate in {path_text} cannot be used"))?;
    }
    anyhow::ensure!(!roots.is_empty(), "there is no certificate in {path_text}");
    Ok(roots)
}

fn roots_of_host() -> anyhow::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A host may hold some that no modern library takes; those are passed over.
    roots.add_parsable_certificates(found.certs);
    anyhow::ensure!(
        !roots.is_empty(),
        "this host trusts no authority: install the package ca-certificates, or name a file"
    );
    Ok(roots)
}
