//! Commands that came from the broker: turned away, or given to the yard, and their receipts told.

use super::{
    Shared,
    command::{self, Heard, Mark, Refusal},
    topics::Aim,
};
use crate::{
    clock, hex,
    inside::{Peer, Receipts},
    telemetry::count,
    throttle::Throttle,
};
use rumqttc::Publish;
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code,
    message::{Command, Key, Receipt, Stage},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Commands under way: each has a task that waits for its receipts.
const OPEN_MAX: usize = 64;
/// Commands in a minute: twenty a second is a program gone wild, and each is written to the journal.
const PER_MINUTE_MAX: u32 = 1_200;
/// Lines a minute in the log about commands that were turned away.
const COMPLAINTS_PER_MINUTE_MAX: u32 = 10;

/// The commands under way, by their keys, and for whom.
type Open = Arc<Mutex<HashMap<Key, (Address, Command)>>>;

/// See the module.
pub(super) struct Orders {
    shared: Arc<Shared>,
    /// Commands in the order in which they came: they go to the yard in just that.
    queue: mpsc::Sender<(Order, Peer, Command)>,
    heard: Heard,
    open: Open,
    rate: Throttle<()>,
    complaints: Throttle<()>,
}

impl Orders {
    /// None yet.
    pub(super) fn new(shared: Arc<Shared>, tasks: TaskTracker) -> Self {
        let (queue, orders) = mpsc::channel(OPEN_MAX);
        let receipts = tasks.clone();
        tasks.spawn(give_in_order(orders, receipts));
        Orders {
            shared,
            queue,
            heard: Heard::default(),
            open: Open::default(),
            rate: Throttle::new(PER_MINUTE_MAX),
            complaints: Throttle::new(COMPLAINTS_PER_MINUTE_MAX),
        }
    }

    /// Takes a message on a command's topic, that is no older than `age`.
    pub(super) fn take(&mut self, aim: &Aim, publish: &Publish, age: Duration) {
        // By an empty message people clear a retained one, and mean no command.
        if publish.payload.is_empty() {
            return;
        }
        if let Err(refusal) = self.judge(aim, publish, age) {
            let key = command::own_key(&publish.payload);
            self.refuse(aim.controller, &aim.label(), key, &refusal);
        }
    }

    /// Takes a message on a topic that is nearly a command's.
    pub(super) fn take_nonsense(&mut self, controller: Address, publish: &Publish) {
        if publish.payload.is_empty() || !self.knows(controller) {
            return;
        }
        let wanted = "expected command/set/POINT, command/call/COMMAND or command/adjust/PARAMETER";
        // What they wrote may be as long as a topic can be, and is no name.
        let key = command::own_key(&publish.payload);
        self.refuse(controller, "", key, &Refusal::new(Code::BadField, wanted));
    }

    fn knows(&self, controller: Address) -> bool {
        self.shared.state().fleet.controller(controller).is_some()
    }

    fn judge(&mut self, aim: &Aim, publish: &Publish, age: Duration) -> Result<(), Refusal> {
        if !self.rate.pass((), std::time::Instant::now()) {
            return Err(Code::RateLimited.into());
        }
        if publish.retain {
            // The broker would deliver it at each connection, for ever.
            let words =
                "a retained command is of unknown age, and would be executed again and again";
            return Err(Refusal::new(Code::Expired, words));
        }
        let (point_type, peer) = {
            let state = self.shared.state();
            let controller = state.fleet.controller(aim.controller);
            let controller = controller.ok_or(Code::UnknownAddress)?;
            let point = controller.point(&aim.name);
            (point.map(|point| point.point_type), state.peer.clone())
        };
        let mark = Mark::of(publish.pkid, &publish.topic, &publish.payload);
        let command = match (publish.dup, self.heard.find(mark)) {
            (true, Some(command)) => {
                count(&self.shared.counters.commands_repeated);
                command.clone()
            }
            (true, None) => {
                let words =
                    "delivered once more, and nothing is known of the first time; send it anew";
                return Err(Refusal::new(Code::Expired, words));
            }
            (false, _) => {
                let command =
                    command::read(aim, point_type, &publish.payload, (clock::time(), age))?;
                self.heard.note(mark, &command);
                command
            }
        };
        // Without one the yard is about to be there again, or to go.
        let peer = peer.ok_or(Code::Busy)?;
        self.give(aim, peer, command)
    }

    fn give(&self, aim: &Aim, peer: Peer, command: Command) -> Result<(), Refusal> {
        let mut open = lock(&self.open);
        match open.get(&command.key) {
            // Its receipts are being waited for as it is.
            Some((controller, known)) if *controller == aim.controller && *known == command => {
                return Ok(());
            }
            Some(_) => return Err(Refusal::new(Code::BadField, "another command has this key")),
            None if open.len() >= OPEN_MAX => return Err(Code::Busy.into()),
            None => open.insert(command.key, (aim.controller, command.clone())),
        };
        drop(open);
        let order = Order {
            shared: Arc::clone(&self.shared),
            open: Arc::clone(&self.open),
            controller: aim.controller,
            label: aim.label(),
            key: command.key,
        };
        // There is room for all that are open; without anybody who takes them the gateway is ending.
        if let Err(unsent) = self.queue.try_send((order, peer, command)) {
            let (order, ..) = unsent.into_inner();
            lock(&self.open).remove(&order.key);
            return Err(Code::ShuttingDown.into());
        }
        count(&self.shared.counters.commands_given);
        Ok(())
    }

    /// Turns a message away; `key` is the one that its publisher knows it by, if any.
    fn refuse(&self, controller: Address, label: &str, key: Option<Key>, refusal: &Refusal) {
        count(&self.shared.counters.commands_refused);
        if self.complaints.pass((), std::time::Instant::now()) {
            let (reason, detail) = (refusal.code.name(), refusal.detail.as_deref());
            tracing::info!(%controller, reason, detail, "a command from the MQTT broker was turned away");
        }
        // Of what there is not, or not for the broker, nothing is told on any topic of it.
        if self.knows(controller) {
            let receipt = ended(label, key, Stage::Refused, refusal);
            self.shared.post(controller, "receipt", &receipt);
        }
    }
}

fn lock(open: &Open) -> MutexGuard<'_, HashMap<Key, (Address, Command)>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command under way.
struct Order {
    shared: Arc<Shared>,
    open: Open,
    controller: Address,
    label: String,
    key: Key,
}

/// Gives commands to the yard in the order in which they came, each as soon as the one before is there: one
/// that overtakes another could leave on what was switched off last.
async fn give_in_order(mut orders: mpsc::Receiver<(Order, Peer, Command)>, tasks: TaskTracker) {
    while let Some((order, peer, command)) = orders.recv().await {
        match peer.command(order.controller, command).await {
            Ok(receipts) => drop(tasks.spawn(order.follow(peer, receipts))),
            // It has not gone anywhere.
            Err(refusal) => order.end(Some((Stage::Refused, refusal))),
        }
    }
}

impl Order {
    /// Tells the command's receipts until the last one.
    async fn follow(self, peer: Peer, mut receipts: Receipts) {
        let ending = loop {
            match receipts.next().await {
                Ok(receipt) => {
                    let is_final = receipt.is_final;
                    self.tell(&told(&self.label, receipts.key(), &receipt));
                    if is_final {
                        break None;
                    }
                }
                // The yard may have it: whoever takes this for a refusal and tries again switches twice.
                Err(refusal) if peer.has_ended() => break Some((Stage::Unknown, refusal)),
                Err(refusal) => break Some((Stage::Refused, refusal)),
            }
        };
        self.end(ending);
    }

    fn end(self, ending: Option<(Stage, crate::inside::Refusal)>) {
        if let Some((stage, crate::inside::Refusal { code, detail })) = ending {
            let refusal = Refusal { code, detail };
            self.tell(&ended(&self.label, Some(self.key), stage, &refusal));
        }
        lock(&self.open).remove(&self.key);
    }

    fn tell(&self, receipt: &Value) {
        self.shared.post(self.controller, "receipt", receipt);
    }
}

/// A receipt as the broker is told it.
fn told(label: &str, key: Key, receipt: &Receipt) -> Value {
    let detail = receipt.detail.as_ref().map(|it| it.as_str().to_owned());
    let mut told = fields(label, Some(key), receipt.stage, receipt.is_final);
    told.extend(receipt.at.map(|at| ("at".to_owned(), at.0.into())));
    told.extend(
        receipt
            .reason
            .map(|it| ("reason".to_owned(), it.name().into())),
    );
    told.extend(detail.map(|it| ("detail".to_owned(), it.into())));
    Value::Object(told)
}

/// The last receipt of a command that came to nothing, or of which nothing more is known.
fn ended(label: &str, key: Option<Key>, stage: Stage, refusal: &Refusal) -> Value {
    let detail = refusal.detail.clone();
    let mut told = fields(label, key, stage, true);
    told.insert("at".into(), clock::time().0.into());
    told.insert("reason".into(), refusal.code.name().into());
    told.extend(detail.map(|it| ("detail".to_owned(), it.into())));
    Value::Object(told)
}

fn fields(label: &str, key: Option<Key>, stage: Stage, is_final: bool) -> Map<String, Value> {
    let told = json!({ "command": label, "stage": stage.name(), "final": is_final });
    let mut told = match told {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    told.extend(key.map(|key| ("key".to_owned(), hex::encode(&key.0).into())));
    told
}
