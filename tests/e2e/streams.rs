//! `ticker.v1.TickerStreamService/TickerStream`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ticker::{
    contract::v1::{
        Delivery, ListSubscriptions, Ping, Subscription, SymbolStatus, SymbolStatusCode as Code, Tick,
        Unsubscribe, ticker_stream_request::Verb, ticker_stream_response::Event,
    },
    tape::{Simulated, Universe},
    tick::{Sequence, Time},
};

use crate::support::server::{Server, series, symbols};

fn codes(statuses: &[SymbolStatus]) -> Vec<(&str, Code)> {
    statuses.iter().map(|status| (status.symbol.as_str(), status.code())).collect()
}

fn unsubscribe(symbols: &[&str]) -> Verb {
    Verb::Unsubscribe(Unsubscribe { symbols: symbols.iter().map(ToString::to_string).collect() })
}

#[tokio::test]
async fn a_subscribe_is_answered_by_its_result_then_a_snapshot_then_live_ticks() {
    let server = Server::start();
    let mut stream = server.stream().await;
    let every_tick = Subscription { delivery: Delivery::EveryTick.into(), ..symbols(&["TCS"]) };
    stream.ask(42, Verb::Subscribe(every_tick));
    let Event::SubscriptionResult(result) = stream.news().await else { panic!("not the result") };
    assert_eq!(result.request_id, 42);
    assert_eq!(codes(&result.statuses), [("TCS", Code::Subscribed)]);
    let Event::Tick(snapshot) = stream.news().await else { panic!("not the snapshot") };
    assert!(snapshot.snapshot);
    let mut last = snapshot.sequence;
    for _ in 0..5 {
        let tick = stream.tick().await;
        assert_eq!((tick.sequence, tick.snapshot, tick.conflated), (last + 1, false, 0));
        assert_eq!(tick.ltp, tick.ltp_nanos as f64 / 1e9);
        last = tick.sequence;
    }
}

#[tokio::test]
async fn one_bad_symbol_does_not_fail_the_others() {
    let server = Server::start();
    let mut stream = server.stream().await;
    let long = "X".repeat(100);
    stream.ask(1, Verb::Subscribe(symbols(&["", "TCS", "NOPE", "A B", &long, "infy"])));
    let result = stream.result().await;
    let short = "X".repeat(64);
    let expected = [
        ("", Code::InvalidArgument),
        ("TCS", Code::Subscribed),
        ("NOPE", Code::UnknownSymbol),
        ("A B", Code::InvalidArgument),
        (short.as_str(), Code::InvalidArgument),
        ("infy", Code::UnknownSymbol),
    ];
    assert_eq!(codes(&result.statuses), expected);
    assert!(
        result.statuses.iter().all(|status| status.message.is_empty() == (status.code() == Code::Subscribed))
    );
    assert!(result.statuses[5].message.contains("did you mean INFY?"), "{}", result.statuses[5].message);
    assert_eq!(stream.tick().await.symbol, "TCS");
}

#[tokio::test]
async fn no_tick_of_a_symbol_follows_the_result_of_its_unsubscribe() {
    let server = Server::start();
    let mut stream = server.stream().await;
    for round in 0..20 {
        stream.ask(round, Verb::Subscribe(symbols(&["FAST", "TCS"])));
        let result = stream.result().await;
        assert_eq!(result.request_id, round);
        stream.tick().await;
        stream.ask(round, unsubscribe(&["FAST", "NEVER", "A B"]));
        let result = stream.result().await;
        let expected =
            [("FAST", Code::Unsubscribed), ("NEVER", Code::NotSubscribed), ("A B", Code::InvalidArgument)];
        assert_eq!(codes(&result.statuses), expected);
        stream.ask(round, Verb::Ping(Ping {}));
        loop {
            match stream.event().await {
                Event::Tick(tick) => assert_eq!(tick.symbol, "TCS"),
                Event::Pong(pong) => break assert_eq!(pong.request_id, round),
                Event::Heartbeat(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_second_subscribe_changes_the_options_and_leaves_nothing_out() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["FAST"])));
    let mut last = stream.tick().await.sequence;
    let slower = Subscription {
        min_interval: Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 }),
        ..symbols(&["FAST"])
    };
    stream.ask(2, Verb::Subscribe(slower.clone()));
    let fast = series("FAST");
    let mut sent = Time::default();
    let (mut answered, mut after) = (false, 0);
    while after < 5 {
        match stream.news().await {
            Event::Tick(tick) => {
                assert_eq!(tick.sequence, last + tick.conflated + 1, "received and conflated add up");
                assert!(!tick.snapshot);
                last = tick.sequence;
                let (this, next) = [last, last + 1].map(|sequence| fast.tick(Sequence(sequence)).time).into();
                if answered && tick.conflated > 0 {
                    // It is the newest of at least 100 ms, less a flush or two: the next one is yet to come.
                    assert!(next >= sent + Duration::from_millis(80), "{sent:?} {this:?} {next:?}");
                    after += 1;
                }
                sent = this;
            }
            Event::SubscriptionResult(result) => {
                assert_eq!(result.statuses[0].min_interval, slower.min_interval);
                answered = true;
            }
            other => panic!("{other:?}"),
        }
    }
    stream.ask(3, Verb::ListSubscriptions(ListSubscriptions {}));
    let listed = stream.result().await;
    assert_eq!((listed.statuses.len(), &listed.statuses[0].min_interval), (1, &slower.min_interval));
}

#[tokio::test]
async fn every_tick_comes_exactly_once_and_in_order() {
    let server = Server::start();
    let mut stream = server.stream().await;
    let all = Subscription { delivery: Delivery::EveryTick.into(), ..symbols(&["FAST", "TCS"]) };
    stream.ask(1, Verb::Subscribe(all));
    let mut last: HashMap<String, u64> = HashMap::new();
    for _ in 0..200 {
        let tick = stream.tick().await;
        assert_eq!(tick.conflated, 0);
        if let Some(last) = last.insert(tick.symbol.clone(), tick.sequence) {
            assert_eq!(tick.sequence, last + 1);
        }
    }
}

#[tokio::test]
async fn a_star_subscribes_every_instrument_and_counts_as_one() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["*"])));
    let result = stream.result().await;
    assert_eq!(codes(&result.statuses), [("*", Code::Subscribed)]);
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < 4 {
        let tick = stream.tick().await;
        if !seen.contains(&tick.symbol) {
            assert!(tick.snapshot);
            seen.push(tick.symbol);
        }
    }
    stream.ask(2, Verb::ListSubscriptions(ListSubscriptions {}));
    assert_eq!(codes(&stream.result().await.statuses), [("*", Code::Subscribed)]);
    stream.ask(3, unsubscribe(&["*"]));
    assert_eq!(codes(&stream.result().await.statuses), [("*", Code::Unsubscribed)]);
    // Heartbeats are all that is left.
    assert!(matches!(stream.event().await, Event::Heartbeat(_)));
}

#[tokio::test]
async fn set_subscriptions_makes_the_stream_exactly_that_set() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["FAST", "TCS"])));
    stream.result().await;
    stream.ask(2, Verb::SetSubscriptions(symbols(&["TCS", "INFY", "NOPE"])));
    let result = stream.result().await;
    let expected = [
        ("TCS", Code::Subscribed),
        ("INFY", Code::Subscribed),
        ("NOPE", Code::UnknownSymbol),
        ("FAST", Code::Unsubscribed),
    ];
    assert_eq!(codes(&result.statuses), expected);
    for _ in 0..10 {
        assert_ne!(stream.tick().await.symbol, "FAST");
    }
    stream.ask(3, Verb::ListSubscriptions(ListSubscriptions {}));
    assert_eq!(
        codes(&stream.result().await.statuses),
        [("INFY", Code::Subscribed), ("TCS", Code::Subscribed)]
    );
    stream.ask(4, Verb::SetSubscriptions(symbols(&[])));
    let cleared = stream.result().await;
    assert_eq!(codes(&cleared.statuses), [("INFY", Code::Unsubscribed), ("TCS", Code::Unsubscribed)]);
}

#[tokio::test]
async fn a_ping_is_answered_and_a_silent_stream_gets_heartbeats() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(9, Verb::Ping(Ping {}));
    let Event::Pong(pong) = stream.news().await else { panic!("not a pong") };
    assert_eq!(pong.request_id, 9);
    let mut last = pong.time.unwrap();
    for _ in 0..3 {
        let Event::Heartbeat(heartbeat) = stream.event().await else { panic!("not a heartbeat") };
        let time = heartbeat.time.unwrap();
        assert!((time.seconds, time.nanos) > (last.seconds, last.nanos));
        last = time;
    }
}

#[tokio::test]
async fn a_stream_that_is_half_closed_without_a_subscription_ends_with_ok() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Ping(Ping {}));
    stream.half_close();
    assert!(matches!(stream.news().await, Event::Pong(_)));
    assert!(stream.hear().await.is_none());
}

#[tokio::test]
async fn two_servers_that_started_at_different_times_send_the_same_ticks() {
    let first = Server::start();
    let mut one = first.stream().await;
    one.ask(1, Verb::Subscribe(symbols(&["FAST", "TCS"])));
    for _ in 0..50 {
        one.tick().await;
    }
    let second = Server::start_with(|config| config.flush_interval = Duration::from_millis(20));
    let mut two = second.stream().await;
    two.ask(1, Verb::Subscribe(symbols(&["TCS", "FAST"])));
    let key = |tick: &Tick| (tick.symbol.clone(), tick.sequence);
    let strip = |tick: Tick| Tick { snapshot: false, conflated: 0, ..tick };
    let mut seen = HashMap::new();
    let mut same = 0;
    while same < 200 {
        for tick in [one.tick().await, two.tick().await] {
            if let Some(other) = seen.insert(key(&tick), strip(tick.clone())) {
                assert_eq!(
                    prost::Message::encode_to_vec(&other),
                    prost::Message::encode_to_vec(&strip(tick))
                );
                same += 1;
            }
        }
    }
}

#[tokio::test]
async fn an_invented_instrument_is_the_same_on_every_replica() {
    let any_symbol = |config: &mut ticker::server::Config| {
        let universe =
            Universe::parse(crate::support::server::INSTRUMENTS, "instruments").unwrap().with_any_symbol(100);
        config.tape = Arc::new(Simulated::new(7, universe));
    };
    let mut ticks = Vec::new();
    for server in [Server::start_with(any_symbol), Server::start_with(any_symbol)] {
        let mut client = server.client().await;
        let request = ticker::contract::v1::GetLastPricesRequest {
            symbols: vec!["MADE-UP".into()],
            ..Default::default()
        };
        let response = client.get_last_prices(request).await.unwrap().into_inner();
        assert_eq!(response.statuses, []);
        let mut stream = server.stream().await;
        stream.ask(1, Verb::Subscribe(symbols(&["MADE-UP"])));
        ticks.push((response.ticks[0].clone(), stream.tick().await));
    }
    let (one, two) = (&ticks[0].0, &ticks[1].0);
    assert!((one.ltp / two.ltp - 1.0).abs() < 0.01, "{one:?} {two:?}");
    assert!(one.sequence != two.sequence || one == two);
}

/// More instruments than are subscribed at a time when all are asked for.
fn many(config: &mut ticker::server::Config) {
    let instrument = |n| format!("[[instrument]]\nsymbol = \"S{n:05}\"\nreference_price = 10\n");
    let universe = Universe::parse(&(0..1_000).map(instrument).collect::<String>(), "instruments").unwrap();
    config.tape = Arc::new(Simulated::new(7, universe));
}

#[tokio::test]
async fn what_follows_a_star_in_one_breath_is_heard_after_all_of_it() {
    let server = Server::start_with(many);
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["*"])));
    stream.ask(2, unsubscribe(&["*"]));
    stream.ask(3, Verb::Ping(Ping {}));
    while !matches!(stream.event().await, Event::Pong(_)) {}
    // Heartbeats are all that is left.
    for _ in 0..3 {
        assert!(matches!(stream.event().await, Event::Heartbeat(_)));
    }
    stream.ask(4, Verb::Subscribe(symbols(&["*"])));
    stream.ask(5, Verb::SetSubscriptions(symbols(&["S00999"])));
    while stream.result().await.request_id != 5 {}
    for _ in 0..20 {
        assert_eq!(stream.tick().await.symbol, "S00999");
    }
}

#[tokio::test]
async fn a_name_beside_a_star_is_resumed_once() {
    let server = Server::start_with(many);
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["S00999"])));
    let last = stream.tick().await.sequence - 100;
    let mut stream = server.stream().await;
    let after_sequence = [("S00999".to_owned(), last)].into();
    let delivery = Delivery::EveryTick.into();
    stream.ask(1, Verb::Subscribe(Subscription { after_sequence, delivery, ..symbols(&["*", "S00999"]) }));
    let (mut next, mut caught_up, mut live) = (last + 1, 0, 0);
    while live < 20 {
        match stream.news().await {
            Event::Tick(tick) if tick.symbol == "S00999" => {
                assert_eq!(tick.sequence, next);
                next += 1;
                live += caught_up;
            }
            Event::CaughtUp(_) => caught_up += 1,
            _ => {}
        }
    }
    assert_eq!(caught_up, 1);
}
