//! How many RPCs there were, how they ended, and how long they took.

use std::time::Duration;

use tokio::sync::Notify;

use super::Rpc;
use crate::{
    contract::RpcCode,
    metrics::{Counter, Histogram, HistogramCounts},
};

/// The RPCs of a server.
pub struct RpcMetrics {
    /// By [`Rpc`].
    by_rpc: [OfRpc; Rpc::ALL.len()],
    /// Notified when no stream of ticks is open any more.
    streams_ended: Notify,
}

struct OfRpc {
    open: Counter,
    /// By [`RpcCode`].
    ended: [Counter; RpcCode::ALL.len()],
    /// In nanoseconds.
    durations: Histogram,
}

/// Bounds for RPCs that answer once: 0.5 ms to 10 s.
const CALLS: &[u64] = &[
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

const SECOND: u64 = 1_000_000_000;

/// Bounds for streams: a second to a day.
const STREAMS: &[u64] = &[
    SECOND,
    10 * SECOND,
    60 * SECOND,
    5 * 60 * SECOND,
    15 * 60 * SECOND,
    30 * 60 * SECOND,
    3_600 * SECOND,
    4 * 3_600 * SECOND,
    24 * 3_600 * SECOND,
];

impl RpcMetrics {
    pub(super) fn new() -> Self {
        let of_rpc = |rpc: Rpc| OfRpc {
            open: Counter::default(),
            ended: Default::default(),
            durations: Histogram::new(if rpc.is_stream() { STREAMS } else { CALLS }),
        };
        Self { by_rpc: Rpc::ALL.map(of_rpc), streams_ended: Notify::new() }
    }

    /// Counts an RPC that begins.
    pub fn begin(&self, rpc: Rpc) {
        self.by_rpc[rpc as usize].open.increment();
    }

    /// Counts an RPC that has ended.
    pub fn end(&self, rpc: Rpc, code: RpcCode, duration: Duration) {
        let of_rpc = &self.by_rpc[rpc as usize];
        of_rpc.ended[code as usize].increment();
        of_rpc.durations.observe(duration.as_nanos().try_into().unwrap_or(u64::MAX));
        if of_rpc.open.decrement() == 0 && rpc.streams_ticks() {
            self.streams_ended.notify_waiters();
        }
    }

    /// How many of an RPC are under way.
    pub fn open(&self, rpc: Rpc) -> u64 {
        self.by_rpc[rpc as usize].open.get()
    }

    /// How many of an RPC have ended with a code.
    pub fn ended(&self, rpc: Rpc, code: RpcCode) -> u64 {
        self.by_rpc[rpc as usize].ended[code as usize].get()
    }

    /// How long those of an RPC that have ended took, in nanoseconds.
    pub fn durations(&self, rpc: Rpc) -> HistogramCounts {
        self.by_rpc[rpc as usize].durations.counts()
    }

    /// How many streams of ticks are open.
    pub fn streams(&self) -> u64 {
        Rpc::ALL.into_iter().filter(|rpc| rpc.streams_ticks()).map(|rpc| self.open(rpc)).sum()
    }

    /// Waits until no stream of ticks is open.
    pub async fn streams_ended(&self) {
        loop {
            let ended = self.streams_ended.notified();
            if self.streams() == 0 {
                return;
            }
            ended.await;
        }
    }
}
