//! Events and alarms of controllers through a whole gateway: once, also across its restart and a
//! store that fails.

use crate::support::{Controller, Gateway, Tool};
use std::sync::Arc;
use switchyard_gateway::{
    Stores,
    store::{Fault, Faults, Guarded},
};
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{AlarmLevel, Answer, Body, Event, Text, Verb},
};

fn alarm(number: u32) -> Event {
    Event::Alarm {
        number,
        time: None,
        level: AlarmLevel::High,
        text: Text::new("level too high").unwrap(),
        raised: true,
        alarm: 2,
    }
}

/// Sends an alarm and waits for what the gateway says.
async fn raise(controller: &mut Controller, correlation: u32, number: u32) -> Answer {
    let (from, payload) = (controller.address, alarm(number).encode());
    let frame = Frame::new(Kind::Event, correlation, from, Address::GATEWAY, &payload);
    controller.send(&[frame]).await;
    let answer = controller.receive_kind(Kind::Response).await;
    assert_eq!(answer.header().correlation, correlation);
    Answer::decode(answer.payload()).unwrap()
}

fn taken(last: u32) -> Answer {
    let verb = Verb::Alarm;
    Answer::Ok(Body::Taken { verb, last })
}

/// The numbers of the alarms that a tool was told of, up to this moment.
async fn alarms(tool: &mut Tool) -> Vec<u32> {
    let told = tool.subscribe().await;
    let events = told.iter().filter(|it| it.header().kind == Kind::Event);
    events
        .filter_map(|frame| match Event::decode(frame.payload()) {
            Ok(Event::Alarm { number, .. }) => Some(number),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn an_alarm_comes_once_also_across_a_restart() {
    let gateway = Gateway::start().await;
    let who = gateway.enrol("Pump").await;
    let mut tool = gateway.tool("viewer").await;
    tool.subscribe().await;
    let mut pump = Controller::online(&gateway, who).await;
    assert_eq!(raise(&mut pump, 5, 1).await, taken(1));
    assert_eq!(raise(&mut pump, 6, 2).await, taken(2));
    assert_eq!(raise(&mut pump, 7, 2).await, taken(2), "asked again");
    assert_eq!(alarms(&mut tool).await, [1, 2]);
    assert_eq!(gateway.metric("events_taken_total").await, 2);
    assert_eq!(gateway.metric("events_repeated_total").await, 1);

    let gateway = gateway.restart().await;
    let mut tool = gateway.tool("viewer").await;
    tool.subscribe().await;
    let mut pump = Controller::online(&gateway, who).await;
    assert_eq!(
        raise(&mut pump, 5, 2).await,
        taken(2),
        "the answer was lost"
    );
    assert_eq!(raise(&mut pump, 6, 3).await, taken(3));
    assert_eq!(alarms(&mut tool).await, [3]);
    gateway.stop().await;
}

#[tokio::test]
async fn an_alarm_does_not_wait_for_the_store_and_its_answer_does() {
    let faults = Arc::new(Faults::default());
    let guard = Arc::clone(&faults);
    let gateway = Gateway::start_on_stores(
        |_| {},
        |_, stores| Stores {
            config: Arc::new(Guarded::new(stores.config, guard)),
            ..stores
        },
    )
    .await;
    let who = gateway.enrol("Pump").await;
    let mut tool = gateway.tool("viewer").await;
    tool.subscribe().await;
    let mut pump = Controller::online(&gateway, who).await;
    faults.set(Some(Fault::Fail));
    let unavailable = Answer::refused(Code::StoreUnavailable, Verb::Alarm.number());
    assert_eq!(raise(&mut pump, 5, 1).await, unavailable);
    assert_eq!(alarms(&mut tool).await, [1]);
    assert_eq!(raise(&mut pump, 6, 1).await, unavailable);
    faults.set(None);
    assert_eq!(raise(&mut pump, 7, 1).await, taken(1));
    assert!(alarms(&mut tool).await.is_empty(), "it had come already");
    gateway.stop().await;
}

#[tokio::test]
async fn many_controllers_at_once_are_all_answered() {
    let gateway = Gateway::start().await;
    let mut pumps = Vec::new();
    for number in 0..20 {
        let who = gateway.enrol(&format!("Pump {number}")).await;
        pumps.push(Controller::online(&gateway, who).await);
    }
    for pump in &mut pumps {
        let payload = alarm(1).encode();
        let frame = Frame::new(Kind::Event, 5, pump.address, Address::GATEWAY, &payload);
        pump.send(&[frame]).await;
    }
    for pump in &mut pumps {
        let answer = pump.receive_kind(Kind::Response).await;
        assert_eq!(Answer::decode(answer.payload()).unwrap(), taken(1));
    }
    let kept = gateway.stores.config.event_numbers().await.unwrap();
    assert_eq!(kept.len(), pumps.len());
    gateway.stop().await;
}
