//! Every fold against the plain one over a list of ticks.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    tape::{Cursor, Instrument, Series, SimulatedSeries, Totals, TradingDays},
    tick::{Price, Sequence, Tick, Time},
};

const HOUR: u64 = 3_600_000_000_000;

/// A series of ticks that are written down, with or without their totals. Its first sequence need not be zero.
struct Written {
    ticks: Arc<[Tick]>,
    has_totals: bool,
}

struct WrittenCursor {
    ticks: Arc<[Tick]>,
    at: usize,
}

impl Series for Written {
    fn first(&self) -> Sequence {
        self.ticks[0].sequence
    }

    fn last(&self) -> Sequence {
        self.ticks[self.ticks.len() - 1].sequence
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        let after = self.ticks.partition_point(|tick| tick.time <= time);
        after.checked_sub(1).map(|at| self.ticks[at].sequence)
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        self.cursor(sequence).tick()
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        let at = from.0.saturating_sub(self.first().0).min(self.ticks.len() as u64 - 1);
        Box::new(WrittenCursor { ticks: self.ticks.clone(), at: at as usize })
    }

    fn has_totals(&self) -> bool {
        self.has_totals
    }

    fn totals(&self, range: Range<Sequence>) -> Option<Totals> {
        let at = |sequence: Sequence| (sequence.0 - self.first().0) as usize;
        let ticks = &self.ticks[at(range.start)..at(range.end)];
        self.has_totals.then(|| Totals {
            high: ticks.iter().map(|tick| tick.price).max().unwrap(),
            low: ticks.iter().map(|tick| tick.price).min().unwrap(),
            volume: ticks.iter().fold(0, |sum, tick| sum.saturating_add(tick.quantity)),
        })
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

/// A series whose tick *n* takes place at n × interval.
#[derive(Clone, Copy)]
struct Metronome {
    interval: u64,
    at: u64,
}

impl Series for Metronome {
    fn is_complete(&self) -> bool {
        true
    }

    fn first(&self) -> Sequence {
        Sequence(0)
    }

    fn last(&self) -> Sequence {
        Sequence(u64::MAX)
    }

    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        Some(Sequence(time.nanos() / self.interval))
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        self.cursor(sequence).tick()
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(Self { at: from.0, ..*self })
    }
}

impl Cursor for Metronome {
    fn tick(&self) -> Tick {
        Tick {
            sequence: Sequence(self.at),
            time: Time::from_nanos(self.at * self.interval),
            price: Price::from_nanos(1).unwrap(),
            quantity: 1,
        }
    }

    fn advance(&mut self) {
        self.at += 1;
    }
}

/// A metronome that has totals, and counts what is asked of it.
struct Counted {
    metronome: Metronome,
    ticks: Arc<AtomicU64>,
    totals: AtomicU64,
}

struct CountedCursor(Box<dyn Cursor>, Arc<AtomicU64>);

impl Series for Counted {
    fn is_complete(&self) -> bool {
        true
    }

    fn first(&self) -> Sequence {
        self.metronome.first()
    }

    fn last(&self) -> Sequence {
        self.metronome.last()
    }

    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        self.metronome.sequence_at(time)
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        self.cursor(sequence).tick()
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(CountedCursor(self.metronome.cursor(from), self.ticks.clone()))
    }

    fn has_totals(&self) -> bool {
        true
    }

    fn totals(&self, ticks: Range<Sequence>) -> Option<Totals> {
        self.totals.fetch_add(1, Relaxed);
        let price = Price::from_nanos(1).unwrap();
        Some(Totals { high: price, low: price, volume: ticks.end.0 - ticks.start.0 })
    }
}

impl Cursor for CountedCursor {
    fn tick(&self) -> Tick {
        self.1.fetch_add(1, Relaxed);
        self.0.tick()
    }

    fn advance(&mut self) {
        self.0.advance();
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
                quantity,
            }
        };
        trades.into_iter().enumerate().map(tick).collect()
    })
}

fn trading_days() -> impl Strategy<Value = TradingDays> {
    let sessions = TradingDays::Sessions("09:15-15:30 Asia/Kolkata Mon-Fri".parse().unwrap());
    let day_starts = (0u64..24 * HOUR).prop_map(Duration::from_nanos);
    prop_oneof![3 => day_starts.prop_map(TradingDays::Every24Hours), 1 => Just(sessions)]
}

/// The day as of each tick.
fn days(ticks: &[Tick], days: &TradingDays) -> Vec<Day> {
    let day_of = |tick: &Tick| days.day_of(tick.time).start;
    let day = |upto: usize| {
        let start = day_of(&ticks[upto]);
        let first = ticks.iter().position(|tick| day_of(tick) == start).unwrap();
        let day = &ticks[first..=upto];
        Day {
            start,
            end: days.day_of(ticks[upto].time).end,
            open: day[0].price,
            high: day.iter().map(|tick| tick.price).max().unwrap(),
            low: day.iter().map(|tick| tick.price).min().unwrap(),
            volume: day.iter().fold(0u64, |sum, tick| sum.saturating_add(tick.quantity)),
            previous_close: first.checked_sub(1).map(|before| ticks[before].price),
            last: ticks[upto].price,
        }
    };
    (0..ticks.len()).map(day).collect()
}

/// Times before, among and after the ticks.
fn times() -> impl Strategy<Value = Time> {
    prop_oneof![0..200 * HOUR, Just(0), Just(u64::MAX), 0..7000 * HOUR].prop_map(Time::from_nanos)
}

/// What [`now_of`] takes.
fn nows() -> impl Strategy<Value = (Time, Option<prop::sample::Index>)> {
    (times(), prop::option::of(any::<prop::sample::Index>()))
}

/// Any time, or the time of one of the ticks.
fn now_of((time, tick): (Time, Option<prop::sample::Index>), ticks: &[Tick]) -> Time {
    tick.map_or(time, |tick| tick.get(ticks).time)
}

fn taken_place(ticks: &[Tick], now: Time) -> Vec<Tick> {
    ticks.iter().copied().filter(|tick| tick.time <= now).collect()
}

/// The candles that begin at some time or later and before another.
fn candles(ticks: &[Tick], interval: CandleInterval, times: Range<Time>) -> Vec<Candle> {
    let mut intervals: BTreeMap<Time, Vec<Tick>> = BTreeMap::new();
    for tick in ticks {
        intervals.entry(interval.open_time(tick.time)).or_default().push(*tick);
    }
    let begins = interval.open_time(times.start)..times.end;
    let candle = |(open_time, ticks): (Time, Vec<Tick>)| Candle {
        open_time,
        open: ticks[0].price,
        high: ticks.iter().map(|tick| tick.price).max().unwrap(),
        low: ticks.iter().map(|tick| tick.price).min().unwrap(),
        close: ticks[ticks.len() - 1].price,
        volume: ticks.iter().fold(0, |sum, tick| sum.saturating_add(tick.quantity)),
        tick_count: ticks.len() as u64,
    };
    let mut intervals: Vec<_> = intervals.into_iter().collect();
    intervals.retain(|(open_time, _)| !times.is_empty() && begins.contains(open_time));
    intervals.into_iter().map(candle).collect()
}

fn interval(seconds: u64) -> CandleInterval {
    CandleInterval::new(Duration::from_secs(seconds)).unwrap()
}

fn written(ticks: &Arc<[Tick]>, has_totals: bool) -> Arc<Written> {
    Arc::new(Written { ticks: ticks.clone(), has_totals })
}

fn past(ticks: &Arc<[Tick]>, has_totals: bool, now: Time) -> PastTicks {
    PastTicks::new(written(ticks, has_totals), now)
}

proptest! {
    #[test]
    fn a_day_fold_has_the_figures_of_the_day_as_of_every_tick(
        ticks in ticks(60), trading_days in trading_days(), from: prop::sample::Index,
        steps in prop::collection::vec((0usize..20, 0usize..8), 1..30), back in prop::sample::Index::arbitrary(),
    ) {
        let days = days(&ticks, &trading_days);
        let first = ticks[0].sequence.0;
        let series: Arc<dyn Series> = written(&ticks, false);
        let start = from.index(ticks.len());
        let cached = CandleCache::default().of("A".parse().unwrap(), &*series);
        // The first time no hour is cached, the second time some are.
        for cached in [CachedCandles::default(), cached.clone(), cached] {
            let mut fold = DayFold::new(series.clone(), trading_days.clone(), ticks[start].sequence, cached);
            let mut upto = start;
            for (further, most) in &steps {
                upto = (upto + further).min(ticks.len() - 1);
                let (before, wanted) = (fold.sequence(), ticks[upto].sequence);
                let there = fold.reach(wanted, &mut most.clone()).is_some();
                prop_assert_eq!(there, fold.sequence() == wanted);
                prop_assert!(fold.sequence() >= before);
                prop_assert_eq!(*fold.day(), days[(fold.sequence().0 - first) as usize]);
                // It took no more than it was allowed, or began another day.
                prop_assert!(there || *most == 0 || fold.sequence() > before);
            }
            let last = ticks[ticks.len() - 1].sequence;
            prop_assert!(fold.reach(Sequence(u64::MAX), &mut usize::MAX.clone()).is_some());
            prop_assert_eq!((fold.sequence(), fold.day()), (last, &days[days.len() - 1]));
            // A fold that begins at an earlier tick goes on from there.
            let back = back.index(ticks.len());
            if let Some(mut earlier) = fold.at(ticks[back].sequence) {
                let day = earlier.reach(ticks[back].sequence, &mut usize::MAX.clone());
                prop_assert_eq!(day, Some(days[back]));
                prop_assert_eq!(earlier.reach(last, &mut usize::MAX.clone()), Some(days[days.len() - 1]));
            }
        }
    }

    #[test]
    fn the_pages_of_a_range_have_each_tick_that_has_taken_place_exactly_once(
        ticks in ticks(60), now in times(), start in 0u64..80, end in prop_oneof![0u64..80, Just(u64::MAX)],
        order in prop_oneof![Just(Order::OldestFirst), Just(Order::NewestFirst)],
        sizes in prop::collection::vec(1usize..20, 1..10),
    ) {
        let past = past(&ticks, false, now);
        let mut expected = taken_place(&ticks, now);
        expected.retain(|tick| (start..end).contains(&tick.sequence.0));
        if order == Order::NewestFirst {
            expected.reverse();
        }
        let (mut range, mut listed) = (Sequence(start)..Sequence(end), Vec::new());
        for most in sizes.into_iter().cycle() {
            let page = past.page(range.clone(), order, most);
            prop_assert!(page.ticks.len() <= most);
            listed.extend(page.ticks);
            match (page.next, order) {
                (None, _) => break,
                (Some(next), Order::OldestFirst) => range.start = next,
                (Some(next), Order::NewestFirst) => range.end = next.next(),
            }
        }
        prop_assert_eq!(listed, expected);
    }

    #[test]
    fn a_range_of_times_holds_the_ticks_from_its_start_to_before_its_end(
        ticks in ticks(60), start in times(), end in times(),
    ) {
        let past = past(&ticks, false, Time::MAX);
        let listed = past.page(past.sequence_from(start)..past.sequence_from(end), Order::OldestFirst, ticks.len()).ticks;
        let expected: Vec<_> =
            ticks.iter().copied().filter(|tick| (start..end).contains(&tick.time)).collect();
        prop_assert_eq!(listed, expected);
    }

    #[test]
    fn the_pages_of_candles_are_the_folds_of_the_ticks_of_their_intervals(
        ticks in ticks(60), has_totals in any::<bool>(), now in nows(), start in times(), end in times(),
        interval in prop::sample::select(vec![1u64, 60, 900, 3600, 86_400]),
        sizes in prop::collection::vec(1usize..20, 1..10),
    ) {
        let now = now_of(now, &ticks);
        let (past, interval) = (past(&ticks, has_totals, now), self::interval(interval));
        let expected = candles(&taken_place(&ticks, now), interval, start..end);
        let (mut times, mut listed) = (start..end, Vec::new());
        for most in sizes.into_iter().cycle() {
            let page = past.candles(interval, times.clone(), most).finish().unwrap();
            prop_assert!(page.candles.len() <= most);
            listed.extend(page.candles);
            match page.next {
                None => break,
                Some(next) => times.start = next,
            }
        }
        prop_assert_eq!(listed, expected);
    }

    #[test]
    fn the_pages_of_candles_of_ticks_in_order_are_those_of_the_series(
        ticks in ticks(60), start in times(), end in times(),
        interval in prop::sample::select(vec![1u64, 60, 900, 3600, 86_400]),
        most in 1usize..20,
    ) {
        let (past, interval) = (past(&ticks, false, Time::MAX), self::interval(interval));
        let expected = past.candles(interval, start..end, most).finish().unwrap();
        let mut candles = CandlesInOrder::new(interval, end, most);
        let begun = ticks.iter().filter(|tick| start < end && tick.time >= interval.open_time(start));
        for tick in begun {
            if !candles.take(tick).unwrap() {
                break;
            }
        }
        prop_assert_eq!(candles.page(), expected);
    }

    #[test]
    fn candles_with_a_cache_and_with_help_are_those_without(
        ticks in ticks(60), has_totals in any::<bool>(), requests in prop::collection::vec(
            (nows(), times(), times(), prop::sample::select(vec![1u64, 60, 900, 3600, 86_400]), 1usize..20, 0u64..99),
            1..12,
        ),
        helps in prop::collection::vec(0usize..4, 1..10), steps in prop::collection::vec(0u64..40, 1..10),
    ) {
        let cached = CandleCache::default().of("A".parse().unwrap(), &*written(&ticks, has_totals));
        for (now, start, end, interval, most, budget) in requests {
            let (now, interval) = (now_of(now, &ticks), self::interval(interval));
            let expected = past(&ticks, false, now).candles(interval, start..end, most).finish().unwrap();
            let past = past(&ticks, has_totals, now).with_cache(cached.clone());
            let mut fold = past.candles(interval, start..end, most).with_budget(budget);
            let parts = fold.parts();
            let (mut helps, mut steps) = (helps.iter().cycle(), steps.iter().copied().chain([1]).cycle());
            let page = loop {
                if let Some(page) = fold.step(steps.next().unwrap()).unwrap() {
                    break page;
                }
                for _ in 0..*helps.next().unwrap() {
                    parts.help();
                }
            };
            prop_assert_eq!(&page.candles, &expected.candles[..page.candles.len()]);
            prop_assert_eq!(page.candles.is_empty(), expected.candles.is_empty());
            let next = expected.candles.get(page.candles.len()).map(|candle| candle.open_time).or(expected.next);
            prop_assert_eq!(page.next, next);
        }
    }

    #[test]
    fn candles_made_in_pieces_of_any_size_are_those_made_in_one(
        ticks in ticks(60), has_totals in any::<bool>(), now in nows(), start in times(), end in times(),
        most in 1usize..20,
        interval in prop::sample::select(vec![1u64, 60, 900, 3600, 86_400]),
        pieces in prop::collection::vec(0u64..40, 1..10),
    ) {
        let (past, interval) = (past(&ticks, has_totals, now_of(now, &ticks)), self::interval(interval));
        let mut fold = past.candles(interval, start..end, most);
        let mut pieces = pieces.into_iter().chain([1]).cycle();
        let page = loop {
            if let Some(page) = fold.step(pieces.next().unwrap()).unwrap() {
                break page;
            }
        };
        prop_assert_eq!(page, past.candles(interval, start..end, most).finish().unwrap());
    }

    #[test]
    fn a_digest_made_in_pieces_of_any_size_is_the_one_made_in_one(
        ticks in ticks(60), now in times(), start in 0u64..80, end in prop_oneof![0u64..80, Just(u64::MAX)],
        pieces in prop::collection::vec(0u64..40, 1..10),
    ) {
        let (past, range) = (past(&ticks, false, now), Sequence(start)..Sequence(end));
        let mut fold = past.digest(range.clone());
        let mut pieces = pieces.into_iter().chain([1]).cycle();
        let digest = loop {
            if let Some(digest) = fold.step(pieces.next().unwrap()) {
                break digest;
            }
        };
        prop_assert_eq!(digest, past.digest(range).finish());
    }

    #[test]
    fn a_digest_is_that_of_the_fields_of_the_ticks(
        ticks in ticks(60), now in times(), start in 0u64..80, end in prop_oneof![0u64..80, Just(u64::MAX)],
    ) {
        let range = Sequence(start)..Sequence(end);
        let digest = past(&ticks, false, now).digest(range.clone()).finish();
        let mut expected = Sha256::new();
        let mut count = 0;
        for tick in taken_place(&ticks, now).iter().filter(|tick| range.contains(&tick.sequence)) {
            count += 1;
            for field in
                [tick.sequence.0, tick.time.nanos(), tick.price.nanos() as u64, tick.quantity]
            {
                expected.update(field.to_le_bytes());
            }
        }
        prop_assert_eq!(digest.sha256, <[u8; 32]>::from(expected.finalize()));
        prop_assert_eq!(digest.range.end.0 - digest.range.start.0, count);
        prop_assert_eq!(digest.range.start, range.start.max(ticks[0].sequence));
    }
}

#[test]
fn a_day_fold_for_an_earlier_tick_of_the_day_begins_nearby() {
    // 4,320,000 ticks a day on average: more than 512 times 4,096.
    let instrument = Instrument {
        reference_price: Price::from_nanos(1_000_000).unwrap(),
        ..Instrument::named("A", Duration::from_millis(20))
    };
    let series: Arc<dyn Series> = Arc::new(SimulatedSeries::new(7, &instrument));
    let days = (3..).map(|day| day * 24 * HOUR..(day + 1) * 24 * HOUR);
    let sequences =
        |day: Range<u64>| [day.start, day.end].map(|nanos| series.sequence_from(Time::from_nanos(nanos)).0);
    let [first, _] = days.map(sequences).find(|[first, next]| next - first > 2_500_000).unwrap();
    let upto = Sequence(first + 2_500_000);
    let advance = |fold: &mut DayFold, upto, most: usize| fold.reach(upto, &mut most.clone()).is_some();
    let days = TradingDays::Every24Hours(Duration::ZERO);
    let begin = || DayFold::new(series.clone(), days.clone(), upto, CachedCandles::default());
    let mut fold = begin();
    assert_eq!(fold.sequence().0, first);
    assert!(!advance(&mut fold, upto, 2_499_999) && advance(&mut fold, upto, 1));

    let mut whole = begin();
    for back in [2_499_999, 2_495_905, 2_000_000, 1_234_567, 4_095, 1, 0] {
        let earlier = Sequence(upto.0 - back);
        let mut second = fold.at(earlier).unwrap();
        assert!(earlier.0 - second.sequence().0 < 8_192);
        assert!(advance(&mut second, earlier, 8_192) && advance(&mut whole, earlier, usize::MAX));
        assert_eq!(second.day(), whole.day());
    }
    assert!(fold.at(Sequence(first - 1)).is_none());
    assert!(fold.remembered_bytes() <= 40 * 1024, "{}", fold.remembered_bytes());
}

#[test]
fn the_figures_of_a_day_are_made_of_the_hours_that_are_cached() {
    // 86,400 ticks a day, from 03:45 UTC.
    let days = TradingDays::Every24Hours(Duration::from_secs(3 * 3600 + 45 * 60));
    let series: Arc<dyn Series> = Arc::new(Metronome { interval: 1_000_000_000, at: 0 });
    let cached = CandleCache::default().of("A".parse().unwrap(), &*series);
    let figures = |cached: &CachedCandles, upto: u64, mut left: usize| {
        let upto = Sequence(3 * 86_400 + upto);
        DayFold::new(series.clone(), days.clone(), upto, cached.clone()).reach(upto, &mut left)
    };
    let upto = 23 * 3600 + 5 * 60;
    assert_eq!(figures(&cached, upto, 60_000), None);
    let whole = figures(&CachedCandles::default(), upto, usize::MAX);
    assert!(whole.is_some_and(|day| day.volume == 19 * 3600 + 20 * 60 + 1));
    assert_eq!(figures(&cached, upto, usize::MAX), whole);
    // The quarter before the first hour, the hours, and the minutes of the last one.
    assert_eq!(figures(&cached, upto, 20 * 60 + 20 * 16), whole);
    // A candle of an hour that was listed serves as well.
    let past = PastTicks::new(series.clone(), Time::MAX).with_cache(cached.clone());
    let times = Time::from_nanos(3 * 24 * HOUR)..Time::from_nanos(5 * 24 * HOUR);
    past.candles(interval(3600), times, 100).finish().unwrap();
    let upto = 27 * 3600;
    let whole = figures(&CachedCandles::default(), upto, usize::MAX);
    assert_eq!(figures(&cached, upto, 15 * 60 + 25 * 16), whole);
}

#[test]
fn candles_are_whole_seconds_that_divide_a_day() {
    for seconds in [1, 2, 60, 86_400] {
        assert!(CandleInterval::new(Duration::from_secs(seconds)).is_some(), "{seconds}");
    }
    for millis in [0, 1, 500, 1_500, 7_000, 86_401_000, 2 * 86_400_000, u64::MAX] {
        assert_eq!(CandleInterval::new(Duration::from_millis(millis)), None, "{millis}");
    }
}

#[test]
fn a_page_of_candles_ends_before_too_many_ticks_are_read_for_it_and_has_at_least_one() {
    // A thousand ticks a second, and a cache.
    let series: Arc<dyn Series> = Arc::new(Metronome { interval: 1_000_000, at: 0 });
    let cached = CandleCache::default().of("A".parse().unwrap(), &*series);
    let past = PastTicks::new(series, Time::from_nanos(100 * HOUR)).with_cache(cached);
    let page = |second: u64, seconds: u64, budget| {
        let from = Time::from_nanos(second * 1_000_000_000);
        let page = past.candles(interval(seconds), from..Time::MAX, 9).with_budget(budget).finish().unwrap();
        let next = page.next.map(|next| next.nanos() / 1_000_000_000);
        (page.candles.len(), page.candles[0].tick_count, next)
    };
    assert_eq!(page(7, 1, 4_999), (4, 1_000, Some(11)));
    assert_eq!(page(600, 60, 4_999), (1, 60_000, Some(660)));
    // What is cached is not read.
    assert_eq!(page(7, 1, 4_999), (8, 1_000, Some(15)));
    assert_eq!(page(7, 1, 0), (8, 1_000, Some(15)));
    assert_eq!(page(7, 1, 1_000), (9, 1_000, Some(16)));
}

#[test]
fn a_candle_of_many_ticks_is_made_from_totals_one_in_a_step_and_costs_the_page_little() {
    // 864,000 ticks a day, and half a day.
    let metronome = Metronome { interval: 100_000_000, at: 0 };
    let (ticks, now) = (Arc::new(AtomicU64::new(0)), Time::from_nanos(9 * 24 * HOUR + 12 * HOUR - 1));
    let series = Arc::new(Counted { metronome, ticks: ticks.clone(), totals: AtomicU64::new(0) });
    let past = PastTicks::new(series.clone(), now);
    let fold = |from: u64| past.candles(interval(86_400), Time::from_nanos(from * 24 * HOUR)..Time::MAX, 9);
    let mut steps = fold(7);
    let page = loop {
        let before = series.totals.load(Relaxed);
        let page = steps.step(1).unwrap();
        assert!(series.totals.load(Relaxed) <= before + 1);
        if let Some(page) = page {
            break page;
        }
    };
    let price = Price::from_nanos(1).unwrap();
    let candle = |(day, count): (u64, u64)| Candle {
        open_time: Time::from_nanos(day * 24 * HOUR),
        open: price,
        high: price,
        low: price,
        close: price,
        volume: count,
        tick_count: count,
    };
    assert_eq!(page.candles, [(7, 864_000), (8, 864_000), (9, 432_000)].map(candle));
    assert_eq!((page.next, series.totals.load(Relaxed)), (None, 3));
    assert!(ticks.load(Relaxed) < 20, "{ticks:?}");
    let page = fold(0).with_budget(4 * Parts::COST_OF_TOTALS + 1).finish().unwrap();
    assert_eq!((page.candles.len(), page.next), (4, Some(Time::from_nanos(4 * 24 * HOUR))));
}

#[test]
fn the_cache_keeps_candles_that_are_made_from_totals_no_longer_than_those_that_cost_as_much() {
    let cache = CandleCache::default();
    let metronome = Metronome { interval: 1, at: 0 };
    let counted = Counted { metronome, ticks: Arc::default(), totals: AtomicU64::new(0) };
    let cached = cache.of("A".parse().unwrap(), &counted);
    let keep = |seconds, at: u64, tick_count| {
        let price = Price::from_nanos(1).unwrap();
        let open_time = Time::from_nanos(at * seconds * 1_000_000_000);
        let candle =
            Candle { open_time, open: price, high: price, low: price, close: price, volume: 1, tick_count };
        cached.keep(interval(seconds), &candle);
    };
    keep(86_400, 0, 864_000);
    for hour in 0..CandleCache::MOST as u64 {
        keep(3_600, hour, 36_000);
    }
    assert!(!cache.holds(interval(86_400), 0) && cache.holds(interval(3_600), 0));
}

#[test]
fn a_page_waits_for_parts_that_others_have_taken_or_makes_them_itself() {
    let metronome: Arc<dyn Series> = Arc::new(Metronome { interval: 1_000_000_000, at: 0 });
    let past = PastTicks::new(metronome.clone(), Time::from_nanos(HOUR));
    let fold = || past.candles(interval(60), Time::default()..Time::from_nanos(HOUR / 30), 9);
    let expected = fold().finish().unwrap();
    let mut shared = fold();
    let parts = shared.parts();
    while parts.waiting() < 18 {
        assert_eq!(shared.step(1).unwrap(), None);
    }
    // Another thread has made the first part and a third one has taken the others.
    let mut taken: Vec<_> = (0..18).filter_map(|_| parts.take()).collect();
    let mut first = taken.remove(0);
    let mut cursor = metronome.cursor(first.next());
    assert!(parts.step(&mut first, &mut *cursor, &mut 7));
    parts.close(first);
    assert_eq!((0..).find_map(|_| shared.step(1).unwrap()), Some(expected));
}

#[test]
fn candles_made_by_several_threads_are_those_of_one() {
    let instrument = Instrument {
        reference_price: Price::from_nanos(1_000_000).unwrap(),
        ..Instrument::named("A", Duration::from_millis(100))
    };
    let series: Arc<dyn Series> = Arc::new(SimulatedSeries::new(7, &instrument));
    let past = PastTicks::new(series, Time::from_nanos(1_000 * HOUR + HOUR / 7));
    for (seconds, hours) in [(1, 1), (60, 2), (3_600, 5), (86_400, 9)] {
        let times = Time::from_nanos((1_000 - hours) * HOUR)..Time::MAX;
        let fold = || past.candles(interval(seconds), times.clone(), 100);
        let expected = fold().finish().unwrap();
        let mut shared = fold();
        let (parts, is_done) = (shared.parts(), AtomicBool::new(false));
        let page = thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_done.load(Relaxed) {
                        parts.help();
                    }
                });
            }
            let page = (0..).find_map(|_| shared.step(100).unwrap());
            is_done.store(true, Relaxed);
            page
        });
        assert_eq!(page, Some(expected));
    }
}

#[test]
fn a_candle_is_cached_once_it_has_all_its_ticks() {
    let series: Arc<dyn Series> = Arc::new(Metronome { interval: 1_000_000, at: 0 });
    let cached = CandleCache::default().of("A".parse().unwrap(), &*series);
    for nanos in [1_500_000_000, 1_998_000_000, 1_998_999_999, 1_999_000_000, 2_000_000_000, 3_000_000_000] {
        let past = PastTicks::new(series.clone(), Time::from_nanos(nanos)).with_cache(cached.clone());
        let candles = past.candles(interval(1), Time::default()..Time::MAX, 9).finish().unwrap().candles;
        let counts: u64 = candles.iter().map(|candle| candle.tick_count).sum();
        assert_eq!(counts, nanos / 1_000_000 + 1);
        assert_eq!(
            cached.get(interval(1), Time::from_nanos(1_000_000_000)).is_some(),
            nanos >= 1_999_000_000
        );
    }
}

#[test]
fn nothing_is_cached_of_a_growing_tape() {
    struct Growing(Metronome);
    impl Series for Growing {
        fn first(&self) -> Sequence {
            self.0.first()
        }
        fn last(&self) -> Sequence {
            self.0.last()
        }
        fn sequence_at(&self, time: Time) -> Option<Sequence> {
            self.0.sequence_at(time)
        }
        fn tick(&self, sequence: Sequence) -> Tick {
            Series::tick(&self.0, sequence)
        }
        fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
            self.0.cursor(from)
        }
    }
    let metronome = Metronome { interval: 1_000_000, at: 0 };
    let (cache, symbol) = (CandleCache::default(), "A".parse().unwrap());
    let series: Arc<dyn Series> = Arc::new(Growing(metronome));
    let past = PastTicks::new(series.clone(), Time::from_nanos(HOUR)).with_cache(cache.of(symbol, &*series));
    past.candles(interval(1), Time::default()..Time::MAX, 9).finish().unwrap();
    assert_eq!(cache.of(symbol, &metronome).get(interval(1), Time::default()), None);
}

#[test]
fn the_cache_is_bounded_and_keeps_what_took_longest_and_what_is_asked_for() {
    let cache = CandleCache::default();
    let cached = cache.of("A".parse().unwrap(), &Metronome { interval: 1, at: 0 });
    let candle = |second: u64, tick_count| {
        let price = Price::from_nanos(1).unwrap();
        let open_time = Time::from_nanos(second * 1_000_000_000);
        Candle { open_time, open: price, high: price, low: price, close: price, volume: 1, tick_count }
    };
    let (minute, second) = (interval(60), interval(1));
    let has =
        |interval, second: u64| cached.get(interval, Time::from_nanos(second * 1_000_000_000)).is_some();
    cached.keep(minute, &candle(60, 600));
    cached.keep(minute, &candle(0, 600));
    let most = CandleCache::MOST as u64;
    for at in 0..9 * most {
        cached.keep(second, &candle(at, 100));
        if at % 1_000 == 0 {
            assert!(has(minute, 60));
        }
        // The other one is worth six times as much as a second.
        if at == 5 * most || at == 8 * most {
            assert_eq!(cache.holds(minute, 0), at == 5 * most);
        }
    }
    assert!(cache.len() == CandleCache::MOST && has(second, 9 * most - 1) && !has(second, 7 * most));
}

#[test]
fn candles_of_too_many_ticks_are_refused_with_the_interval_that_would_do() {
    let past = PastTicks::new(Arc::new(Metronome { interval: 100_000, at: 0 }), Time::from_nanos(100 * HOUR));
    let day = || past.candles(interval(86_400), Time::default()..Time::MAX, 1).finish();
    assert_eq!(day(), Err(CandleError::TooManyTicks { ticks: 864_000_000, longest: 9_600 }));
    assert_eq!(
        day().unwrap_err().to_string(),
        "a candle would be made of 864000000 ticks and the most are 100000000: ask for candles of 9600s or less"
    );
    // Also where only the beginning of the day has taken place.
    let past = PastTicks::new(Arc::new(Metronome { interval: 100_000, at: 0 }), Time::from_nanos(1));
    assert!(past.candles(interval(86_400), Time::default()..Time::MAX, 1).finish().is_err());
}

#[test]
fn the_candle_in_which_time_ends_has_every_tick_to_the_last_moment_of_all() {
    let tick = |(sequence, before): (u64, u64)| Tick {
        sequence: Sequence(sequence),
        time: Time::from_nanos(u64::MAX - before),
        price: Price::from_nanos(1).unwrap(),
        quantity: 1,
    };
    let ticks: Arc<[Tick]> = [(0, 100 * HOUR), (1, HOUR), (2, 2), (3, 1), (4, 0), (5, 0)].map(tick).into();
    for (seconds, has_totals) in [1, 60, 86_400].into_iter().flat_map(|one| [(one, false), (one, true)]) {
        let interval = interval(seconds);
        let times = Time::default()..Time::MAX;
        let page = past(&ticks, has_totals, Time::MAX).candles(interval, times.clone(), 10).finish();
        let expected = candles(&ticks, interval, times);
        assert_eq!(page.unwrap(), CandlePage { candles: expected, next: None }, "{seconds}");
    }
}

#[test]
fn a_piece_reads_no_more_ticks_than_it_may() {
    let metronome = Metronome { interval: 1_000_000, at: 0 };
    let past = PastTicks::new(Arc::new(metronome), Time::from_nanos(100 * HOUR));
    // A thousand ticks a second: 100 pieces are 10 candles or 1,000 ticks.
    let mut candles = past.candles(interval(1), Time::default()..Time::MAX, 10);
    let pieces = (1..).find(|_| candles.step(100).unwrap().is_some());
    assert!(pieces.is_some_and(|pieces| (100..=102).contains(&pieces)), "{pieces:?}");
    let mut digest = past.digest(Sequence(0)..Sequence(1_000));
    assert_eq!((1..).find(|_| digest.step(100).is_some()), Some(10));
}

#[test]
fn a_digest_is_of_a_million_ticks_at_most() {
    let past =
        PastTicks::new(Arc::new(Metronome { interval: 1_000_000, at: 0 }), Time::from_nanos(100 * HOUR));
    let range = Sequence(5)..Sequence(u64::MAX);
    let digest = past.digest(range).finish();
    assert_eq!(digest.range, Sequence(5)..Sequence(5 + (1 << 20)));
}

proptest! {
    #[test]
    fn merged_series_are_their_ticks_in_the_order_of_time(
        lists in prop::collection::vec((ticks(30), 0u64..60), 0..6),
        jumps in prop::collection::vec(0u64..4, 200),
    ) {
        let series: Vec<_> = lists.iter().map(|(ticks, _)| written(ticks, false)).collect();
        let from = |place: usize| Sequence(lists[place].0[0].sequence.0 + lists[place].1);
        let begin = || Merge::new(series.iter().enumerate().map(|(place, one)| (&**one as &dyn Series, from(place))));
        let all = || lists.iter().enumerate().flat_map(|(place, (ticks, _))| {
            ticks.iter().filter(move |tick| tick.sequence >= from(place)).map(move |tick| (place, *tick))
        });
        let mut expected: Vec<_> = all().collect();
        expected.sort_by_key(|(place, tick)| (tick.time, *place, tick.sequence));
        let mut merge = begin();
        let mut found = Vec::new();
        while let Some((place, tick)) = merge.peek() {
            found.push((place, *tick));
            merge.advance();
        }
        prop_assert_eq!(&found, &expected);

        // A jump leaves out ticks of one series and changes nothing else.
        let (mut merge, mut jumps) = (begin(), jumps.into_iter().cycle());
        let mut found = Vec::new();
        while let Some((place, tick)) = merge.peek() {
            let (tick, jump) = (*tick, jumps.next().unwrap());
            found.push((place, tick));
            let after = tick.sequence.0 + 1 + jump;
            let to = Sequence(after.min(series[place].last().0));
            expected.retain(|(other, one)| *other != place || one.sequence <= tick.sequence || one.sequence >= to);
            merge.advance_or_jump(|next| (to > next.sequence).then(|| series[place].cursor(to)));
        }
        prop_assert_eq!(found, expected);
    }
}
