//! The commands: each asks the gateway, prints, and ends with a number that a script can rely on.

use crate::{
    alarms, batch, boards,
    cli::{Arguments, BatchVerb, Bell, Verb},
    config::{Config, Held, Stored},
    exit::{Exit, Failure, exit_of_receipt, failed_receipt},
    inside, job, label, log_in, monitor, output, provision, replay, screen, words,
};
use anyhow::Context;
use clap::CommandFactory;
use std::{
    collections::HashMap,
    io::{self, IsTerminal},
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_client::{
    Client, Controller, Error, Event, Fleet, FleetChange, Interest, LinkState, Options, Order,
    signature::{self, Signature},
};
use switchyard_flasher::Gateway;
use switchyard_protocol::{
    Address, Code, SiteId,
    message::{Action, Cause, Name, PeerKind, Point, Text, Title},
};

/// How long a snapshot may take before a command gives up on it.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long `watch` waits for a tool's name before it goes by its number.
const NAME_TIMEOUT: Duration = Duration::from_secs(1);
/// Tools whose names `watch` keeps.
const NAMES_MAX: usize = 256;

/// Runs what the command line says.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let given = arguments.config;
    let config = || Config::find(given);
    match arguments.command {
        None => open_screen(&config()?, arguments.bell).await,
        Some(Verb::Completions { shell }) => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "switchyard", &mut io::stdout().lock());
            Ok(())
        }
        Some(Verb::Man { folder }) => {
            let made = std::fs::create_dir_all(&folder)
                .and_then(|()| clap_mangen::generate_to(Arguments::command(), &folder));
            Ok(made?)
        }
        Some(Verb::Replay {
            recording,
            script,
            board,
            output,
        }) => replay::run(&recording, &script, board.as_deref(), output.json),
        Some(
            verb @ (Verb::Boards { .. }
            | Verb::Identify { .. }
            | Verb::Flash { .. }
            | Verb::Dump { .. }
            | Verb::Erase { .. }),
        ) => {
            // A board's line blocks: it is worked on by a thread of its own.
            let working = tokio::task::spawn_blocking(move || boards::run(verb));
            working.await.context("working on the board")?
        }
        Some(Verb::Batch { verb }) => {
            let job = batch::job_of(&verb)?;
            let site = match &verb {
                BatchVerb::Run { order } => order.site,
                BatchVerb::Reserve { site, .. } => *site,
                _ => None,
            };
            let mut opened = None;
            if batch::wants_gateway(&verb, job.as_ref()) {
                opened = Some(open_gateway(&config()?, site).await?);
            }
            let (link, gateway) = opened.unzip();
            let working = tokio::task::spawn_blocking(move || batch::run(verb, job, gateway));
            let done = working.await.context("working on the boards")?;
            drop(link);
            done
        }
        Some(Verb::Provision { order }) => {
            let config = config()?;
            let (link, gateway) = match order.no_enrol {
                true => (None, None),
                false => {
                    let (link, gateway) = open_gateway(&config, order.site).await?;
                    (Some(link), Some(gateway))
                }
            };
            let working = tokio::task::spawn_blocking(move || provision::run(&order, gateway));
            let done = working.await.context("working on the board")?;
            drop(link);
            done
        }
        Some(Verb::Wifi { verb }) => {
            let working = tokio::task::spawn_blocking(move || provision::wifi(verb));
            working.await.context("working on the board")?
        }
        Some(Verb::Monitor { order }) => {
            let listening = tokio::task::spawn_blocking(move || monitor::run(&order));
            listening.await.context("listening to the board")?
        }
        Some(Verb::Job { verb }) => job::run(&verb),
        Some(Verb::Label { order }) => label::run(&order),
        Some(Verb::Login {
            url,
            account,
            password_stdin,
            code,
        }) => log_in::log_in(&config()?, url, account, password_stdin, code).await,
        Some(Verb::Logout) => log_in::log_out(&config()?).await,
        Some(Verb::Ls { output }) => {
            let link = Link::open(&config()?, Interest::Everything).await?;
            list(&link, output.json).await
        }
        Some(Verb::Watch {
            address,
            count,
            output,
        }) => {
            let link = Link::open(&config()?, Interest::Nothing).await?;
            watch(&link, address, count, output.json).await
        }
        Some(Verb::Send {
            address,
            name,
            arguments,
            timeout,
            wait,
            output,
        }) => {
            let link = Link::open(&config()?, Interest::Nothing).await?;
            let action = link.action(address, name, &arguments).await?;
            let mut order = Order::new(address, action, timeout);
            order.wait = wait;
            send(&link, order, output.json).await
        }
        Some(Verb::Describe { address, output }) => {
            let link = Link::open(&config()?, Interest::Nothing).await?;
            describe(&link, address, output.json).await
        }
        Some(Verb::Ping { address, output }) => {
            let link = Link::open(&config()?, Interest::Nothing).await?;
            ping(&link, address, output.json).await
        }
        Some(Verb::Note { address, text }) => {
            let link = Link::open(&config()?, Interest::Nothing).await?;
            note(&link, address, text).await
        }
        Some(
            verb @ (Verb::Force { .. }
            | Verb::Release { .. }
            | Verb::Adjust { .. }
            | Verb::Params { .. }
            | Verb::Values { .. }
            | Verb::Log { .. }
            | Verb::Health { .. }
            | Verb::Script { .. }
            | Verb::Firmware { .. }
            | Verb::Recording { .. }
            | Verb::Restart { .. }),
        ) => {
            let link = Link::open(&config()?, Interest::Nothing).await?;
            inside::run(&link, verb).await
        }
        Some(
            verb @ (Verb::Alarms { .. }
            | Verb::Contacts { .. }
            | Verb::OnCall { .. }
            | Verb::AlarmPlan { .. }
            | Verb::AlarmRule { .. }),
        ) => alarms::run(&config()?, verb).await,
        Some(Verb::Enrol {
            title,
            site,
            output,
        }) => {
            let link = Link::open(&config()?, Interest::Nothing).await?;
            enrol(&link, title, site, output.json).await
        }
    }
}

/// What every connection of this program says of itself.
fn options(stored: &Stored, held: Option<&Held>, interest: Interest) -> Options {
    Options {
        gateway: stored.gateway.clone(),
        token: stored.token.clone(),
        installation: held.map(|held| held.installation),
        software: title(concat!("switchyard ", env!("CARGO_PKG_VERSION"))),
        title: title(&stored.account),
        peer_kind: PeerKind::Console,
        interest,
    }
}

/// As much of a text as a title takes.
fn title(text: &str) -> Title {
    let cut = &text[..text.floor_char_boundary(switchyard_protocol::limits::TITLE_BYTES_MAX)];
    let plain: String = cut.chars().filter(|c| !c.is_control()).collect();
    Title::new(&plain).unwrap_or_else(|_| unreachable!("a cut text without control characters"))
}

/// The gateway that somebody is logged in to, for boards that are enrolled there. It lives as long as its link.
async fn open_gateway(config: &Config, site: Option<SiteId>) -> Result<(Link, Gateway), Failure> {
    let stored = config.log_in()?;
    let link = Link::open(config, Interest::Nothing).await?;
    let gateway = Gateway::new(
        link.client.clone(),
        (stored.gateway, stored.token),
        site,
        tokio::runtime::Handle::current(),
    );
    Ok((link, gateway))
}

async fn open_screen(config: &Config, bell: Bell) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::usage(
            "the screen needs a terminal; `switchyard --help` lists the commands",
        ));
    }
    let stored = config.log_in()?;
    let held = config.hold()?;
    let client = Client::connect(options(&stored, held.as_ref(), Interest::Everything));
    screen::run(client, stored.gateway, stored.token, bell).await
}

/// A link that is up, for one command.
pub(crate) struct Link {
    pub(crate) client: Client,
    _held: Option<Held>,
}

impl Link {
    pub(crate) async fn open(config: &Config, interest: Interest) -> Result<Self, Failure> {
        let stored = config.log_in()?;
        let held = config.hold()?;
        let client = Client::connect(options(&stored, held.as_ref(), interest));
        client.live().await?;
        Ok(Link {
            client,
            _held: held,
        })
    }

    /// The fleet with this controller in it, as far as the gateway knows it.
    pub(crate) async fn controller(&self, address: Address) -> Result<Arc<Fleet>, Failure> {
        let about = |error| Failure::about(error, address);
        self.client.lookup(address).await.map_err(about)?;
        let interest = Interest::Only(vec![address]);
        self.client.set_interest(interest).await.map_err(about)?;
        self.client.synced(SNAPSHOT_TIMEOUT).await.map_err(about)
    }

    /// What `send N NAME ARGS` means: an output of that name, else a command of the script.
    async fn action(
        &self,
        address: Address,
        name: Name,
        arguments: &[String],
    ) -> Result<Action, Failure> {
        let fleet = self.controller(address).await?;
        let known = fleet.controller(address);
        let output = known
            .and_then(|controller| controller.point(&name))
            .filter(|point| point.point_type.is_output());
        if let Some(point) = output {
            let value = set_value(point, arguments)?;
            return Ok(Action::Set { point: name, value });
        }
        let is_online = known.is_some_and(|controller| controller.online);
        let has_status = known.is_some_and(|controller| controller.status.is_some());
        if !is_online {
            // It cannot be asked what it has; an obvious switch may still wait for it.
            if let [argument] = arguments
                && let Some(value) = signature::switch(argument)
                && !has_status
            {
                return Ok(Action::Set { point: name, value });
            }
            let offline = Error::Refused {
                code: Code::Offline,
                detail: None,
            };
            return Err(Failure::about(offline, address));
        }
        let (_, commands) = self
            .client
            .describe(address)
            .await
            .map_err(|error| Failure::about(error, address))?;
        let found = commands
            .iter()
            .filter_map(|text| Signature::parse(text.as_str()))
            .find(|signature| signature.name == name);
        match found {
            Some(signature) => Ok(Action::Call {
                arguments: signature
                    .arguments(arguments)
                    .map_err(|error| Failure::usage(error.to_string()))?,
                command: name,
            }),
            None => Err(nothing_of_that_name(address, &name, known, &commands)),
        }
    }
}

pub(crate) fn set_value(point: &Point, arguments: &[String]) -> Result<i64, Failure> {
    let name = &point.name;
    let [argument] = arguments else {
        return Err(Failure::usage(format!(
            "expected one value for {name}, such as `{name} on`, and found {}",
            arguments.len()
        )));
    };
    let (value, expected) = if point.point_type.is_digital() {
        (signature::switch(argument), "on, off, 1 or 0")
    } else {
        (
            signature::thousandths(argument),
            "a number with at most three decimals",
        )
    };
    value.ok_or_else(|| {
        Failure::usage(format!(
            "expected {expected} for {name} and found {argument:?}"
        ))
    })
}

fn nothing_of_that_name(
    address: Address,
    name: &Name,
    known: Option<&Arc<Controller>>,
    commands: &[Text],
) -> Failure {
    let points = known.map_or(&[][..], |controller| controller.points());
    let outputs = points.iter().filter(|point| point.point_type.is_output());
    let mut has: Vec<String> = outputs.map(|point| point.name.to_string()).collect();
    has.extend(commands.iter().map(ToString::to_string));
    let has = if has.is_empty() {
        "none".to_owned()
    } else {
        has.join(", ")
    };
    Failure::usage(format!(
        "expected an output or command of No. {address} and found {name}; it has {has}"
    ))
}

async fn list(link: &Link, json: bool) -> Result<(), Failure> {
    let fleet = link.client.synced(SNAPSHOT_TIMEOUT).await?;
    if json {
        for controller in fleet.controllers() {
            output::line(output::controller(controller))?;
        }
        return Ok(());
    }
    if fleet.is_empty() {
        output::line("No controllers yet. Plug in a board, or run `switchyard enrol`.")?;
        return Ok(());
    }
    let now = link.client.gateway_time().unwrap_or_default();
    let titles = fleet
        .controllers()
        .map(|it| it.title.as_str().chars().count());
    let width = titles.max().unwrap_or(0).clamp(4, 32);
    output::line(format!(
        "{:>10}  {:<width$}  {:<11}  {:>6}  POINTS",
        "No.", "NAME", "STATE", "SEEN"
    ))?;
    for controller in fleet.controllers() {
        let standing = words::Standing::of(controller);
        let seen = match controller.online {
            true => controller.status.as_ref().map(|status| status.heard_at),
            // 0: not seen since the gateway started, and nobody knows since when.
            false => Some(controller.since).filter(|since| since.0 > 0),
        };
        let seen = seen.map_or_else(String::new, |then| words::span(words::since(then, now)));
        let points: Vec<String> = controller.points().iter().map(point_summary).collect();
        output::line(
            format!(
                "{:>10}  {:<width$.width$}  {} {:<9}  {:>6}  {}",
                controller.address.0,
                controller.title,
                standing.sign(),
                standing.word(),
                seen,
                points.join("  ")
            )
            .trim_end(),
        )?;
    }
    Ok(())
}

fn point_summary(point: &Point) -> String {
    format!(
        "{} {}",
        point.name,
        words::value(point.point_type, point.value)
    )
}

async fn watch(
    link: &Link,
    address: Address,
    count: Option<u64>,
    json: bool,
) -> Result<(), Failure> {
    let mut events = link.client.events();
    let fleet = link.controller(address).await?;
    let mut shown = fleet.revision();
    let mut left = count;
    let mut names = Names::new(link);
    if let Some(controller) = fleet.controller(address) {
        watch_controller(&mut names, controller, json).await?;
    }
    while left != Some(0) {
        match events.next().await.ok_or(Error::Closed)? {
            Event::Fleet { revision, changes } if revision > shown => {
                shown = revision;
                for change in changes.iter() {
                    if left == Some(0) {
                        break;
                    }
                    if watch_change(&mut names, address, change, json).await? {
                        left = left.map(|left| left - 1);
                    }
                }
            }
            Event::Link(state @ LinkState::Waiting { .. }) => tell_of_the_link(&state),
            Event::Link(LinkState::Closed { why }) => return Err(Error::Shared(why).into()),
            Event::Missed => {
                let fleet = link.client.fleet();
                shown = fleet.revision();
                if let Some(controller) = fleet.controller(address) {
                    watch_controller(&mut names, controller, json).await?;
                }
            }
            Event::Happened { from, event } if from == address => {
                output::happened(from, &event, json)?;
            }
            Event::Fleet { .. } | Event::Link(_) | Event::Note { .. } | Event::Happened { .. } => {}
        }
    }
    Ok(())
}

/// Says that the gateway is gone, to whoever watches or waits for a receipt.
fn tell_of_the_link(state: &LinkState) {
    if let LinkState::Waiting { retry_at, why } = state {
        let wait = retry_at.saturating_duration_since(tokio::time::Instant::now());
        let wait = wait.as_secs() + 1;
        output::aside(format!("{why}; retrying in {wait} s"));
    }
}

/// For whom tools act, as the gateway says; each is asked for once.
pub(crate) struct Names<'a> {
    client: &'a Client,
    known: HashMap<Address, String>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(link: &'a Link) -> Self {
        Names {
            client: &link.client,
            known: HashMap::new(),
        }
    }

    /// A point's cause in words. A tool that is gone, or slow to answer, goes by its number.
    pub(crate) async fn cause(&mut self, cause: &Cause) -> String {
        let number = |address: Address| format!("No. {address}");
        let Some(by) = cause.by.filter(|by| by.is_tool()) else {
            return words::cause(cause, number);
        };
        if !self.known.contains_key(&by) && self.known.len() < NAMES_MAX {
            let asked = tokio::time::timeout(NAME_TIMEOUT, self.client.lookup(by)).await;
            let name = match asked {
                Ok(Ok((.., title))) => title.to_string(),
                _ => number(by),
            };
            self.known.insert(by, name);
        }
        let name = self.known.get(&by).cloned();
        words::cause(cause, |by| name.unwrap_or_else(|| number(by)))
    }
}

async fn watch_controller(
    names: &mut Names<'_>,
    controller: &Controller,
    json: bool,
) -> Result<(), Failure> {
    if json {
        let mut value = output::controller(controller);
        value["event"] = "controller".into();
        return Ok(output::line(value)?);
    }
    let standing = words::Standing::of(controller);
    let since = match standing {
        words::Standing::Unseen => format!("{} since the gateway started", standing.word()),
        _ => format!(
            "{}, since {}",
            standing.word(),
            words::moment(controller.since)
        ),
    };
    output::line(format!(
        "No. {}  {}  {} {since}",
        controller.address,
        controller.title,
        standing.sign(),
    ))?;
    for point in controller.points() {
        let value = words::value(point.point_type, point.value);
        let qualities = words::qualities(point.flags).join(" ");
        let cause = names.cause(&point.cause).await;
        let line = format!(
            "          {:<12} {value:>10}  {qualities:<14}  {cause}",
            point.name
        );
        output::line(line.trim_end())?;
    }
    Ok(())
}

/// Prints a change of the watched controller; whether there was one to print.
async fn watch_change(
    names: &mut Names<'_>,
    address: Address,
    change: &FleetChange,
    json: bool,
) -> Result<bool, Failure> {
    match change {
        FleetChange::Controller(controller) if controller.address == address => {
            watch_controller(names, controller, json).await?;
        }
        FleetChange::Points {
            address: whose,
            head,
            heard_at,
            changes,
        } if *whose == address => {
            let fleet = names.client.fleet();
            let points = fleet.controller(address).map_or(&[][..], |it| it.points());
            let named = changes.iter().filter_map(|change| {
                let point = points.iter().find(|point| point.index == change.index)?;
                Some((point, change))
            });
            if json {
                let points: Vec<_> = named
                    .map(|(point, change)| output::change(point.name.as_str(), change))
                    .collect();
                output::line(serde_json::json!({
                    "event": "points",
                    "address": address.0,
                    "boot": head.boot,
                    "sequence": head.sequence,
                    "at": heard_at.0,
                    "points": points,
                }))?;
            } else {
                for (point, change) in named {
                    let value = words::value(point.point_type, change.value);
                    let qualities = words::qualities(change.flags).join(" ");
                    let cause = names.cause(&change.cause).await;
                    let at = words::clock(*heard_at);
                    output::line(
                        format!(
                            "{at}  {:<12} {value:>10}  {qualities:<14}  {cause}",
                            point.name
                        )
                        .trim_end(),
                    )?;
                }
            }
        }
        FleetChange::Gone(whose) if *whose == address => {
            return Err(Failure::new(
                Exit::UnknownAddress,
                format!("No. {address} is not to be seen any more"),
            ));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(crate) async fn send(link: &Link, order: Order, json: bool) -> Result<(), Failure> {
    let start = Instant::now();
    let mut events = link.client.events();
    let mut receipts = link.client.send(order).await?;
    loop {
        let receipt = tokio::select! {
            biased;
            receipt = receipts.next() => receipt,
            event = events.next() => {
                if let Some(Event::Link(state)) = event {
                    tell_of_the_link(&state);
                }
                continue;
            }
        };
        let Some(receipt) = receipt else {
            return Err(Error::Closed.into());
        };
        let elapsed_ms = start.elapsed().as_millis() as u64;
        if json {
            output::line(output::receipt(&receipt, elapsed_ms))?;
        } else {
            let at = receipt
                .at
                .map_or_else(|| "--:--:--".to_owned(), words::clock);
            let why = receipt
                .reason
                .map(|code| format!("  {}", switchyard_client::explain(code)));
            let why = why.unwrap_or_default();
            let stage = receipt.stage.name();
            output::line(format!("{at}  {stage:<10} {elapsed_ms:>6} ms{why}"))?;
        }
        if receipt.is_final {
            return match exit_of_receipt(&receipt) {
                None => Ok(()),
                Some(exit) => Err(failed_receipt(&receipt, exit)),
            };
        }
    }
}

async fn describe(link: &Link, address: Address, json: bool) -> Result<(), Failure> {
    let described = link.client.describe(address).await;
    let (behaviour, commands) = described.map_err(|error| Failure::about(error, address))?;
    if json {
        let commands: Vec<&str> = commands.iter().map(Text::as_str).collect();
        output::line(serde_json::json!({
            "address": address.0,
            "behaviour": behaviour.as_str(),
            "commands": commands,
        }))?;
        return Ok(());
    }
    output::line(format!("No. {address}  {behaviour}"))?;
    for command in &commands {
        output::line(format!("  {command}"))?;
    }
    if commands.is_empty() {
        output::line("  takes no commands")?;
    }
    Ok(())
}

async fn ping(link: &Link, address: Address, json: bool) -> Result<(), Failure> {
    let start = Instant::now();
    let answer = link.client.identify(address).await;
    let elapsed = start.elapsed();
    let (title, software, kind) = answer.map_err(|error| Failure::about(error, address))?;
    let milliseconds = elapsed.as_micros() as f64 / 1000.0;
    if json {
        output::line(serde_json::json!({
            "address": address.0,
            "title": title.as_str(),
            "software": software.as_str(),
            "kind": kind.name(),
            "round_trip_ms": milliseconds,
        }))?;
    } else {
        let kind = kind.name();
        let line = format!("No. {address}  {title}  {kind}, {software}  {milliseconds:.1} ms");
        output::line(line)?;
    }
    Ok(())
}

async fn note(link: &Link, address: Address, text: Text) -> Result<(), Failure> {
    let about = |error| Failure::about(error, address);
    // Nothing answers a note; so ask first whether anybody is there to read it.
    link.client.identify(address).await.map_err(about)?;
    link.client.note(address, text).await.map_err(about)?;
    // The farewell comes after the note: once it is through, so is the note.
    link.client.clone().close().await;
    output::line(format!("sent to No. {address}"))?;
    Ok(())
}

async fn enrol(link: &Link, title: Title, site: Option<SiteId>, json: bool) -> Result<(), Failure> {
    let (controller, key) = link.client.enrol(title.clone(), site).await?;
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    if json {
        output::line(serde_json::json!({
            "address": controller.0,
            "title": title.as_str(),
            "key": key,
        }))?;
    } else {
        output::line(format!("No. {controller}  {title}"))?;
        output::line(format!("key  {key}"))?;
        output::aside("the key is shown this once: give it to the controller now");
    }
    Ok(())
}
