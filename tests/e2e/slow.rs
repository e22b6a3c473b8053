//! A controller that stops reading is cut off, and its neighbours notice nothing.

use crate::{key_of, yard};
use switchyard_e2e::{Device, Tool, http::ends};
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{Ping, Request, Stage},
};

/// Pings in one burst: their replies are what the deaf one does not read.
const BURST: usize = 2_000;
/// Bursts after which any gateway must have run out of patience: some 20 MB of replies.
const BURSTS_MAX: usize = 200;

#[test]
fn a_controller_that_stops_reading_is_cut_off_alone() {
    let yard = yard(&["--slow-peer-timeout", "2s"]);
    let controllers = yard.enrol("Pump", 2).unwrap();
    let (neighbour, deaf) = (&controllers[0], &controllers[1]);
    let _running = yard
        .start_controller(neighbour, &["--behaviour", "latch"])
        .unwrap();
    let mut tool = Tool::connect(&yard, "operator").unwrap();
    tool.ask(Address::GATEWAY, &Request::Subscribe { controllers: None })
        .unwrap();

    // It is live; from here on it talks and never listens.
    let mut device = Device::live(yard.tcp(), deaf.address, &key_of(deaf), 1).unwrap();
    let pings: Vec<Frame> = (1..=20)
        .map(|correlation| {
            Frame::new(
                Kind::Ping,
                correlation,
                Address(deaf.address),
                Address::GATEWAY,
                &Ping.encode(),
            )
        })
        .collect();
    let mut talking = true;
    let mut bursts = 0;
    while ends(&yard, Code::SlowPeer).unwrap() == 0 {
        if talking {
            // Once the gateway reads no more either, there is no more room for its talk.
            talking = (0..BURST / pings.len()).all(|_| device.send(&pings).is_ok());
            bursts += 1;
            assert!(bursts < BURSTS_MAX, "the gateway keeps everything");
        }
        // The neighbour is served all the while.
        let value = (bursts % 2) as i64;
        let key = tool.set(neighbour.address, "RL1", value, 10_000).unwrap();
        let receipts = tool.receipts(key, |_| {}).unwrap();
        assert_eq!(
            receipts.last().unwrap().stage,
            Stage::Executed,
            "burst {bursts}"
        );
    }
    device.wait_for_end().unwrap();
}
