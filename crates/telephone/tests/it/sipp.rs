//! SIPp as a telephone system, by scenarios of our own.

use anyhow::{Context, Result};
use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use switchyard_telephone::{
    Call, End, Event, Number, Progress, Transport, Trouble, Trunk, TrunkSettings,
    media::g711::Law,
    speech::{Language, Speech, SpeechSettings},
};
use switchyard_testkit::{Program, wait_until};

/// How long a call may ring where that is not what is tried.
const RING_LIMIT: Duration = Duration::from_secs(20);
/// Runs of SIPp that are tried until one gets the numbers that were free a moment ago.
const TRIES: usize = 5;

/// A running scenario.
pub(crate) struct Sipp {
    program: Program,
    udp_port: u16,
    // Its log lies there.
    _folder: tempfile::TempDir,
}

/// Three numbers that are free now: SIP, and RTP with the one behind it.
pub(crate) fn free_udp_ports() -> Result<(u16, u16)> {
    let sip = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let media = loop {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let number = socket.local_addr()?.port();
        if number % 2 == 0 && number < u16::MAX - 4 {
            break number;
        }
    };
    Ok((sip.local_addr()?.port(), media))
}

/// Whether somebody on this machine listens at a UDP number.
fn is_bound(udp_port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let ending = format!(":{udp_port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1))
        .any(|local| local.ends_with(&ending))
}

impl Sipp {
    /// Runs a scenario for one call.
    pub(crate) fn start(scenario: &str, transport: Transport) -> Result<Self> {
        Self::start_with(scenario, transport, &[])
    }

    /// Runs one that finds these files beside it.
    fn start_with(scenario: &str, transport: Transport, files: &[(&str, &[u8])]) -> Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            match Self::try_start(scenario, transport, files) {
                Ok(it) => return Ok(it),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("expected a try")?)
    }

    fn try_start(scenario: &str, transport: Transport, files: &[(&str, &[u8])]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchyard-sipp-")
            .tempdir()?;
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content)?;
        }
        let (udp_port, media) = free_udp_ports()?;
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/it/scenarios")
            .join(scenario);
        let mut command = Command::new("sipp");
        command
            .arg("-sf")
            .arg(file)
            .args(["-i", "127.0.0.1", "-p", &udp_port.to_string()])
            .args(["-mi", "127.0.0.1", "-mp", &media.to_string()])
            .args([
                "-t",
                if transport == Transport::Tcp {
                    "t1"
                } else {
                    "u1"
                },
            ])
            .args([
                "-m",
                "1",
                "-nostdin",
                "-rtp_echo",
                "-trace_err",
                "-error_file",
                "errors.log",
            ])
            .current_dir(folder.path());
        let mut program =
            Program::start("sipp", &mut command).context("apt-get install sip-tester")?;
        wait_until("SIPp to listen", || {
            let ended = program.try_wait().ok().flatten().is_some();
            let is_there = match transport {
                Transport::Udp => is_bound(udp_port),
                _ => std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, udp_port)).is_err(),
            };
            (ended || is_there).then_some(())
        })?;
        if let Some(status) = program.try_wait()? {
            return Err(program.failure(&format!("ended with {status}")));
        }
        Ok(Sipp {
            program,
            udp_port,
            _folder: folder,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.udp_port).into()
    }

    /// Settings of a trunk to it.
    pub(crate) fn settings(&self, transport: Transport) -> TrunkSettings {
        let server = format!("127.0.0.1:{}", self.udp_port);
        let mut settings = TrunkSettings::new(&server, "alarms", "a secret".into());
        settings.transport = transport;
        settings
    }

    /// Waits for the scenario to end, as it was written.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self.program.wait()?;
        let log =
            std::fs::read_to_string(self._folder.path().join("errors.log")).unwrap_or_default();
        anyhow::ensure!(status.success(), "SIPp ended with {status}: {log}");
        Ok(())
    }
}

/// Whether this process has the right `CAP_NET_RAW`, which is the thirteenth.
fn may_open_raw_sockets() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rights = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    rights
        .and_then(|it| u64::from_str_radix(it.trim(), 16).ok())
        .is_some_and(|it| it & 1 << 13 != 0)
}

/// The keys among what was told.
pub(crate) fn keys(events: &[Event]) -> String {
    events
        .iter()
        .filter_map(|it| match it {
            Event::Key(key) => Some(*key),
            _ => None,
        })
        .collect()
}

async fn call(sipp: &Sipp, transport: Transport, ring_limit: Duration) -> Result<(Trunk, Call)> {
    let trunk = Trunk::open(sipp.settings(transport)).await?;
    let number: Number = "+49 30 123".parse()?;
    let call = trunk.call(&number, ring_limit).await?;
    Ok((trunk, call))
}

/// All that a call tells until it ends by itself.
pub(crate) async fn events(call: &mut Call) -> (Vec<Event>, End) {
    let mut events = Vec::new();
    loop {
        match call.next().await {
            Event::Ended(end) => return (events, end),
            event => events.push(event),
        }
    }
}

pub(crate) async fn until(call: &mut Call, wanted: Event) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = call.next().await;
        events.push(event.clone());
        if event == wanted {
            return events;
        }
        assert!(
            !matches!(event, Event::Ended(_)),
            "expected {wanted:?} and found {events:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_proves_itself_and_the_call_is_answered() -> Result<()> {
    for transport in [Transport::Udp, Transport::Tcp] {
        let sipp = Sipp::start("account.xml", transport)?;
        let begun = Instant::now();
        let (_trunk, mut call) = call(&sipp, transport, RING_LIMIT).await?;
        let found = until(&mut call, Event::Progress(Progress::Answered)).await;
        assert_eq!(
            found,
            [Progress::Trying, Progress::Ringing, Progress::Answered].map(Event::Progress)
        );
        assert!(begun.elapsed() < Duration::from_secs(5));
        call.play(vec![1_000; 1_600].into());
        until(&mut call, Event::Played).await;
        assert_eq!(call.hang_up().await, End::HungUpByUs);
        sipp.finish()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_a_call_that_nobody_takes() -> Result<()> {
    let refused = |code, reason: &str| End::Refused {
        code,
        reason: reason.into(),
    };
    let trying = Event::Progress(Progress::Trying);
    for (scenario, expected, told) in [
        ("busy.xml", End::Busy, vec![]),
        ("unknown.xml", End::UnknownNumber { code: 404 }, vec![]),
        (
            "overloaded.xml",
            End::Trouble {
                trouble: Trouble::Failed {
                    code: 503,
                    reason: "Service Unavailable".into(),
                },
                retry_after: Some(Duration::from_secs(90)),
            },
            vec![],
        ),
        ("redirected.xml", refused(302, "Moved Temporarily"), vec![]),
        ("wrong-password.xml", End::Unauthorised, vec![]),
        ("no-common-sound.xml", End::NoCommonSound, vec![]),
    ] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let sipp = Sipp::start(scenario, transport)?;
            let (_trunk, mut call) = call(&sipp, transport, RING_LIMIT).await?;
            let (mut found, end) = events(&mut call).await;
            found.retain(|it| *it != trying);
            assert_eq!(
                (&end, &found),
                (&expected, &told),
                "{scenario} {transport:?}"
            );
            sipp.finish()
                .with_context(|| format!("{scenario} {transport:?}"))?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_rings_for_too_long_is_withdrawn() -> Result<()> {
    let sipp = Sipp::start("no-answer.xml", Transport::Udp)?;
    let (_trunk, mut call) = call(&sipp, Transport::Udp, Duration::from_secs(1)).await?;
    let (found, end) = events(&mut call).await;
    let expected = [Progress::Trying, Progress::Ringing].map(Event::Progress);
    assert_eq!((found.as_slice(), end), (&expected[..], End::NoAnswer));
    sipp.finish()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_holds_any_more_is_withdrawn() -> Result<()> {
    let sipp = Sipp::start("no-answer.xml", Transport::Udp)?;
    let (trunk, mut call) = call(&sipp, Transport::Udp, RING_LIMIT).await?;
    until(&mut call, Event::Progress(Progress::Ringing)).await;
    drop((call, trunk));
    sipp.finish()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_answered_while_it_is_withdrawn_is_hung_up() -> Result<()> {
    let sipp = Sipp::start("crossing.xml", Transport::Udp)?;
    let (_trunk, mut call) = call(&sipp, Transport::Udp, RING_LIMIT).await?;
    until(&mut call, Event::Progress(Progress::Ringing)).await;
    assert_eq!(call.hang_up().await, End::Withdrawn);
    sipp.finish()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_before_the_answer_is_told_and_their_hanging_up_too() -> Result<()> {
    let sipp = Sipp::start("early-media.xml", Transport::Udp)?;
    let (_trunk, mut call) = call(&sipp, Transport::Udp, RING_LIMIT).await?;
    let (found, end) = events(&mut call).await;
    let expected =
        [Progress::Trying, Progress::EarlyMedia, Progress::Answered].map(Event::Progress);
    assert_eq!((found.as_slice(), end), (&expected[..], End::HungUpByThem));
    sipp.finish()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_within_a_call_are_followed() -> Result<()> {
    for transport in [Transport::Udp, Transport::Tcp] {
        let sipp = Sipp::start("hold.xml", transport)?;
        let (_trunk, mut call) = call(&sipp, transport, RING_LIMIT).await?;
        until(&mut call, Event::Progress(Progress::Answered)).await;
        // Held for a while, it takes longer than its own half second.
        call.play(vec![1_000; 4_000].into());
        until(&mut call, Event::Played).await;
        assert_eq!(call.hang_up().await, End::HungUpByUs);
        sipp.finish()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_lives_as_long_as_the_trunk_wants() -> Result<()> {
    let sipp = Sipp::start("session-timer.xml", Transport::Udp)?;
    let (_trunk, mut call) = call(&sipp, Transport::Udp, RING_LIMIT).await?;
    until(&mut call, Event::Progress(Progress::Answered)).await;
    assert_eq!(call.hang_up().await, End::HungUpByUs);
    sipp.finish()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_telephones_that_answer_one_is_hung_up() -> Result<()> {
    let sipp = Sipp::start("forked.xml", Transport::Udp)?;
    let (_trunk, mut call) = call(&sipp, Transport::Udp, RING_LIMIT).await?;
    until(&mut call, Event::Progress(Progress::Answered)).await;
    // By then the other has answered too.
    call.play(vec![1_000; 4_000].into());
    until(&mut call, Event::Played).await;
    assert_eq!(call.hang_up().await, End::HungUpByUs);
    sipp.finish()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_says_nothing_is_given_up() -> Result<()> {
    let sipp = Sipp::start("silent.xml", Transport::Udp)?;
    let mut settings = sipp.settings(Transport::Udp);
    settings.silence_limit = Duration::from_secs(2);
    let trunk = Trunk::open(settings).await?;
    let mut call = trunk.call(&"1".parse()?, RING_LIMIT).await?;
    let (found, end) = events(&mut call).await;
    assert_eq!(found, []);
    let silent = End::Trouble {
        trouble: Trouble::Silent,
        retry_after: None,
    };
    assert_eq!(end, silent);
    assert_eq!(trunk.probe().await, Err(Trouble::Silent));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_is_not_there_is_told_at_once() -> Result<()> {
    // A number that nobody listens at: it is bound, and not listened on.
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let server = socket.local_addr()?.to_string();
    let mut settings = TrunkSettings::new(&server, "alarms", "".into());
    settings.transport = Transport::Tcp;
    let trunk = Trunk::open(settings).await?;
    assert!(matches!(trunk.probe().await, Err(Trouble::Unreachable(_))));
    let mut call = trunk.call(&"1".parse()?, RING_LIMIT).await?;
    let (_, end) = events(&mut call).await;
    assert!(end.is_trouble_of_trunk(), "{end:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_by_rtp_and_by_info() -> Result<()> {
    // SIPp plays captures by a raw socket; where it may not, the test kit's telephone alone presses keys.
    if !may_open_raw_sockets() {
        return Ok(());
    }
    let sipp = Sipp::start("keys.xml", Transport::Udp)?;
    let (_trunk, mut call) = call(&sipp, Transport::Udp, RING_LIMIT).await?;
    let found = until(&mut call, Event::Key('1')).await;
    assert_eq!(keys(&found), "5#1");
    assert_eq!(call.hang_up().await, End::HungUpByUs);
    sipp.finish()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voicemail_is_answered_and_never_a_key() -> Result<()> {
    let speech = Speech::new(SpeechSettings::default());
    let greeting = speech
        .say(
            Language::English,
            "Nobody is here. Please leave a message, or press nothing.",
        )
        .await?;
    let coded: Vec<u8> = greeting.iter().map(|it| Law::Mu.encode(*it)).collect();
    let sipp = Sipp::start_with("voicemail.xml", Transport::Udp, &[("greeting.ul", &coded)])?;
    let (_trunk, mut call) = call(&sipp, Transport::Udp, RING_LIMIT).await?;
    let (found, end) = events(&mut call).await;
    assert!(
        found.contains(&Event::Progress(Progress::Answered)),
        "{found:?}"
    );
    assert_eq!((keys(&found).as_str(), end), ("", End::HungUpByThem));
    sipp.finish()
}
