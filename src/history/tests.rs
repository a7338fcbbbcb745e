//! Every fold against the plain one over a list of ticks.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::{
    tape::{Cursor, Instrument, Series, SimulatedSeries},
    tick::{Price, Sequence, Tick, Time},
};

const HOUR: u64 = 3_600_000_000_000;

/// A series of ticks that are written down. Its first sequence need not be zero.
struct Written(Arc<[Tick]>);

struct WrittenCursor {
    ticks: Arc<[Tick]>,
    at: usize,
}

impl Series for Written {
    fn first(&self) -> Sequence {
        self.0[0].sequence
    }

    fn last(&self) -> Sequence {
        self.0[self.0.len() - 1].sequence
    }

    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        let after = self.0.partition_point(|tick| tick.time <= time);
        after.checked_sub(1).map(|at| self.0[at].sequence)
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        self.cursor(sequence).tick()
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        let at = from.0.saturating_sub(self.first().0).min(self.0.len() as u64 - 1);
        Box::new(WrittenCursor { ticks: self.0.clone(), at: at as usize })
    }
}

impl Cursor for WrittenCursor {
    fn tick(&self) -> Tick {
        self.ticks[self.at]
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.ticks.len() - 1);
    }
}

/// Ticks that are nothing, a moment, hours or days apart.
fn ticks(most: usize) -> impl Strategy<Value = Arc<[Tick]>> {
    let gap = prop_oneof![Just(0), 1..HOUR / 60, 0..HOUR, 20 * HOUR..100 * HOUR];
    let quantity = prop_oneof![20 => 1u64..1000, 1 => Just(u64::MAX)];
    let trades = prop::collection::vec((gap, 1i64..100, quantity), 1..most);
    (0u64..10, 0..100 * HOUR, trades).prop_map(|(first, start, trades)| {
        let mut time = start;
        let tick = |(at, (gap, price, quantity))| {
            time += gap;
            Tick {
                sequence: Sequence(first + at as u64),
                time: Time::from_nanos(time),
                price: Price::from_nanos(price).unwrap(),
                quantity: NonZeroU64::new(quantity).unwrap(),
            }
        };
        trades.into_iter().enumerate().map(tick).collect()
    })
}

fn day_starts() -> impl Strategy<Value = Duration> {
    (0u64..24 * HOUR).prop_map(Duration::from_nanos)
}

/// The day as of each tick.
fn days(ticks: &[Tick], day_start: Duration) -> Vec<Day> {
    let day_of = |tick: &Tick| Day::start_of(tick.time, day_start);
    let day = |upto: usize| {
        let start = day_of(&ticks[upto]);
        let first = ticks.iter().position(|tick| day_of(tick) == start).unwrap();
        let day = &ticks[first..=upto];
        Day {
            start,
            open: day[0].price,
            high: day.iter().map(|tick| tick.price).max().unwrap(),
            low: day.iter().map(|tick| tick.price).min().unwrap(),
            volume: day.iter().fold(0u64, |sum, tick| sum.saturating_add(tick.quantity.get())),
            previous_close: first.checked_sub(1).map(|before| ticks[before].price),
            last: ticks[upto].price,
        }
    };
    (0..ticks.len()).map(day).collect()
}

proptest! {
    #[test]
    fn a_day_fold_has_the_figures_of_the_day_as_of_every_tick(
        ticks in ticks(60), day_start in day_starts(), from: prop::sample::Index,
        steps in prop::collection::vec((0usize..20, 0usize..8), 1..30),
    ) {
        let days = days(&ticks, day_start);
        let first = ticks[0].sequence.0;
        let series: Arc<dyn Series> = Arc::new(Written(ticks.clone()));
        let start = from.index(ticks.len());
        let mut fold = DayFold::new(series, day_start, ticks[start].sequence);
        let mut upto = start;
        for (further, most) in steps {
            upto = (upto + further).min(ticks.len() - 1);
            let (before, wanted) = (fold.sequence(), ticks[upto].sequence);
            let there = fold.advance(wanted, most);
            prop_assert_eq!(there, fold.sequence() == wanted);
            prop_assert!(fold.sequence() >= before);
            prop_assert_eq!(*fold.day(), days[(fold.sequence().0 - first) as usize]);
            // It took no more than it was allowed, or began another day.
            prop_assert!(there || most == 0 || fold.sequence() > before);
        }
        let last = ticks[ticks.len() - 1].sequence;
        prop_assert!(fold.advance(Sequence(u64::MAX), ticks.len()));
        prop_assert_eq!((fold.sequence(), fold.day()), (last, &days[days.len() - 1]));
    }
}

#[test]
fn a_day_fold_for_an_earlier_tick_of_the_day_begins_nearby() {
    // 4,320,000 ticks a day: more than 512 times 4,096.
    let instrument = Instrument {
        reference_price: Price::from_nanos(1_000_000).unwrap(),
        ..Instrument::named("A", Duration::from_millis(20))
    };
    let series: Arc<dyn Series> = Arc::new(SimulatedSeries::new(7, &instrument));
    let first = 4_320_000 * 3;
    let upto = Sequence(first + 2_500_000);
    let mut fold = DayFold::new(series.clone(), Duration::ZERO, upto);
    assert_eq!(fold.sequence().0, first);
    assert!(!fold.advance(upto, 2_499_999) && fold.advance(upto, 1));

    let mut whole = DayFold::new(series, Duration::ZERO, upto);
    for back in [2_499_999, 2_495_905, 2_000_000, 1_234_567, 4_095, 1, 0] {
        let earlier = Sequence(upto.0 - back);
        let mut second = fold.at(earlier).unwrap();
        assert!(earlier.0 - second.sequence().0 < 8_192);
        assert!(second.advance(earlier, 8_192) && whole.advance(earlier, usize::MAX));
        assert_eq!(second.day(), whole.day());
    }
    assert!(fold.at(Sequence(first - 1)).is_none());
    assert!(fold.remembered_bytes() <= 40 * 1024, "{}", fold.remembered_bytes());
}
