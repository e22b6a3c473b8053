//! The bench's hands: files, boards and the gateway, on threads that may block. What happens comes to the screen as
//! events.

use super::{News, Order, Outcome, Way, Wish};
use crate::{
    cli::{AfterFlash, Attached, BeforeFlash, How, ProvisionOrder},
    exit::Failure,
    provision::{Secrets, installation},
    screen::app::Event,
    stop::{self, Heeding},
};
use switchyard_flasher::{Backup, Backups, Chip, Gateway, Watch, is_live_on_mains, serial_ports};
use switchyard_protocol::serial::Password;
use tokio::{
    sync::mpsc::Sender,
    task::{JoinHandle, spawn_blocking},
};

/// The rate that is wanted of a board's loader; lower ones are gone down to where the line drops bytes.
const BAUD: u32 = 460_800;

/// One board at a time.
pub(crate) struct Workbench {
    gateway: Box<dyn Fn() -> Gateway>,
    answers: Sender<Event>,
    working: Option<JoinHandle<()>>,
}

impl Workbench {
    /// A bench at a gateway, which speaks to the screen by `answers`.
    pub(crate) fn new(gateway: impl Fn() -> Gateway + 'static, answers: Sender<Event>) -> Self {
        Workbench {
            gateway: Box::new(gateway),
            answers,
            working: None,
        }
    }

    /// Does what the screen wants; returns at once.
    pub(crate) fn fulfil(&mut self, wish: Wish) {
        let answers = self.answers.clone();
        match wish {
            Wish::List => {
                spawn_blocking(move || {
                    let listed = serial_ports().map_err(|error| crate::exit::with_causes(&error));
                    let _ = answers.blocking_send(Event::Bench(News::Listed(listed)));
                });
            }
            Wish::Start(order) => {
                let gateway = (self.gateway)();
                // Before the thread begins, so that a stop that comes at once is not lost.
                let heeding = Heeding::begin();
                self.working = Some(spawn_blocking(move || {
                    let outcome = work(*order, gateway, &answers);
                    drop(heeding);
                    let _ = answers.blocking_send(Event::Bench(News::Ended(outcome)));
                }));
            }
            Wish::Stop => _ = stop::ask(),
        }
    }

    /// Whether a board is being worked on.
    pub(crate) fn is_working(&self) -> bool {
        self.working.as_ref().is_some_and(|it| !it.is_finished())
    }

    /// Stops the work and waits until what was begun is taken back. Nothing may hold events back by then.
    pub(crate) async fn clear(self) {
        if let Some(working) = self.working {
            stop::ask();
            let _ = working.await;
        }
    }
}

fn work(order: Order, mut gateway: Gateway, answers: &Sender<Event>) -> Outcome {
    let secrets = Secrets {
        wifi: Some(order.password.0.clone()),
        ..Secrets::default()
    };
    let given = given(order);
    let refused = |failure: &Failure| Outcome::Fail {
        message: failure.message().unwrap_or("interrupted").to_owned(),
        advice: Some("Nothing was done.".to_owned()),
    };
    let installation = match installation(&given, secrets, None, given.off_mains) {
        Ok(installation) => installation,
        Err(failure) => return refused(&failure),
    };
    let mut line = match switchyard_flasher::SerialLine::open(&given.attached.serial_port, BAUD) {
        Ok(line) => line,
        Err(error) => return Outcome::of(Err(error)),
    };
    let mut kept = Backups::new(None);
    let mut keep = |chip: &Chip, offset: u32, bytes: &[u8]| kept.keep(chip, offset, bytes);
    let backup: Backup<'_> = &mut keep;
    let mut told = Told(answers);
    Outcome::of(installation.run(&mut line, Some(backup), Some(&mut gateway), &mut told))
}

/// The same as `switchyard provision` takes it.
fn given(order: Order) -> ProvisionOrder {
    let (before, after) = match order.way {
        Way::Reset => (BeforeFlash::Reset, AfterFlash::Reset),
        Way::InvertedReset => (BeforeFlash::InvertedReset, AfterFlash::InvertedReset),
        Way::NoReset => (BeforeFlash::NoReset, AfterFlash::NoReset),
    };
    // Such a board was asked about before this began.
    let is_off_mains = order.board.as_deref().is_some_and(is_live_on_mains);
    let Password(password) = order.password;
    ProvisionOrder {
        title: order.title,
        attached: Attached {
            serial_port: order.serial_port,
            how: How {
                baud: BAUD,
                before,
                after,
                no_stub: false,
            },
        },
        regions: order.images,
        board: order.board,
        version: None,
        wifi: order.wifi,
        open_wifi: password.is_empty(),
        gateways: order.gateways,
        host: None,
        zone: None,
        script: order.script,
        protect: false,
        page_password: false,
        new_label: false,
        site: None,
        replace: order.replaces,
        no_enrol: false,
        off_mains: is_off_mains,
        no_backup: false,
        json: false,
    }
}

/// Passes on what happens. A screen that is gone is no reason to leave a board half done.
struct Told<'a>(&'a Sender<Event>);

impl Watch for Told<'_> {
    fn event(&mut self, event: switchyard_flasher::Event) {
        let _ = self.0.blocking_send(Event::Bench(News::Worked(event)));
    }

    fn is_stopped(&self) -> bool {
        stop::is_asked()
    }
}
