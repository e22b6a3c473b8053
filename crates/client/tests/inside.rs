//! A controller's inside, asked through a scripted gateway: pages, pieces, and events that come once.

#![allow(clippy::unwrap_used, reason = "a panic here is a test's report")]
#![allow(
    dead_code,
    reason = "the scripted gateway is shared, and not all of it is needed here"
)]

mod scripted;

use blake2::{Blake2b, Digest as _, digest::consts::U32};
use scripted::{Gateway, Peer, TOKEN, name, soon, title};
use std::sync::Arc;
use switchyard_client::{Client, Error, Event, Interest, Options, Token};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Header, Kind,
    limits::{ANSWER_PAGES_MAX, NAMES_MAX},
    message::{
        self, Answer, Body, Content, NamedValue, Parameter, PeerKind, Request, ScriptFault, Text,
        ValueType, Verb,
    },
};

const PUMP: Address = Address(100_042);

async fn linked(gateway: &Gateway) -> (Client, Peer) {
    let client = Client::connect(Options {
        gateway: gateway.url().parse().unwrap(),
        token: Token::new(TOKEN),
        installation: None,
        software: title("test 1.0"),
        title: title("a test"),
        peer_kind: PeerKind::Console,
        interest: Interest::Nothing,
    });
    let mut peer = gateway.accept().await;
    peer.welcome(0xC000_0007, 1).await;
    soon("the welcome", client.live()).await.unwrap();
    (client, peer)
}

/// Runs a call of the client against what the controller does.
async fn talk<T>(call: impl Future<Output = T>, controller: impl Future<Output = ()>) -> T {
    soon("both", async { tokio::join!(call, controller).0 }).await
}

fn digest_of(bytes: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(bytes).into()
}

fn parameter(number: usize) -> Parameter {
    Parameter {
        name: name(&format!("p{number}")),
        value_type: ValueType::Int,
        value: number as i64,
        min: 0,
        max: 1_000,
    }
}

fn page(asked: &Header, parameters: Vec<Parameter>, has_more: bool) -> Frame {
    let flags = if has_more { Flags::MORE } else { Flags::NONE };
    let answer = Answer::Ok(Body::Parameters { parameters });
    Frame::with_flags(
        Kind::Response,
        flags,
        asked.correlation,
        asked.destination,
        asked.source,
        &answer.encode(),
    )
}

#[tokio::test]
async fn an_answer_in_pages_is_one_answer() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    let found = talk(client.parameters(PUMP), async {
        let (asked, request) = peer.request().await;
        assert_eq!((request, asked.destination), (Request::Parameters, PUMP));
        let all: Vec<_> = (0..NAMES_MAX).map(parameter).collect();
        let pages = all.chunks(50).enumerate();
        let pages = pages.map(|(number, part)| page(&asked, part.to_vec(), number < 2));
        peer.send(pages).await;
    })
    .await
    .unwrap();
    assert_eq!(found.len(), NAMES_MAX);
    assert_eq!(found, (0..NAMES_MAX).map(parameter).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_refusal_ends_an_answer_at_any_page() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    let refused = talk(client.parameters(PUMP), async {
        let (asked, _) = peer.request().await;
        peer.send([page(&asked, vec![parameter(0)], true)]).await;
        let busy = Answer::refused(Code::Busy, Verb::Parameters.number());
        peer.answer(&asked, busy).await;
    })
    .await;
    assert_eq!(refused.unwrap_err().code(), "busy");
}

#[tokio::test]
async fn an_answer_without_an_end_is_given_up() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    // Empty pages without end, too many entries, and pages of what has none.
    let endless = talk(client.parameters(PUMP), async {
        let (asked, _) = peer.request().await;
        peer.send((0..ANSWER_PAGES_MAX).map(|_| page(&asked, Vec::new(), true)))
            .await;
    })
    .await;
    assert_eq!(endless.unwrap_err().code(), "unexpected_answer");
    let too_many = talk(client.parameters(PUMP), async {
        let (asked, _) = peer.request().await;
        let part = || (0..NAMES_MAX / 2 + 1).map(parameter).collect();
        peer.send([page(&asked, part(), true), page(&asked, part(), false)])
            .await;
    })
    .await;
    assert_eq!(too_many.unwrap_err().code(), "unexpected_answer");
    let other = talk(client.restart(PUMP), async {
        let (asked, _) = peer.request().await;
        let done = Answer::Ok(Body::Done(Verb::Restart));
        let frame = Frame::with_flags(
            Kind::Response,
            Flags::MORE,
            asked.correlation,
            PUMP,
            asked.source,
            &done.encode(),
        );
        peer.send([frame]).await;
    })
    .await;
    assert_eq!(other.unwrap_err().code(), "unexpected_answer");
}

#[tokio::test]
async fn values_are_asked_for_until_all_are_there() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    let value = |number: u32| NamedValue {
        name: name(&format!("v{number}")),
        value_type: ValueType::Num,
        value: -500,
    };
    let found = talk(client.values(PUMP), async {
        for (from, range) in [(None, 0..30), (Some(30), 30..60), (Some(60), 60..61)] {
            let (asked, request) = peer.request().await;
            assert_eq!(request, Request::Values { from });
            let values = range.map(value).collect();
            let body = Body::Values { values, total: 61 };
            peer.answer(&asked, Answer::Ok(body)).await;
        }
    })
    .await;
    assert_eq!(found.unwrap(), (0..61).map(value).collect::<Vec<_>>());
}

/// A controller that takes a transfer as the protocol says.
struct Taker {
    bytes: Vec<u8>,
    /// The largest piece that its link carries.
    piece_max: usize,
    pieces: usize,
    /// The piece with this number is lost on its way to the flash.
    loses: Option<usize>,
    fault: Option<ScriptFault>,
}

impl Taker {
    async fn serve(&mut self, peer: &mut Peer) {
        loop {
            let (asked, request) = peer.request().await;
            let verb = request.verb().number();
            let answer = match request {
                Request::TransferOpen { .. } => Answer::Ok(Body::TransferOpen {
                    offset: self.bytes.len() as u32,
                }),
                Request::TransferWrite { bytes, .. } if bytes.len() > self.piece_max => {
                    Answer::refused(Code::TooLarge, verb)
                }
                Request::TransferWrite { offset, bytes } => {
                    self.pieces += 1;
                    let is_next = offset as usize == self.bytes.len();
                    if is_next && self.loses != Some(self.pieces) {
                        self.bytes.extend_from_slice(&bytes);
                    }
                    Answer::Ok(Body::TransferWrite {
                        offset: self.bytes.len() as u32,
                    })
                }
                Request::TransferCommit { digest, keep } => {
                    assert_eq!(digest, digest_of(&self.bytes));
                    assert!(keep);
                    let fault = self.fault.clone();
                    peer.answer(&asked, Answer::Ok(Body::TransferCommit { fault }))
                        .await;
                    return;
                }
                other => panic!("{other:?}"),
            };
            peer.answer(&asked, answer).await;
        }
    }
}

fn taker() -> Taker {
    Taker {
        bytes: Vec::new(),
        piece_max: 896,
        pieces: 0,
        loses: None,
        fault: None,
    }
}

#[tokio::test]
async fn writes_in_pieces_and_goes_on_where_it_was() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    let script: Vec<u8> = (0..2_000_u32).map(|it| it as u8).collect();
    let begun = Taker {
        bytes: script[..896].to_vec(),
        ..taker()
    };
    let narrow = Taker {
        piece_max: 200,
        ..taker()
    };
    let lossy = Taker {
        loses: Some(2),
        ..taker()
    };
    for (mut controller, pieces) in [(taker(), 3), (begun, 2), (narrow, 18), (lossy, 4)] {
        let written = client.write(PUMP, Content::Script, &script, true);
        talk(written, controller.serve(&mut peer)).await.unwrap();
        assert_eq!(controller.bytes, script);
        assert_eq!(controller.pieces, pieces);
    }
}

#[tokio::test]
async fn a_script_that_does_not_compile_says_where() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    let fault = ScriptFault {
        line: 3,
        column: 11,
        expected: Text::cut("a name, or `when`"),
        fix: None,
        other_line: Some(2),
    };
    let mut controller = Taker {
        fault: Some(fault.clone()),
        ..taker()
    };
    let written = client.write(PUMP, Content::Script, b"in door = DI1\n", true);
    let error = talk(written, controller.serve(&mut peer))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "not_compiled");
    assert_eq!(
        error.to_string(),
        "line 3, column 11: expected a name, or `when`"
    );
    assert!(matches!(error, Error::NotCompiled { fault: told } if *told == fault));
}

#[tokio::test]
async fn what_cannot_be_written_is_not_begun() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    for bytes in [Vec::new(), vec![0; 1_048_577]] {
        let written = client
            .write(PUMP, Content::FirmwareImage, &bytes, false)
            .await;
        assert_eq!(written.unwrap_err().code(), "out_of_range");
    }
    // A controller that takes nothing is given up.
    let written = client.write(PUMP, Content::Script, b"x", true);
    let stuck = async {
        let (asked, _) = peer.request().await;
        let open = Answer::Ok(Body::TransferOpen { offset: 0 });
        peer.answer(&asked, open).await;
        for _ in 0..17 {
            let (asked, _) = peer.request().await;
            let stays = Answer::Ok(Body::TransferWrite { offset: 0 });
            peer.answer(&asked, stays).await;
        }
    };
    let error = talk(written, stuck).await.unwrap_err();
    assert_eq!(error.code(), "unexpected_answer");
}

/// Answers one piece of `of`, at most so many bytes, and says where it began.
async fn give(peer: &mut Peer, of: &[u8], most: usize) -> u32 {
    let (asked, request) = peer.request().await;
    let Request::TransferRead { offset, .. } = request else {
        panic!("{request:?}");
    };
    let rest = &of[(offset as usize).min(of.len())..];
    let body = Body::TransferRead {
        size: of.len() as u32,
        bytes: rest[..most.min(rest.len())].to_vec().into(),
        digest: digest_of(of),
    };
    peer.answer(&asked, Answer::Ok(body)).await;
    offset
}

#[tokio::test]
async fn reads_in_pieces_and_begins_again_after_a_change() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    let (old, new) = (vec![1; 1_000], vec![2; 1_200]);
    let read = client.read(PUMP, Content::Script);
    let found = talk(read, async {
        assert_eq!(give(&mut peer, &old, 600).await, 0);
        assert_eq!(give(&mut peer, &new, 600).await, 600);
        assert_eq!(give(&mut peer, &new, 896).await, 0);
        assert_eq!(give(&mut peer, &new, 896).await, 896);
    })
    .await;
    assert_eq!(found.unwrap(), new);

    let read = client.read(PUMP, Content::Script);
    let nothing = talk(read, async {
        give(&mut peer, &[], 896).await;
    })
    .await;
    assert!(nothing.unwrap().is_empty());

    let read = client.read(PUMP, Content::Recording);
    let restless = talk(read, async {
        for round in 0..3_u8 {
            give(&mut peer, &[round; 100], 60).await;
            give(&mut peer, &[round + 100; 100], 60).await;
        }
    })
    .await;
    assert_eq!(restless.unwrap_err().code(), "keeps_changing");

    let read = client.read(PUMP, Content::Script);
    let short = talk(read, async {
        give(&mut peer, &old, 600).await;
        give(&mut peer, &old, 0).await;
    })
    .await;
    assert_eq!(short.unwrap_err().code(), "unexpected_answer");
}

#[tokio::test]
async fn an_event_that_is_passed_on_again_is_told_once() {
    let gateway = Gateway::bind().await;
    let (client, mut peer) = linked(&gateway).await;
    let mut events = client.events();
    let happened = |number| message::Event::Happened {
        number,
        time: None,
        text: Text::cut("the pump ran"),
        values: vec![(ValueType::Int, 17)],
    };
    let from = |source, number| {
        let payload = happened(number).encode();
        Frame::new(Kind::Event, 0, source, Address::GATEWAY, &payload)
    };
    let (fan, page) = (Address(100_043), Address(0xC000_0009));
    let frames = [
        from(PUMP, 7),
        from(PUMP, 7),
        from(page, 8),
        from(fan, 7),
        from(PUMP, 8),
        // It lost its count, and found it too low.
        from(PUMP, 1),
    ];
    peer.send(frames).await;
    for (source, number) in [(PUMP, 7), (fan, 7), (PUMP, 8), (PUMP, 1)] {
        let heard = soon("an event", events.next()).await.unwrap();
        let Event::Happened { from, event } = heard else {
            panic!("{heard:?}");
        };
        assert_eq!((from, event), (source, Arc::new(happened(number))));
    }
}
