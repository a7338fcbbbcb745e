//! The contract that existing clients hold.

use std::collections::HashMap;

use ticker::{
    contract::gogen::{TickerRequest, TickerResponse},
    tick::Sequence,
    timestamp,
};
use tonic::Code;

use crate::support::server::{Server, series};

fn request(symbol: &str) -> TickerRequest {
    TickerRequest { symbol: symbol.to_owned() }
}

/// The sequence of a tick that is on the tape after `last`. Several may have the same time in milliseconds.
fn sequence_after(last: Sequence, tick: &TickerResponse) -> Sequence {
    let series = series(&tick.symbol);
    let mut sequence = series.sequence_from(timestamp::parse(&tick.timestamp).unwrap()).max(last.next());
    loop {
        let own = series.tick(sequence);
        assert_eq!(timestamp::show_with_decimals(own.time, 3), tick.timestamp, "{tick:?} after {last:?}");
        if own.price.to_f64() == tick.ltp {
            return sequence;
        }
        sequence = sequence.next();
    }
}

#[tokio::test]
async fn a_first_price_comes_at_once_and_ticks_go_on_after_a_half_close() {
    let server = Server::start();
    let mut stream = server.gogen().await;
    stream.say(request("TCS"));
    stream.half_close();
    let mut last = Sequence(0);
    for _ in 0..5 {
        let tick = stream.next().await;
        assert_eq!(tick.symbol, "TCS");
        last = sequence_after(last, &tick);
    }
}

#[tokio::test]
async fn timestamps_are_rfc_3339_in_utc_with_three_decimals() {
    let server = Server::start();
    let mut stream = server.gogen().await;
    stream.say(request("TCS"));
    let timestamp = stream.next().await.timestamp;
    assert_eq!(timestamp.len(), "2026-11-20T09:15:00.123Z".len(), "{timestamp}");
    assert!(timestamp.ends_with('Z') && &timestamp[19..20] == ".", "{timestamp}");
    timestamp.parse::<jiff::Timestamp>().unwrap();
}

#[tokio::test]
async fn a_quiet_symbol_has_a_first_price_too_and_nothing_but_ticks_is_sent() {
    let server = Server::start();
    let mut stream = server.gogen().await;
    stream.say(request("SLOW"));
    assert_eq!(stream.next().await.symbol, "SLOW");
    // Heartbeats would come every 200 ms: with FAST subscribed, every message is still one of its ticks.
    stream.say(request("FAST"));
    for _ in 0..100 {
        let tick = stream.next().await;
        assert_eq!(tick.symbol, "FAST");
        assert!(tick.ltp > 0.0);
    }
}

#[tokio::test]
async fn every_request_adds_a_symbol_and_repeats_are_harmless() {
    let server = Server::start();
    let mut stream = server.gogen().await;
    for symbol in ["TCS", "INFY", "TCS", "TCS"] {
        stream.say(request(symbol));
    }
    let mut last = HashMap::new();
    for _ in 0..12 {
        let tick = stream.next().await;
        let last = last.entry(tick.symbol.clone()).or_insert(Sequence(0));
        *last = sequence_after(*last, &tick);
    }
    assert!(last.contains_key("TCS") && last.contains_key("INFY"));
}

#[tokio::test]
async fn a_symbol_that_is_none_ends_the_stream_with_its_reason() {
    let server = Server::start();
    for (symbol, code, reason) in [
        ("", Code::InvalidArgument, "must not be empty"),
        ("A B", Code::InvalidArgument, "' ' at position 2"),
        ("*", Code::InvalidArgument, "'*' at position 1"),
        (&"A".repeat(33), Code::InvalidArgument, "at most 32 characters"),
        ("NOPE", Code::NotFound, "unknown symbol NOPE"),
        ("tcs", Code::NotFound, "did you mean TCS?"),
    ] {
        let mut stream = server.gogen().await;
        stream.say(request(symbol));
        let status = stream.failure().await;
        assert_eq!(status.code(), code, "{symbol:?}: {status}");
        assert!(status.message().contains(reason), "{symbol:?}: {status}");
    }
}

#[tokio::test]
async fn a_stream_that_is_half_closed_before_it_asks_ends_with_an_error() {
    let server = Server::start();
    let mut stream = server.gogen().await;
    stream.half_close();
    assert_eq!(stream.failure().await.code(), Code::InvalidArgument);
}
