//! What the parts of a batch share in their tests.

use crate::{BatchStage, Record};
use std::collections::BTreeMap;

pub(super) fn record(mac: [u8; 6], number: Option<u32>, failed: Option<BatchStage>) -> Record {
    Record {
        at_ms: 0,
        slot: "/dev/ttyUSB0".to_owned(),
        mac: Some(mac),
        number,
        address: None,
        title: String::new(),
        software: String::new(),
        failure: failed.map(|stage| (stage, "it failed".to_owned())),
        durations: BTreeMap::new(),
        bytes_written: 0,
        line_errors: 0,
    }
}
