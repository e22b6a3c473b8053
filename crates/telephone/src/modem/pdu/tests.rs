//! Messages worked out by hand from the standards' definitions, and messages by chance.

use super::*;
use proptest::prelude::*;

fn hex_of(to: &str, text: &str) -> Vec<String> {
    let to: Number = to.parse().unwrap();
    let segments = segments(text, 0xC5);
    segments.iter().map(|it| submit(&to, it).hex).collect()
}

#[test]
fn a_short_text_is_one_message_of_septets() {
    // Service centre 00; first octet 11; reference 00; 11 digits, international, 94 71 11 11 11 1F;
    // protocol 00; coding 00; validity A7; 3 septets: "abc" is 61 F1 18.
    assert_eq!(
        hex_of("+49171111111", "abc"),
        ["0011000B919471111111F10000A70361F118"]
    );
}

#[test]
fn the_length_leaves_the_service_centre_out() {
    let to: Number = "12".parse().unwrap();
    let message = submit(&to, &segments("", 0)[0]);
    // 11 00, 2 digits of an unknown type 21, 00 00 A7, no text.
    assert_eq!(message.hex, "0011000281210000A700");
    assert_eq!(message.octets, 9);
}

#[test]
fn what_the_table_lacks_goes_as_sixteen_bits() {
    // U+6C34, then U+1F525 as D83D DD25.
    assert_eq!(
        hex_of("#31", "水🔥"),
        ["00110003813BF10008A7066C34D83DDD25"]
    );
}

#[test]
fn parts_say_which_they_are() {
    let messages = hex_of("12", &"a".repeat(161));
    assert_eq!(messages.len(), 2);
    // 160 septets, seven of which are the header; then one bit to fill up.
    assert!(
        messages[0].starts_with("0051000281210000A7A0050003C50201C2"),
        "{}",
        messages[0]
    );
    // Eight septets of 1100001, one after the other from the second bit on.
    assert_eq!(
        messages[1],
        "0051000281210000A70F050003C50202C2E170381C0E8701"
    );
    let wide = hex_of("12", &"水".repeat(71));
    // 6 octets of header and 134 of text; 6 and 8.
    assert!(
        wide[0].starts_with("0051000281210008A78C050003C502016C34"),
        "{}",
        wide[0]
    );
    assert_eq!(wide[1], "0051000281210008A70E050003C502026C346C346C346C34");
}

/// A message that has come, by its parts.
fn deliver(
    first: &str,
    from: &str,
    coding: &str,
    time: &str,
    text: &str,
) -> Result<Deliver, PduError> {
    received(&format!(
        "07919471000000F0{first}{from}00{coding}{time}{text}"
    ))
}

const NOON: &str = "62117221000004";
const FROM: &str = "0B919471111111F1";

#[test]
fn a_message_is_read() {
    // 27 November 2026, 12:00:00, ten hours (40 quarters) ahead of the world's time.
    let read = deliver("04", FROM, "00", NOON, "0361F118").unwrap();
    assert_eq!(read.from, Sender::Number("+49171111111".parse().unwrap()));
    assert_eq!(read.text, "abc");
    assert_eq!(read.part, None);
    let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_744_800);
    assert_eq!(read.sent_at, Some(expected));
}

#[test]
fn moments_are_those_of_the_calendar() {
    let seconds = |octets: [u8; 7]| {
        let since = moment(&octets).map(|it| it.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        since.map(|it| it.as_secs())
    };
    for (octets, expected) in [
        // `date -u -d '2000-03-01' +%s` and its like.
        ([0x00, 0x30, 0x10, 0, 0, 0, 0], Some(951_868_800)),
        ([0x42, 0x20, 0x92, 0x32, 0x95, 0x95, 0], Some(1_709_251_199)),
        ([0x99, 0x21, 0x13, 0, 0, 0, 0], Some(4_102_358_400)),
        // Five hours (20 quarters) behind: the eighth bit of the octet's lower half says so.
        ([0x00, 0x30, 0x10, 0, 0, 0, 0x0A], Some(951_886_800)),
        ([0x00, 0x31, 0x10, 0, 0, 0, 0], None),
        ([0x00, 0x30, 0x00, 0, 0, 0, 0], None),
        ([0x00, 0x30, 0x10, 0x42, 0, 0, 0], None),
        ([0xFF; 7], None),
    ] {
        assert_eq!(seconds(octets), expected, "{octets:x?}");
    }
}

#[test]
fn senders_are_numbers_and_names() {
    let from =
        |address: &str| deliver("04", address, "00", NOON, "00").map(|it| it.from.to_string());
    for (address, expected) in [
        ("05812143FB", Ok("1234#")),
        ("029121", Ok("+12")),
        // A name of five letters takes 35 bits, which are told as nine halves of octets.
        ("09D0D432BB2C03", Ok("Tele2")),
        ("05812143FC", Err(PduError::BadSender)),
        ("0081", Err(PduError::BadSender)),
        ("158111111111111111111111", Err(PduError::BadSender)),
    ] {
        assert_eq!(from(address), expected.map(String::from), "{address}");
    }
}

#[test]
fn codings_are_told_apart() {
    let text = |coding: &str, text: &str| deliver("04", FROM, coding, NOON, text).map(|it| it.text);
    for (coding, octets, expected) in [
        ("00", "0141", Ok("A")),
        ("10", "0141", Ok("A")),
        ("F1", "0141", Ok("A")),
        ("D8", "0141", Ok("A")),
        ("08", "026C34", Ok("水")),
        ("18", "026C34", Ok("水")),
        ("E0", "026C34", Ok("水")),
        ("08", "04D83DDD25", Ok("🔥")),
        // Half a pair is no letter, and no reason to lose the others.
        ("08", "04D83D0041", Ok("\u{fffd}A")),
        ("04", "0141", Err(PduError::NoText)),
        ("F5", "0141", Err(PduError::NoText)),
        ("20", "0141", Err(PduError::NoText)),
        ("00", "0241", Err(PduError::Short)),
        ("08", "046C34", Err(PduError::Short)),
    ] {
        assert_eq!(
            text(coding, octets),
            expected.map(String::from),
            "{coding} {octets}"
        );
    }
}

#[test]
fn headers_are_read_whatever_else_they_hold() {
    let part = |text: &str| deliver("44", FROM, "00", NOON, text).map(|it| (it.text, it.part));
    let of = |reference, total, number| {
        Some(Part {
            reference,
            total,
            number,
        })
    };
    for (octets, expected) in [
        ("08050003C50202C2", Ok(("a", of(0xC5, 2, 2)))),
        // A reference of sixteen bits: 7 octets are 8 septets, and nothing is to fill up.
        ("09060804C5C6030161", Ok(("a", of(0xC5C6, 3, 1)))),
        // An element of another kind before it: 9 octets are 72 bits, and 5 more make 11 septets.
        ("0C080101000003C502012008", Ok(("A", of(0xC5, 2, 1)))),
        // One of one is whole; the third of two is to be taken as whole.
        ("08050003C50101C2", Ok(("a", None))),
        ("08050003C50203C2", Ok(("a", None))),
        ("08050003C50200C2", Ok(("a", None))),
        // The header is longer than all of it.
        ("083F0003C50202C2", Err(PduError::Short)),
    ] {
        let expected = expected.map(|(text, part)| (text.to_owned(), part));
        assert_eq!(part(octets), expected, "{octets}");
    }
}

#[test]
fn what_is_no_text_from_somebody_is_told() {
    for (hex, error) in [
        ("", PduError::Short),
        ("0", PduError::Short),
        ("0G", PduError::NotHex),
        ("07919471000000F0", PduError::Short),
        // A report, and one that was to be sent.
        ("0006050B919471111111F1", PduError::OtherKind),
        ("0011000281210000A700", PduError::OtherKind),
        (&*"00".repeat(257), PduError::Long),
    ] {
        assert_eq!(received(hex), Err(error), "{hex}");
    }
}

/// What was sent, as it would come.
fn turned(hex: &str) -> String {
    let sent = octets(hex).unwrap();
    let header = sent[1] & 0x40;
    let digits = usize::from(sent[3]);
    let after = 5 + digits.div_ceil(2);
    let mut come = vec![0, 0x04 | header];
    come.extend(&sent[3..after + 2]);
    come.extend([0x62, 0x11, 0x72, 0x21, 0, 0, 0]);
    come.extend(&sent[after + 3..]);
    come.iter().map(|it| format!("{it:02X}")).collect()
}

proptest! {
    #[test]
    fn a_text_comes_as_it_went(text in "([a-z€\\[\\]]{0,300}|[a-z水🔥é]{0,150})", to in "\\+?[0-9]{1,20}") {
        let to: Number = to.parse().unwrap();
        let mut whole = String::new();
        for (index, segment) in segments(&text, 3).iter().enumerate() {
            let message = submit(&to, segment);
            prop_assert_eq!(message.hex.len(), (message.octets + 1) * 2);
            let read = received(&turned(&message.hex)).unwrap();
            prop_assert_eq!(read.from, Sender::Number(to.clone()));
            prop_assert_eq!(read.part.map_or(0, |it| usize::from(it.number) - 1), index);
            whole += &read.text;
        }
        prop_assert_eq!(whole, text);
    }

    #[test]
    fn nothing_that_comes_is_too_much(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let hex: String = octets.iter().map(|it| format!("{it:02x}")).collect();
        let _ = received(&hex);
    }

    #[test]
    fn nor_what_is_nearly_a_message(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let hex: String = octets.iter().map(|it| format!("{it:02x}")).collect();
        for first in ["04", "44"] {
            let _ = received(&format!("00{first}0B919471111111F100{hex}"));
        }
    }

    #[test]
    fn nor_any_line(line in ".{0,80}") {
        let _ = received(&line);
    }
}
