//! Resuming: on any replica, at any time, without a tick lost or sent twice.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ticker::{
    contract::v1::{
        Delivery, Gap, Subscription, SymbolStatusCode as Code, Tick, TickerStreamRequest,
        TickerStreamResponse, ticker_stream_request::Verb, ticker_stream_response::Event,
    },
    tape::{Cursor, Identity, Instrument, Missing, Series, Simulated, Tape, Universe},
    tick::{Sequence, Symbol, Time},
};

use crate::server::{Server, Talk, symbols};

type Stream = Talk<TickerStreamRequest, TickerStreamResponse>;

fn every_tick(names: &[&str]) -> Subscription {
    Subscription { delivery: Delivery::EveryTick.into(), ..symbols(names) }
}

fn after(sequences: &[(&str, u64)], subscription: Subscription) -> Subscription {
    let after_sequence = sequences.iter().map(|(symbol, last)| ((*symbol).to_owned(), *last)).collect();
    Subscription { after_sequence, ..subscription }
}

/// The newest sequence of a symbol.
async fn newest(server: &Server, symbol: &str) -> Tick {
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&[symbol])));
    loop {
        if let Event::Tick(tick) = stream.event().await {
            return tick;
        }
    }
}

/// Reads until `symbol` has caught up and some live ticks after it; every tick of it must be the one after `last`.
async fn read_on(stream: &mut Stream, symbol: &str, mut last: u64) {
    let mut caught_up = false;
    let mut live = 0;
    while live < 20 {
        match stream.news().await {
            Event::Tick(tick) if tick.symbol == symbol => {
                assert_eq!((tick.sequence, tick.snapshot), (last + tick.conflated + 1, false));
                // A live reader of the latest may be too slow; a resume leaves nothing out.
                assert!(tick.conflated == 0 || caught_up);
                last = tick.sequence;
                live += usize::from(caught_up);
            }
            Event::CaughtUp(message) if message.symbol == symbol => {
                assert!(!caught_up, "it caught up twice");
                assert_eq!(message.sequence, last);
                caught_up = true;
            }
            Event::Tick(_) | Event::CaughtUp(_) | Event::SubscriptionResult(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_goes_on_at_another_replica_with_the_tick_after_its_last() {
    let first = Server::start();
    let mut stream = first.stream().await;
    stream.ask(1, Verb::Subscribe(every_tick(&["FAST", "TCS"])));
    let tape_id = stream.result().await.tape_id;
    let mut seen: HashMap<String, u64> = HashMap::new();
    while seen.len() < 2 {
        let tick = stream.tick().await;
        seen.insert(tick.symbol, tick.sequence);
    }
    drop(stream);
    drop(first);
    let second = Server::start();
    let mut stream = second.stream().await;
    let (fast, tcs) = (seen["FAST"], seen["TCS"]);
    let wanted = after(&[("FAST", fast), ("TCS", tcs)], every_tick(&["FAST", "TCS"]));
    stream.ask(2, Verb::Subscribe(Subscription { tape_id, ..wanted }));
    read_on(&mut stream, "FAST", fast).await;
    stream.ask(3, Verb::Subscribe(after(&[("TCS", tcs)], every_tick(&["TCS"]))));
    // Until then TCS goes on where it was.
    assert_eq!(stream.result().await.request_id, 3);
    read_on(&mut stream, "TCS", tcs).await;
}

#[tokio::test]
async fn whatever_the_delivery_a_resume_leaves_nothing_out() {
    let server = Server::start();
    let last = newest(&server, "FAST").await.sequence - 40_000;
    for delivery in [Delivery::Latest, Delivery::EveryTick] {
        let mut stream = server.stream().await;
        let wanted = Subscription { delivery: delivery.into(), ..symbols(&["FAST"]) };
        stream.ask(1, Verb::Subscribe(after(&[("FAST", last)], wanted)));
        assert!(matches!(stream.news().await, Event::SubscriptionResult(_)));
        read_on(&mut stream, "FAST", last).await;
    }
}

#[tokio::test]
async fn a_lag_beyond_the_greatest_makes_no_gap_in_a_resume() {
    let server = Server::start_with(|config| config.max_lag = Duration::from_millis(100));
    let last = newest(&server, "FAST").await.sequence - 20_000;
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(after(&[("FAST", last)], every_tick(&["FAST"]))));
    read_on(&mut stream, "FAST", last).await;
}

#[tokio::test]
async fn a_symbol_resumes_in_the_middle_of_a_stream_s_life() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["FAST", "TCS"])));
    let tick = stream.tick().await;
    assert!(tick.snapshot);
    let last = newest(&server, "FAST").await.sequence - 2_000;
    stream.ask(2, Verb::Subscribe(after(&[("FAST", last)], symbols(&["FAST"]))));
    assert_eq!(stream.result().await.request_id, 2);
    read_on(&mut stream, "FAST", last).await;
}

#[tokio::test]
async fn a_start_time_begins_with_the_first_tick_at_or_after_it() {
    let server = Server::start();
    let newest = newest(&server, "TCS").await;
    let hour_ago = prost_types::Timestamp { seconds: newest.time.unwrap().seconds - 3600, nanos: 0 };
    let mut stream = server.stream().await;
    let wanted = Subscription { start_time: Some(hour_ago), ..every_tick(&["TCS"]) };
    stream.ask(1, Verb::Subscribe(wanted));
    let first = stream.tick().await;
    let time = first.time.unwrap();
    // One tick takes place in each 50 ms.
    assert!(time.seconds == hour_ago.seconds && time.nanos < 100_000_000, "{time:?}");
    read_on(&mut stream, "TCS", first.sequence).await;
}

#[tokio::test]
async fn with_a_minimum_interval_the_missed_ticks_are_as_far_apart_as_live_ones() {
    let server = Server::start();
    let mut last = newest(&server, "FAST").await.sequence - 10_000;
    let mut stream = server.stream().await;
    let min_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    stream.ask(
        1,
        Verb::Subscribe(after(&[("FAST", last)], Subscription { min_interval, ..symbols(&["FAST"]) })),
    );
    let mut received = 0;
    let mut before: Option<f64> = None;
    loop {
        match stream.news().await {
            Event::Tick(tick) => {
                assert_eq!(tick.sequence, last + tick.conflated + 1);
                let time = tick.time.unwrap();
                let time = time.seconds as f64 + f64::from(time.nanos) * 1e-9;
                match before {
                    None => assert_eq!(tick.conflated, 0, "the first one is the one after the last seen"),
                    Some(before) => assert!(time - before > 0.999, "{before} {time}"),
                }
                (last, before, received) = (tick.sequence, Some(time), received + 1);
            }
            Event::CaughtUp(_) => break,
            Event::SubscriptionResult(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // Fifty seconds were missed.
    assert!((49..=51).contains(&received), "{received}");
}

#[tokio::test]
async fn a_sequence_of_the_future_is_waited_for() {
    let server = Server::start();
    let future = newest(&server, "FAST").await.sequence + 100;
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(after(&[("FAST", future)], symbols(&["FAST"]))));
    read_on(&mut stream, "FAST", future).await;
}

#[tokio::test]
async fn a_foreign_tape_refuses_every_symbol() {
    let server = Server::start();
    let mut stream = server.stream().await;
    let wanted = after(&[("TCS", 5)], symbols(&["TCS", "INFY"]));
    stream.ask(1, Verb::Subscribe(Subscription { tape_id: "other".to_owned(), ..wanted }));
    let result = stream.result().await;
    assert!(result.statuses.iter().all(|status| status.code() == Code::ForeignTape), "{result:?}");
    assert_eq!(result.statuses.len(), 2);
}

#[tokio::test]
async fn a_sequence_whose_symbol_was_left_out_is_told() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(after(&[("TCS", 5), ("INFY", 6)], symbols(&["INFY"]))));
    let statuses = stream.result().await.statuses;
    let told: Vec<_> = statuses.iter().map(|status| (status.symbol.as_str(), status.code())).collect();
    assert_eq!(told, [("INFY", Code::Subscribed), ("TCS", Code::InvalidArgument)]);
    let mut stream = server.stream().await;
    let last = newest(&server, "FAST").await.sequence - 1_000;
    stream.ask(1, Verb::Subscribe(after(&[("FAST", last), ("NOPE", 6)], every_tick(&["*"]))));
    let statuses = stream.result().await.statuses;
    let told: Vec<_> = statuses.iter().map(|status| (status.symbol.as_str(), status.code())).collect();
    assert_eq!(told, [("*", Code::Subscribed), ("NOPE", Code::InvalidArgument)]);
    read_on(&mut stream, "FAST", last).await;
}

#[tokio::test]
async fn what_was_never_on_the_tape_is_a_gap() {
    let text = "[[instrument]]\nsymbol = \"SLOW\"\nreference_price = 10\ntick_interval = \"1h\"";
    let universe = Universe::parse(text, "instruments").unwrap();
    let tape = Simulated::new(7, universe);
    let server = Server::start_with(|config| config.tape = Arc::new(Late(tape)));
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(after(&[("SLOW", 5)], symbols(&["SLOW"]))));
    stream.result().await;
    let gap = Gap { symbol: "SLOW".to_owned(), first_sequence: 6, last_sequence: Late::FIRST - 1 };
    assert_eq!(stream.news().await, Event::Gap(gap));
    assert!(matches!(stream.news().await, Event::Tick(tick) if tick.sequence == Late::FIRST));
}

/// A tape that keeps nothing from before a sequence, as that of a live feed.
struct Late(Simulated);

impl Late {
    const FIRST: u64 = 490_000;
}

impl Tape for Late {
    fn identity(&self) -> &Identity {
        self.0.identity()
    }
    fn instruments(&self) -> &[Arc<Instrument>] {
        self.0.instruments()
    }
    fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing> {
        self.0.instrument(symbol)
    }
    fn suggest(&self, text: &str) -> Option<Symbol> {
        self.0.suggest(text)
    }
    fn series(&self, instrument: &Instrument) -> Arc<dyn Series> {
        Arc::new(LateSeries(self.0.series(instrument)))
    }
}

struct LateSeries(Arc<dyn Series>);

impl Series for LateSeries {
    fn first(&self) -> Sequence {
        Sequence(Late::FIRST)
    }
    fn last(&self) -> Sequence {
        self.0.last()
    }
    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        self.0.sequence_at(time).filter(|found| *found >= self.first())
    }
    fn tick(&self, sequence: Sequence) -> ticker::tick::Tick {
        self.0.tick(sequence.max(self.first()))
    }
    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        self.0.cursor(from.max(self.first()))
    }
}
