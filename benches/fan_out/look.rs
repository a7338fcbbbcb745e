//! How the clients of a subject look at what arrives.

use crate::{
    client::Attention,
    stopwatch::{Latencies, Stopwatch, TimeOf, time_of_stamp},
};

/// When clients look, and what for.
#[derive(Clone, Default)]
pub(crate) struct Look {
    pub(crate) attention: Attention,
    /// Where latencies are collected; without it, ticks are only counted.
    pub(crate) latencies: Option<Latencies>,
}

impl Look {
    /// A look that collects latencies.
    pub(crate) fn at_once(latencies: &Latencies) -> Self {
        Look { attention: Attention::Immediate, latencies: Some(latencies.clone()) }
    }

    /// A stopwatch for gRPC messages.
    pub(crate) fn stopwatch(&self, time_of: TimeOf) -> Option<Stopwatch> {
        self.latencies.clone().map(|latencies| Stopwatch::new(time_of, latencies))
    }

    /// A stopwatch for messages with a stamp.
    pub(crate) fn stamps(&self) -> Option<Stopwatch> {
        self.stopwatch(time_of_stamp)
    }
}
