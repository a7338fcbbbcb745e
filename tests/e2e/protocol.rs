//! What is not gRPC, or not the contract's messages: an answer that says so, and the server lives.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use prost::Message;
use ticker::contract::v1::{GetTapeRequest, ListCandlesRequest};
use tokio::net::TcpStream;
use tonic::{Code, Status, body::Body, client::GrpcService, transport::Channel};

use crate::support::server::Server;

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

/// The status of a call by a client that keeps no deadline itself: tonic's would end the call without the server's help.
async fn call_without_a_clock(
    server: &Server,
    path: &str,
    body: Option<Vec<u8>>,
    grpc_timeout: &str,
) -> Status {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut request = request(&format!("http://{}{path}", server.address), "").map(|_| ());
    request.headers_mut().insert("grpc-timeout", grpc_timeout.parse().unwrap());
    let (response, mut stream) = client.send_request(request, false).unwrap();
    if let Some(body) = body {
        stream.send_data(body.into(), true).unwrap();
    }
    let (head, mut body) = response.await.unwrap().into_parts();
    let trailers = body.trailers().await.unwrap();
    Status::from_header_map(trailers.as_ref().unwrap_or(&head.headers)).unwrap()
}

#[tokio::test]
async fn the_clients_deadline_ends_a_call_that_takes_too_long() {
    let server = Server::start();
    // A candle of 17 million ticks.
    let candle = ListCandlesRequest {
        symbol: "FAST".to_owned(),
        interval: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
        start_time: Some(prost_types::Timestamp::default()),
        ..ListCandlesRequest::default()
    };
    let path = "/ticker.v1.TickerStreamService/ListCandles";
    let status = call_without_a_clock(&server, path, Some(framed(&candle.encode_to_vec())), "1m").await;
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn the_clients_deadline_ends_a_stream_that_never_says_what_it_wants() {
    let server = Server::start();
    for path in [WATCH, STREAM, GOGEN, UNARY] {
        let status = call_without_a_clock(&server, path, None, "100m").await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{path}");
    }
}
