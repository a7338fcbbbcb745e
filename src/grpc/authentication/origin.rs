//! Where a request comes from.

use std::net::SocketAddr;

/// Where a request comes from.
#[derive(Clone, Copy)]
pub(in crate::grpc) struct Origin<'a> {
    /// The address of the peer; `None` on a network without addresses.
    pub(in crate::grpc) peer: Option<SocketAddr>,
    /// The name in the certificate of the client, if it has shown one.
    pub(in crate::grpc) certificate: Option<&'a str>,
}
