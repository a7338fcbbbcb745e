//! Makes the connection of a channel.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tower_service::Service;

use super::{
    network::{Connection, Network, Task},
    tls::Tls,
};

/// Connects to one address, whatever the URL of the request.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) network: Arc<dyn Network>,
    pub(super) address: SocketAddr,
    /// For `https://`: how to encrypt, and the name of the server.
    pub(super) tls: Option<(Tls, String)>,
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
