//! `ListTicks`, `ListCandles` and `DigestTicks`.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use prost_types::Timestamp;
use sha2::{Digest, Sha256};
use ticker::{
    contract::v1::{
        Candle, DigestTicksRequest, DigestTicksResponse, ListCandlesRequest, ListTicksRequest, Tick,
        ticker_stream_request::Verb, ticker_stream_service_client::TickerStreamServiceClient,
    },
    pacer::Clock,
    tape::{Simulated, Tape, Universe},
    tick::{Sequence, Time},
};
use tokio::time::Instant;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::support::server::{Server, intervals_in, sequences, series, symbols, tape, ticks_in};

type Client = TickerStreamServiceClient<Channel>;

/// 2026-11-20T09:15:30Z, in seconds.
const NOW: i64 = 1_795_166_130;
const DAY: i64 = 86_400;

/// A server on which it is always [`NOW`].
fn start() -> Server {
    start_at(NOW)
}

fn start_at(now: i64) -> Server {
    Server::start_with(|config| {
        let instant = Instant::now() + Duration::from_secs(1 << 30);
        config.clock = Clock::From { time: Time::from_nanos(now as u64 * 1_000_000_000), instant };
    })
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn nanos(time: Option<Timestamp>) -> i64 {
    let Timestamp { seconds, nanos } = time.unwrap();
    seconds * 1_000_000_000 + i64::from(nanos)
}

fn span(seconds: i64, nanos: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos })
}

fn ticks_of(symbol: &str) -> ListTicksRequest {
    ListTicksRequest { symbol: symbol.to_owned(), ..ListTicksRequest::default() }
}

fn candles_of(symbol: &str, interval: i64, start: i64) -> ListCandlesRequest {
    ListCandlesRequest {
        symbol: symbol.to_owned(),
        interval: span(interval, 0),
        start_time: at(start),
        ..ListCandlesRequest::default()
    }
}

/// Every page of a listing, each from the next of some servers, with pages of these sizes.
async fn all_ticks(clients: &mut [Client], request: ListTicksRequest, sizes: &[u32]) -> Vec<Tick> {
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    for (turn, page_size) in sizes.iter().cycle().enumerate() {
        let client = &mut clients[turn % clients.len()];
        let request = ListTicksRequest { page_size: *page_size, page_token, ..request.clone() };
        let page = client.list_ticks(request).await.unwrap().into_inner();
        assert!(page.ticks.len() <= *page_size as usize);
        listed.extend(page.ticks);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    listed
}

async fn all_candles(clients: &mut [Client], request: ListCandlesRequest, sizes: &[u32]) -> Vec<Candle> {
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    for (turn, page_size) in sizes.iter().cycle().enumerate() {
        let client = &mut clients[turn % clients.len()];
        let request = ListCandlesRequest { page_size: *page_size, page_token, ..request.clone() };
        let page = client.list_candles(request).await.unwrap().into_inner();
        assert!(page.candles.len() <= *page_size as usize);
        listed.extend(page.candles);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    listed
}

/// The candles that ticks make.
fn fold(ticks: &[Tick], interval: i64, now: i64) -> Vec<Candle> {
    let open_time = |tick: &Tick| tick.time.unwrap().seconds / interval * interval;
    let candle = |ticks: &[Tick]| {
        let prices = || ticks.iter().map(|tick| tick.ltp_nanos);
        let doubles = || ticks.iter().map(|tick| tick.ltp);
        let open_time = open_time(&ticks[0]);
        Candle {
            open_time: at(open_time),
            open_nanos: ticks[0].ltp_nanos,
            high_nanos: prices().max().unwrap(),
            low_nanos: prices().min().unwrap(),
            close_nanos: ticks[ticks.len() - 1].ltp_nanos,
            volume: ticks.iter().map(|tick| tick.last_quantity).sum(),
            tick_count: ticks.len() as u64,
            open: open_time + interval > now,
            open_price: ticks[0].ltp,
            high_price: doubles().fold(f64::MIN, f64::max),
            low_price: doubles().fold(f64::MAX, f64::min),
            close_price: ticks[ticks.len() - 1].ltp,
        }
    };
    ticks.chunk_by(|a, b| open_time(a) == open_time(b)).map(candle).collect()
}

#[tokio::test]
async fn a_candle_is_the_fold_of_the_ticks_of_its_interval() {
    let (one, other) = (start(), start());
    let mut clients = [one.client().await, other.client().await];
    for (symbol, interval, start, end) in [
        ("FAST", 1, NOW - 20, None),
        ("FAST", 60, NOW - 91, None),
        ("INFY", 5, NOW - 1_001, at(NOW - 499)),
        ("TCS", 300, NOW - 600, at(NOW + 5)),
        ("TCS", 3_600, DAY, at(DAY + 1)),
        // Once an hour: nearly all intervals are empty.
        ("SLOW", 1, NOW - 10 * DAY, at(NOW)),
        ("SLOW", 3_600, NOW - 2 * DAY, None),
        ("SLOW", 14_400, NOW - 2 * DAY, None),
        ("SLOW", 86_400, NOW - 30 * DAY, None),
        ("SLOW", 86_400, -DAY, at(3 * DAY + 1)),
    ] {
        let request = ListCandlesRequest { end_time: end, ..candles_of(symbol, interval, start) };
        let candles = all_candles(&mut clients, request.clone(), &[7, 1, 500]).await;
        let whole = all_candles(&mut clients, request, &[10_000]).await;
        assert_eq!(candles, whole, "pages of any size");

        // All ticks of the intervals that the candles are of.
        let end = end.map_or(NOW + 1, |end| (end.seconds + interval - 1) / interval * interval);
        let start = start.div_euclid(interval) * interval;
        let range = ListTicksRequest { start_time: at(start), end_time: at(end), ..ticks_of(symbol) };
        let ticks = all_ticks(&mut clients, range, &[10_000]).await;
        assert_eq!(candles, fold(&ticks, interval, NOW), "{symbol} {interval}");
        let count = intervals_in(symbol, interval, start.max(0)..end.min(NOW));
        assert!(count > 0);
        assert_eq!(candles.len(), count, "{symbol} {interval}");
    }
}

#[tokio::test]
async fn the_candle_of_now_is_marked_as_open() {
    let server = start();
    let request = candles_of("TCS", 60, NOW - 120);
    let candles = all_candles(&mut [server.client().await], request, &[10]).await;
    let open: Vec<_> = candles.iter().map(|candle| candle.open).collect();
    assert_eq!(open, [false, false, true]);
    // Half of the minute is over.
    let count: Vec<_> = candles.iter().map(|candle| candle.tick_count as usize).collect();
    let minutes = [NOW - 150..NOW - 90, NOW - 90..NOW - 30, NOW - 30..NOW];
    assert_eq!(count, minutes.map(|minute| ticks_in("TCS", minute)));
}

#[tokio::test]
async fn pages_from_any_replica_in_either_order_have_each_tick_once() {
    let (one, other) = (start(), start());
    let mut clients = [one.client().await, other.client().await];
    let minute = ListTicksRequest { start_time: at(NOW - 60), ..ticks_of("TCS") };
    let mut whole = all_ticks(&mut clients[..1], minute.clone(), &[10_000]).await;
    assert_eq!(whole.len(), ticks_in("TCS", NOW - 60..NOW));
    assert!(whole.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1));
    assert!(whole.iter().all(|tick| nanos(tick.time) >= (NOW - 60) * 1_000_000_000));
    assert!(nanos(whole[whole.len() - 1].time) <= NOW * 1_000_000_000);

    let sizes = [1, 50, 3, 200];
    assert_eq!(all_ticks(&mut clients, minute.clone(), &sizes).await, whole);
    let (first, last) = (whole[0].sequence, whole[whole.len() - 1].sequence);
    let by_sequence = ListTicksRequest { start_sequence: first, end_sequence: last + 1, ..ticks_of("TCS") };
    assert_eq!(all_ticks(&mut clients, by_sequence.clone(), &sizes).await, whole);
    whole.reverse();
    for range in [minute, by_sequence] {
        let backwards = ListTicksRequest { newest_first: true, ..range };
        assert_eq!(all_ticks(&mut clients, backwards, &sizes).await, whole);
    }
}

#[tokio::test]
async fn a_replica_whose_clock_is_behind_goes_on_from_a_page_with_what_it_knows() {
    let (ahead, behind) = (start(), start_at(NOW - 10));
    let (mut ahead, mut behind) = (ahead.client().await, behind.client().await);
    let left = ticks_in("TCS", NOW - 20..NOW - 10).checked_sub(10).unwrap();
    assert!(left > 0 && ticks_in("TCS", NOW - 10..NOW) > 10);
    for (age, left) in [(20, left), (10, 0)] {
        let range = ListTicksRequest { start_time: at(NOW - age), page_size: 10, ..ticks_of("TCS") };
        let page = ahead.list_ticks(range.clone()).await.unwrap().into_inner();
        let rest = ListTicksRequest { page_token: page.next_page_token, page_size: 10_000, ..range };
        let page = behind.list_ticks(rest).await.unwrap().into_inner();
        assert_eq!((page.ticks.len(), page.next_page_token.as_str()), (left, ""));
    }
}

#[tokio::test]
async fn a_listing_without_a_range_begins_at_an_end_of_the_tape() {
    let server = start();
    let mut client = server.client().await;
    let oldest = client.list_ticks(ticks_of("TCS")).await.unwrap().into_inner();
    assert_eq!((oldest.ticks[0].sequence, oldest.ticks.len()), (0, 1_000));
    assert_eq!(oldest.next_page_token, "1000");
    let request = ListTicksRequest { newest_first: true, page_size: 20_000, ..ticks_of("TCS") };
    let newest = client.list_ticks(request).await.unwrap().into_inner();
    assert_eq!(newest.ticks.len(), 10_000);
    let now = Time::from_nanos(NOW as u64 * 1_000_000_000);
    assert_eq!(Some(Sequence(newest.ticks[0].sequence)), series("TCS").sequence_at(now));
}

#[tokio::test]
async fn what_is_empty_is_an_empty_list() {
    let server = start();
    let mut client = server.client().await;
    let ranges = [
        (at(NOW), at(NOW), 0, 0),
        (at(NOW + 100), None, 0, 0),
        (at(NOW + 100), at(NOW + 200), 0, 0),
        (None, at(-1), 0, 0),
        (at(-100), at(-1), 0, 0),
        (at(-62_135_596_800), at(0), 0, 0),
        (at(253_402_300_799), at(253_402_300_799), 0, 0),
        (None, None, 7, 7),
        (None, None, u64::MAX, 0),
        (None, None, 1 << 60, 1 << 61),
    ];
    for (start_time, end_time, start_sequence, end_sequence) in ranges {
        for newest_first in [false, true] {
            let ticks = ListTicksRequest {
                start_time,
                end_time,
                start_sequence,
                end_sequence,
                newest_first,
                ..ticks_of("TCS")
            };
            let page = client.list_ticks(ticks.clone()).await.unwrap().into_inner();
            assert_eq!((page.ticks.len(), page.next_page_token.as_str()), (0, ""), "{ticks:?}");
        }
        if start_time.is_some() {
            let candles = ListCandlesRequest { start_time, end_time, ..candles_of("TCS", 60, 0) };
            let page = client.list_candles(candles.clone()).await.unwrap().into_inner();
            assert_eq!((page.candles.len(), page.next_page_token.as_str()), (0, ""), "{candles:?}");
        }
    }
}

/// Each is refused with its status, the name of the field and what to do.
#[tokio::test]
async fn what_a_client_may_get_wrong_is_told() {
    let server = start();
    let mut client = server.client().await;
    let told = |status: Status, code: Code, field: &str, says: &str| {
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(says), "{status}");
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, if field.is_empty() { vec![] } else { vec![field] }, "{status}");
    };
    let malformed = |seconds, nanos| Some(Timestamp { seconds, nanos });
    let range = |start_time, end_time| ListTicksRequest { start_time, end_time, ..ticks_of("TCS") };
    let token = |token: &str| ListTicksRequest {
        start_sequence: 100,
        end_sequence: 200,
        page_token: token.to_owned(),
        ..ticks_of("TCS")
    };
    let both = ListTicksRequest { end_sequence: 9, ..range(at(1), None) };
    let backwards = ListTicksRequest { start_sequence: 9, end_sequence: 8, ..ticks_of("TCS") };
    for (request, code, field, says) in [
        (ticks_of(""), Code::InvalidArgument, "symbol", "must not be empty"),
        (ticks_of("NOT A SYMBOL"), Code::InvalidArgument, "symbol", "position 4"),
        (ticks_of("TCSS"), Code::NotFound, "", "did you mean TCS?"),
        (ticks_of("*"), Code::InvalidArgument, "symbol", "'*'"),
        (range(malformed(0, 1_000_000_000), None), Code::InvalidArgument, "start_time", "0 to 999999999"),
        (range(malformed(0, -1), None), Code::InvalidArgument, "start_time", "nanos"),
        (range(None, malformed(i64::MAX, 0)), Code::InvalidArgument, "end_time", "year 1 to 9999"),
        (range(None, malformed(i64::MIN, i32::MIN)), Code::InvalidArgument, "end_time", "timestamp"),
        (range(at(2), at(1)), Code::InvalidArgument, "end_time", "before start_time"),
        (range(at(-1), at(-2)), Code::InvalidArgument, "end_time", "before start_time"),
        (both, Code::InvalidArgument, "start_sequence", "either"),
        (backwards, Code::InvalidArgument, "end_sequence", "below start_sequence"),
        (token("99"), Code::InvalidArgument, "page_token", "\"99\""),
        (token("200"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("-1"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("+150"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("0150"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("18446744073709551616"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token(&"9".repeat(100_000)), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("TCS"), Code::InvalidArgument, "page_token", "next_page_token"),
    ] {
        told(client.list_ticks(request).await.unwrap_err(), code, field, says);
    }

    let length = |interval| ListCandlesRequest { interval, ..candles_of("TCS", 60, NOW - 600) };
    let candle_range =
        |start_time, end_time| ListCandlesRequest { start_time, end_time, ..candles_of("TCS", 60, 0) };
    let token = |token: &str| ListCandlesRequest {
        page_token: token.to_owned(),
        ..candle_range(at(6_000), at(12_000))
    };
    for (request, code, field, says) in [
        (candles_of("TCSS", 60, 0), Code::NotFound, "", "did you mean TCS?"),
        (candles_of("", 60, 0), Code::InvalidArgument, "symbol", "must not be empty"),
        (length(None), Code::InvalidArgument, "interval", "such as 1s, 60s"),
        (length(span(0, 0)), Code::InvalidArgument, "interval", "divides a day"),
        (length(span(-60, 0)), Code::InvalidArgument, "interval", "divides a day"),
        (length(span(0, 500_000_000)), Code::InvalidArgument, "interval", "whole number of seconds"),
        (length(span(7, 0)), Code::InvalidArgument, "interval", "divides a day"),
        (length(span(2 * 86_400, 0)), Code::InvalidArgument, "interval", "divides a day"),
        (length(span(i64::MAX, 0)), Code::InvalidArgument, "interval", "divides a day"),
        (length(span(i64::MIN, i32::MIN)), Code::InvalidArgument, "interval", "divides a day"),
        (length(span(60, -1)), Code::InvalidArgument, "interval", "divides a day"),
        (candle_range(None, at(5)), Code::InvalidArgument, "start_time", "is missing"),
        (candle_range(at(2), at(1)), Code::InvalidArgument, "end_time", "before start_time"),
        (candle_range(malformed(0, -1), None), Code::InvalidArgument, "start_time", "nanos"),
        (candle_range(at(0), malformed(0, -1)), Code::InvalidArgument, "end_time", "nanos"),
        (token("5940"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("6001"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("+6000"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("06000"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("12000"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("18446744073709551615"), Code::InvalidArgument, "page_token", "next_page_token"),
        (token("soon"), Code::InvalidArgument, "page_token", "next_page_token"),
    ] {
        told(client.list_candles(request).await.unwrap_err(), code, field, says);
    }

    let digest = |symbol: &str, start_sequence, end_sequence| DigestTicksRequest {
        symbol: symbol.to_owned(),
        start_sequence,
        end_sequence,
    };
    for (request, code, field, says) in [
        (digest("TCSS", 0, 0), Code::NotFound, "", "did you mean TCS?"),
        (digest("", 0, 0), Code::InvalidArgument, "symbol", "must not be empty"),
        (digest("TCS", 2, 1), Code::InvalidArgument, "end_sequence", "below start_sequence"),
    ] {
        told(client.digest_ticks(request).await.unwrap_err(), code, field, says);
    }
}

#[tokio::test]
async fn candles_of_too_many_ticks_are_refused_with_an_interval_that_would_do() {
    let quick = "[[instrument]]\nsymbol = 'QUICK'\nreference_price = 1\ntick_interval = '100us'";
    let tape = Arc::new(Simulated::new(7, Universe::parse(quick, "quick").unwrap()));
    let series = tape.series(&tape.instruments()[0]);
    let server = Server::start_with(|config| config.tape = tape);
    let mut client = server.client().await;
    let status = client.list_candles(candles_of("QUICK", 86_400, 0)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let ticks = sequences(&*series, 0..DAY).count() as i64;
    let would_do = |seconds: &i64| DAY % seconds == 0 && ticks * seconds / DAY <= 100_000_000;
    let longest = (1..DAY).rev().find(would_do).unwrap();
    assert_eq!(
        status.message(),
        format!(
            "interval is too long: a candle would be made of {ticks} ticks and the most are 100000000: ask for \
             candles of {longest}s or less"
        )
    );
    let request = ListCandlesRequest { page_size: 1, ..candles_of("QUICK", 1, 0) };
    let candle = client.list_candles(request).await.unwrap().into_inner().candles[0];
    assert_eq!((candle.open_time, candle.tick_count), (at(0), sequences(&*series, 0..1).count() as u64));
}

#[tokio::test]
async fn replicas_of_a_tape_have_the_same_digests_and_others_do_not() {
    let (one, same) = (start(), start());
    let other = Server::start_with(|config| config.tape = tape(8));
    let digest = async |server: &Server, start_sequence, end_sequence| -> DigestTicksResponse {
        let request = DigestTicksRequest { symbol: "TCS".to_owned(), start_sequence, end_sequence };
        server.client().await.digest_ticks(request).await.unwrap().into_inner()
    };
    let found = digest(&one, 1_000, 3_000).await;
    assert_eq!((found.start_sequence, found.end_sequence), (1_000, 3_000));
    assert_eq!(found, digest(&same, 1_000, 3_000).await);
    assert_ne!(found.digest, digest(&other, 1_000, 3_000).await.digest);

    let range = ListTicksRequest { start_sequence: 1_000, end_sequence: 3_000, ..ticks_of("TCS") };
    let mut expected = Sha256::new();
    for tick in all_ticks(&mut [one.client().await], range, &[2_000]).await {
        expected.update(tick.sequence.to_le_bytes());
        expected.update(nanos(tick.time).to_le_bytes());
        expected.update(tick.ltp_nanos.to_le_bytes());
        expected.update(tick.last_quantity.to_le_bytes());
    }
    assert_eq!(found.digest, expected.finalize().to_vec());

    let newest = all_ticks(
        &mut [one.client().await],
        ListTicksRequest { start_time: at(NOW - 1), ..ticks_of("TCS") },
        &[100],
    )
    .await
    .last()
    .unwrap()
    .sequence;
    assert_eq!(Some(newest), sequences(&*series("TCS"), NOW - 1..NOW).last());
    let upto_now = digest(&one, newest - 5, 0).await;
    assert_eq!((upto_now.start_sequence, upto_now.end_sequence), (newest - 5, newest + 1));
    let future = digest(&one, u64::MAX, 0).await;
    assert_eq!((future.start_sequence, future.end_sequence), (u64::MAX, u64::MAX));
    assert_eq!(future.digest, Sha256::digest([]).to_vec());
}

#[tokio::test]
async fn live_ticks_go_on_while_candles_are_made() {
    const MINUTES: u64 = 360;
    let server = Server::start_with(|config| config.workers = NonZeroUsize::MIN);
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["FAST"])));
    stream.news().await;
    let mut client = server.client().await;
    // Four million ticks, most of which are in candles that are too short to be made from totals, take a while.
    let six_hours = ListCandlesRequest { page_size: MINUTES as u32, ..candles_of("FAST", 60, NOW - DAY) };
    let mut candles = tokio::spawn(async move { client.list_candles(six_hours).await.unwrap().into_inner() });
    // The one thread that serves both has time for the stream.
    let mut ticks = 0;
    let page = loop {
        tokio::select! {
            _ = stream.news() => ticks += 1,
            page = &mut candles => break page.unwrap(),
        }
    };
    let start = page.candles[0].open_time.unwrap().seconds;
    let found: u64 = page.candles.iter().map(|candle| candle.tick_count).sum();
    assert_eq!(found as usize, ticks_in("FAST", start..start + 60 * MINUTES as i64));
    assert!(ticks > 5, "{ticks}");
}
