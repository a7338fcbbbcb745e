//! What the simulated tape promises.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test may stop it")]
#![allow(clippy::print_stdout, reason = "the figures are shown with --nocapture")]

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use proptest::prelude::*;
use ticker::{
    tape::{Instrument, Lease, Series, Simulated, SimulatedSeries, Tape, Universe},
    tick::{Price, Sequence, Time},
};

mod book;
mod golden;
mod market;
mod test_symbols;
mod totals;

/// Instruments of all sorts, by symbol.
const INSTRUMENTS: &str = include_str!("../data/instruments.toml");

fn tape(seed: u64) -> Simulated {
    Simulated::new(seed, Universe::parse(INSTRUMENTS, "instruments.toml").unwrap())
}

fn series(seed: u64, symbol: &str) -> (Arc<Instrument>, Arc<dyn Series>) {
    let tape = tape(seed);
    let instrument = tape.instrument(&symbol.parse().unwrap()).unwrap();
    let series = tape.series(&instrument);
    (instrument, series)
}

/// Instruments, also such as no instruments file has.
fn instruments() -> impl Strategy<Value = Instrument> {
    let nanos = || prop_oneof![1..=i64::MAX, 1i64..1_000_000_000_000, Just(1), Just(i64::MAX)];
    let volatility = prop_oneof![0.0..2.0, any::<f64>()];
    let interval = prop_oneof![Just(100_000_000), 100_000u64..10_000_000_000, any::<u64>()];
    let hours = prop_oneof![
        Just(None),
        Just(Some("09:15-15:30 Asia/Kolkata Mon-Fri")),
        Just(Some("17:00-17:00 America/New_York Sun-Thu")),
        Just(Some("10:00-16:00 Australia/Sydney Mon-Fri")),
        Just(Some("00:00-24:00 UTC Mon-Sun")),
    ];
    let factors = prop_oneof![
        Just(Vec::new()),
        Just(vec![("a".to_owned(), 0.5), ("b".to_owned(), -0.6)]),
        Just(vec![("a".to_owned(), f64::NAN), ("b".to_owned(), 9.0)]),
    ];
    (nanos(), nanos(), 1u64.., volatility, interval, hours, any::<bool>(), factors, -0.5..0.5f64).prop_map(
        |(reference, increment, unit, annual_volatility, interval, hours, closes, factors, annual_drift)| {
            Instrument {
                symbol: "RELIANCE".parse().unwrap(),
                name: "Reliance Industries".to_owned(),
                kind: "equity".to_owned(),
                currency: "INR".to_owned(),
                reference_price: Price::from_nanos(reference).unwrap(),
                price_increment: Price::from_nanos(increment).unwrap(),
                quantity_increment_nanos: NonZeroU64::new(unit).unwrap(),
                annual_volatility,
                daily_volume: 0.0,
                annual_drift,
                factors,
                follows: Vec::new(),
                tick_interval: Duration::from_nanos(interval),
                day_start: Duration::ZERO,
                hours: hours.map(|hours| hours.parse().unwrap()),
                closes,
                lease: Lease::default(),
            }
        },
    )
}

/// Sequences where a mistake would show: any at all, shortly before and after the seams of spans of every size, the
/// first and the last.
fn sequences() -> impl Strategy<Value = u64> {
    let seam = (0u32..64, any::<u64>(), 0u64..100)
        .prop_map(|(level, n, before)| (n >> level << level).wrapping_sub(before));
    prop_oneof![any::<u64>(), seam, (0u64..100).prop_map(|before| u64::MAX - before), 0u64..100]
}

/// Reads on from a sequence, and compares each tick and its book with random access.
fn check_cursor(series: &dyn Series, from: u64) -> Result<(), TestCaseError> {
    let mut cursor = series.cursor(Sequence(from));
    for step in 0..150 {
        let sequence = Sequence(from.saturating_add(step));
        prop_assert_eq!(cursor.tick(), series.tick(sequence));
        prop_assert_eq!(cursor.tick().sequence, sequence);
        prop_assert_eq!(cursor.top_of_book(), series.top_of_book(&cursor.tick()));
        cursor.advance();
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_cursor_reads_what_random_access_gives(
        seed: u64, from in sequences(), instrument in instruments(),
    ) {
        let series = SimulatedSeries::new(seed, &instrument);
        check_cursor(&series, from)?;
    }

    #[test]
    fn every_sequence_of_every_instrument_has_a_tick(
        seed: u64, n in sequences(), instrument in instruments(),
    ) {
        let series = SimulatedSeries::new(seed, &instrument);
        let (tick, next) = (series.tick(Sequence(n)), series.tick(Sequence(n).next()));
        prop_assert_eq!(series.first(), Sequence(0));
        prop_assert_eq!(tick.sequence, Sequence(n));
        prop_assert!(tick.price.nanos() > 0);
        prop_assert_eq!(tick.price.nanos() % instrument.price_increment.nanos(), 0);
        prop_assert!(tick.time <= next.time);
        // Only the end of time has more than one tick, and its newest is the last of all.
        let end = tick.time == Time::from_nanos(u64::MAX);
        prop_assert_eq!(series.sequence_at(tick.time), Some(if end { Sequence(u64::MAX) } else { Sequence(n) }));
    }
}

#[test]
fn a_cursor_crosses_every_sort_of_seam() {
    const DAY: u64 = 86_400_000_000_000;
    for symbol in ["RELIANCE", "FAST", "SLOW", "TRACKER", "EUR/INR"] {
        let (_, series) = series(7, symbol);
        check_cursor(&*series, 0).unwrap();
        // Blocks begin at multiples of 1,024 days, and the spans within them at halves of halves.
        for halvings in 0..34 {
            let seam = 19 * 1_024 * DAY + ((1_024 * DAY) >> halvings);
            let from = series.sequence_at(Time::from_nanos(seam)).unwrap().0 - 3;
            let mut cursor = series.cursor(Sequence(from));
            for n in from..from + 8 {
                assert_eq!(cursor.tick(), series.tick(Sequence(n)), "{symbol} {halvings}");
                assert_eq!(cursor.top_of_book(), series.top_of_book(&cursor.tick()));
                cursor.advance();
            }
        }
    }
}

#[test]
fn the_ticks_after_the_end_of_time_trade_at_the_last_quote() {
    let (_, series) = series(7, "SLOW");
    let end = Time::from_nanos(u64::MAX);
    let first = series.sequence_from(end);
    assert!(series.tick(Sequence(first.0 - 1)).time < end);
    let mut cursor = series.cursor(Sequence(first.0 - 2));
    for n in first.0 - 2..first.0 + 20 {
        assert_eq!(cursor.tick(), series.tick(Sequence(n)));
        cursor.advance();
    }
    assert_eq!(series.tick(Sequence(u64::MAX / 2)).time, end);
}

#[test]
fn the_last_tick_of_all_follows_itself() {
    let (_, series) = series(7, "RELIANCE");
    let mut cursor = series.cursor(Sequence(u64::MAX));
    let last = cursor.tick();
    cursor.advance();
    assert_eq!(cursor.tick(), last);
    assert_eq!(last.sequence, Sequence(u64::MAX));
}

#[test]
fn a_tape_is_the_same_whoever_reads_it_in_whatever_order() {
    let read = |order: &[u64]| {
        let (_, series) = series(7, "BTC-USD");
        let mut ticks: Vec<_> = order.iter().map(|n| series.tick(Sequence(*n))).collect();
        ticks.sort_by_key(|tick| tick.sequence);
        ticks
    };
    let forwards: Vec<u64> = (89_000_000_000..89_000_000_500).collect();
    let backwards: Vec<u64> = forwards.iter().rev().copied().collect();
    let elsewhere = std::thread::scope(|scope| scope.spawn(|| read(&backwards)).join().unwrap());
    assert_eq!(read(&forwards), elsewhere);
}

#[test]
fn seeds_and_symbols_have_tapes_of_their_own() {
    let prices = |seed, symbol| {
        let (_, series) = series(seed, symbol);
        (0..50).map(|n| series.tick(Sequence(n << 20)).price).collect::<Vec<_>>()
    };
    assert_eq!(prices(7, "RELIANCE"), prices(7, "RELIANCE"));
    assert_ne!(prices(7, "RELIANCE"), prices(8, "RELIANCE"));
    assert_ne!(prices(7, "FAST"), prices(7, "SLOW"));
}
