//! What modems say: results, errors by number, and what they tell unasked. Pure.

use std::fmt;

/// The end of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Refused(Cause),
    /// A call came to nothing: only a dialling command ends so.
    CallEnded(CallWord),
}

/// By what words a call ends (ITU-T V.250, 6.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallWord {
    NoCarrier,
    Busy,
    NoAnswer,
    NoDialTone,
}

impl CallWord {
    fn of(line: &str) -> Option<Self> {
        Some(match line {
            "NO CARRIER" => CallWord::NoCarrier,
            "BUSY" => CallWord::Busy,
            "NO ANSWER" => CallWord::NoAnswer,
            "NO DIALTONE" | "NO DIAL TONE" => CallWord::NoDialTone,
            _ => return None,
        })
    }
}

/// Why a modem or a network refused something, by the number that it told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Concerning a short message (`+CMS ERROR`; 3GPP TS 27.005, 3.2.5).
    Message(u16),
    /// Concerning the modem or its SIM (`+CME ERROR`; 3GPP TS 27.007, 9.2).
    Equipment(u16),
    /// It said no more than that it is an error.
    Untold,
}

impl Cause {
    /// Whether trying the same again is in vain.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        match self {
            // Numbers that are nobody's, barred or not subscribed to; and what no modem will take another time.
            Cause::Message(code) => {
                matches!(code, 1 | 8 | 10 | 28 | 30 | 50 | 69 | 302..=305 | 330)
            }
            Cause::Equipment(code) => matches!(code, 3 | 4),
            Cause::Untold => false,
        }
    }

    /// It is not ready yet and says so.
    pub(super) fn is_busy(self) -> bool {
        matches!(
            self,
            Cause::Message(314 | 515 | 532) | Cause::Equipment(14 | 515 | 698)
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Cause::Message(code) => write!(f, "{} (CMS {code})", message_words(code)),
            Cause::Equipment(code) => write!(f, "{} (CME {code})", equipment_words(code)),
            Cause::Untold => f.write_str("the modem gives no reason"),
        }
    }
}

/// 1 to 127 are the network's (3GPP TS 24.011, E.2), to 255 the service centre's (23.040, 9.2.3.22), then the modem's.
fn message_words(code: u16) -> &'static str {
    match code {
        1 => "nobody has this number",
        8 => "the operator has barred it",
        10 => "calls and texts are barred for this subscriber",
        17 | 38 => "the network failed",
        21 => "the service centre or the receiver rejected it",
        22 | 192 => "the service centre is overloaded",
        27 => "the receiver cannot be reached",
        28 => "the network does not know this SIM",
        29 => "the network refused the service",
        30 => "the network does not know the receiver",
        41 => "the network has a passing fault",
        42 => "the network is overloaded",
        47 => "the network has no room for it",
        50 => "this SIM has no contract for short messages",
        69 => "the network has no short messages",
        95..=99 | 111 => "the network and the modem do not understand each other",
        127 => "the network and another could not work together",
        193 => "the service centre does not serve this subscriber",
        194 => "the service centre does not know this subscriber",
        195 => "the service centre refuses the receiver",
        197 => "the service centre has it already",
        208 => "the SIM's storage for texts is full",
        300 => "the modem failed",
        301 => "the modem's short messages are reserved for something else",
        302 => "the modem does not allow it",
        303 => "the modem does not support it",
        304 => "the modem does not take this message for one",
        305 => "the modem does not take this text",
        310 => "there is no SIM",
        311 | 316 | 317 | 318 => "the SIM wants its PIN",
        312 | 320 => "the modem is locked to another SIM",
        313 => "the SIM failed",
        314 => "the SIM is busy",
        315 => "the SIM is not a right one",
        319 => "the modem's storage failed",
        321 => "there is no such place in the storage",
        322 => "the storage for texts is full",
        330 => "the SIM does not know its service centre",
        331 => "there is no network",
        332 => "the network did not answer in time",
        340 => "no acknowledgement was asked for",
        512..=599 => "the modem has a reason of its maker's own",
        _ => "it failed",
    }
}

fn equipment_words(code: u16) -> &'static str {
    match code {
        0 => "the modem failed",
        1 => "there is no connection to the telephone",
        3 => "the modem does not allow it now",
        4 => "the modem does not support it",
        5 | 11 | 17 => "the SIM wants its PIN",
        6 | 7 => "the modem is locked to another SIM",
        10 => "there is no SIM",
        12 | 18 => "the SIM is locked and wants its PUK",
        13 => "the SIM failed",
        14 => "the SIM is busy",
        15 => "the SIM is not a right one",
        16 => "the PIN is wrong",
        20 => "the storage is full",
        21 | 22 => "there is no such entry",
        23 => "the modem's storage failed",
        24 | 26 => "the text or the number is too long",
        25 | 27 => "the text or the number has a sign that is not allowed",
        30 => "there is no network",
        31 => "the network did not answer in time",
        32 => "the network allows emergency calls only",
        100 => "the modem does not say why",
        _ => "it failed",
    }
}

/// The end of an answer, if this line is one.
pub(super) fn outcome(line: &str, is_dialling: bool) -> Option<Outcome> {
    let code = |prefix: &str| {
        line.strip_prefix(prefix)
            .map(|code| code.trim().parse::<u16>())
    };
    match line {
        "OK" => return Some(Outcome::Ok),
        "ERROR" | "COMMAND NOT SUPPORT" => return Some(Outcome::Refused(Cause::Untold)),
        _ => {}
    }
    if let Some(code) = code("+CMS ERROR:") {
        let cause = code.map_or(Cause::Untold, Cause::Message);
        return Some(Outcome::Refused(cause));
    }
    if let Some(code) = code("+CME ERROR:") {
        let cause = code.map_or(Cause::Untold, Cause::Equipment);
        return Some(Outcome::Refused(cause));
    }
    CallWord::of(line)
        .filter(|_| is_dialling)
        .map(Outcome::CallEnded)
}

/// What a modem says unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Somebody calls.
    Ring,
    /// A call is over.
    CallEnded(CallWord),
    /// The other end pressed a key.
    Key(char),
    /// A text has come, or there is no room for one.
    TextStored,
    /// What was to be spoken has been; not to its end, if it is false.
    Spoken(bool),
    /// It has started anew, or lost power: what it was told is forgotten.
    Restarted,
    /// Nothing that matters here.
    Other,
}

/// What has no colon to be known by.
const RESTARTS: [&str; 6] = [
    "RDY",
    "^SYSSTART",
    "SYSSTART",
    "NORMAL POWER DOWN",
    "POWERED DOWN",
    "UNDER-VOLTAGE POWER DOWN",
];

impl Told {
    /// What a line tells that no command has asked for; `None` for what may be part of an answer.
    pub(super) fn of(line: &str) -> Option<Self> {
        if let Some(word) = CallWord::of(line) {
            return Some(Told::CallEnded(word));
        }
        if RESTARTS.contains(&line) {
            return Some(Told::Restarted);
        }
        match line {
            "RING" => return Some(Told::Ring),
            "Call Ready" | "SMS Ready" => return Some(Told::Other),
            "+SMS FULL" => return Some(Told::TextStored),
            _ => {}
        }
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        Some(match name {
            "+CRING" => Told::Ring,
            // SIMCom's older ones, and its newer ones.
            "+DTMF" | "+RXDTMF" => key_of(value).map_or(Told::Other, Told::Key),
            "+QTONEDET" => key_of_code(value).map_or(Told::Other, Told::Key),
            "+CMTI" | "+SMSFULL" | "^SMMEMFULL" => Told::TextStored,
            "+QIND" if value.contains("SMSFULL") => Told::TextStored,
            "+QWTTS" if value.parse::<u16>().is_ok() => Told::Spoken(value == "0"),
            "+CREG" | "+CGREG" | "+CEREG" | "+CPIN" | "+CFUN" | "+QIND" | "+CLIP" | "+CSSI"
            | "+CSSU" | "+CUSD" | "+CTZV" | "+CTZE" | "+CIEV" | "+QUSIM" | "+COLP" | "+CDSI"
            | "*PSUTTZ" | "DST" | "VOICE CALL" | "MISSED_CALL" | "^RSSI" | "^MODE" | "^BOOT"
            | "^SRVST" | "^DSCI" | "^CONF" | "^CEND" | "^ORIG" | "^CONN" => Told::Other,
            _ => return None,
        })
    }
}

/// A key as it is: `5`, `"5"`, or with how long it was held behind it.
fn key_of(value: &str) -> Option<char> {
    let first = value.split(',').next()?.trim().trim_matches('"');
    let mut signs = first.chars();
    let key = signs.next().filter(|_| signs.next().is_none())?;
    matches!(key, '0'..='9' | '*' | '#' | 'A'..='D').then_some(key)
}

/// A key by its number in ASCII, as Quectel's modems tell it; older ones tell digits as they are.
fn key_of_code(value: &str) -> Option<char> {
    let code: u8 = value.split(',').next()?.trim().parse().ok()?;
    match char::from(code) {
        key @ ('0'..='9' | '*' | '#' | 'A'..='D') => Some(key),
        _ => (code < 10).then(|| char::from(b'0' + code)),
    }
}

/// What stands behind a line's name: `1,"a,b",3` as `1`, `a,b` and `3`.
pub(super) fn fields(line: &str) -> Vec<String> {
    let value = line.split_once(':').map_or(line, |(_, value)| value);
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    for sign in value.trim().chars() {
        match sign {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            sign => {
                if let Some(field) = fields.last_mut() {
                    field.push(sign);
                }
            }
        }
    }
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

/// The field at this place as a number.
pub(super) fn number<T: std::str::FromStr>(fields: &[String], place: usize) -> Option<T> {
    fields.get(place)?.parse().ok()
}

/// The lines of an answer that bear this name.
pub(super) fn named<'a>(
    lines: &'a [String],
    name: &'a str,
) -> impl Iterator<Item = Vec<String>> + 'a {
    let has_name = move |line: &&String| line.split(':').next() == Some(name) && line.contains(':');
    lines.iter().filter(has_name).map(|line| fields(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_end_by_words_and_numbers() {
        let refused = |cause| Some(Outcome::Refused(cause));
        for (line, expected) in [
            ("OK", Some(Outcome::Ok)),
            ("ERROR", refused(Cause::Untold)),
            ("+CMS ERROR: 38", refused(Cause::Message(38))),
            ("+CMS ERROR:322", refused(Cause::Message(322))),
            ("+CME ERROR: 10", refused(Cause::Equipment(10))),
            ("+CME ERROR: SIM busy", refused(Cause::Untold)),
            ("BUSY", None),
            ("OKAY", None),
            ("+CMGS: 4", None),
        ] {
            assert_eq!(outcome(line, false), expected, "{line}");
        }
        let ended = |word| Some(Outcome::CallEnded(word));
        assert_eq!(outcome("BUSY", true), ended(CallWord::Busy));
        assert_eq!(outcome("NO CARRIER", true), ended(CallWord::NoCarrier));
    }

    #[test]
    fn causes_are_told_in_words_with_their_number() {
        for (cause, expected) in [
            (
                Cause::Message(50),
                "this SIM has no contract for short messages (CMS 50)",
            ),
            (
                Cause::Message(531),
                "the modem has a reason of its maker's own (CMS 531)",
            ),
            (Cause::Message(9_999), "it failed (CMS 9999)"),
            (Cause::Equipment(16), "the PIN is wrong (CME 16)"),
            (Cause::Untold, "the modem gives no reason"),
        ] {
            assert_eq!(cause.to_string(), expected);
        }
        assert!(Cause::Message(1).is_permanent() && !Cause::Message(331).is_permanent());
    }

    #[test]
    fn what_comes_unasked_is_known() {
        for (line, expected) in [
            ("RING", Some(Told::Ring)),
            ("+CRING: VOICE", Some(Told::Ring)),
            ("NO CARRIER", Some(Told::CallEnded(CallWord::NoCarrier))),
            ("+DTMF: 5", Some(Told::Key('5'))),
            ("+DTMF:#", Some(Told::Key('#'))),
            ("+DTMF: 1,120", Some(Told::Key('1'))),
            ("+DTMF: 55", Some(Told::Other)),
            ("+RXDTMF: *", Some(Told::Key('*'))),
            ("+QTONEDET: 49", Some(Told::Key('1'))),
            ("+QTONEDET: 42", Some(Told::Key('*'))),
            ("+QTONEDET: 35", Some(Told::Key('#'))),
            ("+QTONEDET: 1", Some(Told::Key('1'))),
            ("+QTONEDET: 255", Some(Told::Other)),
            ("+CMTI: \"SM\",3", Some(Told::TextStored)),
            ("+QIND: \"SMSFULL\",\"SM\"", Some(Told::TextStored)),
            ("+QWTTS: 0", Some(Told::Spoken(true))),
            ("+QWTTS: 4111", Some(Told::Spoken(false))),
            ("+QWTTS: (0,1),(0,1),(0-2),<text>", None),
            ("RDY", Some(Told::Restarted)),
            ("+CREG: 1", Some(Told::Other)),
            ("+CLCC: 1,0,0,0,0", None),
            ("00112233", None),
            ("Quectel", None),
        ] {
            assert_eq!(Told::of(line), expected, "{line}");
        }
    }

    #[test]
    fn fields_are_split_outside_of_quotes() {
        assert_eq!(
            fields("+CLCC: 1,0, 3,0,\"+49,1\",145"),
            ["1", "0", "3", "0", "+49,1", "145"]
        );
        assert_eq!(fields("+CMGL: 1,1,,24"), ["1", "1", "", "24"]);
        assert_eq!(number::<u8>(&fields("+CSQ: 17,99"), 0), Some(17));
        let lines = ["+CLCC: 1", "+CLCCS: 2", "+CLCC"].map(String::from);
        assert_eq!(named(&lines, "+CLCC").collect::<Vec<_>>(), [["1"]]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(line in ".{0,100}") {
            let _ = (outcome(&line, true), Told::of(&line), fields(&line));
        }
    }
}
