//! Proof of the password without telling it: Digest (RFC 7616) with MD5 and SHA-256, as SIP has it (RFC 3261
//! section 22, RFC 8760).

use crate::sip::{
    header::{items, quoted},
    message::Message,
    tokens::hex,
};
use md5::{Digest as _, Md5};

/// By which sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// The only one that older telephone systems know.
    Md5,
    /// RFC 8760.
    Sha256,
}

/// Who asks: the server itself, or a proxy before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// 401, `WWW-Authenticate`.
    Server,
    /// 407, `Proxy-Authenticate`.
    Proxy,
}

/// What somebody wants proof for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Who asks.
    pub asker: Asker,
    /// What the account belongs to.
    pub realm: String,
    /// What makes this proof unlike any other.
    pub nonce: String,
    /// To be given back.
    pub opaque: Option<String>,
    /// By which sum.
    pub algorithm: Algorithm,
    /// Whether a secret of the session is made of the password (`-sess`).
    pub is_session: bool,
    /// Whether count and cnonce go in (`qop=auth`); without, it is RFC 2069's proof.
    pub has_quality: bool,
    /// Whether the proof before was right, but for its nonce.
    pub is_stale: bool,
}

/// What a proof is made of besides the challenge.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// The account.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
    /// The method of the request.
    pub method: &'a str,
    /// The address of the request.
    pub uri: &'a str,
    /// Our own part of what makes it unlike any other.
    pub cnonce: &'a str,
    /// The how many-eth proof by this nonce, from 1.
    pub count: u32,
}

impl Algorithm {
    fn sum(self, text: &str) -> String {
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text.as_bytes())),
            Algorithm::Sha256 => {
                hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }
}

impl Asker {
    /// The field by which is answered.
    #[must_use]
    pub fn answer_field(self) -> &'static str {
        match self {
            Asker::Server => "Authorization",
            Asker::Proxy => "Proxy-Authorization",
        }
    }

    fn question_field(self) -> &'static str {
        match self {
            Asker::Server => "WWW-Authenticate",
            Asker::Proxy => "Proxy-Authenticate",
        }
    }
}

impl Challenge {
    /// The challenge in a 401 or 407 that is answered: the topmost that can be (RFC 8760 section 2.4).
    #[must_use]
    pub fn of(response: &Message) -> Option<Self> {
        let asker = match response.code()? {
            401 => Asker::Server,
            407 => Asker::Proxy,
            _ => return None,
        };
        response
            .headers
            .all(asker.question_field())
            .find_map(|field| Self::parse(asker, field))
    }

    /// A challenge as it is written, if it can be answered.
    #[must_use]
    pub fn parse(asker: Asker, field: &str) -> Option<Self> {
        let (scheme, rest) = field.trim().split_once(char::is_whitespace)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let value = |name: &str| parameter(rest, name);
        let algorithm = value("algorithm").unwrap_or_else(|| "MD5".into());
        let (name, is_session) = match algorithm.to_ascii_lowercase().strip_suffix("-sess") {
            Some(name) => (name.to_owned(), true),
            None => (algorithm.to_ascii_lowercase(), false),
        };
        let algorithm = match name.as_str() {
            "md5" => Algorithm::Md5,
            "sha-256" => Algorithm::Sha256,
            _ => return None,
        };
        let has_quality = match value("qop") {
            None => false,
            Some(list) => match items(&list).any(|it| it.eq_ignore_ascii_case("auth")) {
                true => true,
                // It wants the body proved too, and nothing less.
                false => return None,
            },
        };
        Some(Challenge {
            asker,
            realm: value("realm")?,
            nonce: value("nonce")?,
            opaque: value("opaque"),
            algorithm,
            is_session,
            has_quality,
            is_stale: value("stale").is_some_and(|it| it.eq_ignore_ascii_case("true")),
        })
    }

    /// The sum that proves it (RFC 7616 section 3.4.1).
    #[must_use]
    pub fn response(&self, proof: &Proof<'_>) -> String {
        let sum = |text: String| self.algorithm.sum(&text);
        let mut secret = sum(format!("{}:{}:{}", proof.user, self.realm, proof.password));
        if self.is_session {
            secret = sum(format!("{secret}:{}:{}", self.nonce, proof.cnonce));
        }
        let request = sum(format!("{}:{}", proof.method, proof.uri));
        match self.has_quality {
            true => sum(format!(
                "{secret}:{}:{:08x}:{}:auth:{request}",
                self.nonce, proof.count, proof.cnonce
            )),
            false => sum(format!("{secret}:{}:{request}", self.nonce)),
        }
    }

    /// The whole field by which it is answered.
    #[must_use]
    pub fn answer(&self, proof: &Proof<'_>) -> String {
        let mut field = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{}\", algorithm={}{}",
            quoted(proof.user),
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(proof.uri),
            self.response(proof),
            self.algorithm.name(),
            if self.is_session { "-sess" } else { "" },
        );
        if self.has_quality || self.is_session {
            field += &format!(", cnonce=\"{}\"", proof.cnonce);
        }
        if self.has_quality {
            field += &format!(", qop=auth, nc={:08x}", proof.count);
        }
        if let Some(opaque) = &self.opaque {
            field += &format!(", opaque={}", quoted(opaque));
        }
        field
    }
}

/// A parameter of a challenge or an answer, out of its quotes.
#[must_use]
pub fn parameter(list: &str, name: &str) -> Option<String> {
    items(list).find_map(|item| {
        let (it, value) = item.split_once('=')?;
        if !it.trim().eq_ignore_ascii_case(name) {
            return None;
        }
        let value = value.trim();
        match value.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
            None => Some(value.to_owned()),
            Some(inner) => {
                let mut text = String::with_capacity(inner.len());
                let mut signs = inner.chars();
                while let Some(sign) = signs.next() {
                    text.extend(if sign == '\\' {
                        signs.next()
                    } else {
                        Some(sign)
                    });
                }
                Some(text)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616 section 3.9.1, whose numbers anybody's implementation must give.
    #[test]
    fn the_standard_s_own_example_comes_out() {
        for (algorithm, expected) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let field = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let challenge = Challenge::parse(Asker::Server, &field).unwrap();
            let proof = Proof {
                user: "Mufasa",
                password: "Circle of Life",
                method: "GET",
                uri: "/dir/index.html",
                cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                count: 1,
            };
            assert_eq!(challenge.response(&proof), expected);
            let answer = challenge.answer(&proof);
            let inner = answer.strip_prefix("Digest ").unwrap();
            for (name, value) in [
                ("response", expected),
                ("nc", "00000001"),
                ("qop", "auth"),
                ("algorithm", algorithm),
                ("opaque", "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"),
            ] {
                assert_eq!(parameter(inner, name).as_deref(), Some(value), "{name}");
            }
        }
    }

    #[test]
    fn without_quality_it_is_the_older_proof() {
        let challenge = Challenge::parse(
            Asker::Proxy,
            "digest realm=\"a\",nonce=\"b\\\"c\", stale=TRUE",
        )
        .unwrap();
        assert_eq!(challenge.nonce, "b\"c");
        assert!(challenge.is_stale && !challenge.has_quality);
        assert_eq!(challenge.algorithm, Algorithm::Md5);
        let proof = Proof {
            user: "u",
            password: "p",
            method: "INVITE",
            uri: "sip:7@pbx",
            cnonce: "x",
            count: 9,
        };
        let sum = |text: &str| Algorithm::Md5.sum(text);
        let expected = sum(&format!(
            "{}:b\"c:{}",
            sum("u:a:p"),
            sum("INVITE:sip:7@pbx")
        ));
        assert_eq!(challenge.response(&proof), expected);
        assert!(!challenge.answer(&proof).contains("cnonce"));
    }

    #[test]
    fn the_topmost_that_can_be_answered_is_taken() {
        let text = "SIP/2.0 407 Proxy\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\
            Proxy-Authenticate: Digest realm=\"a\", nonce=\"1\", algorithm=SHA-512-256\r\n\
            Proxy-Authenticate: Digest realm=\"a\", nonce=\"2\", qop=\"auth-int\"\r\n\
            Proxy-Authenticate: Digest realm=\"a\", nonce=\"3\", algorithm=SHA-256-sess\r\n\
            Proxy-Authenticate: Digest realm=\"a\", nonce=\"4\"\r\n\r\n";
        let response = Message::parse(text.as_bytes()).unwrap();
        let challenge = Challenge::of(&response).unwrap();
        assert_eq!(
            (challenge.nonce.as_str(), challenge.is_session),
            ("3", true)
        );
        let other = Message::parse(text.replace("407", "403").as_bytes()).unwrap();
        assert_eq!(Challenge::of(&other), None);
    }
}
