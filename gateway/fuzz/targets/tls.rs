//! Any bytes of a client of HTTPS, in any pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use std::sync::{Arc, LazyLock};

static CONFIG: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions that ring has")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    Arc::new(config.expect("a certificate with its key"))
});

fuzz_target!(|data: &[u8]| switchyard_gateway::fuzzing::tls(&CONFIG, data));
