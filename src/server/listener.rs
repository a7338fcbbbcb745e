//! Accepts connections and deals them to the workers.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::{net::TcpStream, time::Instant};
use tracing::{debug, warn};

use super::{
    admission::{Admission, AdmissionError},
    worker::Worker,
};

/// A socket that listens.
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    const BACKLOG: i32 = 1024;
    /// What the kernel holds unsent is out of our hands: ticks in it only grow old in front of newer ones.
    const UNSENT: u32 = 16 * 1024;
    /// A peer that acknowledges nothing for so long is gone, even if its receive window is shut.
    const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
    /// How far the kernel's probes of a silent peer are apart.
    const PROBES: Duration = Duration::from_secs(10);
    const FIRST_BACK_OFF: Duration = Duration::from_millis(10);
    const LAST_BACK_OFF: Duration = Duration::from_secs(1);

    /// Takes an address.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(Self::BACKLOG)?;
        let socket = TcpListener::from(socket);
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Deals connections to the worker that has the fewest, for ever. Those that are not admitted are closed at once.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub(super) async fn deal_to(self, workers: &[Worker], admission: &Admission) -> io::Result<()> {
        let socket = tokio::net::TcpListener::from_std(self.socket)?;
        let mut back_off = Self::FIRST_BACK_OFF;
        let mut refusals = Refusals::default();
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    back_off = Self::FIRST_BACK_OFF;
                    let prepared = prepare(&stream).and_then(|()| stream.into_std());
                    let Some(worker) = Worker::idlest(workers) else { return Ok(()) };
                    let admitted = admission.admit(Some(peer), worker.load().clone());
                    match (prepared, admitted) {
                        (Ok(stream), Ok(admitted)) => worker.hand_over(stream, admitted).await,
                        (Err(error), _) => debug!(%peer, %error, "a connection could not be prepared"),
                        (_, Err(refused)) => refusals.note(peer, refused),
                    }
                }
                Err(error) => {
                    // Out of file descriptors, most likely: the connection stays in the backlog, and to try again at
                    // once would only burn the CPU.
                    warn!(%error, ?back_off, "cannot accept connections");
                    tokio::time::sleep(back_off).await;
                    back_off = Self::LAST_BACK_OFF.min(back_off * 2);
                }
            }
        }
    }
}

/// Connections that were refused and not told of in the log.
#[derive(Default)]
struct Refusals {
    count: u64,
    warned: Option<Instant>,
}

impl Refusals {
    /// At most one line for so long, however many are refused.
    const EVERY: Duration = Duration::from_secs(10);

    fn note(&mut self, peer: SocketAddr, refused: AdmissionError) {
        self.count += 1;
        if self.warned.is_none_or(|warned| warned.elapsed() >= Self::EVERY) {
            warn!(refused = self.count, last_peer = %peer, "connections are refused: {refused}");
            (self.count, self.warned) = (0, Some(Instant::now()));
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Listener::UNACKNOWLEDGED)
        .with_interval(Listener::PROBES)
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_notsent_lowat(Listener::UNSENT)?;
        socket.set_tcp_user_timeout(Some(Listener::UNACKNOWLEDGED))?;
    }
    Ok(())
}
