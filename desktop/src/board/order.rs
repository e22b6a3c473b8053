//! What the page orders, as the flasher takes it: checked at once where that needs no disk, read and built later.

use std::{fs, path::Path};

use switchyard_flasher::{
    After, Error, Expected, HeadPatch, Order, Plan, Region, is_live_on_mains,
};
use switchyard_protocol::{
    limits::SCRIPT_SOURCE_BYTES_MAX,
    message::Title,
    serial::{Password, Setting, SettingValue},
};

use crate::{
    Fault,
    dto::{BoardEnd, BoardOrder, BoardReset},
};

/// The largest flash that this chip can have.
const FLASH_BYTES_MAX: u64 = 16 << 20;
/// More than a flash is ever laid out into.
const IMAGES_MAX: usize = 16;
/// How many gateways a board keeps.
const GATEWAYS_MAX: usize = 2;

/// Why a board did not become a controller.
pub(super) enum Refusal {
    /// A file that cannot be taken.
    File(String),
    /// The flasher's word.
    Flasher(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Flasher(error)
    }
}

impl From<Refusal> for BoardEnd {
    fn from(refusal: Refusal) -> Self {
        let error = match refusal {
            Refusal::Flasher(error) => error,
            Refusal::File(message) => {
                return BoardEnd::Failed {
                    message,
                    advice: None,
                    is_stopped: false,
                    address: None,
                    left_on_board: false,
                    left_at_gateway: false,
                };
            }
        };
        let (address, left) = match &error {
            Error::RolledBack { address, left, .. } => (Some(address.0), *left),
            _ => Default::default(),
        };
        BoardEnd::Failed {
            message: crate::error::with_causes(&error),
            advice: error.advice(),
            is_stopped: is_stop(&error),
            address,
            left_on_board: left.on_board,
            left_at_gateway: left.at_gateway,
        }
    }
}

fn is_stop(error: &Error) -> bool {
    match error {
        Error::Stopped => true,
        Error::RolledBack { cause, .. } => is_stop(cause),
        _ => false,
    }
}

impl BoardReset {
    /// How the board is started once it is written.
    pub(super) fn after(self) -> After {
        match self {
            BoardReset::Lines => After::Reset,
            BoardReset::Person => After::NoReset,
        }
    }
}

/// What can be told wrong at once.
pub(super) fn check(order: &BoardOrder) -> Result<(), Fault> {
    Title::new(&order.title).map_err(Fault::bad_field)?;
    if order.serial_port.is_empty() || order.profile.is_empty() {
        return Err(Fault::bad_field("expected a serial port and a profile"));
    }
    if order.images.len() > IMAGES_MAX || order.gateways.len() > GATEWAYS_MAX {
        return Err(Fault::bad_field("expected fewer images or gateways"));
    }
    if is_live_on_mains(&order.profile) && !order.off_mains {
        let message = format!("expected {} to be off mains", order.profile);
        return Err(Fault::new("off_mains_needed", message));
    }
    Ok(())
}

/// The images, read; `None` where there are none.
pub(super) fn images(order: &BoardOrder) -> Result<Option<Order>, Refusal> {
    let regions = order.images.iter().map(|image| {
        Ok(Region {
            offset: image.offset,
            bytes: read(&image.path, FLASH_BYTES_MAX)?,
        })
    });
    let regions = regions.collect::<Result<Vec<_>, Refusal>>()?;
    let order = Order {
        regions,
        patch: HeadPatch::default(),
        detects_size: false,
        reads_back: false,
        is_raw: false,
    };
    Ok(Some(order).filter(|order| !order.regions.is_empty()))
}

/// What the board is to become.
pub(super) fn plan(order: &BoardOrder) -> Result<Plan, Refusal> {
    let mut gateways = order.gateways.iter().cloned();
    let first = gateways.next();
    // A network, and a first gateway, take the place of what belonged to the ones before.
    let second = gateways.next().or_else(|| Some(String::new()));
    let settings = [
        (Setting::Wifi, order.wifi.clone()),
        (
            Setting::WifiPassword,
            order.wifi.as_ref().map(|_| order.wifi_password.clone()),
        ),
        (Setting::Gateway2, second.filter(|_| first.is_some())),
        (Setting::Gateway1, first),
    ];
    let settings = settings.into_iter().filter_map(|(setting, text)| {
        Some(SettingValue {
            setting,
            text: text?,
        })
    });
    let script = order
        .script
        .as_ref()
        .map(|path| read(path, SCRIPT_SOURCE_BYTES_MAX as u64));
    Ok(Plan {
        title: order.title.clone(),
        settings: settings.collect(),
        script: script.transpose()?,
        password: order.page_password.clone().map(Password),
        expected: Expected {
            profile: Some(order.profile.clone()),
            version: None,
            mac: None,
        },
        replaces: order.replace,
        is_off_line: false,
        is_off_mains: order.off_mains,
    })
}

fn read(path: &str, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let about = |error: std::io::Error| Refusal::File(format!("reading {path}: {error}"));
    let found = fs::metadata(Path::new(path)).map_err(about)?;
    if !found.is_file() || found.len() > bytes_max {
        return Err(Refusal::File(format!(
            "reading {path}: expected a file of at most {bytes_max} bytes"
        )));
    }
    fs::read(path).map_err(about)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dto::BoardImage;

    fn order() -> BoardOrder {
        BoardOrder {
            serial_port: "/dev/pts/7".to_owned(),
            reset: BoardReset::Person,
            images: Vec::new(),
            profile: "virtual".to_owned(),
            wifi: Some("yard".to_owned()),
            wifi_password: "behind the gate".to_owned(),
            gateways: vec!["yard.example:7001".to_owned()],
            title: "North pump".to_owned(),
            site: None,
            script: None,
            page_password: Some("an open secret".to_owned()),
            replace: false,
            off_mains: false,
        }
    }

    #[test]
    fn no_password_is_in_what_is_printed() {
        let text = format!("{:?}", order());
        assert!(text.contains("North pump"), "{text}");
        assert!(!text.contains("gate") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn what_could_kill_wants_a_word() {
        let mut order = order();
        assert_eq!(check(&order), Ok(()));
        order.profile = "sonoff-basic".to_owned();
        let fault = check(&order).expect_err("a refusal");
        assert_eq!(fault.code, "off_mains_needed");
        order.off_mains = true;
        assert_eq!(check(&order), Ok(()));
    }

    #[test]
    fn what_is_wrong_at_once_is_told_at_once() {
        for wrong in [
            BoardOrder {
                title: String::new(),
                ..order()
            },
            BoardOrder {
                serial_port: String::new(),
                ..order()
            },
            BoardOrder {
                profile: String::new(),
                ..order()
            },
            BoardOrder {
                gateways: vec!["a:1".to_owned(); GATEWAYS_MAX + 1],
                ..order()
            },
        ] {
            let fault = check(&wrong).expect_err("a refusal");
            assert_eq!(fault.code, "bad_field", "{wrong:?}");
        }
    }

    #[test]
    fn a_plan_has_what_the_form_says_and_clears_the_gateway_before() {
        let Ok(plan) = plan(&order()) else {
            panic!("expected a plan");
        };
        let text = |setting| {
            let found = plan.settings.iter().find(|it| it.setting == setting);
            found.map(|it| it.text.as_str())
        };
        assert_eq!(text(Setting::Wifi), Some("yard"));
        assert_eq!(text(Setting::WifiPassword), Some("behind the gate"));
        assert_eq!(text(Setting::Gateway1), Some("yard.example:7001"));
        assert_eq!(text(Setting::Gateway2), Some(""));
        assert_eq!(plan.expected.profile.as_deref(), Some("virtual"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let missing = BoardImage {
            offset: 0,
            path: "/nowhere/user1.bin".to_owned(),
        };
        let order = BoardOrder {
            images: vec![missing],
            ..order()
        };
        let Err(refusal) = images(&order) else {
            panic!("expected a refusal");
        };
        let BoardEnd::Failed { message, .. } = refusal.into() else {
            panic!("expected a failure");
        };
        assert!(message.contains("/nowhere/user1.bin"), "{message}");
    }
}
