//! What a client gets that speaks HTTP/1.1: gRPC-Web, JSON and the board.

use prost::Message;
use ticker::contract::v1::{Delivery, GetTapeResponse, WatchRequest, WatchResponse, watch_response::Event};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tonic::Code;

use crate::{
    admin::{self, metrics},
    support::{
        raw::Raw,
        server::{PATIENCE, Server},
    },
};

/// Everything that the server sends before it closes the connection.
async fn ask(server: &Server, request: impl AsRef<[u8]>) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(request.as_ref()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the connection stays").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The answer to a GET, after which the connection is closed.
async fn get(server: &Server, target: &str) -> String {
    ask(server, format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await
}

/// A stream of gRPC-Web over a connection of its own.
struct Call {
    socket: TcpStream,
    /// What has arrived of the body.
    body: Vec<u8>,
}

/// A message of gRPC-Web.
#[derive(Debug, PartialEq)]
enum Part {
    Message(Vec<u8>),
    Trailers(String),
}

impl Call {
    async fn begin(server: &Server, rpc: &str, message: &impl Message) -> Self {
        let mut body = vec![0];
        body.extend((message.encoded_len() as u32).to_be_bytes());
        message.encode(&mut body).unwrap();
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST /ticker.v1.TickerStreamService/{rpc} HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web+proto\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        let mut call = Self { socket, body: Vec::new() };
        let head = call.line_until("\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("application/grpc-web+proto"),
            "{head}"
        );
        call
    }

    async fn byte(&mut self) -> u8 {
        timeout(PATIENCE, self.socket.read_u8()).await.expect("nothing comes").unwrap()
    }

    async fn line_until(&mut self, end: &str) -> String {
        let mut line = Vec::new();
        while !line.ends_with(end.as_bytes()) {
            line.push(self.byte().await);
        }
        String::from_utf8(line).unwrap()
    }

    /// The next message or the trailers.
    async fn part(&mut self) -> Part {
        loop {
            if let Some([flag, length @ ..]) = self.body.first_chunk::<5>() {
                let (flag, length) = (*flag, u32::from_be_bytes(*length) as usize);
                if self.body.len() >= 5 + length {
                    let part = self.body.drain(..5 + length).skip(5).collect();
                    return match flag {
                        0 => Part::Message(part),
                        _ => Part::Trailers(String::from_utf8(part).unwrap()),
                    };
                }
            }
            let length = self.line_until("\r\n").await;
            for _ in 0..usize::from_str_radix(length.trim(), 16).unwrap() {
                let byte = self.byte().await;
                self.body.push(byte);
            }
            self.line_until("\r\n").await;
        }
    }

    async fn event(&mut self) -> Event {
        match self.part().await {
            Part::Message(message) => WatchResponse::decode(&message[..]).unwrap().event.unwrap(),
            Part::Trailers(trailers) => panic!("the stream ended: {trailers}"),
        }
    }
}

fn watch(symbol: &str) -> WatchRequest {
    let delivery = Delivery::EveryTick.into();
    WatchRequest { symbols: vec![symbol.to_owned()], delivery, ..Default::default() }
}

#[tokio::test]
async fn a_call_of_grpc_web_has_its_answer_and_its_status_in_the_body() {
    let server = Server::start();
    let mut call = Call::begin(&server, "GetTape", &()).await;
    let Part::Message(message) = call.part().await else { panic!("there is no message") };
    assert_eq!(GetTapeResponse::decode(&message[..]).unwrap().seed, 7);
    assert_eq!(call.part().await, Part::Trailers("grpc-status:0\r\n".to_owned()));
}

#[tokio::test]
async fn ticks_of_grpc_web_are_those_of_grpc() {
    let server = Server::start();
    let mut call = Call::begin(&server, "Watch", &watch("FAST")).await;
    assert!(matches!(call.event().await, Event::SubscriptionResult(_)));
    let mut stream = server.client().await.watch(watch("FAST")).await.unwrap().into_inner();
    stream.message().await.unwrap();
    let Some(Event::Tick(known)) = stream.message().await.unwrap().unwrap().event else { panic!("no tick") };
    loop {
        let Event::Tick(tick) = call.event().await else { continue };
        if tick.sequence == known.sequence {
            assert_eq!((tick.ltp_nanos, tick.time), (known.ltp_nanos, known.time));
            break;
        }
        assert!(tick.sequence < known.sequence || tick.snapshot, "tick {} was not sent", known.sequence);
    }
}

#[tokio::test]
async fn a_stream_of_a_client_that_has_gone_is_ended() {
    let (server, admin) = admin::start();
    let mut call = Call::begin(&server, "Watch", &watch("FAST")).await;
    call.event().await;
    let streams = "ticker_streams{rpc=\"ticker.v1.TickerStreamService/Watch\"}";
    assert_eq!(metrics(admin).await[streams], 1.0);
    drop(call);
    while metrics(admin).await[streams] != 0.0 {}
    assert_eq!(metrics(admin).await["ticker_web_requests_total{protocol=\"grpc_web\"}"], 1.0);
}

#[tokio::test]
async fn a_stop_tells_streams_of_grpc_web_and_closes_their_connections() {
    let server = Server::start();
    let mut call = Call::begin(&server, "Watch", &watch("SLOW")).await;
    assert!(matches!(call.event().await, Event::SubscriptionResult(_)));
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /v1/tape HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert_eq!(idle.read_u8().await.unwrap(), b'H');
    server.begin_to_stop();
    while !matches!(call.event().await, Event::Draining(_)) {}
    let Part::Trailers(trailers) = call.part().await else { panic!("something follows") };
    assert!(trailers.starts_with(&format!("grpc-status:{}\r\n", Code::Unavailable as i32)), "{trailers}");
    for mut socket in [call.socket, idle] {
        timeout(PATIENCE, socket.read_to_end(&mut Vec::new())).await.expect("the connection stays").unwrap();
    }
}

#[tokio::test]
async fn what_is_not_here_is_said_with_what_is() {
    let server = Server::start();
    let json = "content-type: application/json\r\n";
    let answer = get(&server, "/nothing").await;
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains(json), "{answer}");
    assert!(answer.contains(r#""status":"NOT_FOUND""#) && answer.contains("/v1/watch"), "{answer}");
    let answer = get(&server, "/ticker.v1.TickerStreamService/GetTape").await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: POST\r\n"), "{answer}");
    let post = "POST /ticker.v1.TickerStreamService/GetTape HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n";
    let answer = ask(&server, format!("{post}content-type: application/json\r\n\r\n{{}}")).await;
    assert!(answer.starts_with("HTTP/1.1 415 ") && answer.contains("accept: application/grpc, "), "{answer}");
    let answer = ask(&server, format!("{post}content-type: application/grpc\r\n\r\n{{}}")).await;
    assert!(answer.starts_with("HTTP/1.1 505 ") && answer.contains("gRPC needs HTTP/2"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_others_are_served() {
    let server = Server::start();
    let head = "POST /ticker.v1.TickerStreamService/GetTape HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web\r\n";
    let answer =
        ask(&server, format!("{head}content-length: 1000000\r\n\r\n{}", "x".repeat(1_000_000))).await;
    assert!(
        answer.contains("grpc-status: 8\r\n") && answer.contains("at%20most%20131072%20bytes"),
        "{answer}"
    );
    assert!(Raw::connect(&server).await.is_served().await);
}

#[tokio::test]
async fn a_request_whose_length_is_ambiguous_closes_the_connection() {
    let server = Server::start();
    let smuggled = "GET /v1/tape HTTP/1.1\r\nhost: a\r\n\r\n";
    for ambiguous in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "content-length: 0\r\ncontent-length: 5\r\n\r\n",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "content-length: +0\r\n\r\n",
        "content-length : 0\r\n\r\n",
        "content-length: 0\r\n x: folded\r\n\r\n",
    ] {
        let answer = ask(&server, format!("GET /v1/tape HTTP/1.1\r\nhost: a\r\n{ambiguous}{smuggled}")).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{ambiguous:?}: {answer}");
        // The end of a chunked body is certain, so that one may be answered before the connection is closed.
        let is_chunked = ambiguous.contains("encoding: chunked\r\n");
        assert!(answer.starts_with("HTTP/1.1 400 ") || is_chunked, "{ambiguous:?}: {answer}");
    }
}

#[tokio::test]
async fn a_request_of_http_1_1_names_one_host() {
    let server = Server::start();
    for (hosts, status) in [
        ("", 400),
        ("host: a\r\nhost: a\r\n", 400),
        ("host: a, b\r\n", 400),
        ("host: a@b\r\n", 400),
        ("host: a:1\r\n", 200),
        ("host: [::1]:1\r\n", 200),
    ] {
        let answer = ask(&server, format!("GET /v1/tape HTTP/1.1\r\n{hosts}connection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    assert!(ask(&server, "GET /v1/tape HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 "));
}

#[tokio::test]
async fn an_answer_reaches_a_slow_reader_whole_before_the_connection_closes() {
    let server = Server::start();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut socket = socket.connect(server.address).await.unwrap();
    let request = "GET /v1/candles?symbol=FAST&interval=1s&startTime=2026-01-01T00:00:00Z HTTP/1.1\r\n\
                   host: a\r\nconnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    // The server has done what it can when it answers another request.
    assert!(get(&server, "/v1/tape").await.starts_with("HTTP/1.1 200 "));
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("the connection stays").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())) && body.len() > 100_000, "{head}");
}

#[tokio::test]
async fn what_browsers_load_counts_as_no_failure() {
    let (server, admin) = admin::start();
    let page = get(&server, "/").await;
    let tag = page.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = format!("GET / HTTP/1.1\r\nhost: a\r\nif-none-match: {tag}\r\nconnection: close\r\n\r\n");
    assert!(ask(&server, again).await.starts_with("HTTP/1.1 304 "));
    let preflight = "OPTIONS /ticker.v1.TickerStreamService/Watch HTTP/1.1\r\nhost: a\r\norigin: http://a\r\n\
                     access-control-request-method: POST\r\nconnection: close\r\n\r\n";
    assert!(ask(&server, preflight).await.starts_with("HTTP/1.1 204 "));
    let metrics = metrics(admin).await;
    let rpcs: Vec<_> = metrics
        .iter()
        .filter(|(name, count)| name.starts_with("ticker_rpcs_total") && **count > 0.0)
        .map(|(name, count)| (name.as_str(), *count))
        .collect();
    assert_eq!(rpcs, [(r#"ticker_rpcs_total{rpc="other",code="OK"}"#, 3.0)]);
}
