//! What many ticks amount to is told without reading them, and is what reading them tells.

use std::ops::Range;

use proptest::prelude::*;
use ticker::{
    tape::{Series, SimulatedSeries, Totals},
    tick::{Sequence, Time},
};

use super::{instruments, sequences, series};

/// By reading each tick.
fn read(series: &dyn Series, ticks: Range<u64>) -> Option<Totals> {
    let mut cursor = series.cursor(Sequence(ticks.start));
    let mut totals: Option<Totals> = None;
    for _ in ticks {
        let tick = cursor.tick();
        let so_far = totals.unwrap_or(Totals { high: tick.price, low: tick.price, volume: 0 });
        totals = Some(Totals {
            high: so_far.high.max(tick.price),
            low: so_far.low.min(tick.price),
            volume: so_far.volume.saturating_add(tick.quantity),
        });
        cursor.advance();
    }
    totals
}

fn told(series: &dyn Series, ticks: Range<u64>) -> Option<Totals> {
    series.totals(Sequence(ticks.start)..Sequence(ticks.end))
}

proptest! {
    #[test]
    fn the_totals_of_any_instrument_are_those_of_its_ticks(
        seed: u64, from in sequences(), length in 0u64..1_200, instrument in instruments(),
    ) {
        let series = SimulatedSeries::new(seed, &instrument);
        let ticks = from..from.saturating_add(length);
        // At the end of time they are not told.
        if let Some(totals) = told(&series, ticks.clone()) {
            prop_assert_eq!(Some(totals), read(&series, ticks));
        }
    }
}

#[test]
fn the_totals_of_a_day_are_those_of_its_ticks() {
    const DAY: u64 = 86_400_000_000_000;
    // Some of six days each, two of them at a weekend: around the clock, in sessions, and in the tracks of others.
    for (symbol, share) in [
        ("RELIANCE", 40),
        ("EUR/USD", 10),
        ("STILL", 1),
        ("PENNY", 4),
        ("SESSION", 10),
        ("TRACKER", 20),
        ("EUR/INR", 20),
    ] {
        let (_, series) = series(7, symbol);
        for day in 20_770..20_776 {
            let from = |time| series.sequence_from(Time::from_nanos(time)).0;
            let start = day * DAY + 4 * DAY / 10;
            let ticks = from(start)..from(start + DAY / share);
            assert_eq!(told(&*series, ticks.clone()), read(&*series, ticks.clone()), "{symbol}: {ticks:?}");
        }
    }
}

#[test]
fn no_ticks_and_those_at_the_end_of_time_have_no_totals() {
    let (_, series) = series(7, "RELIANCE");
    assert_eq!(told(&*series, 5..5), None);
    assert_eq!(told(&*series, u64::MAX - 5..u64::MAX), None);
}
