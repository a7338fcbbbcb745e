//! When the trades take place: one in each slot of time.

use std::time::Duration;

use super::keys::Key;
use crate::tick::{Sequence, Time};

/// The slots of a series: slot *n* is the time from *n* intervals after the Unix epoch until the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    key: Key,
    interval: u64,
}

/// What is drawn for the trade of one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) time: Time,
    /// A uniform number inside (0, 1), for the size.
    pub(super) share: f64,
}

impl Slots {
    /// Slots of an interval, which is taken as at least a nanosecond.
    pub(super) fn new(key: Key, interval: Duration) -> Self {
        Self { key, interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1) }
    }

    /// The length of a slot in nanoseconds.
    pub(super) fn interval(&self) -> u64 {
        self.interval
    }

    /// What is drawn for slot *n*. Its trade takes place inside the slot; slots that lie past the end of time have it there.
    #[inline]
    pub(super) fn slot(&self, n: u64) -> Slot {
        let bits = self.key.draw(n).0;
        // The high half of the product is uniform below the interval and depends on the high bits; the share takes
        // the low ones.
        let jitter = (u128::from(bits) * u128::from(self.interval)) >> 64;
        let time = n.saturating_mul(self.interval).saturating_add(jitter as u64);
        Slot {
            time: Time::from_nanos(time),
            share: (bits & 0xffff) as f64 * (1.0 / 65_536.0) + 0.5 / 65_536.0,
        }
    }

    /// The newest slot whose trade took place at or before a time.
    #[inline]
    pub(super) fn newest_at(&self, time: Time) -> Option<Sequence> {
        if time == Time::from_nanos(u64::MAX) {
            return Some(Sequence(u64::MAX));
        }
        let n = time.nanos() / self.interval;
        if self.slot(n).time <= time { Some(Sequence(n)) } else { n.checked_sub(1).map(Sequence) }
    }
}
