//! A mail server by script: takes e-mails in, or refuses them.
//!
//! It speaks as much of SMTP (RFC 5321) as a client needs that sends: EHLO, STARTTLS (RFC 3207), AUTH PLAIN and LOGIN
//! (RFC 4954), and the mail itself. It shows a certificate of `localhost` that an authority of its own has issued.

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Bytes of a line or of a whole mail.
const BYTES_MAX: usize = 1 << 20;
/// How long a client may say nothing: longer than any that is tested waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SmtpSecurity {
    /// In the clear.
    #[default]
    Clear,
    /// In the clear at first, and by TLS once that is asked for.
    StartTls,
    /// By TLS from the first byte on.
    Implicit,
}

/// A moment of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpStage {
    /// The connection is there.
    Greeting,
    /// EHLO.
    Hello,
    /// AUTH.
    Login,
    /// MAIL FROM.
    From,
    /// RCPT TO.
    To,
    /// DATA.
    Data,
    /// The mail is there.
    Mail,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct SmtpOptions {
    /// How it is spoken to.
    pub security: SmtpSecurity,
    /// Who may send; anybody without.
    pub login: Option<(String, String)>,
    /// Ways to log in that it offers, such as `PLAIN LOGIN`.
    pub mechanisms: String,
    /// What it says at a stage in place of what is usual, such as `550 5.1.1 nobody here`; an empty one: nothing at all.
    pub replies: Vec<(SmtpStage, String)>,
}

/// An e-mail that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMail {
    /// As what the client introduced itself.
    pub hello: String,
    /// By whom, in the envelope.
    pub from: String,
    /// To whom, in the envelope.
    pub to: Vec<String>,
    /// Head and body.
    pub data: String,
    /// Whether it came by TLS.
    pub is_encrypted: bool,
    /// How the client logged in.
    pub mechanism: Option<String>,
}

/// A mail server on loopback. Dropping it ends it.
pub struct SmtpServer {
    addr: SocketAddr,
    authority: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    options: SmtpOptions,
    tls: Arc<ServerConfig>,
    mails: Mutex<Vec<ReceivedMail>>,
    has_ended: AtomicBool,
}

impl SmtpServer {
    /// Begins to listen.
    ///
    /// # Errors
    /// When there is no port, or no certificate can be made.
    pub fn start(options: SmtpOptions) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
        let addr = listener.local_addr().context("asking for the address")?;
        let (tls, authority) = certified()?;
        let shared = Arc::new(Shared {
            options,
            tls: Arc::new(tls),
            mails: Mutex::default(),
            has_ended: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("smtp".into())
            .spawn(move || of_thread.listen(&listener))
            .context("starting the server's thread")?;
        Ok(SmtpServer {
            addr,
            authority,
            shared,
            thread: Some(thread),
        })
    }

    /// Its TCP port, on 127.0.0.1.
    #[must_use]
    pub fn tcp_port(&self) -> u16 {
        self.addr.port()
    }

    /// The authority that vouches for it, in PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The e-mails that came.
    #[must_use]
    pub fn mails(&self) -> Vec<ReceivedMail> {
        let mails = self.shared.mails.lock();
        mails.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Relaxed);
        // It waits for somebody: that is somebody.
        let _ = TcpStream::connect(self.addr);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A certificate of `localhost`, and who issued it.
fn certified() -> Result<(ServerConfig, String)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own_key = KeyPair::generate()?;
    let own = params.self_signed(&own_key)?;
    let issuer = Issuer::new(params, own_key);
    let key = KeyPair::generate()?;
    let issued = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &issuer)?;
    let chain = vec![CertificateDer::from(issued.der().to_vec())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok((config, own.pem()))
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            if self.has_ended.load(Ordering::Relaxed) {
                return;
            }
            let shared = Arc::clone(self);
            // It ends with its client, or by its patience.
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(PATIENCE));
                let _ = shared.serve(stream);
            });
        }
    }

    fn encrypted(
        &self,
        stream: TcpStream,
    ) -> io::Result<Conversation<'_, StreamOwned<ServerConnection, TcpStream>>> {
        let connection = ServerConnection::new(Arc::clone(&self.tls)).map_err(io::Error::other)?;
        Ok(Conversation::new(
            self,
            StreamOwned::new(connection, stream),
            true,
        ))
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        if self.options.security == SmtpSecurity::Implicit {
            let mut conversation = self.encrypted(stream)?;
            conversation.greet()?;
            return conversation.go_on().map(drop);
        }
        let mut conversation = Conversation::new(self, stream, false);
        conversation.greet()?;
        if conversation.go_on()? {
            // STARTTLS: all that was said before is forgotten.
            self.encrypted(conversation.stream)?.go_on()?;
        }
        Ok(())
    }
}

struct Conversation<'a, S> {
    shared: &'a Shared,
    stream: S,
    is_encrypted: bool,
    hello: String,
    from: String,
    to: Vec<String>,
    mechanism: Option<String>,
}

impl<'a, S: Read + Write> Conversation<'a, S> {
    fn new(shared: &'a Shared, stream: S, is_encrypted: bool) -> Self {
        Conversation {
            shared,
            stream,
            is_encrypted,
            hello: String::new(),
            from: String::new(),
            to: Vec::new(),
            mechanism: None,
        }
    }

    /// Says what is usual at this stage, or what the script says. Says whether that was no refusal.
    fn reply(&mut self, stage: SmtpStage, usual: &str) -> io::Result<bool> {
        let mut scripted = self.shared.options.replies.iter();
        let scripted = scripted
            .find(|(at, _)| *at == stage)
            .map(|(_, reply)| reply.as_str());
        let reply = scripted.unwrap_or(usual);
        if reply.is_empty() {
            // Whoever waits finds out by itself.
            let _ = self.line();
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.say(reply)?;
        Ok(reply.starts_with(['2', '3']))
    }

    fn say(&mut self, reply: &str) -> io::Result<()> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes())?;
        self.stream.flush()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") && line.len() < BYTES_MAX {
            self.stream.read_exact(&mut byte)?;
            line.extend(byte);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn greet(&mut self) -> io::Result<()> {
        self.reply(SmtpStage::Greeting, "220 localhost ready")
            .map(drop)
    }

    /// Takes commands until the client goes, or asks for TLS: that is told.
    fn go_on(&mut self) -> io::Result<bool> {
        loop {
            let line = self.line()?;
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" | "HELO" => {
                    rest.clone_into(&mut self.hello);
                    self.hello_back()?;
                }
                "STARTTLS"
                    if self.shared.options.security == SmtpSecurity::StartTls
                        && !self.is_encrypted =>
                {
                    self.say("220 2.0.0 go ahead")?;
                    return Ok(true);
                }
                "AUTH" => self.log_in(rest)?,
                "MAIL" if self.shared.options.login.is_some() && self.mechanism.is_none() => {
                    self.say("530 5.7.0 log in first")?;
                }
                "MAIL" => {
                    self.from = address(rest);
                    self.to.clear();
                    self.reply(SmtpStage::From, "250 2.1.0 well")?;
                }
                "RCPT" => {
                    if self.reply(SmtpStage::To, "250 2.1.5 well")? {
                        self.to.push(address(rest));
                    }
                }
                "DATA" => {
                    if self.reply(SmtpStage::Data, "354 go on, and end with a dot")? {
                        self.mail()?;
                    }
                }
                "RSET" | "NOOP" => self.say("250 2.0.0 well")?,
                "QUIT" => {
                    self.say("221 2.0.0 farewell")?;
                    return Ok(false);
                }
                _ => self.say("502 5.5.1 no such command")?,
            }
        }
    }

    fn hello_back(&mut self) -> io::Result<()> {
        let options = &self.shared.options;
        let mut lines = vec!["localhost".to_owned(), "8BITMIME".into()];
        if options.security == SmtpSecurity::StartTls && !self.is_encrypted {
            lines.push("STARTTLS".into());
        }
        if options.login.is_some() {
            lines.push(format!("AUTH {}", options.mechanisms));
        }
        let last = lines.len() - 1;
        let lines = (0..).zip(&lines).map(|(index, line)| match index == last {
            true => format!("250 {line}"),
            false => format!("250-{line}\r\n"),
        });
        let reply: String = lines.collect();
        self.reply(SmtpStage::Hello, &reply).map(drop)
    }

    fn log_in(&mut self, rest: &str) -> io::Result<()> {
        let (mechanism, first) = rest.split_once(' ').unwrap_or((rest, ""));
        let given = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let text = if first.is_empty() {
                    self.ask("334 ")?
                } else {
                    first.to_owned()
                };
                let text = decoded(&text);
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                parts.next().zip(parts.next())
            }
            "LOGIN" => {
                // "Username:" and "Password:".
                let user = if first.is_empty() {
                    self.ask("334 VXNlcm5hbWU6")?
                } else {
                    first.to_owned()
                };
                let password = self.ask("334 UGFzc3dvcmQ6")?;
                Some((decoded(&user), decoded(&password)))
            }
            _ => return self.say("504 5.5.4 no such way"),
        };
        if given != self.shared.options.login {
            return self.say("535 5.7.8 no such user, or another password");
        }
        if self.reply(SmtpStage::Login, "235 2.7.0 come in")? {
            self.mechanism = Some(mechanism.to_owned());
        }
        Ok(())
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.say(question)?;
        self.line()
    }

    fn mail(&mut self) -> io::Result<()> {
        let mut data = String::new();
        loop {
            let line = self.line()?;
            if line == "." {
                break;
            }
            // A dot that begins a line was doubled (RFC 5321, 4.5.2).
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push('\n');
            if data.len() > BYTES_MAX {
                return self.say("552 5.3.4 too long");
            }
        }
        if self.reply(SmtpStage::Mail, "250 2.0.0 taken")? {
            let mail = ReceivedMail {
                hello: self.hello.clone(),
                from: self.from.clone(),
                to: self.to.clone(),
                data,
                is_encrypted: self.is_encrypted,
                mechanism: self.mechanism.clone(),
            };
            let mails = self.shared.mails.lock();
            mails.unwrap_or_else(PoisonError::into_inner).push(mail);
        }
        Ok(())
    }
}

/// What stands between the brackets.
fn address(text: &str) -> String {
    let inner = text
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(text, |(address, _)| address).to_owned()
}

/// Text in base64 (RFC 4648).
fn decoded(text: &str) -> String {
    let place = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let sixes: Vec<u8> = text.bytes().filter_map(place).collect();
    let octets = sixes.chunks(4).flat_map(|four| {
        let bits = four
            .iter()
            .fold(0_u32, |bits, six| bits << 6 | u32::from(*six));
        let bits = bits << (6 * (4 - four.len()));
        let [_, first, second, third] = bits.to_be_bytes();
        [first, second, third]
            .into_iter()
            .take(four.len().saturating_sub(1))
    });
    String::from_utf8_lossy(&octets.collect::<Vec<u8>>()).into_owned()
}
