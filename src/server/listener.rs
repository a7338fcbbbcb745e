//! Accepts connections and deals them to the workers.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;
use tracing::{debug, warn};

use super::{Bound, admission::Admission, handshakes::Handshakes, transport::Incoming, worker::Worker};

/// A socket that listens.
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Bytes that the kernel may hold unsent on a connection. Small, because newer ticks wait behind them.
    const UNSENT: u32 = 16 * 1024;
    /// A peer that acknowledges nothing for this time is gone, even if its receive window is zero.
    const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
    /// Interval of the kernel's keepalive probes of a silent peer.
    const PROBES: Duration = Duration::from_secs(10);
    const FIRST_BACK_OFF: Duration = Duration::from_millis(10);
    const LAST_BACK_OFF: Duration = Duration::from_secs(1);

    /// Binds an address.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Gives each new connection to the worker that has the fewest, for ever, after a TLS handshake if there are any. A
    /// connection that is not admitted is closed at once; [`Admission::admit`] logs it.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub(super) async fn deal_to(
        self,
        workers: &[Worker],
        admission: &Admission,
        handshakes: Option<&Handshakes>,
    ) -> io::Result<()> {
        let socket = tokio::net::TcpListener::from_std(self.socket)?;
        let mut back_off = Self::FIRST_BACK_OFF;
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    back_off = Self::FIRST_BACK_OFF;
                    let prepared = prepare(&stream).and_then(|()| stream.into_std());
                    let Some(worker) = Worker::idlest(workers) else { return Ok(()) };
                    let admitted = admission.admit(Some(peer), worker.load().clone());
                    match (prepared, admitted) {
                        (Ok(stream), Ok(admitted)) => {
                            let handover = worker.handover(&admitted);
                            match handshakes {
                                Some(handshakes) => handshakes.begin(stream, admitted, handover).await,
                                None => handover.give(Incoming::Tcp(stream), admitted).await,
                            }
                        }
                        (Err(error), _) => debug!(%peer, %error, "a connection could not be prepared"),
                        (_, Err(_)) => {}
                    }
                }
                Err(error) => {
                    // Most likely there are no file descriptors left. The connection stays in the backlog, and an immediate
                    // retry would fail again.
                    warn!(%error, ?back_off, "cannot accept connections");
                    tokio::time::sleep(back_off).await;
                    back_off = Self::LAST_BACK_OFF.min(back_off * 2);
                }
            }
        }
    }
}

/// A socket that listens on an address. Another server that has just left it does not matter.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(Bound::BACKLOG)?;
    Ok(socket.into())
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
