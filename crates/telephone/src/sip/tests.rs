//! The agent by itself: messages and a clock that is moved by hand.

use crate::{
    outcome::{End, Progress, Trouble},
    sip::{
        agent::Agent,
        call::CallRequest,
        message::Message,
        requests::{Account, CallEvent, Output, Transport},
    },
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n\
    a=rtpmap:101 telephone-event/8000\r\n";
const CONTACT: &str = "Contact: <sip:123@192.0.2.1:5060>\r\n";

/// An agent with its time.
struct World {
    agent: Agent,
    start: Instant,
    now: Instant,
    /// What was sent, as `(ms, message)`, and how much of it was looked at.
    sent: Vec<(u128, Message)>,
    seen: usize,
    events: Vec<(u128, CallEvent)>,
    registered: Vec<(u128, Result<(), Trouble>)>,
    probed: Vec<Result<(), Trouble>>,
}

impl World {
    fn new(transport: Transport) -> Self {
        let account = Account {
            domain: "pbx".into(),
            user: "alarms".into(),
            password: "a secret".into(),
            caller: None,
            display_name: Some("The \"yard\"".into()),
            transport,
            route: None,
            public_ip: None,
            silence_limit: Duration::from_secs(10),
            redirect_prefixes: vec!["4".into()],
        };
        let start = Instant::now();
        let local = "192.0.2.7:5070".parse().unwrap();
        World {
            agent: Agent::new(account, [7; 32], local, server()),
            start,
            now: start,
            sent: Vec::new(),
            seen: 0,
            events: Vec::new(),
            registered: Vec::new(),
            probed: Vec::new(),
        }
    }

    fn calling(transport: Transport) -> Self {
        let mut world = World::new(transport);
        let request = CallRequest {
            id: 1,
            number: "123".into(),
            sound: "192.0.2.7:4000".parse().unwrap(),
            ring_limit: Duration::from_secs(30),
            talk_limit: Duration::from_secs(300),
        };
        world.agent.call(&request, world.now);
        world.drain();
        world
    }

    /// A call that was answered, with these fields in the answer.
    fn talking(fields: &str) -> Self {
        let mut world = World::calling(Transport::Udp);
        world.reply("INVITE", 200, "1", &format!("{CONTACT}{fields}"), SDP);
        world
    }

    fn ms(&self) -> u128 {
        (self.now - self.start).as_millis()
    }

    fn drain(&mut self) {
        let ms = self.ms();
        while let Some(output) = self.agent.output() {
            match output {
                Output::Send { bytes, .. } => self.sent.push((ms, Message::parse(&bytes).unwrap())),
                Output::Call { event, .. } => self.events.push((ms, event)),
                Output::Registered(outcome) => self.registered.push((ms, outcome)),
                Output::Probed(outcome) => self.probed.push(outcome),
            }
        }
    }

    /// Lets time pass, doing everything when it is due.
    fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        let mut turns = 0;
        while let Some(due) = self.agent.next_due().filter(|it| *it <= end) {
            self.now = self.now.max(due);
            self.agent.tick(self.now);
            self.drain();
            turns += 1;
            assert!(turns < 10_000, "it wakes for nothing");
        }
        self.now = end;
        self.agent.tick(self.now);
        self.drain();
    }

    fn take(&mut self, text: &str) {
        let message = Message::parse(text.as_bytes()).unwrap();
        self.agent.message(&message, server(), self.now);
        self.drain();
    }

    /// The last request of a method that was sent.
    fn last(&self, method: &str) -> &Message {
        let mut all = self.sent.iter().rev().map(|(_, message)| message);
        all.find(|it| it.method() == Some(method))
            .expect("expected a request")
    }

    /// Answers the last request of a method.
    fn reply(&mut self, method: &str, code: u16, tag: &str, fields: &str, body: &str) {
        let answer = Message::response(self.last(method), code, "Told", tag);
        self.answer(&answer, fields, body);
    }

    fn answer(&mut self, answer: &Message, fields: &str, body: &str) {
        let text = String::from_utf8(answer.to_bytes()).unwrap();
        let (head, _) = text.split_once("Content-Length").unwrap();
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        self.take(&format!("{head}{fields}{kind}\r\n{body}"));
    }

    /// A request of the other side within the call.
    fn ask(&mut self, method: &str, number: u32, fields: &str, body: &str) {
        let invite = self.last("INVITE");
        let field = |name| invite.headers.first(name).unwrap();
        let to = field("To").split(';').next().unwrap();
        let text = format!(
            "{method} sip:alarms@192.0.2.7 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{method}{number}\r\n\
             From: {to};tag=1\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n{fields}{}\r\n{body}",
            field("From"),
            field("Call-ID"),
            if body.is_empty() {
                ""
            } else {
                "Content-Type: application/sdp\r\n"
            },
        );
        self.take(&text);
    }

    /// Methods and codes that were sent since the last time, with their milliseconds.
    fn log(&mut self) -> Vec<(u128, String)> {
        let name = |message: &Message| match message.method() {
            Some(method) => method.to_owned(),
            None => message.code().unwrap_or_default().to_string(),
        };
        let log = self.sent[self.seen..].iter();
        let log = log.map(|(ms, message)| (*ms, name(message))).collect();
        self.seen = self.sent.len();
        log
    }

    /// The same without the times.
    fn names(&mut self) -> Vec<String> {
        self.log().into_iter().map(|(_, name)| name).collect()
    }

    fn end(&self) -> Option<&End> {
        self.events.iter().find_map(|(_, event)| match event {
            CallEvent::Ended(end) => Some(end),
            _ => None,
        })
    }

    fn ends_at(&self) -> Option<u128> {
        let is_end = |event: &CallEvent| matches!(event, CallEvent::Ended(_));
        self.events
            .iter()
            .find(|(_, event)| is_end(event))
            .map(|(ms, _)| *ms)
    }
}

fn server() -> SocketAddr {
    "192.0.2.1:5060".parse().unwrap()
}

fn silent() -> End {
    End::Trouble {
        trouble: Trouble::Silent,
        retry_after: None,
    }
}

#[test]
fn an_invite_says_who_calls_whom_and_how() {
    let world = World::calling(Transport::Udp);
    let invite = world.last("INVITE");
    let field = |name| invite.headers.first(name).unwrap_or_default();
    assert!(field("From").starts_with("\"The \\\"yard\\\"\" <sip:alarms@pbx>;tag="));
    assert_eq!(field("To"), "<sip:123@pbx>");
    assert_eq!(field("Contact"), "<sip:alarms@192.0.2.7:5070>");
    assert_eq!(field("Max-Forwards"), "70");
    assert!(field("Via").starts_with("SIP/2.0/UDP 192.0.2.7:5070;rport;branch=z9hG4bK"));
    assert!(invite.headers.has("Supported", "timer") && !invite.headers.has("Supported", "100rel"));
    assert!(!invite.body.is_empty());
}

#[test]
fn a_silent_trunk_is_given_up_and_told_when_it_wakes_up_too_late() {
    let mut world = World::calling(Transport::Udp);
    world.pass(20_000);
    let expected = [0, 500, 1_500, 3_500, 7_500].map(|ms| (ms, "INVITE".to_owned()));
    assert_eq!(world.end(), Some(&silent()));
    assert_eq!(world.ends_at(), Some(10_000));
    // It rings after all: it is told that nobody wants it any more.
    let invite = world.last("INVITE").clone();
    assert_eq!(world.log(), expected);
    world.answer(
        &Message::response(&invite, 180, "Ringing", "1"),
        CONTACT,
        "",
    );
    assert_eq!(world.names(), ["CANCEL"]);
    // It is taken after all: it is hung up.
    world.answer(&Message::response(&invite, 200, "OK", "1"), CONTACT, SDP);
    assert_eq!(world.names(), ["ACK", "BYE"]);
    world.pass(100_000);
    assert_eq!(world.agent.next_due(), None);
    assert_eq!(world.events.len(), 1);
}

#[test]
fn what_is_withdrawn_early_is_cancelled_as_soon_as_it_may_be() {
    let mut world = World::calling(Transport::Udp);
    world.agent.hang_up(1, world.now);
    world.pass(1_000);
    assert_eq!(world.names(), ["INVITE", "INVITE"]);
    let mut world = World::calling(Transport::Udp);
    world.agent.hang_up(1, world.now);
    world.reply("INVITE", 100, "", "", "");
    assert_eq!(world.names(), ["INVITE", "CANCEL"]);
    // The branch is the INVITE's, and nothing is told before its end is.
    assert_eq!(world.end(), None);
}

#[test]
fn ringing_has_its_limit() {
    for (answers, expected_ms) in [(true, 30_000), (false, 34_000)] {
        let mut world = World::calling(Transport::Udp);
        world.reply("INVITE", 180, "1", CONTACT, "");
        let invite = world.last("INVITE").clone();
        world.pass(30_000);
        assert_eq!(world.names(), ["INVITE", "CANCEL"]);
        if answers {
            world.answer(
                &Message::response(&invite, 487, "Request Terminated", "1"),
                "",
                "",
            );
            assert_eq!(world.names(), ["ACK"]);
        }
        world.pass(200_000);
        assert_eq!(
            (world.end(), world.ends_at()),
            (Some(&End::NoAnswer), Some(expected_ms))
        );
        assert_eq!(world.agent.next_due(), None);
    }
}

#[test]
fn progress_is_told_once_and_in_order() {
    let mut world = World::calling(Transport::Udp);
    for code in [100, 180, 180, 183, 180] {
        let body = if code == 183 { SDP } else { "" };
        world.reply("INVITE", code, "1", CONTACT, body);
    }
    world.reply("INVITE", 200, "1", CONTACT, SDP);
    let told: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            CallEvent::Progress(progress) => Some(*progress),
            _ => None,
        })
        .collect();
    use Progress::{Answered, EarlyMedia, Ringing, Trying};
    assert_eq!(told, [Trying, Ringing, EarlyMedia, Answered]);
    let sounds = world
        .events
        .iter()
        .filter(|(_, it)| matches!(it, CallEvent::Sound(_)));
    assert_eq!(sounds.count(), 1);
}

#[test]
fn an_answer_that_comes_again_is_acknowledged_again() {
    let mut world = World::talking("");
    let invite = world.last("INVITE").clone();
    let acks = world
        .sent
        .iter()
        .filter(|(_, it)| it.method() == Some("ACK"));
    let first = acks.map(|(_, it)| it.clone()).next().unwrap();
    for _ in 0..3 {
        world.answer(&Message::response(&invite, 200, "OK", "1"), CONTACT, SDP);
    }
    assert_eq!(world.names(), ["INVITE", "ACK", "ACK", "ACK", "ACK"]);
    // Another telephone: acknowledged, hung up, and once.
    for _ in 0..2 {
        world.answer(&Message::response(&invite, 200, "OK", "2"), CONTACT, SDP);
    }
    assert_eq!(world.names(), ["ACK", "BYE", "ACK"]);
    assert_eq!(world.end(), None);
    assert_eq!(first.sequence(), Some((1, "ACK")));
}

#[test]
fn a_talk_has_its_limit_even_where_nobody_says_good_bye() {
    let mut world = World::talking("");
    world.log();
    world.pass(400_000);
    assert_eq!(
        (world.end(), world.ends_at()),
        (Some(&End::TooLong), Some(304_000))
    );
    let log = world.log();
    assert!(log.iter().all(|(_, name)| name == "BYE"), "{log:?}");
    assert_eq!((log[0].0, log.len()), (300_000, 11));
    assert_eq!(world.agent.next_due(), None);
}

#[test]
fn a_session_of_ours_is_refreshed_at_half_its_time() {
    for (allow, method) in [("Allow: INVITE, UPDATE\r\n", "UPDATE"), ("", "INVITE")] {
        let mut world = World::talking(&format!("{allow}Session-Expires: 200;refresher=uac\r\n"));
        world.log();
        world.pass(100_000);
        assert_eq!(world.log(), [(100_000, method.to_owned())]);
        // It met a request of theirs, and is tried again after 3 s.
        let mut world = World::talking(&format!("{allow}Session-Expires: 200;refresher=uac\r\n"));
        world.pass(100_000);
        world.reply(method, 491, "1", "", "");
        world.log();
        world.pass(3_000);
        assert_eq!(world.log(), [(103_000, method.to_owned())]);
    }
    // They know of no such call any more.
    let mut world = World::talking("Allow: UPDATE\r\nSession-Expires: 200;refresher=uac\r\n");
    world.pass(100_000);
    world.reply("UPDATE", 481, "1", "", "");
    world.reply("BYE", 481, "1", "", "");
    assert_eq!(world.end(), Some(&End::Lost));
}

#[test]
fn a_session_of_theirs_that_they_let_go_is_lost() {
    // Each refresh of theirs gives it another 150 s, of which a third, 32 s at most, is kept back.
    let mut world = World::talking("Session-Expires: 150;refresher=uas\r\n");
    world.pass(100_000);
    world.ask("UPDATE", 1, "Session-Expires: 150;refresher=uac\r\n", "");
    assert_eq!(world.names().last().map(String::as_str), Some("200"));
    world.pass(117_000);
    assert_eq!(world.end(), None);
    world.pass(10_000);
    assert_eq!(
        (world.end(), world.ends_at()),
        (Some(&End::Lost), Some(222_000))
    );
    let mut world = World::talking("Session-Expires: 90;refresher=uas\r\n");
    world.pass(59_000);
    assert_eq!(world.end(), None);
    world.pass(10_000);
    assert_eq!(
        (world.end(), world.ends_at()),
        (Some(&End::Lost), Some(64_000))
    );
}

#[test]
fn an_answer_to_a_change_is_told_until_it_is_acknowledged() {
    let mut world = World::talking("");
    world.log();
    let hold = format!("{SDP}a=sendonly\r\n");
    world.ask("INVITE", 7, CONTACT, &hold);
    let sounds = |world: &World| {
        let last = world
            .events
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                CallEvent::Sound(sound) => Some(sound.to),
                _ => None,
            });
        last.flatten()
    };
    assert_eq!(sounds(&world), None);
    world.pass(4_000);
    let expected = [(0, "200"), (500, "200"), (1_500, "200"), (3_500, "200")];
    assert_eq!(
        world.log(),
        expected.map(|(ms, name)| (ms, name.to_owned()))
    );
    // The same request again is answered by the same words; another one has to wait.
    world.ask("INVITE", 7, CONTACT, &hold);
    world.ask("INVITE", 8, CONTACT, SDP);
    assert_eq!(world.names(), ["200", "491"]);
    world.ask("ACK", 7, "", "");
    world.pass(60_000);
    assert_eq!(world.names(), Vec::<String>::new());
    world.ask("INVITE", 9, CONTACT, SDP);
    assert!(sounds(&world).is_some());
    // Never acknowledged: whoever asked is gone.
    world.pass(40_000);
    assert_eq!(world.end(), Some(&End::Lost));
}

#[test]
fn requests_within_a_call_are_judged() {
    let mut world = World::talking("");
    world.log();
    world.ask("INFO", 10, "", "");
    world.ask("OPTIONS", 9, "", "");
    world.ask("OPTIONS", 11, "", "");
    world.ask("UPDATE", 12, "Require: precondition\r\n", SDP);
    world.ask("UPDATE", 13, "", "v=0\r\nm=audio 4 RTP/AVP 18\r\n");
    world.ask("REFER", 14, "", "");
    world.ask("CANCEL", 15, "", "");
    assert_eq!(
        world.names(),
        ["200", "500", "200", "420", "488", "405", "481"]
    );
    world.ask("BYE", 16, "", "");
    assert_eq!(world.names(), ["200"]);
    assert_eq!(world.end(), Some(&End::HungUpByThem));
    world.ask("INFO", 17, "", "");
    assert_eq!(world.names(), ["481"]);
}

#[test]
fn strangers_are_answered_and_change_nothing() {
    let mut world = World::new(Transport::Udp);
    for (method, to, expected) in [
        ("OPTIONS", "<sip:a@h>", "200"),
        ("INVITE", "<sip:a@h>", "486"),
        ("INVITE", "<sip:a@h>;tag=x", "481"),
        ("BYE", "<sip:a@h>;tag=x", "481"),
        ("CANCEL", "<sip:a@h>", "481"),
        ("MESSAGE", "<sip:a@h>", "405"),
    ] {
        let text = format!(
            "{method} sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{method}{expected}\r\n\
             From: <sip:x@y>;tag=1\r\nTo: {to}\r\nCall-ID: x\r\nCSeq: 1 {method}\r\n\r\n"
        );
        world.take(&text);
        world.take(&text);
        let sent: Vec<_> = world.sent[world.seen..]
            .iter()
            .map(|(_, it)| it.to_bytes())
            .collect();
        assert!(sent.len() == 2 && sent[0] == sent[1], "{method}");
        assert_eq!(world.names(), [expected, expected], "{method} {to}");
    }
    world.take(
        "ACK sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKq\r\nTo: <sip:a@h>;tag=x\r\n\r\n",
    );
    world.take("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKq\r\nCSeq: 1 INVITE\r\nCall-ID: x\r\n\r\n");
    assert_eq!(world.names(), Vec::<String>::new());
    assert_eq!(world.agent.next_due(), None);
}

#[test]
fn a_connection_that_breaks_ends_what_is_asked_and_not_what_is_talked() {
    let mut world = World::calling(Transport::Tcp);
    world.pass(5_000);
    assert_eq!(world.names(), ["INVITE"]);
    world.agent.connection_lost("broken", world.now);
    world.drain();
    let trouble = Trouble::Unreachable("broken".into());
    let expected = End::Trouble {
        trouble,
        retry_after: None,
    };
    assert_eq!(world.end(), Some(&expected));
    let mut world = World::talking("");
    world.agent.connection_lost("broken", world.now);
    world.pass(1_000);
    assert_eq!(world.end(), None);
}

/// What was sent is forgotten; what nobody waits for any more still comes to its end.
#[test]
fn a_farewell_is_said_again_over_the_next_connection() {
    let mut world = World::calling(Transport::Tcp);
    world.reply("INVITE", 200, "1", CONTACT, SDP);
    world.agent.hang_up(1, world.now);
    world.drain();
    assert_eq!(world.names(), ["INVITE", "ACK", "BYE"]);
    let bye = world.last("BYE").clone();
    for (pause_ms, at) in [(500, 500), (1_000, 1_500), (2_000, 3_500)] {
        world.agent.connection_lost("broken", world.now);
        world.drain();
        assert_eq!(world.end(), None);
        world.pass(pause_ms);
        assert_eq!(world.log(), [(at, "BYE".to_owned())]);
        assert_eq!(*world.last("BYE"), bye);
    }
    // Once for each break: a connection loses nothing.
    world.pass(10_000);
    assert_eq!(world.names(), Vec::<String>::new());
    world.reply("BYE", 200, "1", "", "");
    assert!(!world.agent.is_busy());
    world.pass(100_000);
    assert_eq!(world.agent.next_due(), None);
}

#[test]
fn what_rings_is_withdrawn_over_the_next_connection() {
    // Withdrawn before the connection breaks, and by its breaking.
    for is_withdrawn in [true, false] {
        let mut world = World::calling(Transport::Tcp);
        world.reply("INVITE", 180, "1", CONTACT, "");
        if is_withdrawn {
            world.agent.hang_up(1, world.now);
            world.drain();
            assert_eq!(world.names(), ["INVITE", "CANCEL"]);
        }
        world.log();
        world.agent.connection_lost("broken", world.now);
        world.pass(1_000);
        let trouble = Trouble::Unreachable("broken".into());
        let expected = match is_withdrawn {
            true => End::Withdrawn,
            false => End::Trouble {
                trouble,
                retry_after: None,
            },
        };
        assert_eq!(world.end(), Some(&expected));
        assert_eq!(world.names(), ["CANCEL"], "{is_withdrawn}");
        world.reply("CANCEL", 200, "1", "", "");
        // Its refusal is acknowledged; had it been taken, it would be hung up.
        world.reply("INVITE", 487, "1", "", "");
        assert_eq!(world.names(), ["ACK"]);
        world.pass(100_000);
        assert_eq!(world.agent.next_due(), None);
    }
}

#[test]
fn a_registration_is_kept_up() {
    let mut world = World::new(Transport::Udp);
    world.agent.register(world.now);
    world.drain();
    world.reply("REGISTER", 423, "1", "Min-Expires: 7200\r\n", "");
    assert_eq!(
        world.last("REGISTER").headers.first("Expires"),
        Some("7200")
    );
    world.reply(
        "REGISTER",
        200,
        "1",
        "Contact: <sip:alarms@192.0.2.7:5070>;expires=1000\r\n",
        "",
    );
    assert_eq!(world.registered, [(0, Ok(()))]);
    world.log();
    world.pass(800_000);
    assert_eq!(world.log()[0], (800_000, "REGISTER".into()));
    // It is refused, and tried again after ever longer pauses, or those that the trunk wants.
    world.reply("REGISTER", 503, "1", "Retry-After: 20\r\n", "");
    let begun = world.ms();
    let mut pauses = Vec::new();
    for _ in 0..7 {
        world.log();
        let before = world.ms();
        while world.sent.len() == world.seen {
            world.pass(1_000);
        }
        pauses.push((world.ms() - before) / 1_000);
        world.reply("REGISTER", 503, "1", "", "");
    }
    assert_eq!(pauses, [20, 30, 60, 120, 240, 480, 600], "{begun}");
    assert!(
        world.registered[1..]
            .iter()
            .all(|(_, outcome)| outcome.is_err())
    );
    // Nobody answers at all.
    let mut world = World::new(Transport::Udp);
    world.agent.register(world.now);
    world.pass(10_000);
    assert_eq!(world.registered, [(10_000, Err(Trouble::Silent))]);
}

#[test]
fn a_probe_tells_what_the_trunk_is_worth() {
    let failed = |code| {
        Err(Trouble::Failed {
            code,
            reason: "Told".into(),
        })
    };
    for (code, expected) in [
        (200, Ok(())),
        (404, Ok(())),
        (405, Ok(())),
        (503, failed(503)),
        (408, failed(408)),
        (401, Err(Trouble::Unauthorised)),
    ] {
        let mut world = World::new(Transport::Udp);
        world.agent.probe(world.now);
        world.agent.probe(world.now);
        world.drain();
        assert_eq!(world.sent.len(), 1);
        world.reply("OPTIONS", code, "1", "", "");
        assert_eq!(world.probed, [expected], "{code}");
    }
}

#[test]
fn proof_is_not_given_for_ever() {
    let mut world = World::calling(Transport::Udp);
    for count in 0..9 {
        let stale = if count == 0 { "" } else { ", stale=true" };
        let field = format!(
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"{count}\", qop=\"auth\"{stale}\r\n"
        );
        if world.end().is_none() {
            world.reply("INVITE", 401, "1", &field, "");
        }
    }
    assert_eq!(world.end(), Some(&End::Unauthorised));
    let invites: Vec<_> = world
        .sent
        .iter()
        .filter(|(_, it)| it.method() == Some("INVITE"))
        .filter_map(|(_, it)| it.sequence().map(|(number, _)| number))
        .collect();
    assert_eq!(invites, [1, 2, 3, 4]);
}

#[test]
fn we_are_known_by_where_we_are_seen() {
    let mut world = World::new(Transport::Udp);
    world.agent.probe(world.now);
    world.drain();
    let mut answer = Message::response(world.last("OPTIONS"), 200, "OK", "1");
    let via = answer
        .headers
        .first("Via")
        .unwrap()
        .replace(";rport", ";rport=4321;received=198.51.100.9");
    answer.headers.set("Via", &via);
    world.answer(&answer, "", "");
    world.agent.probe(world.now);
    world.drain();
    let contact = world.last("OPTIONS").headers.first("Contact");
    assert_eq!(contact, Some("<sip:alarms@198.51.100.9:4321>"));
}

#[test]
fn where_we_are_seen_is_not_for_strangers_to_say() {
    let mut world = World::new(Transport::Udp);
    world.agent.probe(world.now);
    world.drain();
    world.take(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;rport=4321;received=198.51.100.9;branch=z9hG4bKguess\r\n\
         From: <sip:a@h>;tag=1\r\nTo: <sip:a@h>;tag=2\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n",
    );
    world.reply("OPTIONS", 200, "1", "", "");
    world.agent.probe(world.now);
    world.drain();
    let contact = world.last("OPTIONS").headers.first("Contact");
    assert_eq!(contact, Some("<sip:alarms@192.0.2.7:5070>"));
}

/// Whoever answers a call that is not wanted any more stays in it, at our expense, until a BYE is taken.
#[test]
fn a_farewell_that_nobody_waits_for_is_proved_too() {
    for is_fork in [true, false] {
        let mut world = World::calling(Transport::Udp);
        let invite = world.last("INVITE").clone();
        match is_fork {
            true => world.reply("INVITE", 200, "1", CONTACT, SDP),
            false => {
                world.agent.hang_up(1, world.now);
                world.reply("INVITE", 180, "2", CONTACT, "");
            }
        }
        world.log();
        world.answer(&Message::response(&invite, 200, "OK", "2"), CONTACT, SDP);
        assert_eq!(world.names(), ["ACK", "BYE"]);
        let challenge = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n";
        world.reply("BYE", 407, "2", challenge, "");
        assert_eq!(world.names(), ["BYE"], "{is_fork}");
        let bye = world.last("BYE");
        assert_eq!(bye.sequence(), Some((3, "BYE")));
        let proof = bye.headers.first("Proxy-Authorization").unwrap_or_default();
        assert!(proof.contains("nonce=\"n\""), "{proof}");
        // A second challenge says that the proof was wrong.
        world.reply("BYE", 407, "2", challenge, "");
        assert_eq!(world.names(), Vec::<String>::new());
    }
}

#[test]
fn redirection_and_brief_sessions_are_followed_once() {
    let mut world = World::calling(Transport::Udp);
    world.reply(
        "INVITE",
        302,
        "1",
        "Contact: <sip:456@192.0.2.9:5099>\r\n",
        "",
    );
    let invite = world.last("INVITE").clone();
    assert!(
        String::from_utf8_lossy(&invite.to_bytes())
            .starts_with("INVITE sip:456@192.0.2.9:5099 SIP/2.0")
    );
    world.reply("INVITE", 422, "1", "Min-SE: 900\r\n", "");
    assert_eq!(
        world.last("INVITE").headers.first("Session-Expires"),
        Some("900")
    );
    assert_eq!(world.last("INVITE").sequence(), Some((3, "INVITE")));
    world.reply("INVITE", 422, "1", "Min-SE: 1800\r\n", "");
    assert!(matches!(world.end(), Some(End::Refused { code: 422, .. })));
}

#[test]
fn a_call_is_not_redirected_to_a_number_that_may_not_be_called() {
    for user in ["900123", "voicemail", "+4", ""] {
        let mut world = World::calling(Transport::Udp);
        let contact = format!("Contact: <sip:{user}@192.0.2.9>\r\n");
        world.reply("INVITE", 302, "1", &contact, "");
        let end = world.end();
        assert!(
            matches!(end, Some(End::Refused { code: 302, .. })),
            "{end:?}"
        );
    }
}
