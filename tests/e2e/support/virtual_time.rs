//! A server on a network of duplex pipes. With tokio's time paused, hours pass at once.

use std::{io, net::SocketAddr, time::Duration};

use h2::client::Builder;
use ticker::{
    client::{Connection, Network, Task},
    pacer::Clock,
    server::{Config, serve_accepted},
    tick::Time,
};
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{raw::Raw, server::config};

/// A server that stops when it is dropped.
pub(crate) struct Server {
    accept: mpsc::Sender<DuplexStream>,
    shutdown: CancellationToken,
    _stops_on_drop: DropGuard,
}

impl Server {
    pub(crate) fn start(change: impl FnOnce(&mut Config)) -> Self {
        let time = Time::from_nanos(1_700_000_000_000_000_000);
        let mut config = config();
        config.clock = Clock::From { time, instant: Instant::now() };
        config.heartbeat_interval = Duration::from_secs(4);
        change(&mut config);
        let (accept, accepted) = mpsc::channel(1);
        let shutdown = CancellationToken::new();
        tokio::spawn(serve_accepted(config, accepted, shutdown.clone()));
        Self { accept, _stops_on_drop: shutdown.clone().drop_guard(), shutdown }
    }

    pub(crate) async fn connect(&self) -> DuplexStream {
        connect(&self.accept).await.unwrap()
    }

    /// A network for the client library, on which every name is that of this server.
    pub(crate) fn network(&self) -> impl Network + use<> {
        Pipes(self.accept.clone())
    }

    pub(crate) async fn raw(&self) -> Raw {
        Raw::over(self.connect().await, &Builder::new()).await
    }

    /// Asks the server to stop, and does not wait.
    pub(crate) fn begin_to_stop(&self) {
        self.shutdown.cancel();
    }
}

async fn connect(accept: &mpsc::Sender<DuplexStream>) -> io::Result<DuplexStream> {
    let (client, server) = duplex(64 * 1024);
    accept.send(server).await.map_err(io::Error::other)?;
    Ok(client)
}

/// Pipes to one server.
#[derive(Debug)]
struct Pipes(mpsc::Sender<DuplexStream>);

impl Network for Pipes {
    fn resolve(&self, _: &str, _: u16) -> Task<io::Result<Vec<SocketAddr>>> {
        Box::pin(async { Ok(vec![([127, 0, 0, 1], 1).into()]) })
    }

    fn connect(&self, _: SocketAddr) -> Task<io::Result<Box<dyn Connection>>> {
        let accept = self.0.clone();
        Box::pin(async move { Ok(Box::new(connect(&accept).await?) as Box<dyn Connection>) })
    }
}
