//! Once around: through the gateway that runs, or through one that is started for it.

use super::{
    Said,
    controller::{Controller, connect},
    error, ok,
    probe::{Neighbour, Seen, ask, reachable},
};
use crate::{
    Settings, Stores, clock,
    config::{MasterKey, ProxiedListeners},
    fixed_title, serve,
    server::Listeners,
    store::{ControllerKey, Database, NewController},
};
use anyhow::Context as _;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_protocol::Address;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// By a gateway that runs, as far as one can go without a key; by one of our own all the way.
pub(super) async fn round_trip(settings: Arc<Settings>, neighbour: Arc<Neighbour>) -> Vec<Said> {
    let outcome = if neighbour.http == Seen::Gateway || neighbour.tcp == Seen::Gateway {
        through_running(settings, neighbour).await
    } else {
        through_own(&settings).await
    };
    match outcome {
        Ok(found) => vec![ok(found)],
        Err(fault) => {
            let remedy = "its log, or `journalctl -u switchyard-gateway`, tells more";
            vec![error(format!("{fault:#}")).remedy(remedy)]
        }
    }
}

async fn through_running(
    settings: Arc<Settings>,
    neighbour: Arc<Neighbour>,
) -> anyhow::Result<String> {
    anyhow::ensure!(
        neighbour.tcp == Seen::Gateway,
        "a gateway answers on listen_http, and none on listen_tcp"
    );
    anyhow::ensure!(
        neighbour.http == Seen::Gateway,
        "a gateway answers on listen_tcp, and none on listen_http"
    );
    let asking = move || ask(&settings, reachable(settings.listen_http), "/readyz");
    let (status, body) = tokio::task::spawn_blocking(asking)
        .await?
        .context("the running gateway does not answer /readyz")?;
    anyhow::ensure!(
        status == 200,
        "the running gateway says that it is not ready: {body}"
    );
    Ok("the running gateway is ready, and refused a key that nobody has".into())
}

async fn through_own(settings: &Settings) -> anyhow::Result<String> {
    let folder = Folder::new()?;
    let settings = Settings {
        data: folder.0.clone(),
        database: Database::Sqlite(folder.0.join("switchyard.db")),
        master_key: MasterKey::File(folder.0.join("master.key")),
        redis: None,
        // It would speak for the gateway, to people who took its word for it.
        mqtt: None,
        webhooks: Vec::new(),
        drain_delay: Duration::ZERO,
        listen_clear: None,
        proxy_protocol: ProxiedListeners::Off,
        ..settings.clone()
    };
    let stores = Stores::open(&settings).await?;
    let key: [u8; 32] = rand::random();
    let wanted = vec![NewController {
        title: fixed_title("doctor"),
        key: ControllerKey(key),
        site: None,
    }];
    let addresses = stores.config.enrol(wanted, 1, clock::time()).await;
    let addresses = addresses.context("cannot enrol a controller")?;
    let address = *addresses.first().context("cannot enrol a controller")?;

    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listeners = Listeners {
        tcp: TcpListener::bind(free).await?,
        http: TcpListener::bind(free).await?,
        clear: None,
    };
    let (tcp, http) = (listeners.tcp.local_addr()?, listeners.http.local_addr()?);
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(settings.clone(), stores, listeners, shutdown.clone()));
    let visiting = tokio::task::spawn_blocking(move || visit(&settings, tcp, http, address, &key));
    let outcome = visiting.await;
    shutdown.cancel();
    serving
        .await?
        .context("a gateway of our own did not end well")?;
    outcome?
}

fn visit(
    settings: &Settings,
    tcp: SocketAddr,
    http: SocketAddr,
    address: Address,
    key: &[u8; 32],
) -> anyhow::Result<String> {
    let start = Instant::now();
    let stream = connect(tcp, false).context("a gateway of our own does not answer")?;
    let session = Controller::new(stream, address).prove(key);
    let mut session = session.context("a controller did not get in")?;
    session
        .ping()
        .context("a controller's session did not live")?;
    let took = start.elapsed();
    let (status, body) = ask(settings, http, "/readyz").context("it does not answer /readyz")?;
    anyhow::ensure!(status == 200, "it says that it is not ready: {body}");
    Ok(format!(
        "in a gateway of our own, a controller proved itself and was answered in {took:?}"
    ))
}

/// A folder for this one trip, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name = format!("switchyard-doctor-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| shown("cannot make the folder", &path))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "a temporary folder stays behind");
        }
    }
}

fn shown(what: &str, path: &Path) -> String {
    format!("{what} {}", path.display())
}
