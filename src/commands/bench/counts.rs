//! What the streams received, and how they failed.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::{CreationError, Histogram};
use serde::Serialize;

/// What the streams of one kind received.
pub(super) struct Counts {
    /// Streams that the server has accepted.
    pub(super) opened: u64,
    /// From the request to the first tick, in nanoseconds.
    pub(super) first_ticks: Histogram<u64>,
    /// From the time of a tick to its arrival, in nanoseconds; zero where the clocks make it negative.
    pub(super) delays: Histogram<u64>,
    /// The smallest delay, in nanoseconds, which is negative when the clocks differ by more than it.
    pub(super) smallest_delay: i64,
    /// Live ticks.
    pub(super) ticks: u64,
    /// Ticks that those stand for beyond themselves.
    pub(super) conflated: u64,
    /// Gaps that the server has announced.
    pub(super) gaps: u64,
    /// Ticks in those gaps.
    pub(super) gap_ticks: u64,
}

/// Everything that a run measures.
pub(super) struct Measured {
    /// The streams that read as fast as they can.
    pub(super) readers: Counts,
    /// The streams that read slowly.
    pub(super) slow_readers: Counts,
    /// Failures by status.
    pub(super) errors: BTreeMap<&'static str, Failures>,
    /// Streams that have been accepted or have failed at least once.
    pub(super) attempted: usize,
    /// Streams that are open now.
    pub(super) open: usize,
    /// Whether ticks count.
    pub(super) is_measuring: bool,
}

/// Failures of one status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failures {
    pub(super) count: u64,
    /// The message of the first one.
    pub(super) message: String,
}

/// Significant digits of the histograms.
const DIGITS: u8 = 3;

/// The longest time that a histogram tells from longer ones, in nanoseconds: one hour.
const LONGEST: u64 = 3_600_000_000_000;

impl Counts {
    fn new() -> Result<Self, CreationError> {
        let histogram = Histogram::new_with_bounds(1, LONGEST, DIGITS)?;
        Ok(Self {
            opened: 0,
            first_ticks: histogram.clone(),
            delays: histogram,
            smallest_delay: i64::MAX,
            ticks: 0,
            conflated: 0,
            gaps: 0,
            gap_ticks: 0,
        })
    }

    pub(super) fn first_tick(&mut self, after: Duration) {
        self.first_ticks.saturating_record(after.as_nanos().try_into().unwrap_or(u64::MAX));
    }

    /// A delay is in nanoseconds.
    pub(super) fn delay(&mut self, delay: i64) {
        self.smallest_delay = self.smallest_delay.min(delay);
        self.delays.saturating_record(delay.max(0).unsigned_abs());
    }
}

impl Measured {
    /// # Errors
    /// A histogram cannot be made. Their bounds are constants, so that never happens.
    pub(super) fn new() -> Result<Self, CreationError> {
        Ok(Self {
            readers: Counts::new()?,
            slow_readers: Counts::new()?,
            errors: BTreeMap::new(),
            attempted: 0,
            open: 0,
            is_measuring: false,
        })
    }

    /// The counts of the slow streams or of the others.
    pub(super) fn of(&mut self, is_slow: bool) -> &mut Counts {
        if is_slow { &mut self.slow_readers } else { &mut self.readers }
    }

    pub(super) fn failed(&mut self, status: &'static str, message: &str) {
        let failures = self.errors.entry(status).or_insert_with(|| Failures {
            count: 0,
            // The text is the server's: it must not steer the terminal.
            message: message.replace(char::is_control, ""),
        });
        failures.count += 1;
    }

    /// Live ticks of all streams.
    pub(super) fn ticks(&self) -> u64 {
        self.readers.ticks + self.slow_readers.ticks
    }

    pub(super) fn error_count(&self) -> u64 {
        self.errors.values().map(|failures| failures.count).sum()
    }
}
