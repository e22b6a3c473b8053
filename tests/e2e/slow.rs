//! A controller that stops reading is cut off, and its neighbours notice nothing.

use crate::{key_of, yard};
use switchyard_e2e::{Device, Tool, http::wait_for_count};
use switchyard_protocol::{
    Address, Kind,
    message::{Request, Stage},
};

#[test]
fn a_controller_that_stops_reading_is_cut_off_alone() {
    let yard = yard(&["--slow-peer-timeout", "2s"]);
    let controllers = yard.enrol("Pump", 2).unwrap();
    let _neighbour = yard
        .start_controller(&controllers[0], &["--behaviour", "latch"])
        .unwrap();
    let key = key_of(&controllers[1]);
    // It is live, and from here on it reads nothing.
    let mut deaf = Device::live(yard.tcp(), controllers[1].address, &key, 1).unwrap();
    let mut tool = Tool::connect(&yard, "operator").unwrap();

    let cut_off = "slow_peer";
    let mut round = 0;
    while switchyard_e2e::http::metric(&yard, "switchyard_refused_total{code=\"slow_peer\"}")
        .unwrap()
        == 0
    {
        // Fill its queue; the gateway answers `busy` for what does not fit.
        for _ in 0..200 {
            let payload = Request::Describe.encode();
            let address = tool.address();
            let frame = switchyard_protocol::Frame::new(
                Kind::Query,
                0xF00D,
                address,
                Address(controllers[1].address),
                &payload,
            );
            tool.send(&frame).unwrap();
        }
        // The neighbour is served all the while.
        let key = tool
            .set(controllers[0].address, "RL1", round % 2, 10_000)
            .unwrap();
        let receipts = tool.receipts(key, |_| {}).unwrap();
        assert_eq!(
            receipts.last().unwrap().stage,
            Stage::Executed,
            "round {round}"
        );
        round += 1;
    }
    wait_for_count(&yard, cut_off, 1).unwrap();
    deaf.wait_for_end().unwrap();
    assert!(round > 0);
}
