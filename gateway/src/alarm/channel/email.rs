//! E-mail over SMTP (RFC 5321), by STARTTLS or TLS; in the clear to this host alone.

use super::{Fault, cut, words};
use crate::config::Secret;
use anyhow::Context as _;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{Certificate, CertificateStore, Tls, TlsParameters},
        extension::ClientId,
    },
};
use std::{
    error::Error as _,
    io::Read as _,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// From looking the server's name up to its word that it has the mail. Servers that look at mail take seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Of that, for one answer of the server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// What a subject line can bear before programs cut it.
const SUBJECT_BYTES_MAX: usize = 200;
/// What people read on a telephone, and then some.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The largest file that is taken for certificates.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// By TLS after asking for it; never without. Mostly TCP port 587.
    StartTls,
    /// By TLS from the first byte on. Mostly TCP port 465.
    Implicit,
    /// In the clear. Only to this host.
    Clear,
}

/// Which server takes e-mails, and in whose name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EmailSettings {
    /// Its name: what its certificate has to show.
    pub(crate) host: String,
    pub(crate) tcp_port: u16,
    pub(crate) encryption: Encryption,
    /// Whom e-mails are from, as `alarms@example.org` or `Alarms <alarms@example.org>`.
    pub(crate) from: String,
    /// User and password, where the server wants them.
    pub(crate) login: Option<(String, Secret)>,
    /// The authorities that are believed, in place of those that the host trusts.
    pub(crate) ca_file: Option<PathBuf>,
}

/// An e-mail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mail<'a> {
    /// Stays the same when the same is sent again, so that programs can tell. Letters, digits, hyphens and dots.
    pub(crate) id: &'a str,
    /// To whom.
    pub(crate) to: &'a str,
    pub(crate) subject: &'a str,
    /// Lines; an empty one divides paragraphs.
    pub(crate) text: &'a str,
    /// The language that it is in, such as `en`.
    pub(crate) language: &'a str,
}

/// A way to send e-mails.
pub(crate) struct Email {
    settings: EmailSettings,
    from: Mailbox,
    tls: Tls,
    /// See [`ATTEMPT_TIMEOUT`].
    pub(super) attempt_timeout: Duration,
}

impl Email {
    /// By these settings. Blocks for a moment, as it reads files.
    ///
    /// # Errors
    /// When the sender is none, or the file with authorities is not what it should be.
    pub(crate) fn open(settings: EmailSettings) -> anyhow::Result<Self> {
        let from = settings.from.parse();
        let from = from.context("expected a sender such as alarms@example.org")?;
        let parameters = || tls_parameters(&settings.host, settings.ca_file.as_deref());
        let tls = match settings.encryption {
            Encryption::StartTls => Tls::Required(parameters()?),
            Encryption::Implicit => Tls::Wrapper(parameters()?),
            Encryption::Clear => Tls::None,
        };
        Ok(Email {
            settings,
            from,
            tls,
            attempt_timeout: ATTEMPT_TIMEOUT,
        })
    }

    /// One attempt to send an e-mail.
    ///
    /// # Errors
    /// Why the server has not taken it.
    pub(crate) async fn send(&self, mail: &Mail<'_>) -> Result<(), Fault> {
        let message = message(&self.from, mail)?;
        let attempt = async {
            let sent = self.transport().await?.send(message).await;
            sent.map(drop).map_err(|error| fault(&error))
        };
        let attempt = tokio::time::timeout(self.attempt_timeout, attempt).await;
        attempt.unwrap_or(Err(Fault::Late))
    }

    async fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, Fault> {
        let EmailSettings {
            host,
            tcp_port,
            encryption,
            login,
            ..
        } = &self.settings;
        // In the clear just that address is dialled which was found to be this host's.
        let server = match encryption {
            Encryption::Clear => loopback(host, *tcp_port).await?.to_string(),
            _ => host.clone(),
        };
        let domain = self.from.email.domain().to_owned();
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server)
            .port(*tcp_port)
            .tls(self.tls.clone())
            .hello_name(ClientId::Domain(domain))
            .timeout(Some(ANSWER_TIMEOUT));
        Ok(match login {
            None => builder,
            Some((user, password)) => builder
                .credentials(Credentials::new(user.clone(), password.0.clone()))
                .authentication(vec![Mechanism::Plain, Mechanism::Login]),
        }
        .build())
    }
}

/// What a server's certificate is checked by.
fn tls_parameters(host: &str, ca_file: Option<&Path>) -> anyhow::Result<TlsParameters> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca_file {
        let shown = path.display();
        let mut pem = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut pem))
            .with_context(|| format!("cannot read {shown}"))?;
        let authorities = Certificate::from_pem(&pem)
            .with_context(|| format!("expected certificates in PEM in {shown}"))?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(authorities);
    }
    builder.build_rustls().context("cannot set TLS up")
}

/// The address of this host that a name leads to.
async fn loopback(host: &str, tcp_port: u16) -> Result<IpAddr, Fault> {
    let found = tokio::net::lookup_host((host, tcp_port)).await;
    let found = found.map_err(|error| Fault::Unreachable(error.to_string()))?;
    let addresses: Vec<IpAddr> = found.map(|it| it.ip().to_canonical()).collect();
    match addresses.first() {
        Some(first) if addresses.iter().all(IpAddr::is_loopback) => {
            // A name of this host is of both families, and a server mostly of the older one.
            let v4 = addresses.iter().find(|it| it.is_ipv4());
            Ok(*v4.unwrap_or(first))
        }
        _ => Err(Fault::Unfit(
            "in the clear, e-mail goes to this host alone; use starttls or tls".into(),
        )),
    }
}

/// Says that no person has written this, so that nobody's absence is answered (RFC 3834, 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn message(from: &Mailbox, mail: &Mail<'_>) -> Result<Message, Fault> {
    let to: Mailbox = mail
        .to
        .parse()
        .map_err(|_| Fault::Unfit(format!("{:?} is no e-mail address", words(mail.to))))?;
    let id: String = mail
        .id
        .chars()
        .filter(|it| it.is_ascii_alphanumeric() || "-.".contains(*it))
        .collect();
    // A line of its own: what ended it would begin another header.
    let subject = cut(&words_of_line(mail.subject), SUBJECT_BYTES_MAX);
    let text = cut(mail.text, TEXT_BYTES_MAX);
    let html = html(&subject, &text, mail.language);
    Message::builder()
        .from(from.clone())
        .to(to)
        .subject(subject)
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .date_now()
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(text, html))
        .map_err(|error| Fault::Unfit(format!("this cannot be an e-mail: {error}")))
}

fn words_of_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same as a small page: no picture, no script, nothing from elsewhere.
fn html(subject: &str, text: &str, language: &str) -> String {
    let mut page = String::from("<!doctype html>\r\n<html lang=\"");
    escape(language, &mut page);
    page.push_str("\"><head><meta charset=\"utf-8\"><title>");
    escape(subject, &mut page);
    page.push_str("</title></head>\r\n<body style=\"font-family: sans-serif\">\r\n<h1 style=\"font-size: 1.2em\">");
    escape(subject, &mut page);
    page.push_str("</h1>\r\n");
    let text = text.replace("\r\n", "\n");
    for paragraph in text.split("\n\n").filter(|it| !it.trim().is_empty()) {
        page.push_str("<p>");
        for (index, line) in paragraph.trim_matches('\n').lines().enumerate() {
            if index > 0 {
                page.push_str("<br>\r\n");
            }
            escape(line, &mut page);
        }
        page.push_str("</p>\r\n");
    }
    page.push_str("</body></html>\r\n");
    page
}

/// Text as it may stand in HTML and XML, between tags and between quotes.
pub(super) fn escape(text: &str, into: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            // No document has these.
            letter if letter.is_control() && !"\t\r\n".contains(letter) => into.push(' '),
            '\u{fffe}' | '\u{ffff}' => into.push(' '),
            letter => into.push(letter),
        }
    }
}

/// What kept a server from taking it: 5xx is its last word and 4xx is not (RFC 5321, 4.2.1).
fn fault(error: &lettre::transport::smtp::Error) -> Fault {
    let mut told = error.to_string();
    // The chain is told, since "network error" alone helps nobody.
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_told = cause.to_string();
        if !told.contains(&cause_told) {
            told = format!("{told}: {cause_told}");
        }
        source = cause.source();
    }
    let told = words(&told);
    match error {
        error if error.is_timeout() => Fault::Late,
        error if error.is_permanent() => Fault::Refused(told),
        error if error.is_transient() => Fault::PutOff(told),
        // It does not offer TLS, or no way to log in.
        error if error.is_client() => Fault::Refused(told),
        _ => Fault::Unreachable(told),
    }
}
