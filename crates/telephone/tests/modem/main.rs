//! A modem's driver over real serial ports: those of scripted modems on pseudo-terminals.

#![allow(clippy::unwrap_used, reason = "a panic in a test is its report")]

use std::{future::Future, io, time::Duration};
use switchyard_telephone::modem::{
    Behind, Call, CallEnd, CallEvent, CallLimits, Condition, Modem, ModemError, ModemSettings,
    ModemState, ReceivedText, Said, TextEvent, TextFault,
};
use switchyard_testkit::{
    PATIENCE,
    modem::{Callee, ModemKind, ModemOnTerminal, ModemOptions, Reaction},
};
use tokio::sync::{mpsc, watch};

const LIMITS: CallLimits = CallLimits {
    ring_max: Duration::from_secs(30),
    length_max: Duration::from_secs(60),
};

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("{what} never came"))
}

fn start(scripted: &ModemOnTerminal) -> (Modem, mpsc::Receiver<ReceivedText>) {
    start_with(scripted, None)
}

fn start_with(
    scripted: &ModemOnTerminal,
    pin: Option<&str>,
) -> (Modem, mpsc::Receiver<ReceivedText>) {
    Modem::start(ModemSettings {
        serial_port: scripted.path().to_owned(),
        baud: 115_200,
        pin: pin.map(|pin| pin.parse().unwrap()),
    })
    .unwrap()
}

async fn until(modem: &Modem, what: &str, is_so: impl FnMut(&ModemState) -> bool) -> ModemState {
    let mut state: watch::Receiver<ModemState> = modem.state();
    in_time(what, state.wait_for(is_so)).await.unwrap().clone()
}

async fn ready(modem: &Modem) -> ModemState {
    until(modem, "the modem", |state| {
        state.condition == Condition::Ready
    })
    .await
}

async fn call_until(call: &mut Call, event: CallEvent) {
    while in_time("the event", call.next()).await.unwrap() != event {}
}

#[tokio::test]
async fn texts_go_and_come_over_a_real_serial_port() {
    let scripted = ModemOnTerminal::start(ModemOptions {
        pin: Some("4711".into()),
        ..ModemOptions::default()
    })
    .unwrap();
    let (modem, mut received) = start_with(&scripted, Some("4711"));
    let state = ready(&modem).await;
    assert_eq!(state.capabilities.unwrap().model, "SIMCOM_SIM800C");
    let long = "Pump house: level low. ".repeat(20);
    for text in ["Pump house: level low", "泵房：水位低 🔥", &long] {
        let pending = modem.text("+49171111".parse().unwrap(), text).unwrap();
        in_time("the text", pending.outcome()).await.unwrap();
    }
    let sent: Vec<_> = scripted.with(|modem, _| modem.sent_texts());
    assert_eq!(
        sent.iter().map(|it| it.parts).collect::<Vec<_>>(),
        [1, 1, 4]
    );
    assert_eq!(sent[1].text, "泵房：水位低 🔥");
    assert_eq!(sent[2].text, long);

    scripted.with(|modem, now| modem.text_comes(now, "+49171111", "ack 17"));
    let text = in_time("the answer", received.recv()).await.unwrap();
    assert_eq!(
        (text.from.to_string().as_str(), text.text.as_str()),
        ("+49171111", "ack 17")
    );
    scripted
        .wait_for("an empty SIM", |modem| modem.stored() == 0)
        .unwrap();
}

#[tokio::test]
async fn a_call_is_made_spoken_into_and_ended_by_dropping_it() {
    let scripted = ModemOnTerminal::start(ModemOptions {
        kind: ModemKind::Quectel,
        ..ModemOptions::default()
    })
    .unwrap();
    let (modem, _received) = start(&scripted);
    ready(&modem).await;
    let mut call = modem.call("+49171111".parse().unwrap(), LIMITS).unwrap();
    call.say("Pump house: level low. 水位低。").unwrap();
    call_until(&mut call, CallEvent::Trying).await;
    call_until(&mut call, CallEvent::Answered).await;
    call_until(&mut call, CallEvent::Said(Said::InWords)).await;
    scripted.with(|modem, now| modem.press(now, '1'));
    call_until(&mut call, CallEvent::Key('1')).await;
    let text = modem.text("12".parse().unwrap(), "meanwhile");
    let mut text = text.unwrap();
    let first = in_time("a word", text.next()).await;
    assert_eq!(first, Some(TextEvent::Waiting(Behind::Call)));
    drop(call);
    assert_eq!(in_time("the text", text.outcome()).await, Ok(1));
    let calls = scripted.with(|modem, _| modem.calls().to_vec());
    assert!(calls[0].is_hung_up && calls[0].number == "+49171111");
    assert_eq!(calls[0].spoken.concat(), "Pump house: level low. 水位低。");
}

#[tokio::test]
async fn a_modem_that_is_unplugged_ends_its_call_and_comes_back() {
    let scripted = ModemOnTerminal::start(ModemOptions::default()).unwrap();
    let (modem, mut received) = start(&scripted);
    ready(&modem).await;
    for round in 0..2 {
        let mut call = modem.call("12".parse().unwrap(), LIMITS).unwrap();
        call_until(&mut call, CallEvent::Answered).await;
        let waiting = modem.text("12".parse().unwrap(), "waiting").unwrap();
        scripted.unplug();
        assert_eq!(in_time("the end", call.ended()).await, CallEnd::ModemLost);
        let fault = in_time("the end", waiting.outcome()).await.unwrap_err();
        assert!(
            matches!(fault, TextFault::NotReady(Condition::Absent(_))),
            "{fault}"
        );
        let absent = |state: &ModemState| matches!(state.condition, Condition::Absent(_));
        let state = until(&modem, "its absence", absent).await;
        assert_eq!(state.capabilities, None);
        // What is asked for now is refused at once.
        let text = modem.text("12".parse().unwrap(), "nobody there").unwrap();
        let fault = in_time("a refusal", text.outcome()).await.unwrap_err();
        assert!(
            matches!(fault, TextFault::NotReady(Condition::Absent(_))),
            "{fault}"
        );
        let call = modem.call("12".parse().unwrap(), LIMITS).unwrap();
        let end = in_time("a refusal", call.ended()).await;
        assert!(
            matches!(end, CallEnd::NotReady(Condition::Absent(_))),
            "{end}"
        );
        scripted.plug().unwrap();
        ready(&modem).await;
        let text = modem.text("12".parse().unwrap(), "back").unwrap();
        assert_eq!(in_time("the text", text.outcome()).await, Ok(1));
        scripted.with(|modem, now| modem.text_comes(now, "12", "hello again"));
        in_time("a text", received.recv()).await.unwrap();
        assert_eq!(
            scripted.with(|modem, _| modem.sent_texts().len()),
            round + 1
        );
    }
}

#[tokio::test]
async fn closing_hangs_up_and_lets_the_port_go() {
    let scripted = ModemOnTerminal::start(ModemOptions::default()).unwrap();
    let (modem, _received) = start(&scripted);
    ready(&modem).await;
    // Nobody else can open it meanwhile.
    let (other, _other_received) = start(&scripted);
    let absent = |state: &ModemState| matches!(state.condition, Condition::Absent(_));
    until(&other, "a refusal", absent).await;
    let mut call = modem.call("12".parse().unwrap(), LIMITS).unwrap();
    call_until(&mut call, CallEvent::Answered).await;
    in_time("the end", modem.close()).await;
    assert_eq!(in_time("the end", call.ended()).await, CallEnd::HungUp);
    assert!(scripted.with(|modem, _| modem.calls()[0].is_hung_up));
    let text = modem.text("12".parse().unwrap(), "too late");
    assert_eq!(text.unwrap_err(), ModemError::Closed);
    // The one that waited for it has it now.
    ready(&other).await;
    // With the last handle the thread ends.
    let mut state = other.state();
    drop(other);
    in_time("the end", async { while state.changed().await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_port_that_is_not_there_is_said_so() {
    let open = || Err::<io::Cursor<Vec<u8>>, _>(io::Error::other("no such modem"));
    let (modem, _received) = Modem::start_on(None, open).unwrap();
    let expected = Condition::Absent("no such modem".into());
    until(&modem, "its absence", |state| state.condition == expected).await;
    let text = modem.text("12".parse().unwrap(), "a").unwrap();
    let outcome = in_time("a refusal", text.outcome()).await;
    assert_eq!(outcome, Err(TextFault::NotReady(expected)));
    in_time("the end", modem.close()).await;
}

#[tokio::test]
async fn nobody_answers_and_the_next_one_is_busy() {
    let busy = Reaction::Busy(Duration::from_millis(100));
    let callees = [Reaction::RingsOn, busy].map(|reaction| Callee {
        reaction,
        ..Callee::default()
    });
    let scripted = ModemOnTerminal::start(ModemOptions {
        kind: ModemKind::Bare,
        callees: callees.to_vec(),
        ..ModemOptions::default()
    })
    .unwrap();
    let (modem, _received) = start(&scripted);
    ready(&modem).await;
    let limits = CallLimits {
        ring_max: Duration::from_secs(1),
        ..LIMITS
    };
    let call = modem.call("12".parse().unwrap(), limits).unwrap();
    assert_eq!(in_time("the end", call.ended()).await, CallEnd::NoAnswer);
    let call = modem.call("13".parse().unwrap(), limits).unwrap();
    assert_eq!(in_time("the end", call.ended()).await, CallEnd::Busy);
}
