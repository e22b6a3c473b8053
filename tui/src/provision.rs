//! Boards made controllers. All of it is `switchyard-flasher`'s work; here it is asked for and shown.

use crate::{
    boards::order_of,
    cli::{ProvisionOrder, WifiLine, WifiVerb},
    exit::Failure,
    output, screen,
    show::{Show, description_as_json},
    stop::Heeding,
};
use rand::seq::IndexedRandom as _;
use serde_json::json;
use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::PathBuf,
    time::Duration,
};
use switchyard_flasher::{
    Backup, Backups, Chip, Expected, Gateway, Installation, Installed, Plan, Registry,
    RunningBoard, SerialLine, is_live_on_mains,
};
use switchyard_protocol::{
    limits::SCRIPT_SOURCE_BYTES_MAX,
    message::Title,
    serial::{ImprovState, Password, Setting, SettingValue},
};

/// How long a board of any maker may take to answer.
const FOUND_WITHIN: Duration = Duration::from_secs(10);
/// Letters and digits that nobody mistakes for each other on a label.
const LABEL_SIGNS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// How many of them make a password: 59 bits.
const LABEL_LENGTH: usize = 12;
/// Where the page's new password may stand.
const NEW_PAGE_PASSWORD: &str = "SWITCHYARD_NEW_PAGE_PASSWORD";
/// The rate at which programs are spoken to.
const BAUD: u32 = switchyard_flasher::BAUD_SAFE;

/// Makes a controller of a board. Blocks as long as it takes.
pub(crate) fn run(given: &ProvisionOrder, mut gateway: Option<Gateway>) -> Result<(), Failure> {
    Title::new(&given.title).map_err(|error| Failure::usage(error.to_string()))?;
    let is_off_mains = confirm_off_mains(given.board.as_deref(), given.off_mains)?;
    let secrets = Secrets::gather(given)?;
    let label = given.new_label.then(new_label);
    let installation = installation(given, secrets, label.as_deref(), is_off_mains)?;
    let _heeding = Heeding::begin();
    let mut show = Show::new(given.json);
    let mut kept = Backups::new(None);
    let mut keep = |chip: &Chip, offset: u32, bytes: &[u8]| kept.keep(chip, offset, bytes);
    let backup = (!given.no_backup).then_some(&mut keep as Backup<'_>);
    let mut line = given.attached.open()?;
    let registry = gateway.as_mut().map(|it| it as &mut dyn Registry);
    let outcome = installation.run(&mut line, backup, registry, &mut show);
    show.end();
    if !given.json {
        for file in kept.files() {
            let file = file.display();
            output::aside(format_args!("what was there before is in {file}"));
        }
    }
    if let (Err(_), Some(label)) = (&outcome, &label) {
        output::aside(format_args!(
            "its own Wi-Fi may ask for {label} by now; the next try gives it another password"
        ));
    }
    tell(&outcome?, given, label.as_deref(), kept.files())
}

/// All that is to be done with a board. Reads the files.
pub(crate) fn installation(
    given: &ProvisionOrder,
    secrets: Secrets,
    label: Option<&str>,
    is_off_mains: bool,
) -> Result<Installation, Failure> {
    Ok(Installation {
        approach: given.attached.approach(),
        order: order_of(&given.regions)?,
        after: given.attached.how.after.into(),
        plan: Plan {
            is_off_mains,
            ..plan(given, secrets, label)?
        },
    })
}

fn plan(given: &ProvisionOrder, secrets: Secrets, label: Option<&str>) -> Result<Plan, Failure> {
    if given.gateways.len() > 2 {
        return Err(Failure::usage("expected --gateway at most twice"));
    }
    let first = given.gateways.first().cloned();
    let second = given.gateways.get(1).cloned();
    // A network, and a first gateway, take the place of what belonged to the ones before.
    let second = second.or_else(|| first.is_some().then(String::new));
    let wifi_password = given
        .wifi
        .as_ref()
        .map(|_| secrets.wifi.unwrap_or_default());
    let settings = [
        (Setting::Host, given.host.clone()),
        (Setting::Wifi, given.wifi.clone()),
        (Setting::WifiPassword, wifi_password),
        (Setting::Gateway1, first),
        (Setting::Gateway2, second),
        (Setting::Zone, given.zone.clone()),
        (Setting::Label, label.map(str::to_owned)),
        (Setting::PagePassword, secrets.new_page),
    ];
    let settings = settings.into_iter().filter_map(|(setting, text)| {
        Some(SettingValue {
            setting,
            text: text?,
        })
    });
    let script = given.script.as_ref().map(|path| {
        let about = |error| Failure::usage(format!("reading {}: {error}", path.display()));
        let mut script = Vec::new();
        let file = std::fs::File::open(path).map_err(about)?;
        let mut file = file.take(SCRIPT_SOURCE_BYTES_MAX as u64 + 1);
        file.read_to_end(&mut script).map_err(about)?;
        if script.len() > SCRIPT_SOURCE_BYTES_MAX {
            return Err(Failure::usage(format!(
                "reading {}: expected a script of at most {SCRIPT_SOURCE_BYTES_MAX} bytes",
                path.display()
            )));
        }
        Ok(script)
    });
    Ok(Plan {
        title: given.title.clone(),
        settings: settings.collect(),
        script: script.transpose()?,
        password: secrets.page.map(Password),
        expected: Expected {
            profile: given.board.clone(),
            version: given.version,
            mac: None,
        },
        replaces: given.replace,
        is_off_line: false,
        is_off_mains: false,
    })
}

fn tell(
    installed: &Installed,
    given: &ProvisionOrder,
    label: Option<&str>,
    kept: &[PathBuf],
) -> Result<(), Failure> {
    let Installed {
        written,
        provisioned,
    } = installed;
    let description = &provisioned.description;
    let page = description.ip.map(|ip| format!("http://{ip}/"));
    if given.json {
        let mut told = description_as_json(description);
        told["event"] = "done".into();
        told["title"] = given.title.as_str().into();
        told["page"] = page.into();
        told["label_password"] = label.into();
        told["backup"] = json!(kept);
        told["before"] = provisioned.before.map(|it| it.0).into();
        told["bytes_written"] = written.as_ref().map(|it| it.bytes_written).into();
        output::line(told)?;
        return Ok(());
    }
    let title = &given.title;
    match description.address {
        Some(address) if !given.no_enrol => {
            output::line(format_args!("No. {address}  {title}: it is on line"))?;
        }
        Some(address) => output::line(format_args!("No. {address}  {title}: it is set up"))?,
        None => output::line(format_args!("{title}: it is set up, and enrolled nowhere"))?,
    }
    if let Some(page) = page {
        output::line(format_args!("page  {page}"))?;
    }
    if let Some(label) = label {
        output::line(format_args!("label  {label}"))?;
        output::aside("the label's password is shown this once: print it now");
    }
    if let Some(before) = provisioned.before {
        output::aside(format_args!(
            "it was No. {before}, which the gateway still knows: an admin withdraws that one"
        ));
    }
    Ok(())
}

/// What is asked for, and never stands on a command line.
#[derive(Default)]
pub(crate) struct Secrets {
    pub(crate) wifi: Option<String>,
    pub(crate) page: Option<String>,
    pub(crate) new_page: Option<String>,
}

impl Secrets {
    fn gather(given: &ProvisionOrder) -> Result<Self, Failure> {
        let wifi = given.wifi.as_ref().filter(|_| !given.open_wifi);
        let wifi = wifi.map(|name| wifi_password(name)).transpose()?;
        let asked = |is_wanted: bool, variable, prompt: &str| {
            is_wanted.then(|| secret(variable, prompt)).transpose()
        };
        let page = "The board's page password: ";
        let new_page = "New password for the board's page: ";
        Ok(Secrets {
            wifi,
            page: asked(given.page_password, "SWITCHYARD_PAGE_PASSWORD", page)?,
            new_page: match asked(given.protect, NEW_PAGE_PASSWORD, new_page)? {
                // What is typed blind is typed twice.
                Some(typed) if std::env::var_os(NEW_PAGE_PASSWORD).is_none() => {
                    let again = secret(NEW_PAGE_PASSWORD, "The same once more: ")?;
                    if again != typed {
                        return Err(Failure::usage("expected the same password twice"));
                    }
                    Some(typed)
                }
                other => other,
            },
        })
    }
}

fn wifi_password(network: &str) -> Result<String, Failure> {
    let network = crate::words::plain(network);
    let prompt = format!("Password of the network {network}: ");
    secret("SWITCHYARD_WIFI_PASSWORD", &prompt)
}

/// From the environment, else from the person at the terminal.
fn secret(variable: &str, prompt: &str) -> Result<String, Failure> {
    if let Ok(secret) = std::env::var(variable) {
        return Ok(secret);
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "expected {variable} in the environment where nobody can be asked"
        )));
    }
    screen::password(prompt)?.ok_or_else(Failure::interrupted)
}

/// Asks whoever has a board that is live on mains to say that it is not on it. Whether it was said.
///
/// # Errors
/// When it is not said.
pub(crate) fn confirm_off_mains(profile: Option<&str>, is_said: bool) -> Result<bool, Failure> {
    let Some(profile) = profile.filter(|it| is_live_on_mains(it)) else {
        return Ok(is_said);
    };
    let warning = format!(
        "{profile}: its supply is not isolated. While it is on mains, its pins, the cable and this machine are live, \
         and touching them can kill"
    );
    if is_said {
        output::aside(warning);
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        let wanted = "unplug the board from mains, supply it by the adapter's 3.3 V, and say so with --off-mains";
        return Err(Failure::usage(format!("{warning}.\n  {wanted}")));
    }
    output::aside(warning);
    let mut out = io::stderr().lock();
    write!(
        out,
        "Unplug it from mains, supply it by the adapter's 3.3 V, and type OFF to go on: "
    )?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if line.trim().eq_ignore_ascii_case("off") {
        return Ok(true);
    }
    Err(Failure::interrupted())
}

fn new_label() -> String {
    let mut random = rand::rng();
    let signs = (0..LABEL_LENGTH).filter_map(|_| LABEL_SIGNS.choose(&mut random));
    signs.map(|&sign| char::from(sign)).collect()
}

/// Looks at a board's Wi-Fi, or sets it. Blocks as long as it takes.
pub(crate) fn wifi(verb: WifiVerb) -> Result<(), Failure> {
    let _heeding = Heeding::begin();
    match verb {
        WifiVerb::Scan { on } => scan(&on),
        WifiVerb::Join {
            network,
            open_wifi,
            on,
        } => {
            let password = match open_wifi {
                true => String::new(),
                false => wifi_password(&network)?,
            };
            join(&on, &network, &Password(password))
        }
        WifiVerb::State { on } => state(&on),
    }
}

/// A board that answers by the standard.
fn board(on: &WifiLine, show: &mut Show) -> Result<RunningBoard<SerialLine>, Failure> {
    let line = SerialLine::open(&on.serial_port, BAUD)?;
    Ok(RunningBoard::find_any(line, FOUND_WITHIN, show)?)
}

fn scan(on: &WifiLine) -> Result<(), Failure> {
    let show = &mut Show::new(on.json);
    let networks = board(on, show)?.networks(show)?;
    if networks.is_empty() && !on.json {
        output::aside("the board finds no network where it is");
    }
    for network in networks {
        let (name, dbm) = (&network.name, network.dbm);
        if on.json {
            let protected = network.is_protected;
            output::line(json!({ "network": name, "dbm": dbm, "protected": protected }))?;
            continue;
        }
        let dbm = dbm.map_or("?".to_owned(), |dbm| dbm.to_string());
        let lock = if network.is_protected { "" } else { "  open" };
        let name = crate::words::plain(name);
        output::line(format_args!("{dbm:>5} dBm  {name}{lock}"))?;
    }
    Ok(())
}

fn join(on: &WifiLine, network: &str, password: &Password) -> Result<(), Failure> {
    let show = &mut Show::new(on.json);
    let page = board(on, show)?.join(network, password, show)?;
    if on.json {
        output::line(json!({ "event": "done", "page": page }))?;
        return Ok(());
    }
    let network = crate::words::plain(network);
    match page {
        Some(page) => output::line(format_args!("it has joined {network}; its page: {page}"))?,
        None => output::line(format_args!("it has joined {network}"))?,
    }
    Ok(())
}

fn state(on: &WifiLine) -> Result<(), Failure> {
    let show = &mut Show::new(on.json);
    let mut board = board(on, show)?;
    let information = board.information(show)?;
    let (state, page) = board.wifi(show)?;
    let is_joined = state == ImprovState::Provisioned;
    if on.json {
        output::line(json!({
            "firmware": information.firmware, "version": information.version,
            "hardware": information.hardware, "name": information.name,
            "joined": is_joined, "page": page,
        }))?;
        return Ok(());
    }
    let plain = crate::words::plain;
    output::line(format_args!(
        "{} {} on {}, called {}",
        plain(&information.firmware),
        plain(&information.version),
        plain(&information.hardware),
        plain(&information.name)
    ))?;
    match page {
        Some(page) => output::line(format_args!("on its network; its page: {page}"))?,
        None if is_joined => output::line("on its network")?,
        None => output::line("on no network")?,
    }
    Ok(())
}
