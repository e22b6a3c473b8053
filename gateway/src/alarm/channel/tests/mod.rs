//! Each way against a real server of the tests' own on loopback.

mod email;
mod ntfy;
mod provider;
mod webhook;

use super::*;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::mpsc};

/// A request that came.
#[derive(Debug)]
struct Request {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

struct Shared {
    requests: mpsc::UnboundedSender<Request>,
    answers: Mutex<VecDeque<(u16, String)>>,
}

/// An HTTP server that answers by script, and `200 {}` once that is over.
struct Server {
    url: String,
    requests: mpsc::UnboundedReceiver<Request>,
}

impl Server {
    async fn start(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        let answers = answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()));
        let shared = Arc::new(Shared {
            requests: sender,
            answers: Mutex::new(answers.collect()),
        });
        let app = Router::new().fallback(take).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Server { url, requests }
    }

    async fn next(&mut self) -> Request {
        let next = tokio::time::timeout(Duration::from_secs(60), self.requests.recv());
        next.await.expect("a request").unwrap()
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    method: Method,
    url: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = url.path_and_query().unwrap().to_string();
    let request = Request {
        method,
        path,
        headers,
        body,
    };
    shared.requests.send(request).unwrap();
    let answer = shared.answers.lock().unwrap().pop_front();
    let (status, body) = answer.unwrap_or((200, "{}".into()));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

#[test]
fn what_helps_to_try_again_and_what_does_not() {
    for (code, is_permanent) in [
        (301, true),
        (400, true),
        (401, true),
        (403, true),
        (404, true),
        (408, false),
        (413, true),
        (425, false),
        (429, false),
        (500, false),
        (502, false),
        (503, false),
        (504, false),
    ] {
        let fault = Fault::of_status(StatusCode::from_u16(code).unwrap(), "no");
        assert_eq!(fault.is_permanent(), is_permanent, "{code}");
        // What broke on the way may have arrived.
        assert_eq!(fault.may_be_done(), [500, 502, 504].contains(&code));
    }
    let private = endpoint::Fault::Private([127, 0, 0, 1].into());
    assert!(Fault::from(private).is_permanent());
    assert!(Fault::from(endpoint::Fault::Late).may_be_done());
    assert!(!Fault::Late.is_permanent());
}

#[test]
fn others_words_are_told_in_a_line_and_no_more_of_them_than_that() {
    assert_eq!(words(" a\r\n b\u{7}\tc "), "a b c");
    assert_eq!(words(&"水".repeat(1_000)).chars().count(), WORDS_MAX);
    assert_eq!(cut("abc", 3), "abc");
    assert_eq!(cut("abcdefgh", 6), "abc…");
    assert_eq!(cut("水水水", 8), "水…");
    assert_eq!(cut("水水水", 2), "…");
}

#[test]
fn urls_are_of_servers_that_can_be_told_things() {
    for (url, is_good) in [
        ("https://ntfy.sh", true),
        ("http://[::1]:8080/path?a=b", true),
        ("ftp://a/", false),
        ("https:///", false),
        ("https://li:hush@a/", false),
        ("https://a:99999/", false),
        ("/path", false),
        ("", false),
    ] {
        let read = http_url(url);
        assert_eq!(read.is_ok(), is_good, "{url}");
        assert!(read.is_ok() || !read.unwrap_err().to_string().contains("hush"));
    }
    assert!(http_url(&format!("https://a/{}", "a".repeat(URL_BYTES_MAX))).is_err());
}
