//! Calls on a clock of their own: what the service asks and tells is made up here.

use super::*;
use crate::{
    alarm::{
        channel::provider::{Callback, Provider, ProviderSettings},
        model::{AttemptId, Severity},
        telling::Report,
        wording::Wording,
    },
    config::Secret,
};
use std::sync::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const RING: Duration = Duration::from_secs(40);

pub(super) fn switchboard() -> Arc<Switchboard> {
    let settings = ProviderSettings {
        // Nobody is there, and nobody has to be.
        base_url: Secret("http://127.0.0.1:1".into()),
        account: "AC17".into(),
        token: Secret("hush".into()),
        from: "+18005551212".parse().unwrap(),
        allow_private: true,
        ca_file: None,
    };
    let provider = Arc::new(Provider::open(&settings).unwrap());
    Switchboard::new(provider, "https://yard.test".into(), TaskTracker::new())
}

/// What was reported, and what stands for the owner of alarms. A decision is kept once `keeps` says so.
#[derive(Clone, Default)]
struct Owner {
    reports: Arc<Mutex<Vec<String>>>,
}

impl Owner {
    fn errand(&self, pin: Option<&str>, mut keeps: watch::Receiver<bool>) -> Errand {
        let (sender, mut reports) = mpsc::channel(16);
        let log = Arc::clone(&self.reports);
        tokio::spawn(async move {
            while let Some(report) = reports.recv().await {
                let line = match report {
                    Report::Word(_, answer) => {
                        let _ = answer.send(Some(wording()));
                        continue;
                    }
                    Report::Step(_, step) => format!("{step:?}"),
                    Report::Key(_, key) => format!("key {key}"),
                    Report::Decide(_, decision, answer) => {
                        log.lock().unwrap().push(format!("{decision:?}"));
                        keeps.wait_for(|keeps| *keeps).await.unwrap();
                        let _ = answer.send(true);
                        continue;
                    }
                };
                log.lock().unwrap().push(line);
            }
        });
        Errand {
            attempt: AttemptId(1),
            destination: "+491".into(),
            language: Language::En,
            pin: pin.map(str::to_owned),
            withdrawn: CancellationToken::new(),
            reports: sender,
        }
    }

    fn reports(&self) -> Vec<String> {
        self.reports.lock().unwrap().clone()
    }
}

fn wording() -> Wording {
    Wording {
        spoken: "Alarm. High water.".into(),
        subject: String::new(),
        short: String::new(),
        notice: String::new(),
        long: String::new(),
        severity: Severity::High,
        is_test: false,
        alarms: Vec::new(),
    }
}

fn told(status: CallStatus, digits: Option<&str>) -> Callback {
    Callback::Call {
        call: "CA1".into(),
        status,
        digits: digits.map(str::to_owned),
        from: "+1".into(),
    }
}

/// A call that goes on by itself, and what the service does about it.
struct Talk {
    switchboard: Arc<Switchboard>,
    token: String,
    owner: Owner,
    keeps: watch::Sender<bool>,
    outcome: tokio::task::JoinHandle<Outcome>,
}

impl Talk {
    fn begin(pin: Option<&str>, placed: Result<String, Fault>) -> Self {
        let (switchboard, owner) = (switchboard(), Owner::default());
        let (keeps, keeping) = watch::channel(true);
        let errand = owner.errand(pin, keeping);
        let (placing, waiting) = oneshot::channel();
        let mut call = Call::waiting(&switchboard, waiting, RING);
        placing.send(placed).unwrap();
        let token = call.token.clone();
        let outcome = tokio::spawn(async move { converse(&mut call, &errand).await });
        Talk {
            switchboard,
            token,
            owner,
            keeps,
            outcome,
        }
    }

    fn placed(pin: Option<&str>) -> Self {
        Self::begin(pin, Ok("CA1".into()))
    }

    async fn turn(&self, turn: u32, keys: Option<&str>) -> String {
        let told = told(CallStatus::Answered, keys);
        self.switchboard
            .turn(&self.token, turn, &told)
            .await
            .unwrap()
    }

    fn status(&self, status: CallStatus) -> bool {
        self.switchboard
            .call_status(&self.token, &told(status, None))
    }
}

fn url(turn: u32, talk: &Talk) -> String {
    format!(
        "https://yard.test/callbacks/provider/calls/{}/turns/{turn}",
        talk.token
    )
}

#[tokio::test(start_paused = true)]
async fn one_key_in_one_turn_acknowledges_and_a_turn_that_comes_twice_counts_once() {
    let talk = Talk::placed(None);
    assert!(talk.status(CallStatus::Queued) && talk.status(CallStatus::Ringing));
    assert!(talk.status(CallStatus::Ringing));
    let first = talk.turn(1, None).await;
    let question = format!(
        "<Gather input=\"dtmf\" numDigits=\"1\" finishOnKey=\"\" timeout=\"8\" method=\"POST\" action=\"{}\">\
         <Say language=\"en-GB\">Alarm. High water. Press 1",
        url(2, &talk)
    );
    assert!(first.contains(&question), "{first}");
    let behind = format!(
        "</Say></Gather><Redirect method=\"POST\">{}</Redirect>",
        url(2, &talk)
    );
    assert!(first.contains(&behind), "{first}");
    assert_eq!(talk.turn(1, None).await, first);
    let goodbye = talk.turn(2, Some("1")).await;
    assert!(goodbye.contains("Acknowledged. Goodbye."), "{goodbye}");
    assert!(!goodbye.contains("<Gather"), "{goodbye}");
    // Whatever it bears this time.
    assert_eq!(talk.turn(2, Some("1")).await, goodbye);
    assert_eq!(talk.turn(2, Some("2")).await, goodbye);
    assert!(talk.turn(3, None).await.contains("<Response><Hangup/>"));
    assert_eq!(talk.outcome.await.unwrap(), Outcome::Acknowledged);
    let expected = ["Ringing", "Answered", "Told", "key 1", "Acknowledge"];
    assert_eq!(talk.owner.reports(), expected);
    // It is over: what still comes is told so, and nothing else.
    let late = told(CallStatus::Answered, Some("3"));
    let late = talk.switchboard.turn(&talk.token, 4, &late).await.unwrap();
    assert!(late.contains("This call is over."), "{late}");
    assert!(
        !talk
            .switchboard
            .call_status(&talk.token, &told(CallStatus::Completed, None))
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_to_be_kept_before_it_is() {
    let talk = Talk::placed(None);
    talk.turn(1, None).await;
    talk.keeps.send(false).unwrap();
    let waits = talk.turn(2, Some("1")).await;
    let again = format!(
        "<Pause length=\"1\"/><Redirect method=\"POST\">{}</Redirect>",
        url(2, &talk)
    );
    assert!(waits.contains(&again), "{waits}");
    assert_eq!(talk.turn(2, None).await, waits);
    talk.keeps.send(true).unwrap();
    assert!(talk.turn(2, None).await.contains("Acknowledged"));
    // Whoever hangs up now has said it all the same.
    assert!(talk.status(CallStatus::Completed));
    assert_eq!(talk.outcome.await.unwrap(), Outcome::Acknowledged);
    let decided = talk.owner.reports();
    assert_eq!(decided.iter().filter(|it| *it == "Acknowledge").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pin_is_asked_for_as_a_whole() {
    let talk = Talk::placed(Some("4711"));
    let first = talk.turn(1, None).await;
    assert!(
        first.contains("numDigits=\"4\" finishOnKey=\"#\""),
        "{first}"
    );
    assert!(!first.contains("High water"), "{first}");
    let wrong = talk.turn(2, Some("47")).await;
    assert!(wrong.contains("not your PIN"), "{wrong}");
    // A slip, taken back: the rest is asked for, without a word.
    let rest = talk.turn(3, Some("5*47")).await;
    assert!(rest.contains("numDigits=\"2\""), "{rest}");
    assert!(!rest.contains("<Say"), "{rest}");
    let alarms = talk.turn(4, Some("11")).await;
    assert!(alarms.contains("High water"), "{alarms}");
    assert!(talk.turn(5, Some("3")).await.contains("Muted"));
    talk.turn(6, None).await;
    assert_eq!(talk.outcome.await.unwrap(), Outcome::Muted);
    let keys: String = talk
        .owner
        .reports()
        .iter()
        .filter_map(|it| it.strip_prefix("key "))
        .collect();
    assert_eq!(keys, "********3");
}

#[tokio::test(start_paused = true)]
async fn silence_is_not_heard_and_neither_is_a_wrong_pin() {
    let talk = Talk::placed(None);
    for turn in 1..=3 {
        assert!(talk.turn(turn, None).await.contains("High water"), "{turn}");
    }
    assert!(talk.turn(4, None).await.contains("<Hangup/>"));
    assert_eq!(talk.outcome.await.unwrap(), Outcome::Unanswered);

    let talk = Talk::placed(Some("4711"));
    talk.turn(1, None).await;
    talk.turn(2, Some("1111")).await;
    talk.turn(3, Some("1111")).await;
    assert!(talk.turn(4, Some("1111")).await.contains("<Hangup/>"));
    assert_eq!(talk.outcome.await.unwrap(), Outcome::Unanswered);
}

#[tokio::test(start_paused = true)]
async fn how_a_call_ends_is_told() {
    let reason = |outcome: &Outcome| match outcome {
        Outcome::Failed { reason } => reason.clone(),
        other => format!("{other:?}"),
    };
    for (status, expected) in [
        (CallStatus::Busy, "Busy"),
        (CallStatus::NoAnswer, "NoAnswer"),
        (CallStatus::Failed, "the provider could not make the call"),
        (CallStatus::Cancelled, "the provider has withdrawn the call"),
        // Nobody was told anything in it.
        (
            CallStatus::Completed,
            "it was answered, and the provider did not ask what is to be said: see alarms.provider.callback_url",
        ),
    ] {
        let talk = Talk::placed(None);
        talk.status(CallStatus::Ringing);
        assert!(talk.status(status));
        assert_eq!(reason(&talk.outcome.await.unwrap()), expected);
    }
    let talk = Talk::begin(None, Err(Fault::Refused("400".into())));
    let refused = talk.outcome.await.unwrap();
    assert_eq!(reason(&refused), "it was refused: 400");
}

/// How long it takes to end.
async fn ends(talk: Talk) -> (Outcome, Duration) {
    let since = Instant::now();
    let outcome = talk.outcome.await.unwrap();
    (outcome, since.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nothing_is_told_of_ends_by_itself() {
    let (outcome, took) = ends(Talk::placed(None)).await;
    assert!(
        matches!(&outcome, Outcome::Failed { reason } if reason.contains("callback_url")),
        "{outcome:?}"
    );
    assert_eq!(took.as_secs(), 90);
    // It may ring although nobody has said so: no other call is made before that is known.
    let (outcome, took) = ends(Talk::begin(None, Err(Fault::Late))).await;
    let late = Outcome::Failed {
        reason: "it took too long".into(),
    };
    assert_eq!((outcome, took.as_secs()), (late, 90));
    let talk = Talk::begin(None, Err(Fault::Late));
    assert!(talk.turn(1, None).await.contains("High water"));
    assert!(talk.turn(2, Some("1")).await.contains("Acknowledged"));
    // And one that stops in the midst.
    let (outcome, took) = ends(talk).await;
    assert_eq!(outcome, Outcome::Acknowledged);
    assert!(took < Duration::from_secs(60), "{took:?}");
    let talk = Talk::placed(None);
    talk.status(CallStatus::Ringing);
    let (outcome, took) = ends(talk).await;
    assert_eq!((outcome, took.as_secs()), (Outcome::NoAnswer, 70));
    let talk = Talk::placed(None);
    talk.turn(1, None).await;
    let (outcome, took) = ends(talk).await;
    assert_eq!(outcome, Outcome::Unanswered);
    assert!(took < Duration::from_secs(180), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn however_much_is_asked_a_call_has_an_end() {
    let talk = Talk::placed(None);
    talk.turn(1, None).await;
    let since = Instant::now();
    let mut turn = 1;
    // Somebody who hears it again and again.
    while !talk.outcome.is_finished() {
        turn += 1;
        tokio::time::sleep(Duration::from_secs(20)).await;
        talk.turn(turn, Some("9")).await;
    }
    assert_eq!(talk.outcome.await.unwrap(), Outcome::Unanswered);
    let took = since.elapsed();
    assert!(
        took <= TALK_LIMIT + TALK_SLACK + Duration::from_secs(20),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_of_another_call_is_not_of_this_one() {
    let talk = Talk::placed(None);
    let other = Callback::Call {
        call: "CA2".into(),
        status: CallStatus::Completed,
        digits: None,
        from: String::new(),
    };
    // Once it is known what the service calls it.
    talk.turn(1, None).await;
    assert!(!talk.switchboard.call_status(&talk.token, &other));
    assert!(!talk.switchboard.call_status("another", &other));
    let turn = talk.switchboard.turn(&talk.token, 2, &other).await.unwrap();
    assert!(turn.contains("This call is over."), "{turn}");
    let own = told(CallStatus::Answered, None);
    for wrong in [0, 3, 99] {
        assert_eq!(talk.switchboard.turn(&talk.token, wrong, &own).await, None);
    }
    assert!(talk.turn(2, Some("1")).await.contains("Acknowledged"));
}
