//! How streams and connections end: when the server stops, and when they have reached their maximum age.

use std::time::Duration;

use ticker::contract::{
    gogen::{TickerRequest, TickerResponse},
    v1::{
        TickerStreamRequest, TickerStreamResponse, ticker_stream_request::Verb, ticker_stream_response::Event,
    },
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{
    raw::{Call, GOGEN, Heard, Raw, STREAM},
    server::symbols,
    virtual_time::Server,
};

/// When a stream was told that it ends soon, when it ended, and how.
struct End {
    draining: Option<Instant>,
    at: Instant,
    status: Status,
}

fn subscribe() -> TickerStreamRequest {
    TickerStreamRequest { request_id: 1, verb: Some(Verb::Subscribe(symbols(&["SLOW"]))) }
}

async fn stream(raw: &mut Raw) -> Call {
    let mut call = raw.call(STREAM).await;
    call.say(&subscribe());
    call.message::<TickerStreamResponse>().await;
    call
}

/// Reads a stream to its end.
async fn end(mut call: Call) -> End {
    let mut draining = None;
    loop {
        match timeout(Duration::from_secs(3_600), call.next()).await.expect("the stream stays") {
            Heard::Message(TickerStreamResponse { event: Some(Event::Draining(_)) }) => {
                assert!(draining.replace(Instant::now()).is_none(), "it was told twice");
            }
            Heard::Message(_) => {}
            Heard::Status(status) => return End { draining, at: Instant::now(), status },
            Heard::Broken(error) => panic!("{error}"),
        }
    }
}

fn is_retryable(status: &Status) -> bool {
    status.code() == Code::Unavailable && status.get_details_retry_info().is_some()
}

#[tokio::test(start_paused = true)]
async fn streams_of_a_server_that_stops_are_told_and_end_spread_over_the_given_time() {
    let server = Server::start(|config| config.drain.spread = Some(Duration::from_secs(8)));
    let mut connections = Vec::new();
    let mut ends = JoinSet::new();
    for _ in 0..4 {
        let mut raw = server.raw().await;
        for _ in 0..10 {
            ends.spawn(end(stream(&mut raw).await));
        }
        connections.push(raw);
    }
    let began = Instant::now();
    server.begin_to_stop();
    let ends = ends.join_all().await;
    let mut by_second = [0; 9];
    for end in &ends {
        let draining = end.draining.expect("it was not told");
        assert!(draining <= end.at && is_retryable(&end.status), "{:?}", end.status);
        by_second[(end.at - began).as_secs() as usize] += 1;
    }
    // Of 40 streams 5 end in each second; 20 in one second are as good as impossible.
    assert!(by_second.iter().all(|ends| *ends < 20), "{by_second:?}");
    assert!(by_second.iter().filter(|ends| **ends > 0).count() >= 4, "{by_second:?}");
    for mut raw in connections {
        raw.end().await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_millis(8_500), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_with_one_stream_stops_at_once_and_one_with_many_takes_five_seconds() {
    for (streams, longest) in [(1, 50), (100, 600), (2_000, 5_100)] {
        let server = Server::start(|_| {});
        let mut connections = Vec::new();
        let mut ends = JoinSet::new();
        for number in 0..streams {
            if number % 200 == 0 {
                connections.push(server.raw().await);
            }
            ends.spawn(end(stream(connections.last_mut().unwrap()).await));
        }
        let began = Instant::now();
        server.begin_to_stop();
        assert!(ends.join_all().await.iter().all(|end| end.draining.is_some()));
        for mut raw in connections {
            raw.end().await.unwrap();
        }
        let taken = began.elapsed().as_millis();
        // On average the last of n streams ends after n / (n + 1) of the spread.
        let shortest = if streams > 1 { longest / 2 } else { 0 };
        assert!((shortest..=longest).contains(&taken), "{streams} streams: {taken} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopping_server_answers_calls_and_refuses_new_streams() {
    let server = Server::start(|config| {
        config.drain.spread = Some(Duration::from_secs(3_000));
        config.drain.deadline = Duration::from_secs(3_600);
    });
    let (mut one, mut other) = (server.raw().await, server.raw().await);
    let open = [stream(&mut one).await, stream(&mut other).await];
    server.begin_to_stop();
    sleep(Duration::from_millis(100)).await;
    // One of the connections may have got its GOAWAY by chance, but hardly both.
    let mut refused = None;
    for raw in [&mut one, &mut other] {
        if let Ok(call) = raw.try_call(STREAM).await {
            assert!(raw.is_served().await);
            refused = Some(end(call).await);
        }
    }
    let refused = refused.expect("both connections are closing already");
    assert!(is_retryable(&refused.status), "{:?}", refused.status);
    drop(open);
}

#[tokio::test(start_paused = true)]
async fn a_server_stops_when_its_last_stream_has_left() {
    let server = Server::start(|config| {
        config.drain.spread = Some(Duration::from_secs(3_000));
        config.drain.deadline = Duration::from_secs(3_600);
    });
    let (mut busy, mut idle) = (server.raw().await, server.raw().await);
    let open = [stream(&mut busy).await, stream(&mut busy).await];
    server.begin_to_stop();
    sleep(Duration::from_secs(1)).await;
    let left = Instant::now();
    drop(open);
    busy.end().await.unwrap();
    idle.end().await.unwrap();
    assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_old_enough_is_told_and_ends_a_second_later() {
    let server = Server::start(|config| config.max_stream_age = Some(Duration::from_secs(100)));
    let mut raw = server.raw().await;
    let began = Instant::now();
    let mut ends = JoinSet::new();
    for _ in 0..20 {
        ends.spawn(end(stream(&mut raw).await));
    }
    let mut gogen = raw.call(GOGEN).await;
    gogen.say(&TickerRequest { symbol: "SLOW".to_owned() });
    let ends = ends.join_all().await;
    for end in &ends {
        let age = (end.at - began).as_secs_f64();
        assert!((89.9..=110.1).contains(&age) && is_retryable(&end.status), "{age}, {:?}", end.status);
        let warning = (end.at - end.draining.expect("it was not told")).as_secs_f64();
        assert!((0.9..=1.1).contains(&warning), "{warning}");
    }
    let first = ends.iter().map(|end| end.at).min().unwrap();
    assert!(ends.iter().any(|end| end.at > first + Duration::from_secs(2)), "without jitter");
    loop {
        match timeout(Duration::from_secs(200), gogen.next::<TickerResponse>()).await.expect("it stays") {
            Heard::Message(_) => {}
            Heard::Status(status) => break assert!(is_retryable(&status), "{status}"),
            Heard::Broken(error) => panic!("{error}"),
        }
    }
    // The connection stays, and so would the next stream.
    stream(&mut raw).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_old_enough_takes_no_new_streams_and_keeps_those_it_has() {
    let server = Server::start(|config| config.timeouts.max_age = Some(Duration::from_secs(100)));
    let (mut raw, mut idle) = (server.raw().await, server.raw().await);
    let began = Instant::now();
    let mut call = stream(&mut raw).await;
    idle.end_in_any_time().await.unwrap();
    let age = began.elapsed().as_secs_f64();
    assert!((89.9..=110.1).contains(&age), "{age}");
    while began.elapsed() < Duration::from_secs(111) {
        call.message::<TickerStreamResponse>().await;
    }
    assert!(raw.try_call(STREAM).await.is_err(), "it takes a new stream");
    while began.elapsed() < Duration::from_secs(1_000) {
        call.message::<TickerStreamResponse>().await;
    }
    drop(call);
    raw.end().await.unwrap();
}
