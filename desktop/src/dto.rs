//! The shapes that cross the bridge to the page: plain JSON in camelCase, the same as `ui/src/lib/host/types.ts`.
//!
//! Declared here once; `ui/src/lib/bindings/` is generated from them (the test at the end keeps it fresh) and the page's
//! type check compares the two. Numbers that the protocol registers cross as numbers, so that one newer than the page
//! is shown as it is. Nothing that goes to the page bears a secret.

mod board;

use serde::{Deserialize, Serialize};
use switchyard_client as client;
use switchyard_flasher as flasher;
use switchyard_protocol::{Code, message};
use ts_rs::TS;

pub use board::{BoardEnd, BoardImage, BoardOrder, BoardPrompt, BoardReset, BoardState, BoardStep};

/// Who is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The account's name.
    pub account: String,
    /// 1 viewer, 2 operator, 3 technician, 4 admin.
    pub role: u8,
    /// This installation's own address; `None` until the link is live.
    pub address: Option<u32>,
    /// The host and TCP port that were dialled.
    pub gateway: String,
}

/// What the page speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum Language {
    /// English, also where the page has no catalogue of what was wished for.
    #[default]
    En,
    /// Chinese.
    Zh,
}

/// What is done with a thing of the gateway's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, TS)]
#[serde(rename_all = "UPPERCASE")]
pub enum ApiMethod {
    /// It is read.
    Get,
    /// Something is made, or done.
    Post,
    /// It is replaced.
    Put,
    /// It is removed.
    Delete,
}

/// A request to the gateway's HTTP API.
#[derive(Clone, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ApiCall {
    /// What is done.
    pub method: ApiMethod,
    /// Such as `api/alarms?open=true`.
    pub path: String,
    /// JSON; null for nothing.
    #[ts(type = "unknown")]
    pub body: serde_json::Value,
    /// How long the gateway may hold its answer on purpose, beside what any answer may take.
    pub wait_ms: u32,
}

/// What was said may be a PIN.
impl std::fmt::Debug for ApiCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiCall")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// An answer of the API that is no refusal.
#[derive(Debug, Clone, PartialEq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ApiAnswer {
    /// 200 to 299.
    pub status: u16,
    /// JSON; null for nothing.
    #[ts(type = "unknown")]
    pub body: serde_json::Value,
}

impl From<ApiMethod> for client::ApiMethod {
    fn from(method: ApiMethod) -> Self {
        match method {
            ApiMethod::Get => Self::Get,
            ApiMethod::Post => Self::Post,
            ApiMethod::Put => Self::Put,
            ApiMethod::Delete => Self::Delete,
        }
    }
}

/// Why a point has its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// docs/protocol.md section 7.
    pub kind: u8,
    /// Whose command it was.
    pub by: Option<u32>,
    /// Script line, or the first four bytes of the command's key.
    pub reference: Option<u32>,
}

/// One input or output of a controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// 0 to 31.
    pub index: u8,
    /// As the controller's script calls it.
    pub name: String,
    /// 0 digital input, 1 digital output, 2 analogue input, 3 analogue output.
    #[serde(rename = "type")]
    pub point_type: u8,
    /// 0 or 1 for digital points, thousandths for analogue ones.
    pub value: i64,
    /// Bits: 1 manual, 2 bad, 4 fault, 8 forced, 16 confirm.
    pub flags: u32,
    /// Why it has this value.
    pub cause: Cause,
}

/// What a delta says of one point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct PointUpdate {
    /// Which point.
    pub index: u8,
    /// As in [`Point`].
    pub value: i64,
    /// As in [`Point`].
    pub flags: u32,
    /// As in [`Point`].
    pub cause: Cause,
}

/// Everything known of one controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Controller {
    /// Its number.
    pub address: u32,
    /// What people call it.
    pub title: String,
    /// Whether it is connected to the gateway.
    pub online: bool,
    /// Since when it is there or away, in gateway time.
    pub since: u64,
    /// Why it went: a code of docs/protocol.md section 9.
    pub offline_reason: Option<u8>,
    /// Of the status that `points` come from.
    pub boot: Option<u32>,
    /// Of the status that `points` come from.
    pub sequence: Option<u32>,
    /// Firmware and version.
    pub software: Option<String>,
    /// The board.
    pub board: Option<String>,
    /// Features of its latest announce.
    pub features: Option<u32>,
    /// When the points were last heard of; `None` before the first status.
    pub heard_at: Option<u64>,
    /// In ascending order of index.
    pub points: Vec<Point>,
}

/// The fleet at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct FleetSnapshot {
    /// Whether a snapshot has come in whole since the link was last made.
    pub synced: bool,
    /// In ascending order of address.
    pub controllers: Vec<Controller>,
}

/// One change of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum FleetChange {
    /// Replaces everything known of a controller.
    Controller {
        /// What is known now.
        controller: Controller,
    },
    /// The changed points of one or more deltas.
    Points {
        /// Whose.
        address: u32,
        /// The controller's boot.
        boot: u32,
        /// Of the last delta in here.
        sequence: u32,
        /// When that was heard, in gateway time.
        at: u64,
        /// In ascending order of index, none twice.
        points: Vec<PointUpdate>,
    },
    /// A controller that is not to be seen any more.
    Gone {
        /// Which.
        address: u32,
    },
    /// The end of a snapshot.
    Synced {
        /// How many controllers are subscribed.
        count: u32,
    },
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Action {
    /// Sets a point to an absolute value.
    Set {
        /// The point's name.
        point: String,
        /// The value.
        value: i64,
    },
    /// Calls one of the controller's commands.
    Call {
        /// The command's name.
        command: String,
        /// Its arguments.
        arguments: Vec<i64>,
    },
}

/// A command. The page chooses the key, so that no receipt can come before it knows whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// 32 hex digits, random.
    pub key: String,
    /// To which controller.
    pub address: u32,
    /// What it does.
    pub action: Action,
    /// From now; turned into gateway time here.
    pub expires_in_ms: u64,
    /// Whether it may wait in the gateway for a controller that is off line.
    pub wait: bool,
}

/// One stage of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The command's.
    pub key: String,
    /// docs/protocol.md section 8.
    pub stage: u8,
    /// In gateway time, where it was told.
    pub at: Option<u64>,
    /// A code of section 9.
    pub reason: Option<u8>,
    /// The same for people.
    pub detail: Option<String>,
    /// Whether it is the last of its key.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// What a controller's firmware says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// What it does.
    pub behaviour: String,
    /// Signatures of its commands.
    pub commands: Vec<String>,
}

/// Who answers at an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// What people call it.
    pub title: String,
    /// Program and version.
    pub software: String,
    /// 0 gateway, 1 controller, 2 console, 3 page, 4 desktop, 5 program.
    pub peer_kind: u8,
}

/// A word from another tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Who sent it.
    pub from: u32,
    /// What it says.
    pub text: String,
    /// When it came, by this machine's clock.
    pub at: u64,
}

/// The link to the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct LinkStatus {
    /// Where it stands.
    pub state: LinkState,
    /// How long until the next attempt, while waiting for it.
    pub retry_in_ms: Option<u64>,
    /// The code that ended the last link, where the gateway gave one.
    pub code: Option<u8>,
}

impl LinkStatus {
    /// Nobody is logged in.
    pub const CLOSED: Self = Self {
        state: LinkState::Closed,
        retry_in_ms: None,
        code: None,
    };
}

/// Where the link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum LinkState {
    /// Being made.
    Connecting,
    /// Open, and logged in.
    Live,
    /// Between two attempts.
    Waiting,
    /// Logged out, or only a new log-in helps.
    Closed,
}

/// A serial port of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct SerialPort {
    /// What one opens.
    pub name: String,
    /// How it hangs on this machine.
    pub kind: SerialPortKind,
    /// USB only.
    pub vendor_id: Option<u16>,
    /// USB only.
    pub product_id: Option<u16>,
    /// USB only.
    pub manufacturer: Option<String>,
    /// USB only.
    pub product: Option<String>,
    /// USB only.
    pub serial_number: Option<String>,
}

/// How a serial port hangs on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum SerialPortKind {
    /// On USB: what boards come on.
    Usb,
    /// Over the air.
    Bluetooth,
    /// On the machine's own bus.
    Pci,
    /// The system does not say.
    Unknown,
}

fn number(code: Code) -> u8 {
    code.number()
}

impl From<&message::Cause> for Cause {
    fn from(cause: &message::Cause) -> Self {
        Self {
            kind: cause.kind as u8,
            by: cause.by.map(|address| address.0),
            reference: cause.reference,
        }
    }
}

impl From<&message::Point> for Point {
    fn from(point: &message::Point) -> Self {
        Self {
            index: point.index,
            name: point.name.to_string(),
            point_type: point.point_type as u8,
            value: point.value,
            flags: point.flags.0,
            cause: (&point.cause).into(),
        }
    }
}

impl From<&message::Change> for PointUpdate {
    fn from(change: &message::Change) -> Self {
        Self {
            index: change.index,
            value: change.value,
            flags: change.flags.0,
            cause: (&change.cause).into(),
        }
    }
}

impl From<&client::Controller> for Controller {
    fn from(controller: &client::Controller) -> Self {
        let status = controller.status.as_ref();
        Self {
            address: controller.address.0,
            title: controller.title.to_string(),
            online: controller.online,
            since: controller.since.0,
            offline_reason: controller.offline_reason.map(number),
            boot: status.map(|status| status.head.boot),
            sequence: status.map(|status| status.head.sequence),
            software: controller.software.as_ref().map(ToString::to_string),
            board: controller.board.as_ref().map(ToString::to_string),
            features: controller.features,
            heard_at: status.map(|status| status.heard_at.0),
            points: controller.points().iter().map(Point::from).collect(),
        }
    }
}

impl From<&client::Fleet> for FleetSnapshot {
    fn from(fleet: &client::Fleet) -> Self {
        Self {
            synced: fleet.is_synced(),
            controllers: fleet
                .controllers()
                .map(|controller| (&**controller).into())
                .collect(),
        }
    }
}

impl From<&client::FleetChange> for FleetChange {
    fn from(change: &client::FleetChange) -> Self {
        match change {
            client::FleetChange::Controller(controller) => Self::Controller {
                controller: (&**controller).into(),
            },
            client::FleetChange::Points {
                address,
                head,
                heard_at,
                changes,
            } => Self::Points {
                address: address.0,
                boot: head.boot,
                sequence: head.sequence,
                at: heard_at.0,
                points: changes.iter().map(PointUpdate::from).collect(),
            },
            client::FleetChange::Gone(address) => Self::Gone { address: address.0 },
            client::FleetChange::Synced { count } => Self::Synced { count: *count },
        }
    }
}

impl From<message::Receipt> for Receipt {
    fn from(receipt: message::Receipt) -> Self {
        Self {
            key: hex(&receipt.key.0),
            stage: receipt.stage as u8,
            at: receipt.at.map(|at| at.0),
            reason: receipt.reason.map(number),
            detail: receipt.detail.map(|detail| detail.to_string()),
            is_final: receipt.is_final,
        }
    }
}

impl From<flasher::SerialPort> for SerialPort {
    fn from(serial_port: flasher::SerialPort) -> Self {
        let kind = match &serial_port.attachment {
            flasher::Attachment::Usb(_) => SerialPortKind::Usb,
            flasher::Attachment::Bluetooth => SerialPortKind::Bluetooth,
            flasher::Attachment::Pci => SerialPortKind::Pci,
            _ => SerialPortKind::Unknown,
        };
        let usb = serial_port.usb().cloned();
        Self {
            name: serial_port.path,
            kind,
            vendor_id: usb.as_ref().map(|device| device.vendor_id),
            product_id: usb.as_ref().map(|device| device.product_id),
            manufacturer: usb.as_ref().and_then(|device| device.manufacturer.clone()),
            product: usb.as_ref().and_then(|device| device.product.clone()),
            serial_number: usb.and_then(|device| device.serial_number),
        }
    }
}

/// Bytes as JSON and people see them: lowercase hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Sixteen bytes from 32 hex digits; `None` from anything else.
pub(crate) fn sixteen_bytes(hex: &str) -> Option<[u8; 16]> {
    if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::Fault;

    /// Compares the committed bindings with these types; with `SWITCHYARD_BLESS=1` it writes them.
    #[test]
    fn the_pages_bindings_are_fresh() {
        let bindings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/src/lib/bindings");
        let settings = ts_rs::Config::new().with_large_int("number");
        let mut stale = Vec::new();
        let mut expected = Vec::new();
        macro_rules! check {
            ($($bound:ty),* $(,)?) => {$(
                let name = format!("{}.ts", <$bound as TS>::ident(&settings));
                let text = <$bound as TS>::export_to_string(&settings).expect("a binding");
                let path = bindings.join(&name);
                if std::env::var_os("SWITCHYARD_BLESS").is_some() {
                    std::fs::create_dir_all(&bindings).expect("the bindings' folder");
                    std::fs::write(&path, &text).expect("the binding written");
                }
                if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
                    stale.push(name.clone());
                }
                expected.push(name);
            )*};
        }
        check!(
            ApiMethod,
            ApiCall,
            ApiAnswer,
            Language,
            Session,
            Cause,
            Point,
            PointUpdate,
            Controller,
            FleetSnapshot,
            FleetChange,
            Action,
            Command,
            Receipt,
            Description,
            Identity,
            Note,
            LinkStatus,
            LinkState,
            SerialPort,
            SerialPortKind,
            BoardOrder,
            BoardReset,
            BoardImage,
            BoardState,
            BoardStep,
            BoardPrompt,
            BoardEnd,
            Fault,
        );
        assert!(
            stale.is_empty(),
            "{stale:?} in ui/src/lib/bindings differ from desktop/src/dto.rs: run \
             `SWITCHYARD_BLESS=1 cargo test -p switchyard-desktop bindings` and commit them"
        );
        let surplus: Vec<_> = std::fs::read_dir(&bindings)
            .expect("the bindings' folder")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| name.ends_with(".ts") && name.starts_with(char::is_uppercase))
            .filter(|name| !expected.contains(name))
            .collect();
        assert!(
            surplus.is_empty(),
            "{surplus:?} in ui/src/lib/bindings are of no type any more"
        );
    }

    #[test]
    fn a_command_is_read_as_the_page_writes_it() {
        let set = json!({
            "key": "00112233445566778899aabbccddeeff", "address": 100_042, "wait": false,
            "expiresInMs": 10_000, "action": {"kind": "set", "point": "RL1", "value": 1},
        });
        let read: Command = serde_json::from_value(set).expect("a command");
        assert_eq!(
            read.action,
            Action::Set {
                point: "RL1".to_owned(),
                value: 1
            }
        );
        let call = json!({"kind": "call", "command": "pulse", "arguments": [500]});
        let read: Action = serde_json::from_value(call).expect("an action");
        assert_eq!(
            read,
            Action::Call {
                command: "pulse".to_owned(),
                arguments: vec![500]
            }
        );
        assert!(
            serde_json::from_value::<Action>(json!({"kind": "toggle", "point": "RL1"})).is_err()
        );
    }

    #[test]
    fn a_change_is_written_as_the_page_reads_it() {
        let cause = Cause {
            kind: 2,
            by: Some(7),
            reference: None,
        };
        let points = vec![PointUpdate {
            index: 3,
            value: 72_400,
            flags: 1,
            cause,
        }];
        let change = FleetChange::Points {
            address: 1,
            boot: 9,
            sequence: 4,
            at: 5,
            points,
        };
        assert_eq!(
            serde_json::to_value(change).expect("JSON"),
            json!({"kind": "points", "address": 1, "boot": 9, "sequence": 4, "at": 5, "points": [
                {"index": 3, "value": 72_400, "flags": 1, "cause": {"kind": 2, "by": 7, "reference": null}}
            ]})
        );
        let live = LinkStatus {
            state: LinkState::Live,
            retry_in_ms: None,
            code: Some(12),
        };
        assert_eq!(
            serde_json::to_value(live).expect("JSON"),
            json!({"state": "live", "retryInMs": null, "code": 12})
        );
    }

    #[test]
    fn keys_are_sixteen_bytes_or_nothing() {
        let text = "00112233445566778899aabbccddeeff";
        let bytes = sixteen_bytes(text).expect("sixteen bytes");
        assert_eq!(bytes[1], 0x11);
        assert_eq!(hex(&bytes), text);
        for wrong in [
            "",
            "0011",
            "+0112233445566778899aabbccddeeff",
            "zz112233445566778899aabbccddeeff",
        ] {
            assert_eq!(sixteen_bytes(wrong), None, "{wrong}");
        }
    }
}
