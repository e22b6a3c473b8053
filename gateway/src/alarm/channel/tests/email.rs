//! E-mail to a mail server by script.

use super::*;
use crate::{
    alarm::channel::email::{Email, EmailSettings, Encryption, Mail},
    config::Secret,
};
use std::path::PathBuf;
use switchyard_testkit::smtp::{ReceivedMail, SmtpOptions, SmtpSecurity, SmtpServer, SmtpStage};
use tempfile::TempDir;

const MAIL: Mail<'static> = Mail {
    id: "alarm-17.2",
    to: "Li <li@example.net>",
    subject: "Pump house: level low 水位低",
    text: "Since 12:00.\n.dots <stay>\n\nAcknowledge: https://yard/a?b=1&c=2",
    language: "en",
};

/// A server, and a client's settings for it.
struct World {
    server: SmtpServer,
    settings: EmailSettings,
    _folder: TempDir,
}

impl World {
    fn new(encryption: Encryption, options: SmtpOptions) -> Self {
        let security = match encryption {
            Encryption::Clear => SmtpSecurity::Clear,
            Encryption::StartTls => SmtpSecurity::StartTls,
            Encryption::Implicit => SmtpSecurity::Implicit,
        };
        let server = SmtpServer::start(SmtpOptions {
            security,
            ..options
        })
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca: PathBuf = folder.path().join("ca.pem");
        std::fs::write(&ca, server.authority()).unwrap();
        let settings = EmailSettings {
            host: "localhost".into(),
            tcp_port: server.tcp_port(),
            encryption,
            from: "Alarms <alarms@yard.example.org>".into(),
            login: None,
            ca_file: Some(ca),
        };
        World {
            server,
            settings,
            _folder: folder,
        }
    }

    async fn send(&self) -> Result<(), Fault> {
        Email::open(self.settings.clone())
            .unwrap()
            .send(&MAIL)
            .await
    }

    fn mail(&self) -> ReceivedMail {
        let mut mails = self.server.mails();
        assert_eq!(mails.len(), 1);
        mails.remove(0)
    }
}

#[tokio::test]
async fn a_mail_is_sent_in_each_way() {
    for encryption in [
        Encryption::Clear,
        Encryption::StartTls,
        Encryption::Implicit,
    ] {
        let world = World::new(encryption, SmtpOptions::default());
        world.send().await.unwrap();
        let mail = world.mail();
        assert_eq!(mail.is_encrypted, encryption != Encryption::Clear);
        assert_eq!(mail.hello, "yard.example.org");
        assert_eq!(
            (mail.from.as_str(), &mail.to[..]),
            (
                "alarms@yard.example.org",
                &["li@example.net".to_owned()][..]
            )
        );
        let (head, body) = mail.data.split_once("\n\n").unwrap();
        for header in [
            "From: Alarms <alarms@yard.example.org>",
            "To: Li <li@example.net>",
            "Message-ID: <alarm-17.2@yard.example.org>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
        ] {
            assert!(
                head.lines().any(|line| line == header),
                "{header} in {head}"
            );
        }
        assert!(
            head.contains("\nDate: ") && head.contains("\nContent-Type: multipart/alternative;"),
            "{head}"
        );
        // Encoded, as it is not ASCII (RFC 2047).
        assert!(
            head.contains("Subject: ") && head.contains("=?utf-8?"),
            "{head}"
        );
        for text in [
            "Content-Type: text/plain; charset=utf-8",
            "\n.dots <stay>\n",
            "Content-Type: text/html; charset=utf-8",
        ] {
            assert!(body.contains(text), "{text} in {body}");
        }
        assert!(!body.contains("<script"), "{body}");
    }
}

#[tokio::test]
async fn it_logs_in_by_either_way() {
    for mechanism in ["PLAIN", "LOGIN"] {
        let login = ("yard".to_owned(), "hush hush".to_owned());
        let options = SmtpOptions {
            login: Some(login.clone()),
            mechanisms: mechanism.into(),
            ..SmtpOptions::default()
        };
        let mut world = World::new(Encryption::StartTls, options);
        // Nobody in particular.
        let fault = world.send().await.unwrap_err();
        assert!(
            fault.is_permanent() && fault.to_string().contains("530"),
            "{fault}"
        );
        let (user, password) = login;
        world.settings.login = Some((user.clone(), Secret("wrong".into())));
        let fault = world.send().await.unwrap_err();
        assert!(
            fault.is_permanent() && fault.to_string().contains("535"),
            "{fault}"
        );
        assert!(!fault.to_string().contains("wrong"), "{fault}");
        world.settings.login = Some((user, Secret(password)));
        assert!(!format!("{:?}", world.settings).contains("hush"));
        world.send().await.unwrap();
        assert_eq!(world.mail().mechanism.as_deref(), Some(mechanism));
    }
}

#[tokio::test]
async fn the_servers_last_words_are_told_from_others() {
    for (stage, reply, is_permanent) in [
        (SmtpStage::Greeting, "554 5.7.1 go away", true),
        (SmtpStage::Greeting, "421 4.3.2 come back later", false),
        (SmtpStage::From, "550 5.7.1 not you", true),
        (SmtpStage::To, "550 5.1.1 nobody here", true),
        (SmtpStage::To, "450 4.2.1 busy box", false),
        (SmtpStage::Data, "451 4.3.0 not now", false),
        (SmtpStage::Mail, "554 5.6.0 not such a one", true),
        (SmtpStage::Mail, "452 4.2.2 box is full", false),
    ] {
        let options = SmtpOptions {
            replies: vec![(stage, reply.into())],
            ..SmtpOptions::default()
        };
        let world = World::new(Encryption::Clear, options);
        let fault = world.send().await.unwrap_err();
        assert_eq!(
            fault.is_permanent(),
            is_permanent,
            "{stage:?} {reply}: {fault}"
        );
        let words = &reply[10..];
        assert!(fault.to_string().contains(words), "{reply}: {fault}");
        assert_eq!(world.server.mails(), []);
    }
}

#[tokio::test]
async fn nothing_goes_in_the_clear_but_to_this_host() {
    // A server without TLS is not spoken to without.
    let world = World::new(Encryption::Clear, SmtpOptions::default());
    let settings = EmailSettings {
        encryption: Encryption::StartTls,
        ..world.settings.clone()
    };
    let fault = Email::open(settings)
        .unwrap()
        .send(&MAIL)
        .await
        .unwrap_err();
    assert!(fault.is_permanent(), "{fault}");
    assert_eq!(world.server.mails(), []);
    // One elsewhere is not even dialled.
    let settings = EmailSettings {
        host: "192.0.2.1".into(),
        ..world.settings.clone()
    };
    let fault = Email::open(settings)
        .unwrap()
        .send(&MAIL)
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Unfit(_)), "{fault}");
}

#[tokio::test]
async fn a_server_that_is_not_believed_gets_nothing() {
    for encryption in [Encryption::StartTls, Encryption::Implicit] {
        let login = Some(("yard".to_owned(), "hush".to_owned()));
        let options = SmtpOptions {
            login,
            mechanisms: "PLAIN".into(),
            ..SmtpOptions::default()
        };
        let world = World::new(encryption, options);
        // Vouched for by somebody else.
        let other = World::new(encryption, SmtpOptions::default());
        // Under another name than its own.
        let strange = [("localhost", &other), ("127.0.0.1", &world)];
        for (host, authority) in strange {
            let settings = EmailSettings {
                host: host.into(),
                ca_file: authority.settings.ca_file.clone(),
                login: Some(("yard".into(), Secret("hush".into()))),
                ..world.settings.clone()
            };
            let fault = Email::open(settings)
                .unwrap()
                .send(&MAIL)
                .await
                .unwrap_err();
            assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}");
        }
        assert_eq!(world.server.mails(), []);
    }
}

#[tokio::test]
async fn nobody_there_is_no_last_word() {
    let world = World::new(Encryption::Clear, SmtpOptions::default());
    let settings = world.settings.clone();
    drop(world);
    let fault = Email::open(settings)
        .unwrap()
        .send(&MAIL)
        .await
        .unwrap_err();
    assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}");
    assert!(!fault.is_permanent() && !fault.may_be_done());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    for stage in [SmtpStage::Greeting, SmtpStage::Mail] {
        let options = SmtpOptions {
            replies: vec![(stage, String::new())],
            ..SmtpOptions::default()
        };
        let world = World::new(Encryption::Clear, options);
        let mut email = Email::open(world.settings.clone()).unwrap();
        email.attempt_timeout = Duration::from_millis(300);
        let fault = email.send(&MAIL).await.unwrap_err();
        assert!(matches!(fault, Fault::Late), "{fault:?}");
        assert!(fault.may_be_done() && !fault.is_permanent());
    }
}

#[tokio::test]
async fn what_is_no_mail_is_not_tried() {
    let world = World::new(Encryption::Clear, SmtpOptions::default());
    let email = Email::open(world.settings.clone()).unwrap();
    for to in ["", "li", "li@", "a@b\r\nRCPT TO:<c@d>", "a@b, c@d"] {
        let fault = email.send(&Mail { to, ..MAIL }).await.unwrap_err();
        assert!(matches!(fault, Fault::Unfit(_)), "{to}: {fault:?}");
    }
    // What would end a header's line does not.
    let subject = "one\r\nBcc: c@d\r\n\r\ntwo";
    email
        .send(&Mail {
            subject,
            id: "a\r\nb>",
            ..MAIL
        })
        .await
        .unwrap();
    let mail = world.mail();
    assert!(
        mail.data.contains("\nSubject: one Bcc: c@d two\n"),
        "{}",
        mail.data
    );
    assert!(
        mail.data.contains("\nMessage-ID: <ab@yard.example.org>\n"),
        "{}",
        mail.data
    );
    for settings in [
        EmailSettings {
            from: "nobody".into(),
            ..world.settings.clone()
        },
        EmailSettings {
            encryption: Encryption::StartTls,
            ca_file: Some("/nowhere".into()),
            ..world.settings.clone()
        },
    ] {
        assert!(Email::open(settings).is_err());
    }
}
