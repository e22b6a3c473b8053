//! The modem itself: what comes over its line, what is told over it and when, and what happens behind it.

use super::{
    network::{CallNews, DialledCall, Ongoing, SentText, joined},
    options::ModemOptions,
    pdu::{self, Submitted},
};
use std::{collections::VecDeque, time::Duration};

/// What is kept of a command that has no end.
const COMMAND_BYTES_MAX: usize = 1_024;
const END_OF_MESSAGE: u8 = 0x1A;
const ESCAPE: u8 = 0x1B;

/// A text on the SIM.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// 0 unread, 1 read, 2 to be sent, 3 sent.
    pub(super) state: u8,
    pub(super) hex: String,
}

/// See the module.
pub struct ScriptedModem {
    pub(super) options: ModemOptions,
    pub(super) now: Duration,
    begun: Vec<u8>,
    /// A message is awaited, of so many octets.
    pub(super) expects_message: Option<usize>,
    pub(super) echoes: bool,
    outgoing: VecDeque<(Duration, Vec<u8>)>,
    pub(super) is_unlocked: bool,
    pub(super) busy_left: u8,
    pub(super) places: Vec<Option<Stored>>,
    /// What the network holds since the SIM is full.
    waiting: VecDeque<String>,
    pub(super) tells_texts: bool,
    pub(super) hears_keys: bool,
    pub(super) messages: Vec<Submitted>,
    pub(super) texts_sent: usize,
    commands: Vec<String>,
    pub(super) call: Option<Ongoing>,
    pub(super) calls: Vec<DialledCall>,
    /// Dialling has no answer yet.
    pub(super) is_dialling: bool,
    pub(super) speaks_until: Option<Duration>,
    reference: u8,
    rings: Option<Duration>,
}

impl ScriptedModem {
    /// One that was given power long ago.
    #[must_use]
    pub fn new(options: ModemOptions) -> Self {
        let mut modem = ScriptedModem {
            now: Duration::ZERO,
            begun: Vec::new(),
            expects_message: None,
            echoes: true,
            outgoing: VecDeque::new(),
            is_unlocked: false,
            busy_left: 0,
            places: vec![None; options.places],
            waiting: VecDeque::new(),
            tells_texts: false,
            hears_keys: false,
            messages: Vec::new(),
            texts_sent: 0,
            commands: Vec::new(),
            call: None,
            calls: Vec::new(),
            is_dialling: false,
            speaks_until: None,
            reference: 0,
            rings: None,
            options,
        };
        modem.forget();
        modem
    }

    /// All that a start resets.
    fn forget(&mut self) {
        self.begun.clear();
        self.expects_message = None;
        self.echoes = true;
        self.outgoing.clear();
        self.is_unlocked = self.options.pin.is_none();
        self.busy_left = self.options.busy_at_first;
        self.tells_texts = false;
        self.hears_keys = false;
        self.is_dialling = false;
        self.speaks_until = None;
        self.rings = None;
        if self.call.take().is_some() {
            self.end_call(false);
        }
    }

    /// It loses power and starts anew.
    pub fn restart(&mut self, now: Duration) {
        self.advance(now);
        self.forget();
        self.tell("RDY");
        self.tell("+CFUN: 1");
    }

    /// Takes bytes of the host.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) {
        self.advance(now);
        for byte in bytes {
            if self.echoes {
                self.send(vec![*byte]);
            }
            match (*byte, self.expects_message) {
                (END_OF_MESSAGE, Some(octets)) => {
                    let digits = self.take_line();
                    self.expects_message = None;
                    self.message(&digits, octets);
                }
                (ESCAPE, _) => {
                    self.begun.clear();
                    if self.expects_message.take().is_some() {
                        self.finish("OK");
                    }
                }
                (b'\r', None) => {
                    let line = self.take_line();
                    if !line.is_empty() {
                        self.commands.push(line.clone());
                        self.command(&line);
                    }
                }
                (b'\n', None) => {}
                (byte, _) if self.begun.len() < COMMAND_BYTES_MAX => self.begun.push(byte),
                _ => {}
            }
        }
    }

    fn take_line(&mut self) -> String {
        let line = std::mem::take(&mut self.begun);
        String::from_utf8_lossy(&line).trim().to_owned()
    }

    /// What has to be on the line by now.
    pub fn transmit(&mut self, now: Duration) -> Vec<u8> {
        self.advance(now);
        let due = self
            .outgoing
            .iter()
            .take_while(|(when, _)| *when <= now)
            .count();
        self.outgoing
            .drain(..due)
            .flat_map(|(_, bytes)| bytes)
            .collect()
    }

    /// When there is news, if nothing comes until then.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let said = self.outgoing.front().map(|(when, _)| *when);
        let of_call = self
            .call
            .as_ref()
            .and_then(Ongoing::next)
            .map(|(when, _)| when);
        let times = [said, of_call, self.speaks_until, self.rings];
        times.into_iter().flatten().min()
    }

    fn advance(&mut self, now: Duration) {
        loop {
            let of_call = self
                .call
                .as_ref()
                .and_then(Ongoing::next)
                .map(|(when, _)| when);
            let next = [of_call, self.speaks_until, self.rings]
                .into_iter()
                .flatten()
                .min();
            self.now = self.now.max(next.map_or(now, |next| next.min(now)));
            if next.is_none_or(|next| next > now) {
                if let Some(call) = &mut self.call {
                    call.advance(now);
                }
                self.now = self.now.max(now);
                return;
            }
            if self.speaks_until.is_some_and(|until| until <= self.now) {
                self.speaks_until = None;
                self.tell("+QWTTS: 0");
            }
            if self.rings.is_some_and(|when| when <= self.now) {
                self.tell("RING");
                self.rings = Some(self.now + Duration::from_secs(4));
            }
            let news = self.call.as_mut().and_then(|call| call.advance(self.now));
            match news {
                Some(CallNews::Answered) => {
                    if let Some(call) = self.calls.last_mut() {
                        call.is_answered = true;
                    }
                    if std::mem::take(&mut self.is_dialling) {
                        self.finish("OK");
                    }
                }
                Some(CallNews::Key(key)) => self.key(key),
                Some(CallNews::Ended(word)) => {
                    self.call = None;
                    self.end_call(false);
                    // It is the answer to dialling when that has none yet.
                    self.is_dialling = false;
                    self.tell(word);
                }
                None => {}
            }
        }
    }

    pub(super) fn end_call(&mut self, by_host: bool) {
        self.speaks_until = None;
        if let Some(call) = self.calls.last_mut() {
            call.is_over = true;
            call.is_hung_up = by_host;
        }
    }

    fn key(&mut self, key: char) {
        use super::ModemKind;
        if !self.hears_keys {
            return;
        }
        match self.options.kind {
            ModemKind::Quectel => self.tell(&format!("+QTONEDET: {}", u32::from(key))),
            _ => self.tell(&format!("+DTMF: {key}")),
        }
    }

    /// Puts bytes on the line once it is their turn.
    fn send(&mut self, bytes: Vec<u8>) {
        let after = self
            .outgoing
            .back()
            .map_or(Duration::ZERO, |(when, _)| *when);
        let when = after.max(self.now + self.options.answer_delay);
        self.outgoing.push_back((when, bytes));
    }

    /// Says a line.
    pub(super) fn tell(&mut self, line: &str) {
        self.send(format!("\r\n{line}\r\n").into_bytes());
    }

    /// Asks for a message.
    pub(super) fn prompt(&mut self, octets: usize) {
        self.expects_message = Some(octets);
        self.send(b"\r\n> ".to_vec());
    }

    /// Answers with lines and an end.
    pub(super) fn answer(&mut self, lines: &[String], end: &str) {
        if let Some(garbage) = self.options.garbage.clone() {
            self.send(garbage);
        }
        for line in lines {
            self.tell(line);
            if let Some(between) = self.options.tells_between.clone() {
                self.tell(&between);
            }
        }
        self.tell(end);
    }

    pub(super) fn finish(&mut self, end: &str) {
        self.answer(&[], end);
    }

    /// A text comes from somebody, in as many messages as it takes.
    pub fn text_comes(&mut self, now: Duration, from: &str, text: &str) {
        self.reference = self.reference.wrapping_add(1);
        for hex in pdu::deliveries(from, text, self.reference) {
            self.message_comes(now, &hex);
        }
    }

    /// Only some of the messages of a text come: those whose numbers, from 1 on, are given.
    pub fn some_parts_come(&mut self, now: Duration, from: &str, text: &str, numbers: &[usize]) {
        self.reference = self.reference.wrapping_add(1);
        let parts = (1..).zip(pdu::deliveries(from, text, self.reference));
        for (number, hex) in parts {
            if numbers.contains(&number) {
                self.message_comes(now, &hex);
            }
        }
    }

    /// A message comes as it is: any digits.
    pub fn message_comes(&mut self, now: Duration, hex: &str) {
        self.advance(now);
        self.waiting.push_back(hex.to_owned());
        self.store();
    }

    /// Stores what waits in the network while there is room on the SIM.
    pub(super) fn store(&mut self) {
        while let Some(free) = self.places.iter().position(Option::is_none)
            && let Some(hex) = self.waiting.pop_front()
        {
            if let Some(place) = self.places.get_mut(free) {
                *place = Some(Stored { state: 0, hex });
            }
            if self.tells_texts {
                self.tell(&format!("+CMTI: \"SM\",{}", free + 1));
            }
        }
    }

    /// Puts something that was never sent on the SIM, as other programs may have.
    pub fn stores_draft(&mut self, hex: &str) {
        if let Some(place) = self.places.iter_mut().find(|it| it.is_none()) {
            *place = Some(Stored {
                state: 2,
                hex: hex.to_owned(),
            });
        }
    }

    /// The network comes or goes; with it goes the call.
    pub fn set_registration(&mut self, now: Duration, registration: u8) {
        self.advance(now);
        self.options.registration = registration;
        let is_gone = !matches!(registration, 1 | 5);
        if is_gone && self.call.take().is_some() {
            self.end_call(false);
            self.tell("NO CARRIER");
        }
    }

    /// Somebody calls, and lets it ring until the host ends it.
    pub fn rings(&mut self, now: Duration) {
        self.advance(now);
        self.rings = Some(now);
    }

    pub(super) fn reject(&mut self) {
        self.rings = None;
    }

    /// Whether somebody's call rings.
    #[must_use]
    pub fn is_ringing(&self) -> bool {
        self.rings.is_some()
    }

    /// The other end of the call under way presses a key.
    pub fn press(&mut self, now: Duration, key: char) {
        self.advance(now);
        if self.call.is_some() {
            self.key(key);
        }
    }

    /// Changes what it is like from now on.
    pub fn change(&mut self, change: impl FnOnce(&mut ModemOptions)) {
        change(&mut self.options);
    }

    /// The texts that were sent.
    #[must_use]
    pub fn sent_texts(&self) -> Vec<SentText> {
        joined(&self.messages)
    }

    /// The calls that were made.
    #[must_use]
    pub fn calls(&self) -> &[DialledCall] {
        &self.calls
    }

    /// The commands that it was given, without the messages after prompts.
    #[must_use]
    pub fn commands(&self) -> &[String] {
        &self.commands
    }

    /// Texts on the SIM.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.places.iter().flatten().count()
    }
}
