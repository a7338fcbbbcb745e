//! How a server stops while streams are open.

use std::time::{Duration, Instant};

use ticker::{
    contract::v1::{ticker_stream_request::Verb, ticker_stream_response::Event},
    server::Bound,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::server::{Server, symbols};

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
    let server = Server::start();
    let silent = TcpStream::connect(server.address).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["FAST"])));
    // It is subscribed, and then nobody reads.
    stream.event().await;
    let began = Instant::now();
    tokio::task::spawn_blocking(move || server.stop().unwrap()).await.unwrap();
    assert!(began.elapsed() < Bound::GRACE + Duration::from_secs(1), "{:?}", began.elapsed());
    drop((silent, half, stream));
}
