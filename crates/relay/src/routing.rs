//! Where a frame goes: by its header alone, unless it is for the gateway itself or opens or closes
//! a receipt.

use crate::{
    ConnectionId, Relay, Work,
    access::{self, Verdict},
    session::{Side, Slot},
};
use switchyard_protocol::{
    Code, Flags, FrameRef, Header, Kind,
    message::{CommandHead, ErrorMessage, MessageError, PingReply},
};

impl Relay {
    pub(crate) fn frame_came(
        &mut self,
        work: &mut Work<'_>,
        connection: ConnectionId,
        frame: FrameRef<'_>,
    ) {
        let Some(slot) = self.sessions.slot_of(connection) else {
            return;
        };
        self.counters.frames_received += 1;
        self.heard(slot, work.now.since_start);
        let header = frame.header();
        let session = self.sessions.at(slot);
        if header.source != session.address {
            return self.end(work, slot, Code::ForgedSource);
        }
        match session.side {
            Side::Tool { ref rights, .. } => {
                let there = self.controller_for(header);
                let place = there.map(|index| self.fleet.at(index).site());
                let role = access::role_for(header, rights, place);
                let verdict = access::of_tool(role, header);
                self.obey(work, slot, there, frame, verdict);
            }
            Side::Controller { index, .. } => {
                let verdict = access::of_controller(header);
                // The first frame of a session announces it; nothing is known of it before.
                if !self.fleet.at(index).online
                    && !matches!(verdict, Verdict::Event | Verdict::Farewell)
                {
                    return self.end(work, slot, Code::Malformed);
                }
                self.obey(work, slot, Some(index), frame, verdict);
            }
        }
    }

    /// The controller that a tool's request goes to, if anybody holds that number.
    fn controller_for(&self, header: &Header) -> Option<u32> {
        let is_asked = header.destination.is_controller() && header.kind.is_request();
        is_asked.then(|| self.fleet.index_of(header.destination))?
    }

    /// Does what was judged. `controller` is the one that a frame comes from, or goes to.
    fn obey(
        &mut self,
        work: &mut Work<'_>,
        slot: Slot,
        controller: Option<u32>,
        frame: FrameRef<'_>,
        verdict: Verdict,
    ) {
        match (verdict, controller) {
            (Verdict::Ask, Some(index)) => self.ask_controller(work, slot, index, frame),
            (Verdict::Command, Some(index)) => {
                self.command_came(work, slot, frame, Ok(index));
            }
            (Verdict::NoCommand(code), _) => self.command_came(work, slot, frame, Err(code)),
            (Verdict::Tool, _) => self.tool_to_tool(work, slot, frame),
            (Verdict::Gateway, _) => self.request_came(work, slot, frame),
            (Verdict::Status, Some(index)) => self.status_came(work, slot, index, frame),
            (Verdict::Receipt, Some(index)) => self.receipt_came(work, slot, index, frame),
            (Verdict::Answer, Some(index)) => self.answer_came(work, index, frame),
            (Verdict::Own, Some(index)) => self.own_answer_came(work, slot, index, frame),
            (Verdict::Event, Some(index)) => self.event_came(work, slot, index, frame),
            (Verdict::Ping, _) => self.ping_came(work, slot, frame),
            (Verdict::Refuse(code), _) => self.refuse(work, slot, frame, code),
            (Verdict::Drop(code), _) => self.counters.dropped.add(code),
            (Verdict::Farewell, _) => {
                let code = ErrorMessage::decode(frame.payload());
                self.close(work, slot, code.map_or(Code::Malformed, last_word));
            }
            // `access` gives a controller's verdicts to controllers alone.
            _ => self.end(work, slot, Code::Malformed),
        }
    }

    fn refuse(&mut self, work: &mut Work<'_>, slot: Slot, frame: FrameRef<'_>, code: Code) {
        let header = *frame.header();
        self.journal_denial(work, slot, frame, code);
        if header.kind != Kind::Command {
            return self.refuse_request(work, slot, frame, code);
        }
        match CommandHead::decode(frame.payload()) {
            Ok(head) => self.refuse_command(work, slot, header.correlation, head.key, code),
            Err(MessageError::Cbor(_)) => self.end(work, slot, Code::Malformed),
            Err(_) => self.refuse_request(work, slot, frame, code),
        }
    }

    /// A tool's frame for another tool, which it reaches where both have a role at one site. One that does not fit is given up here: a tool must not be
    /// able to get another cut off by filling its queue, nor to fill it so far that
    /// [`Relay::pump`] finds no room.
    pub(crate) fn tool_to_tool(&mut self, work: &mut Work<'_>, slot: Slot, frame: FrameRef<'_>) {
        let header = frame.header();
        let room = self.settings.tool_queue_bytes_max;
        let code = match self.sessions.slot_at(header.destination) {
            Some(to) if !self.sessions.meet(slot, to) => Code::UnknownAddress,
            Some(to) if self.sessions.at(to).queued_bytes + frame.bytes().len() <= room / 8 * 5 => {
                return self.send(work, to, frame.bytes());
            }
            Some(_) => Code::Busy,
            None => self.absence_of(slot, header.destination),
        };
        if header.kind.is_request() {
            self.refuse_request(work, slot, frame, code);
        } else {
            self.counters.dropped.add(code);
        }
    }

    fn ping_came(&mut self, work: &mut Work<'_>, slot: Slot, frame: FrameRef<'_>) {
        let header = frame.header();
        if header.flags.contains(Flags::REPLY) {
            return;
        }
        let reply = PingReply {
            time: Some(work.now.time),
        };
        let kind = (Kind::Ping, Flags::REPLY);
        self.send_own(work, slot, kind, header.correlation, |payload| {
            reply.encode_into(payload);
        });
    }
}

/// What a peer gives for its end. It may give any code, and these two say to tools what the gateway alone has to say:
/// that a controller is gone from view, or withdrawn for ever.
fn last_word(error: ErrorMessage) -> Code {
    match error.code {
        Code::Forbidden | Code::Revoked => Code::LinkLost,
        other => other,
    }
}
