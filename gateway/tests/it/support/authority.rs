//! An authority of the tests' own, and a certificate that it vouches for.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};

/// Files of an authority, and of a certificate of `localhost` and 127.0.0.1 that it has issued.
pub(crate) struct Authority {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    /// Makes both, and writes them into a folder.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let own_key = KeyPair::generate().unwrap();
        let own = params.self_signed(&own_key).unwrap();
        let issuer = Issuer::new(params, own_key);
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let issued = CertificateParams::new(hosts).unwrap();
        let issued = issued.signed_by(&key, &issuer).unwrap();
        let file = |kind: &str, text: String| {
            let path = folder.join(format!("{name}-{kind}.pem"));
            std::fs::write(&path, text).unwrap();
            path
        };
        Authority {
            ca: file("ca", own.pem()),
            certificate: file("certificate", issued.pem()),
            key: file("key", key.serialize_pem()),
        }
    }
}
