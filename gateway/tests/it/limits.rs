//! What is too much is refused by name, and room that is given back can be used again.

use crate::support::{Controller, Gateway, Tool, request, tool_hello, until, web_socket};
use std::{sync::Arc, time::Duration};
use switchyard_gateway::{
    Stores,
    store::{Fault, Faults, Guard, Guarded, StoreFuture, TimeLimit},
};
use switchyard_protocol::{Address, Code, message::ErrorMessage};

#[tokio::test]
async fn connections_are_bounded_in_all() {
    let gateway = Gateway::start_with(|settings| settings.connections_max = 2).await;
    let (pump, lamp) = (gateway.enrol("Pump").await, gateway.enrol("Lamps").await);
    let mut first = Controller::online(&gateway, pump).await;
    let mut second = Controller::online(&gateway, lamp).await;
    second.is_live().await;
    let mut third = Controller::connect(gateway.tcp, lamp.address).await;
    let answer = third.clear_frame().await.unwrap();
    assert_eq!(
        ErrorMessage::decode(answer.payload()).unwrap().code,
        Code::Busy
    );
    drop((second, third));
    until("room", async || {
        let response = request(gateway.http, "GET", "/healthz", &[], "").await;
        (response.status == 200).then_some(())
    })
    .await;
    first.is_live().await;
    gateway.stop().await;
}

#[tokio::test]
async fn strangers_from_one_place_are_bounded() {
    let gateway = Gateway::start_with(|settings| settings.pending_per_ip_max = 2).await;
    let who = gateway.enrol("Pump").await;
    let first = Controller::connect(gateway.tcp, who.address).await;
    let second = Controller::connect(gateway.tcp, who.address).await;
    let mut third = Controller::connect(gateway.tcp, who.address).await;
    let answer = third.clear_frame().await.unwrap();
    assert_eq!(
        ErrorMessage::decode(answer.payload()).unwrap().code,
        Code::RateLimited
    );
    drop((first, second));
    // Whoever has proven itself is no stranger: four sessions live side by side.
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let who = gateway.enrol("Pump").await;
        let session = until("room", async || {
            let mut session = Controller::connect(gateway.tcp, who.address).await;
            session.handshake(who.key).await.ok()?;
            session.say_who().await;
            Some(session)
        })
        .await;
        sessions.push(session);
    }
    for session in &mut sessions {
        session.is_live().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn hellos_of_one_controller_are_bounded() {
    let gateway = Gateway::start_with(|settings| {
        settings.hellos_per_address_per_minute_max = 2;
    })
    .await;
    let (pump, lamp) = (gateway.enrol("Pump").await, gateway.enrol("Lamps").await);
    let mut last = Controller::online(&gateway, pump).await;
    last.is_live().await;
    let mut wrong = Controller::connect(gateway.tcp, pump.address).await;
    assert_eq!(wrong.handshake([9; 32]).await, Err(Code::HandshakeFailed));
    let mut third = Controller::connect(gateway.tcp, pump.address).await;
    assert_eq!(third.handshake(pump.key).await, Err(Code::RateLimited));
    gateway
        .counted("connections_refused_total", Code::RateLimited, 1)
        .await;
    last.is_live().await;
    Controller::online(&gateway, lamp).await.is_live().await;
    gateway.stop().await;
}

#[tokio::test]
async fn hellos_of_one_place_are_bounded() {
    let gateway = Gateway::start_with(|settings| settings.hellos_per_ip_per_minute_max = 1).await;
    let token = gateway.log_in("viewer").await;
    let _tool = Tool::enter(gateway.http, &token).await;
    let socket = web_socket(gateway.http, &[]).await.unwrap();
    let refused = Tool::say_hello(socket, tool_hello(Some(&token), None))
        .await
        .err();
    assert_eq!(refused, Some(Code::RateLimited));
    gateway.stop().await;
}

#[tokio::test]
async fn an_accounts_installations_are_bounded() {
    let gateway = Gateway::start_with(|settings| settings.installations_per_account_max = 1).await;
    let token = gateway.log_in("viewer").await;
    let enter = async |installation: u8| {
        let socket = web_socket(gateway.http, &[]).await.unwrap();
        let hello = tool_hello(Some(&token), Some([installation; 16]));
        Tool::say_hello(socket, hello).await.err()
    };
    assert_eq!(enter(1).await, None);
    assert_eq!(enter(1).await, None);
    assert_eq!(enter(2).await, Some(Code::Busy));
    gateway.stop().await;
}

/// A store with a fault that nobody foresaw.
struct Panics;

impl Guard for Panics {
    fn around<'a, T: Send + 'a>(
        &'a self,
        call: &'static str,
        future: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        assert_ne!(call, "write_command", "a planted panic");
        future
    }
}

#[tokio::test]
async fn a_panic_among_the_sessions_ends_the_program() {
    let gateway = Gateway::start_on_stores(
        |_| {},
        |_, stores| Stores {
            config: Arc::new(Guarded::new(Arc::clone(&stores.config), Panics)),
            ..stores
        },
    )
    .await;
    let who = gateway.enrol("Pump").await;
    let mut tool = gateway.tool("operator").await;
    tool.command(who.address, true).await;
    assert_eq!(gateway.failure().await, "the yard's thread panicked");
}

#[tokio::test]
async fn a_lost_store_stops_nobody_who_is_there() {
    let faults = Arc::new(Faults::default());
    let planted = Arc::clone(&faults);
    let gateway = Gateway::start_on_stores(
        |settings| {
            settings.store_timeout = Duration::from_secs(1);
        },
        move |settings, stores| {
            let limit = TimeLimit(settings.store_timeout);
            let faulty = Guarded::new(Arc::clone(&stores.config), planted);
            Stores {
                config: Arc::new(Guarded::new(faulty, limit)),
                ..stores
            }
        },
    )
    .await;
    let who = gateway.enrol("Pump").await;
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    let token = gateway.log_in("operator").await;
    let mut tool = Tool::enter(gateway.http, &token).await;
    for fault in [Fault::Fail, Fault::Hang] {
        faults.set(Some(fault));
        // Nobody new, and it is said why.
        let mut stranger = Controller::connect(gateway.tcp, Address(who.address.0 + 1)).await;
        assert_eq!(
            stranger.handshake(who.key).await,
            Err(Code::StoreUnavailable)
        );
        let socket = web_socket(gateway.http, &[]).await.unwrap();
        let refused = Tool::say_hello(socket, tool_hello(Some(&token), None))
            .await
            .err();
        assert_eq!(refused, Some(Code::StoreUnavailable));
        let body = r#"{"account":"viewer","password":"ten bytes or more"}"#;
        let response = request(gateway.http, "POST", "/api/login", &[], body).await;
        assert_eq!(
            (response.status, response.json()["code"].as_str()),
            (503, Some("store_unavailable"))
        );
        // Those who are there go on.
        tool.command(who.address, false).await;
        let command = controller
            .receive_kind(switchyard_protocol::Kind::Command)
            .await;
        let executed = controller.receipt(
            &command,
            switchyard_protocol::message::Stage::Executed,
            true,
        );
        controller.send(&[executed]).await;
        while !tool.receipt().await.is_final {}
        assert!(gateway.metric("gateway_store_failures_total").await > 0);
    }
    // A controller that is known comes in.
    faults.set(None);
    until("the gateway to know the controller", async || {
        (gateway.metric("controllers_known").await == 1).then_some(())
    })
    .await;
    faults.set(Some(Fault::Fail));
    until("a known controller to come in", async || {
        let mut known = Controller::connect(gateway.tcp, who.address).await;
        known.handshake(who.key).await.ok()
    })
    .await;
    faults.set(None);
    assert!(gateway.tool("viewer").await.address.is_tool());
    gateway.stop().await;
}
