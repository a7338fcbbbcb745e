//! What is not gRPC, or not the contract's messages: an answer that says so, and the server lives.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use prost::Message;
use ticker::{
    contract::v1::{GetTapeRequest, ListCandlesRequest},
    grpc::{Feed, Gate, Offload},
    hub::Limits,
    pacer::Clock,
};
use tonic::{Code, Status, body::Body, client::GrpcService, service::Routes, transport::Channel};

use crate::server::{Server, tape};

const STREAM: &str = "/ticker.v1.TickerStreamService/TickerStream";
const GOGEN: &str = "/gogen.TickerStreamService/TickerStream";
const WATCH: &str = "/ticker.v1.TickerStreamService/Watch";
const UNARY: &str = "/ticker.v1.TickerStreamService/GetLastPrices";

fn request(path: &str, body: impl Into<Bytes>) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Full::new(body.into())))
        .unwrap()
}

/// A message with its prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    [&[0], &length[..], message].concat()
}

async fn call(channel: &mut Channel, request: Request<Body>) -> (StatusCode, Option<Status>) {
    std::future::poll_fn(|cx| GrpcService::<Body>::poll_ready(channel, cx)).await.unwrap();
    let response = channel.call(request).await.unwrap();
    let code = response.status();
    if let Some(status) = Status::from_header_map(response.headers()) {
        return (code, Some(status));
    }
    let collected = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    (code, collected.trailers().and_then(Status::from_header_map))
}

#[tokio::test]
async fn garbage_and_truncated_messages_end_the_call_with_a_reason() {
    let server = Server::start();
    let mut channel = server.channel().await;
    let truncated = framed(b"\x0a\x05TC");
    let cut_off = [0, 0, 0, 0, 100, 1, 2, 3].to_vec();
    let (_, status) = call(&mut channel, request(UNARY, framed(&[0xff; 40]))).await;
    assert_eq!(status.unwrap().code(), Code::InvalidArgument);
    for path in [STREAM, GOGEN, WATCH] {
        for body in [framed(&[0xff; 40]), truncated.clone(), cut_off.clone(), vec![0, 0, 0], vec![9; 64]] {
            let (_, status) = call(&mut channel, request(path, body.clone())).await;
            let status = status.unwrap();
            assert_eq!(status.code(), Code::InvalidArgument, "{path} {body:?}: {status}");
            assert!(!status.message().is_empty());
        }
    }
    server.client().await.get_tape(GetTapeRequest {}).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_with_the_limit() {
    let server = Server::start();
    let mut channel = server.channel().await;
    let symbols: Vec<u8> =
        (0..100_000u32).flat_map(|at| [&b"\x0a\x06"[..], format!("{at:06}").as_bytes()].concat()).collect();
    for path in [WATCH, STREAM, GOGEN] {
        let (_, status) = call(&mut channel, request(path, framed(&symbols))).await;
        let status = status.unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted, "{path}: {status}");
        assert!(status.message().contains("at most 131072 bytes"), "{status}");
    }
    let (_, status) = call(&mut channel, request(UNARY, framed(&symbols))).await;
    assert_eq!(status.unwrap().code(), Code::ResourceExhausted);
    server.client().await.get_tape(GetTapeRequest {}).await.unwrap();
}

#[tokio::test]
async fn what_is_not_grpc_is_told_so() {
    let server = Server::start();
    let mut channel = server.channel().await;
    let mut get = request(STREAM, "");
    *get.method_mut() = Method::GET;
    assert_eq!(call(&mut channel, get).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let mut json = request(STREAM, "{}");
    json.headers_mut().insert("content-type", "application/json".parse().unwrap());
    assert_eq!(call(&mut channel, json).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (_, unknown) = call(&mut channel, request("/ticker.v1.TickerStreamService/Nope", framed(b""))).await;
    assert_eq!(unknown.unwrap().code(), Code::Unimplemented);
    let mut compressed = request(STREAM, framed(b""));
    compressed.headers_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    assert_eq!(call(&mut channel, compressed).await.1.unwrap().code(), Code::Unimplemented);
}

/// Straight to the gate: tonic's client would end the call without the server's help.
#[tokio::test]
async fn the_clients_deadline_ends_a_call_that_takes_too_long() {
    let limits = Limits::default();
    let feed = Feed::new(tape(7), Clock::Wall, limits, Offload::default());
    // A candle of 17 million ticks.
    let candle = ListCandlesRequest {
        symbol: "FAST".to_owned(),
        interval: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        start_time: Some(prost_types::Timestamp::default()),
        ..ListCandlesRequest::default()
    };
    let path = "/ticker.v1.TickerStreamService/ListCandles";
    let mut request = request(path, framed(&candle.encode_to_vec()));
    request.headers_mut().insert("grpc-timeout", "1m".parse().unwrap());
    let answer = Gate::new(feed, Routes::builder()).answer(request).await.unwrap();
    assert_eq!(Status::from_header_map(answer.headers()).unwrap().code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn the_clients_deadline_ends_a_watch_that_never_says_what_it_wants() {
    let limits = Limits::default();
    let feed = Feed::new(tape(7), Clock::Wall, limits, Offload::default());
    let silent = http_body_util::StreamBody::new(tokio_stream::pending::<Result<_, Status>>());
    let mut request = request(WATCH, "").map(|_| Body::new::<http_body_util::StreamBody<_>>(silent));
    request.headers_mut().insert("grpc-timeout", "500m".parse().unwrap());
    let answer = Gate::new(feed, Routes::builder()).answer(request).await.unwrap();
    assert_eq!(Status::from_header_map(answer.headers()).unwrap().code(), Code::DeadlineExceeded);
}
