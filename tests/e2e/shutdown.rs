//! How a server stops while streams are open.

use std::{
    net::SocketAddr,
    pin::pin,
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use ticker::{
    contract::v1::{
        DigestTicksRequest, GetTapeRequest, WatchRequest, WatchResponse, ticker_stream_request::Verb,
        ticker_stream_response::Event, ticker_stream_service_client::TickerStreamServiceClient,
    },
    server::Bound,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};
use tokio_stream::StreamExt;
use tonic::{Code, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::support::server::{PATIENCE, Server, symbols};

#[tokio::test]
async fn open_streams_end_with_draining_and_unavailable() {
    let server = Server::start();
    let mut v1 = server.stream().await;
    v1.ask(1, Verb::Subscribe(symbols(&["TCS"])));
    v1.event().await;
    let mut idle = server.stream().await;
    let mut gogen = server.gogen().await;
    gogen.say(ticker::contract::gogen::TickerRequest { symbol: "TCS".to_owned() });
    gogen.next().await;
    server.begin_to_stop();
    for stream in [&mut v1, &mut idle] {
        while !matches!(stream.event().await, Event::Draining(_)) {}
        let status = stream.failure().await;
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.get_details_retry_info().is_some(), "{status:?}");
    }
    assert_eq!(gogen.failure().await.code(), Code::Unavailable);
    server.stop().unwrap();
}

#[tokio::test]
async fn a_server_stops_in_time_although_clients_never_read() {
    let server = Server::start_with(|config| config.drain.deadline = Duration::from_secs(1));
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["FAST"])));
    // It is subscribed, and then nobody reads.
    stream.event().await;
    let began = Instant::now();
    tokio::task::spawn_blocking(move || server.stop().unwrap()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1) + Bound::GRACE, "{:?}", began.elapsed());
    drop((silent, half, stream));
}

#[tokio::test]
async fn a_stopping_server_is_not_serving_by_name_and_alive_as_a_whole() {
    let server = Server::start_with(|config| config.drain.spread = Some(Duration::from_secs(5)));
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["TCS"])));
    stream.event().await;
    let mut health = HealthClient::new(server.channel().await);
    let mut watch = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.watch(request).await.unwrap().into_inner()
    };
    let (mut named, mut whole) = (watch("ticker.v1.TickerStreamService").await, watch("").await);
    async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
        timeout(PATIENCE, watch.next()).await.expect("no answer")?.ok().map(|response| response.status())
    }
    assert_eq!(next(&mut named).await, Some(ServingStatus::Serving));
    assert_eq!(next(&mut whole).await, Some(ServingStatus::Serving));
    server.begin_to_stop();
    assert_eq!(next(&mut named).await, Some(ServingStatus::NotServing));
    // It says nothing more until the last stream of ticks has left, and ends then.
    drop(stream);
    assert_eq!(next(&mut whole).await, None);
    tokio::task::spawn_blocking(move || server.stop().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_call_for_history_that_is_under_way_is_finished() {
    // History is read at the lowest priority: on a busy machine it takes long.
    let server = Server::start_with(|config| config.drain.deadline = Duration::from_secs(300));
    let mut client = server.client().await;
    let request = DigestTicksRequest { symbol: "FAST".to_owned(), start_sequence: 1, end_sequence: 500_000 };
    let mut same_connection = client.clone();
    loop {
        let mut digest = pin!(client.digest_ticks(request.clone()));
        // A call that comes after it on the same connection is answered, so the server has accepted both.
        tokio::select! {
            biased;
            // The answer was there before this client looked: once more.
            digest = &mut digest => drop(digest.unwrap()),
            tape = same_connection.get_tape(GetTapeRequest {}) => {
                tape.unwrap();
                server.begin_to_stop();
                break drop(digest.await.unwrap());
            }
        }
    }
    tokio::task::spawn_blocking(move || server.stop().unwrap()).await.unwrap();
}

/// A process that serves, and a stream of it that is open.
async fn process(flags: &[&str]) -> (Child, SocketAddr, Streaming<WatchResponse>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticker"));
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).args(flags).env_clear();
    let mut process =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut banner = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut banner).await.unwrap();
    let address = banner.trim_end().rsplit(' ').next().unwrap().to_owned();
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = TickerStreamServiceClient::new(channel);
    let request = WatchRequest { symbols: vec!["RELIANCE".to_owned()], ..WatchRequest::default() };
    let mut stream = client.watch(request).await.unwrap().into_inner();
    stream.next().await.unwrap().unwrap();
    (process, address.parse().unwrap(), stream)
}

fn kill(process: &Child, signal: Signal) {
    let id = process.id().and_then(|id| Pid::from_raw(id as i32)).unwrap();
    kill_process(id, signal).unwrap();
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once_with_its_number() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (mut process, address, mut stream) =
            process(&["--drain-spread", "1h", "--drain-deadline", "1h"]).await;
        kill(&process, Signal::TERM);
        // The port is closed when the first signal has arrived.
        while TcpStream::connect(address).await.is_ok() {}
        kill(&process, signal);
        let status = timeout(PATIENCE, process.wait()).await.expect("it does not end").unwrap();
        assert_eq!(status.code(), Some(code));
        while let Some(Ok(_)) = stream.next().await {}
    }
}
