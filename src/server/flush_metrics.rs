//! How late flushes are, and how many ticks they have.

use crate::metrics::{Histogram, HistogramCounts};

/// The flushes of one worker.
pub(super) struct FlushMetrics {
    /// In nanoseconds.
    lateness: Histogram,
    ticks: Histogram,
}

/// Bounds of the lateness of a flush: 50 µs to 1 s.
const LATENESS: &[u64] = &[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
];

/// Bounds of the number of ticks of a flush.
const TICKS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];

impl FlushMetrics {
    pub(super) fn new() -> Self {
        Self { lateness: Histogram::new(LATENESS), ticks: Histogram::new(TICKS) }
    }

    /// Counts a flush that published `ticks` and began `lateness` nanoseconds after it was due.
    pub(super) fn note(&self, lateness: u64, ticks: u64) {
        self.lateness.observe(lateness);
        self.ticks.observe(ticks);
    }

    /// How late the flushes began, in nanoseconds.
    pub(super) fn lateness(&self) -> HistogramCounts {
        self.lateness.counts()
    }

    /// How many ticks they published.
    pub(super) fn ticks(&self) -> HistogramCounts {
        self.ticks.counts()
    }
}
