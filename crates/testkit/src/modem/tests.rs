//! The scripted modem by itself: that it answers as the manuals say.

use super::*;
use std::time::Duration;

/// Sends a line and gives all that comes within a second.
fn ask(modem: &mut ScriptedModem, now: &mut Duration, line: &str) -> String {
    modem.receive(*now, line.as_bytes());
    *now += Duration::from_secs(1);
    String::from_utf8(modem.transmit(*now)).unwrap()
}

#[test]
fn it_echoes_until_it_is_told_not_to() {
    let mut modem = ScriptedModem::new(ModemOptions::default());
    let mut now = Duration::ZERO;
    assert_eq!(ask(&mut modem, &mut now, "AT\r"), "AT\r\r\nOK\r\n");
    assert_eq!(ask(&mut modem, &mut now, "ATE0\r"), "ATE0\r\r\nOK\r\n");
    assert_eq!(
        ask(&mut modem, &mut now, "AT+CSQ\r"),
        "\r\n+CSQ: 17,0\r\n\r\nOK\r\n"
    );
    assert_eq!(ask(&mut modem, &mut now, "AT+NONE\r"), "\r\nERROR\r\n");
}

#[test]
fn a_text_goes_after_the_prompt() {
    let mut modem = ScriptedModem::new(ModemOptions::default());
    let mut now = Duration::ZERO;
    ask(&mut modem, &mut now, "ATE0\r");
    assert_eq!(ask(&mut modem, &mut now, "AT+CMGS=12\r"), "\r\n> ");
    // To 12: 3 septets, "abc".
    let answer = ask(&mut modem, &mut now, "0011000281210000A70361F118\u{1a}");
    assert_eq!(answer, "\r\n+CMGS: 1\r\n\r\nOK\r\n");
    let sent = modem.sent_texts();
    assert_eq!(
        (sent[0].to.as_str(), sent[0].text.as_str(), sent[0].parts),
        ("12", "abc", 1)
    );
    // A length that is not that of the message.
    ask(&mut modem, &mut now, "AT+CMGS=13\r");
    let answer = ask(&mut modem, &mut now, "0011000281210000A70361F118\u{1a}");
    assert_eq!(answer, "\r\n+CMS ERROR: 304\r\n");
}

#[test]
fn a_text_that_comes_is_stored_and_told() {
    let mut modem = ScriptedModem::new(ModemOptions {
        places: 1,
        ..ModemOptions::default()
    });
    let mut now = Duration::ZERO;
    ask(&mut modem, &mut now, "ATE0\r");
    ask(&mut modem, &mut now, "AT+CNMI=2,1,0,0,0\r");
    modem.text_comes(now, "+49171111111", "abc");
    modem.text_comes(now, "12", "水");
    assert_eq!(ask(&mut modem, &mut now, ""), "\r\n+CMTI: \"SM\",1\r\n");
    let listed = ask(&mut modem, &mut now, "AT+CMGL=4\r");
    let message = "07919471000000F0040B919471111111F10000621172210000000361F118";
    assert!(listed.contains(message), "{listed}");
    // The next one comes once there is room.
    let deleted = ask(&mut modem, &mut now, "AT+CMGD=1\r");
    assert_eq!(deleted, "\r\nOK\r\n\r\n+CMTI: \"SM\",1\r\n");
    let listed = ask(&mut modem, &mut now, "AT+CMGL=4\r");
    assert!(
        listed.contains(
            "0402812100086211722100000002 6C34"
                .replace(' ', "")
                .as_str()
        ),
        "{listed}"
    );
}

#[test]
fn a_call_rings_is_answered_and_has_keys() {
    let callee = Callee {
        keys: vec![(Duration::from_secs(1), '5')],
        hangs_up: Some(Duration::from_secs(3)),
        ..Callee::default()
    };
    let mut modem = ScriptedModem::new(ModemOptions {
        callees: vec![callee],
        ..ModemOptions::default()
    });
    let mut now = Duration::ZERO;
    ask(&mut modem, &mut now, "ATE0\r");
    ask(&mut modem, &mut now, "AT+DDET=1\r");
    assert_eq!(ask(&mut modem, &mut now, "ATD12;\r"), "\r\nOK\r\n");
    assert_eq!(
        ask(&mut modem, &mut now, "AT+CLCC\r"),
        "\r\n+CLCC: 2,0,0,0,0,\"12\",145\r\n\r\nOK\r\n\r\n+DTMF: 5\r\n"
    );
    now += Duration::from_secs(3);
    assert_eq!(
        ask(&mut modem, &mut now, "AT+CLCC\r"),
        "\r\nNO CARRIER\r\n\r\nOK\r\n"
    );
    assert!(modem.calls()[0].is_over && !modem.calls()[0].is_hung_up);
}
