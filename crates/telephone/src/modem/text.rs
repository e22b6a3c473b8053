//! The procedures of texts: sent part by part, and taken from the SIM.

use super::{
    desk::{Command, Event, Fault, JobId, Line, Reply},
    pdu::{self, Deliver, Part, Sender},
    report::{ReceivedText, TextEvent, TextFault},
    words::{Cause, Outcome, fields, named, number},
};
use crate::Number;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// The network answers in seconds where it is well, and modems give it up to two minutes.
const SEND_TIME: Duration = Duration::from_secs(125);
/// Reading all of a SIM at a slow rate.
const LIST_TIME: Duration = Duration::from_secs(30);
const DELETE_TIME: Duration = Duration::from_secs(25);
/// How long a long text's other parts are waited for.
const PARTS_PATIENCE: Duration = Duration::from_secs(10 * 60);
/// What stands for a part that never came.
const GAP: &str = "…";

/// Sends a text, and says how it came out. It is told in between that it is on its way.
pub(super) async fn send(
    line: &Line,
    id: JobId,
    to: &Number,
    text: &str,
) -> Result<TextEvent, Fault> {
    line.tell(Event::Text(id, TextEvent::Sending));
    // It has to differ from that of the text before to the same number, and from no other.
    let segments = pdu::segments(text, id as u8);
    let parts = segments.len() as u8;
    for (part, segment) in (1..=parts).zip(&segments) {
        let message = pdu::submit(to, segment);
        let refused = |cause| TextEvent::Failed(TextFault::Refused { cause, part, parts });
        let announcement = format!("AT+CMGS={}", message.octets);
        match line.ask(Command::new(announcement).prompting()).await? {
            Reply::Prompt => {}
            reply => return Ok(refused(cause_of(&reply))),
        }
        let reply = line
            .ask(Command::message(message.hex).within(SEND_TIME))
            .await?;
        if !reply.is_ok() {
            return Ok(refused(cause_of(&reply)));
        }
    }
    Ok(TextEvent::Sent { parts })
}

fn cause_of(reply: &Reply) -> Cause {
    match reply {
        Reply::Answer {
            outcome: Outcome::Refused(cause),
            ..
        } => *cause,
        _ => Cause::Untold,
    }
}

/// A text, or a part of one, on the SIM.
struct Stored {
    place: u16,
    /// It has come; otherwise it was stored here to be sent.
    has_come: bool,
    hex: String,
}

/// By what the parts of one text know each other.
type Whole = (Sender, u16, u8);

/// What is remembered of the texts on a SIM.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Since when parts wait for others.
    waiting: HashMap<Whole, Duration>,
    /// Given out and still there, since they could not be deleted.
    given: BTreeMap<u16, String>,
}

impl Inbox {
    /// Gives out the texts on the SIM, as many as there is room for, and deletes those.
    pub(super) async fn empty(&mut self, line: &Line) -> Result<(), Fault> {
        let reply = line
            .ask(Command::new("AT+CMGL=4").within(LIST_TIME))
            .await?;
        let stored = stored(reply.lines());
        self.given
            .retain(|place, hex| stored.iter().any(|it| it.place == *place && it.hex == *hex));
        let is_full = self.storage(line).await?;
        let mut spent = Vec::new();
        let mut wholes: HashMap<Whole, BTreeMap<u8, (Deliver, Vec<u16>)>> = HashMap::new();
        for Stored {
            place,
            has_come,
            hex,
        } in &stored
        {
            if self.given.get(place) == Some(hex) {
                spent.push(*place);
                continue;
            }
            // What others stored here to be sent has to go only when its room is needed.
            if !has_come {
                spent.extend(is_full.then_some(*place));
                continue;
            }
            match pdu::received(hex) {
                Ok(text) => match text.part {
                    None => self.give(line, text, &[*place], &stored, &mut spent),
                    Some(Part {
                        reference,
                        total,
                        number,
                    }) => {
                        let whole = (text.from.clone(), reference, total);
                        let parts = wholes.entry(whole).or_default();
                        let (_, places) = parts.entry(number).or_insert_with(|| (text, Vec::new()));
                        places.push(*place);
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "something on the SIM is no text and is deleted");
                    spent.push(*place);
                }
            }
        }
        self.waiting.retain(|whole, _| wholes.contains_key(whole));
        for (whole, parts) in wholes {
            let since = *self
                .waiting
                .entry(whole.clone())
                .or_insert_with(|| line.now());
            let is_complete = parts.len() == usize::from(whole.2);
            // A SIM without room takes no further parts.
            if is_complete || is_full || line.now() >= since + PARTS_PATIENCE {
                let places: Vec<u16> = parts
                    .values()
                    .flat_map(|(_, places)| places.clone())
                    .collect();
                if let Some(text) = joined(parts, whole.2) {
                    self.give(line, text, &places, &stored, &mut spent);
                }
            }
        }
        for place in spent {
            let command = Command::new(format!("AT+CMGD={place}")).within(DELETE_TIME);
            if line.ask(command).await?.is_ok() {
                self.given.remove(&place);
            }
        }
        self.storage(line).await?;
        Ok(())
    }

    /// Gives out a text, or leaves it for later when there is no room.
    fn give(
        &mut self,
        line: &Line,
        text: Deliver,
        places: &[u16],
        stored: &[Stored],
        spent: &mut Vec<u16>,
    ) {
        if line.room() == 0 {
            return line.remember_texts();
        }
        line.use_room();
        let of_places = stored.iter().filter(|it| places.contains(&it.place));
        self.given
            .extend(of_places.map(|it| (it.place, it.hex.clone())));
        spent.extend(places);
        line.tell(Event::Received(ReceivedText {
            from: text.from,
            sent_at: text.sent_at,
            text: text.text,
        }));
    }

    /// Tells how full the storage is; says whether it is.
    async fn storage(&self, line: &Line) -> Result<bool, Fault> {
        let reply = line.ask(Command::new("AT+CPMS?")).await?;
        let fields = named(reply.lines(), "+CPMS").next().unwrap_or_default();
        // The storage that is read from comes first: its name, what is taken, what there is.
        let storage = number::<u16>(&fields, 1).zip(number::<u16>(&fields, 2));
        line.change(|state| state.storage = storage);
        Ok(storage.is_some_and(|(taken, all)| all > 0 && taken >= all))
    }
}

/// The messages of a list: a line about each, then its digits.
fn stored(lines: &[String]) -> Vec<Stored> {
    let mut stored = Vec::new();
    let mut lines = lines.iter().peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with("+CMGL:") {
            continue;
        }
        let fields = fields(line);
        let Some((place, state)) = number::<u16>(&fields, 0).zip(number::<u8>(&fields, 1)) else {
            continue;
        };
        if let Some(hex) = lines.next_if(|it| !it.starts_with("+CMGL:")) {
            stored.push(Stored {
                place,
                // Unread and read; then those to be sent, and sent (3GPP TS 27.005, 3.1).
                has_come: state <= 1,
                hex: hex.clone(),
            });
        }
    }
    stored
}

/// One text of its parts, with gaps where some are missing. Of the first part that is there it has its time.
fn joined(parts: BTreeMap<u8, (Deliver, Vec<u16>)>, total: u8) -> Option<Deliver> {
    let mut whole: Option<Deliver> = None;
    let mut text = String::new();
    let mut parts = parts;
    let mut is_in_gap = false;
    for number in 1..=total {
        match parts.remove(&number) {
            Some((part, _)) => {
                text.push_str(&part.text);
                whole.get_or_insert(part);
                is_in_gap = false;
            }
            None if is_in_gap => {}
            None => {
                text.push_str(GAP);
                is_in_gap = true;
            }
        }
    }
    whole.map(|whole| Deliver { text, ..whole })
}
