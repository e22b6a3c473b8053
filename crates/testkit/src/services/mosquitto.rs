//! Mosquitto, an MQTT broker, started and ill-treated.

use crate::{Program, wait_until};
use anyhow::{Context, Result};
use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

/// The server's program, of Debian's package `mosquitto`.
const PROGRAM: &str = "mosquitto";
/// Where Debian puts it, which is not on every path.
const PROGRAM_FILE: &str = "/usr/sbin/mosquitto";
/// What makes a file of passwords.
const PASSWORDS: &str = "mosquitto_passwd";
/// How often another number is tried when somebody else has taken the free one.
const TRIES: usize = 10;

/// How a broker is set up.
#[derive(Clone, Debug, Default)]
pub struct MosquittoOptions {
    /// Who alone may log in, and by which password; everybody without.
    pub account: Option<(String, String)>,
    /// The files of its certificate and its key: with them it speaks TLS only.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether it keeps over a restart what is retained.
    pub keeps: bool,
}

/// A running broker. Dropping it ends it.
pub struct Mosquitto {
    // Before the folder, which it works in.
    server: Option<Program>,
    folder: tempfile::TempDir,
    tcp_port: u16,
    options: MosquittoOptions,
}

impl Mosquitto {
    /// Starts one that lets everybody in and forgets everything over a restart.
    ///
    /// # Errors
    /// When it is not installed, or does not come up.
    pub fn start() -> Result<Self> {
        Self::start_with(MosquittoOptions::default())
    }

    /// Starts one.
    ///
    /// # Errors
    /// When it is not installed, or does not come up.
    pub fn start_with(options: MosquittoOptions) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchyard-mosquitto-")
            .tempdir()?;
        let mut broker = Mosquitto {
            server: None,
            folder,
            tcp_port: 0,
            options,
        };
        for _ in 0..TRIES {
            broker.tcp_port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            if broker.start_again().is_ok() {
                return Ok(broker);
            }
        }
        broker.start_again()?;
        Ok(broker)
    }

    /// Where it listens, on loopback.
    pub fn tcp_port(&self) -> u16 {
        self.tcp_port
    }

    /// Starts it after a stop, where it was.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again(&mut self) -> Result<()> {
        let settings = self.write_settings()?;
        let program = match Path::new(PROGRAM_FILE).exists() {
            true => PROGRAM_FILE,
            false => PROGRAM,
        };
        let mut command = Command::new(program);
        command.arg("-c").arg(settings);
        let server = Program::start(PROGRAM, &mut command)
            .with_context(|| format!("expected {PROGRAM}: apt-get install mosquitto"))?;
        let server = self.server.insert(server);
        let mut ended = None;
        wait_until("Mosquitto", || {
            ended = server.try_wait().ok().flatten();
            let is_there = || TcpStream::connect((Ipv4Addr::LOCALHOST, self.tcp_port)).is_ok();
            (ended.is_some() || is_there()).then_some(())
        })?;
        if let Some(status) = ended {
            let failure = server.failure(&format!("ended with {status}"));
            self.server = None;
            return Err(failure);
        }
        Ok(())
    }

    fn write_settings(&self) -> Result<PathBuf> {
        let folder = self.folder.path();
        let mut text = format!("listener {} 127.0.0.1\n", self.tcp_port);
        // Else root's broker becomes somebody who may not read the folder.
        text += "user root\n";
        match &self.options.account {
            None => text += "allow_anonymous true\n",
            Some((name, password)) => {
                let file = folder.join("passwords");
                let made = Command::new(PASSWORDS)
                    .args(["-c", "-b"])
                    .arg(&file)
                    .args([name, password])
                    .status()
                    .with_context(|| format!("expected {PASSWORDS}: apt-get install mosquitto"))?;
                anyhow::ensure!(made.success(), "{PASSWORDS} ended with {made}");
                writeln!(
                    text,
                    "allow_anonymous false\npassword_file {}",
                    file.display()
                )?;
            }
        }
        if let Some((certificate, key)) = &self.options.tls {
            writeln!(text, "certfile {}", certificate.display())?;
            writeln!(text, "keyfile {}", key.display())?;
        }
        if self.options.keeps {
            writeln!(
                text,
                "persistence true\npersistence_location {}/",
                folder.display()
            )?;
        }
        let file = folder.join("mosquitto.conf");
        fs::write(&file, text)?;
        Ok(file)
    }

    /// Ends it in good order.
    ///
    /// # Errors
    /// When it does not.
    pub fn stop(&mut self) -> Result<()> {
        self.server()?.stop()?;
        self.server = None;
        Ok(())
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&mut self) -> Result<()> {
        self.server()?.kill()?;
        self.server = None;
        Ok(())
    }

    /// Stops its clock: it holds its connections and answers nothing.
    ///
    /// # Errors
    /// When it is not running.
    pub fn freeze(&mut self) -> Result<()> {
        self.server()?.freeze()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn thaw(&mut self) -> Result<()> {
        self.server()?.thaw()
    }

    fn server(&mut self) -> Result<&mut Program> {
        self.server.as_mut().context("the broker is not running")
    }
}
