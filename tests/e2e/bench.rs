//! The console's bench on a terminal: a blank board becomes a controller by keys alone, and Esc in the midst of it takes
//! everything back. The test is the person at the keys, and at the jumper.

use crate::{
    provision::{Blank, SCRIPT, WIFI},
    yard,
};
use std::ffi::OsStr;
use switchyard_firmware::LinkState;
use switchyard_testkit::{Console, wait_until};

#[path = "../screens/terminal.rs"]
#[expect(dead_code, reason = "the story of all screens uses more of it")]
mod terminal;

use terminal::Terminal;

const ESC: &str = "\x1b";
const ENTER: &str = "\r";
const TAB: &str = "\t";

/// Sits down at the bench and fills in all that a technician says, up to the last Enter.
fn fill_in(blank: &Blank, console: &Console, gateway: &str) -> Terminal {
    let state = blank.board.folder().as_os_str();
    let environment = [("XDG_STATE_HOME", state), ("NO_COLOR", OsStr::new("1"))];
    let mut screen = Terminal::open_with(console, &environment).unwrap();
    screen.shows(&["technician (technician)"]).unwrap();
    screen.press("b").unwrap();
    screen.shows(&["by its path:"]).unwrap();
    // The last row takes what cannot be listed; it is the last one once the others are there.
    let are_listed = || (!screen.text().contains("looking for")).then_some(());
    wait_until("the list of serial ports", are_listed).unwrap();
    screen.press("G").unwrap();
    screen.press(ENTER).unwrap();
    screen.shows(&["enter take"]).unwrap();
    screen.press(blank.board.path().to_str().unwrap()).unwrap();
    screen.press(ENTER).unwrap();
    screen.shows(&["Title: what people will call it"]).unwrap();
    let lines = [
        "North pump",
        &blank.image,
        "",
        "virtual",
        WIFI.0,
        WIFI.1,
        gateway,
        "",
        SCRIPT,
        // The third of the ways to reset: none.
        "  ",
    ];
    screen.press(&lines.join(TAB)).unwrap();
    screen.shows(&["Reset", "by hand"]).unwrap();
    assert!(!screen.text().contains(WIFI.1), "{}", screen.text());
    screen
}

/// The words on the screen, wherever its lines end.
fn unbroken(screen: &Terminal) -> String {
    let text = screen.text().replace('│', " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Starts, and does what the screen asks of the person until the program is waited for no more.
fn start(blank: &Blank, screen: &mut Terminal) {
    screen.press(ENTER).unwrap();
    screen.shows(&["GPIO0 OFF GROUND"]).unwrap();
    blank.board.jumper(false);
    blank.board.press_reset();
}

#[test]
fn a_blank_board_becomes_a_controller_by_keys_alone() {
    let yard = yard(&[]);
    let blank = Blank::new(1);
    let technician = yard.console("technician").unwrap();
    let mut screen = fill_in(&blank, &technician, yard.tcp());
    // Whoever has not put the jumper in yet is told to.
    blank.board.power(false);
    screen.press(ENTER).unwrap();
    screen.shows(&["GPIO0 TO GROUND"]).unwrap();
    // Also somebody who is waited for may think better of it; what he filled in is still there, but for the secret.
    screen.press(ESC).unwrap();
    screen.shows(&["STOPPED"]).unwrap();
    screen.press(ENTER).unwrap();
    screen.shows(&["Wi-Fi", WIFI.0]).unwrap();
    screen.press(&TAB.repeat(5)).unwrap();
    screen.press(WIFI.1).unwrap();
    screen.press(ENTER).unwrap();
    screen.shows(&["GPIO0 TO GROUND"]).unwrap();
    blank.board.power(true);
    blank.board.enter_download().unwrap();
    screen.shows(&["GPIO0 OFF GROUND"]).unwrap();
    blank.board.jumper(false);
    blank.board.press_reset();
    screen.shows(&["PASS", "No. ", "North pump"]).unwrap();
    assert_eq!(blank.controller.view().link, LinkState::Live);
    // The fleet has seen it come.
    screen.press("b").unwrap();
    screen.shows(&["North pump", "on line"]).unwrap();
    screen.press("q").unwrap();
}

#[test]
fn esc_in_the_midst_of_it_takes_it_back() {
    let yard = yard(&[]);
    let blank = Blank::new(1);
    let technician = yard.console("technician").unwrap();
    // Nobody listens there, and nobody ever will.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = nobody.local_addr().unwrap().to_string();
    let mut screen = fill_in(&blank, &technician, &gateway);
    start(&blank, &mut screen);
    screen.shows(&["◐ reach its gateway"]).unwrap();
    let list = || technician.json(&["ls"]).unwrap();
    assert_eq!(list().len(), 1, "it is enrolled meanwhile");
    // Nobody leaves by mistake.
    screen.press("q").unwrap();
    screen.shows(&["North pump", "is being worked on"]).unwrap();
    screen.press(ESC).unwrap();
    screen.shows(&["◐ reach its gateway"]).unwrap();
    screen.press(ESC).unwrap();
    screen.shows(&["STOPPED"]).unwrap();
    let said = unbroken(&screen);
    assert!(said.contains("was taken back on both sides"), "{said}");
    let is_nobody = || list().is_empty().then_some(());
    wait_until("the gateway to know nobody", is_nobody).unwrap();
    assert_eq!(blank.controller.view().enrolled, None);
    // For the next board everything stands there, but for what is secret.
    screen.press(ENTER).unwrap();
    screen.shows(&["Title", "North pump"]).unwrap();
    screen.shows(&["Wi-Fi", WIFI.0]).unwrap();
    assert!(!screen.text().contains('•'), "{}", screen.text());
}

#[test]
fn whoever_quits_in_the_midst_of_it_leaves_nothing_behind() {
    let yard = yard(&[]);
    let blank = Blank::new(1);
    let technician = yard.console("technician").unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = nobody.local_addr().unwrap().to_string();
    let mut screen = fill_in(&blank, &technician, &gateway);
    start(&blank, &mut screen);
    screen.shows(&["◐ reach its gateway"]).unwrap();
    screen.press("q").unwrap();
    screen.shows(&["is being worked on"]).unwrap();
    screen.press("y").unwrap();
    let ended_well = wait_until("the console's end", || screen.has_ended()).unwrap();
    assert!(ended_well, "{}", screen.text());
    let is_nobody = || technician.json(&["ls"]).unwrap().is_empty().then_some(());
    wait_until("the gateway to know nobody", is_nobody).unwrap();
    assert_eq!(blank.controller.view().enrolled, None);
}
