//! Calls to the telephone of the test kit: keys by every way, losses, proof of the account, registration, ends.

use crate::sipp::{events, keys, until};
use anyhow::Result;
use std::time::Duration;
use switchyard_telephone::{
    End, Error, Event, Number, Progress, Registration, Trouble, Trunk, TrunkSettings,
    media::g711::Law,
    sip::digest::{Algorithm, Asker},
    speech::{Language, Speech, SpeechSettings},
};
use switchyard_testkit::{
    callee::{Behaviour, Callee, CalleeAccount, CalleeOptions, KeyWay, Press, Taking, What, When},
    wait_until,
};

const RING_LIMIT: Duration = Duration::from_secs(20);

fn settings(callee: &Callee) -> TrunkSettings {
    TrunkSettings::new(&callee.server(), "alarms", "a secret".into())
}

fn account(algorithm: Algorithm, asker: Asker) -> CalleeAccount {
    CalleeAccount {
        user: "alarms".into(),
        password: "a secret".into(),
        algorithm,
        asker,
        has_stale_nonces: false,
    }
}

fn number() -> Number {
    "123".parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_counts_once_by_whatever_way_it_comes() -> Result<()> {
    let ways = [KeyWay::Event, KeyWay::Info, KeyWay::Tone, KeyWay::All];
    let mut calls: tokio::task::JoinSet<Result<()>> =
        ways.into_iter().map(call_pressed_by).collect();
    while let Some(called) = calls.join_next().await {
        called??;
    }
    Ok(())
}

async fn call_pressed_by(way: KeyWay) -> Result<()> {
    let press = |key| Press {
        when: When::After(Duration::from_millis(300)),
        key,
        way,
    };
    let callee = Callee::start(CalleeOptions {
        behaviour: Behaviour {
            presses: "1199#".chars().map(press).collect(),
            hangs_up_after: Some(Duration::from_millis(600)),
            ..Behaviour::default()
        },
        ..CalleeOptions::default()
    })?;
    let trunk = Trunk::open(settings(&callee)).await?;
    let mut call = trunk.call(&number(), RING_LIMIT).await?;
    let (found, end) = events(&mut call).await;
    assert_eq!(keys(&found), "1199#", "{way:?}");
    assert_eq!(end, End::HungUpByThem);
    assert_eq!(callee.calls(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_is_what_is_heard() -> Result<()> {
    let callee = Callee::start(CalleeOptions {
        behaviour: Behaviour::pressing("1"),
        ..CalleeOptions::default()
    })?;
    let trunk = Trunk::open(settings(&callee)).await?;
    let speech = Speech::new(SpeechSettings::default());
    let sound = speech
        .say(Language::English, "Boiler seven is too hot. Press one.")
        .await?;
    let mut call = trunk.call(&number(), RING_LIMIT).await?;
    call.play(sound.clone());
    let found = until(&mut call, Event::Key('1')).await;
    let first = found.iter().position(|it| *it == Event::Played);
    assert!(first.is_some_and(|it| it < found.len() - 1), "{found:?}");
    assert_eq!(call.hang_up().await, End::HungUpByUs);
    callee.wait_for(&What::HungUpByCaller, 1)?;
    // All of it is there, sample by sample and in its order. A busy machine may have made pauses in between.
    let heard = callee.recording(1);
    let mut heard = heard.chunks_exact(160);
    for (index, piece) in sound.chunks_exact(160).enumerate() {
        let expected: Vec<i16> = piece
            .iter()
            .map(|it| Law::Mu.decode(Law::Mu.encode(*it)))
            .collect();
        assert!(heard.any(|it| it == expected), "packet {index} is missing");
    }
    Ok(())
}

/// By seeds, so that a failure can be had again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_made_though_packets_get_lost() -> Result<()> {
    for seed in 1..=4 {
        let callee = Callee::start(CalleeOptions {
            lost_in_thousand: 150,
            seed,
            account: Some(account(Algorithm::Md5, Asker::Server)),
            ..CalleeOptions::default()
        })?;
        let trunk = Trunk::open(settings(&callee)).await?;
        let mut call = trunk.call(&number(), RING_LIMIT).await?;
        until(&mut call, Event::Progress(Progress::Answered)).await;
        for key in "159".chars() {
            callee.press(key, KeyWay::Event);
            assert_eq!(call.next().await, Event::Key(key), "seed {seed}");
        }
        assert_eq!(call.hang_up().await, End::HungUpByUs, "seed {seed}");
        callee.wait_for(&What::HungUpByCaller, 1)?;
        assert_eq!(callee.calls(), 1, "seed {seed}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_is_proved_to_whoever_asks() -> Result<()> {
    for (algorithm, asker, has_stale_nonces) in [
        (Algorithm::Md5, Asker::Proxy, false),
        (Algorithm::Sha256, Asker::Server, false),
        (Algorithm::Sha256, Asker::Proxy, true),
    ] {
        let mut account = account(algorithm, asker);
        account.has_stale_nonces = has_stale_nonces;
        let callee = Callee::start(CalleeOptions {
            account: Some(account),
            ..CalleeOptions::default()
        })?;
        let trunk = Trunk::open(settings(&callee)).await?;
        assert_eq!(trunk.probe().await, Ok(()));
        let mut call = trunk.call(&number(), RING_LIMIT).await?;
        until(&mut call, Event::Progress(Progress::Answered)).await;
        assert_eq!(call.hang_up().await, End::HungUpByUs);
        let challenges = if has_stale_nonces { 4 } else { 2 };
        assert_eq!(
            callee.count(&What::Challenged),
            challenges,
            "{algorithm:?} {asker:?}"
        );
        // And to nobody by a wrong password.
        let mut wrong = settings(&callee);
        wrong.password = "another".into();
        let trunk = Trunk::open(wrong).await?;
        assert_eq!(trunk.probe().await, Err(Trouble::Unauthorised));
        let mut call = trunk.call(&number(), RING_LIMIT).await?;
        assert_eq!(events(&mut call).await.1, End::Unauthorised);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_wants_to_know_where_we_are_is_told_before_the_first_call() -> Result<()> {
    let callee = Callee::start(CalleeOptions {
        account: Some(account(Algorithm::Sha256, Asker::Server)),
        ..CalleeOptions::default()
    })?;
    let mut registering = settings(&callee);
    registering.registers = true;
    let trunk = Trunk::open(registering.clone()).await?;
    let call = trunk.call(&number(), RING_LIMIT).await?;
    assert_eq!(trunk.registration(), Registration::Registered);
    callee.wait_for(&What::Invited, 1)?;
    let steps = callee.steps();
    let place = |what| steps.iter().position(|it| it.what == what);
    assert!(place(What::Registered) < place(What::Invited), "{steps:?}");
    drop(call);
    registering.password = "another".into();
    let trunk = Trunk::open(registering).await?;
    let failed = Registration::Failed(Trouble::Unauthorised);
    wait_until("the trunk to refuse", || {
        (trunk.registration() == failed).then_some(())
    })?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_behaves_as_it_does() -> Result<()> {
    let callee = Callee::start(CalleeOptions::default())?;
    callee.behave("1", Behaviour::busy());
    callee.behave("2", Behaviour::never_taken());
    let declines = Taking::Refuses(603, "Decline".into());
    callee.behave(
        "3",
        Behaviour {
            taking: declines,
            ..Behaviour::default()
        },
    );
    callee.behave(
        "4",
        Behaviour {
            taking: Taking::Silent,
            ..Behaviour::default()
        },
    );
    let mut settings = settings(&callee);
    settings.silence_limit = Duration::from_millis(1_200);
    let trunk = Trunk::open(settings).await?;
    let silent = End::Trouble {
        trouble: Trouble::Silent,
        retry_after: None,
    };
    for (number, expected) in [
        ("1", End::Busy),
        ("2", End::NoAnswer),
        ("3", End::Declined),
        ("4", silent),
    ] {
        let ring_limit = Duration::from_millis(1_500);
        let mut call = trunk.call(&number.parse()?, ring_limit).await?;
        assert_eq!(events(&mut call).await.1, expected, "{number}");
        // After the end, the end.
        assert!(matches!(call.next().await, Event::Ended(_)));
    }
    assert_eq!(callee.calls(), 4);
    assert_eq!(callee.count(&What::Withdrawn), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_before_the_answer_are_an_announcement_s() -> Result<()> {
    let callee = Callee::start(CalleeOptions {
        behaviour: Behaviour {
            ring: Duration::from_millis(500),
            has_early_media: true,
            ..Behaviour::default()
        },
        ..CalleeOptions::default()
    })?;
    let trunk = Trunk::open(settings(&callee)).await?;
    let mut call = trunk.call(&number(), RING_LIMIT).await?;
    let found = until(&mut call, Event::Progress(Progress::Answered)).await;
    let expected =
        [Progress::Trying, Progress::EarlyMedia, Progress::Answered].map(Event::Progress);
    assert_eq!(found, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voicemail_speaks_and_presses_nothing() -> Result<()> {
    let speech = Speech::new(SpeechSettings::default());
    let greeting = speech
        .say(
            Language::English,
            "You have reached one two three. Please leave a message after the tone.",
        )
        .await?;
    let callee = Callee::start(CalleeOptions {
        behaviour: Behaviour {
            ring: Duration::ZERO,
            greeting: greeting.to_vec(),
            hangs_up_after: Some(Duration::from_secs(6)),
            ..Behaviour::default()
        },
        ..CalleeOptions::default()
    })?;
    let trunk = Trunk::open(settings(&callee)).await?;
    let mut call = trunk.call(&number(), RING_LIMIT).await?;
    let (found, end) = events(&mut call).await;
    assert_eq!((keys(&found).as_str(), end), ("", End::HungUpByThem));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_when_nobody_holds_it_or_it_has_lasted() -> Result<()> {
    let callee = Callee::start(CalleeOptions::default())?;
    let mut settings = settings(&callee);
    settings.talk_limit = Duration::from_secs(1);
    settings.calls_max = 1;
    let trunk = Trunk::open(settings).await?;
    let mut call = trunk.call(&number(), RING_LIMIT).await?;
    until(&mut call, Event::Progress(Progress::Answered)).await;
    // Only one at a time, and another when that is over.
    let second = trunk.call(&number(), RING_LIMIT).await;
    assert!(matches!(second, Err(Error::TooManyCalls(1))));
    drop(call);
    callee.wait_for(&What::HungUpByCaller, 1)?;
    let mut call = loop {
        match trunk.call(&number(), RING_LIMIT).await {
            Ok(call) => break call,
            Err(Error::TooManyCalls(_)) => tokio::task::yield_now().await,
            Err(error) => return Err(error.into()),
        }
    };
    assert_eq!(events(&mut call).await.1, End::TooLong);
    callee.wait_for(&What::HungUpByCaller, 2)?;
    // One that rings is withdrawn; the trunk may be gone too.
    callee.behave_otherwise(Behaviour::never_taken());
    let mut call = trunk.call(&number(), RING_LIMIT).await?;
    until(&mut call, Event::Progress(Progress::Ringing)).await;
    drop((call, trunk));
    callee.wait_for(&What::Withdrawn, 1)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_the_way_to_a_server_whose_name_nobody_knows() -> Result<()> {
    let callee = Callee::start(CalleeOptions::default())?;
    let mut settings = settings(&callee);
    settings.server = "pbx.invalid".into();
    settings.proxy = Some(callee.server());
    let trunk = Trunk::open(settings.clone()).await?;
    assert_eq!(trunk.probe().await, Ok(()));
    let mut call = trunk.call(&number(), RING_LIMIT).await?;
    until(&mut call, Event::Progress(Progress::Answered)).await;
    assert_eq!(call.hang_up().await, End::HungUpByUs);
    // Without it, the trunk can be opened, and says why nothing else works.
    settings.proxy = None;
    let trunk = Trunk::open(settings).await?;
    let trouble = trunk.probe().await;
    assert!(
        matches!(&trouble, Err(Trouble::Unreachable(why)) if why.contains("pbx.invalid")),
        "{trouble:?}"
    );
    assert!(matches!(
        trunk.call(&number(), RING_LIMIT).await,
        Err(Error::Resolve { .. })
    ));
    for server in ["", "a b", "pbx:0", "[::1"] {
        let settings = TrunkSettings::new(server, "alarms", "".into());
        assert!(
            matches!(Trunk::open(settings).await, Err(Error::Server(_))),
            "{server}"
        );
    }
    Ok(())
}

/// A connection that died without a word is not used for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_says_nothing_is_made_anew() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut settings = TrunkSettings::new(&listener.local_addr()?.to_string(), "alarms", "".into());
    settings.transport = switchyard_telephone::Transport::Tcp;
    settings.silence_limit = Duration::from_millis(300);
    let trunk = Trunk::open(settings).await?;
    let (first, second) = (trunk.probe(), listener.accept());
    let (told, accepted) = tokio::join!(first, second);
    assert_eq!(told, Err(Trouble::Silent));
    let (told, again) = tokio::join!(trunk.probe(), listener.accept());
    assert_eq!(told, Err(Trouble::Silent));
    assert_ne!(accepted?.1, again?.1);
    Ok(())
}
