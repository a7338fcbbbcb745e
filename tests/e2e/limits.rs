//! What one client may take of the server, and what happens to one that takes more.

use std::{collections::HashSet, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use h2::{Reason, client::Builder};
use ticker::{
    contract::{
        gogen::{TickerRequest, TickerResponse},
        v1::{
            ListTicksRequest, ListTicksResponse, Ping, Subscription, SymbolStatusCode as Code,
            TickerStreamRequest, TickerStreamResponse, Unsubscribe, ticker_stream_request::Verb,
            ticker_stream_response::Event,
        },
    },
    server::Config,
    tape::{Simulated, Universe},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::support::{
    raw::{GOAWAY, GOGEN, Heard, OPENING, Raw, STREAM, framed, frames_until_end},
    server::{PATIENCE, Server, symbols},
};

fn ask(request_id: u64, verb: Verb) -> TickerStreamRequest {
    TickerStreamRequest { request_id, verb: Some(verb) }
}

/// A small request with a large answer.
fn refused(request_id: u64) -> TickerStreamRequest {
    let symbols = vec![String::new(); 1_000];
    let subscription = Subscription { tape_id: "other".to_owned(), symbols, ..Subscription::default() };
    ask(request_id, Verb::Subscribe(subscription))
}

fn one_worker(config: &mut Config) {
    config.workers = NonZeroUsize::MIN;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_not_heard_for_long_and_is_answered_when_it_reads() {
    const REQUESTS: u64 = 500;
    let server = Server::start_with(one_worker);
    let socket = TcpStream::connect(server.address).await.unwrap();
    let mut raw = Raw::over(socket, Builder::new().initial_window_size(0)).await;
    let mut call = raw.call(STREAM).await;
    let mut other = Raw::connect(&server).await;
    // Requests go out as long as the server takes them. A hundred rounds of the other client are time enough to take one.
    let mut said = 0;
    let mut bytes = 0;
    loop {
        let request = refused(said);
        let other_is_served = async {
            for _ in 0..100 {
                assert!(other.is_served().await);
            }
        };
        tokio::select! {
            biased;
            () = call.say_when_there_is_room(&request) => {}
            () = other_is_served => break,
        }
        said += 1;
        bytes += framed(&request).len();
        assert!(said < REQUESTS, "all requests are heard although no answer is read");
    }
    // The window of requests, and what answers of 64 KiB were made for.
    assert!(
        (256 * 1024 - 4_096..=(256 + 64) * 1024).contains(&bytes),
        "{bytes} bytes of requests were taken"
    );

    raw.set_window(1024 * 1024);
    let mut answered = 0;
    while answered < REQUESTS {
        if said < REQUESTS {
            call.say_when_there_is_room(&refused(said)).await;
            said += 1;
        }
        if said - answered > 100 || said == REQUESTS {
            loop {
                if let Some(Event::SubscriptionResult(result)) =
                    call.message::<TickerStreamResponse>().await.event
                {
                    assert_eq!((result.request_id, result.statuses.len()), (answered, 1_000));
                    break answered += 1;
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up_and_the_ticks_beside_it_go_on() {
    // A connection that takes nothing for this time is closed, also if its client is only slow.
    let server = Server::start_with(|config| config.timeouts.stall_timeout = Duration::from_secs(3));
    let socket = TcpStream::connect(server.address).await.unwrap();
    let mut raw = Raw::over(socket, Builder::new().initial_connection_window_size(8 * 1024 * 1024)).await;
    let mut ticks = raw.call(STREAM).await;
    ticks.say(&ask(1, Verb::Subscribe(symbols(&["FAST"]))));
    let mut stalled = raw.call(STREAM).await;
    stalled.hold_back();
    for id in 0..30 {
        stalled.say(&refused(id));
    }
    let mut page = raw.call("/ticker.v1.TickerStreamService/ListTicks").await;
    page.hold_back();
    page.say(&ListTicksRequest {
        symbol: "FAST".to_owned(),
        page_size: 10_000,
        ..ListTicksRequest::default()
    });
    page.half_close();
    let live = async {
        loop {
            ticks.message::<TickerStreamResponse>().await;
        }
    };
    let reset = async {
        let reasons =
            (stalled.reset::<TickerStreamResponse>().await, page.reset::<ListTicksResponse>().await);
        assert_eq!(reasons, (Some(Reason::ENHANCE_YOUR_CALM), Some(Reason::ENHANCE_YOUR_CALM)));
    };
    tokio::select! {
        () = reset => {}
        () = live => {}
    }
    let mut seen = 0;
    while seen < 50 {
        let event = ticks.message::<TickerStreamResponse>().await.event;
        seen += u32::from(matches!(event, Some(Event::Tick(_))));
    }
    assert!(raw.is_served().await);
}

#[tokio::test]
async fn ticks_that_nobody_reads_are_no_answers_and_wait_as_long_as_it_takes() {
    let server = Server::start_with(|config| {
        config.timeouts.stall_timeout = Duration::from_millis(200);
        one_worker(config);
    });
    let mut raw = Raw::connect(&server).await;
    let mut ticks = raw.call(STREAM).await;
    ticks.say(&ask(1, Verb::Subscribe(symbols(&["FAST"]))));
    // Answers that stall at the same time and later are given up, the second ones after more than two timeouts.
    for _ in 0..2 {
        let socket = TcpStream::connect(server.address).await.unwrap();
        let mut other = Raw::over(socket, Builder::new().initial_window_size(1_000)).await;
        let mut stalled = other.call(STREAM).await;
        stalled.hold_back();
        stalled.say(&refused(1));
        assert_eq!(stalled.reset::<TickerStreamResponse>().await, Some(Reason::ENHANCE_YOUR_CALM));
    }
    let mut seen = 0;
    while seen < 100 {
        let event = ticks.message::<TickerStreamResponse>().await.event;
        seen += u32::from(matches!(event, Some(Event::Tick(_))));
    }
}

/// A connection from an address of its own on the loopback network.
async fn from(server: &Server, host: u8) -> Raw {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
    Raw::over(socket.connect(server.address).await.unwrap(), &Builder::new()).await
}

/// The server counts idle time in milliseconds: connections that become idle this much apart are told apart.
const APART: Duration = Duration::from_millis(2);

fn four_connections(config: &mut Config) {
    config.max_connections = NonZeroUsize::new(4).unwrap();
}

#[tokio::test]
async fn a_full_server_closes_the_connection_that_is_idle_for_longest_and_admits_a_newcomer() {
    let server = Server::start_with(four_connections);
    let (mut first, mut second, mut third) =
        (from(&server, 2).await, from(&server, 3).await, from(&server, 4).await);
    // The first has a call that is at work, so the second is the one that is idle for longest.
    let mut busy = first.call(STREAM).await;
    busy.say(&ask(1, Verb::Subscribe(symbols(&["FAST"]))));
    busy.message::<TickerStreamResponse>().await;
    assert!(second.is_served().await);
    sleep(APART).await;
    assert!(third.is_served().await);
    let mut newcomer = from(&server, 5).await;
    assert!(newcomer.is_served().await);
    second.end().await.unwrap();
    assert!(!second.is_served().await);
    assert!(third.is_served().await);
    busy.message::<TickerStreamResponse>().await;
}

#[tokio::test]
async fn a_server_whose_connections_are_all_at_work_refuses_the_next() {
    let server = Server::start_with(four_connections);
    let mut open = Vec::new();
    for host in 2..6 {
        let mut raw = from(&server, host).await;
        let mut call = raw.call(STREAM).await;
        call.say(&ask(1, Verb::Subscribe(symbols(&["FAST"]))));
        call.message::<TickerStreamResponse>().await;
        open.push((raw, call));
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 6], 0))).unwrap();
    let mut refused = socket.connect(server.address).await.unwrap();
    assert!(frames_until_end(&mut refused).await.is_empty(), "it is closed at once");
    for (raw, call) in &mut open {
        call.message::<TickerStreamResponse>().await;
        assert!(raw.is_served().await);
    }
    // One that leaves makes room.
    drop(open.pop());
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 7], 0))).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        stream.write_all(OPENING).await.ok();
        // A server that serves says its settings first; one that does not closes.
        if stream.read_u8().await.is_ok() {
            break;
        }
    }
}

#[tokio::test]
async fn an_address_has_half_of_the_connections_and_makes_room_for_itself_only() {
    let server = Server::start_with(|config| config.max_connections = NonZeroUsize::new(8).unwrap());
    let mut other = from(&server, 9).await;
    assert!(other.is_served().await);
    let mut own = Vec::new();
    for _ in 0..12 {
        let mut raw = from(&server, 2).await;
        assert!(raw.is_served().await);
        sleep(APART).await;
        own.push(raw);
        // The longest idle of its own are closed; so many at most are open.
        while own.len() > 4 {
            own.remove(0).end().await.unwrap();
        }
    }
    assert!(other.is_served().await);
}

fn three_subscriptions(config: &mut Config) {
    config.max_subscriptions = 3;
}

#[tokio::test]
async fn subscriptions_beyond_those_of_the_server_are_refused_one_by_one() {
    let server = Server::start_with(three_subscriptions);
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["FAST", "INFY", "SLOW", "TCS", "FAST"])));
    let statuses = stream.result().await.statuses;
    let codes: Vec<_> = statuses.iter().map(|status| status.code()).collect();
    let done = Code::Subscribed;
    assert_eq!(codes, [done, done, done, Code::LimitExceeded, done]);
    assert!(
        statuses[3].message.contains("the server holds as many subscriptions"),
        "{}",
        statuses[3].message
    );

    let mut gogen = server.gogen().await;
    gogen.say(TickerRequest { symbol: "TCS".to_owned() });
    let status = gogen.failure().await;
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
    let mut all = server.stream().await;
    all.ask(1, Verb::Subscribe(symbols(&["*"])));
    assert_eq!(all.result().await.statuses[0].code(), Code::Subscribed);
    let status = all.failure().await;
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");

    // The stream that was there goes on, and what it gives back is free for others.
    stream.ask(2, Verb::Unsubscribe(Unsubscribe { symbols: vec!["SLOW".to_owned()] }));
    stream.result().await;
    let mut gogen = server.gogen().await;
    gogen.say(TickerRequest { symbol: "TCS".to_owned() });
    assert_eq!(gogen.next().await.symbol, "TCS");
    assert!(["FAST", "INFY"].contains(&stream.tick().await.symbol.as_str()));
}

#[tokio::test]
async fn a_connection_has_its_own_limit_of_subscriptions_whatever_its_streams() {
    let instrument = |n| format!("[[instrument]]\nsymbol = \"S{n:04}\"\nreference_price = 10\n");
    let universe = Universe::parse(&(0..6_000).map(instrument).collect::<String>(), "instruments").unwrap();
    let server = Server::start_with(|config| {
        config.tape = Arc::new(Simulated::new(7, universe));
        config.max_subscriptions = 100_000;
    });
    // The second stream has room on the connection while nobody reads the first one.
    let socket = TcpStream::connect(server.address).await.unwrap();
    let mut raw = Raw::over(socket, Builder::new().initial_connection_window_size(8 * 1024 * 1024)).await;
    let mut first = raw.call(STREAM).await;
    first.say(&ask(1, Verb::Subscribe(symbols(&["*"]))));
    first.say(&ask(2, Verb::Ping(Ping {})));
    while !matches!(first.message::<TickerStreamResponse>().await.event, Some(Event::Pong(_))) {}
    let mut second = raw.call(STREAM).await;
    second.say(&ask(1, Verb::Subscribe(symbols(&["*"]))));
    let status = second.status::<TickerStreamResponse>().await;
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("the connection holds as many subscriptions"), "{status}");
    // Another connection is not concerned, and neither is the first stream.
    let mut other = Raw::connect(&server).await;
    let mut call = other.call(GOGEN).await;
    call.say(&TickerRequest { symbol: "S0001".to_owned() });
    assert!(matches!(call.hear::<TickerResponse>().await, Heard::Message(tick) if tick.symbol == "S0001"));
    let mut seen = HashSet::new();
    while seen.len() < 6_000 {
        if let Some(Event::Tick(tick)) = first.message::<TickerStreamResponse>().await.event {
            seen.insert(tick.symbol);
        }
    }
}

#[tokio::test]
async fn a_connection_without_streams_is_closed_with_a_goaway() {
    let server = Server::start_with(|config| config.timeouts.max_idle = Duration::from_millis(200));
    let mut raw = Raw::connect(&server).await;
    // It may have been idle for too long before its first call.
    while !raw.is_served().await {
        raw = Raw::connect(&server).await;
    }
    raw.end().await.unwrap();
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    // One that only said who it is, and acknowledges nothing, is told so too.
    socket.write_all(OPENING).await.unwrap();
    let mut head = [0; 9];
    while head[3] != GOAWAY {
        timeout(PATIENCE, socket.read_exact(&mut head)).await.expect("no GOAWAY").unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        socket.read_exact(&mut vec![0; length as usize]).await.unwrap();
    }
}
