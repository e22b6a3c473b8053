//! A virtual controller at the end of a cable: provisioned over it, as a tool does it.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use switchyard_firmware::{
    Behaviour, ControllerKey, Flash, Network, Options, PlantSettings, Serial, SerialPort, Settings,
    VirtualController,
};
use switchyard_protocol::{
    Address, Code,
    message::LinkKey,
    serial::{
        Answer, Body, Command as Improv, Description, ImprovError, ImprovState, Packet, PacketType,
        Parser, Password, Received, Request, Setting, SettingValue, TrialStep, WifiState,
        read_result,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    net::TcpListener,
};

/// Longer than anything here takes; a test that waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The tool's end.
struct Tool {
    input: ReadHalf<DuplexStream>,
    output: WriteHalf<DuplexStream>,
    parser: Parser,
    received: Vec<Received>,
    text: String,
    next_id: u8,
}

impl Tool {
    async fn send(&mut self, packet: Packet) {
        let written = self.output.write_all(&packet.encode()).await;
        written.expect("a board that reads");
    }

    /// The next packet; what lies before it is in `text`.
    async fn packet(&mut self) -> Packet {
        loop {
            while !self.received.is_empty() {
                match self.received.remove(0) {
                    Received::Packet(packet) => return packet,
                    Received::Text(bytes) => self.text += &String::from_utf8_lossy(&bytes),
                }
            }
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let mut piece = [0; 300];
        let length = tokio::time::timeout(PATIENCE, self.input.read(&mut piece))
            .await
            .expect("something from the board")
            .expect("a cable");
        assert_ne!(length, 0, "the board is gone");
        self.received.extend(self.parser.receive(&piece[..length]));
    }

    /// Waits for a text outside of packets, and forgets what came before its end.
    async fn text(&mut self, wanted: &str) {
        loop {
            self.received.retain(|it| match it {
                Received::Text(bytes) => {
                    self.text += &String::from_utf8_lossy(bytes);
                    false
                }
                Received::Packet(_) => true,
            });
            if let Some(at) = self.text.find(wanted) {
                self.text.drain(..at + wanted.len());
                return;
            }
            self.read().await;
        }
    }

    async fn ask(&mut self, request: Request) -> Answer {
        self.next_id = self.next_id.wrapping_add(1);
        self.send(Packet::request(self.next_id, &request)).await;
        loop {
            let packet = self.packet().await;
            if packet.packet_type == PacketType::Answer {
                let answer = Answer::decode(&packet.data, request.verb());
                let answer = answer.expect("an answer to that");
                assert_eq!(answer.id, self.next_id);
                return answer;
            }
        }
    }

    async fn ok(&mut self, request: Request) {
        let answer = self.ask(request).await;
        assert_eq!(answer.code, Code::Ok, "{answer:?}");
    }

    async fn describe(&mut self) -> Description {
        match self.ask(Request::Describe).await.body {
            Body::Description(description) => *description,
            other => panic!("{other:?}"),
        }
    }

    async fn improv(&mut self, command: Improv) {
        let packet = Packet {
            packet_type: PacketType::Command,
            data: command.encode(),
        };
        self.send(packet).await;
        let answer = self.packet().await;
        assert_eq!(answer.packet_type, PacketType::Error);
        assert_eq!(answer.data, [ImprovError::None.number()]);
    }

    async fn expect(&mut self, packet_type: PacketType, byte: u8) {
        let packet = self.packet().await;
        assert_eq!((packet.packet_type, packet.data), (packet_type, vec![byte]));
    }

    async fn state(&mut self, state: ImprovState) {
        self.expect(PacketType::State, state.number()).await;
    }
}

fn plug(networks: &[(&str, &str)]) -> (VirtualController, Tool) {
    let (board, tool) = tokio::io::duplex(256);
    let (board_input, board_output) = tokio::io::split(board);
    let (input, output) = tokio::io::split(tool);
    let network = |&(name, password): &(&str, &str)| Network {
        name: name.to_owned(),
        password: password.to_owned(),
    };
    let controller = VirtualController::spawn(Options {
        settings: Settings::new(Address(1), ControllerKey::new([0; 32]), Behaviour::Latch),
        gateways: Vec::new(),
        plant: PlantSettings::default(),
        flash: Some(Flash::blank()),
        http: None,
        serial: Some(Serial {
            serial_port: SerialPort {
                input: Box::new(board_input),
                output: Box::new(board_output),
            },
            networks: networks.iter().map(network).collect(),
        }),
        live: None,
        executions: None,
        redial_within: None,
    })
    .expect("good settings");
    let tool = Tool {
        input,
        output,
        parser: Parser::default(),
        received: Vec::new(),
        text: String::new(),
        next_id: 40,
    };
    (controller, tool)
}

fn wifi(network: &str, password: &str) -> Improv {
    Improv::SendWifi {
        network: network.into(),
        password: password.into(),
    }
}

fn set(setting: Setting, text: &str) -> Request {
    Request::Set(vec![SettingValue {
        setting,
        text: text.to_owned(),
    }])
}

#[tokio::test]
async fn a_blank_board_is_provisioned_enrolled_and_dials() {
    let (controller, mut tool) = plug(&[("yard", "passpass"), ("open", "")]);
    tool.text("Switchyard ").await;
    tool.text("virtual slot 1 reset power\r\n").await;
    let blank = tool.describe().await;
    assert_eq!(blank.wifi, WifiState::Down);
    assert_eq!((blank.address, blank.link), (None, Description::LINK_NONE));
    assert!(!blank.is_protected && blank.is_unlocked);
    assert_eq!(blank.hardware.as_ref().map(Bytes::len), Some(6));

    tool.improv(Improv::Scan).await;
    let mut names = Vec::new();
    loop {
        let (_, texts) = read_result(&tool.packet().await.data).unwrap();
        let Some(name) = texts.first() else { break };
        names.push((name.clone(), texts[2].clone()));
    }
    let told = |name: &str, secured: &str| (name.to_owned(), secured.to_owned());
    assert_eq!(names, [told("yard", "YES"), told("open", "NO")]);

    for (network, password) in [("yard", "wrongwrong"), ("elsewhere", "passpass")] {
        tool.improv(wifi(network, password)).await;
        tool.state(ImprovState::Provisioning).await;
        tool.expect(PacketType::Error, ImprovError::UnableToConnect.number())
            .await;
        tool.state(ImprovState::Ready).await;
    }
    let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = gateway.local_addr().unwrap().to_string();
    tool.ok(set(Setting::Gateway1, &at)).await;
    let key = LinkKey([7; 32]);
    let enrol = Request::Enrol {
        address: Address(100_042),
        key,
    };
    tool.ok(enrol).await;
    tool.ok(Request::Restart).await;
    tool.text("reset commanded\r\n").await;
    let enrolled = tool.describe().await;
    assert_eq!(enrolled.address, Some(Address(100_042)));
    assert_ne!(enrolled.boot_id, blank.boot_id);
    while tool.describe().await.wifi == WifiState::Joining {}
    assert_eq!(tool.describe().await.wifi, WifiState::NotFound);

    tool.improv(wifi("yard", "passpass")).await;
    tool.state(ImprovState::Provisioning).await;
    tool.state(ImprovState::Provisioned).await;
    let (command, texts) = read_result(&tool.packet().await.data).unwrap();
    assert_eq!((command, texts), (1, vec!["http://127.0.0.1/".to_owned()]));
    let (mut socket, _) = tokio::time::timeout(PATIENCE, gateway.accept())
        .await
        .expect("it dials once it is on a network")
        .unwrap();
    let mut hello = [0; 16];
    socket.read_exact(&mut hello).await.unwrap();
    let source = [hello[8], hello[9], hello[10], hello[11]];
    assert_eq!(u32::from_be_bytes(source), 100_042);
    controller.stop().await;
}

#[tokio::test]
async fn a_password_locks_it() {
    let (controller, mut tool) = plug(&[]);
    tool.ok(set(Setting::PagePassword, "correct horse")).await;
    tool.ok(Request::Restart).await;
    tool.text("reset commanded\r\n").await;
    let answer = tool.ask(set(Setting::Name, "Pump")).await;
    assert_eq!(answer.code, Code::Forbidden);
    let wrong = Request::Unlock(Password("wrong horse".to_owned()));
    assert_eq!(tool.ask(wrong).await.code, Code::BadToken);
    let right = Request::Unlock(Password("correct horse".to_owned()));
    tool.ok(right).await;
    tool.ok(set(Setting::Name, "Pump")).await;
    assert_eq!(tool.describe().await.name, "Pump");
    controller.stop().await;
}

#[tokio::test]
async fn a_script_is_brought_over_the_cable() {
    let (controller, mut tool) = plug(&[]);
    let source = "in door = DI1\nout lamp = RL3 safe off\nlamp := door\n";
    tool.ok(Request::ScriptBegin {
        bytes: source.len() as u32,
    })
    .await;
    for (index, piece) in source.as_bytes().chunks(20).enumerate() {
        tool.ok(Request::ScriptWrite {
            at: 20 * index as u32,
            piece: Bytes::copy_from_slice(piece),
        })
        .await;
    }
    let before = tool.describe().await;
    let answer = tool.ask(Request::ScriptEnd).await;
    assert!(matches!(answer.body, Body::Compiled(_)), "{answer:?}");
    tool.ok(Request::Trial(TrialStep::Begin)).await;
    tool.ok(Request::Trial(TrialStep::Commit)).await;
    assert_ne!(tool.describe().await.script_hash, before.script_hash);
    controller.stop().await;
}

#[test]
fn the_program_speaks_it_and_ends_with_its_input() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_virtual-controller"))
        .args(["--serial", "--wifi", "yard:passpass"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let request = Packet::request(1, &Request::Describe).encode();
    let mut input = program.stdin.take().unwrap();
    input.write_all(&request).unwrap();
    let mut output = program.stdout.take().unwrap();
    let mut parser = Parser::default();
    let mut piece = [0; 300];
    let answer = 'found: loop {
        let length = std::io::Read::read(&mut output, &mut piece).unwrap();
        assert_ne!(length, 0, "it ended");
        for received in parser.receive(&piece[..length]) {
            if let Received::Packet(packet) = received
                && packet.packet_type == PacketType::Answer
            {
                break 'found packet;
            }
        }
    };
    let answer = Answer::decode(&answer.data, switchyard_protocol::serial::Verb::Describe).unwrap();
    assert_eq!((answer.id, answer.code), (1, Code::Ok));
    drop(input);
    assert!(program.wait().unwrap().success());
}
