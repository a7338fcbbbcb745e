//! What takes minutes: the server on a network of duplex pipes, in time that passes as fast as nothing happens.

use std::time::Duration;

use ticker::contract::{
    gogen::{TickerRequest, TickerResponse},
    v1::{Ping, TickerStreamRequest, TickerStreamResponse, ticker_stream_request::Verb},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status};

use crate::support::{
    raw::{Call, GOAWAY, GOGEN, Heard, OPENING, Raw, STREAM, frames_until_end},
    server::symbols,
    virtual_time::Server,
};

const NONE: [u8; 0] = [];

fn seconds(range: std::ops::RangeInclusive<u64>, since: Instant) {
    assert!(range.contains(&since.elapsed().as_secs()), "{:?}, not in {range:?} seconds", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_begin_is_closed_after_five_seconds() {
    let server = Server::start(|_| {});
    for part in [&b""[..], b"P", b"GET", &OPENING[..12], &OPENING[..24], &OPENING[..OPENING.len() - 1]] {
        let mut io = server.connect().await;
        io.write_all(part).await.unwrap();
        let since = Instant::now();
        assert_eq!(frames_until_end(&mut io).await, NONE);
        seconds(5..=5, since);
    }
    // One that drips counts from when it came.
    let mut io = server.connect().await;
    let since = Instant::now();
    for byte in OPENING {
        if io.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    seconds(5..=5, since);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_http_is_closed_at_once() {
    let server = Server::start(|_| {});
    let mut not_settings = OPENING.to_vec();
    not_settings[27] = 6;
    for bytes in [&b"\x16\x03\x01\x02\x00"[..], b"SSH-2.0-ticker\r\n", &not_settings] {
        let mut io = server.connect().await;
        io.write_all(bytes).await.unwrap();
        let since = Instant::now();
        assert_eq!(frames_until_end(&mut io).await, NONE);
        seconds(0..=0, since);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_http_1_is_closed_when_no_request_comes() {
    let server = Server::start(|_| {});
    let request = "GET /v1/tape HTTP/1.1\r\nhost: ticker\r\n\r\n";
    for (sent, answer) in [(&request[..30], ""), (request, "HTTP/1.1 200 OK\r\n")] {
        let mut io = server.connect().await;
        io.write_all(sent.as_bytes()).await.unwrap();
        let since = Instant::now();
        let mut answered = String::new();
        io.read_to_string(&mut answered).await.unwrap();
        assert!(answered.starts_with(answer), "{answered}");
        seconds(30..=31, since);
    }
    // One that drips counts from when it began.
    let mut io = server.connect().await;
    let since = Instant::now();
    io.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    while io.write_all(b"x").await.is_ok() {
        sleep(Duration::from_millis(500)).await;
    }
    seconds(30..=31, since);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_http_1_that_does_not_come_is_refused() {
    let server = Server::start(|_| {});
    let mut io = server.connect().await;
    let head = "POST /ticker.v1.TickerStreamService/GetTape HTTP/1.1\r\nhost: ticker\r\n\
                content-type: application/grpc-web+proto\r\ncontent-length: 5\r\n\r\n";
    io.write_all(head.as_bytes()).await.unwrap();
    let since = Instant::now();
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("grpc-status: 4\r\n"), "{answer}");
    seconds(10..=11, since);
}

/// How a connection ends, within an hour.
async fn end_of(raw: &mut Raw) -> Result<(), h2::Error> {
    timeout(Duration::from_secs(3_600), raw.end_in_any_time()).await.expect("the connection stays")
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_streams_is_closed_after_its_idle_time() {
    let server = Server::start(|config| config.timeouts.max_idle = Duration::from_secs(300));
    // Without any call.
    let mut raw = server.raw().await;
    let since = Instant::now();
    end_of(&mut raw).await.unwrap();
    seconds(300..=300, since);
    // After its last call.
    let mut raw = server.raw().await;
    sleep(Duration::from_secs(200)).await;
    assert!(raw.is_served().await);
    let since = Instant::now();
    end_of(&mut raw).await.unwrap();
    seconds(300..=300, since);
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_stream_stays() {
    let server = Server::start(|config| config.timeouts.max_idle = Duration::from_secs(300));
    let mut raw = server.raw().await;
    let mut call = raw.call(STREAM).await;
    call.say(&TickerStreamRequest { request_id: 1, verb: Some(Verb::Subscribe(symbols(&["SLOW"]))) });
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3_600) {
        call.message::<TickerStreamResponse>().await;
    }
    drop(call);
    let since = Instant::now();
    end_of(&mut raw).await.unwrap();
    seconds(300..=300, since);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_closed_after_eighty_seconds() {
    let server = Server::start(|_| {});
    let mut io = server.connect().await;
    io.write_all(OPENING).await.unwrap();
    let since = Instant::now();
    frames_until_end(&mut io).await;
    seconds(80..=80, since);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_nothing_is_closed_soon_after_it_is_idle_for_too_long() {
    let server = Server::start(|config| config.timeouts.max_idle = Duration::from_secs(10));
    let mut io = server.connect().await;
    io.write_all(OPENING).await.unwrap();
    let since = Instant::now();
    let frames = frames_until_end(&mut io).await;
    assert!(frames.contains(&GOAWAY), "{frames:?}");
    seconds(10..=40, since);
}

async fn ends_idle<M: prost::Message + Default>(call: &mut Call) -> Status {
    loop {
        match timeout(Duration::from_secs(3_600), call.next()).await.expect("it does not end") {
            Heard::<M>::Message(_) => {}
            Heard::Status(status) => return status,
            Heard::Broken(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_asks_for_nothing_ends_after_ten_minutes() {
    let server = Server::start(|_| {});
    let mut one = server.raw().await;
    let ping = |request_id| TickerStreamRequest { request_id, verb: Some(Verb::Ping(Ping {})) };

    let (since, mut silent) = (Instant::now(), one.call(STREAM).await);
    let status = ends_idle::<TickerStreamResponse>(&mut silent).await;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    seconds(600..=602, since);

    let mut two = server.raw().await;
    let (since, mut gogen) = (Instant::now(), two.call(GOGEN).await);
    let status = ends_idle::<TickerResponse>(&mut gogen).await;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    seconds(600..=602, since);

    // A ping is something.
    let mut three = server.raw().await;
    let (since, mut pinging) = (Instant::now(), three.call(STREAM).await);
    sleep(Duration::from_secs(400)).await;
    pinging.say(&ping(1));
    let status = ends_idle::<TickerStreamResponse>(&mut pinging).await;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    seconds(1_000..=1_002, since);

    // A subscription, even to a symbol that is silent, keeps a stream.
    let mut four = server.raw().await;
    let mut subscribed = four.call(GOGEN).await;
    subscribed.say(&TickerRequest { symbol: "SLOW".to_owned() });
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(1_800) {
        let next = timeout(Duration::from_secs(7_300), subscribed.next::<TickerResponse>()).await;
        assert!(matches!(next.expect("no tick in two hours"), Heard::Message(_)));
    }
}
