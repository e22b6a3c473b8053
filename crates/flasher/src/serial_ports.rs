//! Which serial ports this machine has, from the system's device registry: nothing is opened, no board is disturbed.

use std::cmp::Ordering;
use std::collections::HashSet;

use serialport::{SerialPortInfo, SerialPortType};

use crate::{Error, Result, natural};

/// A serial port of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SerialPort {
    /// What one opens: `/dev/ttyUSB0`, `/dev/cu.usbserial-10`, `COM7`.
    pub path: String,
    /// How it hangs on this machine.
    pub attachment: Attachment,
}

impl SerialPort {
    /// The USB device behind it, where that is what it hangs on.
    #[must_use]
    pub fn usb(&self) -> Option<&UsbDevice> {
        match &self.attachment {
            Attachment::Usb(device) => Some(device),
            _ => None,
        }
    }
}

/// How a serial port hangs on the machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Attachment {
    /// A USB-to-serial bridge, or a chip that is one itself: what boards come on.
    Usb(UsbDevice),
    /// On the machine's own bus: there for good.
    Pci,
    /// Over the air.
    Bluetooth,
    /// The system does not say.
    Unknown,
}

impl Attachment {
    /// How likely a board is behind it: the smaller the likelier.
    fn rank(&self) -> u8 {
        match self {
            Self::Usb(_) => 0,
            Self::Unknown => 1,
            Self::Pci => 2,
            Self::Bluetooth => 3,
        }
    }
}

/// What a USB device says of itself. Texts are the device's own words, cleared of control characters; an empty one
/// counts as none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UsbDevice {
    /// Who made the bridge, by the USB forum's register: `0x1a86` WCH, `0x10c4` Silicon Labs.
    pub vendor_id: u16,
    /// Which bridge of that vendor.
    pub product_id: u16,
    /// Its serial number. Cheap bridges have none, or all the same one.
    pub serial_number: Option<String>,
    /// The vendor, in its own words.
    pub manufacturer: Option<String>,
    /// The bridge, in its own words.
    pub product: Option<String>,
}

/// The serial ports that this machine has now: USB first, then by path, counted as people do (`COM7` before `COM10`).
/// None twice, and on macOS only the call-out half (`/dev/cu.*`) of each pair, since opening the other half waits for
/// a carrier that no board gives.
///
/// Blocks while the system answers: a few milliseconds, on Windows with a bad driver much longer.
///
/// # Errors
///
/// [`Error::List`] when the system's device registry does not answer.
pub fn serial_ports() -> Result<Vec<SerialPort>> {
    // Some containers have no sysfs, and `serialport` takes its being there for granted.
    if cfg!(target_os = "linux") && !std::path::Path::new("/sys/class/tty").is_dir() {
        return Ok(Vec::new());
    }
    serialport::available_ports().map(tidy).map_err(Error::List)
}

/// Whether the adapter there resets its board when DTR is let go, as Silicon Labs' CP2102C does.
#[must_use]
pub fn holds_dtr(path: &str) -> bool {
    let found = serial_ports().unwrap_or_default();
    let usb = found
        .iter()
        .find(|it| it.path == path)
        .and_then(|it| it.usb());
    usb.is_some_and(|usb| (usb.vendor_id, usb.product_id) == (0x10C4, 0xEA64))
}

fn tidy(found: Vec<SerialPortInfo>) -> Vec<SerialPort> {
    let mut seen = HashSet::new();
    let mut serial_ports: Vec<_> = found
        .into_iter()
        .filter(|info| !info.port_name.starts_with("/dev/tty."))
        .filter(|info| seen.insert(info.port_name.clone()))
        .map(SerialPort::from)
        .collect();
    serial_ports.sort_by(order);
    serial_ports
}

fn order(a: &SerialPort, b: &SerialPort) -> Ordering {
    let by_rank = a.attachment.rank().cmp(&b.attachment.rank());
    by_rank.then_with(|| natural::compare(&a.path, &b.path))
}

impl From<SerialPortInfo> for SerialPort {
    fn from(info: SerialPortInfo) -> Self {
        let attachment = match info.port_type {
            SerialPortType::UsbPort(usb) => Attachment::Usb(UsbDevice {
                vendor_id: usb.vid,
                product_id: usb.pid,
                serial_number: usb.serial_number.and_then(words),
                manufacturer: usb.manufacturer.and_then(words),
                product: usb.product.and_then(words),
            }),
            SerialPortType::PciPort => Attachment::Pci,
            SerialPortType::BluetoothPort => Attachment::Bluetooth,
            SerialPortType::Unknown => Attachment::Unknown,
        };
        Self {
            path: info.port_name,
            attachment,
        }
    }
}

/// A device's text as it may be shown: a stranger's USB descriptor can hold anything.
fn words(text: String) -> Option<String> {
    let clean: String = text
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    let trimmed = clean.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use serialport::UsbPortInfo;

    use super::*;

    fn info(name: &str, port_type: SerialPortType) -> SerialPortInfo {
        SerialPortInfo {
            port_name: name.to_owned(),
            port_type,
        }
    }

    fn usb(serial_number: Option<&str>, product: &str) -> SerialPortType {
        SerialPortType::UsbPort(UsbPortInfo {
            vid: 0x1a86,
            pid: 0x7523,
            serial_number: serial_number.map(str::to_owned),
            manufacturer: None,
            product: Some(product.to_owned()),
        })
    }

    fn paths(found: Vec<SerialPortInfo>) -> Vec<String> {
        tidy(found)
            .into_iter()
            .map(|serial_port| serial_port.path)
            .collect()
    }

    #[test]
    fn likely_boards_come_first_and_numbers_count() {
        let found = vec![
            info("/dev/rfcomm0", SerialPortType::BluetoothPort),
            info("/dev/ttyUSB10", usb(None, "USB Serial")),
            info("/dev/ttyS0", SerialPortType::PciPort),
            info("/dev/ttyUSB2", usb(None, "USB Serial")),
            info("/dev/ttyAMA0", SerialPortType::Unknown),
        ];
        assert_eq!(
            paths(found),
            [
                "/dev/ttyUSB2",
                "/dev/ttyUSB10",
                "/dev/ttyAMA0",
                "/dev/ttyS0",
                "/dev/rfcomm0"
            ]
        );
    }

    #[test]
    fn a_pair_is_one_and_a_path_stands_once() {
        let found = vec![
            info("/dev/tty.usbserial-10", usb(None, "USB Serial")),
            info("/dev/cu.usbserial-10", usb(None, "USB Serial")),
            info("/dev/cu.usbserial-10", usb(None, "USB Serial")),
            info("/dev/ttyUSB0", usb(None, "USB Serial")),
        ];
        assert_eq!(paths(found), ["/dev/cu.usbserial-10", "/dev/ttyUSB0"]);
    }

    #[test]
    fn what_the_device_says_is_kept_and_cleaned() {
        let found = vec![info(
            "COM7",
            usb(Some("  \0"), " CP2102N\u{1b}[31m Bridge\n"),
        )];
        let listed = tidy(found);
        let device = listed[0].usb().expect("a USB device");
        assert_eq!((device.vendor_id, device.product_id), (0x1a86, 0x7523));
        assert_eq!(device.serial_number, None);
        assert_eq!(device.manufacturer, None);
        assert_eq!(device.product.as_deref(), Some("CP2102N[31m Bridge"));
    }

    #[test]
    fn only_usb_has_a_device() {
        assert_eq!(
            SerialPort::from(info("COM1", SerialPortType::Unknown)).usb(),
            None
        );
    }

    /// The list itself is this machine's business; that it comes, in order, is ours.
    #[test]
    fn this_machine_answers_in_order() {
        let listed = serial_ports().expect("the system's list");
        assert!(
            listed.is_sorted_by(|a, b| order(a, b) == Ordering::Less),
            "{listed:?}"
        );
    }
}
