//! `set_subscriptions`: the set is replaced as a whole or not at all, and what stays goes on undisturbed.

use std::{collections::HashMap, sync::Arc};

use ticker::{
    contract::v1::{
        Delivery, ListSubscriptions, Ping, Subscription, SymbolStatus, SymbolStatusCode as Code,
        TickerStreamRequest, TickerStreamResponse, ticker_stream_request::Verb,
        ticker_stream_response::Event,
    },
    tape::{Simulated, Universe},
};

use crate::support::server::{INSTRUMENTS, Server, Talk, symbols};

type Stream = Talk<TickerStreamRequest, TickerStreamResponse>;

fn codes(statuses: &[SymbolStatus]) -> Vec<(&str, Code)> {
    statuses.iter().map(|status| (status.symbol.as_str(), status.code())).collect()
}

fn every_tick(names: &[&str]) -> Subscription {
    Subscription { delivery: Delivery::EveryTick.into(), ..symbols(names) }
}

async fn list(stream: &mut Stream) -> Vec<SymbolStatus> {
    stream.ask(99, Verb::ListSubscriptions(ListSubscriptions {}));
    loop {
        let result = stream.result().await;
        if result.request_id == 99 {
            return result.statuses;
        }
    }
}

/// Reads until a result; every tick before it, of every symbol, must follow the last one.
async fn result_without_a_seam(stream: &mut Stream, last: &mut HashMap<String, u64>) -> Vec<SymbolStatus> {
    loop {
        match stream.news().await {
            Event::Tick(tick) => follows(last, tick.symbol, tick.sequence, tick.snapshot),
            Event::SubscriptionResult(result) => return result.statuses,
            other => panic!("{other:?}"),
        }
    }
}

fn follows(last: &mut HashMap<String, u64>, symbol: String, sequence: u64, snapshot: bool) {
    let before = last.insert(symbol.clone(), sequence);
    assert_eq!(snapshot, before.is_none(), "{symbol} {sequence}: one snapshot, and it is the first");
    assert!(before.is_none_or(|before| sequence == before + 1), "{symbol}: {sequence} after {before:?}");
}

#[tokio::test]
async fn a_set_of_which_every_symbol_is_refused_changes_nothing() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(every_tick(&["FAST", "TCS"])));
    let mut last = HashMap::new();
    result_without_a_seam(&mut stream, &mut last).await;
    let foreign = Subscription { tape_id: "other".to_owned(), ..symbols(&["INFY", "FAST"]) };
    let too_far = |symbol: &str| Subscription {
        after_sequence: [(symbol.to_owned(), u64::MAX)].into(),
        ..symbols(&[symbol])
    };
    let min_interval = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let refused = [
        (symbols(&["NOPE", "tcs"]), Code::UnknownSymbol),
        (symbols(&["", "A B"]), Code::InvalidArgument),
        (Subscription { delivery: 99, ..symbols(&["INFY", "*"]) }, Code::InvalidArgument),
        (Subscription { detail: 99, ..symbols(&["INFY"]) }, Code::InvalidArgument),
        (Subscription { min_interval, ..symbols(&[]) }, Code::InvalidArgument),
        (Subscription { min_interval, ..symbols(&["*"]) }, Code::InvalidArgument),
        (foreign, Code::ForeignTape),
        (too_far("INFY"), Code::InvalidArgument),
        (too_far("FAST"), Code::InvalidArgument),
    ];
    for (set, code) in refused {
        stream.ask(2, Verb::SetSubscriptions(set.clone()));
        let statuses = result_without_a_seam(&mut stream, &mut last).await;
        assert_eq!(statuses.len(), set.symbols.len().max(1), "{set:?}");
        assert!(statuses.iter().all(|status| status.code() == code), "{set:?}: {statuses:?}");
        stream.ask(3, Verb::ListSubscriptions(ListSubscriptions {}));
        let listed = result_without_a_seam(&mut stream, &mut last).await;
        assert_eq!(codes(&listed), [("FAST", Code::Subscribed), ("TCS", Code::Subscribed)], "{set:?}");
        assert!(listed.iter().all(|status| status.delivery() == Delivery::EveryTick));
    }
    while last.len() < 2 {
        let tick = stream.tick().await;
        follows(&mut last, tick.symbol, tick.sequence, tick.snapshot);
    }
}

#[tokio::test]
async fn an_empty_set_removes_every_symbol_and_a_star() {
    let server = Server::start();
    let mut stream = server.stream().await;
    for names in [&["FAST", "TCS"][..], &["*"], &["*", "TCS"]] {
        stream.ask(1, Verb::Subscribe(symbols(names)));
        stream.result().await;
        stream.tick().await;
        stream.ask(2, Verb::SetSubscriptions(symbols(&[])));
        let removed = stream.result().await.statuses;
        assert!(!removed.is_empty() && removed.iter().all(|status| status.code() == Code::Unsubscribed));
        assert!(removed.is_sorted_by_key(|status| status.symbol.clone()));
        assert_eq!(list(&mut stream).await, []);
        stream.ask(3, Verb::Ping(Ping {}));
        assert!(matches!(stream.news().await, Event::Pong(_)), "no tick follows the result");
    }
}

#[tokio::test]
async fn one_good_symbol_among_bad_ones_replaces_the_set() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(symbols(&["FAST", "TCS"])));
    stream.result().await;
    // The good one is the last of many, so it takes several pieces to find it.
    let names: Vec<String> = (0..999).map(|at| format!("NOPE{at}")).chain(["INFY".to_owned()]).collect();
    stream.ask(2, Verb::SetSubscriptions(Subscription { symbols: names, ..Subscription::default() }));
    let statuses = stream.result().await.statuses;
    assert_eq!(statuses.len(), 1_002);
    assert!(statuses[..999].iter().all(|status| status.code() == Code::UnknownSymbol));
    let expected = [("INFY", Code::Subscribed), ("FAST", Code::Unsubscribed), ("TCS", Code::Unsubscribed)];
    assert_eq!(codes(&statuses[999..]), expected);
    for _ in 0..5 {
        assert_eq!(stream.tick().await.symbol, "INFY");
    }
    assert_eq!(codes(&list(&mut stream).await), [("INFY", Code::Subscribed)]);
}

#[tokio::test]
async fn a_star_after_names_removes_none_of_them_and_sends_no_second_snapshot() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::Subscribe(every_tick(&["FAST", "TCS"])));
    let mut last = HashMap::new();
    result_without_a_seam(&mut stream, &mut last).await;
    while last.len() < 2 {
        let tick = stream.tick().await;
        follows(&mut last, tick.symbol, tick.sequence, tick.snapshot);
    }
    stream.ask(2, Verb::SetSubscriptions(every_tick(&["*"])));
    let statuses = result_without_a_seam(&mut stream, &mut last).await;
    assert_eq!(codes(&statuses), [("*", Code::Subscribed)]);
    while last.len() < 4 || last["FAST"] % 64 > 0 {
        let tick = stream.tick().await;
        follows(&mut last, tick.symbol, tick.sequence, tick.snapshot);
    }
    assert_eq!(codes(&list(&mut stream).await), [("*", Code::Subscribed)]);
}

#[tokio::test]
async fn a_name_beside_a_star_has_its_own_place_in_the_list_and_both_go_together() {
    let server = Server::start();
    let mut stream = server.stream().await;
    stream.ask(1, Verb::SetSubscriptions(every_tick(&["FAST", "*"])));
    let mut last = HashMap::new();
    let statuses = result_without_a_seam(&mut stream, &mut last).await;
    assert_eq!(codes(&statuses), [("FAST", Code::Subscribed), ("*", Code::Subscribed)]);
    while last.len() < 4 || last["FAST"] % 64 > 0 {
        let tick = stream.tick().await;
        follows(&mut last, tick.symbol, tick.sequence, tick.snapshot);
    }
    assert_eq!(codes(&list(&mut stream).await), [("*", Code::Subscribed), ("FAST", Code::Subscribed)]);
    stream.ask(2, Verb::SetSubscriptions(symbols(&["FAST"])));
    let statuses = loop {
        let result = stream.result().await;
        if result.request_id == 2 {
            break result.statuses;
        }
    };
    // What `*` stood for and nobody named is gone.
    assert_eq!(
        codes(&statuses),
        [
            ("FAST", Code::Subscribed),
            ("INFY", Code::Unsubscribed),
            ("SLOW", Code::Unsubscribed),
            ("TCS", Code::Unsubscribed)
        ]
    );
    for _ in 0..20 {
        let tick = stream.tick().await;
        assert_eq!((tick.symbol.as_str(), tick.snapshot), ("FAST", false));
    }
    assert_eq!(codes(&list(&mut stream).await), [("FAST", Code::Subscribed)]);
}

#[tokio::test]
async fn thousands_of_subscriptions_are_listed_and_removed_in_order() {
    const ALL: usize = 5_000;
    let server = Server::start_with(|config| {
        let universe = Universe::parse(INSTRUMENTS, "instruments").unwrap().with_any_symbol(ALL);
        config.tape = Arc::new(Simulated::new(7, universe));
    });
    let names: Vec<String> = (0..ALL).map(|at| format!("X{at:04}")).collect();
    let mut stream = server.stream().await;
    for part in names.rchunks(1_000) {
        stream.ask(1, Verb::Subscribe(Subscription { symbols: part.to_vec(), ..Subscription::default() }));
        assert_eq!(stream.result().await.statuses.len(), 1_000);
    }
    let listed = list(&mut stream).await;
    assert_eq!(
        listed.iter().map(|status| &status.symbol).collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    assert!(listed.iter().all(|status| status.code() == Code::Subscribed));
    stream.ask(2, Verb::SetSubscriptions(symbols(&["X2500"])));
    let statuses = stream.result().await.statuses;
    assert_eq!((statuses.len(), statuses[0].code()), (ALL, Code::Subscribed));
    let removed: Vec<_> = statuses[1..].iter().map(|status| &status.symbol).collect();
    let expected: Vec<_> = names.iter().filter(|name| *name != "X2500").collect();
    assert_eq!(removed, expected);
    assert!(statuses[1..].iter().all(|status| status.code() == Code::Unsubscribed));
    assert_eq!(codes(&list(&mut stream).await), [("X2500", Code::Subscribed)]);
}
