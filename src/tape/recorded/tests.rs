//! Holds the tape of a recording against a plain list of its ticks.

use proptest::prelude::*;

use super::{
    intake::{Intake, Row},
    *,
};
use crate::tick::{Price, Sequence, Tick};

const WHOLE: u64 = 1_000_000_000;

/// A trade of the symbol with this number.
#[derive(Clone, Copy, Debug)]
struct Trade {
    symbol: usize,
    time: u64,
    price: i64,
    quantity: u64,
}

const SYMBOLS: [&str; 3] = ["B", "A", "C"];

fn intake(trades: &[Trade], first: Option<u64>) -> Intake {
    let mut intake = Intake::default();
    let mut next = SYMBOLS.map(|_| first);
    for trade in trades {
        let sequence = next[trade.symbol].map(Sequence);
        next[trade.symbol] = sequence.map(|sequence| sequence.next().0);
        let row = Row {
            symbol: SYMBOLS[trade.symbol],
            time: Time::from_nanos(trade.time),
            price: Price::from_nanos(trade.price).unwrap(),
            quantity: trade.quantity,
            sequence,
        };
        intake.take(&row).unwrap();
    }
    intake
}

fn recorded(trades: &[Trade], first: Option<u64>, looped: bool) -> Recorded {
    Recorded::of(intake(trades, first).finish(None), looped)
}

/// The ticks of one symbol, pass after pass.
fn model(trades: &[Trade], symbol: usize, first: u64, period: Option<u64>, passes: u64) -> Vec<Tick> {
    let increment = trades.iter().filter(|trade| trade.symbol == symbol).fold(WHOLE, |mut unit, trade| {
        while trade.quantity % unit != 0 {
            unit /= 10;
        }
        unit
    });
    let mut ticks = Vec::new();
    for pass in 0..period.map_or(1, |_| passes) {
        for trade in trades.iter().filter(|trade| trade.symbol == symbol) {
            ticks.push(Tick {
                sequence: Sequence(first + ticks.len() as u64),
                time: Time::from_nanos(trade.time + pass * period.unwrap_or_default()),
                price: Price::from_nanos(trade.price).unwrap(),
                quantity: trade.quantity / increment,
            });
        }
    }
    ticks
}

/// Trades in the order of their times, some of them at the same time, of one symbol or of several.
fn trades() -> impl Strategy<Value = Vec<Trade>> {
    let distance = prop_oneof![Just(0), 0..50u64, 0..10_000_000_000u64];
    let price = prop_oneof![1..=i64::MAX, (1..1_000_000i64).prop_map(|cents| cents * 10_000_000)];
    let quantity = prop_oneof![Just(0), 1..=u64::MAX, (1..1_000u64).prop_map(|whole| whole * WHOLE)];
    let trade = (0..SYMBOLS.len(), distance, price, quantity);
    let few = prop::collection::vec(trade.clone(), 1..12);
    let many = prop::collection::vec(trade, 2_000..3_000);
    (prop_oneof![9 => few, 1 => many], 0..1u64 << 60, 1..=SYMBOLS.len()).prop_map(
        |(trades, start, symbols)| {
            let mut time = start;
            let trade = |(symbol, distance, price, quantity): (usize, u64, i64, u64)| {
                time += distance;
                Trade { symbol: symbol % symbols, time, price, quantity }
            };
            trades.into_iter().map(trade).collect()
        },
    )
}

proptest! {
    #[test]
    fn a_recording_is_the_list_of_its_ticks_once_or_again_and_again(
        trades in trades(), looped: bool, first in prop::option::of(0..1u64 << 62), near: prop::sample::Index, off in -2i64..=2,
    ) {
        const PASSES: u64 = 4;
        let tape = recorded(&trades, first, looped);
        prop_assert_eq!(tape.extent().ticks, trades.len() as u64);
        let period = tape.extent().period.map(|period| period.as_nanos() as u64);
        for instrument in tape.instruments().iter() {
            let symbol = SYMBOLS.iter().position(|symbol| *symbol == instrument.symbol.as_str()).unwrap();
            let model = model(&trades, symbol, first.unwrap_or(1), period, PASSES);
            let series = tape.series(instrument);
            let end = model.last().unwrap();
            prop_assert_eq!(series.first(), model[0].sequence);
            if !looped {
                prop_assert_eq!(series.last(), end.sequence);
            }

            let place = near.index(model.len());
            let mut cursor = series.cursor(model[place].sequence);
            for tick in &model[place..] {
                prop_assert_eq!(cursor.tick(), *tick);
                prop_assert_eq!(series.tick(tick.sequence), *tick);
                prop_assert!(tick.price.nanos() % instrument.price_increment.nanos() == 0);
                cursor.advance();
            }
            if !looped {
                prop_assert_eq!(cursor.tick(), *end, "the last tick of all follows itself");
                prop_assert_eq!(series.tick(Sequence(u64::MAX)), *end);
            }
            prop_assert_eq!(series.tick(Sequence(0)), model[0]);

            let mut time = Time::from_nanos(model[place].time.nanos().saturating_add_signed(off));
            if looped {
                // The next pass, which the list does not have, may be as near as a nanosecond.
                time = time.min(end.time);
            }
            let at = model.iter().rev().find(|tick| tick.time <= time).map(|tick| tick.sequence);
            let from = model.iter().find(|tick| tick.time >= time).map(|tick| tick.sequence);
            prop_assert_eq!(series.sequence_at(time), at);
            prop_assert_eq!(series.sequence_from(time), from.unwrap_or(end.sequence.next()));
        }
    }

    #[test]
    fn a_loop_has_a_tick_for_every_sequence_to_the_end_of_time(
        trades in trades(), first in prop::option::of(prop_oneof![any::<u64>(), u64::MAX - 4_000..=u64::MAX]), n: u64,
    ) {
        prop_assume!(first.is_none_or(|first| first.checked_add(trades.len() as u64).is_some()));
        let tape = recorded(&trades, first, true);
        for instrument in tape.instruments().iter() {
            let series = tape.series(instrument);
            let (tick, next) = (series.tick(Sequence(n)), series.tick(Sequence(n).next()));
            prop_assert!(tick.time <= next.time);
            prop_assert_eq!(tick.sequence, Sequence(n).clamp(series.first(), series.last()));
            prop_assert!(series.sequence_at(tick.time).unwrap() >= tick.sequence);
            prop_assert_eq!(series.sequence_at(Time::MAX), Some(series.last()));
            prop_assert!(series.last().next() > series.last(), "a reader goes on after any tick");
            let mut cursor = series.cursor(series.last());
            let last = cursor.tick();
            cursor.advance();
            prop_assert_eq!(cursor.tick(), last);
        }
    }
}

fn trade(symbol: usize, time: u64) -> Trade {
    Trade { symbol, time, price: 2_930_550_000_000, quantity: 5 * WHOLE }
}

#[test]
fn the_seam_of_a_loop_is_as_long_as_the_mean_distance_and_the_same_for_all() {
    let tape = recorded(&[trade(0, 100), trade(1, 130), trade(0, 140), trade(0, 160)], None, true);
    assert_eq!(tape.extent().period, Some(Duration::from_nanos(60 + 20)));
    let times = |symbol: &str| {
        let series = tape.series(&tape.instrument(&symbol.parse().unwrap()).unwrap());
        let mut cursor = series.cursor(Sequence(0));
        let mut time = || {
            let time = cursor.tick().time.nanos();
            cursor.advance();
            time
        };
        [time(), time(), time(), time()]
    };
    assert_eq!(times(SYMBOLS[0]), [100, 140, 160, 180]);
    assert_eq!(times(SYMBOLS[1]), [130, 210, 290, 370]);
}

#[test]
fn a_recording_of_one_moment_is_repeated_each_second() {
    let tape = recorded(&[trade(0, 5), trade(1, 5)], None, true);
    assert_eq!(tape.extent().period, Some(Duration::from_secs(1)));
}

#[test]
fn the_identity_is_that_of_the_ticks_and_of_the_loop() {
    let trades = [trade(0, 100), trade(1, 130), trade(0, 140)];
    let tape_id = |trades: &[Trade], first, looped| recorded(trades, first, looped).identity.tape_id;
    let own = tape_id(&trades, None, false);
    assert_eq!(own.len(), 32);
    assert_eq!(own, tape_id(&trades, Some(1), false), "counted from one, or written so");
    assert_eq!(
        own,
        tape_id(&[trades[1], trades[0], trades[2]], None, false),
        "the order across symbols is no part of a tape"
    );
    let others = [
        tape_id(&trades, None, true),
        tape_id(&trades, Some(2), false),
        tape_id(&trades[..2], None, false),
        tape_id(&[trade(0, 100), trade(1, 130), trade(0, 141)], None, false),
        tape_id(&[trade(0, 100), trade(1, 130), Trade { price: 1, ..trades[2] }], None, false),
        tape_id(&[trade(0, 100), trade(1, 130), Trade { quantity: 1, ..trades[2] }], None, false),
        tape_id(&[trade(0, 100), trade(2, 130), trade(0, 140)], None, false),
    ];
    for (at, other) in others.iter().enumerate() {
        assert!(*other != own && !others[..at].contains(other), "{at}");
    }
}

#[test]
fn the_instruments_are_made_of_the_ticks_and_of_what_describes_them() {
    let trades = [
        Trade { symbol: 0, time: 1, price: 2_930_550_000_000, quantity: 2_500_000_000 },
        Trade { symbol: 0, time: 2, price: 3_000_000_000_000, quantity: 30_000_000 },
        Trade { symbol: 1, time: 2, price: 20_000_000_000, quantity: 100 * WHOLE },
    ];
    let described = "[[instrument]]\nsymbol = 'A'\nreference_price = 1\nname = 'Alpha'\nkind = 'equity'\n\
                     currency = 'INR'\nprice_increment = 0.05\n\
                     [[instrument]]\nsymbol = 'Z'\nreference_price = 1";
    let described = Universe::parse(described, "test").unwrap();
    let tape = Recorded::of(intake(&trades, None).finish(Some(&described)), false);
    let [a, b] = &*tape.instruments() else { panic!("two instruments") };
    assert_eq!(
        (a.symbol.as_str(), a.name.as_str(), a.kind.as_str(), a.currency.as_str()),
        ("A", "Alpha", "equity", "INR")
    );
    assert_eq!(
        (b.symbol.as_str(), b.name.as_str(), b.kind.as_str(), b.currency.as_str()),
        ("B", "B", "recorded", "")
    );
    let increments = |instrument: &Instrument| {
        (instrument.price_increment.to_string(), instrument.quantity_increment_nanos.get())
    };
    assert_eq!(increments(a), ("1".to_owned(), WHOLE), "at most one whole");
    assert_eq!(increments(b), ("0.01".to_owned(), 10_000_000));
    assert_eq!(b.reference_price.to_string(), "2930.55");
    assert_eq!(tape.series(b).tick(Sequence(1)).quantity, 250);
    assert_eq!(tape.suggest("b").map(|symbol| symbol.to_string()).as_deref(), Some("B"));
}
