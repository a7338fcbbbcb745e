//! The symbols for tests: on every simulated tape, with the behaviour that docs/TEST_SYMBOLS.md promises.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::select};
use ticker::tape::{InstrumentStatus, TestSymbol};

use super::*;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
/// 2026-11-20 12:00:00 UTC.
const NOON: u64 = 1_795_176_000 * SECOND;

/// The ticks of a symbol from one time until just before another: time, price in nanos and sequence.
fn ticks(symbol: &str, from: u64, until: u64) -> Vec<(u64, i64, u64)> {
    let (_, series) = series(7, symbol);
    let [first, end] = [from, until].map(|time| series.sequence_from(Time::from_nanos(time)).0);
    let ticks = (first..end).map(|n| series.tick(Sequence(n)));
    ticks.map(|tick| (tick.time.nanos(), tick.price.nanos(), tick.sequence.0)).collect()
}

#[test]
fn every_simulated_tape_lists_them_and_no_other_symbol_begins_like_them() {
    for universe in [Universe::builtin(), Universe::parse(INSTRUMENTS, "instruments")] {
        let tape = Simulated::new(1, universe.unwrap().with_any_symbol(10));
        let listed = tape.instruments();
        assert!(listed.is_sorted_by_key(|instrument| instrument.symbol));
        let tests: Vec<_> = listed.iter().filter_map(|instrument| instrument.test_symbol()).collect();
        assert_eq!(tests, TestSymbol::ALL);
        let prefixed = listed.iter().filter(|instrument| instrument.symbol.as_str().starts_with("TEST."));
        assert!(prefixed.clone().count() == tests.len() && prefixed.clone().all(|test| test.is_for_tests()));
        assert!(tape.instrument(&"TEST.COUNTRE".parse().unwrap()).is_err());
        assert_eq!(tape.suggest("TEST.COUNTRE"), Some("TEST.COUNTER".parse().unwrap()));
    }
}

#[test]
fn they_are_the_same_on_every_tape() {
    for test in TestSymbol::ALL {
        let tick = |seed| series(seed, test.as_str()).1.tick(Sequence(1_000_000));
        assert_eq!(tick(1), tick(2));
    }
}

#[test]
fn the_counter_ticks_once_a_second_and_its_price_is_the_sequence() {
    let expected: Vec<_> = (0..100).map(|n| NOON / SECOND + n).collect();
    let expected: Vec<_> = expected.iter().map(|n| (n * SECOND, (n * SECOND) as i64, *n)).collect();
    assert_eq!(ticks("TEST.COUNTER", NOON, NOON + 100 * SECOND), expected);
    let (_, series) = series(7, "TEST.COUNTER");
    let price = |n| series.tick(Sequence(n)).price.to_string();
    assert_eq!((price(0), price(1), price(2)), ("1".into(), "1".into(), "2".into()));
    assert_eq!((price(9_223_372_035), price(9_223_372_036)), ("9223372035".into(), "9223372036".into()));
    assert_eq!((price(9_223_372_037), price(u64::MAX)), ("9223372036".into(), "9223372036".into()));
}

#[test]
fn the_square_wave_is_high_for_five_seconds_and_low_for_five() {
    let found = ticks("TEST.SQUARE", NOON, NOON + MINUTE);
    assert_eq!(found.len(), 600);
    for (place, (time, price, _)) in found.into_iter().enumerate() {
        assert_eq!(time, NOON + place as u64 * SECOND / 10);
        let is_high = time / SECOND % 10 < 5;
        assert_eq!(price, if is_high { 101_000_000_000 } else { 99_000_000_000 });
    }
}

#[test]
fn the_quiet_one_ticks_once_a_minute() {
    let found = ticks("TEST.QUIET", NOON, NOON + 60 * MINUTE);
    let sequence = NOON / MINUTE;
    let expected: Vec<_> = (0..60).map(|n| (NOON + n * MINUTE, 100_000_000_000, sequence + n)).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_burst_has_a_thousand_ticks_at_one_time_every_ten_seconds() {
    let found = ticks("TEST.BURST", NOON, NOON + MINUTE);
    assert_eq!(found.len(), 6_000);
    let first = found[0].2;
    for (place, (time, price, sequence)) in found.into_iter().enumerate() {
        assert_eq!(time, NOON + place as u64 / 1_000 * 10 * SECOND);
        assert_eq!(price, 100_000_000_000 + place as i64 % 1_000 * 10_000_000);
        assert_eq!(sequence, first + place as u64);
    }
    assert_eq!(first % 1_000, 0);
}

#[test]
fn the_halted_one_trades_in_even_minutes_only() {
    let (instrument, _) = series(7, "TEST.HALT");
    let found = ticks("TEST.HALT", NOON, NOON + 10 * MINUTE);
    assert_eq!(found.len(), 5 * 600);
    for (place, (time, price, _)) in found.into_iter().enumerate() {
        let (pattern, place) = (place as u64 / 600, place as u64 % 600);
        assert_eq!(time, NOON + pattern * 2 * MINUTE + place * SECOND / 10);
        assert_eq!(price, 100_000_000_000 + place as i64 * 10_000_000);
        assert_eq!(instrument.status_at(Time::from_nanos(time)), Some(InstrumentStatus::Open));
    }
    let halt = Time::from_nanos(NOON + MINUTE);
    assert_eq!(instrument.status_at(halt), Some(InstrumentStatus::Halted));
    assert_eq!(instrument.next_status_change(Time::from_nanos(NOON)), Some(halt));
    assert_eq!(instrument.next_status_change(halt), Some(Time::from_nanos(NOON + 2 * MINUTE)));
}

#[test]
fn the_limits_of_prices_come_in_turn() {
    let found = ticks("TEST.LIMITS", NOON, NOON + 10 * SECOND);
    let prices: Vec<_> = found.iter().map(|(_, price, _)| *price).collect();
    assert_eq!(prices, [1, i64::MAX].repeat(5));
    assert!(found.iter().enumerate().all(|(n, (time, ..))| *time == NOON + n as u64 * SECOND));
}

#[test]
fn the_longest_name_has_as_many_characters_as_a_symbol_may_have() {
    let found = ticks("TEST.THE-LONGEST-NAME-IS-32-LONG", NOON, NOON + 10 * SECOND);
    let expected: Vec<_> = (0..10).map(|n| (NOON + n * SECOND, 100_000_000_000, NOON / SECOND + n)).collect();
    assert_eq!(found, expected);
    assert!(format!("{}X", TestSymbol::LongestName.as_str()).parse::<ticker::tick::Symbol>().is_err());
}

#[test]
fn bid_and_ask_differ_by_an_increment_and_have_sizes_of_their_own() {
    for test in TestSymbol::ALL {
        let (instrument, series) = series(7, test.as_str());
        for n in (0..2_000).chain((0..10).map(|n| u64::MAX - n)) {
            let tick = series.tick(Sequence(n));
            let book = series.top_of_book(&tick).unwrap();
            assert_eq!(book.ask.nanos() - book.bid.nanos(), instrument.price_increment.nanos());
            assert!(BTreeSet::from([book.bid, book.ask]).contains(&tick.price));
            assert_eq!((book.bid_quantity, book.ask_quantity), (100, 200));
        }
    }
}

proptest! {
    #[test]
    fn a_cursor_on_them_reads_what_random_access_gives(
        test in select(&TestSymbol::ALL[..]), from in sequences(),
    ) {
        let (_, series) = series(7, test.as_str());
        check_cursor(&*series, from)?;
    }

    #[test]
    fn every_sequence_of_them_has_a_tick_that_is_found_by_its_time(
        test in select(&TestSymbol::ALL[..]), n in sequences(),
    ) {
        let (instrument, series) = series(7, test.as_str());
        let (tick, next) = (series.tick(Sequence(n)), series.tick(Sequence(n).next()));
        prop_assert!(tick.price.nanos() > 0 && tick.price.nanos() % instrument.price_increment.nanos() == 0);
        prop_assert!(tick.time <= next.time && tick.quantity == 1);
        // Of the ticks with this time, the first and the last.
        let (first, last) = (series.sequence_from(tick.time), series.sequence_at(tick.time).unwrap());
        prop_assert!((first..=last).contains(&Sequence(n)));
        prop_assert_eq!(series.tick(first).time, tick.time);
        prop_assert_eq!(series.tick(last).time, tick.time);
        let is_alone = test != TestSymbol::Burst && tick.time < Time::MAX;
        prop_assert!(!is_alone || first == last);
    }

    #[test]
    fn at_every_time_their_newest_tick_is_known(test in select(&TestSymbol::ALL[..]), nanos: u64) {
        let (_, series) = series(7, test.as_str());
        let time = Time::from_nanos(nanos);
        let newest = series.sequence_at(time).unwrap();
        prop_assert!(series.tick(newest).time <= time);
        prop_assert!(newest.0 == u64::MAX || series.tick(newest.next()).time > time);
    }
}
