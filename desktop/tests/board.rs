//! The desk's bench with a virtual board on a terminal and a real gateway: what the window is told, what is left behind
//! when somebody stops it or logs out, and a controller at the end. Wants the gateway's program, as the story does.
#![expect(clippy::unwrap_used, reason = "a panic is a test's report")]

mod blank;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use blank::{Blank, SCRIPT, WIFI};
use switchyard_client::Credentials;
use switchyard_desktop::{
    AlarmCount, Desk,
    dto::{
        BoardEnd, BoardImage, BoardOrder, BoardPrompt, BoardReset, BoardState, BoardStep, Session,
    },
    events::{BATCH_INTERVAL, News, Window},
    settings::Settings,
};
use switchyard_testkit::{PASSWORD, PATIENCE, Programs, Yard, YardOptions, wait_until};
use tokio::sync::mpsc;

/// Hands on what the window is told of the board.
struct Recorder(mpsc::UnboundedSender<(Instant, BoardState)>);

impl Window for Recorder {
    fn tell(&self, news: News) {
        if let News::Board(state) = news {
            let _ = self.0.send((Instant::now(), state));
        }
    }

    fn entitle(&self, _: &str) {}

    fn badge(&self, _: AlarmCount) {}
}

struct Bench {
    desk: Arc<Desk>,
    told: mpsc::UnboundedReceiver<(Instant, BoardState)>,
    last: Option<Instant>,
    yard: Yard,
    blank: Blank,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, told) = mpsc::unbounded_channel();
        let settings = Settings::open(folder.path()).unwrap();
        let programs = Programs::find().unwrap();
        Bench {
            desk: Arc::new(Desk::new(settings, Box::new(Recorder(sender)))),
            told,
            last: None,
            yard: Yard::start(&programs, YardOptions::default()).unwrap(),
            blank: Blank::new().unwrap(),
            _folder: folder,
        }
    }

    async fn log_in(&self) -> Session {
        let technician = Credentials {
            account: "technician",
            password: PASSWORD,
            code: None,
        };
        self.desk
            .log_in(&self.yard.url(), &technician)
            .await
            .unwrap()
    }

    fn order(&self, gateway: &str) -> BoardOrder {
        BoardOrder {
            serial_port: self.blank.serial_port().unwrap(),
            reset: BoardReset::Person,
            images: vec![BoardImage {
                offset: 0,
                path: self.blank.image().unwrap(),
            }],
            profile: "virtual".to_owned(),
            wifi: Some(WIFI.0.to_owned()),
            wifi_password: WIFI.1.to_owned(),
            gateways: vec![gateway.to_owned()],
            title: "North pump".to_owned(),
            site: None,
            script: Some(SCRIPT.to_owned()),
            page_password: None,
            replace: false,
            off_mains: false,
        }
    }

    /// The next state that is as wanted. On the way, what the window is told must not come too fast.
    async fn until(&mut self, what: &str, wanted: impl Fn(&BoardState) -> bool) -> BoardState {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let (at, state) = self.told.recv().await.unwrap();
                if let Some(last) = self.last.replace(at) {
                    // Less what a clock and a loaded machine may blur.
                    assert!(at - last >= BATCH_INTERVAL - Duration::from_millis(5));
                }
                if wanted(&state) {
                    return state;
                }
                assert_eq!(state.end, None, "while waiting for {what}");
            }
        });
        found.await.unwrap_or_else(|_| panic!("waited for {what}"))
    }

    async fn begin(&mut self, gateway: &str) {
        self.desk.install_board(self.order(gateway)).await.unwrap();
        self.last = None;
    }

    async fn until_prompted(&mut self, prompt: BoardPrompt) {
        self.until("a prompt", |state| state.prompt == Some(prompt))
            .await;
    }

    /// What the person does who is asked.
    async fn bring_up(&mut self) {
        self.until_prompted(BoardPrompt::EnterLoader).await;
        self.blank.board.enter_download().unwrap();
        self.until_prompted(BoardPrompt::StartProgram).await;
        self.blank.start_program();
    }

    async fn end(&mut self) -> BoardEnd {
        let state = self.until("the end", |state| state.end.is_some()).await;
        state.end.unwrap()
    }

    fn controllers(&self) -> usize {
        self.yard
            .console("technician")
            .unwrap()
            .json(&["ls"])
            .unwrap()
            .len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stops_leaves_nothing_and_the_next_time_it_becomes_a_controller() {
    let mut bench = Bench::new();
    let desk = Arc::clone(&bench.desk);
    let order = bench.order("127.0.0.1:1");
    let fault = desk.install_board(order.clone()).await.unwrap_err();
    assert_eq!(fault.code, "not_logged_in");
    bench.log_in().await;
    let deadly = BoardOrder {
        profile: "sonoff-basic".to_owned(),
        ..order.clone()
    };
    let fault = desk.install_board(deadly).await.unwrap_err();
    assert_eq!(fault.code, "off_mains_needed");

    // Stopped while a person is waited for.
    bench.begin("127.0.0.1:1").await;
    bench.until_prompted(BoardPrompt::EnterLoader).await;
    let fault = desk.install_board(order).await.unwrap_err();
    assert_eq!(fault.code, "board_busy");
    desk.stop_board();
    let end = bench.end().await;
    assert!(
        matches!(
            end,
            BoardEnd::Failed {
                is_stopped: true,
                address: None,
                ..
            }
        ),
        "{end:?}"
    );

    // Logged out while it dials a gateway that never answers: taken back first, on both sides.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = nobody.local_addr().unwrap().to_string();
    bench.begin(&nowhere).await;
    bench.bring_up().await;
    bench
        .until("reaching", |state| state.step == BoardStep::Reaching)
        .await;
    assert_eq!(bench.controllers(), 1, "it is enrolled meanwhile");
    desk.log_out().await.unwrap();
    let end = bench.end().await;
    assert!(
        matches!(
            end,
            BoardEnd::Failed {
                is_stopped: true,
                address: Some(_),
                left_on_board: false,
                left_at_gateway: false,
                ..
            }
        ),
        "{end:?}"
    );
    // Those who look at the fleet hear of it after that.
    wait_until("the fleet to be empty", || {
        (bench.controllers() == 0).then_some(())
    })
    .unwrap();
    assert_eq!(bench.blank.controller.view().enrolled, None);

    // And now all of it.
    bench.log_in().await;
    let gateway = bench.yard.tcp().to_owned();
    bench.begin(&gateway).await;
    bench.bring_up().await;
    let end = bench.end().await;
    let BoardEnd::Done {
        address: Some(address),
        before: None,
        ..
    } = end
    else {
        panic!("expected a controller: {end:?}");
    };
    assert_eq!(desk.board().unwrap().end, Some(end));
    wait_until("the fleet to have it", || {
        let fleet = desk.fleet();
        let found = fleet.controllers.iter().find(|it| it.address == address);
        found
            .is_some_and(|it| it.title == "North pump")
            .then_some(())
    })
    .unwrap();
    bench.yard.gateway().unwrap().stop().unwrap();
}
