//! What controllers tell becomes history, and the program tells it.

use crate::{
    process,
    support::{Controller, Gateway, now, until},
};
use switchyard_gateway::history::{self, Chart, Question};
use switchyard_protocol::{
    Address,
    message::{Name, Time},
};

async fn chart(gateway: &switchyard_gateway::Stores, controller: Address) -> Option<Chart> {
    let question = Question {
        controller,
        point: Name::new("RL1").unwrap(),
        from: Time(now().0 - 10 * 60_000),
        to: now(),
        buckets_max: 1,
    };
    let told = history::chart(&*gateway.config, &question).await;
    told.unwrap()
}

#[tokio::test]
async fn what_a_controller_tells_is_kept_and_told() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("pump house").await;
    let mut controller = Controller::online(&gateway, who).await;
    let frames = [
        controller.delta(1),
        controller.delta(0),
        controller.delta(1),
    ];
    controller.send(&frames).await;
    controller.is_live().await;
    let (stores, data) = (gateway.stores.clone(), gateway.settings.data.clone());
    // What there is of a minute is stored at the end, and what comes after is another part of it.
    let gateway = gateway.restart().await;
    let first = chart(&stores, who.address).await.unwrap().buckets[0].summary;
    assert_eq!(
        (first.min, first.max, first.last, first.samples),
        (0, 1, 1, 4)
    );
    // The program tells it while the gateway runs.
    let folder = data.as_path();
    let address = who.address.to_string();
    let (ok, told, complaint) = process::run(folder, &["history", &address], "").await;
    assert!(ok && told.starts_with("RL1 "), "{told}{complaint}");
    let words = [
        "history",
        &address,
        "RL1",
        "--json",
        "--from",
        "10min",
        "--buckets",
        "1",
    ];
    let (ok, told, complaint) = process::run(folder, &words, "").await;
    assert!(ok, "{complaint}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let bucket = &told["buckets"][0];
    assert_eq!(
        (&bucket["samples"], &bucket["last"]),
        (&4.into(), &1.into())
    );
    assert_eq!(told["type"], "digital_output");
    let words = ["history", &address, "RL1", "--csv", "--from", "10min"];
    let (ok, told, _) = process::run(folder, &words, "").await;
    assert!(
        ok && told.starts_with("from,min,mean,max,last,known_s,samples\n20"),
        "{told}"
    );
    let (ok, _, complaint) = process::run(folder, &["history", &address, "nothing"], "").await;
    assert!(
        !ok && complaint.contains("there is no history of nothing"),
        "{complaint}"
    );

    let mut controller = Controller::online(&gateway, who).await;
    let frames = [controller.delta(1), controller.delta(0)];
    controller.send(&frames).await;
    controller.is_live().await;
    until("the point to be recorded", async || {
        (gateway.metric("history_points").await == 1).then_some(())
    })
    .await;
    assert_eq!(gateway.metric("history_values_dropped_total").await, 0);
    gateway.stop().await;
    let both = chart(&stores, who.address).await.unwrap();
    let summary = both.buckets[0].summary;
    assert_eq!(
        (summary.min, summary.max, summary.last, summary.samples),
        (0, 1, 0, 7)
    );
    assert!(summary.held >= first.held && (0..=1_000).contains(&summary.mean));
}

#[tokio::test]
async fn what_is_not_chosen_is_not_kept() {
    let gateway = Gateway::start_with(|settings| {
        settings.history_points = "*/* -*/RL1".parse().unwrap();
    })
    .await;
    let who = gateway.enrol("pump house").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let stores = gateway.stores.clone();
    gateway.stop().await;
    assert_eq!(chart(&stores, who.address).await, None);
}
