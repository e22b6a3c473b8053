//! The HTTP server on real sockets, before a whole controller: what a browser would do, and
//! what it had better not.

mod flash;

use std::{net::SocketAddr, time::Duration};

use switchyard_firmware::{
    Behaviour, ControllerKey, Flash, Options, PlantSettings, Settings, VirtualController,
};
use switchyard_protocol::Address;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Only a test that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    address: SocketAddr,
    controller: VirtualController,
}

impl Server {
    async fn start() -> Self {
        Self::over(Flash::blank()).await
    }

    async fn over(flash: Flash) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a TCP port");
        let address = listener.local_addr().expect("its address");
        let mut settings = Settings::new(Address(7), ControllerKey::new([7; 32]), Behaviour::Latch);
        settings.seed = Some(7);
        let controller = VirtualController::spawn(Options {
            settings,
            // Nobody is there.
            gateways: vec!["127.0.0.1:1".to_owned()],
            plant: PlantSettings::default(),
            flash: Some(flash),
            http: Some(listener),
            live: None,
            executions: None,
            serial: None,
            redial_within: None,
        })
        .expect("good settings");
        Self {
            address,
            controller,
        }
    }

    async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }
}

struct Client {
    stream: TcpStream,
    host: String,
    cookie: String,
    got: Vec<u8>,
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> &str {
        &self.head["HTTP/1.1 ".len()..][..3]
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.expect("a connection"),
            host: address.to_string(),
            cookie: String::new(),
            got: Vec::new(),
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("to be taken");
    }

    /// A request as the page makes it, and its answer.
    async fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.request(method, path, body).await;
        self.answer().await
    }

    /// The same, whose answer nobody waits for.
    async fn request(&mut self, method: &str, path: &str, body: &[u8]) {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nX-Switchyard: 1\r\nOrigin: http://{}\r\n\
             Cookie: other=1; {}\r\nContent-Length: {}\r\n\r\n",
            self.host,
            self.host,
            self.cookie,
            body.len()
        );
        self.send(request.as_bytes()).await;
        self.send(body).await;
    }

    async fn answer(&mut self) -> Answer {
        let answer = timeout(PATIENCE, self.read_answer())
            .await
            .expect("an answer");
        if let Some(cookie) = answer.header("Set-Cookie") {
            self.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        }
        answer
    }

    async fn read_answer(&mut self) -> Answer {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await).expect("a head in ASCII");
        let mut answer = Answer {
            head,
            body: Vec::new(),
        };
        if let Some(length) = answer.header("Content-Length") {
            answer.body = self.exactly(length.parse().expect("a length")).await;
            return answer;
        }
        loop {
            let size = String::from_utf8(self.until(b"\r\n").await).expect("a size");
            let size = usize::from_str_radix(size.trim(), 16).expect("a size in hex");
            let mut chunk = self.exactly(size + 2).await;
            chunk.truncate(size);
            if chunk.is_empty() {
                return answer;
            }
            answer.body.append(&mut chunk);
        }
    }

    async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.got.windows(end.len()).position(|part| part == end) {
                return self.got.drain(..at + end.len()).collect();
            }
            self.read().await;
        }
    }

    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.got.len() < length {
            self.read().await;
        }
        self.got.drain(..length).collect()
    }

    async fn read(&mut self) {
        let mut buffer = [0; 4096];
        let length = self.stream.read(&mut buffer).await.expect("bytes");
        assert_ne!(length, 0, "the connection ended too early");
        self.got.extend_from_slice(&buffer[..length]);
    }
}

impl Client {
    /// A 304 has no body and no length.
    async fn ask_get(&mut self, path: &str, headers: &str) -> Answer {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            self.host
        );
        self.send(request.as_bytes()).await;
        if headers.contains("If-None-Match") {
            let head = timeout(PATIENCE, self.until(b"\r\n\r\n"))
                .await
                .expect("a head");
            let head = String::from_utf8(head).expect("a head in ASCII");
            return Answer {
                head,
                body: Vec::new(),
            };
        }
        self.answer().await
    }
}

#[tokio::test]
async fn serves_the_page_once_and_then_knows_that_it_is_known() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let page = client.ask_get("/", "").await;
    assert_eq!(page.status(), "200");
    assert!(page.header("Content-Security-Policy").is_some());
    assert!(!page.body.is_empty() && page.body.len() <= 20 * 1024);
    let etag = page.header("ETag").expect("an ETag").to_owned();
    let again = client
        .ask_get("/", &format!("If-None-Match: {etag}\r\n"))
        .await;
    assert_eq!(again.head.lines().next(), Some("HTTP/1.1 304 Not Modified"));
}

#[tokio::test]
async fn a_password_is_set_a_script_tried_and_kept() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    assert_eq!(client.ask("GET", "/api/live", b"").await.status(), "403");
    let set = br#"{"password":"correct horse"}"#;
    assert_eq!(client.ask("POST", "/api/setup", set).await.status(), "200");

    let source = b"in door = DI1\nout lamp = RL1 safe off\nlamp := not door\n";
    let begin = format!(r#"{{"bytes":{}}}"#, source.len());
    let begun = client.ask("POST", "/api/script/begin", begin.as_bytes());
    assert_eq!(begun.await.status(), "200");
    assert_eq!(
        client.ask("PUT", "/api/script?at=0", source).await.status(),
        "200"
    );
    let cost = client.ask("POST", "/api/script/end", b"").await;
    assert!(cost.text().contains(r#""operations":"#), "{}", cost.text());
    for verb in ["begin", "commit"] {
        let answer = client
            .ask("POST", &format!("/api/trial/{verb}"), b"{}")
            .await;
        assert_eq!(answer.status(), "200", "{verb}: {}", answer.text());
    }
    let script = client.ask("GET", "/api/script", b"").await;
    assert_eq!(script.body, source);

    // Somebody who is not logged in, and a page of another site.
    let mut stranger = server.connect().await;
    assert_eq!(stranger.ask("GET", "/api/live", b"").await.status(), "401");
    client.host = "evil.test".to_owned();
    assert_eq!(client.ask("GET", "/api/live", b"").await.status(), "421");
}

#[tokio::test]
async fn a_fifth_connection_is_refused_and_idle_ones_make_room() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect().await;
        assert_eq!(client.ask("GET", "/api/session", b"").await.status(), "200");
        clients.push(client);
    }
    let mut fifth = server.connect().await;
    let mut byte = [0];
    let end = timeout(PATIENCE, fifth.stream.read(&mut byte))
        .await
        .expect("an end");
    assert!(matches!(end, Ok(0) | Err(_)), "it was served");
    // One of the four gives way, whichever was idle for the longest; then there is room.
    let [a, b, c, d] = clients.as_mut_slice() else {
        panic!("four clients")
    };
    let (mut one, mut two, mut three, mut four) = ([0], [0], [0], [0]);
    let ended = timeout(PATIENCE, async {
        tokio::select! {
            read = a.stream.read(&mut one) => read,
            read = b.stream.read(&mut two) => read,
            read = c.stream.read(&mut three) => read,
            read = d.stream.read(&mut four) => read,
        }
    });
    assert!(matches!(ended.await, Ok(Ok(0))), "none gave way");
    let mut sixth = server.connect().await;
    assert_eq!(sixth.ask("GET", "/api/session", b"").await.status(), "200");
}
