//! What the log of the built program says, in JSON.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
};

use h2::client::Builder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use ticker::contract::{
    gogen::{TickerRequest, TickerResponse},
    v1::{
        TickerStreamRequest, TickerStreamResponse, WatchRequest, ticker_stream_request::Verb,
        ticker_stream_response::Event,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};
use tonic::Code;

use crate::support::{
    raw::{Call, GET_TAPE, GOGEN, Heard, Raw, STREAM},
    server::{PATIENCE, symbols},
};

/// `ticker serve` on a free port with its log. It is killed when this is dropped.
struct Server {
    process: Child,
    address: SocketAddr,
    log: mpsc::UnboundedReceiver<Value>,
    /// The line that says that it serves.
    serving: Value,
}

impl Server {
    async fn start(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ticker"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "2"]).args(flags).env_clear();
        command.env("TICKER_LOG", "ticker=debug").env("TICKER_LOG_FORMAT", "json");
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (told, log) = mpsc::unbounded_channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines() {
                // Every line is JSON.
                told.send(serde_json::from_str(&line.unwrap()).unwrap()).ok();
            }
        });
        let mut server = Self { process, address: ([0; 4], 0).into(), log, serving: Value::Null };
        server.serving = server.line("serving").await;
        server.address = server.serving["address"].as_str().unwrap().parse().unwrap();
        server
    }

    /// The next line with this message.
    async fn line(&mut self, message: &str) -> Value {
        loop {
            let line = timeout(PATIENCE, self.log.recv()).await.expect(message).expect(message);
            if line["message"] == message {
                return line;
            }
        }
    }

    /// The next line about a limit.
    async fn limit(&mut self) -> Value {
        loop {
            let line = timeout(PATIENCE, self.log.recv()).await.expect("no limit").expect("no limit");
            if line["limit"].is_string() {
                return line;
            }
        }
    }

    async fn connect(&self) -> (Raw, Value) {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let address = json!(socket.local_addr().unwrap().to_string());
        (Raw::over(socket, &Builder::new()).await, address)
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
    }

    /// What it has written to standard output when it has ended.
    fn output(mut self) -> String {
        let mut output = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(self.process.wait().unwrap().success());
        output
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn fields<const N: usize>(line: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| line[name].clone())
}

fn subscribe(names: &[&str]) -> TickerStreamRequest {
    TickerStreamRequest { request_id: 1, verb: Some(Verb::Subscribe(symbols(names))) }
}

/// Reads until the stream has ended: its status, the ticks that came, and how many ticks they stand for besides.
async fn read_to_end(call: &mut Call) -> (Code, u64, u64) {
    let (mut ticks, mut conflated) = (0, 0);
    loop {
        match call.hear::<TickerStreamResponse>().await {
            Heard::Message(TickerStreamResponse { event: Some(Event::Tick(tick)) }) => {
                (ticks, conflated) = (ticks + 1, conflated + tick.conflated);
            }
            Heard::Message(_) => {}
            Heard::Status(status) => return (status.code(), ticks, conflated),
            Heard::Broken(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_start_and_a_stop_are_told_with_their_reasons_and_nothing_else_is_written() {
    let mut server = Server::start(&["--max-connections", "7"]).await;
    let serving = server.serving.clone();
    assert_eq!(
        fields(&serving, ["level", "workers", "max_connections"]),
        [json!("INFO"), json!(2), json!(7)]
    );
    assert_eq!(serving["version"], env!("CARGO_PKG_VERSION"));
    assert!(serving["tape_id"].is_string() && serving["instruments"].as_u64() > Some(0), "{serving}");
    let (mut raw, _) = server.connect().await;
    let mut call = raw.call(STREAM).await;
    call.say(&subscribe(&["TCS"]));
    call.message::<TickerStreamResponse>().await;
    server.terminate();
    assert_eq!(server.line("stopping").await["reason"], "SIGTERM");
    assert_eq!(read_to_end(&mut call).await.0, Code::Unavailable);
    assert_eq!(server.line("stopped").await["streams_cut"], 0);
    assert_eq!(server.output(), "");
}

#[tokio::test]
async fn streams_that_a_stop_cuts_are_counted() {
    let mut server = Server::start(&["--max-subscriptions", "1", "--max-symbols-per-caller", "2"]).await;
    let socket = TcpStream::connect(server.address).await.unwrap();
    let mut raw = Raw::over(socket, Builder::new().initial_window_size(0)).await;
    let mut call = raw.call(STREAM).await;
    // The answer waits for a window that never opens.
    call.say(&subscribe(&["TCS", "INFY"]));
    assert_eq!(server.limit().await["limit"], "subscriptions");
    server.terminate();
    let line = server.line("stream ended").await;
    assert_eq!(fields(&line, ["reason", "symbols"]), [json!("cut"), json!(1)]);
    assert_eq!(server.line("stopped").await["streams_cut"], 1);
}

#[tokio::test]
async fn a_streams_end_says_who_asked_for_what_and_what_was_sent() {
    let mut server = Server::start(&[]).await;
    let (mut raw, peer) = server.connect().await;
    let mut live = raw.call(STREAM).await;
    live.say(&subscribe(&["BTC-USD", "TCS", "NO-SUCH"]));
    let (mut ticks, mut conflated) = (0, 0);
    while ticks < 5 {
        if let Some(Event::Tick(tick)) = live.message::<TickerStreamResponse>().await.event {
            (ticks, conflated) = (ticks + 1, conflated + tick.conflated);
        }
    }
    server.terminate();
    let (code, more_ticks, more_conflated) = read_to_end(&mut live).await;
    assert_eq!(code, Code::Unavailable);
    let line = server.line("stream ended").await;
    assert_eq!(
        fields(&line, ["level", "peer", "rpc", "symbols", "ticks", "conflated", "gaps", "reason"]),
        [
            json!("DEBUG"),
            peer,
            json!("ticker.v1.TickerStreamService/TickerStream"),
            json!(2),
            json!(ticks + more_ticks),
            json!(conflated + more_conflated),
            json!(0),
            json!("UNAVAILABLE"),
        ]
    );
    assert!(line["duration_ms"].is_u64(), "{line}");
}

#[tokio::test]
async fn a_replay_and_a_thinned_stream_count_what_they_leave_out() {
    let mut server = Server::start(&[]).await;
    let (mut raw, _) = server.connect().await;
    let mut replay = raw.call("/ticker.v1.TickerStreamService/Watch").await;
    let seconds = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    replay.say(&WatchRequest {
        symbols: vec!["TCS".to_owned(), "BTC-USD".to_owned()],
        min_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        start_time: seconds(1_767_258_900),
        end_time: seconds(1_767_258_960),
        ..WatchRequest::default()
    });
    let (code, ticks, conflated) = read_to_end(&mut replay).await;
    // Both symbols have ten ticks a second on average, of which one is sent.
    assert!(code == Code::Ok && ticks > 100 && conflated > ticks, "{code} {ticks} {conflated}");
    let line = server.line("stream ended").await;
    assert_eq!(
        fields(&line, ["symbols", "ticks", "conflated", "reason"]),
        [json!(2), json!(ticks), json!(conflated), json!("OK")]
    );
}

#[tokio::test]
async fn a_reset_and_a_call_are_told_with_their_reasons() {
    let mut server = Server::start(&[]).await;
    let (mut raw, peer) = server.connect().await;
    let mut call = raw.call(GOGEN).await;
    call.say(&TickerRequest { symbol: "TCS".to_owned() });
    call.message::<TickerResponse>().await;
    drop(call);
    let line = server.line("stream ended").await;
    assert_eq!(
        fields(&line, ["rpc", "symbols", "reason"]),
        [json!("gogen.TickerStreamService/TickerStream"), json!(1), json!("reset_by_client")]
    );
    assert!(raw.is_served().await);
    let line = server.line("stream ended").await;
    assert_eq!(
        fields(&line, ["peer", "rpc", "ticks", "reason"]),
        [peer.clone(), json!(GET_TAPE.trim_start_matches('/')), Value::Null, json!("OK")]
    );
    let mut unknown = raw.call("/no.such.Service/Method").await;
    unknown.half_close();
    assert_eq!(unknown.status::<TickerResponse>().await.code(), Code::Unimplemented);
    let line = server.line("stream ended").await;
    assert_eq!(fields(&line, ["rpc", "reason"]), [json!("no.such.Service/Method"), json!("UNIMPLEMENTED")]);
    drop((raw, unknown));
    let line = server.line("connection ended").await;
    assert_eq!(
        fields(&line, ["level", "peer", "streams", "reason"]),
        [json!("DEBUG"), peer, json!(3), json!("closed_by_client")]
    );
    assert!(line["duration_ms"].is_u64(), "{line}");
}

#[tokio::test]
async fn a_connections_end_is_told_with_its_reason() {
    let mut server = Server::start(&["--max-connection-idle", "100ms"]).await;
    let (mut raw, peer) = server.connect().await;
    raw.end().await.unwrap();
    let line = server.line("connection ended").await;
    assert_eq!(fields(&line, ["peer", "reason"]), [peer, json!("idle_timeout")]);
    for (says, reason) in [
        (&b"GET / HTTP/1.1\r\nno header\r\n\r\n"[..], "protocol_error"),
        (b"\x16\x03\x01\x02\x00\x01", "tls"),
        (b"SSH-2.0-client\r\n", "not_http"),
        // A frame that is larger than the largest, after SETTINGS.
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\xff\xff\xff\x00\0\0\0\0\x01",
            "protocol_error",
        ),
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let peer = json!(socket.local_addr().unwrap().to_string());
        socket.write_all(says).await.unwrap();
        // A connection that is closed with unread bytes is reset.
        socket.read_to_end(&mut Vec::new()).await.ok();
        drop(socket);
        let line = server.line("connection ended").await;
        assert_eq!(fields(&line, ["peer", "streams", "reason"]), [peer, json!(0), json!(reason)], "{line}");
        assert_eq!(line["error"].is_string(), reason == "protocol_error", "{line}");
    }
}

#[tokio::test]
async fn a_limit_is_told_once_with_the_last_who_met_it() {
    let mut server = Server::start(&[
        "--max-connections",
        "2",
        "--max-subscriptions",
        "1",
        "--max-symbols-per-caller",
        "2",
    ])
    .await;
    let (mut raw, peer) = server.connect().await;
    let mut call = raw.call(STREAM).await;
    call.say(&subscribe(&["TCS", "BTC-USD", "INFY"]));
    call.message::<TickerStreamResponse>().await;
    let line = server.limit().await;
    assert_eq!(
        fields(&line, ["level", "limit", "count", "last_peer"]),
        [json!("INFO"), json!("subscriptions"), json!(1), peer]
    );
    assert!(line["message"].as_str().unwrap().contains("--max-subscriptions"), "{line}");
    // The address may have one connection, and one more to make room for itself.
    let (mut second, _) = server.connect().await;
    let mut busy = second.call(STREAM).await;
    busy.say(&subscribe(&["TCS"]));
    busy.message::<TickerStreamResponse>().await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let mut refused = TcpStream::connect(server.address).await.unwrap();
        let peer = refused.local_addr().unwrap();
        assert_eq!(refused.read_to_end(&mut Vec::new()).await.unwrap_or(0), 0);
        told.push(json!(peer.to_string()));
    }
    let line = server.limit().await;
    assert_eq!(
        fields(&line, ["limit", "count", "last_peer"]),
        [json!("connections_per_address"), json!(1), told[0].clone()]
    );
    assert!(line["message"].as_str().unwrap().starts_with("connections are refused: "), "{line}");
    server.terminate();
    // The others have no line of their own.
    server.line("stopped").await;
}

#[test]
fn text_shows_the_start_to_whoever_keeps_the_log_and_the_banner_to_people() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticker"));
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--seed", "7"]).env_clear();
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let first_line = |output: &mut dyn Read| {
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        line
    };
    let banner = first_line(process.stdout.as_mut().unwrap());
    let log = first_line(process.stderr.as_mut().unwrap());
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(banner.starts_with("ticker serves "), "{banner}");
    let address = banner.trim_end().rsplit(' ').next().unwrap();
    assert!(
        log.contains(&format!("INFO ticker::server: serving address={address} admin=127.0.0.1:")),
        "{log}"
    );
}
