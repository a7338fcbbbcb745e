//! Replicas that share a log: a stream of a real nats-server. Without one in PATH, these tests are skipped.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use prost_types::Timestamp;
use ticker::{
    contract::v1::{
        Candle, Delivery, DigestTicksRequest, GetTapeRequest, ListCandlesRequest, ListTicksRequest,
        PublishRequest, PublishResponse, PublishedTick, Subscription, Tick, ticker_stream_request::Verb,
    },
    feed::{FeedSettings, Intake, NatsSettings, Store},
    tape::WindowLimits,
};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::{Client, ROOMY, in_memory, publish, publish_all, sequences_and_prices, stored, tick, ticks};
use crate::{
    admin,
    support::server::{PATIENCE, Server, symbols},
};

/// A nats-server with a directory of its own.
struct Broker {
    directory: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Broker {
    /// Starts a server; `None` when there is none in PATH.
    fn start() -> Option<Self> {
        if Command::new("nats-server").arg("--version").output().is_err() {
            eprintln!("SKIPPED: there is no nats-server in PATH");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = Self::spawn(directory.path(), port);
        Some(Self { directory, port, process })
    }

    fn spawn(directory: &Path, port: u16) -> Child {
        let mut command = Command::new("nats-server");
        command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]).arg(directory);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < PATIENCE, "nats-server does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        process
    }

    /// Kills the server. What it has stored stays.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.process = Self::spawn(self.directory.path(), self.port);
    }

    fn settings(&self) -> NatsSettings {
        NatsSettings {
            servers: vec![format!("nats://127.0.0.1:{}", self.port)],
            stream: "ticker".to_owned(),
            credentials: None,
            ca: None,
            replicas: 1,
            retention: Duration::from_secs(3600),
        }
    }

    fn feed(&self) -> FeedSettings {
        FeedSettings { store: Store::Nats(self.settings()), ..in_memory() }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn serve(settings: FeedSettings) -> Server {
    let intake = Intake::start(settings, &mut |_| {}).unwrap();
    Server::start_with(|config| {
        config.admin = Some("127.0.0.1:0".parse().unwrap());
        config.tape = intake.tape();
        config.intake = Some(intake);
    })
}

async fn publish_numbered(
    client: &mut Client,
    publisher_id: &str,
    first_number: u64,
    symbol: &str,
    count: i64,
) -> Result<PublishResponse, Status> {
    let ticks = (1..=count).map(|price| tick(symbol, price)).collect();
    let publisher_id = publisher_id.to_owned();
    let request = PublishRequest { ticks, publisher_id, first_number, ..PublishRequest::default() };
    publish(client, vec![request]).await
}

/// The number of the ticks of a symbol, and their digest. Waits until there are as many as expected.
async fn digest(client: &mut Client, symbol: &str, count: u64) -> Vec<u8> {
    let begun = Instant::now();
    loop {
        let request = DigestTicksRequest { symbol: symbol.to_owned(), ..DigestTicksRequest::default() };
        let found = client.digest_ticks(request).await.map(tonic::Response::into_inner);
        match found {
            Ok(found) if found.end_sequence == count + 1 => {
                assert_eq!(found.start_sequence, 1);
                return found.digest;
            }
            found => assert!(begun.elapsed() < PATIENCE, "{symbol} has not {count} ticks: {found:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn replicas_give_the_same_sequences_to_what_is_published_to_any_of_them() {
    const EACH: usize = 40;
    let Some(broker) = Broker::start() else { return };
    let servers = [serve(broker.feed()), serve(broker.feed())];
    let mut clients = [servers[0].client().await, servers[1].client().await];
    let tape_id = |tape: tonic::Response<ticker::contract::v1::GetTapeResponse>| tape.into_inner().tape_id;
    let first = tape_id(clients[0].get_tape(GetTapeRequest {}).await.unwrap());
    assert_eq!(tape_id(clients[1].get_tape(GetTapeRequest {}).await.unwrap()), first);
    assert_eq!(first.len(), 32);
    publish_all(&mut clients[0], vec![tick("BRK.B", 1)]).await;
    digest(&mut clients[1], "BRK.B", 1).await;
    let mut stream = servers[1].stream().await;
    let delivery = Delivery::EveryTick.into();
    stream.ask(1, Verb::Subscribe(Subscription { delivery, ..symbols(&["BRK.B"]) }));
    assert_eq!(stream.tick().await.sequence, 1);
    let publishers: JoinSet<_> = clients
        .iter()
        .chain(&clients)
        .map(|client| {
            let mut client = client.clone();
            async move {
                for round in 0..EACH {
                    let count = 1 + round as i64 % 30;
                    let mut ticks = Vec::new();
                    for price in 1..=count {
                        ticks.extend(["BRK.B", "A", "X/Y"].map(|symbol| tick(symbol, price)));
                    }
                    publish_all(&mut client, ticks).await;
                }
            }
        })
        .collect();
    let total = 4 * (0..EACH).map(|round| 1 + round as u64 % 30).sum::<u64>();
    let watch = async {
        for sequence in 2..=total + 1 {
            let tick = stream.tick().await;
            assert_eq!((tick.sequence, tick.conflated), (sequence, 0));
        }
    };
    tokio::join!(watch, publishers.join_all());
    for (symbol, count) in [("BRK.B", total + 1), ("A", total), ("X/Y", total)] {
        let [one, two] = &mut clients;
        assert_eq!(digest(one, symbol, count).await, digest(two, symbol, count).await, "{symbol}");
    }
}

#[tokio::test]
async fn a_retry_on_another_replica_stores_nothing_twice() {
    let Some(broker) = Broker::start() else { return };
    let servers = [serve(broker.feed()), serve(broker.feed())];
    let mut clients = [servers[0].client().await, servers[1].client().await];
    for round in 0..20 {
        let first_number = 1 + round * 10;
        let [one, two] = &mut clients;
        // At the same time on both, and then again.
        let (a, b) = tokio::join!(
            publish_numbered(one, "p", first_number, "A", 10),
            publish_numbered(two, "p", first_number, "A", 10)
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.accepted + b.accepted, a.duplicates + b.duplicates), (10, 10));
        let again = publish_numbered(one, "p", first_number, "A", 10).await.unwrap();
        assert_eq!((again.accepted, again.duplicates), (0, 10));
        let more = publish_numbered(two, "q", first_number, "B", 10).await.unwrap();
        assert_eq!((more.accepted, more.duplicates), (10, 0));
    }
    for symbol in ["A", "B"] {
        let [one, two] = &mut clients;
        assert_eq!(digest(one, symbol, 200).await, digest(two, symbol, 200).await);
    }
}

#[tokio::test]
async fn a_replica_that_is_restarted_goes_on_at_the_same_sequences() {
    let Some(broker) = Broker::start() else { return };
    let mut tape_ids = Vec::new();
    for run in 0..3 {
        let server = serve(broker.feed());
        let mut client = server.client().await;
        tape_ids.push(client.get_tape(GetTapeRequest {}).await.unwrap().into_inner().tape_id);
        if run > 0 {
            // What is stored is there from the beginning.
            assert_eq!(stored(&mut client, "A").await.len(), run as usize * 300);
        }
        publish_all(&mut client, ticks(300)).await;
        let response = publish_numbered(&mut client, "p", 1 + run * 5, "B", 10).await.unwrap();
        assert_eq!((response.accepted, response.duplicates), if run == 0 { (10, 0) } else { (5, 5) });
        server.stop().unwrap();
    }
    assert!(tape_ids.iter().all(|id| *id == tape_ids[0]));
}

#[tokio::test]
async fn a_symbol_that_has_not_traded_within_the_window_has_its_last_tick() {
    let Some(broker) = Broker::start() else { return };
    let window = WindowLimits { time: Duration::from_secs(1), ..ROOMY };
    let feed = || FeedSettings { window, ..broker.feed() };
    let server = serve(feed());
    publish_all(&mut server.client().await, ticks(300)).await;
    server.stop().unwrap();
    let server = serve(feed());
    let mut client = server.client().await;
    let last = stored(&mut client, "A").await.pop().unwrap();
    assert_eq!(last.sequence, 300);
    publish_all(&mut client, vec![tick("A", 7)]).await;
    let last = sequences_and_prices(&stored(&mut client, "A").await).pop();
    assert_eq!(last, Some((301, 7)));
}

#[tokio::test]
async fn a_tick_of_a_replica_whose_clock_is_ahead_waits_for_its_time() {
    let Some(broker) = Broker::start() else { return };
    let server = serve(broker.feed());
    publish_all(&mut server.client().await, ticks(1)).await;
    let mut stream = server.stream().await;
    let delivery = Delivery::EveryTick.into();
    stream.ask(1, Verb::Subscribe(Subscription { delivery, ..symbols(&["A"]) }));
    assert_eq!(stream.tick().await.sequence, 1);
    let ahead = SystemTime::now() + Duration::from_millis(700);
    let line = format!("{},A,2,5,2,,,,,,\n", Timestamp::from(ahead));
    let nats = async_nats::connect(&broker.settings().servers[0]).await.unwrap();
    let context = async_nats::jetstream::new(nats);
    context.publish("ticker.A", line.into()).await.unwrap().await.unwrap();
    let tick = stream.tick().await;
    assert!(SystemTime::now() >= ahead);
    assert_eq!((tick.sequence, tick.time), (2, Some(ahead.into())));
}

#[tokio::test]
async fn a_symbol_that_is_quiet_for_longer_than_the_retention_goes_on_at_its_sequence() {
    let Some(broker) = Broker::start() else { return };
    let retention = Duration::from_secs(4);
    let feed = || {
        let settings = NatsSettings { retention, ..broker.settings() };
        FeedSettings { store: Store::Nats(settings), ..in_memory() }
    };
    let servers = [serve(feed()), serve(feed())];
    let mut client = servers[0].client().await;
    publish_all(&mut client, ticks(3)).await;
    let nats = async_nats::connect(&broker.settings().servers[0]).await.unwrap();
    let stream = async_nats::jetstream::new(nats).get_stream("ticker").await.unwrap();
    let begun = Instant::now();
    loop {
        let state = stream.get_info().await.unwrap().state;
        assert!(state.messages > 0, "the last tick has left the stream: {state:?}");
        if state.first_sequence > 1 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{state:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    servers.into_iter().for_each(|server| server.stop().unwrap());
    let server = serve(feed());
    let mut client = server.client().await;
    publish_all(&mut client, vec![tick("A", 7)]).await;
    assert_eq!(sequences_and_prices(&stored(&mut client, "A").await), [(3, 3), (4, 7)]);
}

/// A replica that has every tick in memory and one that has only the newest of each symbol, with 3,000 ticks of `A` and some of `B`
/// in groups of several sizes. There are messages of `A` that cannot be read. Returns the time of the first tick.
async fn with_and_without_memory(broker: &Broker) -> ([Server; 2], [Client; 2], Timestamp) {
    const COUNT: i64 = 3_000;
    let little = WindowLimits { bytes: 1, ..ROOMY };
    let servers = [serve(broker.feed()), serve(FeedSettings { window: little, ..broker.feed() })];
    let mut clients = [servers[0].client().await, servers[1].client().await];
    let start = SystemTime::now() - Duration::from_secs(50);
    let mut published = (1..=COUNT).map(|number| PublishedTick {
        time: Some((start + Duration::from_millis(number as u64 / 3 * 40)).into()),
        quantity: number as u64 % 7,
        ..tick("A", 10_000 + number * number % 101)
    });
    let nats = async_nats::connect(&broker.settings().servers[0]).await.unwrap();
    let context = async_nats::jetstream::new(nats);
    for size in [1, 2, 300, 1, 700].into_iter().cycle() {
        let group: Vec<_> = published.by_ref().take(size).collect();
        if group.is_empty() {
            break;
        }
        context.publish("ticker.A", "no tick\n".into()).await.unwrap().await.unwrap();
        publish_all(&mut clients[0], group).await;
        publish_all(&mut clients[0], vec![tick("B", 5)]).await;
    }
    let newest = digest(&mut clients[0], "A", COUNT as u64).await;
    assert_eq!(digest(&mut clients[1], "A", COUNT as u64).await, newest);
    (servers, clients, start.into())
}

/// The ticks of all pages.
async fn all_ticks(client: &mut Client, request: &ListTicksRequest) -> Vec<Tick> {
    let (mut request, mut ticks) = (request.clone(), Vec::new());
    loop {
        let page = client.list_ticks(request.clone()).await.unwrap().into_inner();
        ticks.extend(page.ticks);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return ticks;
        }
    }
}

/// The candles of all pages.
async fn all_candles(client: &mut Client, request: &ListCandlesRequest) -> Vec<Candle> {
    let (mut request, mut candles) = (request.clone(), Vec::new());
    loop {
        let page = client.list_candles(request.clone()).await.unwrap().into_inner();
        candles.extend(page.candles);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return candles;
        }
    }
}

#[tokio::test]
async fn what_has_left_the_window_is_read_from_the_stream() {
    let Some(broker) = Broker::start() else { return };
    let (_servers, [mut all, mut few], start) = with_and_without_memory(&broker).await;
    let at = |seconds: i64| Some(Timestamp { seconds: start.seconds + seconds, ..start });
    let symbol = || "A".to_owned();
    let mut asked = Vec::new();
    for (start_sequence, end_sequence) in
        [(0, 0), (0, 5), (1, 1), (2, 1_500), (1_499, 0), (2_990, 0), (3_001, 0)]
    {
        asked.push(ListTicksRequest { start_sequence, end_sequence, ..ListTicksRequest::default() });
    }
    for (start_time, end_time) in
        [(None, at(1)), (at(-9), at(2)), (at(7), at(8)), (at(20), None), (at(39), at(90))]
    {
        asked.push(ListTicksRequest { start_time, end_time, ..ListTicksRequest::default() });
    }
    for request in asked {
        for (newest_first, page_size) in [(false, 700), (true, 700), (false, 10_000), (true, 10_000)] {
            let request = ListTicksRequest { symbol: symbol(), newest_first, page_size, ..request.clone() };
            let expected = all_ticks(&mut all, &request).await;
            assert!(all_ticks(&mut few, &request).await == expected, "{request:?}");
        }
    }
    for (seconds, start_time, end_time, page_size) in [
        (1, at(0), None, 7),
        (5, at(3), at(31), 2),
        (60, at(-70), None, 100),
        (1, at(39), None, 3),
        (1, at(9), at(9), 1),
    ] {
        let interval = Some(prost_types::Duration { seconds, nanos: 0 });
        let request = ListCandlesRequest {
            symbol: symbol(),
            interval,
            start_time,
            end_time,
            page_size,
            ..Default::default()
        };
        let expected = all_candles(&mut all, &request).await;
        assert_eq!(all_candles(&mut few, &request).await, expected, "{request:?}");
    }
    for (start_sequence, end_sequence) in [(0, 0), (1, 2), (7, 2_000), (2_999, 0)] {
        let request = DigestTicksRequest { symbol: symbol(), start_sequence, end_sequence };
        let expected = all.digest_ticks(request.clone()).await.unwrap().into_inner();
        assert_eq!(few.digest_ticks(request).await.unwrap().into_inner(), expected);
    }
}

#[tokio::test]
async fn without_the_broker_only_what_has_left_the_window_is_unavailable() {
    let Some(mut broker) = Broker::start() else { return };
    let (servers, [_, mut few], _) = with_and_without_memory(&broker).await;
    let oldest = ListTicksRequest { symbol: "A".to_owned(), page_size: 1, ..ListTicksRequest::default() };
    broker.kill();
    until_ready(&servers[1], false).await;
    let status = few.list_ticks(oldest.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(status.message().starts_with("the feed cannot read its log"), "{status:?}");
    let newest = ListTicksRequest { newest_first: true, ..oldest.clone() };
    assert_eq!(few.list_ticks(newest).await.unwrap().into_inner().ticks[0].sequence, 3_000);
    broker.start_again();
    until_ready(&servers[1], true).await;
    assert_eq!(few.list_ticks(oldest).await.unwrap().into_inner().ticks[0].sequence, 1);
}

#[tokio::test]
async fn while_the_broker_is_away_publishing_is_unavailable_and_then_everything_goes_on() {
    let Some(mut broker) = Broker::start() else { return };
    let servers = [serve(broker.feed()), serve(broker.feed())];
    let mut clients = [servers[0].client().await, servers[1].client().await];
    let mut number = 1;
    publish_numbered(&mut clients[0], "p", number, "A", 10).await.unwrap();
    number += 10;
    let mut stream = servers[1].stream().await;
    digest(&mut clients[1], "A", 10).await;
    let delivery = Delivery::EveryTick.into();
    stream.ask(1, Verb::Subscribe(Subscription { delivery, ..symbols(&["A"]) }));
    assert_eq!(stream.tick().await.sequence, 10);
    for _ in 0..2 {
        broker.kill();
        for client in &mut clients {
            let begun = Instant::now();
            let status = publish_numbered(client, "p", number, "A", 10).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            assert!(status.message().contains("the feed cannot reach its log"), "{status:?}");
            assert!(begun.elapsed() < Duration::from_secs(6));
        }
        for server in &servers {
            let problem = until_ready(server, false).await;
            assert!(problem.contains("the feed cannot reach its log: there is no connection"), "{problem}");
        }
        broker.start_again();
        for server in &servers {
            until_ready(server, true).await;
        }
        for client in &mut clients {
            publish_numbered(client, "p", number, "A", 10).await.unwrap();
        }
        for sequence in number..number + 10 {
            let tick = stream.tick().await;
            assert_eq!((tick.sequence, tick.conflated), (sequence, 0));
        }
        number += 10;
    }
    let [one, two] = &mut clients;
    assert_eq!(digest(one, "A", number - 1).await, digest(two, "A", number - 1).await);
}

/// Waits until the server is ready, or is not. Returns what the page says.
async fn until_ready(server: &Server, is_ready: bool) -> String {
    let begun = Instant::now();
    loop {
        let (status, body) = admin::get(server.admin.unwrap(), "/readyz").await;
        if (status == 200) == is_ready {
            return body;
        }
        assert!(begun.elapsed() < PATIENCE, "{status} {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_an_error_without_passwords() {
    let settings = NatsSettings {
        servers: vec!["nats://user:secret@127.0.0.1:1".to_owned()],
        stream: "ticker".to_owned(),
        credentials: None,
        ca: None,
        replicas: 1,
        retention: Duration::from_secs(3600),
    };
    assert!(!format!("{settings:?}").contains("secret"));
    let feed = FeedSettings { store: Store::Nats(settings), ..in_memory() };
    let error = Intake::start(feed, &mut |_| {}).err().unwrap();
    assert_eq!(
        error.to_string(),
        "cannot connect to NATS at 127.0.0.1:1: check the address, and that nats-server is running"
    );
}
