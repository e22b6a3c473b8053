//! Every parser of bytes that come from outside, as a function of bytes alone: what fuzzers call, and the tests
//! with the fuzzers' seeds. Each function panics where its parser breaks a promise, and never otherwise.
//!
//! Not a part of the library's interface: it is there with the feature `fuzzing` only.

mod kept;
mod wires;
mod yard;

pub use crate::{
    fleet::firmware::fuzz::firmware,
    http::fuzz::{body, head},
};
pub use kept::{dump, journal};
pub use wires::{hello, noise, proxy, tls, web};
pub use yard::frames;

/// A fuzzer's bytes, taken one choice after the other; zeros once they are used up.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// A number below `below`.
    fn below(&mut self, below: usize) -> usize {
        usize::from(self.byte()) % below
    }

    /// The next bytes, at most so many.
    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (piece, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        piece
    }
}

/// Bytes cut into pieces, of lengths that repeat: what comes over a network in one piece may come in any.
fn pieces<'a>(bytes: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = lengths.next().map_or(rest.len(), |&it| usize::from(it) + 1);
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path, sync::Arc};

    fn check(target: &str, run: impl Fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let mut count = 0;
        for entry in fs::read_dir(folder.join(target)).unwrap() {
            let seed = fs::read(entry.unwrap().path()).unwrap();
            run(&seed);
            // And what a network might make of it.
            for length in 0..seed.len().min(600) {
                run(&seed[..length]);
                let mut changed = seed.clone();
                changed[length] ^= 1 << (length % 8);
                run(&changed);
            }
            count += 1;
        }
        assert!(count > 0, "{target} has no seed");
    }

    #[test]
    fn no_seed_does_harm() {
        check("proxy", proxy);
        check("web", web);
        check("noise", noise);
        check("hello", hello);
        check("frames", frames);
        check("head", head);
        check("body", body);
        check("journal", journal);
        check("dump", dump);
        check("firmware", firmware);
    }

    #[test]
    fn no_seed_does_harm_to_tls() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
            .unwrap();
        let config = Arc::new(config);
        check("tls", |data| tls(&config, data));
    }

    #[test]
    fn pieces_are_all_of_it() {
        let bytes: Vec<u8> = (0..100).collect();
        for lengths in [&[][..], &[0], &[4, 0, 200]] {
            let joined: Vec<u8> = pieces(&bytes, lengths).flatten().copied().collect();
            assert_eq!(joined, bytes);
        }
        assert_eq!(pieces(&bytes, &[4, 0]).nth(1), Some(&bytes[5..6]));
    }
}
