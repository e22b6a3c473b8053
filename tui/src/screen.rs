//! The screen: the terminal, the loop, and what the pure parts ask of the world. `update` decides,
//! `view` draws; neither does I/O.

mod alarms;
mod app;
mod bench;
mod keymap;
mod terminal;
mod theme;
mod update;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use terminal::password;

use crate::{cli::Bell, exit::Failure, output};
use app::{Action, App, Event, Link};
use bench::Workbench;
use crossterm::event::{Event as TerminalEvent, EventStream};
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;
use switchyard_client::{
    Client, Error, Event as Happening, GatewayUrl, LinkState, Order, Token, alarms::Alarms,
    signature::Signature,
};
use switchyard_flasher::Gateway;
use switchyard_protocol::{Address, message::Name};
use terminal::Terminal;
use theme::Theme;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Frames are drawn this far apart at least: faster is not seen, and costs a slow line.
const FRAME_INTERVAL: Duration = Duration::from_millis(40);
/// Ages of values are told in seconds.
const TICK: Duration = Duration::from_secs(1);
/// How long a command from the screen is good for: whoever pressed the key is watching.
const COMMAND_EXPIRY: Duration = Duration::from_secs(10);
/// Answers that wait for the loop; their tasks wait for room.
const ANSWERS_MAX: usize = 64;
/// Events taken in one go before the next frame.
const EVENTS_PER_FRAME: usize = 256;

/// Runs until the person quits or the process is told to end.
pub(crate) async fn run(
    client: Client,
    url: GatewayUrl,
    token: Token,
    bell: Bell,
) -> Result<(), Failure> {
    let mut happenings = client.events();
    let mut app = App::new(url.authority(), Theme::from_environment());
    app.hear(Event::Link(link_of(client.link_state())));
    let (answers, mut answered) = mpsc::channel(ANSWERS_MAX);
    let desk = Alarms::new(url.clone(), token.clone());
    let watching = tokio::spawn(alarms::watch(desk.clone(), answers.clone()));
    let registry = {
        let client = client.clone();
        let runtime = tokio::runtime::Handle::current();
        move || {
            let log_in = (url.clone(), token.clone());
            Gateway::new(client.clone(), log_in, None, runtime.clone())
        }
    };
    let mut workbench = Workbench::new(registry, answers.clone());
    let mut terminal = Terminal::open()?;
    let mut keys = EventStream::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut drawn_at: Option<Instant> = None;
    let mut is_changed = true;
    let mut tick_at = Instant::now();
    loop {
        let now = Instant::now();
        let next_frame = drawn_at.map_or(now, |drawn| drawn + FRAME_INTERVAL);
        if is_changed && next_frame <= now {
            terminal.draw(|frame| view::draw(frame, &app))?;
            drawn_at = Some(now);
            is_changed = false;
        }
        let frame_due = async {
            match is_changed {
                true => sleep_until(next_frame).await,
                false => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            () = frame_due => continue,
            key = keys.next() => match key {
                Some(Ok(TerminalEvent::Key(key))) => Event::Key(key),
                Some(Ok(_)) => Event::Resize,
                // The terminal is gone, and so is whoever looked at it.
                Some(Err(_)) | None => break,
            },
            happening = happenings.next() => match happening {
                Some(happening) => {
                    let mut event = heard(&client, happening);
                    // A storm of deltas becomes one look at the fleet.
                    for _ in 0..EVENTS_PER_FRAME {
                        if !matches!(event, Event::Fleet { .. }) {
                            break;
                        }
                        let Some(next) = happenings.next().now_or_never().flatten() else {
                            break;
                        };
                        app.hear(event);
                        event = heard(&client, next);
                    }
                    event
                }
                None => break,
            },
            Some(answer) = answered.recv() => answer,
            () = sleep_until(tick_at) => {
                tick_at = Instant::now() + TICK;
                Event::Tick { now: client.gateway_time() }
            }
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hang_up.recv() => break,
        };
        is_changed = true;
        let action = update::update(&mut app, event);
        for address in app.take_nameless() {
            tokio::spawn(name(client.clone(), address, answers.clone()));
        }
        if app.alarms.take_bell() && bell == Bell::On {
            terminal.ring()?;
        }
        match action {
            Action::Nothing => {}
            Action::Quit => break,
            Action::Send {
                address,
                name,
                action,
            } => {
                let order = Order::new(address, action, COMMAND_EXPIRY);
                tokio::spawn(follow(client.clone(), order, name, answers.clone()));
            }
            Action::Describe(address) => {
                tokio::spawn(describe(client.clone(), address, answers.clone()));
            }
            Action::Bench(wish) => workbench.fulfil(wish),
            Action::Alarms(wish) => {
                tokio::spawn(alarms::fulfil(desk.clone(), wish, answers.clone()));
            }
        }
    }
    drop(terminal);
    watching.abort();
    // Nobody takes them any more, and the work on a board must not wait for that.
    drop(answered);
    if workbench.is_working() {
        output::aside(
            "stopping the work on the board; what is begun is taken back. Ctrl-C ends it at once",
        );
        workbench.clear().await;
    }
    let why = match client.link_state() {
        LinkState::Closed { why } => Some(why),
        _ => None,
    };
    client.close().await;
    match why {
        Some(why) if !matches!(*why, Error::Closed) => Err(Error::Shared(why).into()),
        _ => Ok(()),
    }
}

fn heard(client: &Client, happening: Happening) -> Event {
    match happening {
        Happening::Link(state) => Event::Link(link_of(state)),
        Happening::Fleet { changes, .. } => Event::Fleet {
            fleet: client.fleet(),
            changes,
            now: client.gateway_time().unwrap_or_default(),
        },
        Happening::Note { from, text } => Event::Note {
            from,
            text,
            at: client.gateway_time().unwrap_or_default(),
        },
        // The screen shows no events yet; a look at the fleet in their stead costs little.
        Happening::Missed | Happening::Happened { .. } => Event::Fleet {
            fleet: client.fleet(),
            changes: [].into(),
            now: client.gateway_time().unwrap_or_default(),
        },
    }
}

fn link_of(state: LinkState) -> Link {
    match state {
        LinkState::Connecting => Link::Dialling,
        LinkState::Live(session) => Link::Live(session),
        LinkState::Waiting { retry_at, why } => Link::Waiting {
            seconds: retry_at
                .saturating_duration_since(Instant::now())
                .as_secs_f64()
                .ceil() as u64,
            why: why.code().to_owned(),
        },
        LinkState::Closed { why } => Link::Closed {
            why: Failure::from(Error::Shared(why))
                .message()
                .unwrap_or("closed")
                .to_owned(),
        },
    }
}

/// Sends a command and passes its receipts to the loop.
async fn follow(client: Client, order: Order, name: Name, answers: mpsc::Sender<Event>) {
    let address = order.address;
    let key = order.key;
    match client.send(order).await {
        Err(error) => {
            let why = error.to_string();
            let _ = answers
                .send(Event::NotSent {
                    address,
                    name,
                    key,
                    why,
                })
                .await;
        }
        Ok(mut receipts) => {
            let sent = Event::Sent {
                address,
                name: name.clone(),
                key,
            };
            let _ = answers.send(sent).await;
            while let Some(receipt) = receipts.next().await {
                let name = name.clone();
                let event = Event::Receipt {
                    address,
                    name,
                    receipt,
                };
                if answers.send(event).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Asks the gateway for whom a tool acts, or acted. What the tool calls itself is no evidence.
async fn name(client: Client, address: Address, answers: mpsc::Sender<Event>) {
    let holder = client.lookup(address).await;
    let title = holder.ok().map(|(.., title)| title);
    let _ = answers.send(Event::Named { address, title }).await;
}

async fn describe(client: Client, address: Address, answers: mpsc::Sender<Event>) {
    let described = match client.describe(address).await {
        Ok((behaviour, commands)) => {
            let commands = commands
                .iter()
                .filter_map(|text| Signature::parse(text.as_str()));
            Ok((behaviour, commands.collect()))
        }
        Err(error) => Err(error.to_string()),
    };
    let _ = answers.send(Event::Described { address, described }).await;
}
