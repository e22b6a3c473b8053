//! A connection to the broker: dialled, logged in, and kept alive.
//!
//! Packets are rumqttc's; reading and writing is done here, and not by its event loop, since TLS is to be
//! this gateway's own (rumqttc's brings older certificate libraries along), and since a broker that hangs has
//! to be told from one that is slow whichever way it hangs: one that does not read blocks a writer just as
//! well.

use super::{outbox::PACKET_BYTES_MAX, settings::MqttSettings};
use crate::{clock, config::Secret};
use bytes::BytesMut;
use rumqttc::{
    ConnAck, Connect, ConnectReturnCode, LastWill, Login, Packet, mqttbytes::Error as Malformed,
};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{collections::VecDeque, io, sync::Arc, time::Duration};
use switchyard_protocol::message::Time;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf},
    net::TcpStream,
    time::{Instant, sleep_until},
};
use tokio_rustls::TlsConnector;

/// Of that, how long one of a host's addresses may take.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(4);
/// From dialling to the broker's welcome: names are looked up, and a poor line has three turns.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the broker may take nothing of what is written, or over the answer to a ping.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where commands are taken, how often the broker is asked whether it is there at least: MQTT's messages bear no time, so
/// whatever comes is as old as may be since the latest question that was answered before it.
const ASK_WHERE_COMMANDED: Duration = Duration::from_secs(5);
/// Room for one read.
const READ_BYTES: usize = 8 * 1024;
/// The largest packet that is taken. A larger one on a topic that is heard ends the connection, so it must not
/// be too small either: whatever people keep there, a command is no kilobyte.
const TAKEN_BYTES_MAX: usize = PACKET_BYTES_MAX;

/// Why there is no connection, or no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Nobody there, or the line broke.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] io::Error),
    /// Whom it shows itself to be is not believed.
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    /// It does not want this gateway.
    #[error("it refuses this gateway: {}", refusal(*.0))]
    Refused(ConnectReturnCode),
    /// It says what no broker says.
    #[error("it does not speak MQTT 3.1.1: {0}")]
    Malformed(#[from] Malformed),
    /// It speaks MQTT out of turn.
    #[error("it sent {0} where that has no place")]
    OutOfTurn(&'static str),
    /// It is there and does nothing.
    #[error("it does not answer")]
    Hung,
    /// It has ended the connection.
    #[error("it closed the connection")]
    Closed,
}

fn refusal(code: ConnectReturnCode) -> &'static str {
    match code {
        ConnectReturnCode::Success => "no reason",
        ConnectReturnCode::RefusedProtocolVersion => "it does not speak this version of MQTT",
        ConnectReturnCode::BadClientId => "it does not take mqtt_client_id",
        ConnectReturnCode::ServiceUnavailable => "it is not available",
        ConnectReturnCode::BadUserNamePassword => "wrong user or password",
        ConnectReturnCode::NotAuthorized => "not authorised: wrong user or password, or none",
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Who dials where.
#[derive(Clone)]
pub(super) struct Dialler {
    pub(super) settings: MqttSettings,
    pub(super) client_id: String,
    /// Where the broker says that the gateway is lost.
    pub(super) will: Option<LastWill>,
    /// With TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Dialler {
    /// Dials, logs in, and waits for the welcome.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(super) async fn dial(&self) -> Result<Line, Fault> {
        let dialled = tokio::time::timeout(CONNECT_TIMEOUT, async {
            let stream = self.connect().await?;
            let mut line = Line::new(stream, self.ask_every());
            line.say(Packet::Connect(self.hello()))?;
            line.welcomed().await?;
            Ok(line)
        });
        dialled.await.unwrap_or(Err(Fault::Hung))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Fault> {
        let (host, tcp_port) = (self.settings.bare_host(), self.settings.tcp_port);
        let stream = dial_any(host, tcp_port).await?;
        // Packets are written together; waiting for acknowledgements only slows them.
        let _ = stream.set_nodelay(true);
        let Some(config) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| Fault::Tls(io::Error::other("expected a host's name")))?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, stream).await.map_err(Fault::Tls)?;
        Ok(Box::new(stream))
    }

    /// How often the broker is asked whether it is there.
    fn ask_every(&self) -> Duration {
        let settings = &self.settings;
        match settings.commands {
            true => settings.keep_alive.min(ASK_WHERE_COMMANDED),
            false => settings.keep_alive,
        }
    }

    fn hello(&self) -> Connect {
        let settings = &self.settings;
        let mut hello = Connect::new(self.client_id.clone());
        hello.keep_alive = settings.keep_alive.as_secs() as u16;
        // The broker keeps nothing for us while we are away: a command that waited there for hours is not what
        // anybody wants executed.
        hello.clean_session = true;
        hello.last_will = self.will.clone();
        let password = settings
            .password
            .as_ref()
            .map(|Secret(password)| password.as_str());
        let user = settings.user.as_deref();
        hello.login = user.map(|user| Login::new(user, password.unwrap_or_default()));
        hello
    }
}

/// A moment by two clocks: one that nobody sets, and one that goes on while the host sleeps.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Instant,
    time: Time,
}

impl Moment {
    fn now() -> Self {
        Moment {
            at: Instant::now(),
            time: clock::time(),
        }
    }

    /// Since then, by the clock by which that is longer.
    fn elapsed(&self) -> Duration {
        let by_time = clock::time().0.saturating_sub(self.time.0);
        self.at.elapsed().max(Duration::from_millis(by_time))
    }
}

/// What happens on a line.
#[derive(Debug)]
pub(super) enum Incident {
    /// A packet came.
    Came(Packet),
    /// There is room for more packets.
    Room,
}

/// A connection.
pub(super) struct Line {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    incoming: BytesMut,
    /// Packets that are to go.
    pub(super) outgoing: BytesMut,
    /// What is written may still lie in TLS's own buffer.
    is_unflushed: bool,
    ask_every: Duration,
    /// When the broker is asked whether it is there.
    ask_at: Instant,
    /// When it was, where it has not answered. It answers in that order, and is given up before there are many.
    asked: VecDeque<Moment>,
    /// The latest question that was answered: what has come since then was not there before it.
    answered: Moment,
    /// By when it has to take something, where something waits.
    progress_by: Option<Instant>,
}

impl Line {
    fn new(stream: Box<dyn Stream>, ask_every: Duration) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Line {
            reader,
            writer,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            is_unflushed: false,
            ask_every,
            ask_at: Instant::now() + ask_every,
            asked: VecDeque::new(),
            // Of a clean session nothing is older than its beginning.
            answered: Moment::now(),
            progress_by: None,
        }
    }

    /// How old what has come last may be at most: the broker had it after it took the question that it has answered
    /// since.
    pub(super) fn age(&self) -> Duration {
        self.answered.elapsed()
    }

    /// Whether a question has not been answered in time, or not even been asked: then this process was held still, and
    /// nobody knows since when what is here has lain here. Nothing of it is taken.
    fn is_late(&self, now: Instant) -> bool {
        let answer_by = self.asked.front().map(|asked| asked.at + PATIENCE);
        answer_by.is_some_and(|by| by <= now) || self.ask_at + PATIENCE <= now
    }

    /// Has a packet sent.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn say(&mut self, packet: Packet) -> Result<(), Fault> {
        packet.write(&mut self.outgoing, PACKET_BYTES_MAX)?;
        Ok(())
    }

    async fn welcomed(&mut self) -> Result<(), Fault> {
        loop {
            match self.next(None).await? {
                Incident::Came(Packet::ConnAck(ConnAck { code, .. })) => {
                    return match code {
                        ConnectReturnCode::Success => Ok(()),
                        code => Err(Fault::Refused(code)),
                    };
                }
                Incident::Came(_) => return Err(Fault::OutOfTurn("something before its welcome")),
                Incident::Room => {}
            }
        }
    }

    /// The next packet, or room for more, or `None` at a moment that the caller wants to be woken at.
    /// Cancel-safe.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(super) async fn next(&mut self, wake_at: Option<Instant>) -> Result<Incident, Fault> {
        loop {
            // Before anything is taken that has been read.
            if self.is_late(Instant::now()) {
                return Err(Fault::Hung);
            }
            if let Some(packet) = self.packet()? {
                return Ok(Incident::Came(packet));
            }
            let has_work = !self.outgoing.is_empty() || self.is_unflushed;
            if has_work && self.progress_by.is_none() {
                self.progress_by = Some(Instant::now() + PATIENCE);
            }
            let answer_by = self.asked.front().map(|asked| asked.at + PATIENCE);
            let moments = [Some(self.ask_at), answer_by, self.progress_by, wake_at];
            let moment = moments.into_iter().flatten().min().unwrap_or(self.ask_at);
            self.incoming.reserve(READ_BYTES);
            tokio::select! {
                read = self.reader.read_buf(&mut self.incoming) => {
                    if read? == 0 {
                        return Err(Fault::Closed);
                    }
                }
                pushed = push(&mut self.writer, &mut self.outgoing), if has_work => {
                    self.progress_by = None;
                    self.is_unflushed = match pushed? {
                        Some(0) => return Err(Fault::Closed),
                        Some(_) => true,
                        None => false,
                    };
                    if !self.is_unflushed {
                        return Ok(Incident::Room);
                    }
                }
                () = sleep_until(moment) => {
                    let now = Instant::now();
                    if self.is_late(now) || self.progress_by.is_some_and(|by| by <= now) {
                        return Err(Fault::Hung);
                    }
                    if self.ask_at <= now {
                        self.ask_at = now + self.ask_every;
                        self.asked.push_back(Moment::now());
                        self.say(Packet::PingReq)?;
                    }
                    if wake_at.is_some_and(|at| at <= now) {
                        return Ok(Incident::Room);
                    }
                }
            }
        }
    }

    fn packet(&mut self) -> Result<Option<Packet>, Fault> {
        loop {
            match Packet::read(&mut self.incoming, TAKEN_BYTES_MAX) {
                Ok(Packet::PingResp) => {
                    self.answered = self.asked.pop_front().unwrap_or(self.answered);
                }
                Ok(packet) => return Ok(Some(packet)),
                Err(Malformed::InsufficientBytes(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes out what there is, and ends.
    pub(super) async fn close(mut self) {
        let ending = async {
            self.writer.write_all_buf(&mut self.outgoing).await?;
            self.writer.shutdown().await
        };
        // A broker that does not take it learns it by the will.
        let _ = ending.await;
    }
}

/// Writes some of what there is, and how much that was; or, where there is nothing, sees that all of it leaves.
/// Cancel-safe.
async fn push(
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: &mut BytesMut,
) -> io::Result<Option<usize>> {
    if bytes.is_empty() {
        writer.flush().await?;
        return Ok(None);
    }
    writer.write_buf(bytes).await.map(Some)
}

/// Connects to the first address of a host that answers in time: one that is dead must not hide the others.
async fn dial_any(host: &str, tcp_port: u16) -> io::Result<TcpStream> {
    let mut latest = io::Error::from(io::ErrorKind::NotFound);
    for address in tokio::net::lookup_host((host, tcp_port)).await? {
        let dialled = tokio::time::timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await;
        match dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok(stream),
            Err(error) => latest = error,
        }
    }
    Err(latest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::DuplexStream;

    const KEEP_ALIVE: Duration = Duration::from_secs(20);

    fn line() -> (Line, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1_024);
        (Line::new(Box::new(ours), KEEP_ALIVE), theirs)
    }

    async fn bytes(stream: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        stream.read_buf(&mut bytes).await.unwrap();
        bytes.to_vec()
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_answers_pings_is_kept() {
        let (mut line, mut broker) = line();
        let start = Instant::now();
        let serving = tokio::spawn(async move {
            for _ in 0..5 {
                assert_eq!(bytes(&mut broker).await, [0xC0, 0]);
                broker.write_all(&[0xD0, 0]).await.unwrap();
            }
            broker
        });
        let end = start + 5 * KEEP_ALIVE + PATIENCE;
        while Instant::now() < end {
            line.next(Some(end)).await.unwrap();
        }
        drop(serving.await.unwrap());
        assert!(matches!(line.next(None).await, Err(Fault::Closed)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_is_given_up() {
        let (mut line, _broker) = line();
        let start = Instant::now();
        let fault = loop {
            if let Err(fault) = line.next(None).await {
                break fault;
            }
        };
        assert!(matches!(fault, Fault::Hung), "{fault}");
        assert_eq!(start.elapsed(), KEEP_ALIVE + PATIENCE);
    }

    /// Until the broker has been asked whether it is there.
    async fn asks(line: &mut Line, broker: &mut DuplexStream) {
        let mut asked = [0; 2];
        let asking = broker.read_exact(&mut asked);
        tokio::pin!(asking);
        loop {
            tokio::select! {
                biased;
                read = &mut asking => {
                    read.unwrap();
                    break;
                }
                incident = line.next(None) => drop(incident.unwrap()),
            }
        }
        assert_eq!(asked, [0xC0, 0]);
    }

    /// A message on a topic `c`, with QoS 0, and nothing in it.
    const MESSAGE: [u8; 5] = [0x30, 3, 0, 1, b'c'];

    #[tokio::test(start_paused = true)]
    async fn what_came_late_is_given_up_before_it_is_taken() {
        // The answer is overdue when the broker goes on, with an old message first.
        let (mut first, mut broker) = line();
        asks(&mut first, &mut broker).await;
        broker.write_all(&MESSAGE).await.unwrap();
        broker.write_all(&[0xD0, 0]).await.unwrap();
        // Nobody looks meanwhile, so timer and message are both there: neither is passed over.
        tokio::time::advance(PATIENCE).await;
        let fault = first.next(None).await.unwrap_err();
        assert!(matches!(fault, Fault::Hung), "{fault}");

        // This process was held still, and has not even asked.
        let (mut second, mut broker) = line();
        broker.write_all(&MESSAGE).await.unwrap();
        tokio::time::advance(KEEP_ALIVE + PATIENCE).await;
        let fault = second.next(None).await.unwrap_err();
        assert!(matches!(fault, Fault::Hung), "{fault}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_as_old_as_the_question_before_it() {
        let (mut line, mut broker) = line();
        asks(&mut line, &mut broker).await;
        // The broker stands still for some seconds, and then has a message in front of its answer and one behind.
        tokio::time::advance(Duration::from_secs(7)).await;
        broker.write_all(&MESSAGE).await.unwrap();
        broker.write_all(&[0xD0, 0]).await.unwrap();
        broker.write_all(&MESSAGE).await.unwrap();
        for expected in [KEEP_ALIVE + Duration::from_secs(7), Duration::from_secs(7)] {
            while !matches!(line.next(None).await.unwrap(), Incident::Came(_)) {}
            assert_eq!(line.age(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_reads_nothing_is_given_up_and_one_that_reads_slowly_is_not() {
        let (mut line, mut broker) = line();
        line.outgoing.extend_from_slice(&[0; 8 * 1_024]);
        let reading = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(PATIENCE / 2).await;
                bytes(&mut broker).await;
            }
            (Instant::now(), broker)
        });
        let fault = line.next(None).await.unwrap_err();
        assert!(matches!(fault, Fault::Hung), "{fault}");
        let (stopped, _broker) = reading.await.unwrap();
        assert!(Instant::now() >= stopped + PATIENCE / 2, "it had its time");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_packet_ends_it() {
        for (bytes, is_expected) in [
            (
                &[0xF0, 0][..],
                (|fault| matches!(fault, Fault::Malformed(_))) as fn(&Fault) -> bool,
            ),
            (&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], |fault| {
                matches!(fault, Fault::Malformed(_))
            }),
        ] {
            let (mut line, mut broker) = line();
            broker.write_all(bytes).await.unwrap();
            let fault = line.next(None).await.unwrap_err();
            assert!(is_expected(&fault), "{fault}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_welcome_is_awaited_and_a_refusal_has_its_reason() {
        for (answer, expected) in [
            (&[0x20, 2, 0, 0][..], None),
            (&[0x20, 2, 0, 5], Some("wrong user or password, or none")),
            (&[0x20, 2, 0, 2], Some("mqtt_client_id")),
            (&[0xD0, 0, 0x30, 2, 0, 0], Some("before its welcome")),
        ] {
            let (mut line, mut broker) = line();
            broker.write_all(answer).await.unwrap();
            let welcomed = line.welcomed().await.map_err(|fault| fault.to_string());
            match (welcomed, expected) {
                (Ok(()), None) => {}
                (Err(words), Some(expected)) => assert!(words.contains(expected), "{words}"),
                (welcomed, _) => panic!("{welcomed:?} to {answer:?}"),
            }
        }
    }
}
