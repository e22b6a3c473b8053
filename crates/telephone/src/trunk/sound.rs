//! The task that carries one call's sound, and tells the call's owner what happens.

use crate::{
    error::Error,
    media::{
        rtp::PACKET_BYTES_MAX,
        stream::{Stream, StreamEvent},
    },
    outcome::{End, Event, Progress},
    sip::requests::CallEvent,
    trunk::{
        call::Shared,
        driver::{Command, now},
    },
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant as TokioInstant, sleep_until, timeout_at},
};

/// Longer than the driver takes to end a call that was hung up, whatever the trunk does.
const END_TIME_MAX: Duration = Duration::from_secs(10);
/// Socket numbers that are tried where any would do, for one that is even.
const TRIES: usize = 8;

/// A socket for sound. RTP likes even numbers (RFC 3550 section 11), and takes others.
pub(super) async fn bind(
    ip: IpAddr,
    numbers: Option<&RangeInclusive<u16>>,
) -> Result<UdpSocket, Error> {
    let Some(numbers) = numbers else {
        let mut socket = UdpSocket::bind((ip, 0)).await.map_err(Error::Socket)?;
        for _ in 0..TRIES {
            if socket
                .local_addr()
                .map_err(Error::Socket)?
                .port()
                .is_multiple_of(2)
            {
                break;
            }
            socket = UdpSocket::bind((ip, 0)).await.map_err(Error::Socket)?;
        }
        return Ok(socket);
    };
    let mut last = io::ErrorKind::AddrInUse.into();
    for number in numbers.clone().filter(|it| it.is_multiple_of(2)) {
        match UdpSocket::bind((ip, number)).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(Error::Socket(last))
}

/// What the task has in hand.
pub(super) struct Sound {
    pub(super) id: u64,
    pub(super) socket: UdpSocket,
    pub(super) stream: Stream,
    /// From the driver.
    pub(super) from_driver: mpsc::Receiver<CallEvent>,
    pub(super) to_driver: mpsc::Sender<Command>,
    pub(super) to_owner: mpsc::Sender<Event>,
    pub(super) shared: Arc<Shared>,
    /// One of the calls that may go on at a time.
    pub(super) permit: OwnedSemaphorePermit,
}

impl Sound {
    /// Runs until the call is over.
    pub(super) async fn run(mut self) {
        let end = self.carry().await;
        tracing::debug!(call = self.id, %end, packets_heard = self.stream.packets_heard(), "call ended");
        self.shared.ended(end);
        drop(self.permit);
        // The owner sees by this that nothing more comes.
        drop(self.to_owner);
    }

    async fn carry(&mut self) -> End {
        let mut buffer = [0; PACKET_BYTES_MAX];
        let mut give_up_at = None;
        loop {
            self.shared.take_wishes(&mut self.stream);
            while let Some((to, packet)) = self.stream.tick(now()) {
                // What cannot be sent is lost, as any packet may be.
                let _ = self.socket.try_send_to(&packet, to);
            }
            while let Some(event) = self.stream.event() {
                self.tell(match event {
                    StreamEvent::Key(key) => Event::Key(key),
                    StreamEvent::Played => Event::Played,
                });
            }
            let never = TokioInstant::now() + Duration::from_secs(3_600);
            let due = self.stream.next_due().map_or(never, TokioInstant::from_std);
            let patience = give_up_at.unwrap_or(never);
            tokio::select! {
                event = self.from_driver.recv() => match event {
                    Some(CallEvent::Ended(end)) => return end,
                    Some(event) => self.driver_event(event),
                    None => return End::Lost,
                },
                received = self.socket.recv_from(&mut buffer) => {
                    if let Ok((count, from)) = received {
                        self.stream.packet(from, &buffer[..count], now());
                    }
                }
                () = self.shared.wishes() => {}
                () = self.shared.hang_up.cancelled(), if give_up_at.is_none() => {
                    give_up_at = Some(TokioInstant::now() + END_TIME_MAX);
                    let told = self.to_driver.send(Command::HangUp(self.id));
                    if !matches!(timeout_at(TokioInstant::now() + END_TIME_MAX, told).await, Ok(Ok(()))) {
                        return End::HungUpByUs;
                    }
                }
                () = sleep_until(due) => {}
                () = sleep_until(patience), if give_up_at.is_some() => return End::HungUpByUs,
            }
        }
    }

    fn driver_event(&mut self, event: CallEvent) {
        match event {
            CallEvent::Progress(progress) => {
                if progress == Progress::Answered {
                    self.stream.answered(now());
                }
                self.tell(Event::Progress(progress));
            }
            CallEvent::Sound(change) => self.stream.change(&change),
            CallEvent::Key(key) => self.stream.key_by_info(key, now()),
            CallEvent::Ended(_) => {}
        }
    }

    /// An owner who does not listen misses what happens meanwhile; the end waits for him.
    fn tell(&self, event: Event) {
        let _ = self.to_owner.try_send(event);
    }
}

/// Where sound comes in, as others see it.
pub(super) fn address(socket: &UdpSocket, public_ip: Option<IpAddr>) -> io::Result<SocketAddr> {
    let local = socket.local_addr()?;
    Ok(SocketAddr::new(
        public_ip.unwrap_or(local.ip()),
        local.port(),
    ))
}
