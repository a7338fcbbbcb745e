//! Name resolution and connections: those of this machine, or of a simulated network in a test.

use std::{
    fmt::Debug,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};
use tower_service::Service;

use super::tls::Tls;

/// A boxed future that owns all that it needs.
pub type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A connection: bytes in both directions.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<C: AsyncRead + AsyncWrite + Send + Unpin> Connection for C {}

/// Resolves names and makes connections.
pub trait Network: Debug + Send + Sync {
    /// Resolves a host to its addresses. Each address is a replica.
    fn resolve(&self, host: &str, port: u16) -> Task<io::Result<Vec<SocketAddr>>>;

    /// Connects to an address.
    fn connect(&self, address: SocketAddr) -> Task<io::Result<Box<dyn Connection>>>;
}

/// The network of this machine: its resolver and TCP.
#[derive(Clone, Copy, Debug)]
pub struct Tcp;

/// Connects to one address, whatever the URL of the request.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) network: Arc<dyn Network>,
    pub(super) address: SocketAddr,
    /// For `https://`: how to encrypt, and the name of the server.
    pub(super) tls: Option<(Tls, String)>,
}

impl Network for Tcp {
    fn resolve(&self, host: &str, port: u16) -> Task<io::Result<Vec<SocketAddr>>> {
        // The brackets of an IPv6 address belong to the URL.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
    }

    fn connect(&self, address: SocketAddr) -> Task<io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Connection>>;
    type Error = io::Error;
    type Future = Task<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connected = self.network.connect(self.address);
        let tls = self.tls.clone();
        Box::pin(async move {
            let connection = connected.await?;
            Ok(TokioIo::new(match tls {
                Some((tls, host)) => tls.connect(&host, connection).await?,
                None => connection,
            }))
        })
    }
}
