//! Another client of a broker, by rumqttc's own event loop: what the gateway tells there is heard, and what others would
//! say is said.

use super::soon;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, Publish, QoS};
use serde_json::Value;
use std::time::Duration;
use tokio::{sync::mpsc, task::JoinHandle};

/// Hears everything. Dropping it ends it.
pub(crate) struct Ear {
    client: AsyncClient,
    messages: mpsc::UnboundedReceiver<Publish>,
    heard: Vec<Publish>,
    polling: JoinHandle<()>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.polling.abort();
    }
}

impl Ear {
    /// Connects, and is subscribed to everything when this returns.
    pub(crate) async fn at(tcp_port: u16) -> Self {
        Self::with(tcp_port, |_| {}).await
    }

    /// The same, and the broker keeps what comes while it is away.
    pub(crate) async fn lasting(tcp_port: u16) -> Self {
        Self::with(tcp_port, |options| _ = options.set_clean_session(false)).await
    }

    /// The same otherwise.
    pub(crate) async fn with(tcp_port: u16, adjust: impl FnOnce(&mut MqttOptions)) -> Self {
        let id = format!("ear{:08x}", rand::random::<u32>());
        let mut options = MqttOptions::new(id, "127.0.0.1", tcp_port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        adjust(&mut options);
        let (client, mut events) = AsyncClient::new(options, 64);
        let (sender, messages) = mpsc::unbounded_channel();
        let (subscribed, is_subscribed) = mpsc::unbounded_channel();
        let own = client.clone();
        let polling = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        let _ = own.try_subscribe("#", QoS::AtLeastOnce);
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => _ = subscribed.send(()),
                    Ok(Event::Incoming(Packet::Publish(publish))) => _ = sender.send(publish),
                    Ok(_) => {}
                    // The broker is away, or comes back.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        let mut is_subscribed = is_subscribed;
        soon("a subscription", is_subscribed.recv()).await;
        Ear {
            client,
            messages,
            heard: Vec::new(),
            polling,
        }
    }

    /// Says something with QoS 1.
    pub(crate) async fn say(&self, topic: &str, retain: bool, payload: &str) {
        let said = self
            .client
            .publish(topic, QoS::AtLeastOnce, retain, payload);
        said.await.unwrap();
    }

    /// The next message of a topic for which `pick` gives something. Those that came before are looked at first, and
    /// of the topic everything up to it is forgotten.
    pub(crate) async fn hear<T>(
        &mut self,
        topic: &str,
        mut pick: impl FnMut(&Publish) -> Option<T>,
    ) -> T {
        let mut at = 0;
        loop {
            while at == self.heard.len() {
                let message = soon(topic, self.messages.recv()).await;
                self.heard.push(message.expect("the ear to live"));
            }
            let message = &self.heard[at];
            if message.topic == topic {
                let message = self.heard.remove(at);
                if let Some(found) = pick(&message) {
                    return found;
                }
            } else {
                at += 1;
            }
        }
    }

    /// Waits for a text on a topic.
    pub(crate) async fn hear_text(&mut self, topic: &str, text: &str) {
        self.hear(topic, |it| (it.payload == text).then_some(()))
            .await;
    }

    /// Waits for an object on a topic that `pick` takes.
    pub(crate) async fn hear_json(
        &mut self,
        topic: &str,
        mut pick: impl FnMut(&Value) -> bool,
    ) -> Value {
        self.hear(topic, |it| {
            let value: Value = serde_json::from_slice(&it.payload).ok()?;
            pick(&value).then_some(value)
        })
        .await
    }

    /// Forgets what has come so far.
    pub(crate) fn forget(&mut self) {
        self.heard.clear();
        while self.messages.try_recv().is_ok() {}
    }

    /// How many messages of a topic have come and were not heard yet.
    pub(crate) fn count(&mut self, topic: &str) -> usize {
        while let Ok(message) = self.messages.try_recv() {
            self.heard.push(message);
        }
        self.heard.iter().filter(|it| it.topic == topic).count()
    }
}
