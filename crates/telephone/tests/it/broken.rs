//! A way to the trunk that fails for one message, or breaks: the calls that go on, and those that are to end.

use crate::sipp::{events, until};
use anyhow::{Context, Result, bail};
use std::{net::Ipv4Addr, time::Duration};
use switchyard_telephone::{
    Event, Progress, Transport, Trunk, TrunkSettings,
    sip::message::{Framer, Message},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};

const RING_LIMIT: Duration = Duration::from_secs(20);
/// What nothing here may take.
const PATIENCE: Duration = Duration::from_secs(20);
const DESCRIPTION: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";

/// An answer to a request; one that says yes to an INVITE has sound.
fn answer(request: &Message, code: u16, contact: &str) -> Vec<u8> {
    let mut answer = Message::response(request, code, "Told", "theirs");
    answer.headers.add("Contact", contact);
    if code == 200 && request.method() == Some("INVITE") {
        answer.headers.add("Content-Type", "application/sdp");
        answer.body = DESCRIPTION.into();
    }
    answer.to_bytes()
}

/// Number 2 is redirected to where nothing can be sent to; all others ring, until they are withdrawn.
async fn serve_by_datagrams(socket: UdpSocket) -> Result<()> {
    let mut buffer = [0; 4_096];
    loop {
        let (count, from) = socket.recv_from(&mut buffer).await?;
        let request = Message::parse(&buffer[..count])?;
        let number = request.headers.first("To").unwrap_or_default().to_owned();
        let (code, contact) = match request.method() {
            Some("INVITE") if number.starts_with("<sip:2@") => (302, "<sip:2@255.255.255.255>"),
            Some("INVITE") => (180, "<sip:1@127.0.0.1>"),
            Some("CANCEL") => return Ok(()),
            _ => continue,
        };
        socket
            .send_to(&answer(&request, code, contact), from)
            .await?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datagram_that_cannot_be_sent_is_one_call_s_trouble() -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let settings = TrunkSettings::new(&socket.local_addr()?.to_string(), "alarms", "".into());
    let server = tokio::spawn(serve_by_datagrams(socket));
    let trunk = Trunk::open(settings).await?;
    let mut ringing = trunk.call(&"1".parse()?, RING_LIMIT).await?;
    until(&mut ringing, Event::Progress(Progress::Ringing)).await;
    let mut other = trunk.call(&"2".parse()?, RING_LIMIT).await?;
    let (_, end) = events(&mut other).await;
    assert!(end.is_trouble_of_trunk(), "{end:?}");
    // The first is still a call, and is withdrawn as one.
    assert_eq!(
        ringing.hang_up().await,
        switchyard_telephone::End::Withdrawn
    );
    timeout(PATIENCE, server)
        .await
        .context("no CANCEL came")??
}

/// The next request of a method; what comes between is passed over.
async fn request(stream: &mut TcpStream, framer: &mut Framer, method: &str) -> Result<Message> {
    loop {
        while let Some(message) = framer.next_message()? {
            if message.method() == Some(method) {
                return Ok(message);
            }
        }
        let mut buffer = [0; 4_096];
        match timeout(PATIENCE, stream.read(&mut buffer)).await {
            Ok(Ok(count @ 1..)) => framer.push(&buffer[..count]),
            _ => bail!("no {method} came"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_broken_connection_leaves_behind_is_ended_over_the_next() -> Result<()> {
    for (code, progress, method) in [
        (180, Progress::Ringing, "CANCEL"),
        (200, Progress::Answered, "BYE"),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut settings =
            TrunkSettings::new(&listener.local_addr()?.to_string(), "alarms", "".into());
        settings.transport = Transport::Tcp;
        let trunk = Trunk::open(settings).await?;
        let mut call = trunk.call(&"1".parse()?, RING_LIMIT).await?;
        let (mut first, _) = timeout(PATIENCE, listener.accept()).await??;
        let mut framer = Framer::default();
        let invite = request(&mut first, &mut framer, "INVITE").await?;
        first
            .write_all(&answer(&invite, code, "<sip:1@127.0.0.1>"))
            .await?;
        until(&mut call, Event::Progress(progress)).await;
        // It breaks with the farewell on it.
        let hung_up = tokio::spawn(async move { call.hang_up().await });
        let lost = request(&mut first, &mut framer, method).await?;
        drop(first);
        let (mut second, _) = timeout(PATIENCE, listener.accept()).await??;
        let mut framer = Framer::default();
        let again = request(&mut second, &mut framer, method).await?;
        assert_eq!(again, lost);
        second
            .write_all(&answer(&again, 200, "<sip:1@127.0.0.1>"))
            .await?;
        timeout(PATIENCE, hung_up).await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rings_by_a_connection_that_is_let_go_is_withdrawn() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut settings = TrunkSettings::new(&listener.local_addr()?.to_string(), "alarms", "".into());
    settings.transport = Transport::Tcp;
    settings.silence_limit = Duration::from_secs(2);
    let trunk = Trunk::open(settings).await?;
    let mut ringing = trunk.call(&"1".parse()?, RING_LIMIT).await?;
    let (mut first, _) = timeout(PATIENCE, listener.accept()).await??;
    let mut framer = Framer::default();
    let invite = request(&mut first, &mut framer, "INVITE").await?;
    first
        .write_all(&answer(&invite, 180, "<sip:1@127.0.0.1>"))
        .await?;
    until(&mut ringing, Event::Progress(Progress::Ringing)).await;
    // Nothing is said to the other call: the connection may have died without a word.
    let mut other = trunk.call(&"2".parse()?, RING_LIMIT).await?;
    for call in [&mut other, &mut ringing] {
        let (_, end) = events(call).await;
        assert!(end.is_trouble_of_trunk(), "{end:?}");
    }
    let (mut second, _) = timeout(PATIENCE, listener.accept()).await??;
    let cancel = request(&mut second, &mut Framer::default(), "CANCEL").await?;
    assert_eq!(cancel.branch(), invite.branch());
    Ok(())
}
