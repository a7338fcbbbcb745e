//! The protocols that browsers and `curl` speak, and how many requests there were of each.

use std::sync::Arc;

use crate::metrics::Counter;

/// What a request is, that is no call of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Protocol {
    /// A call of gRPC-Web.
    GrpcWeb,
    /// An answer in JSON.
    Json,
    /// A stream of server-sent events.
    Events,
    /// A file of the board.
    Board,
    /// A browser's question what a page may send.
    Preflight,
    /// None of these, and it is refused.
    Refused,
}

/// How many requests there were. Clones count the same.
#[derive(Clone, Default)]
pub struct WebRequests(Arc<[Counter; Protocol::ALL.len()]>);

impl Protocol {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::GrpcWeb, Self::Json, Self::Events, Self::Board, Self::Preflight, Self::Refused];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::GrpcWeb => "grpc_web",
            Self::Json => "json",
            Self::Events => "events",
            Self::Board => "board",
            Self::Preflight => "preflight",
            Self::Refused => "refused",
        }
    }
}

impl WebRequests {
    pub(super) fn add(&self, protocol: Protocol) {
        self.0[protocol as usize].increment();
    }

    /// How many requests of a protocol there were.
    pub fn count(&self, protocol: Protocol) -> u64 {
        self.0[protocol as usize].get()
    }
}
