//! What the pacer, the hub and history make of a growing tape, without a server.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use ticker::{
    history::{CandleInterval, Order, PastTicks},
    hub::{
        Delivery, Hub, Interest, Limits, Pulled, Quota, Quote, Start, Subscriber, TickMeta, WatchChange,
        WireFormat,
    },
    pacer::{Arrivals, Pacer, Speed},
    tape::{Instrument, Series, Tape},
    tick::{Sequence, Symbol, Tick, Time},
};

use super::feed::Feed;

const FLUSH: Duration = Duration::from_millis(10);
const START: Time = Time::from_nanos(1_700_000_000_000_000_000);

fn series(feed: &Feed, symbol: &str) -> Arc<dyn Series> {
    feed.series(&feed.instrument(&symbol.parse().unwrap()).unwrap())
}

/// Whether the pacer would be woken.
fn is_woken(arrivals: &Arrivals) -> bool {
    pin!(arrivals.wait()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn advance(pacer: &mut Pacer, now: Time) -> Vec<(u32, u64)> {
    let mut handed_out = Vec::new();
    pacer.take_arrivals();
    pacer.advance(now, &mut |id: u32, tick: &Tick| handed_out.push((id, tick.sequence.0)));
    handed_out
}

#[test]
fn a_tick_that_arrives_is_due_at_its_time_or_with_the_next_flush() {
    let feed = Feed::new(100);
    feed.push("A", START);
    let mut pacer = Pacer::new(Speed::REAL, FLUSH);
    let arrivals = pacer.arrivals();
    advance(&mut pacer, START);
    pacer.watch(0, series(&feed, "A"), Sequence(1));
    assert_eq!(advance(&mut pacer, START + FLUSH), [(0, 1)]);
    assert_eq!(pacer.next_due(), None);
    assert!(!is_woken(&arrivals));

    // One of the past and one of the future.
    feed.push("A", START);
    feed.push("A", START + 5 * FLUSH);
    assert!(is_woken(&arrivals));
    pacer.take_arrivals();
    assert_eq!(pacer.next_due(), Some(START + 2 * FLUSH));
    assert_eq!(advance(&mut pacer, START + 2 * FLUSH), [(0, 2)]);
    assert_eq!(pacer.next_due(), Some(START + 5 * FLUSH));
    assert_eq!(advance(&mut pacer, START + 4 * FLUSH), []);
    assert_eq!(advance(&mut pacer, START + 5 * FLUSH), [(0, 3)]);
    assert_eq!(pacer.next_due(), None);
}

#[test]
fn ticks_that_arrive_before_their_instrument_is_watched_are_handed_out() {
    let feed = Feed::new(100);
    feed.push("A", START);
    let mut pacer = Pacer::new(Speed::REAL, FLUSH);
    advance(&mut pacer, START);
    // All that have arrived were handed out before.
    pacer.watch(0, series(&feed, "A"), Sequence(2));
    assert_eq!(pacer.next_due(), None);
    feed.push("A", START);
    feed.push("B", START);
    feed.push("B", START);
    pacer.watch(1, series(&feed, "B"), Sequence(2));
    assert_eq!(advance(&mut pacer, START + FLUSH), [(0, 2), (1, 2)]);
}

#[test]
fn a_tick_of_an_instrument_that_nobody_watches_wakes_nobody() {
    let feed = Feed::new(100);
    for symbol in ["A", "B"] {
        feed.push(symbol, START);
    }
    let mut pacer = Pacer::new(Speed::REAL, FLUSH);
    let arrivals = pacer.arrivals();
    advance(&mut pacer, START);
    pacer.watch(0, series(&feed, "A"), Sequence(2));
    assert_eq!((feed.waiting("A"), feed.waiting("B")), (1, 0));
    feed.push("B", START);
    assert!(!is_woken(&arrivals));
    // The tick of an instrument that is not watched any more leaves nothing behind.
    feed.push("A", START);
    pacer.unwatch(0);
    pacer.watch(0, series(&feed, "B"), Sequence(3));
    assert_eq!((feed.waiting("A"), feed.waiting("B")), (0, 1));
    feed.push("A", START);
    assert_eq!(advance(&mut pacer, START + FLUSH), []);
    feed.push("B", START);
    assert_eq!(advance(&mut pacer, START + 2 * FLUSH), [(0, 3)]);
    pacer.unwatch(0);
    assert_eq!((feed.waiting("A"), feed.waiting("B")), (0, 0));
}

/// Messages as lines of text.
struct Text;

impl WireFormat for Text {
    fn tick(&mut self, _: &Instrument, tick: &Tick, meta: TickMeta, _: Option<&Quote>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("tick {} {}\n", tick.sequence, meta.conflated).as_bytes());
    }
    fn gap(&mut self, _: &Symbol, first: Sequence, last: Sequence, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("gap {first} {last}\n").as_bytes());
    }
    fn caught_up(&mut self, _: &Symbol, _: Sequence, _: &mut Vec<u8>) {}
    fn heartbeat(&mut self, _: Time, _: &mut Vec<u8>) {}
}

/// A hub and a pacer on a feed of `A` that keeps ten ticks and has one.
struct Stage {
    feed: Arc<Feed>,
    hub: Arc<Hub>,
    pacer: Pacer,
    now: Time,
}

impl Stage {
    fn new() -> Self {
        let feed = Feed::new(10);
        feed.push("A", START);
        let hub = Arc::new(Hub::new(Limits::default(), vec![Box::new(Text)], Quota::unlimited()));
        Self { feed, hub, pacer: Pacer::new(Speed::REAL, FLUSH), now: START }
    }

    fn subscribe(&self, delivery: Delivery) -> Subscriber {
        let subscriber = Subscriber::join(self.hub.clone(), 0, Quota::unlimited().into(), self.now);
        let instrument = &self.feed.instruments()[0];
        let interest = Interest { delivery, format: 0, unnamed: false };
        subscriber.subscribe(&*self.feed, instrument, interest, Start::Snapshot, self.now);
        assert_eq!(pull(&subscriber), ["tick 1 0"]);
        subscriber
    }

    fn push(&self, count: usize) {
        for _ in 0..count {
            self.feed.push("A", self.now);
        }
    }

    fn flush(&mut self) {
        self.now = self.now + FLUSH;
        while self.hub.tell(16, |change| match change {
            WatchChange::Watch { id, series, from } => self.pacer.watch(id, series, from),
            WatchChange::Unwatch { id } => self.pacer.unwatch(id),
        }) {}
        self.pacer.take_arrivals();
        let mut flush = self.hub.begin_flush();
        let boundary = self.pacer.advance(self.now, &mut |id: u32, tick: &Tick| flush.publish(id, tick));
        flush.finish(boundary);
    }
}

/// All that a subscriber lacks, as lines.
fn pull(subscriber: &Subscriber) -> Vec<String> {
    let mut out = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match subscriber.poll_pull(&mut cx, usize::MAX, &mut 1_000, &mut out) {
            Poll::Pending => return String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(),
            Poll::Ready(Pulled::Data { .. } | Pulled::More) => {}
            Poll::Ready(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_reader_of_every_tick_that_the_window_has_passed_gets_a_gap() {
    let mut stage = Stage::new();
    let subscriber = stage.subscribe(Delivery::EveryTick);
    for _ in 0..4 {
        stage.push(5);
        stage.flush();
    }
    let ticks = (12..=21).map(|sequence| format!("tick {sequence} 0"));
    assert_eq!(pull(&subscriber), ["gap 2 11".to_owned()].into_iter().chain(ticks).collect::<Vec<_>>());
}

#[test]
fn a_reader_of_the_latest_that_the_window_has_passed_counts_what_it_missed() {
    let mut stage = Stage::new();
    let subscriber = stage.subscribe(Delivery::default());
    for _ in 0..4 {
        stage.push(5);
        stage.flush();
    }
    assert_eq!(pull(&subscriber), ["tick 21 19"]);
}

#[test]
fn ticks_that_leave_the_window_before_they_are_published_are_reported_or_counted() {
    let mut stage = Stage::new();
    let (all, latest) = (stage.subscribe(Delivery::EveryTick), stage.subscribe(Delivery::default()));
    stage.flush();
    stage.push(20);
    stage.flush();
    let ticks = (12..=21).map(|sequence| format!("tick {sequence} 0"));
    assert_eq!(pull(&all), ["gap 2 11".to_owned()].into_iter().chain(ticks).collect::<Vec<_>>());
    assert_eq!(pull(&latest), ["tick 21 19"]);
}

#[test]
fn a_flush_has_no_gap_between_the_ticks_of_an_instrument() {
    let feed = Feed::new(10);
    feed.push("A", START);
    let mut pacer = Pacer::new(Speed::REAL, FLUSH);
    pacer.advance(START, &mut |_: u32, _: &Tick| {});
    pacer.watch(0, series(&feed, "A"), Sequence(1));
    let (mut flushes, mut now) = (Vec::new(), START);
    for _ in 0..5 {
        now = now + FLUSH;
        let mut handed_out = Vec::new();
        pacer.take_arrivals();
        pacer.advance(now, &mut |_: u32, tick: &Tick| {
            handed_out.push(tick.sequence.0);
            if tick.sequence.0 < 30 {
                // The window moves while the ticks are handed out.
                (0..12).for_each(|_| feed.push("A", START));
            }
        });
        flushes.push(handed_out);
    }
    // What was read ahead is handed out, although it has left the window since.
    assert_eq!(flushes, [vec![1], vec![4, 5], (28..=31).collect(), (52..=61).collect(), vec![]]);
}

#[test]
fn history_leaves_out_what_has_left_the_window_since_it_was_asked_for() {
    let feed = Feed::new(10);
    (0..10).for_each(|second| feed.push("A", START + Duration::from_secs(second)));
    let past = PastTicks::new(series(&feed, "A"), START + Duration::from_secs(60));
    let day = CandleInterval::new(Duration::from_secs(86_400)).unwrap();
    let all = Sequence(1)..Sequence(11);
    let mut digest = past.digest(all.clone());
    let mut candles = past.candles(day, Time::default()..Time::MAX, 10);
    assert!(digest.step(3).is_none() && candles.step(3).unwrap().is_none());

    (0..6).for_each(|_| feed.push("A", START + Duration::from_secs(60)));
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let page = past.page(all.clone(), order, 10);
        let mut sequences: Vec<_> = page.ticks.iter().map(|tick| tick.sequence.0).collect();
        sequences.sort_unstable();
        assert_eq!((sequences, page.next), ((7..=10).collect(), None));
    }
    let digest = digest.finish();
    assert_eq!(digest.range, Sequence(7)..Sequence(11));
    assert_eq!(digest, past.digest(Sequence(7)..Sequence(11)).finish());
    // The candle was planned and none of its ticks was read.
    let candles = candles.finish().unwrap().candles;
    assert_eq!((candles.len(), candles[0].tick_count), (1, 4));
    let candles = past.candles(day, Time::default()..Time::MAX, 10).finish().unwrap().candles;
    assert_eq!((candles.len(), candles[0].tick_count), (1, 4));
}
