//! The hub against a model of what each subscription must have been sent, whatever the reader does.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::{
    history::Day,
    pacer::{Pacer, Speed},
    tape::{Cursor, Identity, Kind, Tape},
    tick::Price,
};

const START: Time = Time::from_nanos(1_700_000_000_000_000_000);
/// When a day begins, soon after [`START`].
const DAY: Time = Time::from_nanos(1_700_000_001_000_000_000);
const FLUSH: Duration = Duration::from_millis(10);
const MAX_LAG: Duration = Duration::from_secs(2);

/// A tape whose tick *n* takes place at n × interval. The symbols `A` to `F` begin a minute before [`START`]; `G` begins two
/// seconds after it, and ends again. Their days begin at [`DAY`].
struct Metronome {
    instruments: Vec<Arc<Instrument>>,
    identity: Identity,
}

#[derive(Clone, Copy)]
struct Beat {
    interval: u64,
    first: u64,
    last: u64,
    at: u64,
}

impl Metronome {
    fn new() -> Self {
        let instrument = |(symbol, millis)| {
            let day_start = Duration::from_nanos(DAY.nanos() % (24 * 60 * 60 * 1_000_000_000));
            let named = Instrument::named(symbol, Duration::from_millis(millis));
            Arc::new(Instrument { day_start, ..named })
        };
        let symbols = [("A", 2), ("B", 7), ("C", 10), ("D", 100), ("E", 333), ("F", 20_000), ("G", 9)];
        let identity =
            Identity { tape_id: String::new(), kind: Kind::Simulated, seed: 0, engine_version: "" };
        Self { instruments: symbols.into_iter().map(instrument).collect(), identity }
    }
}

impl Tape for Metronome {
    fn identity(&self) -> &Identity {
        &self.identity
    }
    fn instruments(&self) -> &[Arc<Instrument>] {
        &self.instruments
    }
    fn instrument(&self, symbol: &Symbol) -> Option<Arc<Instrument>> {
        self.instruments.iter().find(|instrument| instrument.symbol == *symbol).cloned()
    }
    fn suggest(&self, _: &str) -> Option<Symbol> {
        None
    }
    fn series(&self, instrument: &Instrument) -> Arc<dyn Series> {
        let interval = instrument.tick_interval.as_nanos() as u64;
        let first_at = |time: Time| time.nanos().div_ceil(interval);
        let (first, last) = match instrument.symbol.as_str() {
            "G" => (first_at(START + Duration::from_secs(2)), first_at(START + Duration::from_secs(9))),
            _ => (first_at(START.before(Duration::from_secs(60)).unwrap()), u64::MAX),
        };
        Arc::new(Beat { interval, first, last, at: first })
    }
}

impl Series for Beat {
    fn first(&self) -> Sequence {
        Sequence(self.first)
    }
    fn last(&self) -> Sequence {
        Sequence(self.last)
    }
    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        let newest = time.nanos() / self.interval;
        (newest >= self.first).then_some(Sequence(newest.min(self.last)))
    }
    fn tick(&self, sequence: Sequence) -> Tick {
        Beat { at: sequence.0.clamp(self.first, self.last), ..*self }.into()
    }
    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(Beat { at: from.0.clamp(self.first, self.last), ..*self })
    }
}

impl From<Beat> for Tick {
    fn from(beat: Beat) -> Self {
        Tick {
            sequence: Sequence(beat.at),
            time: Time::from_nanos(beat.at * beat.interval),
            price: Price::from_nanos(beat.at as i64 + 1).unwrap(),
            quantity: NonZeroU64::MIN,
        }
    }
}

impl Cursor for Beat {
    fn tick(&self) -> Tick {
        (*self).into()
    }
    fn advance(&mut self) {
        self.at = self.last.min(self.at + 1);
    }
}

/// Messages as lines of text.
struct Text {
    quotes: bool,
}

/// The wire formats by their places.
const PLAIN: u8 = 0;
const QUOTES: u8 = 1;

impl WireFormat for Text {
    fn quotes(&self) -> bool {
        self.quotes
    }
    fn tick(
        &mut self,
        instrument: &Instrument,
        tick: &Tick,
        mark: Mark,
        quote: Option<&Quote>,
        out: &mut Vec<u8>,
    ) {
        assert_eq!(tick.price.nanos(), tick.sequence.0 as i64 + 1);
        assert_eq!(quote.is_some(), self.quotes);
        if let Some(Quote { day, .. }) = quote {
            check_day(day, instrument, tick);
        }
        let Mark { conflated, snapshot } = mark;
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

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A hub, its pacer and one reader with a model of what it must have been sent.
struct Stage {
    tape: Metronome,
    hub: Arc<Hub>,
    pacer: Pacer,
    now: Time,
    readers: Vec<Reader>,
}

struct Reader {
    subscriber: Subscriber,
    woken: Arc<Woken>,
    expected: BTreeMap<Symbol, Expected>,
}

/// What the model knows of one subscription.
struct Expected {
    interest: Interest,
    /// The last sequence sent, or resumed after; `None` before the snapshot.
    last: Option<u64>,
    /// It was resumed and is not told yet that it has caught up.
    catching_up: bool,
    /// Until when a minimum interval holds back the next tick: by the hub's time, or by the tick's own while it
    /// catches up.
    not_before: Time,
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe { reader: usize, symbol: usize, delivery: Delivery, format: u8 },
    Resume { reader: usize, symbol: usize, delivery: Delivery, format: u8, ticks_ago: i64 },
    Unsubscribe { reader: usize, symbol: usize },
    Leave { reader: usize },
    Pass { millis: u64 },
    Pull { reader: usize, budget: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let delivery = prop_oneof![
        Just(Delivery::default()),
        Just(Delivery::EveryTick),
        (1..3_000u64).prop_map(|millis| Delivery::Latest { min_interval: Duration::from_millis(millis) }),
    ];
    let format = prop_oneof![Just(PLAIN), Just(QUOTES)];
    let ticks_ago = prop_oneof![-20..20i64, -500..2_000i64, Just(30_100)];
    prop_oneof![
        3 => (0..3usize, 0..7usize, delivery.clone(), format.clone())
            .prop_map(|(reader, symbol, delivery, format)| Step::Subscribe { reader, symbol, delivery, format }),
        2 => (0..3usize, 0..7usize, delivery, format, ticks_ago)
            .prop_map(|(reader, symbol, delivery, format, ticks_ago)| Step::Resume { reader, symbol, delivery, format, ticks_ago }),
        1 => (0..3usize, 0..7usize).prop_map(|(reader, symbol)| Step::Unsubscribe { reader, symbol }),
        1 => (0..3usize).prop_map(|reader| Step::Leave { reader }),
        5 => prop_oneof![0..30u64, 0..500u64, 0..6_000u64].prop_map(|millis| Step::Pass { millis }),
        8 => (0..3usize, prop_oneof![1..100usize, Just(100_000)]).prop_map(|(reader, budget)| Step::Pull { reader, budget }),
    ]
}

impl Stage {
    fn new() -> Self {
        let limits = Limits { max_lag: MAX_LAG, heartbeat_interval: Duration::from_secs(5) };
        let hub = Arc::new(Hub::new(
            limits,
            vec![Box::new(Text { quotes: false }), Box::new(Text { quotes: true })],
        ));
        let mut stage = Self {
            tape: Metronome::new(),
            hub,
            pacer: Pacer::new(Speed::REAL, FLUSH),
            now: START,
            readers: Vec::new(),
        };
        stage.readers = (0..3).map(|_| stage.reader()).collect();
        stage
    }

    fn reader(&self) -> Reader {
        let subscriber = Subscriber::join(self.hub.clone(), 0, self.now);
        Reader { subscriber, woken: Arc::new(Woken(AtomicUsize::new(0))), expected: BTreeMap::new() }
    }

    fn flush(&mut self) {
        let mut flush = self.hub.begin_flush();
        for change in flush.changes() {
            match change {
                Change::Watch { id, series, from } => self.pacer.watch(id, series, from),
                Change::Unwatch { id } => self.pacer.unwatch(id),
            }
        }
        let boundary = self.pacer.advance(self.now, |id, tick| flush.publish(id, tick));
        flush.finish(boundary);
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(10) {
            self.now = self.now + FLUSH;
            self.flush();
        }
    }

    fn subscribe(&mut self, reader: usize, symbol: usize, delivery: Delivery) {
        self.begin(reader, symbol, Interest { delivery, format: PLAIN, unnamed: false }, None);
    }

    /// Subscribes after a sequence that is so many ticks old, or young.
    fn resume(&mut self, reader: usize, symbol: usize, interest: Interest, ticks_ago: i64) {
        let series = self.tape.series(&self.tape.instruments[symbol]);
        let newest = series.sequence_at(self.now).unwrap_or_else(|| series.first());
        self.begin(reader, symbol, interest, Some(newest.0.saturating_add_signed(-ticks_ago)));
    }

    fn begin(&mut self, reader: usize, symbol: usize, interest: Interest, after: Option<u64>) {
        let instrument = self.tape.instruments[symbol].clone();
        let reader = &mut self.readers[reader];
        let known = reader.expected.contains_key(&instrument.symbol);
        let start = after.map_or(Start::Snapshot, |after| Start::at(Sequence(after + 1)));
        let outcome = reader.subscriber.subscribe(&self.tape, &instrument, interest, start, self.now);
        assert_eq!(outcome, if known { Subscribed::Changed } else { Subscribed::Added });
        let now = self.hub.lock().now;
        let series = self.tape.series(&instrument);
        // What has no tick yet begins with its first, which is a live one.
        let last = if series.sequence_at(now).is_none() { Some(series.first().0 - 1) } else { None };
        let fresh = Expected { interest, last, catching_up: false, not_before: START };
        let expected = reader.expected.entry(instrument.symbol).or_insert(fresh);
        expected.interest = interest;
        if after.is_some() {
            (expected.last, expected.catching_up, expected.not_before) = (after, true, Time::default());
        } else if known && !expected.catching_up {
            // A new minimum interval begins when it is asked for.
            expected.not_before = now + interest.min_interval();
        }
    }

    /// Pulls once; false when there was nothing, and nothing is being worked out.
    fn pull(&mut self, reader: usize, budget: usize) -> bool {
        let mut out = Vec::new();
        let now = self.hub.lock().now;
        let reader = &mut self.readers[reader];
        let waker = Waker::from(reader.woken.clone());
        let woken = reader.woken.0.load(Ordering::Relaxed);
        let pulled = reader.subscriber.poll_pull(&mut Context::from_waker(&waker), budget, &mut out);
        assert_eq!(pulled.is_pending(), out.is_empty());
        for line in String::from_utf8(out).unwrap().lines() {
            reader.check(&self.tape, line, now);
        }
        pulled.is_ready() || reader.woken.0.load(Ordering::Relaxed) > woken
    }

    /// When the reader has read all there is, nothing is left out, but for what waits for a minimum interval.
    fn check_all_read(&mut self, reader: usize) {
        let enough = 100_000;
        let pulls = (0..enough).take_while(|_| self.pull(reader, 100_000)).count();
        assert!(pulls < enough, "it is never finished");
        let now = self.hub.lock().now;
        for (symbol, expected) in &self.readers[reader].expected {
            let instrument = self.tape.instrument(symbol).unwrap();
            let newest = self.tape.series(&instrument).sequence_at(now).map(|sequence| sequence.0);
            let waits = expected.interest.min_interval() > Duration::ZERO && expected.not_before > now;
            assert!(expected.last >= newest || waits, "{symbol}: {:?} of {newest:?}", expected.last);
            assert!(!expected.catching_up, "{symbol}: it was not told that it has caught up");
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
                    assert!(expected.not_before <= time || min_interval.is_zero(), "{line}: too near");
                    expected.not_before = time + min_interval;
                } else {
                    let held_back = !min_interval.is_zero() && expected.not_before > now;
                    assert!(!held_back || last.is_none(), "{line}: too soon");
                    expected.not_before = now + min_interval;
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
                }
                expected.last = Some(number(3));
            }
            ("caught_up", Some(last)) => {
                assert!(std::mem::take(&mut expected.catching_up), "{line}: it was not catching up");
                assert_eq!(last, number(2), "{line}");
                let newest = series.sequence_at(now).map(|newest| newest.0);
                let held_back = !min_interval.is_zero()
                    && series.sequence_from(expected.not_before).0 > newest.unwrap_or(0);
                assert!(Some(last) >= newest || held_back, "{line}: ticks are missing");
            }
            _ => panic!("unexpected: {line}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_is_sent_what_the_model_expects(steps in prop::collection::vec(step(), 1..80)) {
        let mut stage = Stage::new();
        for step in steps {
            match step {
                Step::Subscribe { reader, symbol, delivery, format } => {
                    stage.begin(reader, symbol, Interest { delivery, format, unnamed: false }, None);
                }
                Step::Resume { reader, symbol, delivery, format, ticks_ago } => {
                    stage.resume(reader, symbol, Interest { delivery, format, unnamed: false }, ticks_ago);
                }
                Step::Unsubscribe { reader, symbol } => {
                    let symbol = stage.tape.instruments[symbol].symbol;
                    let reader = &mut stage.readers[reader];
                    let known = reader.expected.remove(&symbol).is_some();
                    prop_assert_eq!(reader.subscriber.unsubscribe(&symbol), known);
                }
                Step::Leave { reader } => stage.readers[reader] = stage.reader(),
                Step::Pass { millis } => stage.pass(millis),
                Step::Pull { reader, budget } => {
                    stage.pull(reader, budget);
                }
            }
        }
        for reader in 0..3 {
            stage.check_all_read(reader);
        }
        // Everything that waits for a minimum interval comes when it is over, even if no tick follows.
        stage.pass(3_100);
        for reader in 0..3 {
            stage.check_all_read(reader);
        }
        stage.readers.clear();
        let state = stage.hub.lock();
        prop_assert!(state.by_symbol.is_empty() && state.deferred.is_empty());
        prop_assert!(state.watched.iter().all(Option::is_none) && state.subscribers.iter().all(Option::is_none));
    }
}

#[test]
fn a_reader_that_keeps_up_gets_every_tick() {
    let mut stage = Stage::new();
    stage.subscribe(0, 0, Delivery::default());
    assert!(stage.pull(0, 100_000));
    let first = stage.readers[0].expected.values().next().unwrap().last.unwrap();
    let mut ticks = 0;
    for _ in 0..100 {
        stage.pass(10);
        let before = stage.readers[0].expected.values().next().unwrap().last.unwrap();
        assert!(stage.pull(0, 100_000));
        ticks += stage.readers[0].expected.values().next().unwrap().last.unwrap() - before;
    }
    assert_eq!(ticks, 500, "from {first}: two milliseconds a tick");
}

#[test]
fn a_subscriber_is_woken_once_until_it_has_read_everything() {
    let mut stage = Stage::new();
    stage.subscribe(0, 0, Delivery::default());
    while stage.pull(0, 100_000) {}
    for _ in 0..5 {
        stage.pass(10);
    }
    assert_eq!(stage.readers[0].woken.0.load(Ordering::Relaxed), 1);
    while stage.pull(0, 100_000) {}
    stage.pass(10);
    assert_eq!(stage.readers[0].woken.0.load(Ordering::Relaxed), 2);
}

#[test]
fn a_reader_of_every_tick_that_lags_starves_no_other_symbol() {
    let mut stage = Stage::new();
    stage.subscribe(0, 0, Delivery::EveryTick);
    while stage.pull(0, 100_000) {}
    stage.pass(1_900);
    stage.subscribe(0, 1, Delivery::default());
    // `A` lacks 950 ticks; `B` has its snapshot to come.
    let mut pulls = 0;
    let symbol = stage.tape.instruments[1].symbol;
    while stage.readers[0].expected[&symbol].last.is_none() {
        assert!(stage.pull(0, 1_000));
        pulls += 1;
    }
    assert!(pulls <= 3, "it took {pulls} pulls");
    stage.check_all_read(0);
}

#[test]
fn a_silent_stream_gets_a_heartbeat_and_a_busy_one_none() {
    let mut stage = Stage::new();
    stage.subscribe(0, 5, Delivery::default());
    stage.subscribe(1, 0, Delivery::default());
    for reader in 0..2 {
        while stage.pull(reader, 100_000) {}
    }
    stage.pass(4_900);
    while stage.pull(1, 100_000) {}
    stage.now = stage.now + Duration::from_millis(200);
    stage.hub.beat(stage.now);
    let read = |stage: &mut Stage, reader: usize| {
        let mut out = Vec::new();
        let waker = Waker::from(stage.readers[reader].woken.clone());
        let pulled =
            stage.readers[reader].subscriber.poll_pull(&mut Context::from_waker(&waker), 100_000, &mut out);
        (pulled, String::from_utf8(out).unwrap())
    };
    assert_eq!(read(&mut stage, 0), (Poll::Ready(Pulled::Data), "heartbeat - 0 0 0\n".to_owned()));
    assert_eq!(read(&mut stage, 1), (Poll::Pending, String::new()));
}

#[test]
fn a_clock_that_leaps_ahead_costs_no_burst() {
    let mut stage = Stage::new();
    stage.subscribe(0, 0, Delivery::default());
    while stage.pull(0, 100_000) {}
    stage.now = stage.now + Duration::from_secs(24 * 60 * 60);
    stage.flush();
    assert_eq!(stage.hub.lock().pages[0].iter().filter(|byte| **byte == b'\n').count(), 1);
    stage.check_all_read(0);
}

#[test]
fn a_closed_hub_says_so_to_everyone() {
    let mut stage = Stage::new();
    while stage.pull(0, 100_000) {}
    stage.hub.close();
    assert_eq!(stage.readers[0].woken.0.load(Ordering::Relaxed), 1);
    let mut out = Vec::new();
    let pulled =
        stage.readers[0].subscriber.poll_pull(&mut Context::from_waker(Waker::noop()), 100, &mut out);
    assert_eq!((pulled, out.len()), (Poll::Ready(Pulled::Closed), 0));
}

#[test]
fn a_reader_of_quotes_that_wants_all_ticks_after_it_wanted_few_gets_all() {
    let mut stage = Stage::new();
    let few = Delivery::Latest { min_interval: Duration::from_secs(30) };
    stage.resume(0, 0, Interest { delivery: few, format: QUOTES, unnamed: false }, 25_000);
    // The first tick is sent, and the figures are on their way to one that is 15,000 ticks later.
    for _ in 0..3 {
        stage.pull(0, 100_000);
    }
    stage.begin(0, 0, Interest { delivery: Delivery::EveryTick, format: QUOTES, unnamed: false }, None);
    stage.check_all_read(0);
}

#[test]
fn a_reader_that_begins_to_want_quotes_gets_none_of_an_earlier_flush() {
    let mut stage = Stage::new();
    let quotes = Interest { delivery: Delivery::default(), format: QUOTES, unnamed: false };
    stage.subscribe(0, 0, Delivery::default());
    stage.begin(1, 0, quotes, None);
    for _ in 0..2 {
        stage.check_all_read(0);
        stage.check_all_read(1);
        stage.pass(10);
    }
    stage.check_all_read(0);
    let symbol = stage.tape.instruments[0].symbol;
    stage.readers[1].expected.remove(&symbol);
    assert!(stage.readers[1].subscriber.unsubscribe(&symbol));
    // Nobody reads quotes in this flush.
    stage.pass(10);
    stage.begin(0, 0, quotes, None);
    stage.check_all_read(0);
}

#[test]
fn a_reader_of_quotes_who_is_a_moment_behind_has_its_figures_at_once() {
    let mut stage = Stage::new();
    let all = Interest { delivery: Delivery::EveryTick, format: QUOTES, unnamed: false };
    stage.begin(0, 3, all, None);
    stage.begin(1, 3, all, None);
    stage.check_all_read(0);
    stage.check_all_read(1);
    for _ in 0..20 {
        stage.pass(100);
        stage.check_all_read(0);
    }
    // Twenty ticks are lacking: one pull brings them all, with no figures worked out again.
    assert!(stage.pull(1, 100_000));
    let newest = stage.tape.series(&stage.tape.instruments[3]).sequence_at(stage.now);
    let symbol = stage.tape.instruments[3].symbol;
    assert_eq!(stage.readers[1].expected[&symbol].last, newest.map(|newest| newest.0));
    let state = stage.hub.lock();
    assert!(
        state.subscribers.iter().flatten().flat_map(|entry| &entry.terms).all(|terms| terms.day.is_none())
    );
}
