//! Requests are heard in turns: however many there are and however large, each is answered, in order, and ticks keep
//! their place among the answers.

use std::{collections::HashSet, num::NonZeroUsize, sync::Arc, time::Duration};

use prost::Message;
use ticker::{
    contract::{
        gogen::{TickerRequest, TickerResponse},
        v1::{
            Detail, Subscription, SymbolStatusCode as Code, TickerStreamRequest, TickerStreamResponse,
            ticker_stream_request::Verb, ticker_stream_response::Event,
        },
    },
    pacer::{Clock, Speed},
    server::Config,
    tape::{Simulated, Universe},
    tick::{Sequence, Time},
};

use crate::support::{
    raw::{GOGEN, Raw, STREAM},
    server::{INSTRUMENTS, Server, series, symbols},
};

fn any_symbol(config: &mut Config) {
    let universe = Universe::parse(INSTRUMENTS, "instruments").unwrap().with_any_symbol(100_000);
    config.tape = Arc::new(Simulated::new(7, universe));
}

/// A thousand instruments, each with fifty ticks a second on average, on a day that has just begun, so that quotes cost little.
fn thousand(config: &mut Config) {
    let instrument =
        |n| format!("[[instrument]]\nsymbol = \"S{n:03}\"\nreference_price = 10\ntick_interval = \"20ms\"\n");
    let universe = Universe::parse(&(0..1_000).map(instrument).collect::<String>(), "instruments").unwrap();
    config.tape = Arc::new(Simulated::new(7, universe));
    let midnight = Time::from_nanos(1_700_006_400_000_000_000);
    config.clock = Clock::Played { tape: midnight, wall: Clock::Wall.now(), speed: Speed::REAL };
}

const BURST: u64 = 10_000;

#[tokio::test]
async fn ten_thousand_requests_in_one_burst_are_all_answered() {
    let server = Server::start_with(any_symbol);
    let mut raw = Raw::connect(&server).await;
    let mut call = raw.call(STREAM).await;
    for request_id in 0..BURST {
        let verb = Some(Verb::Subscribe(symbols(&[&format!("X{request_id}")])));
        call.say(&TickerStreamRequest { request_id, verb });
    }
    let mut answered = 0;
    while answered < BURST {
        if let Some(Event::SubscriptionResult(result)) = call.message::<TickerStreamResponse>().await.event {
            assert_eq!((result.request_id, result.statuses[0].code()), (answered, Code::Subscribed));
            answered += 1;
        }
    }
}

/// Sends a burst of requests on one stream, and waits until each symbol has had a tick.
async fn every_symbol_of_a_burst_has_a_price(raw: &mut Raw) {
    let mut call = raw.call(GOGEN).await;
    for at in 0..BURST {
        call.say(&TickerRequest { symbol: format!("X{at}") });
    }
    let mut seen = HashSet::new();
    while seen.len() < BURST as usize {
        seen.insert(call.message::<TickerResponse>().await.symbol);
    }
}

#[tokio::test]
async fn ten_thousand_requests_of_gogen_in_one_burst_all_have_a_price() {
    let server = Server::start_with(any_symbol);
    let mut raw = Raw::connect(&server).await;
    every_symbol_of_a_burst_has_a_price(&mut raw).await;
}

#[tokio::test]
async fn a_burst_is_answered_while_others_keep_the_worker_busy() {
    let server = Server::start_with(|config| {
        any_symbol(config);
        config.workers = NonZeroUsize::MIN;
    });
    let mut busy = Raw::connect(&server).await;
    let mut streams = Vec::new();
    for stream in 0..4 {
        let mut call = busy.call(STREAM).await;
        let names = |round: usize| (0..1_000).map(|at| format!("Y{}-{at}", round % 2)).collect();
        for round in 0..10 {
            let set = Subscription { symbols: names(round + stream), ..Subscription::default() };
            call.say(&TickerStreamRequest { request_id: 1, verb: Some(Verb::SetSubscriptions(set)) });
        }
        streams.push(call);
    }
    let mut raw = Raw::connect(&server).await;
    every_symbol_of_a_burst_has_a_price(&mut raw).await;
}

#[tokio::test]
async fn no_tick_comes_between_a_request_of_a_thousand_symbols_and_its_result() {
    let server = Server::start_with(thousand);
    let mut stream = server.stream().await;
    let names = || (0..1_000).map(|n| format!("S{n:03}")).collect();
    stream.ask(1, Verb::Subscribe(Subscription { symbols: names(), ..Subscription::default() }));
    assert!(matches!(stream.news().await, Event::SubscriptionResult(result) if result.request_id == 1));
    let mut seen = HashSet::new();
    while seen.len() < 1_000 {
        seen.insert(stream.tick().await.symbol);
    }
    // The options change for all at once, as seen from the client.
    let detail = Detail::Quote.into();
    stream.ask(2, Verb::Subscribe(Subscription { symbols: names(), detail, ..Subscription::default() }));
    let mut answered = false;
    let mut after = 0;
    while after < 2_000 {
        match stream.news().await {
            Event::Tick(tick) => {
                assert_eq!(tick.quote.is_some(), answered, "{tick:?}");
                after += usize::from(answered);
            }
            Event::SubscriptionResult(result) => {
                assert!(result.request_id == 2 && !answered);
                answered = true;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Every 50 ms says a verb on a stream that has `FAST` with a minimum interval of 300 ms, and counts the ticks of `FAST`.
async fn with_min_interval(verb: impl Fn(u64, Subscription) -> Verb) {
    const ROUNDS: u64 = 80;
    let server = Server::start_with(any_symbol);
    let min_interval = Some(prost_types::Duration { seconds: 0, nanos: 300_000_000 });
    let mut stream = server.stream().await;
    let wanted = Subscription { min_interval, ..symbols(&["FAST"]) };
    stream.ask(0, Verb::Subscribe(wanted.clone()));
    let first = stream.tick().await.sequence;
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    let mut received = 0;
    let mut last = first;
    for round in 0..ROUNDS {
        pace.tick().await;
        stream.ask(round, verb(round, wanted.clone()));
        loop {
            match stream.news().await {
                Event::Tick(tick) if tick.symbol == "FAST" => {
                    assert_eq!((tick.sequence, tick.snapshot), (last + tick.conflated + 1, false));
                    last = tick.sequence;
                    received += 1;
                }
                Event::Tick(_) => {}
                Event::SubscriptionResult(result) => break assert_eq!(result.request_id, round),
                other => panic!("{other:?}"),
            }
        }
    }
    // As if nothing had been asked: after 300 ms the newest tick, or the next one if there is none.
    let fast = series("FAST");
    let (mut time, mut sent, mut expected) = (fast.tick(Sequence(first)).time, Sequence(first), 0);
    while sent < Sequence(last) {
        time = (time + Duration::from_millis(300)).max(fast.tick(sent.next()).time);
        sent = fast.sequence_at(time).unwrap();
        expected += 1;
    }
    assert!(expected >= ROUNDS / 10, "{expected}");
    assert!((expected * 3 / 4..=expected + 1).contains(&received), "{received} of {expected}");
}

#[tokio::test]
async fn a_subscribe_that_is_repeated_does_not_starve_a_minimum_interval() {
    with_min_interval(|_, wanted| Verb::Subscribe(wanted)).await;
}

#[tokio::test]
async fn a_set_that_grows_does_not_starve_a_minimum_interval() {
    with_min_interval(|round, mut wanted| {
        wanted.symbols.extend((0..round).map(|at| format!("X{at}")));
        Verb::SetSubscriptions(wanted)
    })
    .await;
}

#[tokio::test]
async fn the_texts_of_a_result_are_bounded_and_its_codes_are_complete() {
    let server = Server::start();
    let mut stream = server.stream().await;
    let many = |symbol: &str, count| vec![symbol.to_owned(); count];
    let foreign =
        Subscription { tape_id: "x".repeat(64), symbols: many("", 10_000), ..Subscription::default() };
    let unknown = Subscription { symbols: many("tcs", 1_000), ..Subscription::default() };
    let malformed = Subscription { symbols: many(&"\u{1f4b9}".repeat(31), 1_000), ..Subscription::default() };
    let set = unknown.clone();
    for (verb, count, code) in [
        (Verb::Subscribe(foreign.clone()), 10_000, Code::ForeignTape),
        (Verb::SetSubscriptions(foreign), 10_000, Code::ForeignTape),
        (Verb::Subscribe(unknown), 1_000, Code::UnknownSymbol),
        (Verb::SetSubscriptions(set), 1_000, Code::UnknownSymbol),
        (Verb::Subscribe(malformed), 1_000, Code::InvalidArgument),
    ] {
        stream.ask(1, verb);
        let result = stream.result().await;
        assert_eq!(result.statuses.len(), count);
        assert!(result.statuses.iter().all(|status| status.code() == code), "{code:?}");
        assert!(result.statuses[..8].iter().all(|status| !status.message.is_empty()));
        let texts: usize = result.statuses.iter().map(|status| status.message.len()).sum();
        let symbols: usize = result.statuses.iter().map(|status| status.symbol.len()).sum();
        assert!(texts <= 16 * 1024, "{texts}");
        assert!(result.encoded_len() <= texts + symbols + 16 * count, "{}", result.encoded_len());
        let suggested = |text: &str| text.contains("did you mean TCS?");
        let suggestions = result.statuses.iter().filter(|status| suggested(&status.message)).count();
        assert_eq!(suggestions, if code == Code::UnknownSymbol { 8 } else { 0 });
    }
}
