//! Arbitrary frames from peers of either kind: nothing panics, and nothing grows without limit.

use crate::harness::{BOOT, DESK, FAN, GATEWAY, PAGE, PUMP, Yard, command, settings};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use switchyard_protocol::{Address, Frame, Kind, Role, message::Request};
use switchyard_relay::{ConnectionId, Input, StoreResult, Ticket};

#[test]
fn no_frame_makes_the_relay_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut small = settings();
    small.tool_queue_bytes_max = 8_000;
    small.receipts_kept_max = 64;
    let mut yard = Yard::with(small);
    let peers = [PUMP, FAN, DESK, PAGE];
    let mut connections = [ConnectionId(0); 4];
    for turn in 0..60_000 {
        let at = rng.random_range(0..4);
        let address = peers[at];
        if turn < 4 || yard.closed(connections[at]).is_some() || rng.random_range(0..500) == 0 {
            connections[at] = match address.is_controller() {
                true if rng.random_bool(0.9) => yard.controller(address, rng.random_range(0..3)),
                true => yard.dial(address),
                false => yard.tool(address, "li", Role::Admin),
            };
        }
        let connection = connections[at];
        let kind = Kind::ALL[rng.random_range(0..Kind::ALL.len())];
        let to = match rng.random_range(0..6) {
            0..4 => peers[rng.random_range(0..4)],
            4 => GATEWAY,
            _ => Address(rng.random()),
        };
        // Right payloads with one byte wrong get deepest.
        let mut payload = match rng.random_range(0..5) {
            0 => command(rng.random_range(0..50)).encode(),
            1 => Request::Subscribe { controllers: None }.encode(),
            2 => Request::Receipt {
                key: command(1).key,
            }
            .encode(),
            3 => (0..rng.random_range(0..40)).map(|_| rng.random()).collect(),
            _ => vec![0xA1, 2, rng.random_range(0..24)],
        };
        if let Some(last) = payload.len().checked_sub(1)
            && rng.random_bool(0.5)
        {
            payload[rng.random_range(0..=last)] = rng.random();
        }
        let frame = Frame::new(kind, rng.random_range(0..4), address, to, &payload);
        yard.frame(connection, &frame);
        yard.writes = rng.random_range(0..100) > 5;
        if rng.random_range(0..20) == 0 {
            yard.pass(Duration::from_millis(rng.random_range(0..5_000)));
        }
        let results = [
            StoreResult::Committed,
            StoreResult::Failed,
            StoreResult::Unclear,
        ];
        if !yard.stores.is_empty() && rng.random_bool(0.5) {
            yard.store(results[rng.random_range(0..3)]);
        }
        for result in results {
            // Tickets that nobody gave out.
            let ticket = Ticket(rng.random_range(1 << 40..1 << 41));
            yard.feed(Input::Stored { ticket, result });
        }
        for connection in connections {
            yard.inbox(connection);
        }
    }
    let gauges = yard.relay.gauges();
    assert!(gauges.receipts_kept <= 64 + 16, "{gauges:?}");
    assert!(
        gauges.controllers_known == 2 && gauges.requests_open <= 128,
        "{gauges:?}"
    );
    assert!(
        gauges.commands_in_flight + gauges.commands_waiting <= 64,
        "{gauges:?}"
    );
}

#[test]
fn a_yard_that_went_home_leaves_nothing_behind() {
    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.ask_subscribe(page);
    for number in 0..10 {
        yard.command(page, PAGE, &command(number));
    }
    yard.send(
        page,
        Kind::Query,
        3,
        PAGE,
        PUMP,
        &Request::Describe.encode(),
    );
    yard.cut(page);
    yard.cut(pump);
    yard.pass(Duration::from_secs(60));
    let gauges = yard.relay.gauges();
    assert_eq!(gauges.commands_in_flight + gauges.commands_waiting, 0);
    assert_eq!(
        (
            gauges.requests_open,
            gauges.subscribers,
            gauges.queued_bytes
        ),
        (0, 0, 0)
    );
    yard.pass(Duration::from_secs(60));
    assert_eq!(yard.relay.next_timer(), None);
}
