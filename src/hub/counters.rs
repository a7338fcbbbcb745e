//! How many ticks a hub has sent, for metrics.

use super::Sent;
use crate::metrics::LocalCounter;

/// What all subscribers of a hub were sent. Only the thread of the hub adds to it.
#[derive(Debug, Default)]
pub struct Counters {
    ticks: LocalCounter,
    conflated: LocalCounter,
    gaps: LocalCounter,
    from_tape: LocalCounter,
}

impl Counters {
    /// Adds what was sent, and how many of the ticks were read from the tape.
    pub fn add(&self, sent: Sent, from_tape: u64) {
        self.ticks.add(sent.ticks);
        self.conflated.add(sent.conflated);
        self.gaps.add(sent.gaps);
        self.from_tape.add(from_tape);
    }

    /// What was sent so far.
    pub fn sent(&self) -> Sent {
        Sent { ticks: self.ticks.get(), conflated: self.conflated.get(), gaps: self.gaps.get() }
    }

    /// Number of ticks that were read from the tape, for readers that resume, lag or replay.
    pub fn from_tape(&self) -> u64 {
        self.from_tape.get()
    }
}
