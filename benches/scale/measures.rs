//! What is counted in a simulation, second by second.

use std::time::Duration;

use ticker::tick::Time;

use crate::fleet::{Address, Fleet};

/// What happened, as it is counted.
pub(crate) struct Measures {
    pub(crate) seconds: Vec<Second>,
    /// For each stream that moved since the change began: how long it was without a connection, in microseconds.
    pub(crate) silences: Vec<u64>,
    /// Attempts that were refused, or that the kernel of the replica dropped.
    pub(crate) failed: u64,
    /// Streams of each replica.
    streams: Vec<i64>,
    /// Streams that each replica has opened in this second.
    opened: Vec<u32>,
}

/// One second.
#[derive(Clone, Copy, Default)]
pub(crate) struct Second {
    /// Streams that were opened.
    pub(crate) opened: u32,
    /// Streams that one replica opened, at most.
    pub(crate) opened_at_worst: u32,
    /// Streams of the replica that has the most, and of the one that has the fewest of those whose name has their address.
    pub(crate) fullest: i64,
    pub(crate) emptiest: i64,
}

impl Measures {
    pub(crate) fn new(pods: usize) -> Self {
        Self {
            seconds: Vec::new(),
            silences: Vec::new(),
            failed: 0,
            streams: vec![0; pods],
            opened: vec![0; pods],
        }
    }

    /// Number of streams of a replica.
    pub(crate) fn streams(&self, Address(pod): Address) -> u64 {
        self.streams[usize::from(pod)].try_into().unwrap_or(0)
    }

    /// A client opens its first stream.
    pub(crate) fn begins(&mut self, Address(pod): Address) {
        self.streams[usize::from(pod)] += 1;
    }

    /// A stream that ended, or that its client has left, is opened at another replica.
    pub(crate) fn moved(&mut self, Address(pod): Address, silence: Duration, now: Time) {
        self.streams[usize::from(pod)] += 1;
        self.opened[usize::from(pod)] += 1;
        if now >= Fleet::BEGIN {
            self.silences.push(silence.as_micros() as u64);
        }
    }

    /// A stream has ended.
    pub(crate) fn ended(&mut self, Address(pod): Address) {
        self.streams[usize::from(pod)] -= 1;
    }

    /// A second is over.
    pub(crate) fn second(&mut self, now: Time, fleet: &Fleet) {
        let listed = fleet.pods.iter().zip(&self.streams).filter(|(pod, _)| pod.is_listed(now));
        self.seconds.push(Second {
            opened: self.opened.iter().sum(),
            opened_at_worst: self.opened.iter().copied().max().unwrap_or_default(),
            fullest: self.streams.iter().copied().max().unwrap_or_default(),
            emptiest: listed.map(|(_, streams)| *streams).min().unwrap_or_default(),
        });
        self.opened.fill(0);
    }

    /// The simulation is over.
    pub(crate) fn finished(mut self) -> Self {
        self.silences.sort_unstable();
        self
    }

    /// How long a share of the streams that moved was silent at most, in milliseconds, when the simulation is over.
    pub(crate) fn silence(&self, share: f64) -> f64 {
        let at = (self.silences.len() as f64 * share) as usize;
        let micros = self.silences.get(at.min(self.silences.len().saturating_sub(1)));
        micros.copied().unwrap_or_default() as f64 / 1_000.0
    }
}

/// The second in which a time is.
pub(crate) fn index(time: Time) -> usize {
    (time.nanos() / 1_000_000_000) as usize
}
