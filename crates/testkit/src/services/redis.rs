//! Redis, started and ill-treated.

use crate::{Program, wait_until};
use anyhow::{Context, Result, bail};
use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::Command,
    time::Duration,
};

/// The server's program, of Debian's package `redis-server`.
const PROGRAM: &str = "redis-server";
/// How long a server that is well takes to answer at most.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How often another number is tried when somebody else has taken the free one.
const TRIES: usize = 10;

/// A running Redis, which keeps nothing over a restart. Dropping it ends it.
pub struct Redis {
    // Before the folder, which it works in.
    server: Option<Program>,
    folder: tempfile::TempDir,
    tcp_port: u16,
}

impl Redis {
    /// Starts one.
    ///
    /// # Errors
    /// When it is not installed, or does not come up.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchyard-redis-")
            .tempdir()?;
        let mut redis = Redis {
            server: None,
            folder,
            tcp_port: 0,
        };
        for _ in 0..TRIES {
            redis.tcp_port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            if redis.start_again().is_ok() {
                return Ok(redis);
            }
        }
        redis.start_again()?;
        Ok(redis)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.tcp_port)
    }

    /// Where it listens, on loopback.
    pub fn tcp_port(&self) -> u16 {
        self.tcp_port
    }

    /// Starts it after a stop, empty, where it was.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.folder.path()).args([
            "--bind",
            "127.0.0.1",
            "--port",
            &self.tcp_port.to_string(),
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ]);
        let server = Program::start("redis", &mut command)
            .with_context(|| format!("expected {PROGRAM}: apt-get install redis-server"))?;
        let server = self.server.insert(server);
        let mut ended = None;
        wait_until("Redis", || {
            ended = server.try_wait().ok().flatten();
            let is_there = ended.is_none() && ping(self.tcp_port);
            (is_there || ended.is_some()).then_some(())
        })?;
        if let Some(status) = ended {
            let failure = server.failure(&format!("ended with {status}"));
            self.server = None;
            return Err(failure);
        }
        Ok(())
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

    /// From now on it has no memory for anything new.
    ///
    /// # Errors
    /// When it does not take that.
    pub fn fill(&self) -> Result<()> {
        self.say(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])?;
        self.say(&["CONFIG", "SET", "maxmemory", "1"]).map(|_| ())
    }

    /// It has all the memory that it wants again.
    ///
    /// # Errors
    /// When it does not take that.
    pub fn unfill(&self) -> Result<()> {
        self.say(&["CONFIG", "SET", "maxmemory", "0"]).map(|_| ())
    }

    /// Says one command on a connection of its own; the answer as text, of a list
    /// one line for each value.
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub fn say(&self, words: &[&str]) -> Result<String> {
        say(self.tcp_port, words)
    }

    fn server(&mut self) -> Result<&mut Program> {
        self.server.as_mut().context("Redis is not running")
    }
}

fn ping(tcp_port: u16) -> bool {
    say(tcp_port, &["PING"]).is_ok_and(|answer| answer == "PONG")
}

fn say(tcp_port: u16, words: &[&str]) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, tcp_port))?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request += &format!("${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(request.as_bytes())?;
    read_answer(&mut BufReader::new(stream))
}

/// One value of Redis's protocol (RESP2) as text.
fn read_answer(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    let Some((mark, rest)) = line.split_at_checked(1) else {
        bail!("expected an answer of Redis and found none");
    };
    match mark {
        "+" | ":" => Ok(rest.into()),
        "$" if rest == "-1" => Ok(String::new()),
        "$" => {
            let mut bytes = vec![0; rest.parse::<usize>()? + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        "*" => {
            let count = rest.parse::<usize>()?;
            let values: Result<Vec<_>> = (0..count).map(|_| read_answer(stream)).collect();
            Ok(values?.join("\n"))
        }
        _ => bail!("Redis refused it: {rest}"),
    }
}
