//! A tape that is still being written: the contract of `ticker::tape`, held by a feed into which the test pushes ticks.

mod feed;
mod parts;

use std::{sync::Arc, thread, time::Duration};

use ticker::{
    contract::v1::{
        CaughtUp, Delivery, DigestTicksRequest, Gap, ListCandlesRequest, ListInstrumentsRequest,
        ListTicksRequest, Subscription, SymbolStatusCode as Code, TickerStreamRequest, TickerStreamResponse,
        WatchRequest, ticker_stream_request::Verb, ticker_stream_response::Event, watch_response,
    },
    pacer::Clock,
};

use self::feed::Feed;
use crate::support::server::{Server, Talk, symbols};

type Stream = Talk<TickerStreamRequest, TickerStreamResponse>;

/// A feed that keeps `window` ticks of each symbol, and a server that plays it.
fn start(window: usize) -> (Arc<Feed>, Server) {
    let feed = Feed::new(window);
    let server = Server::start_with(|config| config.tape = feed.clone());
    (feed, server)
}

/// Ticks of a symbol that take place now.
fn push(feed: &Feed, symbol: &str, count: u64) {
    for _ in 0..count {
        feed.push(symbol, Clock::Wall.now());
    }
}

fn after(symbol: &str, sequence: u64, delivery: Delivery) -> Verb {
    Verb::Subscribe(Subscription {
        delivery: delivery.into(),
        after_sequence: [(symbol.to_owned(), sequence)].into(),
        ..symbols(&[symbol])
    })
}

/// The next tick, as its sequence and whether it is a snapshot.
async fn next(stream: &mut Stream) -> (u64, bool) {
    match stream.news().await {
        Event::Tick(tick) => (tick.sequence, tick.snapshot),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_subscriber_is_sent_each_tick_when_it_arrives() {
    let (feed, server) = start(1_000);
    push(&feed, "A", 2);
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["A"])));
    stream.result().await;
    assert_eq!(next(&mut stream).await, (2, true));
    for sequence in 3..=30 {
        push(&feed, "A", 1);
        assert_eq!(next(&mut stream).await, (sequence, false));
    }
}

#[tokio::test]
async fn an_instrument_that_appears_later_can_be_subscribed_and_is_listed() {
    let (feed, server) = start(1_000);
    push(&feed, "B", 1);
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["A"])));
    assert_eq!(stream.result().await.statuses[0].code(), Code::UnknownSymbol);
    push(&feed, "A", 1);
    stream.ask(2, Verb::Subscribe(symbols(&["A"])));
    assert_eq!(stream.result().await.statuses[0].code(), Code::Subscribed);
    assert_eq!(next(&mut stream).await, (1, true));
    push(&feed, "A", 1);
    assert_eq!(next(&mut stream).await, (2, false));

    let mut all = server.stream().await;
    all.ask(1, Verb::Subscribe(symbols(&["*"])));
    all.result().await;
    assert_eq!([next(&mut all).await, next(&mut all).await], [(2, true), (1, true)]);
}

#[tokio::test]
async fn pages_of_a_list_that_grows_have_no_instrument_twice_and_leave_none_out() {
    let (feed, server) = start(1_000);
    for symbol in ["B", "D", "F"] {
        push(&feed, symbol, 1);
    }
    let mut client = server.client().await;
    let (mut found, mut page_token) = (Vec::new(), String::new());
    for appear in [["A", "E", "H"].as_slice(), &["C", "G"], &[]] {
        let request = ListInstrumentsRequest { page_size: 2, page_token, ..Default::default() };
        let page = client.list_instruments(request).await.unwrap().into_inner();
        found.extend(page.instruments.into_iter().map(|instrument| instrument.symbol));
        page_token = page.next_page_token;
        appear.iter().for_each(|symbol| push(&feed, symbol, 1));
    }
    assert_eq!(found, ["B", "D", "E", "F", "G", "H"]);
    assert_eq!(page_token, "");
}

#[tokio::test]
async fn a_stream_resumes_after_a_sequence_and_goes_on_with_what_arrives() {
    for delivery in [Delivery::Latest, Delivery::EveryTick] {
        let (feed, server) = start(1_000);
        push(&feed, "A", 5);
        let mut stream = server.stream().await;
        stream.ask(1, after("A", 2, delivery));
        stream.result().await;
        for sequence in 3..=5 {
            assert_eq!(next(&mut stream).await, (sequence, false));
        }
        let caught_up = CaughtUp { symbol: "A".to_owned(), sequence: 5 };
        assert_eq!(stream.news().await, Event::CaughtUp(caught_up));
        push(&feed, "A", 1);
        assert_eq!(next(&mut stream).await, (6, false));
    }
}

#[tokio::test]
async fn a_stream_that_resumes_before_the_window_is_told_which_ticks_it_missed() {
    for delivery in [Delivery::Latest, Delivery::EveryTick] {
        let (feed, server) = start(10);
        push(&feed, "A", 30);
        let mut stream = server.stream().await;
        stream.ask(1, after("A", 5, delivery));
        stream.result().await;
        let gap = Gap { symbol: "A".to_owned(), first_sequence: 6, last_sequence: 20 };
        assert_eq!(stream.news().await, Event::Gap(gap));
        for sequence in 21..=30 {
            assert_eq!(next(&mut stream).await, (sequence, false));
        }
        assert!(matches!(stream.news().await, Event::CaughtUp(_)));
    }
}

#[tokio::test]
async fn every_tick_is_sent_or_is_in_a_gap_while_the_window_moves_fast() {
    const TICKS: u64 = 50_000;
    let (feed, server) = start(16);
    push(&feed, "A", 1);
    let mut stream = server.stream().await;
    stream.ask(1, after("A", 0, Delivery::EveryTick));
    stream.result().await;
    let writer = thread::spawn(move || push(&feed, "A", TICKS - 1));
    let mut last = 0;
    while last < TICKS {
        match stream.news().await {
            Event::Tick(tick) => {
                assert_eq!((tick.sequence, tick.conflated), (last + 1, 0));
                last = tick.sequence;
            }
            Event::Gap(gap) => {
                assert_eq!(gap.first_sequence, last + 1);
                last = gap.last_sequence;
            }
            Event::CaughtUp(caught_up) => assert_eq!(caught_up.sequence, last),
            other => panic!("{other:?}"),
        }
    }
    writer.join().unwrap();
}

#[tokio::test]
async fn a_replay_that_the_window_has_passed_has_a_gap_and_goes_on_with_what_arrives() {
    let (feed, server) = start(16);
    let begin = Clock::Wall.now().before(Duration::from_secs(100)).unwrap();
    let later = begin + Duration::from_secs(1);
    [begin, later, later].iter().for_each(|time| feed.push("A", *time));
    let mut client = server.client().await;
    let (seconds, nanos) = begin.parts();
    let request = WatchRequest {
        symbols: vec!["A".to_owned()],
        delivery: Delivery::EveryTick.into(),
        start_time: Some(prost_types::Timestamp { seconds, nanos }),
        speed: 2.0,
        ..WatchRequest::default()
    };
    let mut replay = client.watch(request).await.unwrap().into_inner();
    let mut last = 0;
    while last < 40 {
        match replay.message().await.unwrap().unwrap().event.unwrap() {
            watch_response::Event::Tick(tick) => {
                assert_eq!((tick.sequence, tick.conflated), (last + 1, 0));
                last = tick.sequence;
                match last {
                    // The second tick is due in half a second: by then, the ticks after it have left the window.
                    1 => (0..30).for_each(|_| feed.push("A", later)),
                    33.. => push(&feed, "A", 1),
                    _ => {}
                }
            }
            watch_response::Event::Gap(gap) => {
                assert_eq!(gap.first_sequence, last + 1);
                last = gap.last_sequence;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn history_reaches_to_the_newest_tick_so_far() {
    let (feed, server) = start(8);
    let mut client = server.client().await;
    for (pushed, expected) in [(3, 1..=3), (2, 1..=5), (10, 8..=15)] {
        push(&feed, "A", pushed);
        let symbol = || "A".to_owned();
        let request = ListTicksRequest { symbol: symbol(), ..ListTicksRequest::default() };
        let ticks = client.list_ticks(request).await.unwrap().into_inner().ticks;
        assert!(ticks.iter().map(|tick| tick.sequence).eq(expected.clone()), "{ticks:?}");

        let request = ListCandlesRequest {
            symbol: symbol(),
            interval: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
            start_time: ticks[0].time,
            ..ListCandlesRequest::default()
        };
        let candles = client.list_candles(request).await.unwrap().into_inner().candles;
        // Midnight may pass during the test.
        let count: u64 = candles.iter().map(|candle| candle.tick_count).sum();
        assert_eq!(count, expected.clone().count() as u64);
        assert_eq!(candles[candles.len() - 1].close_nanos, *expected.end() as i64);

        let request = DigestTicksRequest { symbol: symbol(), ..DigestTicksRequest::default() };
        let digest = client.digest_ticks(request).await.unwrap().into_inner();
        assert_eq!(digest.start_sequence..=digest.end_sequence - 1, expected);
    }
}
