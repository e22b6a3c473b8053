//! A trunk over TLS: a door of the test's own takes the encryption off before SIPp.

use crate::sipp::{Sipp, events, until};
use anyhow::{Context, Result};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use switchyard_telephone::{End, Error, Event, Progress, Transport, Trouble, Trunk};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

const RING_LIMIT: Duration = Duration::from_secs(20);

/// Takes connections, proves that it is `localhost`, and passes what is said on to another server. Gives where it
/// listens, and the certificate in PEM.
async fn door(behind: SocketAddr) -> Result<(u16, String)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key =
        PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let tcp_port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut outside = acceptor.accept(stream).await.ok()?;
                let mut inside = TcpStream::connect(behind).await.ok()?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside)
                    .await
                    .ok()
            });
        }
    });
    Ok((tcp_port, made.cert.pem()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_through_an_encrypted_connection() -> Result<()> {
    let sipp = Sipp::start("account.xml", Transport::Tcp)?;
    let (tcp_port, certificate) = door(sipp.address()).await?;
    let mut settings = sipp.settings(Transport::Tls);
    settings.server = format!("localhost:{tcp_port}");
    settings.root_certificates = Some(certificate.into_bytes());
    let trunk = Trunk::open(settings).await?;
    let mut call = trunk.call(&"1".parse()?, RING_LIMIT).await?;
    until(&mut call, Event::Progress(Progress::Answered)).await;
    assert_eq!(call.hang_up().await, End::HungUpByUs);
    sipp.finish()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_who_it_says_is_not_spoken_to() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (tcp_port, certificate) = door(listener.local_addr()?).await?;
    let (_, stranger) = door(listener.local_addr()?).await?;
    for (host, roots) in [("localhost", stranger), ("127.0.0.1", certificate)] {
        let mut settings = switchyard_telephone::TrunkSettings::new(
            &format!("{host}:{tcp_port}"),
            "alarms",
            "".into(),
        );
        settings.transport = Transport::Tls;
        settings.root_certificates = Some(roots.into_bytes());
        let trunk = Trunk::open(settings).await?;
        let told = trunk.probe().await.err().context("expected trouble")?;
        assert!(
            matches!(&told, Trouble::Unreachable(why) if why.contains("certificate")),
            "{told}"
        );
        let mut call = trunk.call(&"1".parse()?, RING_LIMIT).await?;
        assert!(events(&mut call).await.1.is_trouble_of_trunk());
    }
    let mut settings = switchyard_telephone::TrunkSettings::new("localhost", "alarms", "".into());
    settings.transport = Transport::Tls;
    settings.root_certificates = Some(b"nothing".to_vec());
    assert!(matches!(Trunk::open(settings).await, Err(Error::Roots(_))));
    Ok(())
}
