//! Replays: `Watch` with a start in the past, an end, and a pace of its own.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use prost_types::Timestamp;
use ticker::{
    contract::v1::{
        Delivery, GetTapeRequest, SymbolStatusCode, Tick, WatchRequest, WatchResponse, watch_response::Event,
    },
    tick::Sequence,
};
use tokio_stream::StreamExt;
use tonic::{Code, Streaming};

use crate::support::server::{Server, sequences, series, ticks_apart, ticks_in};

/// Seconds of the tape, so that ranges are whole.
async fn now(server: &Server) -> i64 {
    server.client().await.get_tape(GetTapeRequest {}).await.unwrap().into_inner().time.unwrap().seconds
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn nanos(time: Option<Timestamp>) -> i64 {
    let time = time.unwrap();
    time.seconds * 1_000_000_000 + i64::from(time.nanos)
}

fn watch(symbols: &[&str]) -> WatchRequest {
    WatchRequest { symbols: symbols.iter().map(ToString::to_string).collect(), ..WatchRequest::default() }
}

async fn begin(server: &Server, request: WatchRequest) -> Streaming<WatchResponse> {
    server.client().await.watch(request).await.unwrap().into_inner()
}

async fn event(stream: &mut Streaming<WatchResponse>) -> Event {
    let next = tokio::time::timeout(Duration::from_secs(20), stream.next());
    next.await.expect("the server says nothing").expect("the stream ended").unwrap().event.unwrap()
}

/// Every tick up to the end of a replay, which must end with OK.
async fn all(stream: &mut Streaming<WatchResponse>) -> Vec<Tick> {
    let mut ticks = Vec::new();
    while let Some(message) = stream.next().await {
        if let Some(Event::Tick(tick)) = message.unwrap().event {
            ticks.push(tick);
        }
    }
    ticks
}

#[tokio::test]
async fn a_bounded_replay_has_every_tick_in_the_order_of_time_and_ends_with_ok() {
    let server = Server::start();
    let end = now(&server).await - 3600;
    let request = WatchRequest {
        start_time: at(end - 60),
        end_time: at(end),
        ..watch(&["TCS", "FAST", "INFY", "TCS"])
    };
    let ticks = all(&mut begin(&server, request.clone()).await).await;
    let expected = ["TCS", "FAST", "INFY"].map(|symbol| ticks_in(symbol, end - 60..end));
    assert_eq!(ticks.len(), expected.iter().sum::<usize>());
    assert!(ticks.is_sorted_by_key(|tick| nanos(tick.time)));
    let bounds = (end - 60) * 1_000_000_000..end * 1_000_000_000;
    assert!(ticks.iter().all(|tick| bounds.contains(&nanos(tick.time))));
    let mut last: HashMap<&str, u64> = HashMap::new();
    for tick in &ticks {
        assert!(tick.conflated == 0 && !tick.snapshot);
        if let Some(last) = last.insert(&tick.symbol, tick.sequence) {
            assert_eq!(tick.sequence, last + 1);
        }
    }
    // Any replica replays the same.
    let other = Server::start();
    assert_eq!(all(&mut begin(&other, request).await).await, ticks);
}

#[tokio::test]
async fn an_open_replay_goes_on_into_live_ticks_without_a_seam() {
    let server = Server::start();
    let start = now(&server).await - 20;
    let delivery = Delivery::EveryTick.into();
    let request = WatchRequest { start_time: at(start), delivery, ..watch(&["FAST", "TCS"]) };
    let mut stream = begin(&server, request).await;
    let mut last: HashMap<String, u64> = HashMap::new();
    let mut caught_up = 0;
    let mut live = 0;
    while live < 100 {
        match event(&mut stream).await {
            Event::Tick(tick) => {
                if let Some(last) = last.insert(tick.symbol, tick.sequence) {
                    assert_eq!((tick.sequence, tick.conflated), (last + 1, 0));
                }
                live += u32::from(caught_up == 2);
            }
            Event::CaughtUp(message) => {
                assert_eq!(last.get(&message.symbol), Some(&message.sequence));
                caught_up += 1;
            }
            Event::SubscriptionResult(_) | Event::Heartbeat(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_replay_keeps_its_pace() {
    let server = Server::start();
    let end = now(&server).await - 3600;
    let began = Instant::now();
    // Ten seconds at ten times their pace take one second, and no less.
    let request =
        WatchRequest { start_time: at(end - 10), end_time: at(end), speed: 10.0, ..watch(&["TCS"]) };
    let mut stream = begin(&server, request).await;
    let mut ticks = 0;
    while let Some(message) = stream.next().await {
        if let Some(Event::Tick(tick)) = message.unwrap().event {
            ticks += 1;
            let due = Duration::from_nanos((nanos(tick.time) - (end - 10) * 1_000_000_000) as u64) / 10;
            assert!(began.elapsed() >= due, "tick {ticks} came before it was due");
        }
    }
    assert_eq!(ticks, ticks_in("TCS", end - 10..end));
}

#[tokio::test]
async fn ten_replays_at_different_times_and_paces_run_side_by_side() {
    let server = Server::start();
    let now = now(&server).await;
    let mut replays = tokio::task::JoinSet::new();
    for (n, speed) in [0.0, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 1_000.0, 0.5, 1e6].into_iter().enumerate() {
        let end = now - 86_400 * (n as i64 + 1);
        // Each takes about a tenth of a second.
        let length = if speed == 0.0 { 10.0 } else { (speed / 10.0_f64).clamp(1.0, 100.0) } as i64;
        let request =
            WatchRequest { start_time: at(end - length), end_time: at(end), speed, ..watch(&["TCS"]) };
        let mut stream = begin(&server, request).await;
        replays.spawn(async move { (end - length..end, all(&mut stream).await.len()) });
    }
    while let Some(replay) = replays.join_next().await {
        let (seconds, ticks) = replay.unwrap();
        assert_eq!(ticks, ticks_in("TCS", seconds));
    }
}

#[tokio::test]
async fn a_replay_that_ends_in_the_future_follows_the_clock_to_its_end() {
    let server = Server::start();
    let now = now(&server).await;
    let request = WatchRequest { start_time: at(now - 5), end_time: at(now + 6), ..watch(&["TCS"]) };
    let mut stream = begin(&server, request).await;
    let mut ticks = 0;
    let mut caught_up = 0;
    while let Some(message) = stream.next().await {
        match message.unwrap().event.unwrap() {
            Event::Tick(_) => ticks += 1,
            Event::CaughtUp(_) => caught_up += 1,
            _ => {}
        }
    }
    assert_eq!((ticks, caught_up), (ticks_in("TCS", now - 5..now + 6), 1));
    assert!(crate::replay::now(&server).await > now);
}

#[tokio::test]
async fn a_minimum_interval_thins_a_replay() {
    let server = Server::start();
    let end = now(&server).await - 3600;
    let min_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let request =
        WatchRequest { start_time: at(end - 100), end_time: at(end), min_interval, ..watch(&["FAST"]) };
    let ticks = all(&mut begin(&server, request).await).await;
    let series = series("FAST");
    let expected = ticks_apart(&*series, sequences(&*series, end - 100..end), Duration::from_secs(1));
    assert_eq!(ticks.len(), expected);
    for pair in ticks.windows(2) {
        assert_eq!(pair[0].sequence + pair[1].conflated + 1, pair[1].sequence);
        assert!(nanos(pair[1].time) - nanos(pair[0].time) >= 1_000_000_000);
    }
}

#[tokio::test]
async fn a_thinned_replay_keeps_its_distance_when_it_becomes_live() {
    let server = Server::start();
    let start = now(&server).await - 10;
    let min_interval = Some(prost_types::Duration { seconds: 0, nanos: 700_000_000 });
    let mut stream =
        begin(&server, WatchRequest { start_time: at(start), min_interval, ..watch(&["FAST"]) }).await;
    let series = series("FAST");
    let mut before: Option<Tick> = None;
    let mut live = 0;
    let mut caught_up = false;
    while live < 2 {
        match event(&mut stream).await {
            Event::Tick(tick) => {
                if let Some(before) = before {
                    assert_eq!(before.sequence + tick.conflated + 1, tick.sequence);
                    // Live ticks are apart by when they are sent: a flush or two after they took place, and before the
                    // next one does.
                    let next = series.tick(Sequence(tick.sequence + 1)).time.nanos() as i64;
                    assert!(next - nanos(before.time) >= 650_000_000);
                }
                before = Some(tick);
                live += u32::from(caught_up);
            }
            Event::CaughtUp(_) => caught_up = true,
            Event::SubscriptionResult(_) | Event::Heartbeat(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_replay_that_broke_goes_on_after_the_last_tick_of_each_symbol() {
    let server = Server::start();
    let end = now(&server).await - 3600;
    let request = WatchRequest { start_time: at(end - 60), end_time: at(end), ..watch(&["TCS", "INFY"]) };
    let ticks = all(&mut begin(&server, request.clone()).await).await;
    let mut after_sequence = HashMap::new();
    let (before, after) = ticks.split_at(ticks.len() / 2);
    for tick in before {
        after_sequence.insert(tick.symbol.clone(), tick.sequence);
    }
    assert_eq!(after_sequence.len(), 2);
    let after_sequence = after_sequence.into_iter().collect();
    let rest = all(&mut begin(&server, WatchRequest { after_sequence, ..request }).await).await;
    assert_eq!(rest, after);
}

#[tokio::test]
async fn a_replay_leaves_out_a_symbol_whose_sequence_is_too_far_ahead() {
    let server = Server::start();
    let end = now(&server).await - 3600;
    let after_sequence = [("FAST".to_owned(), u64::MAX - 1), ("TCS".to_owned(), u64::MAX)].into();
    let request =
        WatchRequest { start_time: at(end - 60), end_time: at(end), after_sequence, ..watch(&["*", "TCS"]) };
    let mut stream = begin(&server, request).await;
    let Event::SubscriptionResult(result) = event(&mut stream).await else { panic!("no result") };
    let told: Vec<_> = result.statuses.iter().map(|status| (status.symbol.as_str(), status.code())).collect();
    let refused = SymbolStatusCode::InvalidArgument;
    assert_eq!(told, [("*", SymbolStatusCode::Subscribed), ("TCS", refused), ("FAST", refused)]);
    let ticks = all(&mut stream).await;
    assert_eq!(
        ticks.len(),
        ["INFY", "SLOW"].map(|symbol| ticks_in(symbol, end - 60..end)).iter().sum::<usize>()
    );
    assert!(!ticks.iter().any(|tick| ["FAST", "TCS"].contains(&tick.symbol.as_str())));
}

#[tokio::test]
async fn what_makes_no_replay_is_refused_with_what_to_do() {
    let server = Server::start();
    let now = now(&server).await;
    let start_time = at(now - 10);
    let malformed = Some(Timestamp { seconds: now, nanos: -1 });
    for (request, told) in [
        (WatchRequest { end_time: at(now), ..watch(&["TCS"]) }, "go only with start_time"),
        (WatchRequest { speed: 2.0, ..watch(&["TCS"]) }, "go only with start_time"),
        (
            WatchRequest { start_time, end_time: at(now - 11), ..watch(&["TCS"]) },
            "must not be before start_time",
        ),
        (WatchRequest { start_time, speed: -1.0, ..watch(&["TCS"]) }, "from 0.001 to 1000000"),
        (WatchRequest { start_time, speed: f64::NAN, ..watch(&["TCS"]) }, "from 0.001 to 1000000"),
        (WatchRequest { start_time: malformed, ..watch(&["TCS"]) }, "start_time is no timestamp"),
        (WatchRequest { start_time, end_time: malformed, ..watch(&["TCS"]) }, "end_time is no timestamp"),
        (
            WatchRequest {
                start_time,
                after_sequence: [("TCS".to_owned(), u64::MAX)].into(),
                ..watch(&["TCS"])
            },
            "after_sequence 18446744073709551615 is not due within a day",
        ),
        (
            WatchRequest { start_time: at(now + 86_500), ..watch(&["TCS"]) },
            "start_time is more than a day ahead",
        ),
        (WatchRequest { start_time, ..watch(&[]) }, "names no symbol"),
        (WatchRequest { start_time, ..watch(&["tcs"]) }, "did you mean TCS?"),
        (
            WatchRequest { start_time, tape_id: "other".to_owned(), ..watch(&["TCS"]) },
            "this replica plays the tape",
        ),
    ] {
        let mut stream = begin(&server, request).await;
        let Event::SubscriptionResult(result) = event(&mut stream).await else { panic!("no result") };
        assert!(result.statuses[0].message.contains(told), "{told}: {result:?}");
        let status = stream.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{told}");
    }
}
