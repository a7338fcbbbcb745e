//! Name resolution and connections: those of this machine, or of a simulated network in a test.

use std::{fmt::Debug, io, net::SocketAddr, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};

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
