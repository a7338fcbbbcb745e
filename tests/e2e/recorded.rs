//! A recording behind the contract: streamed live at a speed, across the seam of a loop, and the same on every replica.

use std::{fs, sync::Arc, time::Duration};

use ticker::{
    contract::v1::{
        Delivery, GetLastPricesRequest, GetTapeRequest, ListInstrumentsRequest, Subscription,
        SymbolStatusCode, TapeKind, Tick, TickerStreamRequest, TickerStreamResponse,
        ticker_stream_request::Verb, ticker_stream_response::Event,
    },
    pacer::{Clock, Speed},
    tape::{Recorded, Tape},
    tick::{Sequence, Time},
};

use crate::support::server::{Server, Talk, symbols};

type Stream = Talk<TickerStreamRequest, TickerStreamResponse>;

/// `A` ticks ten times a second for ten seconds, and `B` once in the middle.
fn recording(looped: bool) -> Arc<Recorded> {
    recording_of(10, looped)
}

/// `A` ticks ten times a second for so many seconds, and `B` once after five.
fn recording_of(seconds: u64, looped: bool) -> Arc<Recorded> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticks.csv");
    let mut text = "time,symbol,price,quantity\n".to_owned();
    for n in 0..=seconds * 10 {
        text += &format!("{},A,{}.{:02},{}\n", START_MILLIS + n * 100, 100 + n % 7, n % 100, n + 1);
        if n == 50 {
            text += &format!("{},B,7,0.5\n", START_MILLIS + n * 100);
        }
    }
    fs::write(&path, text).unwrap();
    Arc::new(Recorded::read(&path, looped, None, &mut |_| {}).unwrap())
}

const START_MILLIS: u64 = 1_735_809_300_000;
const START: Time = Time::from_nanos(START_MILLIS * 1_000_000);

/// A clock that shows a point of the recording now and goes on at a speed.
fn from(ahead: Duration, speed: &str) -> Clock {
    let speed: Speed = speed.parse().unwrap();
    Clock::Played { tape: START + ahead, wall: Clock::Wall.now(), speed }
}

fn serve(tape: Arc<Recorded>, clock: Clock) -> Server {
    Server::start_with(|config| {
        config.tape = tape;
        config.clock = clock;
    })
}

fn every_tick(symbol: &str) -> Verb {
    Verb::Subscribe(Subscription { delivery: Delivery::EveryTick.into(), ..symbols(&[symbol]) })
}

/// The next tick, before which nothing is left out.
async fn next_tick(talk: &mut Stream) -> Tick {
    loop {
        match talk.event().await {
            Event::Tick(tick) => return tick,
            Event::Gap(gap) => panic!("{gap:?}"),
            _ => {}
        }
    }
}

/// The ticks that come next, after the result of the subscription.
async fn next_ticks(talk: &mut Stream, count: usize) -> Vec<Tick> {
    let mut ticks = Vec::new();
    while ticks.len() < count {
        ticks.push(next_tick(talk).await);
    }
    ticks
}

/// The ticks that come up to this one of `A`.
async fn up_to(talk: &mut Stream, last: u64) -> Vec<Tick> {
    let mut ticks = vec![next_tick(talk).await];
    while !ticks.last().is_some_and(|tick| tick.symbol == "A" && tick.sequence >= last) {
        ticks.push(next_tick(talk).await);
    }
    ticks
}

/// Holds a tick that was received against the tape.
fn is_of(tape: &Recorded, tick: &Tick) {
    let instrument = tape.instrument(&tick.symbol.parse().unwrap()).unwrap();
    let own = tape.series(&instrument).tick(Sequence(tick.sequence));
    let time = tick.time.unwrap();
    assert_eq!((time.seconds, time.nanos), own.time.parts());
    assert_eq!((tick.ltp_nanos, tick.last_quantity), (own.price.nanos(), own.quantity));
}

#[tokio::test]
async fn a_recording_is_streamed_at_its_speed_with_the_times_at_which_it_was_recorded() {
    let (tape, clock) = (recording_of(100, false), from(Duration::from_millis(2_050), "10"));
    let server = serve(tape.clone(), clock);
    let mut talk = server.stream().await;
    talk.ask(1, every_tick("A"));
    let ticks = next_ticks(&mut talk, 40).await;
    assert!(ticks[0].snapshot && ticks[0].sequence >= 21);
    for pair in ticks.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1);
    }
    ticks.iter().for_each(|tick| is_of(&tape, tick));
    let last = tape.series(&tape.instruments()[0]).tick(Sequence(ticks[39].sequence));
    assert!(clock.now() >= last.time, "no tick comes before its time");
}

#[tokio::test]
async fn the_seam_of_a_loop_is_streamed_as_if_there_were_none() {
    let (tape, clock) = (recording(true), from(Duration::from_millis(9_000), "5"));
    let server = serve(tape.clone(), clock);
    let mut talk = server.stream().await;
    talk.ask(1, every_tick("A"));
    let mut ticks = next_ticks(&mut talk, 60).await;
    let pass = |tick: &Tick| (tick.sequence - 1) / 101;
    while pass(ticks.last().unwrap()) == pass(&ticks[0]) {
        ticks.push(next_tick(&mut talk).await);
    }
    for pair in ticks.windows(2) {
        let millis = |tick: &Tick| {
            let time = tick.time.unwrap();
            time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000
        };
        assert_eq!(pair[1].sequence, pair[0].sequence + 1);
        // The mean distance of all 102 ticks is a little less than 100 ms.
        assert!((99..=100).contains(&(millis(&pair[1]) - millis(&pair[0]))));
    }
    ticks.iter().for_each(|tick| is_of(&tape, tick));
}

#[tokio::test]
async fn the_last_sequence_of_a_tape_that_ends_may_be_resumed_after_and_none_beyond_it() {
    let day = Duration::from_secs(86_400);
    let ended = serve(recording(false), from(2 * day, "1"));
    let later =
        Clock::Played { tape: START.before(2 * day).unwrap(), wall: Clock::Wall.now(), speed: Speed::REAL };
    let to_come = serve(recording(false), later);
    for (server, last, told) in [
        (&ended, 100, None),
        (&ended, 101, None),
        (&ended, 102, Some("the newest sequence is 101;")),
        (&ended, u64::MAX, Some("the newest sequence is 101;")),
        (&to_come, 0, None),
        (&to_come, 1, Some("its first sequence is 1;")),
        (&to_come, u64::MAX, Some("its first sequence is 1;")),
    ] {
        let mut talk = server.stream().await;
        let after_sequence = [("A".to_owned(), last)].into();
        talk.ask(1, Verb::Subscribe(Subscription { after_sequence, ..symbols(&["A"]) }));
        let status = talk.result().await.statuses.remove(0);
        match told {
            Some(told) => {
                assert_eq!(status.code(), SymbolStatusCode::InvalidArgument);
                assert!(status.message.contains(told), "{last}: {}", status.message);
            }
            None => assert_eq!(status.code(), SymbolStatusCode::Subscribed, "{last}: {}", status.message),
        }
    }
}

#[tokio::test]
async fn replicas_with_the_same_file_are_at_the_same_tick() {
    const LAST: u64 = 330;
    let clock = from(Duration::from_millis(3_000), "20");
    let servers = [serve(recording(true), clock), serve(recording(true), clock)];
    let (mut one, mut other) = (servers[0].stream().await, servers[1].stream().await);
    one.ask(1, every_tick("*"));
    other.ask(1, every_tick("*"));
    let (one, other) = tokio::join!(up_to(&mut one, LAST), up_to(&mut other, LAST));
    // One began a moment later; what both have, both have alike and in the same order.
    for symbol in ["A", "B"] {
        let of =
            |ticks: &[Tick]| ticks.iter().filter(|tick| tick.symbol == symbol).cloned().collect::<Vec<_>>();
        let (one, other) = (of(&one), of(&other));
        let shared: Vec<_> = one.iter().filter(|tick| other.contains(tick)).collect();
        let alike: Vec<_> = other.iter().filter(|tick| one.contains(tick)).collect();
        assert_eq!(shared, alike);
        if symbol == "A" {
            let later = one[0].sequence.max(other[0].sequence);
            assert!(shared.len() as u64 >= LAST.saturating_sub(later));
        }
    }

    // Asked in turn, neither is ever behind the other.
    let mut latest = 0;
    for server in servers.iter().cycle().take(20) {
        let request = GetLastPricesRequest { symbols: vec!["A".to_owned()], ..Default::default() };
        let answer = server.client().await.get_last_prices(request).await.unwrap().into_inner();
        assert!(answer.ticks[0].sequence >= latest);
        latest = answer.ticks[0].sequence;
    }

    let mut tapes = Vec::new();
    for server in &servers {
        tapes.push(server.client().await.get_tape(GetTapeRequest {}).await.unwrap().into_inner());
    }
    assert_eq!(tapes[0].tape_id, tapes[1].tape_id);
}

#[tokio::test]
async fn after_its_last_tick_a_recording_has_its_last_price_and_heartbeats() {
    let (tape, clock) = (recording(false), from(Duration::from_secs(60), "1000"));
    let server = serve(tape.clone(), clock);
    let mut talk = server.stream().await;
    talk.ask(1, every_tick("A"));
    let last = next_ticks(&mut talk, 1).await.remove(0);
    assert_eq!((last.sequence, last.snapshot), (101, true));
    for _ in 0..3 {
        let event = talk.event().await;
        assert!(matches!(event, Event::Heartbeat(_)), "{event:?}");
    }
}

#[tokio::test]
async fn heartbeats_come_in_real_time_however_fast_the_tape_plays() {
    for speed in ["0.01", "100000"] {
        let server = serve(recording(false), from(Duration::from_secs(60), speed));
        let mut talk = server.stream().await;
        let before = Clock::Wall.now();
        talk.ask(1, every_tick("A"));
        next_ticks(&mut talk, 1).await;
        for _ in 0..3 {
            assert!(matches!(talk.event().await, Event::Heartbeat(_)));
        }
        // Three of 200 ms each, looked at four times in each.
        let took = Duration::from_nanos(Clock::Wall.now().nanos() - before.nanos());
        assert!(took >= Duration::from_millis(390), "{speed}: {took:?}");
    }
}

#[tokio::test]
async fn the_reference_data_of_a_recording_is_made_of_its_ticks() {
    let (tape, clock) = (recording(true), from(Duration::from_millis(6_000), "2.5"));
    let server = serve(tape.clone(), clock);
    let mut client = server.client().await;
    let identity = client.get_tape(GetTapeRequest {}).await.unwrap().into_inner();
    assert_eq!((identity.kind(), identity.speed, identity.seed), (TapeKind::Recorded, 2.5, 0));
    assert_eq!(
        (identity.engine_version.as_str(), &identity.tape_id),
        ("recorded/1", &tape.identity().tape_id)
    );
    let time = identity.time.unwrap();
    assert!((START + Duration::from_secs(6)).parts() <= (time.seconds, time.nanos));

    let listed = client.list_instruments(ListInstrumentsRequest::default()).await.unwrap().into_inner();
    let [a, b] = &listed.instruments[..] else { panic!("two instruments") };
    assert_eq!((a.symbol.as_str(), a.kind.as_str(), a.price_increment_nanos), ("A", "recorded", 10_000_000));
    assert_eq!((b.symbol.as_str(), b.quantity_increment_nanos), ("B", 100_000_000));
    assert_eq!((a.tick_interval, b.annual_volatility), (None, 0.0));

    let last = client.get_last_prices(GetLastPricesRequest::default()).await.unwrap().into_inner();
    assert_eq!(last.ticks.len(), 2);
    last.ticks.iter().for_each(|tick| is_of(&tape, tick));
}
