//! HTTP's own parsers for fuzzers: see `crate::fuzzing`. What reads requests as such is hyper's.

use super::{api, forwarded_for, login, socket};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

/// A request's head: its first line is the target, those that follow are headers, all of which the gateway
/// reads that it reads anywhere.
pub fn head(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    if let Some(token) = login::session_cookie(&headers) {
        assert!(!token.is_empty() && !token.contains(';'));
        assert!(headers.contains_key(header::COOKIE));
    }
    if let Some(token) = login::bearer(&headers) {
        assert!(!token.starts_with("Bearer ") || headers[header::AUTHORIZATION].len() > 13);
    }
    if let Some(ip) = forwarded_for(&headers) {
        assert!(!ip.to_string().contains(','));
    }
    if let Some(accept) = socket::accept_key(&headers) {
        // Base 64 of a SHA-1.
        assert_eq!(accept.len(), 28);
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let none: [String; 0] = [];
        let in_clear = socket::is_origin_of(&headers, origin, false, &none);
        let over_tls = socket::is_origin_of(&headers, origin, true, &none);
        assert!(in_clear || !over_tls, "TLS lets more in");
        if in_clear {
            let host = headers.get(header::HOST).and_then(|it| it.to_str().ok());
            let host = host.expect("an origin is compared with it").to_lowercase();
            let origin = origin.to_str().expect("compared as text").to_lowercase();
            assert!(origin.ends_with(&host));
        }
        let other = ["https://yard.example".to_owned()];
        assert!(!in_clear || socket::is_origin_of(&headers, origin, false, &other));
    }
    if let Ok(uri) = Uri::try_from(target) {
        api::fuzz::target(&uri);
    }
}

/// The body of a request to the API: the first byte chooses which.
pub fn body(data: &[u8]) {
    if let Some((&which, body)) = data.split_first() {
        api::fuzz::body(which, body);
    }
}
