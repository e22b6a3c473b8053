//! Whatever goes wrong on the way ends in a board that is right, or in a clear failure after which a next time puts it
//! right.

use switchyard_testkit::board::{BoardOptions, Fault, FaultKind, FaultPoint};

use crate::{
    line::SimulatedLine,
    write::{automatic, image, order, put},
};

/// What a write without faults exchanges.
fn packets(has_stub: bool, bytes: &[u8]) -> (u64, u64) {
    let mut line = SimulatedLine::new(automatic(), false);
    write(&mut line, has_stub, bytes).expect("a write without faults");
    let counts = line.board.counts();
    (counts.packets_from_host, counts.packets_to_host)
}

fn write(line: &mut SimulatedLine, has_stub: bool, bytes: &[u8]) -> switchyard_flasher::Result<()> {
    put(line, has_stub, &order(&[(0x1000, bytes)])).map(|_| ())
}

#[test]
fn every_fault_at_every_packet_ends_well_or_clearly() {
    let bytes = image(9_000);
    for has_stub in [true, false] {
        let (from_host, to_host) = packets(has_stub, &bytes);
        let points = (1..=from_host)
            .map(FaultPoint::PacketFromHost)
            .chain((1..=to_host).map(FaultPoint::PacketToHost));
        for at in points {
            for kind in [
                FaultKind::Noise { bytes: 3, seed: 7 },
                FaultKind::Lose { bytes: 1 },
                FaultKind::Lose { bytes: 400 },
                FaultKind::Double { bytes: 2 },
                FaultKind::Silence,
                FaultKind::Nak { code: 7 },
                FaultKind::Unplug,
                FaultKind::Baud { baud: 57_600 },
                FaultKind::TornErase { seed: 5 },
                FaultKind::RefusedProgram,
            ] {
                let mut line = SimulatedLine::new(
                    BoardOptions {
                        faults: vec![Fault { at, kind }],
                        ..automatic()
                    },
                    false,
                );
                let outcome = write(&mut line, has_stub, &bytes);
                let is_right = |line: &SimulatedLine| {
                    line.board.flash().bytes()[0x1000..][..bytes.len()] == bytes
                };
                match outcome {
                    Ok(()) => {
                        assert!(is_right(&line), "stub {has_stub}, {kind:?} at {at:?}");
                    }
                    Err(error) => {
                        assert!(error.advice().is_some(), "{error:?}");
                        line.power_cycle();
                        write(&mut line, has_stub, &bytes)
                            .unwrap_or_else(|error| panic!("{kind:?} at {at:?}: {error:?}"));
                        assert!(
                            is_right(&line),
                            "again: stub {has_stub}, {kind:?} at {at:?}"
                        );
                    }
                }
            }
        }
    }
}
