//! Resuming: on any replica, at any time, without a tick lost or sent twice.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use ticker::{
    contract::v1::{
        Delivery, Gap, ListSubscriptions, Subscription, SymbolStatusCode as Code, Tick, TickerStreamRequest,
        TickerStreamResponse, ticker_stream_request::Verb, ticker_stream_response::Event,
    },
    pacer::Clock,
    tape::{Cursor, Identity, Instrument, Missing, Series, Simulated, Tape, Universe},
    tick::{Sequence, Symbol, Time},
};

use crate::support::server::{Server, Talk, series, symbols, ticks_apart};

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

/// Reads until `symbol` has caught up; every tick of it must be the one after `last`. Returns the last one.
async fn catch_up(stream: &mut Stream, symbol: &str, mut last: u64) -> u64 {
    loop {
        match stream.news().await {
            Event::Tick(tick) if tick.symbol == symbol => {
                assert_eq!((tick.sequence, tick.snapshot, tick.conflated), (last + 1, false, 0));
                last = tick.sequence;
            }
            Event::CaughtUp(message) if message.symbol == symbol => {
                assert_eq!(message.sequence, last);
                return last;
            }
            Event::Tick(_) | Event::CaughtUp(_) | Event::SubscriptionResult(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Reads until `symbol` has caught up and some live ticks after it.
async fn read_on(stream: &mut Stream, symbol: &str, last: u64) {
    let mut last = catch_up(stream, symbol, last).await;
    let mut live = 0;
    while live < 20 {
        match stream.news().await {
            // A live reader of the latest may be too slow; a resume leaves nothing out.
            Event::Tick(tick) if tick.symbol == symbol => {
                assert_eq!((tick.sequence, tick.snapshot), (last + tick.conflated + 1, false));
                last = tick.sequence;
                live += 1;
            }
            Event::CaughtUp(message) => assert_ne!(message.symbol, symbol, "it caught up twice"),
            Event::Tick(_) | Event::SubscriptionResult(_) => {}
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
    catch_up(&mut stream, "FAST", last).await;
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
    let start = Time::from_nanos(hour_ago.seconds as u64 * 1_000_000_000);
    assert_eq!(first.sequence, series("TCS").sequence_from(start).0);
    assert!(time.seconds >= hour_ago.seconds, "{time:?}");
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
    let first = last + 1;
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
    assert!(received > 5, "{received}");
    assert_eq!(received, ticks_apart(&*series("FAST"), first..last + 1, Duration::from_secs(1)));
}

#[tokio::test]
async fn a_sequence_of_the_future_is_waited_for() {
    let server = Server::start();
    let future = newest(&server, "FAST").await.sequence + 100;
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(after(&[("FAST", future)], symbols(&["FAST"]))));
    read_on(&mut stream, "FAST", future).await;
}

/// A time at which no tick of `SLOW` is due for ten minutes, neither then nor `later`.
fn quiet(series: &dyn Series, later: Duration) -> Time {
    let is_quiet = |time| series.sequence_at(time) == series.sequence_at(time + Duration::from_secs(600));
    let hours =
        (0..).map(|hour| Time::from_nanos(1_700_000_000_000_000_000) + hour * Duration::from_secs(3_600));
    hours.into_iter().find(|time| is_quiet(*time) && is_quiet(*time + later)).unwrap()
}

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_sequence_is_waited_for_at_most_a_day_of_real_time() {
    let slow = series("SLOW");
    for speed in [1, 10] {
        let time = quiet(&*slow, speed * DAY);
        let clock =
            Clock::Played { tape: time, wall: Clock::Wall.now(), speed: speed.to_string().parse().unwrap() };
        let newest = slow.sequence_at(time).unwrap().0;
        let furthest = slow.sequence_at(time + speed * DAY).unwrap().0;
        assert!(furthest > newest + 2, "{newest} {furthest}");
        let server = Server::start_with(|config| config.clock = clock);
        let mut stream = server.stream().await;
        for last in [newest - 1, newest, newest + 1, furthest - 1, furthest] {
            stream.ask(1, Verb::Subscribe(after(&[("SLOW", last)], symbols(&["SLOW"]))));
            assert_eq!(stream.result().await.statuses[0].code(), Code::Subscribed, "{last} of {newest}");
            let reached = if last < newest { newest } else { last };
            loop {
                match stream.news().await {
                    Event::CaughtUp(message) => break assert_eq!(message.sequence, reached),
                    Event::Tick(tick) => assert_eq!(tick.sequence, newest),
                    other => panic!("{other:?}"),
                }
            }
        }
        for last in [furthest + 1, furthest + 2, u64::MAX - 1, u64::MAX] {
            stream.ask(2, Verb::Subscribe(after(&[("SLOW", last)], symbols(&["SLOW", "TCS"]))));
            let statuses = stream.result().await.statuses;
            assert_eq!((statuses[0].code(), statuses[1].code()), (Code::InvalidArgument, Code::Subscribed));
            let message = &statuses[0].message;
            assert!(
                message.starts_with(&format!("after_sequence {last} is not due within a day")),
                "{message}"
            );
            assert!(message.contains(&format!("the newest sequence is {newest};")), "{message}");
        }
    }
}

#[tokio::test]
async fn a_symbol_that_is_refused_for_its_sequence_goes_on_as_before() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(every_tick(&["FAST"])));
    stream.result().await;
    let mut last = stream.tick().await.sequence;
    let too_far = after(&[("FAST", u64::MAX)], symbols(&["FAST"]));
    for verb in [Verb::Subscribe(too_far.clone()), Verb::SetSubscriptions(too_far)] {
        stream.ask(2, verb);
        loop {
            match stream.news().await {
                Event::Tick(tick) => {
                    assert_eq!((tick.sequence, tick.conflated), (last + 1, 0));
                    last = tick.sequence;
                }
                Event::SubscriptionResult(result) => {
                    assert_eq!(result.statuses.len(), 1);
                    break assert_eq!(result.statuses[0].code(), Code::InvalidArgument);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    stream.ask(3, Verb::ListSubscriptions(ListSubscriptions {}));
    let listed = stream.result().await.statuses;
    assert_eq!((listed.len(), listed[0].delivery()), (1, Delivery::EveryTick));
}

#[tokio::test]
async fn a_star_leaves_out_a_symbol_whose_sequence_is_too_far_ahead() {
    let server = Server::start();
    let last = newest(&server, "FAST").await.sequence - 1_000;
    let mut stream = server.stream().await;
    let sequences = [("FAST", last), ("NOPE", 6), ("SLOW", u64::MAX), ("TCS", u64::MAX)];
    stream.ask(1, Verb::Subscribe(after(&sequences, every_tick(&["*", "TCS"]))));
    let statuses = stream.result().await.statuses;
    let told: Vec<_> = statuses.iter().map(|status| (status.symbol.as_str(), status.code())).collect();
    let expected = [
        ("*", Code::Subscribed),
        ("TCS", Code::InvalidArgument),
        ("NOPE", Code::InvalidArgument),
        ("SLOW", Code::InvalidArgument),
    ];
    assert_eq!(told, expected);
    assert!(statuses[3].message.contains("is not due within a day"), "{}", statuses[3].message);
    let mut seen = HashSet::new();
    while seen.len() < 2 {
        seen.insert(stream.tick().await.symbol);
    }
    // Those of SLOW and TCS would be snapshots, which come first.
    for _ in 0..200 {
        seen.insert(stream.tick().await.symbol);
    }
    assert_eq!(seen, ["FAST", "INFY"].map(str::to_owned).into());
}

#[tokio::test]
async fn thousands_of_sequences_that_no_symbol_goes_with_are_told_one_by_one() {
    let server = Server::start();
    let mut stream = server.stream().await;
    let names: Vec<String> = (0..5_000).map(|n| format!("X{n:04}")).collect();
    let sequences: Vec<_> = names.iter().map(|name| (name.as_str(), 6)).collect();
    stream.ask(1, Verb::Subscribe(after(&sequences, symbols(&["TCS"]))));
    let statuses = stream.result().await.statuses;
    let told: Vec<_> = statuses.iter().map(|status| status.symbol.as_str()).collect();
    let expected: Vec<_> = ["TCS"].into_iter().chain(names.iter().map(String::as_str)).collect();
    assert_eq!(told, expected);
    assert!(statuses[1..].iter().all(|status| status.code() == Code::InvalidArgument));
}

#[tokio::test]
async fn a_start_is_at_most_a_day_ahead() {
    let server = Server::start();
    let now = newest(&server, "FAST").await.time.unwrap().seconds;
    let mut stream = server.stream().await;
    for (ahead, code) in [(86_300, Code::Subscribed), (86_500, Code::InvalidArgument)] {
        let start_time = Some(prost_types::Timestamp { seconds: now + ahead, nanos: 0 });
        stream.ask(1, Verb::Subscribe(Subscription { start_time, ..symbols(&["FAST", "SLOW"]) }));
        let statuses = stream.result().await.statuses;
        assert!(statuses.iter().all(|status| status.code() == code), "{statuses:?}");
        let is_told = statuses[0].message.contains("start_time is more than a day ahead");
        assert_eq!(is_told, code == Code::InvalidArgument);
    }
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
    fn instruments(&self) -> Arc<[Arc<Instrument>]> {
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
