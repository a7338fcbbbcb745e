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
    /// Adds what was sent.
    pub fn add(&self, sent: Sent) {
        self.ticks.add(sent.ticks);
        self.conflated.add(sent.conflated);
        self.gaps.add(sent.gaps);
        self.from_tape.add(sent.from_tape);
    }

    /// What was sent so far.
    pub fn sent(&self) -> Sent {
        Sent {
            ticks: self.ticks.get(),
            conflated: self.conflated.get(),
            gaps: self.gaps.get(),
            from_tape: self.from_tape.get(),
        }
    }
}
