//! What need not be written by itself.

use crate::harness::{BOOT, PAGE, PUMP, Yard, command};
use switchyard_protocol::{
    Frame, FrameRef, Kind, Role,
    message::{Key, Receipt, Stage},
};
use switchyard_relay::{ConnectionId, Haste, Output, Sink};

#[test]
fn the_receipt_of_the_sending_alone_need_not_be_written_by_itself() {
    #[derive(Default)]
    struct Hastes(Vec<(Kind, Haste)>);
    impl Sink for Hastes {
        fn send(&mut self, _: ConnectionId, frame: &[u8], haste: Haste) {
            let (frame, _) = FrameRef::split(frame, frame.len()).unwrap().unwrap();
            self.0.push((frame.header().kind, haste));
        }

        fn output(&mut self, output: Output) {
            panic!("{output:?}");
        }
    }

    let mut yard = Yard::new();
    let pump = yard.controller(PUMP, BOOT);
    let page = yard.tool(PAGE, "li", Role::Operator);
    yard.inbox(pump);
    let now = yard.now();
    let command = Frame::new(Kind::Command, 5, PAGE, PUMP, &command(1).encode());
    let receipt = Receipt {
        key: Key([1; 16]),
        stage: Stage::Executed,
        at: None,
        reason: None,
        detail: None,
        is_final: true,
    };
    let executed = Frame::new(Kind::Receipt, 5, PUMP, PAGE, &receipt.encode());
    for (from, frame, expected) in [
        (
            page,
            &command,
            &[(Kind::Command, Haste::Now), (Kind::Receipt, Haste::Along)][..],
        ),
        // Repeated, it is an answer that somebody waits for.
        (page, &command, &[(Kind::Receipt, Haste::Now)]),
        (pump, &executed, &[(Kind::Receipt, Haste::Now)]),
    ] {
        let mut sink = Hastes::default();
        yard.relay.frame(now, from, frame.as_frame_ref(), &mut sink);
        assert_eq!(sink.0, expected);
    }
}
