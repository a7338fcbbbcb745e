//! How late the flushes of `ticker` begin, from the metrics that it serves.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Result, ensure};

/// The histogram of all flushes so far: bounds, and how many flushes were not later.
pub(crate) struct Lateness(Vec<(Duration, u64)>);

impl Lateness {
    /// Reads it from the admin port.
    pub(crate) fn read(metrics: SocketAddr) -> Result<Self> {
        let mut socket = TcpStream::connect(metrics)?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        let bucket = |line: &str| {
            let (bound, count) =
                line.strip_prefix("ticker_flush_lateness_seconds_bucket{le=\"")?.split_once("\"} ")?;
            // The last bound is infinite.
            let bound = Duration::try_from_secs_f64(bound.parse().ok()?).unwrap_or(Duration::MAX);
            Some((bound, count.trim().parse().ok()?))
        };
        let buckets: Vec<_> = text.lines().filter_map(bucket).collect();
        ensure!(!buckets.is_empty(), "the metrics of {metrics} have no lateness of flushes");
        Ok(Lateness(buckets))
    }

    /// The first bound that so large a share of the flushes since then kept; nothing when there was no flush.
    pub(crate) fn quantile_since(&self, earlier: &Lateness, share: f64) -> Option<Duration> {
        let mut flushes = self.0.iter().zip(&earlier.0).map(|((bound, now), (_, then))| (*bound, now - then));
        let (_, all) = flushes.clone().next_back().filter(|(_, all)| *all > 0)?;
        flushes.find(|(_, kept)| *kept as f64 >= all as f64 * share).map(|(bound, _)| bound)
    }
}
