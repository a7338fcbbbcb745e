//! A hub and its readers, with a model of what each of them must have been sent.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::metronome::{DAY, Metronome, START};
use crate::{
    history::Day,
    hub::*,
    pacer::{Pacer, Speed},
    tape::Tape,
    tick::Price,
};

const FLUSH: Duration = Duration::from_millis(10);
const MAX_LAG: Duration = Duration::from_secs(2);
/// Fewer than all readers could have together.
pub(super) const SERVER_QUOTA: usize = 12;
/// Fewer than there are symbols.
const CONNECTION_QUOTA: usize = 5;

/// Messages as lines of text.
struct Text {
    quotes: bool,
}

/// The wire formats by their places.
pub(super) const PLAIN: u8 = 0;
pub(super) const QUOTES: u8 = 1;

impl WireFormat for Text {
    fn quotes(&self) -> bool {
        self.quotes
    }
    fn tick(
        &mut self,
        instrument: &Instrument,
        tick: &Tick,
        meta: TickMeta,
        quote: Option<&Quote>,
        out: &mut Vec<u8>,
    ) {
        assert_eq!(tick.price.nanos(), tick.sequence.0 as i64 + 1);
        assert_eq!(quote.is_some(), self.quotes);
        if let Some(Quote { day, .. }) = quote {
            check_day(day, instrument, tick);
        }
        let TickMeta { conflated, snapshot } = meta;
        let line =
            format!("tick {} {} {conflated} {}\n", instrument.symbol, tick.sequence, u64::from(snapshot));
        out.extend_from_slice(line.as_bytes());
    }
    fn gap(&mut self, symbol: &Symbol, first: Sequence, last: Sequence, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("gap {symbol} {first} {last} 0\n").as_bytes());
    }
    fn caught_up(&mut self, symbol: &Symbol, last: Sequence, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("caught_up {symbol} {last} 0 0\n").as_bytes());
    }
    fn heartbeat(&mut self, _: Time, out: &mut Vec<u8>) {
        out.extend_from_slice(b"heartbeat - 0 0 0\n");
    }
}

/// Prices rise by one with each tick and one is traded in each, so the figures of any day are known.
fn check_day(day: &Day, instrument: &Instrument, tick: &Tick) {
    let series = Metronome::new().series(instrument);
    let first = match tick.time < DAY {
        true => series.first(),
        false => series.sequence_from(DAY).max(series.first()),
    };
    let price = |sequence: u64| Price::from_nanos(sequence as i64 + 1).unwrap();
    assert_eq!((day.open, day.low), (price(first.0), price(first.0)), "{tick:?}");
    assert_eq!((day.high, day.last), (tick.price, tick.price), "{tick:?}");
    assert_eq!(day.volume, tick.sequence.0 - first.0 + 1, "{tick:?}");
    let before = (first > series.first()).then(|| price(first.0 - 1));
    assert_eq!(day.previous_close, before, "{tick:?}");
}

pub(super) struct Woken(pub(super) AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A hub, its pacer and one reader with a model of what it must have been sent.
pub(super) struct Stage {
    pub(super) tape: Metronome,
    pub(super) hub: Arc<Hub>,
    pub(super) quota: Arc<Quota>,
    pacer: Pacer,
    pub(super) now: Time,
    pub(super) readers: Vec<Reader>,
}

pub(super) struct Reader {
    pub(super) subscriber: Subscriber,
    pub(super) quota: Arc<Quota>,
    pub(super) woken: Arc<Woken>,
    pub(super) expected: BTreeMap<Symbol, Expected>,
}

/// What the model knows of one subscription.
pub(super) struct Expected {
    interest: Interest,
    /// The last sequence sent, or resumed after; `None` before the snapshot.
    pub(super) last: Option<u64>,
    /// It was resumed and is not told yet that it has caught up.
    catching_up: bool,
    /// When the last tick was sent, at the earliest and at the latest: by the hub's time, or by the tick's own while it
    /// catches up. The minimum interval in force counts from there.
    sent: (Time, Time),
}

impl Stage {
    pub(super) fn new() -> Self {
        let limits =
            Limits { max_lag: MAX_LAG, heartbeat_interval: Duration::from_secs(5), ..Limits::default() };
        Self::with(limits)
    }

    pub(super) fn with(limits: Limits) -> Self {
        let quota = Quota::new(SERVER_QUOTA);
        let hub = Arc::new(Hub::new(
            limits,
            vec![Box::new(Text { quotes: false }), Box::new(Text { quotes: true })],
            quota.clone(),
        ));
        let mut stage = Self {
            tape: Metronome::new(),
            hub,
            quota,
            pacer: Pacer::new(Speed::REAL, FLUSH),
            now: START,
            readers: Vec::new(),
        };
        stage.readers = (0..3).map(|_| stage.reader()).collect();
        stage
    }

    pub(super) fn reader(&self) -> Reader {
        let quota = Quota::new(CONNECTION_QUOTA);
        let subscriber = Subscriber::join(self.hub.clone(), 0, quota.clone().into(), self.now);
        Reader { subscriber, quota, woken: Arc::new(Woken(AtomicUsize::new(0))), expected: BTreeMap::new() }
    }

    pub(super) fn flush(&mut self) {
        // In pieces, as the pacer of a worker does it.
        while self.hub.tell(2, |change| match change {
            WatchChange::Watch { id, series, from } => self.pacer.watch(id, series, from),
            WatchChange::Unwatch { id } => self.pacer.unwatch(id),
        }) {}
        let boundary = loop {
            let mut flush = self.hub.begin_flush();
            let boundary = self.pacer.advance(self.now, &mut |id: u32, tick: &Tick| flush.publish(id, tick));
            flush.finish(boundary);
            if !self.pacer.has_more() {
                break boundary;
            }
        };
        while self.hub.wake_deferred(2).is_some_and(|due| due <= boundary) {}
    }

    pub(super) fn pass(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(10) {
            self.now = self.now + FLUSH;
            self.flush();
        }
    }

    pub(super) fn subscribe(&mut self, reader: usize, symbol: usize, delivery: Delivery) {
        self.begin(reader, symbol, Interest { delivery, format: PLAIN, unnamed: false }, None);
    }

    /// Subscribes after a sequence that is this many ticks in the past, or in the future.
    pub(super) fn resume(&mut self, reader: usize, symbol: usize, interest: Interest, ticks_ago: i64) {
        let series = self.tape.series(&self.tape.instruments[symbol]);
        let newest = series.sequence_at(self.now).unwrap_or_else(|| series.first());
        self.begin(reader, symbol, interest, Some(newest.0.saturating_add_signed(-ticks_ago)));
    }

    pub(super) fn begin(&mut self, reader: usize, symbol: usize, interest: Interest, after: Option<u64>) {
        let instrument = self.tape.instruments[symbol].clone();
        let reader = &mut self.readers[reader];
        let known = reader.expected.contains_key(&instrument.symbol);
        let start = after.map_or(Start::Snapshot, |after| Start::at(Sequence(after + 1)));
        let expected = match known {
            true => Subscribed::Changed,
            false if reader.expected.len() == CONNECTION_QUOTA => Subscribed::Full(Full::Connection),
            false if self.quota.used() == SERVER_QUOTA => Subscribed::Full(Full::Server),
            false => Subscribed::Added,
        };
        let outcome = reader.subscriber.subscribe(&self.tape, &instrument, interest, start, self.now);
        assert_eq!(outcome, expected);
        if matches!(outcome, Subscribed::Full(_)) {
            return;
        }
        let now = self.hub.lock().now;
        let series = self.tape.series(&instrument);
        // What has no tick yet begins with its first, which is a live one.
        let last = if series.sequence_at(now).is_none() { Some(series.first().0 - 1) } else { None };
        let fresh = Expected { interest, last, catching_up: false, sent: Default::default() };
        let expected = reader.expected.entry(instrument.symbol).or_insert(fresh);
        expected.interest = interest;
        // A new minimum interval counts from the last tick that the reader has. That tick may have been of the future when the
        // reader resumed after it.
        if let Some(last) = expected.last {
            expected.sent.1 = expected.sent.1.max(series.tick(Sequence(last)).time.min(now));
        }
        // No request restarts the wait for a minimum interval.
        if let Some(after) = after {
            let seen = series.tick(Sequence(after)).time.min(now);
            (expected.last, expected.catching_up) = (Some(after), true);
            expected.sent = (Time::default(), seen);
        }
    }

    /// Pulls once; false when there was nothing, and nothing is being worked out.
    pub(super) fn pull(&mut self, reader: usize, budget: usize) -> bool {
        self.pull_some(reader, budget, 2_048)
    }

    /// Pulls once, with a limit on the ticks that are read from the tape.
    pub(super) fn pull_some(&mut self, reader: usize, budget: usize, reads: usize) -> bool {
        let mut out = Vec::new();
        let now = self.hub.lock().now;
        let reader = &mut self.readers[reader];
        let waker = Waker::from(reader.woken.clone());
        let mut left = reads;
        let mut cx = Context::from_waker(&waker);
        let pulled = reader.subscriber.poll_pull(&mut cx, budget, &mut left, &mut out);
        assert!(left <= reads);
        if pulled == Poll::Ready(Pulled::Data { is_behind: false }) && out.len() < budget {
            let pulled = reader.subscriber.poll_pull(&mut cx, budget, &mut left, &mut Vec::new());
            assert_eq!(pulled, Poll::Pending, "nothing is left, so the reader need not pull again");
        }
        match pulled {
            Poll::Ready(Pulled::Data { .. }) => assert!(!out.is_empty()),
            Poll::Ready(Pulled::More) => {
                assert!(out.is_empty() && left == 0, "{left} ticks more could be read")
            }
            Poll::Pending => assert!(out.is_empty()),
            Poll::Ready(pulled) => panic!("{pulled:?}"),
        }
        for line in String::from_utf8(out).unwrap().lines() {
            reader.check(&self.tape, line, now);
        }
        pulled.is_ready()
    }

    /// When the reader has read all there is, nothing is left out, but for what waits for a minimum interval.
    pub(super) fn check_all_read(&mut self, reader: usize) {
        let enough = 100_000;
        let pulls = (0..enough).take_while(|_| self.pull(reader, 100_000)).count();
        assert!(pulls < enough, "it is never finished");
        let now = self.hub.lock().now;
        for (symbol, expected) in &self.readers[reader].expected {
            let instrument = self.tape.instrument(symbol).unwrap();
            let newest = self.tape.series(&instrument).sequence_at(now).map(|sequence| sequence.0);
            let waits = expected.must_be_sent_by() > now;
            assert!(expected.last >= newest || waits, "{symbol}: {:?} of {newest:?}", expected.last);
            assert!(!expected.catching_up, "{symbol}: it was not told that it has caught up");
        }
    }
}

impl Expected {
    fn not_before(&self) -> Time {
        self.sent.0 + self.interest.min_interval()
    }

    /// When the minimum interval is over for certain.
    fn must_be_sent_by(&self) -> Time {
        match self.interest.min_interval() {
            Duration::ZERO => Time::default(),
            interval => self.sent.1 + interval,
        }
    }
}

impl Reader {
    fn check(&mut self, tape: &Metronome, line: &str, now: Time) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        if words[0] == "heartbeat" {
            return;
        }
        let symbol: Symbol = words[1].parse().unwrap();
        let expected = self.expected.get_mut(&symbol).expect("a message of a symbol that is not subscribed");
        let series = tape.series(&tape.instrument(&symbol).unwrap());
        let min_interval = expected.interest.min_interval();
        let time = series.tick(Sequence(number(2))).time;
        match (words[0], expected.last) {
            ("tick", last) => {
                let (sequence, conflated) = (number(2), number(3));
                assert!(
                    series.first().0 <= sequence && time <= now.max(START),
                    "{line}: a tick of the future"
                );
                assert_eq!(
                    number(4) == 1,
                    last.is_none(),
                    "{line}: the first tick, and no other, is the snapshot"
                );
                if let Some(last) = last {
                    assert_eq!(
                        last + conflated + 1,
                        sequence,
                        "{line}: received and conflated do not add up"
                    );
                }
                assert!(
                    conflated == 0 || expected.interest.delivery != Delivery::EveryTick,
                    "{line}: left out"
                );
                if expected.catching_up {
                    assert!(
                        conflated == 0 || !min_interval.is_zero(),
                        "{line}: left out while it catches up"
                    );
                    assert!(expected.not_before() <= time || min_interval.is_zero(), "{line}: too near");
                    expected.sent = (time, time);
                } else {
                    let held_back = !min_interval.is_zero() && expected.not_before() > now;
                    assert!(!held_back || last.is_none(), "{line}: too soon");
                    // Without a minimum interval the hub does not note when it sends.
                    expected.sent = (if min_interval.is_zero() { time } else { now }, now);
                }
                expected.last = Some(sequence);
            }
            ("gap", Some(last)) => {
                assert_eq!(last + 1, number(2), "{line}: the gap begins elsewhere");
                if expected.catching_up {
                    assert_eq!(number(3) + 1, series.first().0, "{line}: more than was never there");
                } else {
                    assert_eq!(expected.interest.delivery, Delivery::EveryTick, "{line}");
                    let lag = now.nanos() - time.nanos();
                    assert!(u128::from(lag) >= MAX_LAG.as_nanos(), "{line}: the lag is allowed");
                    // A later minimum interval counts from the last tick of the gap.
                    expected.sent.1 = expected.sent.1.max(series.tick(Sequence(number(3))).time);
                }
                expected.last = Some(number(3));
            }
            ("caught_up", Some(last)) => {
                assert!(std::mem::take(&mut expected.catching_up), "{line}: it was not catching up");
                assert_eq!(last, number(2), "{line}");
                let newest = series.sequence_at(now).map(|newest| newest.0);
                let held_back = !min_interval.is_zero()
                    && series.sequence_from(expected.must_be_sent_by()).0 > newest.unwrap_or(0);
                assert!(Some(last) >= newest || held_back, "{line}: ticks are missing");
            }
            _ => panic!("unexpected: {line}"),
        }
    }
}
