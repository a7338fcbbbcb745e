//! When the trades take place: one in each slot of time.

use std::time::Duration;

use super::keys::Key;
use crate::tick::{Sequence, Time};

const END_OF_TIME: Time = Time::from_nanos(u64::MAX);

/// The slots of a series. Slot *n* begins *n* intervals after the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    key: Key,
    interval: u64,
}

/// What is drawn for the trade of one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// When it takes place.
    pub(super) time: Time,
    /// A uniform number in (0, 1), for its size.
    pub(super) size: f64,
}

impl Slots {
    /// Slots of a length; a length that nanoseconds in 64 bits cannot hold is brought within them.
    pub(super) fn new(key: Key, interval: Duration) -> Self {
        Self { key, interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1) }
    }

    /// The length of a slot in nanoseconds.
    pub(super) fn interval(&self) -> u64 {
        self.interval
    }

    /// The trade of slot *n*, at a time inside the slot. The slots after the year 2554 have theirs at the end of time.
    #[inline]
    pub(super) fn trade(&self, n: u64) -> Slot {
        let bits = self.key.draw(n).bits();
        // The high half of the product is uniform below the interval. It hangs on the high bits; the low ones are
        // free for the size.
        let jitter = ((u128::from(bits) * u128::from(self.interval)) >> 64) as u64;
        let time = Time::from_nanos(n.saturating_mul(self.interval).saturating_add(jitter));
        Slot { time, size: f64::from(2 * (bits & 0xffff) as i32 + 1) * (1.0 / 131_072.0) }
    }

    /// The newest slot whose trade took place at or before a time.
    #[inline]
    pub(super) fn newest_at(&self, time: Time) -> Option<Sequence> {
        if time == END_OF_TIME {
            return Some(Sequence(u64::MAX));
        }
        let n = time.nanos() / self.interval;
        if self.trade(n).time <= time { Some(Sequence(n)) } else { n.checked_sub(1).map(Sequence) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::keys::Keys, *};

    fn slots(interval: Duration) -> Slots {
        Slots::new(Keys::new(7, &"A".parse().unwrap()).slots, interval)
    }

    #[test]
    fn nothing_has_been_traded_before_the_first_trade() {
        let slots = slots(Duration::from_millis(100));
        let first = slots.trade(0).time.nanos();
        assert_eq!(slots.newest_at(Time::from_nanos(first - 1)), None);
        assert_eq!(slots.newest_at(Time::from_nanos(first)), Some(Sequence(0)));
    }

    #[test]
    fn trades_spread_evenly_over_their_slots() {
        let slots = slots(Duration::from_micros(100));
        let mut tenths = [0; 10];
        for n in 0..10_000 {
            tenths[((slots.trade(n).time.nanos() - n * 100_000) / 10_000) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn a_trade_takes_place_inside_its_slot_and_is_found_by_its_time(
            nanos in prop_oneof![1u64..1000, 1000u64..1_000_000_000_000], n: u32,
        ) {
            let (slots, n) = (slots(Duration::from_nanos(nanos)), u64::from(n) % (u64::MAX / nanos));
            let time = slots.trade(n).time;
            prop_assert_eq!(time.nanos() / nanos, n);
            prop_assert_eq!(slots.newest_at(time), Some(Sequence(n)));
            prop_assert_eq!(slots.newest_at(Time::from_nanos(time.nanos() - 1)), n.checked_sub(1).map(Sequence));
        }

        #[test]
        fn time_ends_but_never_goes_back(nanos in 1u64.., n: u64) {
            let slots = slots(Duration::from_nanos(nanos));
            prop_assert!(slots.trade(n).time <= slots.trade(n.saturating_add(1)).time);
            prop_assert_eq!(slots.newest_at(END_OF_TIME), Some(Sequence(u64::MAX)));
        }
    }
}
