//! The admin port, over plain HTTP/1.1.

use std::{collections::BTreeMap, net::SocketAddr, thread, time::Duration};

use ticker::{
    contract::v1::{
        GetLastPricesRequest, ListTicksRequest, Subscription, SymbolStatusCode, ticker_stream_request::Verb,
        ticker_stream_response::Event,
    },
    server::{Bound, Drain, ServerError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::server::{PATIENCE, Server, config, symbols};

const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) fn start() -> (Server, SocketAddr) {
    let server = Server::start_with(|config| {
        config.admin = Some("127.0.0.1:0".parse().unwrap());
        // A stream that a test holds stays open while the server stops.
        config.drain = Drain { spread: Some(HOUR), deadline: HOUR };
    });
    let admin = server.admin.unwrap();
    (server, admin)
}

/// Sends bytes, and reads until the server closes the connection.
async fn exchange(admin: SocketAddr, request: &str) -> String {
    let mut io = TcpStream::connect(admin).await.unwrap();
    io.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, io.read_to_string(&mut answer)).await.expect("the connection stays").unwrap();
    answer
}

/// The status and the body of a page.
pub(crate) async fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: ticker\r\nconnection: close\r\n\r\n");
    let answer = exchange(admin, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The values of the metrics by name and labels.
pub(crate) async fn metrics(admin: SocketAddr) -> BTreeMap<String, f64> {
    let (status, body) = get(admin, "/metrics").await;
    assert_eq!(status, 200, "{body}");
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| line.rsplit_once(' ').unwrap());
    samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

#[tokio::test]
async fn a_server_is_live_and_ready_until_it_stops_and_then_only_live() {
    let (server, admin) = start();
    assert_eq!(get(admin, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get(admin, "/readyz").await, (200, "ok\n".to_owned()));
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["TCS"])));
    stream.event().await;
    server.begin_to_stop();
    while get(admin, "/readyz").await.0 != 503 {}
    assert_eq!(get(admin, "/livez").await.0, 200);
    assert_eq!(metrics(admin).await["ticker_draining"], 1.0);
    drop(stream);
    tokio::task::spawn_blocking(move || server.stop().unwrap()).await.unwrap();
}

#[tokio::test]
async fn metrics_count_what_clients_did() {
    let (server, admin) = start();
    let before = metrics(admin).await;
    for name in ["ticker_connections", "ticker_ticks_sent_total", "ticker_subscriptions", "ticker_gaps_total"]
    {
        assert_eq!(before[name], 0.0, "{name}");
    }

    let mut client = server.client().await;
    let request = ListTicksRequest { symbol: "SLOW".to_owned(), page_size: 1, ..ListTicksRequest::default() };
    client.list_ticks(request).await.unwrap();
    let prices =
        GetLastPricesRequest { symbols: vec!["SLOW".to_owned(), "NONE".to_owned()], ..Default::default() };
    let last = client.get_last_prices(prices).await.unwrap().into_inner().ticks.remove(0).sequence;

    // Four ticks from the tape, and no live one within the hour.
    let mut stream = server.stream().await;
    let resumed = Subscription {
        after_sequence: [("SLOW".to_owned(), last - 4)].into(),
        ..symbols(&["SLOW", "NOBODY", "no symbol"])
    };
    stream.ask(1, Verb::Subscribe(resumed));
    let result = stream.result().await;
    assert_eq!(result.statuses[1].code(), SymbolStatusCode::UnknownSymbol);
    let mut ticks = 0;
    loop {
        match stream.event().await {
            Event::Tick(_) => ticks += 1,
            Event::CaughtUp(_) => break,
            _ => {}
        }
    }
    assert_eq!(ticks, 4);

    let rpc = |method: &str| format!("rpc=\"ticker.v1.TickerStreamService/{method}\"");
    let now = metrics(admin).await;
    let expect = |name: &str, value: f64| assert_eq!(now.get(name), Some(&value), "{name}");
    expect("ticker_connections", 2.0);
    expect("ticker_connections_accepted_total", 2.0);
    expect("ticker_subscriptions", 1.0);
    expect("ticker_ticks_sent_total", 4.0);
    expect("ticker_catch_up_ticks_total", 4.0);
    expect("ticker_ticks_conflated_total", 0.0);
    expect(&format!("ticker_streams{{{}}}", rpc("TickerStream")), 1.0);
    expect(&format!("ticker_streams{{{}}}", rpc("Watch")), 0.0);
    expect("ticker_symbols_refused_total{code=\"UNKNOWN_SYMBOL\"}", 2.0);
    expect("ticker_symbols_refused_total{code=\"INVALID_ARGUMENT\"}", 1.0);
    expect(&format!("ticker_rpcs_total{{{},code=\"OK\"}}", rpc("ListTicks")), 1.0);
    expect(&format!("ticker_rpc_duration_seconds_count{{{}}}", rpc("GetLastPrices")), 1.0);
    expect(&format!("ticker_rpc_duration_seconds_bucket{{{},le=\"+Inf\"}}", rpc("GetLastPrices")), 1.0);
    expect("ticker_limits_reached_total{limit=\"connections\"}", 0.0);
    expect("ticker_workers", 2.0);
    expect("ticker_max_connections", 1_000.0);

    drop(stream);
    let gone = format!("ticker_rpcs_total{{{},code=\"CANCELLED\"}}", rpc("TickerStream"));
    while metrics(admin).await.get(&gone) != Some(&1.0) {}
    let closed = "ticker_connections_closed_total{reason=\"closed_by_client\"}";
    while metrics(admin).await[closed] != 1.0 {}
    while metrics(admin).await["ticker_subscriptions"] != 0.0 {}
}

#[tokio::test]
async fn live_ticks_and_conflated_ones_are_counted() {
    let (server, admin) = start();
    let mut stream = server.stream().await;
    let every_second = Subscription {
        min_interval: Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 }),
        ..symbols(&["FAST"])
    };
    stream.ask(1, Verb::Subscribe(every_second));
    let (mut ticks, mut conflated) = (0, 0);
    while ticks < 5 {
        let tick = stream.tick().await;
        ticks += 1;
        conflated += tick.conflated;
    }
    // A flush may come between the two counts of an answer.
    let counts_agree = async {
        loop {
            let now = metrics(admin).await;
            if now["ticker_flush_lateness_seconds_count"] == now["ticker_flush_ticks_count"] {
                break now;
            }
        }
    };
    let now = timeout(PATIENCE, counts_agree).await.expect("a flush is counted once only");
    assert!(conflated > 0 && now["ticker_ticks_sent_total"] >= f64::from(ticks));
    assert!(now["ticker_ticks_conflated_total"] >= conflated as f64);
    assert!(now["ticker_flush_ticks_count"] > 0.0);
    assert!(now["ticker_flush_ticks_sum"] >= now["ticker_ticks_conflated_total"]);
}

#[tokio::test]
async fn a_flush_for_which_the_worker_had_no_time_is_counted_as_late() {
    let server = Server::start_with(|config| {
        config.admin = Some("127.0.0.1:0".parse().unwrap());
        // Each worker calls it once a second. `FAST` has a tick every 5 ms.
        config.collect_memory = Some(|_| thread::sleep(Duration::from_millis(300)));
    });
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["FAST"])));
    stream.tick().await;
    let is_late = async {
        loop {
            let now = metrics(server.admin.unwrap()).await;
            let in_time = now["ticker_flush_lateness_seconds_bucket{le=\"0.1\"}"];
            if in_time < now["ticker_flush_lateness_seconds_count"] {
                break;
            }
        }
    };
    timeout(PATIENCE, is_late).await.expect("no flush is late");
    drop(stream);
}

#[tokio::test]
async fn what_the_port_does_not_serve_is_said_so() {
    let (server, admin) = start();
    assert_eq!(get(admin, "/").await, (404, "this port serves /livez, /readyz and /metrics\n".to_owned()));
    let answer = exchange(
        admin,
        "POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
    let answer = exchange(admin, "HEAD /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    for garbage in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}", "GET / HTTP/9.9\r\n\r\n"] {
        let mut io = TcpStream::connect(admin).await.unwrap();
        io.write_all(garbage.as_bytes()).await.unwrap();
        io.shutdown().await.unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, io.read_to_end(&mut answer)).await.expect("the connection stays").ok();
    }
    drop(server);
}

#[tokio::test]
async fn a_port_with_too_many_connections_serves_again_when_they_have_gone() {
    let (server, admin) = start();
    let mut many = Vec::new();
    for _ in 0..200 {
        many.push(TcpStream::connect(admin).await.unwrap());
    }
    while get_if_open(admin).await.is_some() {}
    drop(many);
    while get_if_open(admin).await.is_none() {}
    drop(server);
}

/// The answer, unless the port has too many connections.
async fn get_if_open(admin: SocketAddr) -> Option<String> {
    let mut io = TcpStream::connect(admin).await.ok()?;
    io.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.ok()?;
    (!answer.is_empty()).then_some(answer)
}

#[tokio::test]
async fn an_admin_port_that_is_taken_is_an_error_with_its_flag() {
    let (server, admin) = start();
    let mut config = config();
    config.admin = Some(admin);
    let Err(error) = Bound::bind(config) else { panic!("both have the port") };
    assert!(matches!(error, ServerError::Admin { address, .. } if address == admin));
    assert!(error.to_string().contains("--admin"), "{error}");
    drop(server);
}
