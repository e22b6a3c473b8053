//! The controller's own core on the board, as a tool at the other end of the line finds it.

use super::{Host, OK, STUB_PLACE, image, words};
use crate::{
    PATIENCE,
    board::{
        BoardOnTerminal, BoardOptions, BoardState, ControllerOnBoard, ControllerView, Fault,
        FaultKind, FaultPoint, FlashTiming, Speed, Surroundings, loader::command,
    },
};
use std::{
    fs::OpenOptions,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};
use switchyard_firmware::Network;
use switchyard_protocol::{
    Address, Code,
    message::{LinkKey, ResetReason},
    serial::{
        Answer, Body, Description, Packet, PacketType, Parser, Received, Request, Setting,
        SettingValue, Verb,
    },
};

const ADDRESS: Address = Address(100_042);
/// After which time a tool gives up: longer than anything here takes.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// Longer than a start takes, or joining a network.
const START_WAIT: Duration = Duration::from_secs(2);

fn surroundings() -> Surroundings {
    Surroundings {
        networks: vec![Network {
            name: "yard".to_owned(),
            password: "passpass".to_owned(),
        }],
        seed: Some(1),
        ..Surroundings::default()
    }
}

/// A tool on the line of a board that has been flashed.
struct Tool {
    host: Host,
    controller: ControllerOnBoard,
    parser: Parser,
    received: Vec<Received>,
    text: String,
    next_id: u8,
}

impl Tool {
    /// The board is powered and has had time to start.
    fn start(options: BoardOptions) -> Self {
        let controller = ControllerOnBoard::new(surroundings());
        let mut tool = Tool {
            host: Host::new(BoardOptions {
                application: controller.application(),
                ..options
            }),
            controller,
            parser: Parser::default(),
            received: Vec::new(),
            text: String::new(),
            next_id: 40,
        };
        tool.host.board.flash_mut().place(0, &image());
        tool.started();
        tool
    }

    /// Waits until the controller has said who it is.
    fn started(&mut self) {
        self.text.clear();
        let end = self.host.now + START_WAIT;
        while !self.text.contains(" reset ") || !self.text.ends_with("\r\n") {
            let due = self.host.board.next_due().filter(|due| *due <= end);
            self.host.now = due.expect("a start").max(self.host.now);
            self.read();
        }
    }

    fn view(&self) -> ControllerView {
        self.controller.view()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.host.board.receive(self.host.now, bytes);
    }

    /// Time passes, as the board wants it to.
    fn pass(&mut self, time: Duration) {
        let end = self.host.now + time;
        while let Some(due) = self.host.board.next_due().filter(|due| *due <= end) {
            self.host.now = due.max(self.host.now);
            self.read();
        }
        self.host.now = end;
        self.read();
    }

    fn read(&mut self) {
        let bytes = self.host.board.transmit(self.host.now);
        for received in self.parser.receive(&bytes) {
            match received {
                Received::Text(bytes) => self.text += &String::from_utf8_lossy(&bytes),
                packet => self.received.push(packet),
            }
        }
    }

    /// The next answer, if one comes in time.
    fn answer(&mut self, verb: Verb) -> Option<Answer> {
        let end = self.host.now + ANSWER_WAIT;
        loop {
            self.read();
            for received in std::mem::take(&mut self.received) {
                if let Received::Packet(packet) = received
                    && packet.packet_type == PacketType::Answer
                    && let Ok(answer) = Answer::decode(&packet.data, verb)
                    && answer.id == self.next_id
                {
                    return Some(answer);
                }
            }
            let due = self.host.board.next_due().filter(|due| *due <= end)?;
            self.host.now = due.max(self.host.now);
        }
    }

    fn ask(&mut self, request: &Request) -> Option<Answer> {
        self.next_id = self.next_id.wrapping_add(1);
        let packet = Packet::request(self.next_id, request).encode();
        self.send(&packet);
        self.answer(request.verb())
    }

    fn ok(&mut self, request: &Request) {
        let answer = self.ask(request);
        assert_eq!(
            answer.as_ref().map(|it| it.code),
            Some(Code::Ok),
            "{answer:?}"
        );
    }

    fn describe(&mut self) -> Option<Description> {
        match self.ask(&Request::Describe)?.body {
            Body::Description(description) => Some(*description),
            other => panic!("{other:?}"),
        }
    }

    /// Cuts the power for a moment, and gives the board time to start.
    fn cycle_power(&mut self) {
        self.host.board.power(self.host.now, false);
        assert!(!self.view().is_running);
        self.pass(Duration::from_millis(100));
        self.host.board.power(self.host.now, true);
    }
}

const SETTINGS: [(Setting, &str); 4] = [
    (Setting::Name, "Pump house"),
    (Setting::Wifi, "yard"),
    (Setting::WifiPassword, "passpass"),
    (Setting::Gateway1, "127.0.0.1:7000"),
];

fn set() -> Request {
    let value = |(setting, text): (Setting, &str)| SettingValue {
        setting,
        text: text.to_owned(),
    };
    Request::Set(SETTINGS.map(value).to_vec())
}

fn enrol() -> Request {
    Request::Enrol {
        address: ADDRESS,
        key: LinkKey([7; 32]),
    }
}

/// How many of the settings are set.
fn set_count(view: &ControllerView) -> usize {
    let is_set = |(setting, text): &(Setting, &str)| view.setting(*setting) == Some(*text);
    let is_empty = |(setting, _): &(Setting, &str)| view.setting(*setting) == Some("");
    let count = SETTINGS.iter().filter(|it| is_set(it)).count();
    let empty = SETTINGS.iter().filter(|it| is_empty(it)).count();
    assert_eq!(count + empty, SETTINGS.len(), "something else is set");
    count
}

#[test]
fn says_who_it_is_and_why_it_started() {
    for speed in [Speed::Immediate, Speed::Real] {
        let mut tool = Tool::start(BoardOptions {
            speed,
            ..BoardOptions::default()
        });
        assert!(
            tool.text.contains("virtual slot 1 reset power\r\n"),
            "{:?}",
            tool.text
        );
        let first = tool.describe().unwrap();
        assert_eq!(
            first.hardware.as_deref(),
            Some(&BoardOptions::default().mac[..])
        );
        assert_eq!((first.address, first.link), (None, Description::LINK_NONE));

        tool.ok(&Request::Restart);
        tool.text.clear();
        tool.pass(START_WAIT);
        assert!(
            tool.text.contains("slot 1 reset commanded\r\n"),
            "{:?}",
            tool.text
        );
        assert_ne!(tool.describe().unwrap().boot_id, first.boot_id);
        tool.host.press_reset();
        tool.started();
        assert!(
            tool.text.contains("slot 1 reset other\r\n"),
            "{:?}",
            tool.text
        );
        assert_eq!(
            (tool.view().starts, tool.view().reset),
            (3, ResetReason::Other)
        );
    }
}

#[test]
fn joins_wifi_without_a_restart_and_enrols_with_one() {
    let mut tool = Tool::start(BoardOptions::default());
    tool.ok(&set());
    tool.ok(&enrol());
    tool.pass(START_WAIT);
    assert!(tool.view().is_joined);
    assert_eq!(set_count(&tool.view()), SETTINGS.len());
    assert_eq!(tool.view().enrolled, None);
    tool.ok(&Request::Restart);
    tool.started();
    assert_eq!(tool.describe().unwrap().address, Some(ADDRESS));
    assert_eq!(tool.view().enrolled, Some(ADDRESS));
    assert_eq!(tool.host.board.flash().second_programs(), 0);
}

/// Cut off at any moment, all of a request is there or nothing of it, and all of it if it was answered.
#[test]
fn what_was_answered_outlives_a_power_cut_at_any_moment() {
    let mut was_torn = [false; 2];
    for cut_ms in (0..700).step_by(13) {
        let mut tool = Tool::start(BoardOptions {
            speed: Speed::Real,
            flash_timing: FlashTiming::SLOW,
            ..BoardOptions::default()
        });
        let cut_at = tool.host.now + Duration::from_millis(cut_ms);
        let mut answered = 0;
        for request in [set(), enrol(), Request::Restart] {
            tool.next_id += 1;
            let packet = Packet::request(tool.next_id, &request).encode();
            tool.send(&packet);
            while tool.host.now < cut_at && tool.received.is_empty() {
                let due = tool.host.board.next_due().unwrap_or(cut_at);
                tool.host.now = due.clamp(tool.host.now, cut_at);
                tool.read();
            }
            if tool.received.is_empty() {
                break;
            }
            tool.received.clear();
            answered += 1;
        }
        tool.pass(cut_at.saturating_sub(tool.host.now));
        tool.cycle_power();
        tool.started();
        let description = tool.describe().unwrap();
        let (count, address) = (set_count(&tool.view()), description.address);
        let context = format!("cut after {cut_ms} ms, {answered} answered");
        assert!(count == 0 || count == SETTINGS.len(), "{context}: {count}");
        assert!(address.is_none_or(|it| it == ADDRESS), "{context}");
        assert!(answered < 1 || count > 0, "{context}: what was set is lost");
        assert!(answered < 2 || address.is_some(), "{context}: nobody again");
        was_torn[0] |= answered == 0 && count == 0;
        was_torn[1] |= answered == 1 && address.is_none();
        if answered < 2 {
            // It is done again, as a tool would.
            tool.ok(&set());
            tool.ok(&enrol());
            tool.cycle_power();
            tool.started();
            assert_eq!(tool.view().enrolled, Some(ADDRESS), "{context}");
            assert_eq!(set_count(&tool.view()), SETTINGS.len(), "{context}");
        }
    }
    assert_eq!(
        was_torn, [true; 2],
        "no cut came early enough to undo anything"
    );
}

#[test]
fn an_erase_forgets_and_a_new_image_does_not() {
    for (name, requests, is_kept) in [
        (
            "image",
            vec![(command::FLASH_BEGIN, words(&[0x1000, 1, 0x400, 0]))],
            true,
        ),
        (
            "settings",
            vec![(command::ERASE_REGION, words(&[0x7_3000, 0x2000]))],
            false,
        ),
        ("chip", vec![(command::ERASE_FLASH, Vec::new())], false),
    ] {
        let mut tool = Tool::start(BoardOptions::default());
        tool.ok(&set());
        tool.ok(&enrol());
        tool.host.download();
        assert!(!tool.view().is_running, "{name}");
        assert_eq!(tool.host.sync(), 8);
        tool.host
            .run_program(b"a program that says OHAI", STUB_PLACE);
        assert_eq!(tool.host.board.state(), BoardState::Stub);
        for (command, data) in requests {
            assert_eq!(tool.host.status(command, &data), Some(OK), "{name}");
        }
        tool.host.board.flash_mut().place(0, &image());
        tool.host.board.jumper(tool.host.now, false);
        tool.host.press_reset();
        tool.started();
        let count = if is_kept { SETTINGS.len() } else { 0 };
        assert_eq!(set_count(&tool.view()), count, "{name}");
        let address = is_kept.then_some(ADDRESS);
        assert_eq!(tool.describe().unwrap().address, address, "{name}");
    }
}

#[test]
fn half_a_packet_is_forgotten_with_the_cable_and_with_time() {
    let mut tool = Tool::start(BoardOptions::default());
    let packet = Packet::request(1, &set()).encode();
    let half = packet.get(..packet.len() / 2).unwrap_or_default();
    tool.send(half);
    tool.host.board.unplug(tool.host.now);
    assert!(!tool.view().is_running);
    tool.host.board.plug(tool.host.now);
    tool.started();
    tool.describe().unwrap();
    tool.send(half);
    tool.pass(Duration::from_millis(300));
    tool.describe().unwrap();
    assert_eq!(set_count(&tool.view()), 0);
}

#[test]
fn an_erase_overruns_the_receiver_and_the_line_recovers() {
    let mut tool = Tool::start(BoardOptions {
        speed: Speed::Real,
        flash_timing: FlashTiming::SLOW,
        ..BoardOptions::default()
    });
    // Noise follows the request, for longer than an erase takes.
    tool.next_id += 1;
    let request = Packet::request(tool.next_id, &set()).encode();
    tool.send(&[request, vec![0; 3_000]].concat());
    let answer = tool.answer(Verb::Set);
    assert_eq!(answer.map(|it| it.code), Some(Code::Ok));
    tool.pass(Duration::from_secs(1));
    assert!(tool.host.board.counts().overruns > 0);
    assert_eq!(set_count(&tool.view()), SETTINGS.len());
    tool.describe().unwrap();
}

#[test]
fn a_flash_that_takes_nothing_is_told() {
    let mut tool = Tool::start(BoardOptions::default());
    tool.host.board.flash_mut().protect();
    let answer = tool.ask(&set()).unwrap();
    assert_eq!(answer.code, Code::Internal);
    tool.cycle_power();
    tool.started();
    assert_eq!(set_count(&tool.view()), 0);
}

#[test]
fn a_jumper_left_in_ends_in_the_loader() {
    let mut tool = Tool::start(BoardOptions::default());
    tool.host.board.jumper(tool.host.now, true);
    tool.cycle_power();
    tool.pass(START_WAIT);
    assert_eq!(tool.host.board.state(), BoardState::Download);
    // The loader starts the image, with the jumper still in; its restart ends in the loader again.
    assert_eq!(tool.host.sync(), 8);
    let ended = tool.host.status(command::FLASH_END, &words(&[1]));
    assert_eq!(ended, Some(OK));
    tool.pass(START_WAIT);
    assert!(tool.view().is_running);
    tool.ok(&Request::Restart);
    tool.pass(START_WAIT);
    assert_eq!(tool.host.board.state(), BoardState::Download);
    assert!(!tool.view().is_running);
}

/// Whatever a fault makes of a request or its answer, there is silence or the right answer; and one of the next two
/// requests is answered, since a fault at the end of one may reach into the other.
#[test]
fn a_faulty_line_gives_silence_or_the_right_answer() {
    let mut sound = Tool::start(BoardOptions::default());
    let before = sound.host.board.counts();
    let expected = sound.describe().unwrap();
    let after = sound.host.board.counts();
    let (mut silences, mut answers) = (0, 0);
    let from_host = before.bytes_from_host + 1..=after.bytes_from_host;
    let to_host = before.bytes_to_host + 1..=after.bytes_to_host;
    let points = from_host
        .map(FaultPoint::ByteFromHost)
        .chain(to_host.map(FaultPoint::ByteToHost));
    for (seed, at) in (1..).zip(points) {
        for kind in [
            FaultKind::Noise { bytes: 1, seed },
            FaultKind::Lose { bytes: 3 },
            FaultKind::Double { bytes: 1 },
        ] {
            let mut tool = Tool::start(BoardOptions {
                faults: vec![Fault { at, kind }],
                ..BoardOptions::default()
            });
            match tool.describe() {
                None => silences += 1,
                Some(description) => {
                    answers += 1;
                    assert_eq!(description, expected, "{at:?} {kind:?}");
                }
            }
            let again = tool.describe().or_else(|| tool.describe());
            assert_eq!(again.as_ref(), Some(&expected), "{at:?} {kind:?}");
        }
    }
    // The line feed behind a packet may be lost; hardly anything else.
    assert!(
        silences > 10 * answers && answers > 0,
        "{silences}, {answers}"
    );
}

/// A program that has the board's terminal open.
struct Program {
    terminal: std::fs::File,
    parser: Parser,
}

impl Program {
    fn open(board: &BoardOnTerminal) -> Self {
        let mut options = OpenOptions::new();
        Program {
            terminal: options.read(true).write(true).open(board.path()).unwrap(),
            parser: Parser::default(),
        }
    }

    /// Asks until it is answered: what is sent before the board has started is lost.
    fn ask(&mut self, id: u8, request: &Request) -> Answer {
        let begin = Instant::now();
        let packet = Packet::request(id, request).encode();
        self.terminal.write_all(&packet).unwrap();
        loop {
            assert!(begin.elapsed() < PATIENCE, "no answer");
            let mut bytes = [0; 512];
            let count = self.terminal.read(&mut bytes).unwrap();
            for received in self.parser.receive(&bytes[..count]) {
                if let Received::Packet(packet) = received
                    && packet.packet_type == PacketType::Answer
                {
                    return Answer::decode(&packet.data, request.verb()).unwrap();
                }
            }
        }
    }
}

fn accepted(listener: &TcpListener) -> TcpStream {
    let (socket, _) =
        crate::wait_until("a controller that dials", || listener.accept().ok()).unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn on_a_terminal_it_is_provisioned_and_dials_until_the_power_goes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let gateway = listener.local_addr().unwrap().to_string();
    let controller = ControllerOnBoard::new(Surroundings {
        have_uplink: true,
        ..surroundings()
    });
    let board = BoardOnTerminal::start(BoardOptions {
        speed: Speed::Real,
        application: controller.application(),
        ..BoardOptions::default()
    })
    .unwrap();
    board.change_flash(|flash| flash.place(0, &image()));
    let mut program = Program::open(&board);
    board.press_reset();
    controller
        .wait_for("the start", |view| view.is_running)
        .unwrap();
    let description = program.ask(1, &Request::Describe);
    assert!(
        matches!(description.body, Body::Description(_)),
        "{description:?}"
    );
    let mut request = set();
    if let Request::Set(values) = &mut request {
        values.retain(|value| value.setting != Setting::Gateway1);
        values.push(SettingValue {
            setting: Setting::Gateway1,
            text: gateway,
        });
    }
    for (id, request) in [(2, request), (3, enrol()), (4, Request::Restart)] {
        assert_eq!(program.ask(id, &request).code, Code::Ok, "{request:?}");
    }
    let mut socket = accepted(&listener);
    let mut hello = [0; 16];
    socket.read_exact(&mut hello).unwrap();
    assert_eq!(hello[8..12], ADDRESS.0.to_be_bytes());
    assert_eq!(controller.view().starts, 2);

    board.power(false);
    assert!(!controller.view().is_running);
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    board.power(true);
    let mut socket = accepted(&listener);
    socket.read_exact(&mut hello).unwrap();
    assert_eq!(hello[8..12], ADDRESS.0.to_be_bytes());
    board.enter_download().unwrap();
    socket.read_to_end(&mut rest).unwrap();
}
