//! The hub against a model of what each subscription must have been sent, whatever the reader does.

mod metronome;
mod stage;

use std::{
    sync::atomic::Ordering,
    task::{Context, Poll, Waker},
    time::Duration,
};

use proptest::prelude::*;

use self::{
    metronome::START,
    stage::{PLAIN, QUOTES, Stage},
};
use super::*;
use crate::tape::Tape;

#[derive(Debug, Clone)]
enum Step {
    Subscribe { reader: usize, symbol: usize, delivery: Delivery, format: u8 },
    Resume { reader: usize, symbol: usize, delivery: Delivery, format: u8, ticks_ago: i64 },
    Unsubscribe { reader: usize, symbol: usize },
    Leave { reader: usize },
    Pass { millis: u64 },
    Retain { reader: usize, kept: u8, most: usize },
    Sweep { most: usize },
    Pull { reader: usize, budget: usize, reads: usize },
    ReadAll { reader: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let delivery = prop_oneof![
        Just(Delivery::default()),
        Just(Delivery::EveryTick),
        (1..3_000u64).prop_map(|millis| Delivery::Latest { min_interval: Duration::from_millis(millis) }),
    ];
    let format = prop_oneof![Just(PLAIN), Just(QUOTES)];
    let ticks_ago = prop_oneof![-20..20i64, -500..2_000i64, Just(30_100)];
    prop_oneof![
        3 => (0..3usize, 0..7usize, delivery.clone(), format.clone())
            .prop_map(|(reader, symbol, delivery, format)| Step::Subscribe { reader, symbol, delivery, format }),
        2 => (0..3usize, 0..7usize, delivery, format, ticks_ago)
            .prop_map(|(reader, symbol, delivery, format, ticks_ago)| Step::Resume { reader, symbol, delivery, format, ticks_ago }),
        1 => (0..3usize, 0..7usize).prop_map(|(reader, symbol)| Step::Unsubscribe { reader, symbol }),
        1 => (0..3usize).prop_map(|reader| Step::Leave { reader }),
        5 => prop_oneof![0..30u64, 0..500u64, 0..6_000u64].prop_map(|millis| Step::Pass { millis }),
        1 => (0..3usize, any::<u8>(), 1..10usize).prop_map(|(reader, kept, most)| Step::Retain { reader, kept, most }),
        1 => (0..4usize).prop_map(|most| Step::Sweep { most }),
        8 => (0..3usize, prop_oneof![1..100usize, Just(100_000)], prop_oneof![0..50usize, Just(4_096)])
            .prop_map(|(reader, budget, reads)| Step::Pull { reader, budget, reads }),
        2 => (0..3usize).prop_map(|reader| Step::ReadAll { reader }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_is_sent_what_the_model_expects(steps in prop::collection::vec(step(), 1..80)) {
        let mut stage = Stage::new();
        for step in steps {
            match step {
                Step::Subscribe { reader, symbol, delivery, format } => {
                    stage.begin(reader, symbol, Interest { delivery, format, unnamed: false }, None);
                }
                Step::Resume { reader, symbol, delivery, format, ticks_ago } => {
                    stage.resume(reader, symbol, Interest { delivery, format, unnamed: false }, ticks_ago);
                }
                Step::Unsubscribe { reader, symbol } => {
                    let symbol = stage.tape.instruments[symbol].symbol;
                    let reader = &mut stage.readers[reader];
                    let known = reader.expected.remove(&symbol).is_some();
                    prop_assert_eq!(reader.subscriber.unsubscribe(&symbol), known);
                }
                Step::Leave { reader } => stage.readers[reader] = stage.reader(),
                Step::Pass { millis } => stage.pass(millis),
                Step::Retain { reader, kept, most } => {
                    let reader = &mut stage.readers[reader];
                    let is_kept = |symbol: &Symbol| kept & 1 << (symbol.as_str().as_bytes()[0] - b'A') != 0;
                    let (mut from, mut removed) = (Some(0), Vec::new());
                    while let Some(at) = from {
                        let keep = |symbol: &Symbol, _: &Interest| is_kept(symbol);
                        from = reader.subscriber.retain_some(at, most, keep, &mut removed);
                    }
                    removed.sort_unstable();
                    let symbols: Vec<Symbol> = reader.expected.keys().copied().collect();
                    let (left, gone): (Vec<_>, Vec<_>) = symbols.into_iter().partition(is_kept);
                    reader.expected.retain(|symbol, _| is_kept(symbol));
                    prop_assert_eq!(removed, gone);
                    let (mut from, mut interests) = (Some(0), Vec::new());
                    while let Some(at) = from {
                        from = reader.subscriber.interests_some(at, most, &mut interests);
                    }
                    interests.sort_unstable_by_key(|(symbol, _)| *symbol);
                    prop_assert_eq!(interests.iter().map(|(symbol, _)| *symbol).collect::<Vec<_>>(), left);
                }
                Step::Sweep { most } => {
                    let before = stage.quota.used();
                    let more = stage.hub.sweep(most);
                    prop_assert!(before - stage.quota.used() <= most);
                    prop_assert_eq!(more, stage.hub.has_leaving());
                }
                Step::Pull { reader, budget, reads } => {
                    stage.pull_some(reader, budget, reads);
                }
                Step::ReadAll { reader } => stage.check_all_read(reader),
            }
        }
        for reader in 0..3 {
            stage.check_all_read(reader);
        }
        // Everything that waits for a minimum interval comes when it is over, even if no tick follows.
        stage.pass(3_100);
        for reader in 0..3 {
            stage.check_all_read(reader);
        }
        while stage.hub.sweep(1) {}
        let mut subscriptions = 0;
        for reader in &stage.readers {
            prop_assert_eq!(reader.quota.used(), reader.expected.len());
            subscriptions += reader.expected.len();
        }
        prop_assert_eq!(stage.quota.used(), subscriptions);
        stage.readers.clear();
        while stage.hub.sweep(1) {}
        stage.flush();
        prop_assert_eq!(stage.quota.used(), 0);
        let state = stage.hub.lock();
        prop_assert!(state.by_symbol.is_empty() && state.deferred.is_empty() && state.idle.is_empty());
        prop_assert!(state.watched.is_empty() && state.published.is_empty() && state.subscribers.is_empty());
    }
}

/// The ticks that a reader of `A` is sent in ten seconds while it asks again each half second.
fn ticks_while_asking_again(mut ask: impl FnMut(u64) -> Delivery) -> usize {
    let mut stage = Stage::new();
    let symbol = stage.tape.instruments[0].symbol;
    let (mut ticks, mut last) = (0, None);
    for half_second in 0..=20 {
        stage.subscribe(0, 0, ask(half_second));
        for _ in 0..50 {
            stage.check_all_read(0);
            let sent = stage.readers[0].expected[&symbol].last;
            ticks += usize::from(sent != last);
            last = sent;
            stage.pass(10);
        }
    }
    ticks
}

#[test]
fn asking_again_for_the_same_starves_no_minimum_interval() {
    let second = Delivery::Latest { min_interval: Duration::from_secs(1) };
    assert_eq!(ticks_while_asking_again(|_| second), 11);
}

#[test]
fn an_interval_that_is_changed_counts_from_the_last_tick() {
    let changing =
        |time: u64| Delivery::Latest { min_interval: Duration::from_millis(1_000 + 100 * (time % 2)) };
    // It is a second long when the second is over: each tick comes as soon as that.
    assert!((10..=11).contains(&ticks_while_asking_again(changing)));
}

#[test]
fn asking_again_for_the_same_wakes_nobody() {
    let mut stage = Stage::new();
    stage.subscribe(0, 5, Delivery::default());
    while stage.pull(0, 100_000) {}
    stage.subscribe(0, 5, Delivery::default());
    assert_eq!(stage.readers[0].woken.0.load(Ordering::Relaxed), 0);
}

#[test]
fn a_reader_that_keeps_up_gets_every_tick() {
    let mut stage = Stage::new();
    stage.subscribe(0, 0, Delivery::default());
    assert!(stage.pull(0, 100_000));
    let first = stage.readers[0].expected.values().next().unwrap().last.unwrap();
    let mut ticks = 0;
    for _ in 0..100 {
        stage.pass(10);
        let before = stage.readers[0].expected.values().next().unwrap().last.unwrap();
        assert!(stage.pull(0, 100_000));
        ticks += stage.readers[0].expected.values().next().unwrap().last.unwrap() - before;
    }
    assert_eq!(ticks, 500, "from {first}: two milliseconds a tick");
}

#[test]
fn a_subscriber_is_woken_once_until_it_has_read_everything() {
    let mut stage = Stage::new();
    stage.subscribe(0, 0, Delivery::default());
    while stage.pull(0, 100_000) {}
    for _ in 0..5 {
        stage.pass(10);
    }
    assert_eq!(stage.readers[0].woken.0.load(Ordering::Relaxed), 1);
    while stage.pull(0, 100_000) {}
    stage.pass(10);
    assert_eq!(stage.readers[0].woken.0.load(Ordering::Relaxed), 2);
}

#[test]
fn a_subscriber_that_was_sent_all_there_is_is_woken_without_another_pull() {
    let mut stage = Stage::new();
    stage.subscribe(0, 0, Delivery::default());
    for woken in 1..5 {
        assert!(stage.pull_some(0, 100_000, 2_048));
        stage.pass(10);
        assert_eq!(stage.readers[0].woken.0.load(Ordering::Relaxed), woken);
    }
}

#[test]
fn a_reader_of_every_tick_that_lags_starves_no_other_symbol() {
    let mut stage = Stage::new();
    stage.subscribe(0, 0, Delivery::EveryTick);
    while stage.pull(0, 100_000) {}
    stage.pass(1_900);
    stage.subscribe(0, 1, Delivery::default());
    // `A` lacks 950 ticks; `B` has its snapshot to come.
    let mut pulls = 0;
    let symbol = stage.tape.instruments[1].symbol;
    while stage.readers[0].expected[&symbol].last.is_none() {
        assert!(stage.pull(0, 1_000));
        pulls += 1;
    }
    assert!(pulls <= 3, "it took {pulls} pulls");
    stage.check_all_read(0);
}

#[test]
fn a_silent_stream_gets_a_heartbeat_and_a_busy_one_none() {
    let mut stage = Stage::new();
    stage.subscribe(0, 5, Delivery::default());
    stage.subscribe(1, 0, Delivery::default());
    for reader in 0..2 {
        while stage.pull(reader, 100_000) {}
    }
    stage.pass(4_900);
    while stage.pull(1, 100_000) {}
    stage.now = stage.now + Duration::from_millis(200);
    stage.hub.beat(stage.now);
    let read = |stage: &mut Stage, reader: usize| {
        let mut out = Vec::new();
        let waker = Waker::from(stage.readers[reader].woken.clone());
        let pulled = stage.readers[reader].subscriber.poll_pull(
            &mut Context::from_waker(&waker),
            100_000,
            &mut 0,
            &mut out,
        );
        (pulled, String::from_utf8(out).unwrap())
    };
    assert_eq!(
        read(&mut stage, 0),
        (Poll::Ready(Pulled::Data { is_behind: false }), "heartbeat - 0 0 0\n".to_owned())
    );
    assert_eq!(read(&mut stage, 1), (Poll::Pending, String::new()));
}

#[test]
fn a_clock_that_leaps_ahead_costs_no_burst() {
    let mut stage = Stage::new();
    stage.subscribe(0, 0, Delivery::default());
    while stage.pull(0, 100_000) {}
    stage.now = stage.now + Duration::from_secs(24 * 60 * 60);
    stage.flush();
    assert_eq!(stage.hub.lock().pages[0].iter().filter(|byte| **byte == b'\n').count(), 1);
    stage.check_all_read(0);
}

#[test]
fn a_page_that_was_large_gives_its_memory_back() {
    let mut stage = Stage::new();
    let capacity = |stage: &Stage| stage.hub.lock().pages[0].capacity();
    stage.subscribe(0, 0, Delivery::default());
    stage.hub.lock().pages[0].reserve(1 << 20);
    for _ in 0..512 {
        stage.pass(10);
    }
    assert!(capacity(&stage) <= 1 << 17, "{}", capacity(&stage));
    stage.check_all_read(0);
    stage.hub.lock().pages[0].reserve(1 << 20);
    stage.readers.clear();
    while stage.hub.sweep(1) {}
    assert_eq!(capacity(&stage), 0, "nobody is left to read it");
}

/// What the next pull of a reader says.
fn next_pull(stage: &Stage, reader: usize) -> Poll<Pulled> {
    let mut out = Vec::new();
    let cx = &mut Context::from_waker(Waker::noop());
    stage.readers[reader].subscriber.poll_pull(cx, 100_000, &mut 0, &mut out)
}

#[test]
fn a_draining_hub_warns_every_subscriber_before_it_ends_within_the_spread() {
    let mut stage = Stage::new();
    for reader in 0..stage.readers.len() {
        while stage.pull(reader, 100_000) {}
    }
    let (spread, step) = (Duration::from_secs(2), Duration::from_millis(10));
    let mut now = stage.now;
    stage.hub.drain(now, spread);
    let end = now + spread;
    let mut warned = vec![false; stage.readers.len()];
    let mut ended = warned.clone();
    while let Some(next) = stage.hub.depart(now) {
        assert!(next > now && next <= end);
        now = now + step;
        for reader in 0..stage.readers.len() {
            match next_pull(&stage, reader) {
                Poll::Ready(Pulled::Draining) => assert!(!std::mem::replace(&mut warned[reader], true)),
                Poll::Ready(Pulled::Drained) => {
                    assert!(warned[reader]);
                    ended[reader] = true;
                }
                pulled => assert!(pulled.is_pending() && !ended[reader], "{pulled:?}"),
            }
        }
    }
    for (reader, was_warned) in warned.into_iter().enumerate() {
        if !was_warned {
            assert_eq!(next_pull(&stage, reader), Poll::Ready(Pulled::Draining));
        }
        assert_eq!(next_pull(&stage, reader), Poll::Ready(Pulled::Drained));
    }
}

#[test]
fn who_joins_a_draining_hub_must_leave_at_once() {
    let stage = Stage::new();
    stage.hub.drain(stage.now, Duration::from_secs(3_600));
    let newcomer = Subscriber::join(stage.hub.clone(), 0, Quota::unlimited().into(), stage.now);
    stage.hub.depart(stage.now);
    let pull = || newcomer.poll_pull(&mut Context::from_waker(Waker::noop()), 100, &mut 0, &mut Vec::new());
    assert_eq!((pull(), pull()), (Poll::Ready(Pulled::Draining), Poll::Ready(Pulled::Drained)));
}

#[test]
fn a_subscriber_that_leaves_takes_its_departure_with_it() {
    let mut stage = Stage::new();
    stage.hub.drain(stage.now, Duration::from_secs(1));
    stage.readers.clear();
    assert_eq!(stage.hub.depart(stage.now), None);
}

#[test]
fn a_reader_of_quotes_that_wants_all_ticks_after_it_wanted_few_gets_all() {
    let mut stage = Stage::new();
    let few = Delivery::Latest { min_interval: Duration::from_secs(30) };
    stage.resume(0, 0, Interest { delivery: few, format: QUOTES, unnamed: false }, 25_000);
    // The first tick is sent, and the figures are on their way to one that is 15,000 ticks later.
    for _ in 0..3 {
        stage.pull(0, 100_000);
    }
    stage.begin(0, 0, Interest { delivery: Delivery::EveryTick, format: QUOTES, unnamed: false }, None);
    stage.check_all_read(0);
}

#[test]
fn a_reader_that_begins_to_want_quotes_gets_none_of_an_earlier_flush() {
    let mut stage = Stage::new();
    let quotes = Interest { delivery: Delivery::default(), format: QUOTES, unnamed: false };
    stage.subscribe(0, 0, Delivery::default());
    stage.begin(1, 0, quotes, None);
    for _ in 0..2 {
        stage.check_all_read(0);
        stage.check_all_read(1);
        stage.pass(10);
    }
    stage.check_all_read(0);
    let symbol = stage.tape.instruments[0].symbol;
    stage.readers[1].expected.remove(&symbol);
    assert!(stage.readers[1].subscriber.unsubscribe(&symbol));
    // Nobody reads quotes in this flush.
    stage.pass(10);
    stage.begin(0, 0, quotes, None);
    stage.check_all_read(0);
}

#[test]
fn a_reader_of_quotes_who_is_a_moment_behind_has_its_figures_at_once() {
    let mut stage = Stage::new();
    let all = Interest { delivery: Delivery::EveryTick, format: QUOTES, unnamed: false };
    stage.begin(0, 3, all, None);
    stage.begin(1, 3, all, None);
    stage.check_all_read(0);
    stage.check_all_read(1);
    for _ in 0..20 {
        stage.pass(100);
        stage.check_all_read(0);
    }
    // Twenty ticks are lacking: one pull brings them all, with no figures worked out again.
    assert!(stage.pull(1, 100_000));
    let newest = stage.tape.series(&stage.tape.instruments[3]).sequence_at(stage.now);
    let symbol = stage.tape.instruments[3].symbol;
    assert_eq!(stage.readers[1].expected[&symbol].last, newest.map(|newest| newest.0));
    let state = stage.hub.lock();
    assert!(
        state
            .subscribers
            .iter()
            .flatten()
            .flat_map(|entry| &entry.slot_states)
            .all(|slot_state| slot_state.day.is_none())
    );
}

/// What a reader is sent at once, with nothing read from the tape.
fn pull_live(stage: &Stage, reader: usize) -> (Poll<Pulled>, String) {
    let mut out = Vec::new();
    let waker = Waker::from(stage.readers[reader].woken.clone());
    let mut cx = Context::from_waker(&waker);
    let pulled = stage.readers[reader].subscriber.poll_pull(&mut cx, 100_000, &mut 0, &mut out);
    (pulled, String::from_utf8(out).unwrap())
}

#[test]
fn a_stream_that_waits_for_its_turn_to_catch_up_is_sent_live_ticks_and_is_woken_by_them() {
    let mut stage = Stage::new();
    stage.subscribe(0, 2, Delivery::default());
    stage.check_all_read(0);
    stage.resume(0, 0, Interest { delivery: Delivery::EveryTick, format: PLAIN, unnamed: false }, 20_000);
    assert_eq!(pull_live(&stage, 0), (Poll::Ready(Pulled::More), String::new()));
    let woken = stage.readers[0].woken.0.load(Ordering::Relaxed);
    stage.pass(10);
    assert_eq!(stage.readers[0].woken.0.load(Ordering::Relaxed), woken + 1);
    let (pulled, sent) = pull_live(&stage, 0);
    assert_eq!(pulled, Poll::Ready(Pulled::Data { is_behind: true }));
    assert!(sent.starts_with("tick C") && sent.lines().count() == 1, "{sent}");
}

#[test]
fn a_pull_reads_no_more_ticks_than_it_may() {
    let mut stage = Stage::new();
    let symbol = stage.tape.instruments[0].symbol;
    for format in [PLAIN, QUOTES] {
        let all = Interest { delivery: Delivery::EveryTick, format, unnamed: false };
        stage.resume(0, 0, all, 25_000);
        for reads in [1, 2, 20, 256, 256] {
            let before = stage.readers[0].expected[&symbol].last.unwrap();
            stage.pull_some(0, 100_000, reads);
            let sent = stage.readers[0].expected[&symbol].last.unwrap() - before;
            assert!(sent <= reads as u64, "{sent} of {reads}");
        }
        stage.check_all_read(0);
    }
}

#[test]
fn leaving_wakes_nobody_and_is_swept_in_pieces() {
    let mut stage = Stage::new();
    for symbol in 0..5 {
        stage.subscribe(0, symbol, Delivery::default());
        stage.subscribe(1, symbol, Delivery::default());
    }
    stage.check_all_read(0);
    let woken = stage.readers[0].woken.clone();
    assert!(!stage.hub.has_leaving());
    stage.readers[0] = stage.reader();
    assert!(stage.hub.has_leaving());
    stage.pass(100);
    stage.check_all_read(1);
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    for left in [8, 6] {
        assert!(stage.hub.sweep(2));
        assert_eq!(stage.quota.used(), left);
    }
    stage.pass(10);
    stage.check_all_read(1);
    assert!(!stage.hub.sweep(2) && !stage.hub.has_leaving());
    assert_eq!(stage.quota.used(), 5);
}

#[test]
fn the_pacer_hears_nothing_of_what_comes_and_goes_in_between() {
    let mut stage = Stage::new();
    stage.subscribe(0, 6, Delivery::default());
    stage.flush();
    for _ in 0..100 {
        for symbol in 0..5 {
            stage.subscribe(1, symbol, Delivery::default());
        }
        stage.readers[1].subscriber.retain(|_, _| false);
        stage.readers[1].expected.clear();
    }
    let mut changes = 0;
    while stage.hub.tell(2, |_| changes += 1) {}
    assert_eq!(changes, 0);
    assert!(stage.hub.lock().ids.len() <= 6);
}

#[test]
fn heartbeats_are_spread_over_a_quarter_of_their_interval() {
    let stage = Stage::new();
    assert_eq!(stage.hub.beat(stage.now), Some(stage.now + Duration::from_millis(1_250)), "a few at once");
    let readers: Vec<_> = (0..1_000).map(|_| stage.reader()).collect();
    for reader in &readers {
        let waker = Waker::from(reader.woken.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(reader.subscriber.poll_pull(&mut cx, 100, &mut 0, &mut Vec::new()).is_pending());
    }
    let silent = stage.now + Duration::from_secs(5);
    let (mut now, mut woken, mut beats) = (silent, 0, 0);
    while now < silent + Duration::from_millis(1_250) {
        now = stage.hub.beat(now).unwrap();
        let before = woken;
        woken = readers.iter().map(|reader| reader.woken.0.load(Ordering::Relaxed)).sum();
        assert!(woken - before <= 64);
        beats += 1;
    }
    assert_eq!((woken, beats), (1_000, 16));
    drop(readers);
    let Stage { hub, readers, .. } = stage;
    drop(readers);
    assert_eq!(hub.beat(now), None, "nobody is there");
}

#[test]
fn a_stream_that_asks_for_nothing_is_told_to_end() {
    let mut stage = Stage::new();
    stage.subscribe(0, 5, Delivery::default());
    stage.readers[2].subscriber.hold(true);
    for reader in 0..3 {
        while stage.pull(reader, 100_000) {}
    }
    let minute = Duration::from_secs(60);
    let begin = stage.now;
    stage.hub.beat(begin + 5 * minute);
    stage.readers[1].subscriber.touch(begin + 5 * minute);
    let ends = |minutes: u32| {
        stage.hub.beat(begin + minutes * minute);
        [0, 1, 2].map(|reader| {
            while pull_live(&stage, reader).0 == Poll::Ready(Pulled::Data { is_behind: false }) {}
            pull_live(&stage, reader).0 == Poll::Ready(Pulled::Idle)
        })
    };
    assert_eq!(ends(11), [false; 3]);
    assert_eq!(ends(15), [false, true, false]);
    // The last word comes before the end.
    stage.readers[1].subscriber.touch(begin + 15 * minute);
    assert_eq!(pull_live(&stage, 1).0, Poll::Pending);
    stage.readers[0].subscriber.retain(|_, _| false);
    stage.hub.beat(begin + 24 * minute);
    assert_eq!(pull_live(&stage, 0).0, Poll::Ready(Pulled::Data { is_behind: false }), "a heartbeat");
    assert_eq!(pull_live(&stage, 0).0, Poll::Pending);
}

#[test]
fn while_there_are_too_many_idle_streams_the_oldest_end_sooner() {
    let mut stage = Stage::with(Limits { max_idle_streams: 2, ..Limits::default() });
    stage.readers.clear();
    for second in 0..4 {
        stage.now = START + Duration::from_secs(second);
        let reader = stage.reader();
        stage.readers.push(reader);
    }
    let ends = |second: u64| {
        stage.hub.beat(START + Duration::from_secs(second));
        [0, 1, 2, 3].map(|reader| pull_live(&stage, reader).0 == Poll::Ready(Pulled::Idle))
    };
    assert_eq!(ends(9), [false; 4]);
    assert_eq!(ends(10), [true, false, false, false]);
    assert_eq!(ends(14), [true, true, false, false]);
}

#[test]
fn a_new_minimum_interval_counts_from_a_tick_that_was_of_the_future_when_a_reader_resumed_after_it() {
    let latest = |millis| Interest {
        delivery: Delivery::Latest { min_interval: Duration::from_millis(millis) },
        format: PLAIN,
        unnamed: false,
    };
    let mut stage = Stage::new();
    stage.resume(0, 2, latest(0), -16);
    stage.pass(2_500);
    stage.begin(0, 2, latest(2_341), None);
    stage.check_all_read(0);
    stage.pass(2_341);
    stage.check_all_read(0);
}
