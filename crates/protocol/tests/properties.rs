//! What must hold of any message, any frame and any bytes.

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, option, prelude::*};
use std::time::Duration;
use switchyard_protocol::{
    Address, Code, Flags, Frame, FrameRef, Header, Kind, Role, SiteId, cbor,
    firmware::FirmwareVersion,
    limits,
    message::{
        Action, AlarmLevel, Answer, Body, Cause, CauseKind, Change, Command, CommandHead, Content,
        ControllerHello, Delta, ErrorMessage, Event, FirmwareHealth, FirmwareState, Full, GapCause,
        Health, HelloReply, Key, LinkKey, LogEntry, Name, NamedValue, Parameter, PeerKind, Ping,
        PingReply, Point, PointFlags, PointType, Receipt, ReceiptHead, Request, ResetReason,
        ScanHealth, ScriptFault, ScriptHealth, ScriptState, Stage, StatusHead, Text, Time, Title,
        ToolHello, ToolWelcome, ValueType, Verb, verb_of,
    },
};

fn unsigned() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..=limits::INTEGER_MAX as u64,
        0..300_u64,
        Just(limits::INTEGER_MAX as u64)
    ]
}

fn signed() -> impl Strategy<Value = i64> {
    prop_oneof![
        -limits::INTEGER_MAX..=limits::INTEGER_MAX,
        -300..300_i64,
        Just(-limits::INTEGER_MAX)
    ]
}

fn time() -> impl Strategy<Value = Time> {
    unsigned().prop_map(Time)
}

fn address() -> impl Strategy<Value = Address> {
    any::<u32>().prop_map(Address)
}

fn key() -> impl Strategy<Value = Key> {
    any::<[u8; 16]>().prop_map(Key)
}

fn code() -> impl Strategy<Value = Code> {
    any::<u8>().prop_map(Code::from_number)
}

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-z_][A-Za-z0-9_]{0,23}"
        .prop_map(|text| Name::new(&text).expect("the pattern is a name's"))
}

fn title() -> impl Strategy<Value = Title> {
    any::<String>().prop_map(|text| {
        let mut text: String = text.chars().filter(|it| !it.is_control()).collect();
        text.truncate(text.floor_char_boundary(limits::TITLE_BYTES_MAX));
        Title::new(if text.is_empty() { "x" } else { &text }).expect("it was cut to a title")
    })
}

fn text() -> impl Strategy<Value = Text> {
    any::<String>().prop_map(|text| Text::cut(&text))
}

fn stage() -> impl Strategy<Value = Stage> {
    proptest::sample::select(Stage::ALL)
}

fn interval() -> impl Strategy<Value = Duration> {
    any::<u32>().prop_map(|it| Duration::from_millis(it.into()))
}

fn controller_hello() -> impl Strategy<Value = ControllerHello> {
    (unsigned(), 264..=u16::MAX).prop_map(|(version, record_bytes_max)| ControllerHello {
        version,
        record_bytes_max,
    })
}

fn hello_reply() -> impl Strategy<Value = HelloReply> {
    (unsigned(), 264..=u16::MAX, time(), interval(), address()).prop_map(
        |(version, record_bytes_max, time, ping_interval, address)| HelloReply {
            version,
            record_bytes_max,
            time,
            ping_interval,
            address,
        },
    )
}

fn tool_hello() -> impl Strategy<Value = ToolHello> {
    let token = option::of("[ -~]{0,128}");
    (unsigned(), token, any::<Option<[u8; 16]>>(), title()).prop_map(
        |(version, token, installation, software)| ToolHello {
            version,
            token,
            installation,
            software,
        },
    )
}

fn tool_welcome() -> impl Strategy<Value = ToolWelcome> {
    let role = proptest::sample::select(&Role::ALL[..]);
    let head = (unsigned(), time(), interval(), address());
    (head, title(), role, any::<[u8; 16]>()).prop_map(
        |((version, time, ping_interval, address), account, role, gateway)| ToolWelcome {
            version,
            time,
            ping_interval,
            address,
            account,
            role,
            gateway,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::Identify),
        Just(Request::Describe),
        option::of(address()).prop_map(|controller| Request::Snapshot { controller }),
        key().prop_map(|key| Request::Outcome { key }),
        option::of(vec(address(), 1..=limits::SUBSCRIBE_ADDRESSES_MAX))
            .prop_map(|controllers| Request::Subscribe { controllers }),
        Just(Request::Unsubscribe),
        address().prop_map(|address| Request::Lookup { address }),
        key().prop_map(|key| Request::Receipt { key }),
        (title(), option::of(1..=u32::MAX)).prop_map(|(title, site)| Request::Enrol {
            title,
            site: site.map(SiteId),
        }),
        Just(Request::Parameters),
        any::<Option<u32>>().prop_map(|from| Request::Values { from }),
        any::<Option<u32>>().prop_map(|before| Request::Log { before }),
        Just(Request::Health),
        (content(Content::is_read), any::<u32>())
            .prop_map(|(content, offset)| Request::TransferRead { content, offset }),
        (name(), signed(), 1..=86_400_000_u64).prop_map(|(point, value, duration_ms)| {
            Request::Force {
                point,
                value,
                duration: Duration::from_millis(duration_ms),
            }
        }),
        name().prop_map(|point| Request::Release { point }),
        (
            content(Content::is_written),
            1..=limits::TRANSFER_BYTES_MAX,
            any::<[u8; 32]>()
        )
            .prop_map(|(content, size, digest)| Request::TransferOpen {
                content,
                size,
                digest,
            }),
        (
            any::<u32>(),
            vec(any::<u8>(), 1..=limits::TRANSFER_PIECE_BYTES_MAX)
        )
            .prop_map(|(offset, bytes)| Request::TransferWrite {
                offset,
                bytes: bytes.into(),
            }),
        any::<([u8; 32], bool)>()
            .prop_map(|(digest, keep)| Request::TransferCommit { digest, keep }),
        any::<bool>().prop_map(|keep| Request::Trial { keep }),
        Just(Request::Restart),
        any::<Option<[u8; 32]>>().prop_map(|key| Request::Rekey {
            key: key.map(LinkKey),
        }),
    ]
}

fn content(wanted: fn(Content) -> bool) -> impl Strategy<Value = Content> {
    proptest::sample::select(Content::ALL).prop_filter("that way", move |it| wanted(*it))
}

fn value_type() -> impl Strategy<Value = ValueType> {
    proptest::sample::select(ValueType::ALL)
}

fn parameter() -> impl Strategy<Value = Parameter> {
    (name(), value_type(), signed(), signed(), signed()).prop_map(
        |(name, value_type, value, min, max)| Parameter {
            name,
            value_type,
            value,
            min,
            max,
        },
    )
}

fn named_value() -> impl Strategy<Value = NamedValue> {
    (name(), value_type(), signed()).prop_map(|(name, value_type, value)| NamedValue {
        name,
        value_type,
        value,
    })
}

fn log_entry() -> impl Strategy<Value = LogEntry> {
    let times = (option::of(time()), unsigned());
    (any::<u32>(), times, text(), option::of(signed()), cause()).prop_map(
        |(number, (time, uptime_ms), about, value, cause)| LogEntry {
            number,
            time,
            uptime_ms,
            about,
            value,
            cause,
        },
    )
}

fn health() -> impl Strategy<Value = Health> {
    let scan =
        any::<(u32, u32, u8, u32)>().prop_map(|(late, longest_gap_ms, gap_cause, cost_us)| {
            ScanHealth {
                late,
                longest_gap_ms,
                gap_cause: GapCause::from_number(gap_cause),
                cost_us,
            }
        });
    let state = proptest::sample::select(ScriptState::ALL);
    let more = any::<(Option<u32>, Option<[u8; 32]>, u32)>();
    let script = (state, option::of(title()), more).prop_map(
        |(state, title, (trial_left_ms, digest, faults))| ScriptHealth {
            state,
            trial_left_ms,
            title,
            digest,
            faults,
        },
    );
    let firmware =
        (any::<(u8, u8, u32)>(), title()).prop_map(|((state, slot, version), profile)| {
            FirmwareHealth {
                state: FirmwareState::from_number(state),
                slot,
                version: FirmwareVersion(version),
                profile,
            }
        });
    let head = (unsigned(), any::<(u32, u8, Option<u32>)>());
    (head, scan, script, option::of(firmware)).prop_map(
        |((uptime_ms, (boot, reset, free_bytes)), scan, script, firmware)| Health {
            uptime_ms,
            boot,
            reset: ResetReason::from_number(reset),
            free_bytes,
            scan,
            script,
            firmware,
        },
    )
}

fn fault() -> impl Strategy<Value = ScriptFault> {
    let places = any::<(u32, u32, Option<u32>)>();
    (places, text(), option::of(text())).prop_map(|((line, column, other_line), expected, fix)| {
        ScriptFault {
            line,
            column,
            expected,
            fix,
            other_line,
        }
    })
}

fn command() -> impl Strategy<Value = Command> {
    let action = prop_oneof![
        (name(), signed()).prop_map(|(point, value)| Action::Set { point, value }),
        (name(), vec(signed(), 0..=limits::ARGUMENTS_MAX))
            .prop_map(|(command, arguments)| Action::Call { command, arguments }),
        (name(), signed()).prop_map(|(parameter, value)| Action::Adjust { parameter, value }),
    ];
    (key(), time(), any::<bool>(), action).prop_map(|(key, expiry, wait, action)| Command {
        key,
        expiry,
        wait,
        action,
    })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Done(Verb::Snapshot)),
        Just(Body::Done(Verb::Unsubscribe)),
        (title(), title(), 0..6_u8).prop_map(|(title, software, kind)| Body::Identify {
            title,
            software,
            peer_kind: PeerKind::from_number(kind),
        }),
        (title(), vec(text(), 0..=limits::SIGNATURES_MAX)).prop_map(|(behaviour, commands)| {
            Body::Describe {
                behaviour,
                commands,
            }
        }),
        (
            any::<u32>(),
            option::of(stage()),
            option::of(code()),
            any::<Option<bool>>()
        )
            .prop_map(|(boot, stage, reason, is_final)| Body::Outcome {
                boot,
                stage,
                reason,
                is_final,
            }),
        any::<u32>().prop_map(|count| Body::Subscribe { count }),
        (address(), any::<bool>(), time(), title()).prop_map(|(address, online, since, title)| {
            Body::Lookup {
                address,
                online,
                since,
                title,
            }
        }),
        (
            stage(),
            option::of(time()),
            option::of(code()),
            any::<bool>()
        )
            .prop_map(|(stage, at, reason, is_final)| Body::Receipt {
                stage,
                at,
                reason,
                is_final,
            }),
        (address(), any::<[u8; 32]>())
            .prop_map(|(controller, key)| Body::Enrol { controller, key }),
        proptest::sample::select(vec![
            Verb::Force,
            Verb::Release,
            Verb::Trial,
            Verb::Restart,
            Verb::Rekey,
        ])
        .prop_map(Body::Done),
        vec(parameter(), 0..=limits::NAMES_MAX)
            .prop_map(|parameters| Body::Parameters { parameters }),
        (vec(named_value(), 0..=limits::NAMES_MAX), any::<u32>())
            .prop_map(|(values, total)| Body::Values { values, total }),
        vec(log_entry(), 0..=limits::LOG_ENTRIES_MAX).prop_map(|entries| Body::Log { entries }),
        health().prop_map(|health| Body::Health(Box::new(health))),
        (
            0..=limits::TRANSFER_BYTES_MAX,
            vec(any::<u8>(), 0..=limits::TRANSFER_PIECE_BYTES_MAX),
            any::<[u8; 32]>()
        )
            .prop_map(|(size, bytes, digest)| Body::TransferRead {
                size,
                bytes: bytes.into(),
                digest,
            }),
        any::<u32>().prop_map(|offset| Body::TransferOpen { offset }),
        any::<u32>().prop_map(|offset| Body::TransferWrite { offset }),
        option::of(fault()).prop_map(|fault| Body::TransferCommit { fault }),
        (any::<bool>(), any::<u32>()).prop_map(|(alarm, last)| Body::Taken {
            verb: if alarm { Verb::Alarm } else { Verb::Happened },
            last,
        }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        body().prop_map(Answer::Ok),
        (1..=u8::MAX, option::of(text()), any::<u16>()).prop_map(|(code, detail, verb)| {
            Answer::Refused {
                code: Code::from_number(code),
                detail,
                verb,
            }
        }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let presence_head = (address(), any::<bool>(), time(), title());
    let announced = (
        any::<Option<u32>>(),
        any::<Option<u32>>(),
        option::of(title()),
        option::of(title()),
    );
    prop_oneof![
        (any::<u32>(), any::<u32>(), title(), title(), any::<u32>()).prop_map(
            |(boot, features, software, board, layout)| Event::Announce {
                boot,
                features,
                software,
                board,
                layout,
            }
        ),
        (presence_head, announced, option::of(code())).prop_map(
            |((controller, online, since, title), (boot, features, software, board), reason)| {
                Event::Presence {
                    controller,
                    online,
                    since,
                    title,
                    boot,
                    features,
                    software,
                    board,
                    reason,
                }
            }
        ),
        text()
            .prop_filter("a note says something", |text| !text.as_str().is_empty())
            .prop_map(|text| Event::Note { text }),
        (
            1..=u32::MAX,
            option::of(time()),
            text(),
            vec((value_type(), signed()), 0..=limits::EVENT_VALUES_MAX)
        )
            .prop_map(|(number, time, text, values)| Event::Happened {
                number,
                time,
                text,
                values,
            }),
        (
            1..=u32::MAX,
            option::of(time()),
            proptest::sample::select(AlarmLevel::ALL),
            text(),
            any::<(bool, u8)>()
        )
            .prop_map(
                |(number, time, level, text, (raised, alarm))| Event::Alarm {
                    number,
                    time,
                    level,
                    text,
                    raised,
                    alarm,
                }
            ),
    ]
}

fn cause() -> impl Strategy<Value = Cause> {
    let kind = proptest::sample::select(&CauseKind::ALL[..]);
    (kind, option::of(address()), any::<Option<u32>>()).prop_map(|(kind, by, reference)| Cause {
        kind,
        by,
        reference,
    })
}

fn change() -> impl Strategy<Value = Change> {
    (0..32_u8, signed(), any::<u32>(), cause()).prop_map(|(index, value, flags, cause)| Change {
        index,
        value,
        flags: PointFlags(flags),
        cause,
    })
}

fn point() -> impl Strategy<Value = Point> {
    (change(), name(), 0..4_u8).prop_map(|(change, name, number)| {
        let point_type = PointType::from_number(number).expect("there are four");
        Point {
            index: change.index,
            name,
            point_type,
            value: match point_type.is_digital() {
                true => change.value & 1,
                false => change.value,
            },
            flags: change.flags,
            cause: change.cause,
        }
    })
}

fn status_head() -> impl Strategy<Value = StatusHead> {
    any::<(u32, u32)>().prop_map(|(boot, sequence)| StatusHead { boot, sequence })
}

fn full() -> impl Strategy<Value = Full> {
    let page = (1..=16_u8).prop_flat_map(|pages| (0..pages, Just(pages)));
    let points = vec(point(), 0..=limits::POINTS_MAX);
    let times = (unsigned(), option::of(time()));
    (status_head(), page, times, points, any::<u32>()).prop_map(
        |(head, (page, pages), (uptime_ms, time), points, layout)| Full {
            head,
            page,
            pages,
            uptime_ms,
            time,
            points,
            layout,
        },
    )
}

fn delta() -> impl Strategy<Value = Delta> {
    let changes = vec(change(), 0..=limits::POINTS_MAX);
    (status_head(), unsigned(), option::of(time()), changes).prop_map(
        |(head, uptime_ms, time, changes)| Delta {
            head,
            uptime_ms,
            time,
            changes,
        },
    )
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let told = (option::of(time()), option::of(code()), option::of(text()));
    (key(), stage(), told, any::<bool>()).prop_map(
        |(key, stage, (at, reason, detail), is_final)| Receipt {
            key,
            stage,
            at,
            reason,
            detail,
            is_final,
        },
    )
}

/// Encoding passes the check, is the same every time, and decoding gives the message back.
macro_rules! round_trips {
    ($($name:ident: $strategy:expr, $decode:expr;)*) => {
        proptest! {
            $(#[test]
            fn $name(message in $strategy) {
                let payload = message.encode();
                prop_assert_eq!(cbor::check(&payload), Ok(()));
                prop_assert_eq!(&payload, &message.encode());
                prop_assert!(payload.len() <= limits::PAYLOAD_BYTES_MAX);
                let back = $decode(&message, &payload).unwrap();
                prop_assert_eq!(&back, &message);
                prop_assert_eq!(back.encode(), payload);
            })*
        }
    };
}

round_trips! {
    controller_hellos_round_trip: controller_hello(), |_: &_, payload| ControllerHello::decode(payload);
    hello_replies_round_trip: hello_reply(), |_: &_, payload| HelloReply::decode(payload);
    tool_hellos_round_trip: tool_hello(), |_: &_, payload| ToolHello::decode(payload);
    tool_welcomes_round_trip: tool_welcome(), |_: &_, payload| ToolWelcome::decode(payload);
    ping_replies_round_trip: option::of(time()).prop_map(|time| PingReply { time }),
        |_: &_, payload| PingReply::decode(payload);
    errors_round_trip: (code(), option::of(text())).prop_map(|(code, detail)| ErrorMessage { code, detail }),
        |_: &_, payload| ErrorMessage::decode(payload);
    requests_round_trip: request(), |request: &Request, payload| Request::decode(request.verb().kind(), payload);
    commands_round_trip: command(), |_: &_, payload| Command::decode(payload);
    answers_round_trip: answer(), |_: &_, payload| Answer::decode(payload);
    events_round_trip: event(), |_: &_, payload| Event::decode(payload);
    fulls_round_trip: full(), |_: &_, payload| Full::decode(payload);
    deltas_round_trip: delta(), |_: &_, payload| Delta::decode(payload);
    receipts_round_trip: receipt(), |_: &_, payload| Receipt::decode(payload);
}

/// Every decoder there is; what decodes must be encoded to a payload that decodes to the same.
fn decode_all(payload: &[u8]) {
    macro_rules! stable {
        ($($decoded:expr, $again:expr;)*) => {$(
            if let Ok(message) = $decoded {
                let encoded = message.encode();
                assert_eq!(cbor::check(&encoded), Ok(()));
                assert_eq!($again(&message, &encoded).as_ref(), Ok(&message));
            }
        )*};
        ($($type:ident),*) => {
            stable! { $($type::decode(payload), |_: &$type, bytes| $type::decode(bytes);)* }
        };
    }
    stable!(
        ControllerHello,
        HelloReply,
        ToolHello,
        ToolWelcome,
        Ping,
        PingReply,
        ErrorMessage,
        Command,
        Answer,
        Event,
        Full,
        Delta,
        Receipt
    );
    for &kind in Kind::ALL {
        stable! {
            Request::decode(kind, payload), |_: &Request, bytes| Request::decode(kind, bytes);
        }
    }
    let _ = CommandHead::decode(payload);
    let _ = ReceiptHead::decode(payload);
    let _ = StatusHead::decode(payload);
    let _ = verb_of(payload);
}

/// Payloads that are nearly messages: one of each sort with some bytes changed or cut off.
fn nearly_a_payload() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![
        tool_hello().prop_map(|it| it.encode()),
        tool_welcome().prop_map(|it| it.encode()),
        request().prop_map(|it| it.encode()),
        command().prop_map(|it| it.encode()),
        answer().prop_map(|it| it.encode()),
        event().prop_map(|it| it.encode()),
        full().prop_map(|it| it.encode()),
        delta().prop_map(|it| it.encode()),
        receipt().prop_map(|it| it.encode()),
    ];
    let changes = vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4);
    (whole, changes, option::of(any::<proptest::sample::Index>())).prop_map(
        |(mut payload, changes, cut)| {
            for (at, byte) in changes {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            if let Some(cut) = cut {
                payload.truncate(cut.index(payload.len() + 1));
            }
            payload
        },
    )
}

fn frame() -> impl Strategy<Value = Frame> {
    let kind = proptest::sample::select(Kind::ALL);
    let addresses = (address(), address());
    (
        kind,
        any::<bool>(),
        any::<u32>(),
        addresses,
        vec(any::<u8>(), 0..60),
    )
        .prop_map(
            |(kind, flagged, correlation, (source, destination), payload)| {
                let flags = match kind {
                    Kind::Hello | Kind::Ping if flagged => Flags::REPLY,
                    Kind::Response | Kind::StatusFull if flagged => Flags::MORE,
                    _ => Flags::NONE,
                };
                Frame::with_flags(kind, flags, correlation, source, destination, &payload)
            },
        )
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in vec(any::<u8>(), 0..400)) {
        decode_all(&bytes);
        let _ = Frame::decode(&mut BytesMut::from(bytes.as_slice()), 1024);
        let _ = Frame::decode_shared(&mut Bytes::from(bytes.clone()), 1024);
    }

    #[test]
    fn any_map_is_judged_without_a_panic(mut bytes in vec(any::<u8>(), 1..200), count in 0..6_u8) {
        bytes[0] = 0xA0 | count;
        decode_all(&bytes);
    }

    #[test]
    fn nearly_payloads_are_judged_without_a_panic(payload in nearly_a_payload()) {
        decode_all(&payload);
    }

    #[test]
    fn cutting_a_payload_anywhere_is_truncated(receipt in receipt(), at in any::<proptest::sample::Index>()) {
        let payload = receipt.encode();
        let cut = &payload[..at.index(payload.len())];
        prop_assert_eq!(cbor::check(cut), Err(cbor::Fault::Truncated));
    }

    #[test]
    fn integers_beyond_the_profile_are_written_as_its_bound(
        value in prop_oneof![any::<i64>(), Just(i64::MAX), Just(i64::MIN)],
        milliseconds in any::<u64>(),
    ) {
        let command = Command {
            key: Key([0; 16]),
            expiry: Time(milliseconds),
            wait: false,
            action: Action::Call { command: Name::new("go").unwrap(), arguments: vec![value] },
        };
        let payload = command.encode();
        prop_assert_eq!(cbor::check(&payload), Ok(()));
        let back = Command::decode(&payload).unwrap();
        prop_assert_eq!(back.expiry.0, milliseconds.min(limits::INTEGER_MAX as u64));
        let bounded = value.clamp(-limits::INTEGER_MAX, limits::INTEGER_MAX);
        let is_bounded = matches!(&back.action, Action::Call { arguments, .. } if arguments == &[bounded]);
        prop_assert!(is_bounded);
        prop_assert!(Time(milliseconds).plus(Duration::MAX).0 <= limits::INTEGER_MAX as u64);
    }

    #[test]
    fn headers_round_trip(bytes in any::<[u8; limits::HEADER_BYTES]>(), kind in proptest::sample::select(Kind::ALL)) {
        let mut bytes = bytes;
        bytes[0] = kind as u8;
        if let Ok(header) = Header::decode(&bytes, limits::PAYLOAD_BYTES_MAX) {
            prop_assert_eq!(header.encode(), bytes);
        }
    }

    #[test]
    fn frames_split_anywhere_arrive_the_same(
        frames in vec(frame(), 1..8),
        chunk_bytes in vec(1..40_usize, 1..20),
    ) {
        let wire: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
        let (mut rest, mut buffer, mut found) = (wire.as_slice(), BytesMut::new(), Vec::new());
        for &size in chunk_bytes.iter().cycle() {
            let (chunk, later) = rest.split_at(size.min(rest.len()));
            buffer.extend_from_slice(chunk);
            rest = later;
            while let Some(frame) = Frame::decode(&mut buffer, 60).unwrap() {
                found.push(frame);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(&found, &frames);
        let (mut rest, mut found) = (wire.as_slice(), Vec::new());
        while let Some((frame, behind)) = FrameRef::split(rest, 60).unwrap() {
            let owned = frame.to_frame();
            prop_assert_eq!(frame, owned.as_frame_ref());
            prop_assert_eq!(frame.payload(), &frame.bytes()[limits::HEADER_BYTES..]);
            found.push(owned);
            rest = behind;
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(&found, &frames);
        let (mut shared, mut found) = (Bytes::from(wire), Vec::new());
        while let Some(frame) = Frame::decode_shared(&mut shared, 60).unwrap() {
            found.push(frame);
        }
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn a_refused_header_takes_nothing_from_the_buffer(bytes in vec(any::<u8>(), 0..64)) {
        let mut buffer = BytesMut::from(bytes.as_slice());
        let decoded = Frame::decode(&mut buffer, 16);
        let split = FrameRef::split(&bytes, 16);
        let split = split.map(|split| split.map(|(frame, _)| frame.to_frame()));
        prop_assert_eq!(&split, &decoded);
        match decoded {
            Ok(Some(frame)) => prop_assert_eq!(frame.bytes().len() + buffer.len(), bytes.len()),
            Ok(None) | Err(_) => prop_assert_eq!(&buffer[..], &bytes[..]),
        }
    }
}
