//! The API's parsers for fuzzers: see `crate::fuzzing`.

use super::{accounts, caller::understand, commands, controllers, inner, keys, sites, text};
use crate::{
    hex,
    http::{login, problem::Problem},
    ssh_key::{fingerprint, parse_fingerprint, parse_public_key},
};
use axum::{extract::Query, http::Uri};
use serde::de::DeserializeOwned;
use switchyard_protocol::{limits, message::Title};

/// What stands in a request's target: the parts of its path as the API's texts, and every query.
pub(in crate::http) fn target(uri: &Uri) {
    for part in uri.path().split('/') {
        texts(part);
        if let Ok(number) = part.parse() {
            if let Ok(address) = text::controller(number) {
                assert!(address.is_controller());
            }
            assert_eq!(text::site(number).is_ok(), number != 0);
        }
    }
    query::<commands::Wait>(uri);
    query::<inner::Before>(uri);
    if let Some(wanted) = query::<keys::Fingerprint>(uri) {
        texts(wanted.as_text());
    }
    if let Some(wanted) = query::<controllers::Wanted>(uri) {
        wanted.fuzz();
    }
}

fn query<T: DeserializeOwned>(uri: &Uri) -> Option<T> {
    Query::<T>::try_from_uri(uri).ok().map(|query| query.0)
}

/// Everything that is read out of a text.
fn texts(text: &str) {
    let refused = |problem: Problem| assert!(problem.is_told());
    match text::key(text) {
        Ok(key) => assert!(hex::encode(&key.0).eq_ignore_ascii_case(text)),
        Err(problem) => refused(problem),
    }
    match text::name("name", text) {
        Ok(name) => assert!(name.as_str() == text && text.len() <= limits::NAME_BYTES_MAX),
        Err(problem) => refused(problem),
    }
    match text::title("title", text) {
        Ok(title) => assert!(title.as_str() == text && text.trim() == text),
        Err(problem) => refused(problem),
    }
    if let Ok(bytes) = parse_fingerprint(text) {
        assert_eq!(parse_fingerprint(&fingerprint(&bytes)), Ok(bytes));
    }
    if let Some(id) = keys::token_id(text) {
        assert!(format!("{:016x}", id.0).eq_ignore_ascii_case(text));
    }
    let account = Title::new("li").expect("a title");
    if let Ok(key) = parse_public_key(text, account.clone()) {
        let again = parse_public_key(&key.public_key, account).expect("the key alone");
        assert_eq!(again.fingerprint, key.fingerprint);
    }
}

/// A body of each sort that the API takes.
pub(in crate::http) fn body(which: u8, body: &[u8]) {
    match which % 16 {
        0 => read(body, |it: commands::NewCommand| it.fuzz()),
        1 => read(body, |_: controllers::NewController| ()),
        2 => read(body, |_: controllers::Edit| ()),
        3 => read(body, |_: accounts::RightsView| ()),
        4 => read(body, |_: accounts::NewAccount| ()),
        5 => read(body, |_: accounts::NewPassword| ()),
        6 => read(body, |_: accounts::NewFactor| ()),
        7 => read(body, |_: keys::WantedToken| ()),
        8 => read(body, |_: keys::NewSshKey| ()),
        9 => read(body, |_: inner::Force| ()),
        10 => read(body, |_: inner::NewScript| ()),
        11 => read(body, |_: inner::TrialEnd| ()),
        12 => read(body, |_: sites::SiteName| ()),
        13 => read(body, |_: login::Credentials| ()),
        14 => read(body, |_: login::FirstAccount| ()),
        // The texts that stand in bodies, without the trouble of finding JSON around them.
        _ => {
            if let Ok(text) = str::from_utf8(body) {
                texts(text);
            }
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8], then: impl FnOnce(T)) {
    match understand(body) {
        Ok(value) => then(value),
        Err(problem) => assert!(problem.is_told()),
    }
}
