//! Serves the controller's own page on this machine, before a controller that stands in for the
//! real one: `cargo run -p switchyard-firmware --example built-in-page -- 127.0.0.1:8042`.

#[path = "../tests/stand_in/mod.rs"]
mod stand_in;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8042".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    tracing_subscriber::fmt().init();
    tracing::info!("the page is at http://{}/", listener.local_addr()?);
    stand_in::serve(listener, rand::random()).await;
    Ok(())
}
