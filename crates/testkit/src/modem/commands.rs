//! The commands that a scripted modem knows, and what it answers.

use super::{
    machine::ScriptedModem,
    network::{DialledCall, Ongoing, Stage},
    options::ModemKind,
    pdu,
};

impl ScriptedModem {
    /// A command, without its end.
    pub(super) fn command(&mut self, line: &str) {
        let upper = line.to_ascii_uppercase();
        let Some(command) = upper.strip_prefix("AT") else {
            return;
        };
        if self.options.silent_at.as_deref() == Some(command) {
            return;
        }
        if let Some(number) = command.strip_prefix('D') {
            return self.dial(number.trim_end_matches(';'));
        }
        let is_ready = self.is_unlocked && self.options.has_sim;
        let kind = self.options.kind;
        let can_call = kind != ModemKind::DataStick;
        match command {
            "" | "V1" | "Q0" | "+CMEE=1" | "+CVHU=0" => self.finish("OK"),
            "E0V1" | "E0" => {
                self.echoes = false;
                self.finish("OK");
            }
            "+CGMI" => {
                let maker = match kind {
                    ModemKind::Sim800 => "SIMCOM_Ltd",
                    ModemKind::Quectel => "Quectel",
                    ModemKind::Bare => "+CGMI: \"Nobody\"",
                    ModemKind::DataStick => "huawei",
                };
                self.answer(&[maker.into()], "OK");
            }
            "+CGMM" => {
                let model = match kind {
                    ModemKind::Sim800 => "SIMCOM_SIM800C",
                    ModemKind::Quectel => "EC25",
                    ModemKind::Bare => "Bare",
                    ModemKind::DataStick => "E3131",
                };
                self.answer(&[model.into()], "OK");
            }
            "+CPIN?" => self.pin_state(),
            "+CPINR" if kind == ModemKind::Bare => {
                let left = self.options.pin_tries;
                let lines = [
                    format!("+CPINR: SIM PIN,{left},3"),
                    "+CPINR: SIM PUK,10,10".into(),
                ];
                self.tries(&lines);
            }
            "+SPIC" if kind == ModemKind::Sim800 => {
                self.tries(&[format!("+SPIC: {},10,0,0", self.options.pin_tries)]);
            }
            "+QPINC?" if kind == ModemKind::Quectel => {
                let left = self.options.pin_tries;
                let lines = [
                    format!("+QPINC: \"SC\",{left},10"),
                    "+QPINC: \"P2\",3,10".into(),
                ];
                self.tries(&lines);
            }
            "+CREG?" => {
                let registration = self.options.registration;
                self.answer(&[format!("+CREG: 0,{registration}")], "OK");
            }
            "+CSQ" => {
                let signal = self.options.signal;
                self.answer(&[format!("+CSQ: {signal},0")], "OK");
            }
            "+CLCC" if can_call => self.list_calls(),
            "+COLP=0" if can_call => self.finish("OK"),
            "+DDET=1" if kind == ModemKind::Sim800 => self.hear_keys(),
            "+QTONEDET=1" if kind == ModemKind::Quectel => self.hear_keys(),
            "+VTS=?" if matches!(kind, ModemKind::Sim800 | ModemKind::Quectel) => {
                self.answer(&["+VTS: (0-9,A-D,*,#)".into()], "OK");
            }
            "+QWTTS=?" if kind == ModemKind::Quectel => {
                self.answer(&["+QWTTS: (0,1),(0,1),(0-2),<text>".into()], "OK");
            }
            "+CHUP" if can_call && kind != ModemKind::Sim800 => self.hang_up(),
            "H" if can_call => self.hang_up(),
            _ if self.texts(command, is_ready) => {}
            _ if self.in_call(command) => {}
            // The maker says which: this one knows no reasons.
            _ if command.starts_with("+CPIN=") => self.enter_pin(line),
            _ => self.finish("ERROR"),
        }
    }

    fn tries(&mut self, lines: &[String]) {
        match self.options.tells_pin_tries {
            true => self.answer(lines, "OK"),
            false => self.finish("ERROR"),
        }
    }

    fn hear_keys(&mut self) {
        self.hears_keys = true;
        self.finish("OK");
    }

    fn pin_state(&mut self) {
        let state = match () {
            () if !self.options.has_sim => return self.finish("+CME ERROR: 10"),
            () if self.options.pin_tries == 0 => "SIM PUK",
            () if self.is_unlocked => "READY",
            () => "SIM PIN",
        };
        self.answer(&[format!("+CPIN: {state}")], "OK");
    }

    fn enter_pin(&mut self, line: &str) {
        let given = line.split('"').nth(1);
        if self.options.pin_tries > 0 && given == self.options.pin.as_deref() {
            self.is_unlocked = true;
            self.options.pin_tries = 3;
            self.finish("OK");
            return self.tell("+CPIN: READY");
        }
        self.options.pin_tries = self.options.pin_tries.saturating_sub(1);
        self.finish("+CME ERROR: 16");
    }

    /// Commands for texts; says whether it was one.
    fn texts(&mut self, command: &str, is_ready: bool) -> bool {
        if !is_ready {
            return false;
        }
        if let Some(octets) = command.strip_prefix("+CMGS=") {
            match octets.parse() {
                Ok(octets) => self.prompt(octets),
                Err(_) => self.finish("+CMS ERROR: 304"),
            }
            return true;
        }
        if let Some(place) = command.strip_prefix("+CMGD=") {
            let place: Option<usize> = place.parse().ok();
            let place = place.and_then(|it| self.places.get_mut(it.wrapping_sub(1)));
            match place.is_some_and(|place| place.take().is_some()) {
                true => self.finish("OK"),
                false => self.finish("+CMS ERROR: 321"),
            }
            self.store();
            return true;
        }
        match command {
            "+CMGF=0" => match self.busy_left {
                0 => self.finish("OK"),
                _ => {
                    self.busy_left -= 1;
                    self.finish("+CMS ERROR: 314");
                }
            },
            "+CSMS?" => self.answer(&["+CSMS: 0,1,1,1".into()], "OK"),
            "+CPMS=\"SM\",\"SM\",\"SM\"" => {
                let (taken, all) = (self.stored(), self.places.len());
                let line = format!("+CPMS: {taken},{all},{taken},{all},{taken},{all}");
                self.answer(&[line], "OK");
            }
            "+CPMS?" => {
                let one = format!("\"SM\",{},{}", self.stored(), self.places.len());
                self.answer(&[format!("+CPMS: {one},{one},{one}")], "OK");
            }
            "+CNMI=2,1,0,0,0" if self.options.kind != ModemKind::Bare => {
                self.tells_texts = true;
                self.finish("OK");
            }
            "+CNMI=1,1,0,0,0" => {
                self.tells_texts = true;
                self.finish("OK");
            }
            "+CMGL=4" => {
                let mut lines = Vec::new();
                for (place, stored) in (1..).zip(&mut self.places) {
                    if let Some(stored) = stored {
                        let octets = stored.hex.len() / 2;
                        lines.push(format!("+CMGL: {place},{},,{}", stored.state, octets));
                        lines.push(stored.hex.clone());
                        if stored.state == 0 {
                            stored.state = 1;
                        }
                    }
                }
                self.answer(&lines, "OK");
            }
            _ => return false,
        }
        true
    }

    /// What comes after the prompt.
    pub(super) fn message(&mut self, digits: &str, octets: usize) {
        let outcome = self
            .options
            .text_outcomes
            .get(self.texts_sent)
            .copied()
            .flatten();
        self.texts_sent += 1;
        let has_network = matches!(self.options.registration, 1 | 5 | 6 | 7);
        match (outcome, pdu::submitted(digits, octets)) {
            _ if !has_network => self.finish("+CMS ERROR: 331"),
            (Some(code), _) => self.finish(&format!("+CMS ERROR: {code}")),
            (None, None) => self.finish("+CMS ERROR: 304"),
            (None, Some(message)) => {
                self.messages.push(message);
                let count = self.messages.len() % 256;
                self.answer(&[format!("+CMGS: {count}")], "OK");
            }
        }
    }

    fn dial(&mut self, number: &str) {
        let can_call = self.options.kind != ModemKind::DataStick;
        let is_free = self.call.is_none() && matches!(self.options.registration, 1 | 5);
        if !can_call || !is_free {
            return self.finish("NO CARRIER");
        }
        let callees = &self.options.callees;
        let callee = callees.get(self.calls.len()).or(callees.last()).cloned();
        self.call = Some(Ongoing::new(self.now, callee.unwrap_or_default()));
        self.calls.push(DialledCall {
            number: number.to_owned(),
            ..DialledCall::default()
        });
        match self.options.dials_until_answered {
            true => self.is_dialling = true,
            false => self.finish("OK"),
        }
    }

    fn hang_up(&mut self) {
        self.reject();
        if self.call.take().is_some() {
            self.end_call(true);
        }
        self.is_dialling = false;
        self.finish("OK");
    }

    fn list_calls(&mut self) {
        let mut lines = Vec::new();
        // A stack that carries data says so in the same list.
        if self.options.kind == ModemKind::Quectel {
            lines.push("+CLCC: 1,0,0,1,0,\"\",128".to_owned());
        }
        if let Some((call, dialled)) = self.call.as_ref().zip(self.calls.last()) {
            let stage = match call.stage {
                Stage::Dialling => 2,
                Stage::Alerting => 3,
                Stage::Active => 0,
            };
            lines.push(format!("+CLCC: 2,0,{stage},0,0,\"{}\",145", dialled.number));
        }
        self.answer(&lines, "OK");
    }

    /// Commands while somebody listens; says whether it was one.
    fn in_call(&mut self, command: &str) -> bool {
        let is_heard = self
            .call
            .as_ref()
            .is_some_and(|call| call.stage == Stage::Active);
        let kind = self.options.kind;
        if let Some(tone) = command.strip_prefix("+VTS=") {
            if kind == ModemKind::Bare || !is_heard {
                return false;
            }
            if let Some(call) = self.calls.last_mut() {
                call.tones.push_str(tone);
            }
            self.finish("OK");
            return true;
        }
        let Some(speech) = command.strip_prefix("+QWTTS=1,0,") else {
            return false;
        };
        let digits = speech.split('"').nth(1).unwrap_or_default();
        let spoken = pdu::wide_text(digits);
        match (speech.chars().next(), spoken) {
            _ if kind != ModemKind::Quectel => return false,
            (Some('0'), _) => {
                self.speaks_until = None;
                self.finish("OK");
            }
            (Some('1'), Some(text))
                if is_heard && self.speaks_until.is_none() && digits.len() <= 543 =>
            {
                let letters = text.chars().count() as u32;
                self.speaks_until = Some(self.now + self.options.speaks_for * letters);
                if let Some(call) = self.calls.last_mut() {
                    call.spoken.push(text);
                }
                self.finish("OK");
            }
            _ => self.finish("+CME ERROR: 903"),
        }
        true
    }
}
