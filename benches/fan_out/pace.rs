//! Waking up at even intervals.

use std::time::Duration;

use anyhow::Result;
use rustix::{
    thread::{ClockId, clock_nanosleep_absolute},
    time::{Timespec, clock_gettime},
};

/// After so long a delay the machine stood still, and what was missed is not made up for.
const STANDSTILL: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Counts intervals from its making. It does not drift: whoever is late finds the next ones due at once.
pub(crate) struct Pace {
    next: Timespec,
    interval: Timespec,
}

impl Pace {
    pub(crate) fn new(interval: Duration) -> Result<Self> {
        Ok(Pace { next: clock_gettime(ClockId::Monotonic), interval: interval.try_into()? })
    }

    /// Sleeps to the end of the current interval, and returns it in nanoseconds of the monotonic clock.
    pub(crate) fn wait(&mut self) -> Result<i64> {
        self.next += self.interval;
        let now = clock_gettime(ClockId::Monotonic);
        if now > self.next + STANDSTILL {
            self.next = now;
        }
        clock_nanosleep_absolute(ClockId::Monotonic, &self.next)?;
        Ok(nanos(self.next))
    }
}

/// How far the time since 1970 is ahead of the monotonic clock, in nanoseconds.
pub(crate) fn ahead_of_monotonic() -> i64 {
    nanos(clock_gettime(ClockId::Realtime)) - nanos(clock_gettime(ClockId::Monotonic))
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
