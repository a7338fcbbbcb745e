use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Wake, Waker},
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::tick::{Price, Sequence};

const START: Time = Time::from_nanos(1_700_000_000_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const ROOMY: WindowLimits = WindowLimits { time: HOUR, bytes: usize::MAX };

/// A feed and all ticks of `A` that were appended to it.
struct Stage {
    feed: Feed,
    series: FeedSeries,
    all: Vec<(Tick, Option<TopOfBook>)>,
}

impl Stage {
    fn new(limits: WindowLimits, first: u64) -> Self {
        Self::after(0, limits, first)
    }

    /// Of a feed that has so many instruments before `A`.
    fn after(others: usize, limits: WindowLimits, first: u64) -> Self {
        let feed = Feed::new("feed".to_owned(), limits, Arc::default());
        for other in 0..others {
            feed.list(
                Arc::new(Instrument::named(&format!("B{other}"), Duration::ZERO)),
                tick(1, START),
                None,
            );
        }
        let (tick, book) = (tick(first, START), book(first));
        let series = feed.list(Arc::new(Instrument::named("A", Duration::ZERO)), tick, book);
        Self { feed, series, all: vec![(tick, book)] }
    }

    fn append(&mut self, count: usize, apart: Duration) {
        for _ in 0..count {
            let last = self.last();
            let (tick, book) = (tick(last.sequence.0 + 1, last.time + apart), book(last.sequence.0 + 1));
            self.feed.append(&self.series, tick, book);
            self.all.push((tick, book));
        }
    }

    fn last(&self) -> Tick {
        self.all[self.all.len() - 1].0
    }

    /// The ticks that are available.
    fn available(&self) -> &[(Tick, Option<TopOfBook>)] {
        &self.all[(self.series.first().0 - self.all[0].0.sequence.0) as usize..]
    }
}

fn tick(sequence: u64, time: Time) -> Tick {
    let price = Price::from_nanos(100_000_000_000 + (sequence % 7) as i64 * 50_000_000).unwrap();
    Tick { sequence: Sequence(sequence), time, price, quantity: sequence * 31 % 1_000 }
}

/// Some ticks have a book, and some groups of ticks have none.
fn book(sequence: u64) -> Option<TopOfBook> {
    let price = |nanos| Price::from_nanos(nanos).unwrap();
    (sequence / 300 % 2 == 1 && !sequence.is_multiple_of(5)).then(|| TopOfBook {
        bid: price(99_000_000_000),
        bid_quantity: sequence % 13,
        ask: price(101_000_000_000),
        ask_quantity: sequence % 17,
    })
}

proptest! {
    #[test]
    fn every_available_tick_is_read_as_it_was_appended(
        others in 0..9usize,
        first in prop::sample::select(vec![1, 7, 1 << 40]),
        steps in prop::collection::vec((0..400usize, 0..3_000u64, 0..4_000u64), 1..12),
        asked in prop::collection::vec((any::<prop::sample::Index>(), 0..40usize), 1..20),
    ) {
        let mut stage = Stage::after(others, ROOMY, first);
        let mut cursor = stage.series.cursor(Sequence(first));
        for (count, millis, later) in steps {
            stage.append(count, Duration::from_millis(millis));
            stage.feed.move_window(stage.last().time + Duration::from_secs(later));
            let available = stage.available();
            prop_assert!(!available.is_empty());
            prop_assert_eq!(stage.series.last(), stage.last().sequence);
            for (index, steps) in &asked {
                let at = index.index(available.len());
                let (tick, book) = available[at];
                prop_assert_eq!(stage.series.tick(tick.sequence), tick);
                prop_assert_eq!(stage.series.top_of_book(&tick), book);
                let newest = available.iter().rev().find(|(other, _)| other.time <= tick.time).unwrap();
                prop_assert_eq!(stage.series.sequence_at(tick.time), Some(newest.0.sequence));
                let before = tick.time.before(Duration::from_nanos(1)).unwrap();
                let newest = available.iter().rev().find(|(other, _)| other.time <= before);
                prop_assert_eq!(stage.series.sequence_at(before), newest.map(|(other, _)| other.sequence));
                let mut reader = stage.series.cursor(tick.sequence);
                for (tick, book) in available[at..].iter().take(*steps) {
                    prop_assert_eq!((reader.tick(), reader.top_of_book()), (*tick, *book));
                    reader.advance();
                }
            }
            // A cursor that stays behind moves to the next tick, or to the oldest available one.
            let mut last = cursor.tick().sequence;
            for _ in 0..150 {
                cursor.advance();
                let next = cursor.tick().sequence;
                let expected = last.next().max(available[0].0.sequence).min(stage.last().sequence).max(last);
                prop_assert_eq!(next, expected);
                last = next;
            }
        }
    }
}

#[test]
fn ticks_older_than_the_window_leave_in_groups_and_the_newest_stay() {
    let mut stage = Stage::new(ROOMY, 1);
    stage.append(3 * WindowLimits::GROUP, Duration::from_secs(1));
    let end = stage.last().time;
    stage.feed.move_window(end);
    assert_eq!(stage.series.first(), Sequence(1));
    stage.feed.move_window(end + HOUR);
    assert_eq!(stage.series.first(), Sequence(3 * WindowLimits::GROUP as u64 + 1));
    assert_eq!(stage.feed.size().ticks, 1);
    stage.feed.move_window(end + 100 * HOUR);
    assert_eq!(stage.series.tick(Sequence(1)), stage.last());
}

#[test]
fn without_memory_the_oldest_groups_of_all_symbols_leave() {
    let mut stage = Stage::new(WindowLimits { bytes: 100_000, ..ROOMY }, 1);
    let b = Instrument::named("B", Duration::ZERO);
    let quiet = stage.feed.list(Arc::new(b), tick(1, START), None);
    for sequence in 2..=200 {
        stage.feed.append(&quiet, tick(sequence, START), None);
    }
    for _ in 0..500 {
        stage.append(100, Duration::from_millis(1));
        stage.feed.move_window(stage.last().time);
        assert!(stage.feed.size().bytes <= 100_000);
    }
    let left = quiet.first().0 as usize - 1;
    assert!((1..=WindowLimits::GROUP).contains(&(200 - left)), "what is not in a full group stays");
    assert!(stage.available().len() > 1_000);
    let ticks = stage.available().len() + 200 - left;
    assert_eq!(stage.feed.size().ticks, ticks as u64);
}

#[test]
fn a_tick_with_a_quote_takes_at_most_20_bytes() {
    for (has_books, most) in [(false, 15.0), (true, 20.0)] {
        let feed = Feed::new("feed".to_owned(), ROOMY, Arc::default());
        let book = |sequence| book(sequence).or(book(301)).filter(|_| has_books);
        let series = feed.list(Arc::new(Instrument::named("A", Duration::ZERO)), tick(1, START), book(1));
        for sequence in 2..=100_000 {
            let time = START + Duration::from_micros(sequence * 100_000 + sequence % 977);
            feed.append(&series, tick(sequence, time), book(sequence));
        }
        let size = feed.size();
        let bytes = (size.bytes - FeedSeries::MOST_BYTES_OF_NEWEST) as f64 / size.ticks as f64;
        assert!(bytes <= most, "{bytes} bytes a tick");
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_cursor_is_woken_once_by_the_next_tick_and_at_once_if_it_has_come() {
    let mut stage = Stage::new(ROOMY, 1);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cursor = stage.series.cursor(Sequence(1));
    cursor.wake_on_arrival(&waker);
    cursor.wake_on_arrival(&waker);
    assert_eq!(woken.0.load(Relaxed), 0);
    stage.append(2, Duration::ZERO);
    assert_eq!(woken.0.load(Relaxed), 1);
    cursor.wake_on_arrival(&waker);
    assert_eq!(woken.0.load(Relaxed), 2);
    cursor.advance();
    cursor.advance();
    cursor.wake_on_arrival(&waker);
    drop(cursor);
    stage.append(1, Duration::ZERO);
    assert_eq!((woken.0.load(Relaxed), Arc::strong_count(&woken)), (2, 2), "a dropped cursor is forgotten");
}

#[test]
fn an_instrument_is_listed_from_its_first_tick_on_and_the_list_stays_the_same_until_then() {
    let stage = Stage::new(ROOMY, 1);
    let symbols = || -> Vec<String> {
        stage.feed.instruments().iter().map(|instrument| instrument.symbol.to_string()).collect()
    };
    assert_eq!(symbols(), ["A"]);
    assert!(Arc::ptr_eq(&stage.feed.instruments(), &stage.feed.instruments()));
    let before = stage.feed.instruments();
    stage.feed.list(Arc::new(Instrument::named("9", Duration::ZERO)), tick(1, START), None);
    assert_eq!((symbols(), before.len()), (vec!["9".to_owned(), "A".to_owned()], 1));
    assert_eq!(stage.feed.instrument(&"B".parse().unwrap()), Err(Missing::Unknown));
    assert_eq!(stage.feed.suggest("a"), Some("A".parse().unwrap()));
}
