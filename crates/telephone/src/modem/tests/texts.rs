//! Texts sent, and texts that come.

use super::*;
use crate::modem::{pdu::Sender, report::Behind, words::Cause};
use std::time::SystemTime;

#[test]
fn texts_go_in_the_alphabet_that_they_need() {
    let mut world = World::ready(ModemOptions::default());
    for (text, parts, is_wide) in [
        ("Pump house: level {low} 3 €", 1, false),
        ("泵房：水位低 🔥", 1, true),
        (&*"Längster Alarm. ".repeat(20), 3, false),
        (&*"水位低🔥".repeat(50), 4, true),
        ("", 1, false),
    ] {
        let id = world.text("+49 171 111", text);
        assert_eq!(world.text_outcome(id), TextEvent::Sent { parts });
        assert_eq!(world.text_events(id).first(), Some(&TextEvent::Sending));
        let sent = world.modem.sent_texts().pop().unwrap();
        assert_eq!((sent.to.as_str(), sent.is_wide), ("+49171111", is_wide));
        assert_eq!((sent.text.as_str(), sent.parts), (text, usize::from(parts)));
    }
    // What is too long is cut, and says so.
    let id = world.text("12", &"0123456789".repeat(100));
    assert_eq!(world.text_outcome(id), TextEvent::Sent { parts: 4 });
    let sent = world.modem.sent_texts().pop().unwrap();
    assert_eq!((sent.text.len(), sent.text.ends_with("...")), (612, true));
}

#[test]
fn refusals_are_told_in_words() {
    let mut world = World::ready(ModemOptions {
        text_outcomes: vec![Some(50), None, Some(38), Some(512)],
        ..ModemOptions::default()
    });
    let id = world.text("12", "a");
    let fault = TextFault::Refused {
        cause: Cause::Message(50),
        part: 1,
        parts: 1,
    };
    assert_eq!(
        fault.to_string(),
        "message 1 of 1 was refused: this SIM has no contract for short messages (CMS 50)"
    );
    assert!(fault.is_permanent());
    assert_eq!(world.text_outcome(id), refused(fault));
    // The second part is refused: the first is gone, the third is not tried.
    let id = world.text("12", &"a".repeat(400));
    let TextEvent::Failed(fault) = world.text_outcome(id) else {
        panic!("sent");
    };
    assert_eq!(
        fault.to_string(),
        "message 2 of 3 was refused: the network failed (CMS 38)"
    );
    assert!(!fault.is_permanent());
    let id = world.text("12", "a");
    assert!(matches!(world.text_outcome(id), TextEvent::Failed(_)));
    let id = world.text("12", "a");
    assert_eq!(world.text_outcome(id), TextEvent::Sent { parts: 1 });
    assert_eq!(world.commands("AT+CMGS="), 5);
}

#[test]
fn what_waits_is_told_so_and_too_much_is_refused() {
    let mut world = World::ready(ModemOptions::default());
    let call = world.call("12");
    world.until("the answer", |world| {
        world.call_events(call).contains(&CallEvent::Answered)
    });
    let first = world.text("12", "first");
    let second = world.text("12", "second");
    world.pass(Duration::from_secs(5));
    assert_eq!(world.text_events(first), [TextEvent::Waiting(Behind::Call)]);
    assert_eq!(
        world.text_events(second),
        [TextEvent::Waiting(Behind::Text)]
    );
    let more: Vec<_> = (0..20).map(|_| world.text("12", "more")).collect();
    let given_up = world.call("12");
    world.settle();
    assert_eq!(world.text_events(more[19]), [refused(TextFault::Crowded)]);
    assert_eq!(
        world.call_events(given_up),
        [CallEvent::Ended(CallEnd::Crowded)]
    );
    world.machine.order(Order::HangUp { id: call });
    assert_eq!(world.text_outcome(second), TextEvent::Sent { parts: 1 });
    let sent: Vec<_> = world
        .modem
        .sent_texts()
        .into_iter()
        .map(|it| it.text)
        .collect();
    assert_eq!(sent, ["first", "second"]);
    // A call that still waits is taken back at once.
    let call = world.call("12");
    world.machine.order(Order::HangUp { id: call });
    assert_eq!(world.call_end(call), CallEnd::HungUp);
    assert_eq!(world.modem.calls().len(), 1);
}

#[test]
fn an_unanswered_text_is_neither_sent_nor_not() {
    let mut world = World::ready(ModemOptions::default());
    // Slower than anything is waited for.
    world
        .modem
        .change(|options| options.answer_delay = Duration::from_secs(1));
    let id = world.text("12", "a");
    world.until("the prompt", |world| world.commands("AT+CMGS=") == 1);
    world
        .modem
        .change(|options| options.answer_delay = Duration::from_secs(200));
    assert_eq!(world.text_outcome(id), refused(TextFault::Unknown));
}

#[test]
fn texts_that_come_are_given_out_and_deleted() {
    let mut world = World::ready(ModemOptions::default());
    world.pass(Duration::from_secs(1));
    world.modem.text_comes(world.now, "+49171111111", "ack 17");
    world
        .modem
        .text_comes(world.now, "12", &"Frage: 水位? ".repeat(30));
    world.until("both", |world| world.received().len() == 2);
    let first = &world.received()[0];
    assert_eq!(first.from, Sender::Number("+49171111111".parse().unwrap()));
    assert_eq!(first.text, "ack 17");
    // Noon of 27 November 2026.
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_780_800);
    assert_eq!(first.sent_at, Some(noon));
    assert_eq!(world.received()[1].text, "Frage: 水位? ".repeat(30));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.modem.stored(), 0);
    // That one waits is found out even where the modem does not tell it.
    world.modem.restart(world.now);
    world.until("the modem", |world| {
        world.state.condition == Condition::Starting
    });
    world.until("the modem", |world| {
        world.state.condition == Condition::Ready
    });
    world.modem.change(|options| options.places = 10);
    world.modem.text_comes(world.now, "12", "again");
    world.until("the third", |world| world.received().len() == 3);
}

#[test]
fn parts_wait_for_each_other_but_not_for_ever() {
    let mut world = World::ready(ModemOptions::default());
    let text = "0123456789".repeat(40);
    world.modem.some_parts_come(world.now, "12", &text, &[3, 1]);
    world.pass(Duration::from_secs(9 * 60));
    assert_eq!(world.received_texts(), Vec::<String>::new());
    assert_eq!(world.modem.stored(), 2);
    world.until("what there is", |world| !world.received().is_empty());
    assert_eq!(
        world.received_texts(),
        [format!("{}…{}", &text[..153], &text[306..])]
    );
    world.pass(Duration::from_secs(1));
    assert_eq!(world.modem.stored(), 0);
}

#[test]
fn a_full_sim_is_emptied() {
    let mut world = World::new(ModemOptions {
        places: 3,
        ..ModemOptions::default()
    });
    // A draft of somebody's, a part of a text, and something that is no text: and more waits in the network.
    world.modem.stores_draft("0011000281210000A70361F118");
    world
        .modem
        .some_parts_come(Duration::ZERO, "12", &"a".repeat(400), &[2]);
    world.modem.message_comes(Duration::ZERO, "00");
    world.modem.text_comes(Duration::ZERO, "12", "at last");
    assert_eq!(world.modem.stored(), 3);
    world.until("the text", |world| {
        world.received_texts().contains(&"at last".into())
    });
    assert_eq!(world.received_texts()[0], format!("…{}…", "a".repeat(153)));
    world.until("room", |world| world.state.storage == Some((0, 3)));
}

#[test]
fn a_draft_stays_while_there_is_room() {
    let mut world = World::new(ModemOptions::default());
    world.modem.stores_draft("0011000281210000A70361F118");
    world.until("the look", |world| world.state.storage == Some((1, 10)));
    world.pass(Duration::from_secs(300));
    assert_eq!(world.modem.stored(), 1);
}

#[test]
fn texts_stay_on_the_sim_until_somebody_takes_them() {
    let mut world = World::ready(ModemOptions::default());
    world.machine.order(Order::Room(1));
    for number in 0..3 {
        world
            .modem
            .text_comes(world.now, "12", &format!("text {number}"));
    }
    world.pass(Duration::from_secs(600));
    assert_eq!((world.received().len(), world.modem.stored()), (1, 2));
    world.machine.order(Order::Room(32));
    world.until("the others", |world| world.received().len() == 3);
    assert_eq!(world.received_texts(), ["text 0", "text 1", "text 2"]);
}
