//! The bench's two pure halves: what keys and news do, and a few pictures of what is drawn.

use super::{News, Order, Outcome, Pane, Way, Wish, form::Field};
use crate::screen::{
    app::{Action, Event, Link, Overlay, Page},
    tests::Yard,
    theme::Colours,
};
use crossterm::event::KeyCode;
use switchyard_client::Session;
use switchyard_flasher::{
    Attachment, Chip, Error, Event as Told, Remains, SerialPort, Stage, UsbDevice,
};
use switchyard_protocol::{
    Address, Role,
    message::{ResetReason, Title},
    serial::{Description, Password, WifiState},
};

const ESC: &str = "\x1b";

fn usb(path: &str, product: &str) -> SerialPort {
    SerialPort {
        path: path.into(),
        attachment: Attachment::Usb(UsbDevice {
            vendor_id: 0x10C4,
            product_id: 0xEA60,
            serial_number: None,
            manufacturer: None,
            product: Some(product.into()),
        }),
    }
}

fn own(path: &str) -> SerialPort {
    SerialPort {
        path: path.into(),
        attachment: Attachment::Pci,
    }
}

fn logged_in(yard: &mut Yard, role: Role) {
    yard.hear(Event::Link(Link::Live(Session {
        address: Address(0x8000_0001),
        account: Title::new("li").unwrap(),
        role,
        gateway: [1; 16],
    })));
}

fn listed(yard: &mut Yard, list: Vec<SerialPort>) {
    yard.hear(Event::Bench(News::Listed(Ok(list))));
}

fn told(yard: &mut Yard, event: Told) {
    yard.hear(Event::Bench(News::Worked(event)));
}

fn ended(yard: &mut Yard, outcome: Outcome) {
    yard.hear(Event::Bench(News::Ended(outcome)));
}

/// A technician at the bench, before a list of two.
fn bench(colours: Colours) -> Yard {
    let mut yard = Yard::new(colours);
    logged_in(&mut yard, Role::Technician);
    assert_eq!(yard.keys("b"), Action::Bench(Wish::List));
    listed(
        &mut yard,
        vec![usb("/dev/ttyUSB0", "CP2102"), own("/dev/ttyS0")],
    );
    yard
}

/// Types lines into the form, from the focused one down.
fn fill_in(yard: &mut Yard, lines: &[&str]) {
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            yard.press(KeyCode::Tab);
        }
        yard.keys(line);
    }
}

const LINES: [&str; 10] = [
    "North pump",
    "0x1000=/images/user1.bin",
    "",
    "esp12f-relay-4",
    "yard",
    "behind the gate",
    "10.0.0.2:7440",
    "",
    "/scripts/latch.script",
    "  ",
];

fn order() -> Order {
    Order {
        serial_port: "/dev/ttyUSB0".into(),
        title: "North pump".into(),
        images: vec![(0x1000, "/images/user1.bin".into())],
        board: Some("esp12f-relay-4".into()),
        wifi: Some("yard".into()),
        password: Password("behind the gate".into()),
        gateways: vec!["10.0.0.2:7440".into()],
        script: Some("/scripts/latch.script".into()),
        way: Way::NoReset,
        replaces: false,
    }
}

/// The same in the midst of work on that board.
fn working(colours: Colours) -> Yard {
    let mut yard = bench(colours);
    yard.keys("\n");
    fill_in(&mut yard, &LINES);
    let started = yard.keys("\n");
    assert_eq!(started, Action::Bench(Wish::Start(Box::new(order()))));
    yard
}

fn chip() -> Chip {
    Chip {
        name: "ESP8266EX",
        mac: [0x5C, 0xCF, 0x7F, 0, 0, 1],
    }
}

fn pass() -> Outcome {
    Outcome::Pass {
        address: Some(Address(100_107)),
        page: Some("http://10.0.0.9/".into()),
        before: None,
    }
}

#[test]
fn serial_ports_are_chosen_and_their_list_is_drawn() {
    let mut yard = bench(Colours::None);
    insta::assert_snapshot!(yard.picture(80, 24));
    // The cursor keeps its serial port while another comes.
    let more = vec![
        usb("/dev/ttyUSB0", "CP2102"),
        usb("/dev/ttyUSB1", "CH340"),
        own("/dev/ttyS0"),
    ];
    yard.keys("j");
    assert_eq!(yard.keys("r"), Action::Bench(Wish::List));
    listed(&mut yard, more);
    yard.keys("\n");
    assert_eq!(yard.app.bench.form.serial_port, "/dev/ttyS0");
    // Back, and back again.
    assert_eq!(yard.keys(ESC), Action::Bench(Wish::List));
    yard.keys(ESC);
    assert_eq!(yard.app.page, Page::Fleet);
}

#[test]
fn what_cannot_be_listed_is_typed() {
    let mut yard = bench(Colours::None);
    listed(&mut yard, Vec::new());
    assert!(yard.picture(80, 24).contains("No serial ports. Plug in"));
    // There, q and ? are letters like any other.
    yard.keys("\n\n");
    assert!(yard.picture(80, 24).contains("expected a path"));
    yard.keys("/dev/q?b");
    yard.press(KeyCode::Backspace);
    assert!(yard.picture(80, 24).contains("by its path: /dev/q?"));
    yard.keys("\n");
    assert_eq!(yard.app.bench.form.serial_port, "/dev/q?");
    assert_eq!(yard.app.bench.pane, Pane::Form);
}

#[test]
fn a_list_that_fails_says_why() {
    let mut yard = bench(Colours::None);
    yard.hear(Event::Bench(News::Listed(Err("no registry".into()))));
    assert!(yard.picture(80, 24).contains("▲ no registry"));
}

#[test]
fn the_form_at_80_by_24() {
    let mut yard = bench(Colours::None);
    yard.keys("\n");
    fill_in(&mut yard, &LINES);
    let picture = yard.picture(80, 24);
    assert!(!picture.contains("behind the gate"), "{picture}");
    insta::assert_snapshot!(picture);
}

#[test]
fn a_form_that_makes_no_sense_starts_nothing_and_says_where() {
    let mut yard = bench(Colours::None);
    yard.keys("\n");
    let refused = |yard: &mut Yard, field: Field, why: &str| {
        assert_eq!(yard.keys("\n"), Action::Nothing);
        assert_eq!(yard.app.bench.pane, Pane::Form);
        assert_eq!(yard.app.bench.form.focused(), field);
        let said = yard.app.message.clone().unwrap_or_default();
        assert!(said.contains(why), "{said}");
        assert!(yard.picture(80, 24).contains(why));
    };
    refused(&mut yard, Field::Title, "expected a title");
    fill_in(&mut yard, &["North pump", "user1.bin"]);
    refused(&mut yard, Field::Image(0), "ADDRESS=FILE");
    yard.app.bench.form.cut(String::clear);
    yard.app.bench.form.go_to(Field::Password);
    yard.keys("secret");
    refused(&mut yard, Field::Wifi, "the network of this password");
    yard.keys("yard");
    logged_in(&mut yard, Role::Operator);
    refused(&mut yard, Field::Wifi, "technician; li is operator");
    yard.hear(Event::Link(Link::Dialling));
    refused(&mut yard, Field::Wifi, "not connected");
    logged_in(&mut yard, Role::Technician);
    assert!(matches!(yard.keys("\n"), Action::Bench(Wish::Start(_))));
}

#[test]
fn a_board_that_kills_on_mains_is_asked_about_each_time() {
    let mut yard = bench(Colours::None);
    yard.keys("\n");
    fill_in(&mut yard, &["Lamp", "", "sonoff-basic"]);
    assert_eq!(yard.keys("\n"), Action::Nothing);
    insta::assert_snapshot!(yard.picture(80, 24));
    assert_eq!(yard.keys("yes\n"), Action::Nothing);
    assert!(yard.picture(80, 24).contains("expected OFF"));
    yard.keys(ESC);
    assert_eq!(yard.app.bench.pane, Pane::Form);
    assert_eq!(yard.keys("\n"), Action::Nothing);
    assert!(matches!(yard.keys("off\n"), Action::Bench(Wish::Start(_))));
    ended(&mut yard, pass());
    yard.keys("\n");
    assert_eq!(yard.keys("\n"), Action::Nothing, "it is another board");
    assert!(matches!(yard.app.bench.pane, Pane::Mains(_)));
}

#[test]
fn a_person_is_told_what_to_do_and_how_far_it_is() {
    let mut yard = working(Colours::None);
    told(&mut yard, Told::WaitingForBoard);
    assert!(yard.picture(80, 24).contains("GPIO0 TO GROUND"));
    told(&mut yard, Told::Found { chip: chip() });
    assert!(!yard.picture(80, 24).contains("GPIO0 TO GROUND"));
    told(
        &mut yard,
        Told::Writing {
            offset: 0x1000,
            bytes: 524_288,
            done: 225_280,
        },
    );
    insta::assert_snapshot!("writing", yard.picture(80, 24));
    told(&mut yard, Told::WaitingForStart);
    told(&mut yard, Told::Stage(Stage::Starting));
    let line = "rst cause:2 \x1b[2J".to_owned();
    told(&mut yard, Told::Log { line });
    let picture = yard.picture(80, 24);
    assert!(picture.contains("GPIO0 OFF GROUND"), "{picture}");
    // Whatever it says, it moves no cursor.
    assert!(picture.contains("| rst cause:2 \u{fffd}[2J"), "{picture}");
    // Elsewhere it is told that somebody waits.
    yard.keys("b");
    assert!(yard.picture(80, 24).contains("bench: your turn"));
    yard.keys("b");
    told(&mut yard, Told::Stage(Stage::Joining));
    let picture = yard.picture(80, 24);
    assert!(picture.contains("◐ join its network"), "{picture}");
    assert!(!picture.contains("YOUR TURN"), "{picture}");
}

#[test]
fn a_pass_has_its_number_and_the_next_board_all_but_the_secrets() {
    let mut yard = working(Colours::None);
    ended(&mut yard, pass());
    insta::assert_snapshot!(yard.picture(80, 24));
    assert_eq!(yard.keys("\n"), Action::Nothing);
    assert_eq!(yard.app.bench.form.shown(Field::Title), "North pump");
    assert_eq!(yard.app.bench.form.shown(Field::Wifi), "yard");
    assert_eq!(yard.app.bench.form.shown(Field::Password), "");
    let again = Order {
        password: Password(String::new()),
        ..order()
    };
    assert_eq!(yard.keys("\n"), Action::Bench(Wish::Start(Box::new(again))));
}

#[test]
fn a_failure_has_its_advice() {
    let mut yard = working(Colours::None);
    told(&mut yard, Told::Stage(Stage::Reaching));
    let failed = Error::RolledBack {
        cause: Box::new(Error::NotReached {
            wifi: WifiState::Joined,
        }),
        address: Address(100_107),
        left: Remains::default(),
        lost: None,
    };
    ended(&mut yard, Outcome::of(Err(failed)));
    insta::assert_snapshot!(yard.picture(80, 24));
}

#[test]
fn esc_stops_once_and_says_that_it_rolls_back() {
    let mut yard = working(Colours::None);
    assert_eq!(yard.keys(ESC), Action::Bench(Wish::Stop));
    assert!(yard.picture(80, 24).contains("STOPPING"));
    assert_eq!(yard.keys(ESC), Action::Nothing, "it is asked already");
    told(&mut yard, Told::Stage(Stage::RollingBack));
    assert!(yard.picture(80, 24).contains("ROLLING BACK"));
    ended(&mut yard, Outcome::of(Err(Error::Stopped)));
    let picture = yard.picture(80, 24);
    assert!(
        picture.contains("STOPPED") && !picture.contains("FAIL"),
        "{picture}"
    );
    assert_eq!(yard.keys(ESC), Action::Bench(Wish::List));
}

#[test]
fn nobody_leaves_a_board_in_the_midst_of_it_unasked() {
    let mut yard = working(Colours::None);
    for keys in ["q", "b:"] {
        yard.keys(keys);
        if keys == "b:" {
            let quit = crossterm::event::KeyEvent::new(
                KeyCode::Char('c'),
                crossterm::event::KeyModifiers::CONTROL,
            );
            yard.hear(Event::Key(quit));
        }
        assert_eq!(yard.app.overlay, Some(Overlay::Leave));
        let picture = yard.picture(80, 24);
        assert!(
            picture.contains("North pump on /dev/ttyUSB0 is being worked on"),
            "{picture}"
        );
        assert_eq!(yard.keys("q"), Action::Nothing);
        assert_eq!(yard.keys(ESC), Action::Nothing);
        assert_eq!(yard.app.overlay, None);
    }
    yard.keys("q");
    assert_eq!(yard.keys("y"), Action::Quit);
    // Once it is over there is nothing to ask.
    ended(&mut yard, pass());
    assert_eq!(yard.app.overlay, None);
    assert_eq!(yard.keys("q"), Action::Quit);
}

#[test]
fn help_lists_the_keys_of_the_bench_also_over_the_form() {
    let mut yard = bench(Colours::None);
    yard.keys("?");
    insta::assert_snapshot!(yard.picture(80, 24));
    yard.keys("\x1b\n");
    yard.press(KeyCode::F(1));
    assert!(yard.picture(80, 24).contains("another choice"));
    yard.keys(ESC);
    assert_eq!(yard.app.bench.pane, Pane::Form);
}

#[test]
fn every_pane_is_drawn_at_every_size() {
    let sizes = [(1, 1), (2, 3), (10, 4), (40, 10), (80, 24), (300, 100)];
    let draw = |yard: &Yard| {
        for (width, height) in sizes {
            yard.picture(width, height);
        }
    };
    let mut yard = bench(Colours::True);
    draw(&yard);
    yard.keys("G\n/dev/水箱");
    draw(&yard);
    yard.keys("\n");
    fill_in(&mut yard, &LINES);
    draw(&yard);
    yard.app.bench.pane = Pane::Mains("水".into());
    draw(&yard);
    yard.app.bench.pane = Pane::Form;
    yard.keys("\n");
    told(&mut yard, Told::WaitingForBoard);
    for _ in 0..200 {
        told(
            &mut yard,
            Told::Log {
                line: "水".repeat(400),
            },
        );
    }
    draw(&yard);
    yard.keys("q");
    draw(&yard);
    yard.keys(ESC);
    let word = "水".repeat(300);
    ended(
        &mut yard,
        Outcome::Fail {
            message: word.clone(),
            advice: Some(word),
        },
    );
    draw(&yard);
}

#[test]
fn steps_that_are_not_wanted_are_not_shown() {
    let mut yard = bench(Colours::None);
    yard.keys("\n");
    fill_in(&mut yard, &["North pump"]);
    yard.keys("\n");
    let picture = yard.picture(80, 24);
    assert!(!picture.contains("write its program") && !picture.contains("script"));
    let description = Description {
        software: "switchyard-firmware".into(),
        version: 7,
        profile: "virtual".into(),
        slot: 1,
        reset: ResetReason::Power,
        address: None,
        is_protected: false,
        is_unlocked: true,
        wifi: WifiState::Down,
        ip: None,
        link: Description::LINK_NONE,
        boot_id: 1,
        script: 0,
        script_hash: 0,
        hardware: None,
        name: String::new(),
    };
    told(
        &mut yard,
        Told::Described {
            description: Box::new(description),
        },
    );
    assert!(
        yard.picture(80, 24)
            .contains("switchyard-firmware 7, virtual")
    );
}

#[test]
fn secrets_are_in_no_debug_output() {
    let yard = working(Colours::None);
    assert!(!format!("{:?} {:?}", yard.app, order()).contains("behind the gate"));
}
