//! The client library when replicas fail, are told apart, or are about to stop.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use ticker::{
    client::{
        Client, ClientError, Delivery, Endpoint, Endpoints, Event, ReplayOptions, RpcCode, Settings,
        SubscribeOptions, Subscription, TickRange,
    },
    contract::v1::{
        CaughtUp, Draining, Gap, Pong, SymbolStatusCode as Code, ticker_stream_request::Verb,
        ticker_stream_response::Event as Said,
    },
    tick::{Tick, Time},
};
use tokio::{net::TcpSocket, time::timeout};
use tokio_stream::StreamExt;
use tonic::Status;

use crate::support::{
    scripted::{Scripted, Stream},
    server::{PATIENCE, Server},
};

/// Tries again soon, so that tests need not wait.
fn settings() -> Settings {
    Settings::default().with_backoff(Duration::from_millis(1), Duration::from_millis(20))
}

fn endpoints(addresses: &[SocketAddr]) -> Endpoints {
    addresses.iter().map(|address| Endpoint::from(*address)).collect()
}

fn options(delivery: Delivery) -> SubscribeOptions {
    SubscribeOptions::new(["TCS"]).with_delivery(delivery)
}

async fn subscribe(addresses: &[SocketAddr], settings: Settings) -> Result<Subscription, ClientError> {
    Client::connect(&endpoints(addresses), settings).await?.subscribe(options(Delivery::EveryTick)).await
}

/// Opens a subscription at a scripted replica, which answers and sends the ticks 1 to 3.
async fn begin(
    replica: &mut Scripted,
    addresses: &[SocketAddr],
    settings: Settings,
) -> (Subscription, Stream) {
    let script = async {
        let mut stream = replica.stream().await;
        assert_eq!(stream.asked().await.symbols, ["TCS"]);
        stream.answer("tape", Code::Subscribed);
        stream.ticks(1..=3);
        stream
    };
    let (subscription, stream) = tokio::join!(subscribe(addresses, settings), script);
    let mut subscription = subscription.unwrap();
    until_tick(&mut subscription, 3).await;
    (subscription, stream)
}

/// The events up to the tick with this sequence, as text.
async fn until_tick(subscription: &mut Subscription, last: u64) -> Vec<String> {
    let (mut told, mut events) = (Vec::new(), Vec::new());
    loop {
        timeout(PATIENCE, subscription.next_batch(&mut events)).await.expect("nothing comes").unwrap();
        for event in events.drain(..) {
            told.push(match &event {
                Event::Answer { .. } => "answer".to_owned(),
                Event::Tick(live) => live.tick.sequence.to_string(),
                Event::Gap { first, last, .. } => format!("gap {first}-{last}"),
                Event::CaughtUp { sequence, .. } => format!("caught up {sequence}"),
                Event::Draining => "draining".to_owned(),
                Event::End => "end".to_owned(),
                Event::Disconnected { attempt, .. } => format!("disconnected {attempt}"),
                Event::Reconnected { without, .. } if without.is_zero() => "moved".to_owned(),
                Event::Reconnected { .. } => "reconnected".to_owned(),
                other => panic!("{other:?}"),
            });
            if matches!(event, Event::Tick(live) if live.tick.sequence.0 == last) {
                return told;
            }
        }
    }
}

/// The error that ends the subscription.
async fn error(subscription: &mut Subscription) -> ClientError {
    let mut events = Vec::new();
    loop {
        let received = timeout(PATIENCE, subscription.next_batch(&mut events)).await;
        if let Err(error) = received.expect("it goes on trying") {
            return error;
        }
    }
}

/// An address where nobody listens, which no other test gets.
fn nobody() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    Box::leak(Box::new(socket)).local_addr().unwrap()
}

#[tokio::test]
async fn the_first_replica_that_can_be_reached_is_taken() {
    let server = Server::start();
    let client = Client::connect(&endpoints(&[nobody(), server.address]), settings()).await.unwrap();
    assert_eq!(client.endpoint(), &Endpoint::from(server.address));
    let mut subscription = client.subscribe(options(Delivery::Latest)).await.unwrap();
    let mut events = Vec::new();
    subscription.next_batch(&mut events).await.unwrap();
    assert!(matches!(&events[0], Event::Answer { tape_id, .. } if *tape_id == subscription.tape().id));
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_fails_at_once() {
    let failed = subscribe(&[nobody()], settings()).await.err().unwrap();
    assert!(matches!(failed, ClientError::Connect { .. }), "{failed}");
    let failed = subscribe(&[nobody(), nobody()], settings()).await.err().unwrap();
    assert!(matches!(failed, ClientError::NoReplica { tried: 2, .. }), "{failed}");
    let failed = subscribe(&[], settings()).await.err().unwrap();
    assert_eq!(failed.to_string(), "there is no endpoint to connect to: name at least one");
    let name = "no-such-host.invalid:50051".parse::<Endpoint>().unwrap();
    let failed = Client::connect(&name.into(), settings()).await.unwrap_err();
    assert!(matches!(failed, ClientError::Resolve { .. }), "{failed}");
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_at_another_replica_after_its_last_tick() {
    let (mut first, mut second) = (Scripted::start("tape").await, Scripted::start("tape").await);
    let addresses = [first.address, second.address];
    let (mut subscription, stream) = begin(&mut first, &addresses, settings()).await;
    stream.fail(Status::unknown("h2 protocol error"));
    let (told, again) = tokio::join!(until_tick(&mut subscription, 9), async {
        let mut again = second.stream().await;
        let asked = again.asked().await;
        assert_eq!(asked.after_sequence.into_iter().collect::<Vec<_>>(), [("TCS".to_owned(), 3)]);
        assert_eq!(asked.tape_id, "tape");
        again.answer("tape", Code::Subscribed);
        // What came already is not told again, what is left out is told, by the server or not.
        again.ticks([2, 3, 4, 4]);
        again.say(Said::CaughtUp(CaughtUp { symbol: "TCS".to_owned(), sequence: 4 }));
        let gap = Gap { symbol: "TCS".to_owned(), first_sequence: 4, last_sequence: 5 };
        again.say(Said::Gap(gap.clone()));
        again.say(Said::Gap(gap));
        again.ticks([6, 9]);
        again
    });
    assert_eq!(told, ["disconnected 1", "reconnected", "4", "caught up 4", "gap 5-5", "6", "gap 7-8", "9"]);
    drop(again);
}

#[tokio::test]
async fn a_stream_that_goes_silent_is_taken_for_dead() {
    let (mut first, mut second) = (Scripted::start("tape").await, Scripted::start("tape").await);
    let addresses = [first.address, second.address];
    let impatient = settings().with_silence_timeout(Duration::from_millis(300));
    let (mut subscription, stream) = begin(&mut first, &addresses, impatient).await;
    let (told, ()) = tokio::join!(until_tick(&mut subscription, 4), async {
        let mut again = second.stream().await;
        again.asked().await;
        again.answer("tape", Code::Subscribed);
        again.ticks([4]);
        stream.is_left().await;
    });
    assert_eq!(told, ["disconnected 1", "reconnected", "4"]);
}

#[tokio::test]
async fn a_stream_that_is_only_quiet_is_asked_for_a_sign_of_life_and_kept() {
    let mut replica = Scripted::start("tape").await;
    let (addresses, patient) = ([replica.address], settings().with_silence_timeout(Duration::from_secs(2)));
    let (mut subscription, mut stream) = begin(&mut replica, &addresses, patient).await;
    let (told, ()) = tokio::join!(until_tick(&mut subscription, 4), async {
        // Longer than the silence that it is allowed.
        for _ in 0..2 {
            assert!(matches!(stream.verb().await, Verb::Ping(_)));
            stream.say(Said::Pong(Pong::default()));
        }
        stream.ticks([4]);
    });
    assert_eq!(told, ["4"]);
}

#[tokio::test]
async fn a_replica_that_is_about_to_stop_is_left_when_another_one_has_answered() {
    let (mut first, mut second) = (Scripted::start("tape").await, Scripted::start("tape").await);
    let addresses = [first.address, second.address];
    let (mut subscription, stream) = begin(&mut first, &addresses, settings()).await;
    stream.say(Said::Draining(Draining {}));
    let (told, again) = tokio::join!(until_tick(&mut subscription, 4), async {
        let mut again = second.stream().await;
        again.asked().await;
        // The first one still has its say.
        stream.ticks([4]);
        again
    });
    assert_eq!(told, ["draining", "4"]);
    again.answer("tape", Code::Subscribed);
    again.ticks([4, 5]);
    assert_eq!(until_tick(&mut subscription, 5).await, ["moved", "5"]);
    stream.is_left().await;
}

#[tokio::test]
async fn with_make_before_break_off_a_draining_stream_is_read_to_its_end() {
    let (mut first, mut second) = (Scripted::start("tape").await, Scripted::start("tape").await);
    let addresses = [first.address, second.address];
    let patient = settings().with_make_before_break(false);
    let (mut subscription, stream) = begin(&mut first, &addresses, patient).await;
    stream.say(Said::Draining(Draining {}));
    stream.ticks([4]);
    assert_eq!(until_tick(&mut subscription, 4).await, ["draining", "4"]);
    stream.fail(Status::unavailable("the server stops"));
    let (told, ()) = tokio::join!(until_tick(&mut subscription, 5), async {
        let mut again = second.stream().await;
        again.asked().await;
        again.answer("tape", Code::Subscribed);
        again.ticks([5]);
    });
    assert_eq!(told, ["disconnected 1", "reconnected", "5"]);
}

#[tokio::test]
async fn a_replica_of_another_tape_is_passed_over() {
    let (mut first, foreign) = (Scripted::start("tape").await, Server::start());
    let addresses = [first.address, foreign.address];
    let (mut subscription, stream) = begin(&mut first, &addresses, settings()).await;
    stream.fail(Status::unavailable("away for a moment"));
    let (told, ()) = tokio::join!(until_tick(&mut subscription, 4), async {
        let mut again = first.stream().await;
        again.asked().await;
        again.answer("tape", Code::Subscribed);
        again.ticks([4]);
    });
    assert_eq!(told, ["disconnected 1", "disconnected 2", "reconnected", "4"]);
}

#[tokio::test]
async fn when_no_replica_has_the_tape_any_more_that_is_told_and_nothing_begins_anew() {
    let (mut first, foreign) = (Scripted::start("tape").await, Server::start());
    let addresses = [first.address, foreign.address];
    let (mut subscription, stream) = begin(&mut first, &addresses, settings()).await;
    drop(stream);
    let (failed, ()) = tokio::join!(error(&mut subscription), async {
        let mut again = first.stream().await;
        again.asked().await;
        again.answer("other", Code::Subscribed);
    });
    let ClientError::NoReplica { tried: 2, source } = failed else { panic!("{failed}") };
    assert!(
        source.to_string().ends_with("plays the tape other and not tape: its sequences mean other ticks")
    );
}

#[tokio::test]
async fn a_status_that_is_not_retryable_ends_it_at_once() {
    for (status, code) in [
        (Status::invalid_argument(""), RpcCode::InvalidArgument),
        (Status::unimplemented(""), RpcCode::Unimplemented),
        (Status::permission_denied(""), RpcCode::PermissionDenied),
        (Status::unauthenticated(""), RpcCode::Unauthenticated),
        (Status::failed_precondition(""), RpcCode::FailedPrecondition),
        (Status::resource_exhausted(""), RpcCode::ResourceExhausted),
    ] {
        let mut replica = Scripted::start("tape").await;
        let address = replica.address;
        let (mut subscription, stream) = begin(&mut replica, &[address, nobody()], settings()).await;
        stream.fail(status);
        match error(&mut subscription).await {
            ClientError::Ended { status, .. } => assert_eq!(status.code, code),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn it_gives_up_after_as_many_attempts_as_it_is_allowed_and_tries_again_when_asked_again() {
    let mut replica = Scripted::start("tape").await;
    let settings = settings().with_max_attempts(NonZeroU32::new(3));
    let (address, mut events) = (replica.address, Vec::new());
    let (mut subscription, stream) = begin(&mut replica, &[address], settings).await;
    drop((stream, replica));
    let failed = loop {
        if let Err(error) = subscription.next_batch(&mut events).await {
            break error;
        }
    };
    assert!(matches!(failed, ClientError::Connect { .. }), "{failed}");
    let attempts = events.iter().filter(|event| matches!(event, Event::Disconnected { .. })).count();
    assert_eq!(attempts, 3);
    assert!(subscription.next_batch(&mut events).await.is_err());
}

#[tokio::test]
async fn a_replay_goes_on_at_another_replica_and_ends_where_it_was_asked_to() {
    let (first, second) = (Server::start(), Server::start());
    let addresses = [first.address, second.address];
    let client = Client::connect(&endpoints(&addresses), settings()).await.unwrap();
    let to = client.tape().await.unwrap().time;
    let from = to.before(Duration::from_secs(60)).unwrap();
    let replay = ReplayOptions::new(from).with_to(to).with_speed(10.0);
    let everything = SubscribeOptions::new(["*"]).with_delivery(Delivery::EveryTick);
    let mut subscription = client.replay(everything, replay).await.unwrap();
    let (mut events, mut first) = (Vec::new(), Some(first));
    let (mut ticks, mut reconnects) = (Vec::new(), 0);
    while !matches!(events.last(), Some(Event::End)) {
        events.clear();
        timeout(PATIENCE, subscription.next_batch(&mut events)).await.expect("nothing comes").unwrap();
        for event in &events {
            match event {
                Event::Tick(live) => ticks.push(*live),
                Event::Reconnected { .. } => reconnects += 1,
                Event::Gap { .. } => panic!("{event:?}"),
                _ => {}
            }
        }
        if !ticks.is_empty()
            && let Some(first) = first.take()
        {
            first.begin_to_stop();
        }
    }
    assert_eq!(reconnects, 1);
    events.clear();
    tokio::select! {
        received = subscription.next_batch(&mut events) => panic!("{received:?} after the end"),
        // Long enough to connect, to subscribe and to be sent something, if it did.
        _ = async { for _ in 0..20 { edge(&second, "TCS", (from, to), false).await; } } => {}
    }
    assert!(ticks.is_sorted_by_key(|live| live.tick.time));
    for symbol in ["FAST", "INFY", "TCS"] {
        let of = ticks.iter().filter(|live| live.symbol.as_str() == symbol).map(|live| live.tick);
        let of: Vec<_> = of.collect();
        assert!(of.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.next()), "{symbol}");
        let listed = |newest_first| edge(&second, symbol, (from, to), newest_first);
        assert_eq!(
            (of.first(), of.last()),
            (listed(false).await.as_ref(), listed(true).await.as_ref()),
            "{symbol}"
        );
    }
}

/// The first or the last tick of some times.
async fn edge(server: &Server, symbol: &str, (from, to): (Time, Time), newest_first: bool) -> Option<Tick> {
    let range = TickRange::times(from..to).with_page_size(1);
    let range = if newest_first { range.newest_first() } else { range };
    let client = Client::connect(&Endpoint::from(server.address).into(), settings()).await.unwrap();
    client.ticks(symbol, range).next().await.transpose().unwrap()
}
