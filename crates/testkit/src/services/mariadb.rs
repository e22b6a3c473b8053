//! MariaDB, started and ill-treated.

use crate::{Program, wait_until};
use anyhow::{Context, Result, bail};
use std::{
    io::Read as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

/// The server's program, of Debian's package `mariadb-server`.
const PROGRAM: &str = "mariadbd";
/// What makes a folder of data.
const INSTALLER: &str = "mariadb-install-db";
/// Databases that there are, all empty.
const DATABASES: u32 = 8;
/// What talks to it by hand.
const CLIENT: &str = "mariadb";
/// The room that there is for data, so that it can be full.
const SPACE_MEBIBYTES: usize = 96;
/// Pieces of ballast of one size: more do not fit.
const STONES_MAX: usize = 200;
/// How often another number is tried when somebody else has taken the free one.
const TRIES: usize = 10;

/// A running MariaDB. Dropping it ends it.
pub struct MariaDb {
    // Before the folder, which it works in.
    server: Option<Program>,
    folder: tempfile::TempDir,
    tcp_port: u16,
    /// What all its data may take.
    space_mebibytes: usize,
}

impl MariaDb {
    /// Makes a folder of data, and starts one on it.
    ///
    /// # Errors
    /// When it is not installed, or does not come up.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchyard-mariadb-")
            .tempdir()?;
        let mut mariadb = MariaDb {
            server: None,
            folder,
            tcp_port: 0,
            space_mebibytes: SPACE_MEBIBYTES,
        };
        mariadb.install()?;
        for _ in 0..TRIES {
            mariadb.tcp_port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            if mariadb.start_again().is_ok() {
                return Ok(mariadb);
            }
        }
        mariadb.start_again()?;
        Ok(mariadb)
    }

    /// The URL of one of its databases, from 0 on.
    ///
    /// # Panics
    /// When there is none of that number.
    pub fn url(&self, database: u32) -> String {
        assert!(database < DATABASES, "expected 0 to {}", DATABASES - 1);
        let tcp_port = self.tcp_port;
        format!("mysql://switchyard:secret@127.0.0.1:{tcp_port}/yard_{database}")
    }

    /// Where it listens, on loopback.
    pub fn tcp_port(&self) -> u16 {
        self.tcp_port
    }

    /// Has it say something as its root, and gives what it answers.
    ///
    /// # Errors
    /// When it refuses.
    pub fn say(&self, sql: &str) -> Result<String> {
        let socket = self.folder.path().join("socket");
        let said = Command::new(CLIENT)
            .arg("--no-defaults")
            .arg(format!("--socket={}", socket.display()))
            .args(["--user=root", "--batch", "--skip-column-names", "--execute"])
            .arg(sql)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {CLIENT}"))?;
        if !said.status.success() {
            bail!("{}", String::from_utf8_lossy(&said.stderr).trim());
        }
        Ok(String::from_utf8(said.stdout)?)
    }

    /// Takes all the room that it has: nothing new finds any, until [`unfill`](Self::unfill).
    ///
    /// # Errors
    /// When it is not running, or does not get full.
    pub fn fill(&self) -> Result<()> {
        self.say("CREATE DATABASE ballast; CREATE TABLE ballast.stone (weight LONGBLOB)")?;
        // Large stones first, then such that fit between them.
        for bytes in [1 << 20, 1 << 14, 1 << 10] {
            let stone = format!("INSERT INTO ballast.stone VALUES (REPEAT('x', {bytes}))");
            let filled = (0..STONES_MAX).find_map(|_| self.say(&stone).err());
            match filled {
                Some(error) if error.to_string().contains("is full") => {}
                Some(error) => return Err(error),
                None => bail!("expected {} MiB to get full", self.space_mebibytes),
            }
        }
        Ok(())
    }

    /// Starts anew with more room.
    ///
    /// # Errors
    /// When it does not end or come up.
    pub fn unfill(&mut self) -> Result<()> {
        self.stop()?;
        self.space_mebibytes *= 4;
        self.start_again()
    }

    /// Throws away all that one of its databases holds.
    ///
    /// # Errors
    /// When it is not running.
    pub fn empty(&self, database: u32) -> Result<()> {
        self.say(&format!(
            "DROP DATABASE yard_{database}; CREATE DATABASE yard_{database}"
        ))
        .map(drop)
    }

    /// All data in one file that grows no further than this.
    fn space(&self) -> [String; 2] {
        let max = self.space_mebibytes;
        [
            "--innodb-file-per-table=0".into(),
            format!("--innodb-data-file-path=ibdata1:12M:autoextend:max:{max}M"),
        ]
    }

    fn install(&self) -> Result<()> {
        let folder = self.folder.path();
        let made = Command::new(INSTALLER)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", folder.join("data").display()))
            .args([
                "--user=root",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ])
            // One that starts clears the folder for temporary tables, also of another's.
            .arg(format!("--tmpdir={}", folder.display()))
            .args(self.space())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {INSTALLER}: is mariadb-server installed?"))?;
        if !made.status.success() {
            let told = String::from_utf8_lossy(&made.stderr);
            bail!("{INSTALLER} ended with {}: {told}", made.status);
        }
        let mut sql =
            "CREATE USER IF NOT EXISTS switchyard@'127.0.0.1' IDENTIFIED BY 'secret';\n".to_owned();
        for number in 0..DATABASES {
            sql += &format!("CREATE DATABASE IF NOT EXISTS yard_{number};\n");
            sql += &format!("GRANT ALL ON yard_{number}.* TO switchyard@'127.0.0.1';\n");
        }
        std::fs::write(folder.join("init.sql"), sql)?;
        Ok(())
    }

    /// Starts it after a stop, with what it held.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again(&mut self) -> Result<()> {
        let folder = self.folder.path();
        let file = |name: &str| folder.join(name).display().to_string();
        let mut command = Command::new(PROGRAM);
        command
            .arg("--no-defaults")
            .arg(format!("--datadir={}", file("data")))
            .arg(format!("--socket={}", file("socket")))
            .arg(format!("--pid-file={}", file("pid")))
            .arg(format!("--tmpdir={}", folder.display()))
            .arg(format!("--init-file={}", file("init.sql")))
            .arg(format!("--port={}", self.tcp_port))
            .args([
                "--user=root",
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--innodb-buffer-pool-size=16M",
                "--innodb-log-file-size=8M",
            ])
            .args(self.space());
        let server =
            Program::start(PROGRAM, &mut command).context("is mariadb-server installed?")?;
        let server = self.server.insert(server);
        let tcp_port = self.tcp_port;
        wait_until("MariaDB's greeting", || {
            if server.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Some(Err(server.failure("ended at once")));
            }
            greets(tcp_port).then_some(Ok(()))
        })?
    }

    /// Ends it as a service manager would.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.stop()?;
        }
        Ok(())
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.kill()?;
        }
        Ok(())
    }

    /// Has it do nothing, without closing anything, until [`thaw`](Self::thaw).
    ///
    /// # Errors
    /// When it is not running.
    pub fn freeze(&self) -> Result<()> {
        self.running()?.freeze()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn thaw(&self) -> Result<()> {
        self.running()?.thaw()
    }

    fn running(&self) -> Result<&Program> {
        let server = self.server.as_ref();
        server.context("expected MariaDB to be running")
    }
}

/// Whether a server says the first word of its protocol.
fn greets(tcp_port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, tcp_port)) else {
        return false;
    };
    let patience = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut head = [0; 5];
    // Three bytes of length, a number, and the protocol's version, which is 10.
    patience.is_ok() && stream.read_exact(&mut head).is_ok() && head[4] == 10
}
