//! The simulated journal: what the relay has written down survives the gateway, and all of it but
//! a power cut's last moments survives the host.

use bytes::Bytes;
use switchyard_protocol::{
    Code,
    message::{Key, Stage, Time, Title},
};
use switchyard_relay::{Entry, KeptReceipt, Origin, Output, Recollection, Sink};

/// An entry that owns what it says; those that no restart needs are left out.
pub(crate) enum Line {
    Command {
        account: Title,
        key: Key,
        expiry: Time,
        frame: Bytes,
        refused: Option<(Stage, Code)>,
    },
    Progress {
        key: Key,
        boot: u32,
        receipt: KeptReceipt,
    },
    /// Some lines before this one may be lost.
    PowerCut,
}

/// What a relay gives out while it deals with one input.
#[derive(Default)]
pub(crate) struct Paper {
    pub(crate) outputs: Vec<Output>,
    pub(crate) lines: Vec<(Time, Line)>,
}

impl Sink for Paper {
    fn send(
        &mut self,
        connection: switchyard_relay::ConnectionId,
        frame: &[u8],
        haste: switchyard_relay::Haste,
    ) {
        self.outputs.send(connection, frame, haste);
    }

    fn output(&mut self, output: Output) {
        self.outputs.push(output);
    }

    fn journal(&mut self, time: Time, entry: Entry<'_>) {
        let line = match entry {
            Entry::Command {
                origin,
                key,
                expiry,
                frame,
                refused,
            } => Line::Command {
                account: origin.account.clone(),
                key,
                expiry,
                frame: Bytes::copy_from_slice(frame),
                refused,
            },
            Entry::Progress { key, boot, receipt } => Line::Progress { key, boot, receipt },
            Entry::Denied { .. } | Entry::Request { .. } | Entry::Answer { .. } => return,
        };
        self.lines.push((time, line));
    }
}

/// All lines so far, each with the world's time.
#[derive(Default)]
pub(crate) struct Journal(Vec<(u64, Time, Line)>);

impl Journal {
    pub(crate) fn append(&mut self, now: u64, lines: &mut Vec<(Time, Line)>) {
        self.0
            .extend(lines.drain(..).map(|(time, line)| (now, time, line)));
    }

    /// The power fails: what was written after `synced` is lost.
    pub(crate) fn power_cut(&mut self, synced: u64) -> usize {
        let kept = self.0.partition_point(|&(now, ..)| now <= synced);
        let lost = self.0.len() - kept;
        self.0.truncate(kept);
        self.0.push((synced, Time(0), Line::PowerCut));
        lost
    }

    /// Reads everything again.
    pub(crate) fn recollect(&self, recollection: &mut Recollection) {
        recollection.set_certain(true);
        for (_, time, line) in &self.0 {
            let entry = match line {
                Line::PowerCut => {
                    recollection.miss();
                    continue;
                }
                Line::Command {
                    account,
                    key,
                    expiry,
                    frame,
                    refused,
                } => Entry::Command {
                    origin: Origin {
                        connection: None,
                        account,
                    },
                    key: *key,
                    expiry: *expiry,
                    frame,
                    refused: *refused,
                },
                Line::Progress { key, boot, receipt } => Entry::Progress {
                    key: *key,
                    boot: *boot,
                    receipt: *receipt,
                },
            };
            recollection.read(*time, entry);
        }
    }
}
