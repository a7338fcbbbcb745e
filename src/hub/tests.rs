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
    pacer::{Pacer, Speed},
    tape::{Cursor, Identity, Kind, Tape},
    tick::Price,
};

const START: Time = Time::from_nanos(1_700_000_000_000_000_000);
const FLUSH: Duration = Duration::from_millis(10);
const MAX_LAG: Duration = Duration::from_secs(2);

/// A tape whose tick *n* takes place at n × interval; the symbols are `A` to `F`.
struct Metronome {
    instruments: Vec<Arc<Instrument>>,
    identity: Identity,
}

#[derive(Clone, Copy)]
struct Beat {
    interval: u64,
    at: u64,
}

impl Metronome {
    fn new() -> Self {
        let instrument =
            |(symbol, millis)| Arc::new(Instrument::named(symbol, Duration::from_millis(millis)));
        let symbols = [("A", 2), ("B", 7), ("C", 10), ("D", 100), ("E", 333), ("F", 20_000)];
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
        Arc::new(Beat { interval: instrument.tick_interval.as_nanos() as u64, at: 0 })
    }
}

impl Series for Beat {
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
        Beat { at: sequence.0, ..*self }.into()
    }
    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(Beat { at: from.0, ..*self })
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
        self.at += 1;
    }
}

/// Messages as lines of text.
struct Text;

impl WireFormat for Text {
    fn tick(&mut self, instrument: &Instrument, tick: &Tick, mark: Mark, out: &mut Vec<u8>) {
        assert_eq!(tick.price.nanos(), tick.sequence.0 as i64 + 1);
        let Mark { conflated, snapshot } = mark;
        let line =
            format!("tick {} {} {conflated} {}\n", instrument.symbol, tick.sequence, u64::from(snapshot));
        out.extend_from_slice(line.as_bytes());
    }
    fn gap(&mut self, symbol: &Symbol, first: Sequence, last: Sequence, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("gap {symbol} {first} {last} 0\n").as_bytes());
    }
    fn heartbeat(&mut self, _: Time, out: &mut Vec<u8>) {
        out.extend_from_slice(b"heartbeat - 0 0 0\n");
    }
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
    /// The last sequence sent; `None` before the snapshot.
    last: Option<u64>,
    /// From when a minimum interval counts: when it was sent, by the hub's time, or asked for.
    sent: Time,
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe { reader: usize, symbol: usize, delivery: Delivery },
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
    prop_oneof![
        3 => (0..3usize, 0..6usize, delivery)
            .prop_map(|(reader, symbol, delivery)| Step::Subscribe { reader, symbol, delivery }),
        1 => (0..3usize, 0..6usize).prop_map(|(reader, symbol)| Step::Unsubscribe { reader, symbol }),
        1 => (0..3usize).prop_map(|reader| Step::Leave { reader }),
        5 => prop_oneof![0..30u64, 0..500u64, 0..6_000u64].prop_map(|millis| Step::Pass { millis }),
        8 => (0..3usize, prop_oneof![1..100usize, Just(100_000)]).prop_map(|(reader, budget)| Step::Pull { reader, budget }),
    ]
}

impl Stage {
    fn new() -> Self {
        let limits = Limits { max_lag: MAX_LAG, heartbeat_interval: Duration::from_secs(5) };
        let hub = Arc::new(Hub::new(limits, vec![Box::new(Text)]));
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
        let instrument = self.tape.instruments[symbol].clone();
        let interest = Interest { delivery, unnamed: false };
        let reader = &mut self.readers[reader];
        let known = reader.expected.contains_key(&instrument.symbol);
        let outcome = reader.subscriber.subscribe(&self.tape, &instrument, interest, self.now);
        assert_eq!(outcome, if known { Subscribed::Changed } else { Subscribed::Added });
        let fresh = Expected { interest, last: None, sent: START };
        let expected = reader.expected.entry(instrument.symbol).or_insert(fresh);
        expected.interest = interest;
        // A new minimum interval begins when it is asked for.
        expected.sent = expected.sent.max(self.hub.lock().now);
    }

    /// Pulls once; false when there was nothing.
    fn pull(&mut self, reader: usize, budget: usize) -> bool {
        let mut out = Vec::new();
        let now = self.hub.lock().now;
        let reader = &mut self.readers[reader];
        let waker = Waker::from(reader.woken.clone());
        let pulled = reader.subscriber.poll_pull(&mut Context::from_waker(&waker), budget, &mut out);
        assert_eq!(pulled.is_pending(), out.is_empty());
        for line in String::from_utf8(out).unwrap().lines() {
            reader.check(&self.tape, line, now);
        }
        pulled.is_ready()
    }

    /// When the reader has read all there is, nothing is left out, but for what waits for a minimum interval.
    fn check_all_read(&mut self, reader: usize) {
        while self.pull(reader, 100_000) {}
        let now = self.hub.lock().now;
        for (symbol, expected) in &self.readers[reader].expected {
            let instrument = self.tape.instrument(symbol).unwrap();
            let newest = self.tape.series(&instrument).sequence_at(now).map(|sequence| sequence.0);
            let waits = match expected.interest.delivery {
                Delivery::Latest { min_interval } => expected.sent + min_interval > now,
                Delivery::EveryTick => false,
            };
            assert!(expected.last == newest || waits, "{symbol}: {:?} of {newest:?}", expected.last);
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
        assert!(series.tick(Sequence(number(2))).time <= now.max(START), "{line}: a tick of the future");
        match (words[0], expected.last) {
            ("tick", None) => {
                assert_eq!((number(3), number(4)), (0, 1), "{line}: the first tick is the snapshot");
                expected.last = Some(number(2));
            }
            ("tick", Some(last)) => {
                let conflated = number(3);
                assert_eq!(number(4), 0, "{line}: a second snapshot");
                assert_eq!(last + conflated + 1, number(2), "{line}: received and conflated do not add up");
                match expected.interest.delivery {
                    Delivery::EveryTick => assert_eq!(conflated, 0, "{line}: a tick was left out"),
                    Delivery::Latest { min_interval } => {
                        assert!(expected.sent + min_interval <= now, "{line}: too soon")
                    }
                }
                expected.last = Some(number(2));
            }
            ("gap", Some(last)) => {
                assert_eq!(expected.interest.delivery, Delivery::EveryTick, "{line}");
                assert_eq!(last + 1, number(2), "{line}: the gap begins elsewhere");
                let lag = now.nanos() - series.tick(Sequence(number(2))).time.nanos();
                assert!(u128::from(lag) >= MAX_LAG.as_nanos(), "{line}: the lag is allowed");
                expected.last = Some(number(3));
            }
            _ => panic!("unexpected: {line}"),
        }
        expected.sent = now;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_is_sent_what_the_model_expects(steps in prop::collection::vec(step(), 1..80)) {
        let mut stage = Stage::new();
        for step in steps {
            match step {
                Step::Subscribe { reader, symbol, delivery } => stage.subscribe(reader, symbol, delivery),
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
