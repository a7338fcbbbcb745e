//! What the simulated tape promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of a test may stop it")]

use std::{num::NonZeroU64, time::Duration};

use proptest::prelude::*;
use ticker::{
    tape::{Instrument, Series, SimulatedSeries},
    tick::{Price, Sequence, Time},
};

fn instrument(interval: Duration) -> Instrument {
    Instrument {
        symbol: "RELIANCE".parse().unwrap(),
        name: "Reliance Industries".to_owned(),
        kind: "equity".to_owned(),
        currency: "INR".to_owned(),
        reference_price: Price::from_nanos(2_930_550_000_000).unwrap(),
        price_increment: Price::from_nanos(50_000_000).unwrap(),
        quantity_increment_nanos: NonZeroU64::new(1_000_000_000).unwrap(),
        annual_volatility: 0.25,
        tick_interval: interval,
    }
}

/// Sequences where a mistake would show: any at all, around the ends of spans of every size, and the very last.
fn sequences() -> impl Strategy<Value = u64> {
    let seam = (0u32..64, any::<u64>(), 0u64..100)
        .prop_map(|(level, n, before)| (n >> level << level).wrapping_sub(before));
    prop_oneof![any::<u64>(), seam, (0u64..100).prop_map(|before| u64::MAX - before), 0u64..100]
}

proptest! {
    #[test]
    fn a_cursor_reads_the_ticks_that_random_access_gives(
        seed: u64, from in sequences(), nanos in prop_oneof![1u64..1_000_000_000_000, Just(100_000_000)],
    ) {
        let instrument = instrument(Duration::from_nanos(nanos));
        let series = SimulatedSeries::new(seed, &instrument);
        let mut cursor = series.cursor(Sequence(from));
        let mut before = Time::from_nanos(0);
        for step in 0..150 {
            let sequence = Sequence(from.saturating_add(step));
            let tick = cursor.tick();
            prop_assert_eq!(tick, series.tick(sequence));
            prop_assert_eq!(tick.sequence, sequence);
            prop_assert!(tick.time >= before);
            prop_assert_eq!(tick.price.nanos() % instrument.price_increment.nanos(), 0);
            if tick.time < Time::from_nanos(u64::MAX) {
                prop_assert_eq!(series.sequence_at(tick.time), Some(sequence));
            }
            before = tick.time;
            cursor.advance();
        }
    }
}
