//! Sites and roles: what one may not see does not exist, and what changes is told at once.

use crate::harness::{
    BOOT, DESK, FAN, GATEWAY, PAGE, PUMP, Yard, command, settings, title, waiting,
};
use StoreResult::{Committed, Failed, Unclear};
use std::time::Duration;
use switchyard_protocol::{
    Address, Code, Frame, Kind, Role, SiteId,
    message::{Answer, Body, ErrorMessage, Event, Key, Request, Stage, Text, Verb},
};
use switchyard_relay::{ConnectionId, Input, Question, Rights, StoreRequest, StoreResult};

/// Where the pump is; the fan is in the other.
const NORTH: SiteId = SiteId(7);
const SOUTH: SiteId = SiteId(8);

fn at(site: SiteId, role: Role) -> Rights {
    Rights::new(None, [(site, role)])
}

/// The pump in the north and the fan in the south, both of them there.
fn two_sites() -> (Yard, ConnectionId, ConnectionId) {
    two_sites_with(settings())
}

fn two_sites_with(settings: switchyard_relay::Settings) -> (Yard, ConnectionId, ConnectionId) {
    let mut yard = Yard::with(settings);
    yard.place(PUMP, Some(NORTH));
    yard.place(FAN, Some(SOUTH));
    let (pump, fan) = (yard.controller(PUMP, BOOT), yard.controller(FAN, BOOT));
    yard.inbox(pump);
    yard.inbox(fan);
    (yard, pump, fan)
}

impl Yard {
    fn place(&mut self, address: Address, site: Option<SiteId>) {
        let title = title(if address == PUMP { "pump" } else { "fan" });
        self.feed(Input::ControllerKnown {
            address,
            title,
            site,
        });
    }

    fn grant(&mut self, account: &str, rights: Option<Rights>) {
        let account = title(account);
        self.feed(Input::AccountChanged { account, rights });
    }

    /// Presence in a tool's inbox: whom it is about, whether it is there, and why not.
    fn presences(&mut self, connection: ConnectionId) -> Vec<(Address, bool, Option<Code>)> {
        let frames = self.inbox(connection);
        let events = frames.iter().filter(|it| it.header().kind == Kind::Event);
        let events = events.filter_map(|frame| match Event::decode(frame.payload()).unwrap() {
            Event::Presence {
                controller,
                online,
                reason,
                ..
            } => Some((controller, online, reason)),
            _ => None,
        });
        events.collect()
    }
}

fn kinds(frames: &[Frame]) -> Vec<(Kind, Address)> {
    let headers = frames.iter().map(Frame::header);
    headers.map(|it| (it.kind, it.source)).collect()
}

const GONE: Option<Code> = Some(Code::Forbidden);

#[test]
fn what_one_may_not_see_is_as_if_it_did_not_exist() {
    let (mut yard, _, fan) = two_sites();
    let page = yard.tool_with(PAGE, "li", at(NORTH, Role::Admin));
    let nobody = Address(9);
    let outcome = |yard: &mut Yard, to: Address, kind: Kind, payload: &[u8]| {
        yard.send(page, kind, 4, PAGE, to, payload);
        let frames = yard.inbox(page).into_iter();
        let frames = frames.map(|it| (*it.header(), it.payload().to_vec()));
        frames.collect::<Vec<_>>()
    };
    for request in [
        |address| Request::Lookup { address },
        |address| Request::Snapshot {
            controller: Some(address),
        },
        |address| Request::Subscribe {
            controllers: Some(vec![PUMP, address]),
        },
    ] {
        let kind = Kind::Query;
        let hidden = outcome(&mut yard, GATEWAY, kind, &request(FAN).encode());
        let missing = outcome(&mut yard, GATEWAY, kind, &request(nobody).encode());
        assert_eq!(hidden, missing);
        let answer = Answer::decode(&hidden[0].1).unwrap();
        assert!(matches!(
            answer,
            Answer::Refused {
                code: Code::UnknownAddress,
                ..
            }
        ));
    }
    for kind in [
        Kind::Query,
        Kind::Configure,
        Kind::Admin,
        Kind::Event,
        Kind::Response,
    ] {
        for payload in [Request::Describe.encode(), vec![0xA0], vec![0xFF]] {
            let hidden = outcome(&mut yard, FAN, kind, &payload);
            assert_eq!(
                hidden,
                outcome(&mut yard, nobody, kind, &payload),
                "{kind:?}"
            );
        }
    }
    // The same key once more, and none at all.
    for _ in 0..2 {
        let kind = Kind::Command;
        let [hidden, missing] = [(FAN, 1), (nobody, 100)].map(|(to, number)| {
            yard.send(page, kind, 4, PAGE, to, &command(number).encode());
            yard.receipts(page)
        });
        assert_eq!(hidden, refused(Code::UnknownAddress));
        assert_eq!(hidden, missing);
        let hidden = outcome(&mut yard, FAN, kind, &[0xA1, 2, 0x18, 32]);
        assert_eq!(
            hidden,
            outcome(&mut yard, nobody, kind, &[0xA1, 2, 0x18, 32])
        );
    }
    yard.command(page, PAGE, &command(2));
    assert_eq!(yard.receipts(page), [(Stage::Sent, None)]);
    assert!(yard.inbox(fan).is_empty());
}

#[test]
fn everything_is_everything_that_one_may_see() {
    let (mut yard, pump, fan) = two_sites();
    let page = yard.tool_with(PAGE, "li", at(NORTH, Role::Viewer));
    yard.ask_subscribe(page);
    let frames = yard.inbox(page);
    let answer = Answer::decode(frames.last().unwrap().payload()).unwrap();
    assert_eq!(answer, Answer::Ok(Body::Subscribe { count: 1 }));
    let expected = [
        (Kind::Event, GATEWAY),
        (Kind::StatusFull, PUMP),
        (Kind::Response, GATEWAY),
    ];
    assert_eq!(kinds(&frames), expected);
    let delta = yard.send_delta(pump, PUMP);
    assert_eq!(yard.inbox(page), [delta]);
    yard.sequence -= 1;
    yard.send_delta(fan, FAN);
    yard.cut(fan);
    // An alarm of a controller goes the same way.
    for (link, address, expected) in [(pump, PUMP, 1), (fan, FAN, 0)] {
        let alarm = Event::Happened {
            number: 1,
            time: None,
            text: Text::cut("dry"),
            values: vec![],
        };
        yard.send(link, Kind::Event, 3, address, GATEWAY, &alarm.encode());
        assert_eq!(yard.inbox(page).len(), expected, "of {address}");
    }
    // One that is enrolled there is told, and no other.
    for (number, site, expected) in [(5, Some(NORTH), 1), (6, Some(SOUTH), 0), (7, None, 0)] {
        yard.feed(Input::ControllerKnown {
            address: Address(number),
            title: title("new"),
            site,
        });
        assert_eq!(yard.inbox(page).len(), expected, "in {site:?}");
    }
    assert_eq!(yard.relay.gauges().subscribers, 1);
    yard.cut(page);
    assert_eq!(yard.relay.gauges().subscribers, 0);
    yard.send_delta(pump, PUMP);
}

#[test]
fn rights_that_shrink_take_controllers_away_and_rights_that_grow_bring_them() {
    let (mut yard, pump, fan) = two_sites();
    let page = yard.tool_with(PAGE, "li", Rights::everywhere(Role::Viewer));
    yard.ask_subscribe(page);
    yard.inbox(page);
    yard.grant("li", Some(at(NORTH, Role::Operator)));
    let frames = yard.inbox(page);
    let [goodbye] = &frames[..] else {
        panic!("expected one goodbye and found {frames:?}");
    };
    let header = goodbye.header();
    assert_eq!((header.source, header.destination), (GATEWAY, GATEWAY));
    let expected = Event::Presence {
        controller: FAN,
        online: false,
        since: switchyard_protocol::message::Time(0),
        // Not even what it is called by now.
        title: title(&FAN.to_string()),
        boot: None,
        features: None,
        software: None,
        board: None,
        reason: GONE,
    };
    assert_eq!(Event::decode(goodbye.payload()).unwrap(), expected);
    yard.send_full(fan, FAN, BOOT);
    yard.cut(fan);
    assert!(yard.inbox(page).is_empty(), "told of what is gone");
    let delta = yard.send_delta(pump, PUMP);
    assert_eq!(yard.inbox(page), [delta]);
    // A role that grows shows nothing new.
    yard.grant("li", Some(at(NORTH, Role::Admin)));
    assert!(yard.inbox(page).is_empty());
    // From the one site to the other.
    let fan = yard.controller(FAN, BOOT);
    yard.grant("li", Some(at(SOUTH, Role::Viewer)));
    let frames = yard.inbox(page);
    let expected = [
        (Kind::Event, GATEWAY),
        (Kind::Event, GATEWAY),
        (Kind::StatusFull, FAN),
    ];
    assert_eq!(kinds(&frames), expected);
    yard.send_delta(pump, PUMP);
    assert!(yard.inbox(page).is_empty());
    yard.sequence -= 1;
    let delta = yard.send_delta(fan, FAN);
    assert_eq!(yard.inbox(page), [delta]);
    // And none at all, which is no end of the link.
    yard.grant("li", Some(Rights::default()));
    assert_eq!(yard.presences(page), [(FAN, false, GONE)]);
    assert_eq!(yard.closed(page), None);
    assert_eq!(
        yard.refusal(page, PAGE, &Request::Identify),
        Code::Forbidden
    );
    yard.grant("li", Some(Rights::everywhere(Role::Viewer)));
    let seen = yard.presences(page);
    assert_eq!(seen, [(PUMP, true, None), (FAN, true, None)]);
}

#[test]
fn a_controller_that_moves_goes_from_the_ones_view_into_the_others() {
    let (mut yard, pump, _) = two_sites();
    let page = yard.tool_with(PAGE, "li", at(NORTH, Role::Viewer));
    let desk = yard.tool_with(DESK, "wang", at(SOUTH, Role::Viewer));
    let all = yard.tool(Address(DESK.0 + 1), "zhao", Role::Viewer);
    for (tool, address) in [(page, PAGE), (desk, DESK), (all, Address(DESK.0 + 1))] {
        let payload = Request::Subscribe { controllers: None }.encode();
        yard.send(tool, Kind::Query, 2, address, GATEWAY, &payload);
        yard.inbox(tool);
    }
    yard.place(PUMP, Some(SOUTH));
    assert_eq!(yard.presences(page), [(PUMP, false, GONE)]);
    let frames = yard.inbox(desk);
    assert_eq!(
        kinds(&frames),
        [(Kind::Event, GATEWAY), (Kind::StatusFull, PUMP)]
    );
    assert!(yard.inbox(all).is_empty(), "nothing is new to who sees all");
    let delta = yard.send_delta(pump, PUMP);
    assert!(yard.inbox(page).is_empty());
    for tool in [desk, all] {
        assert_eq!(yard.inbox(tool), std::slice::from_ref(&delta));
    }
    yard.place(PUMP, None);
    assert_eq!(yard.presences(desk), [(PUMP, false, GONE)]);
    // Moved and renamed at once: whoever begins to see it gets the new name.
    yard.feed(Input::ControllerKnown {
        address: PUMP,
        title: title("well"),
        site: Some(NORTH),
    });
    let frames = yard.inbox(page);
    let last = frames.iter().rfind(|it| it.header().kind == Kind::Event);
    let event = Event::decode(last.unwrap().payload()).unwrap();
    assert!(matches!(event, Event::Presence { title, .. } if title.as_str() == "well"));
    // The same told again is no news.
    yard.inbox(all);
    yard.feed(Input::ControllerKnown {
        address: PUMP,
        title: title("well"),
        site: Some(NORTH),
    });
    assert!(yard.inbox(page).is_empty() && yard.inbox(all).is_empty());
}

#[test]
fn a_controller_cannot_take_itself_out_of_view() {
    // Neither that it is gone from view nor that it was withdrawn for ever is for it to say.
    for code in [Code::Forbidden, Code::Revoked] {
        let (mut yard, pump, _) = two_sites();
        let page = yard.tool(PAGE, "li", Role::Viewer);
        yard.ask_subscribe(page);
        yard.inbox(page);
        let last_word = ErrorMessage { code, detail: None };
        yard.send(pump, Kind::Error, 0, PUMP, GATEWAY, &last_word.encode());
        let lost = Some(Code::LinkLost);
        assert_eq!(yard.presences(page), [(PUMP, false, lost)], "{code}");
    }
}

#[test]
fn a_subscription_by_name_ends_with_the_right_to_see() {
    let (mut yard, pump, _) = two_sites();
    let page = yard.tool(PAGE, "li", Role::Viewer);
    let request = Request::Subscribe {
        controllers: Some(vec![PUMP]),
    };
    yard.send(page, Kind::Query, 2, PAGE, GATEWAY, &request.encode());
    yard.inbox(page);
    yard.grant("li", Some(at(SOUTH, Role::Viewer)));
    assert_eq!(yard.presences(page), [(PUMP, false, GONE)]);
    assert_eq!(yard.relay.gauges().subscribers, 0);
    yard.grant("li", Some(Rights::everywhere(Role::Viewer)));
    yard.send_delta(pump, PUMP);
    assert!(yard.inbox(page).is_empty(), "it did not ask again");
    yard.send(page, Kind::Query, 2, PAGE, GATEWAY, &request.encode());
    assert_eq!(yard.presences(page), [(PUMP, true, None)]);
    assert_eq!(yard.relay.gauges().subscribers, 1);
}

#[test]
fn who_is_behind_learns_in_turn_what_is_gone() {
    let mut small = settings();
    small.tool_queue_bytes_max = 2_000;
    let (mut yard, pump, _) = two_sites_with(small);
    let page = yard.tool(PAGE, "li", Role::Viewer);
    yard.ask_subscribe(page);
    yard.inbox(page);
    for number in 1..=200 {
        yard.feed(Input::ControllerKnown {
            address: Address(number),
            title: title("one of many"),
            site: Some(SOUTH),
        });
    }
    yard.inbox(page);
    yard.writes = false;
    while yard.relay.counters().status_conflated == 0 {
        yard.send_delta(pump, PUMP);
    }
    let held: usize = yard.inbox(page).iter().map(|it| it.bytes().len()).sum();
    yard.grant("li", Some(at(NORTH, Role::Viewer)));
    let mut seen = yard.presences(page);
    assert!(seen.len() <= 1, "past half of its queue");
    // A controller that goes for good meanwhile is gone in no other way.
    let address = Address(200);
    yard.feed(Input::ControllerForgotten { address });
    let told = yard.presences(page);
    assert_eq!(told, [(address, false, GONE)]);
    seen.extend(told);
    yard.writes = true;
    yard.written(page, held);
    seen.extend(yard.presences(page));
    assert_eq!(yard.closed(page), None);
    let gone: Vec<_> = seen.iter().filter(|it| it.2 == GONE).collect();
    assert_eq!(gone.len(), 201, "200 and the fan");
    let rest: Vec<_> = seen.iter().filter(|it| it.2 != GONE).collect();
    assert_eq!(rest, [&(PUMP, true, None)]);
}

fn refused(code: Code) -> Vec<(Stage, Option<Code>)> {
    vec![(Stage::Refused, Some(code))]
}

#[test]
fn a_command_that_waits_goes_with_the_right_to_give_it() {
    type Withdrawal = fn(&mut Yard);
    let ways: [Withdrawal; 4] = [
        |yard| yard.grant("li", Some(at(NORTH, Role::Viewer))),
        |yard| yard.grant("li", Some(at(SOUTH, Role::Admin))),
        |yard| yard.grant("li", None),
        |yard| yard.place(PUMP, Some(SOUTH)),
    ];
    for (number, withdraw) in ways.into_iter().enumerate() {
        let mut yard = Yard::new();
        yard.place(PUMP, Some(NORTH));
        let page = yard.tool_with(PAGE, "li", at(NORTH, Role::Operator));
        let other = yard.tool(DESK, "wang", Role::Operator);
        // Queued, being queued, and somebody else's.
        yard.command(page, PAGE, &waiting(1));
        yard.store(Committed);
        yard.command(page, PAGE, &waiting(2));
        yard.command(other, DESK, &waiting(3));
        yard.receipts(page);
        withdraw(&mut yard);
        // Nothing is refused that a restarted gateway could still be told of.
        assert!(yard.receipts(page).is_empty(), "way {number}");
        let asked: Vec<_> = yard.stores.drain(..).collect();
        let forgets = asked.iter().filter_map(|(ticket, request)| match request {
            StoreRequest::Forget { key } => Some((*ticket, *key)),
            _ => None,
        });
        let forgets: Vec<_> = forgets.collect();
        let keys: Vec<_> = forgets.iter().map(|(_, key)| *key).collect();
        assert_eq!(keys, [Key([1; 16]), Key([2; 16])], "way {number}");
        for (ticket, request) in &asked {
            if matches!(request, StoreRequest::Queue(_)) {
                let (ticket, result) = (*ticket, Committed);
                yard.feed(Input::Stored { ticket, result });
            }
        }
        for (ticket, _) in forgets {
            let result = Committed;
            yard.feed(Input::Stored { ticket, result });
        }
        let expected = if yard.closed(page).is_some() {
            vec![]
        } else {
            [refused(Code::Forbidden), refused(Code::Forbidden)].concat()
        };
        assert_eq!(yard.receipts(page), expected, "way {number}");
        assert_eq!(yard.receipts(other), [(Stage::Queued, None)]);
        let pump = yard.controller(PUMP, BOOT);
        yard.store(Committed);
        assert_eq!(yard.commands(pump), [Key([3; 16])], "way {number}");
    }
}

#[test]
fn a_command_held_in_memory_or_about_to_be_sent_is_withdrawn_too() {
    let mut yard = Yard::new();
    yard.place(PUMP, Some(NORTH));
    let page = yard.tool_with(PAGE, "li", at(NORTH, Role::Operator));
    yard.command(page, PAGE, &waiting(1));
    yard.store(Committed);
    let pump = yard.controller(PUMP, BOOT);
    // The first is being marked as sent, and the second is behind it in memory alone.
    yard.command(page, PAGE, &command(2));
    yard.receipts(page);
    yard.grant("li", Some(at(NORTH, Role::Viewer)));
    assert_eq!(yard.receipts(page), refused(Code::Forbidden), "the second");
    let mark = yard.store(Committed);
    assert!(matches!(mark, StoreRequest::MarkSent { .. }));
    assert!(yard.commands(pump).is_empty(), "sent without a right");
    // The store takes its time: nothing is said until it is certain.
    assert!(matches!(yard.store(Unclear), StoreRequest::Forget { .. }));
    assert!(yard.receipts(page).is_empty());
    yard.pass(Duration::from_secs(1));
    assert!(matches!(yard.store(Failed), StoreRequest::Forget { .. }));
    yard.pass(Duration::from_secs(1));
    assert!(matches!(yard.store(Committed), StoreRequest::Forget { .. }));
    assert_eq!(yard.receipts(page), refused(Code::Forbidden));
    // Refused it stays, whatever comes back.
    yard.grant("li", Some(at(NORTH, Role::Operator)));
    yard.command(page, PAGE, &waiting(1));
    assert_eq!(yard.receipts(page), refused(Code::Forbidden));
    assert!(yard.commands(pump).is_empty());
    assert_eq!(yard.relay.gauges().commands_waiting, 0);
}

#[test]
fn a_tool_that_comes_brings_the_latest_rights_of_its_account() {
    for is_marking in [false, true] {
        let mut yard = Yard::new();
        let page = yard.tool(PAGE, "li", Role::Operator);
        yard.command(page, PAGE, &waiting(1));
        yard.store(Committed);
        yard.receipts(page);
        let come = |yard: &mut Yard| yard.controller(PUMP, BOOT);
        let early = is_marking.then(|| come(&mut yard));
        // The gateway has yet to say that the account is a viewer's by now; its log-in says so.
        yard.tool(DESK, "li", Role::Viewer);
        let pump = early.unwrap_or_else(|| come(&mut yard));
        if is_marking {
            assert!(matches!(
                yard.store(Committed),
                StoreRequest::MarkSent { .. }
            ));
        }
        assert!(matches!(yard.store(Committed), StoreRequest::Forget { .. }));
        assert_eq!(yard.receipts(page), refused(Code::Forbidden));
        assert!(yard.commands(pump).is_empty());
    }
}

#[test]
fn what_was_lost_on_a_link_is_not_sent_again_without_a_right() {
    let (mut yard, pump, _) = two_sites();
    let page = yard.tool_with(PAGE, "li", at(NORTH, Role::Operator));
    yard.command(page, PAGE, &command(1));
    yard.cut(pump);
    yard.receipts(page);
    yard.grant("li", Some(at(NORTH, Role::Viewer)));
    assert!(yard.receipts(page).is_empty(), "it may have arrived");
    let pump = yard.controller(PUMP, BOOT);
    let frames = yard.inbox(pump);
    let query = frames.iter().find(|it| it.header().kind == Kind::Query);
    let correlation = query.unwrap().header().correlation;
    let never_heard = Answer::Ok(Body::Outcome {
        boot: BOOT,
        stage: None,
        reason: None,
        is_final: None,
    });
    let payload = never_heard.encode();
    yard.send(pump, Kind::Response, correlation, PUMP, GATEWAY, &payload);
    assert!(yard.commands(pump).is_empty(), "sent again");
    assert_eq!(yard.receipts(page), refused(Code::Forbidden));
}

#[test]
fn a_restarted_gateway_sends_nothing_for_an_account_that_lost_its_right() {
    let mut yard = Yard::new();
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.command(page, PAGE, &waiting(1));
    let StoreRequest::Queue(stored) = yard.store(Committed) else {
        panic!("expected it to be queued");
    };
    for (rights, is_sent) in [
        (None, false),
        (Some(Rights::everywhere(Role::Viewer)), false),
        (Some(at(SOUTH, Role::Admin)), false),
        (Some(at(NORTH, Role::Operator)), true),
    ] {
        let mut yard = Yard::new();
        yard.place(PUMP, Some(NORTH));
        yard.grant("li", rights.clone());
        yard.feed(Input::Restored(stored.clone()));
        let pump = yard.controller(PUMP, BOOT);
        while !yard.stores.is_empty() {
            yard.store(Committed);
        }
        assert_eq!(
            yard.commands(pump).len(),
            usize::from(is_sent),
            "{rights:?}"
        );
        assert_eq!(yard.relay.gauges().commands_waiting, 0, "{rights:?}");
    }
}

#[test]
fn nothing_of_a_controller_reaches_who_may_see_it_no_more() {
    let (mut yard, pump, _) = two_sites();
    let page = yard.tool_with(PAGE, "li", at(NORTH, Role::Operator));
    let key = Key([1; 16]);
    yard.command(page, PAGE, &command(1));
    let describe = Request::Describe.encode();
    yard.send(page, Kind::Query, 4, PAGE, PUMP, &describe);
    yard.inbox(page);
    yard.grant("li", Some(at(SOUTH, Role::Operator)));
    yard.send(pump, Kind::Response, 4, PUMP, PAGE, &[0xA0]);
    yard.receipt(pump, PAGE, key, Stage::Executed, true);
    assert!(yard.inbox(page).is_empty());
    assert_eq!(yard.relay.counters().dropped.of(Code::Offline), 1);
    assert_eq!(yard.relay.gauges().requests_open, 0);
    let ask = Request::Receipt { key };
    assert_eq!(yard.refusal(page, PAGE, &ask), Code::UnknownAddress);
    yard.command(page, PAGE, &command(1));
    assert_eq!(yard.answer(page), Answer::refused(Code::UnknownAddress, 32));
    // A viewer is told what was done in its name, and does nothing more.
    yard.grant("li", Some(at(NORTH, Role::Viewer)));
    yard.command(page, PAGE, &command(1));
    assert_eq!(yard.receipts(page), [(Stage::Executed, None)]);
    yard.command(page, PAGE, &command(2));
    assert_eq!(yard.receipts(page), refused(Code::Forbidden));
    yard.grant("li", Some(at(NORTH, Role::Operator)));
    yard.command(page, PAGE, &command(2));
    assert_eq!(yard.receipts(page), refused(Code::Forbidden), "for good");
    assert_eq!(yard.commands(pump), [key]);
}

#[test]
fn a_technician_enrols_where_it_is_one() {
    let mut yard = Yard::new();
    let rights = Rights::new(Some(Role::Operator), [(NORTH, Role::Technician)]);
    let desk = yard.tool_with(DESK, "wang", rights);
    let enrol = |site| Request::Enrol {
        title: title("x"),
        site,
    };
    for site in [None, Some(SOUTH)] {
        assert_eq!(yard.refusal(desk, DESK, &enrol(site)), Code::Forbidden);
    }
    let ask = |yard: &mut Yard| {
        let payload = enrol(Some(NORTH)).encode();
        yard.send(desk, Kind::Configure, 8, DESK, GATEWAY, &payload);
        let (ticket, question) = yard.questions.remove(0);
        let expected = Question::Enrol {
            title: title("x"),
            site: Some(NORTH),
        };
        assert_eq!(question, expected);
        ticket
    };
    let body = Body::Enrol {
        controller: Address(77),
        key: [3; 32],
    };
    let ticket = ask(&mut yard);
    let answer = Ok(body.clone());
    yard.feed(Input::Answered { ticket, answer });
    assert_eq!(yard.answer(desk), Answer::Ok(body.clone()));
    // The key is for nobody who could not ask for it any more.
    let ticket = ask(&mut yard);
    yard.grant("wang", Some(at(SOUTH, Role::Technician)));
    let answer = Ok(body);
    yard.feed(Input::Answered { ticket, answer });
    assert!(yard.inbox(desk).is_empty());
}

#[test]
fn tools_reach_each_other_where_they_share_a_site() {
    let mut yard = Yard::new();
    let page = yard.tool_with(PAGE, "li", at(NORTH, Role::Viewer));
    let desk = yard.tool_with(DESK, "wang", at(SOUTH, Role::Admin));
    let identify = Request::Identify.encode();
    let reaches = |yard: &mut Yard| {
        yard.send(page, Kind::Query, 3, PAGE, DESK, &identify);
        let got = yard.inbox(desk).len() == 1;
        let refusal = yard.inbox(page);
        assert_eq!(refusal.is_empty(), got);
        if let [frame] = &refusal[..] {
            let expected = Answer::refused(Code::UnknownAddress, Verb::Identify.number());
            assert_eq!(Answer::decode(frame.payload()).unwrap(), expected);
        }
        yard.send(page, Kind::Event, 0, PAGE, DESK, &[0xA0]);
        assert_eq!(yard.inbox(desk).len(), usize::from(got));
        got
    };
    let lookup = Request::Lookup { address: DESK };
    assert!(!reaches(&mut yard));
    assert_eq!(yard.refusal(page, PAGE, &lookup), Code::UnknownAddress);
    yard.grant("wang", Some(at(NORTH, Role::Admin)));
    assert!(reaches(&mut yard));
    assert!(matches!(yard.ask(page, PAGE, &lookup), Answer::Ok(_)));
    yard.grant("li", Some(Rights::everywhere(Role::Viewer)));
    assert!(reaches(&mut yard));
    // One that has left is away to those alone who could have met it.
    yard.cut(desk);
    assert!(matches!(yard.ask(page, PAGE, &lookup), Answer::Ok(_)));
    yard.grant("li", Some(at(SOUTH, Role::Viewer)));
    assert_eq!(yard.refusal(page, PAGE, &lookup), Code::UnknownAddress);
    yard.send(page, Kind::Query, 3, PAGE, DESK, &identify);
    let expected = Answer::refused(Code::UnknownAddress, Verb::Identify.number());
    assert_eq!(yard.answer(page), expected);
    // Who commanded is told of an account that is no more, too.
    yard.grant("wang", None);
    yard.grant("li", Some(at(NORTH, Role::Viewer)));
    assert!(matches!(yard.ask(page, PAGE, &lookup), Answer::Ok(_)));
}
