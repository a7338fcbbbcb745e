//! The symbols for tests, as clients see them.

use std::{collections::BTreeSet, time::Duration};

use ticker::{
    client::{Client, InstrumentInfo, InstrumentStatus, Settings},
    contract::v1::{
        self, Delivery, Detail, GetLastPricesRequest, ListInstrumentsRequest, Subscription, SymbolStatusCode,
        Tick, TickerStreamRequest, TickerStreamResponse, WatchRequest, ticker_stream_request::Verb,
        ticker_stream_response::Event, watch_response,
    },
    pacer::Clock,
    tick::Time,
};
use tokio::time::Instant;
use tokio_stream::StreamExt;

use crate::support::{
    raw::STREAM,
    server::{INSTRUMENTS, Server, symbols},
    virtual_time,
};

const SECOND: u64 = 1_000_000_000;
/// 2026-11-20 12:00:00 UTC.
const NOON: i64 = 1_795_176_000;
const TESTS: [&str; 7] = [
    "TEST.BURST",
    "TEST.COUNTER",
    "TEST.HALT",
    "TEST.LIMITS",
    "TEST.QUIET",
    "TEST.SQUARE",
    "TEST.THE-LONGEST-NAME-IS-32-LONG",
];

/// A clock that shows noon and some time more.
fn from(after_noon: Duration) -> Clock {
    let time = Time::from_nanos(NOON as u64 * SECOND) + after_noon;
    Clock::From { time, instant: Instant::now() }
}

fn server_at(after_noon: Duration) -> Server {
    Server::start_with(|config| config.clock = from(after_noon))
}

fn timestamp(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

fn all_symbols(ticks: &[Tick]) -> BTreeSet<&str> {
    ticks.iter().map(|tick| tick.symbol.as_str()).collect()
}

#[tokio::test]
async fn a_burst_comes_whole_with_one_time() {
    let server = server_at(Duration::from_millis(7_500));
    let mut stream = server.stream().await;
    let every_tick = Subscription { delivery: Delivery::EveryTick.into(), ..symbols(&["TEST.BURST"]) };
    stream.ask(1, Verb::Subscribe(every_tick));
    let before = stream.tick().await;
    assert_eq!((before.snapshot, before.ltp), (true, 109.99));
    let time = before.time.unwrap();
    assert_eq!((time.seconds % 10, time.nanos), (0, 0));
    for place in 0..1_000 {
        let tick = stream.tick().await;
        assert_eq!(tick.sequence, before.sequence + 1 + place);
        assert_eq!(tick.time, Some(timestamp(time.seconds + 10)));
        assert_eq!(tick.ltp_nanos, 100_000_000_000 + place as i64 * 10_000_000);
        assert_eq!((tick.last_quantity, tick.conflated), (1, 0));
    }
}

#[tokio::test]
async fn a_reader_of_the_latest_tick_is_told_how_many_of_a_burst_it_was_not_sent() {
    let server = server_at(Duration::from_millis(7_500));
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["TEST.BURST"])));
    let mut last = stream.tick().await.sequence;
    let end = last + 1_000;
    while last < end {
        let tick = stream.tick().await;
        assert_eq!(tick.sequence, last + tick.conflated + 1);
        last = tick.sequence;
    }
}

#[tokio::test(start_paused = true)]
async fn a_halt_is_seen_in_reference_data_and_in_a_quote_and_ends_with_the_next_tick() {
    let server = virtual_time::Server::start(|config| config.clock = from(Duration::from_secs(117)));
    let settings = Settings::default().with_network(server.network());
    let client = Client::connect(&"ticker:1".parse().unwrap(), settings).await.unwrap();
    let listed: Vec<InstrumentInfo> = client.instruments().collect::<Result<_, _>>().await.unwrap();
    let halted = listed.iter().find(|instrument| instrument.symbol.as_str() == "TEST.HALT").unwrap();
    let reopening = Time::from_nanos((NOON as u64 + 120) * SECOND);
    assert_eq!((halted.status, halted.next_status_change), (Some(InstrumentStatus::Halted), Some(reopening)));

    let mut raw = server.raw().await;
    let mut stream = raw.call(STREAM).await;
    let halt = Subscription { detail: Detail::Quote.into(), ..symbols(&["TEST.HALT"]) };
    stream.say(&TickerStreamRequest { request_id: 1, verb: Some(Verb::Subscribe(halt)) });
    let mut tick = async || loop {
        if let Some(Event::Tick(tick)) = stream.message::<TickerStreamResponse>().await.event {
            return tick;
        }
    };
    let snapshot = tick().await;
    assert_eq!((snapshot.snapshot, snapshot.ltp), (true, 105.99));
    assert_eq!(snapshot.quote.unwrap().status(), v1::InstrumentStatus::Halted);
    let next = tick().await;
    assert_eq!((next.sequence, next.ltp), (snapshot.sequence + 1, 100.0));
    assert_eq!(next.time, Some(timestamp(NOON + 120)));
    assert_eq!(next.quote.unwrap().status(), v1::InstrumentStatus::Open);
}

#[tokio::test]
async fn the_counter_and_the_limits_are_exact_on_the_wire_with_their_quotes() {
    let server = server_at(Duration::ZERO);
    let mut stream = server.stream().await;
    let both = symbols(&["TEST.COUNTER", "TEST.LIMITS"]);
    stream.ask(1, Verb::Subscribe(Subscription { detail: Detail::Quote.into(), ..both }));
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        let tick = stream.tick().await;
        let quote = tick.quote.unwrap();
        assert_eq!((quote.bid_quantity, quote.ask_quantity), (100, 200));
        if tick.symbol == "TEST.COUNTER" {
            assert_eq!((tick.ltp, tick.ltp_nanos), (tick.sequence as f64, (tick.sequence * SECOND) as i64));
            assert_eq!(tick.time, Some(timestamp(tick.sequence as i64)));
            assert_eq!(quote.volume, tick.sequence % 86_400 + 1);
        } else if tick.sequence.is_multiple_of(2) {
            assert_eq!((tick.ltp, tick.ltp_nanos), (1e-9, 1));
            assert_eq!((quote.bid_nanos, quote.ask_nanos), (1, 2));
        } else {
            assert_eq!((tick.ltp, tick.ltp_nanos), (9_223_372_036.854_776, i64::MAX));
            assert_eq!((quote.bid_nanos, quote.ask_nanos), (i64::MAX - 1, i64::MAX));
        }
        seen.insert((tick.symbol, tick.ltp_nanos == i64::MAX));
    }
}

#[tokio::test]
async fn they_are_listed_and_the_prices_of_all_instruments_leave_them_out() {
    let server = Server::start();
    let mut client = server.client().await;
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListInstrumentsRequest { page_size: 4, page_token, ..Default::default() };
        let page = client.list_instruments(request).await.unwrap().into_inner();
        listed.extend(page.instruments);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let tests = listed.iter().filter(|instrument| instrument.kind == "test");
    assert_eq!(tests.map(|instrument| instrument.symbol.as_str()).collect::<Vec<_>>(), TESTS);
    assert_eq!(listed.len(), TESTS.len() + INSTRUMENTS.matches("[[instrument]]").count());

    let all = GetLastPricesRequest { page_size: 4, ..Default::default() };
    let all = client.get_last_prices(all).await.unwrap().into_inner();
    assert_eq!(all_symbols(&all.ticks), BTreeSet::from(["FAST", "INFY", "SLOW", "TCS"]));
    assert_eq!(all.next_page_token, "");
    let named = TESTS.map(str::to_owned).to_vec();
    let named = GetLastPricesRequest { symbols: named, ..Default::default() };
    let named = client.get_last_prices(named).await.unwrap().into_inner();
    assert_eq!(all_symbols(&named.ticks), BTreeSet::from(TESTS));
}

#[tokio::test]
async fn a_star_leaves_them_out_of_live_ticks() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["*", "TEST.SQUARE"])));
    let collect = async |stream: &mut crate::support::server::Talk<_, _>| {
        let mut ticks: Vec<Tick> = Vec::new();
        while ticks.len() < 400 {
            ticks.push(stream.tick().await);
        }
        ticks
    };
    let ticks = collect(&mut stream).await;
    assert_eq!(all_symbols(&ticks), BTreeSet::from(["FAST", "INFY", "SLOW", "TCS", "TEST.SQUARE"]));

    // What is named stays only as long as it is named.
    stream.ask(2, Verb::SetSubscriptions(symbols(&["*"])));
    let result = stream.result().await;
    let unsubscribed =
        result.statuses.iter().filter(|status| status.code() == SymbolStatusCode::Unsubscribed);
    assert_eq!(unsubscribed.map(|status| status.symbol.as_str()).collect::<Vec<_>>(), ["TEST.SQUARE"]);
    let ticks = collect(&mut stream).await;
    assert!(all_symbols(&ticks).iter().all(|symbol| !symbol.starts_with("TEST.")));

    // A position of one of them is a stray beside `*`.
    let after_sequence = [("TEST.SQUARE".to_owned(), 1)].into();
    stream.ask(3, Verb::Subscribe(Subscription { after_sequence, ..symbols(&["*"]) }));
    let result = stream.result().await;
    let codes: Vec<_> =
        result.statuses.iter().map(|status| (status.symbol.as_str(), status.code())).collect();
    let expected = [("*", SymbolStatusCode::Subscribed), ("TEST.SQUARE", SymbolStatusCode::InvalidArgument)];
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn a_star_leaves_them_out_of_a_replay() {
    let server = Server::start();
    let mut client = server.client().await;
    let mut replay = async |symbols: &[&str]| {
        let request = WatchRequest {
            symbols: symbols.iter().map(ToString::to_string).collect(),
            start_time: Some(timestamp(1_700_000_000)),
            end_time: Some(timestamp(1_700_000_020)),
            ..Default::default()
        };
        let mut heard = client.watch(request).await.unwrap().into_inner();
        let mut ticks = Vec::new();
        while let Some(message) = heard.next().await {
            if let Some(watch_response::Event::Tick(tick)) = message.unwrap().event {
                ticks.push(tick);
            }
        }
        ticks
    };
    let all = replay(&["*"]).await;
    assert_eq!(all_symbols(&all), BTreeSet::from(["FAST", "INFY", "TCS"]));
    let named = replay(&["*", "TEST.BURST"]).await;
    assert_eq!(named.len(), all.len() + 2_000);
}

#[tokio::test]
async fn a_misspelt_one_is_unknown_also_where_any_symbol_is_invented() {
    let server = Server::start_with(|config| {
        let universe = ticker::tape::Universe::parse(INSTRUMENTS, "instruments").unwrap();
        config.tape = std::sync::Arc::new(ticker::tape::Simulated::new(7, universe.with_any_symbol(10)));
    });
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["TEST.COUNTRE"])));
    let Event::SubscriptionResult(result) = stream.news().await else { panic!("no result") };
    let [status] = &result.statuses[..] else { panic!("{result:?}") };
    assert_eq!(status.code(), SymbolStatusCode::UnknownSymbol);
    assert!(status.message.contains("TEST.COUNTER"), "{}", status.message);
}
