//! Claims about what a subscription yields, against a model of replicas that lose, repeat and leave out messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    contract::v1::ALL_INSTRUMENTS,
    tick::{Price, Tick},
};

const SYMBOLS: [&str; 3] = ["FAST", "SLOW", "LATE"];

/// A replica's end of a stream, and the messages that are under way.
struct StreamModel {
    /// How far the replica's clock is behind.
    behind: u64,
    next: BTreeMap<&'static str, u64>,
    unsent_snapshots: BTreeSet<&'static str>,
    delivery: v1::Delivery,
    asked: VecDeque<Vec<String>>,
    pipe: VecDeque<Message>,
}

/// The ticks of a symbol: every so often from some time on, with sequences from 10 on.
fn metronome(symbol: &str) -> (u64, u64) {
    match symbol {
        "FAST" => (1, 0),
        "SLOW" => (7, 0),
        _ => (2, 40),
    }
}

const FIRST: u64 = 10;

fn time_of(symbol: &str, sequence: u64) -> u64 {
    let (interval, start) = metronome(symbol);
    start + (sequence - FIRST) * interval
}

/// The newest sequence at a time.
fn newest(symbol: &str, now: u64) -> Option<u64> {
    let (interval, start) = metronome(symbol);
    Some(FIRST + now.checked_sub(start)? / interval)
}

fn tick(symbol: &str, sequence: u64, conflated: u64, snapshot: bool) -> Message {
    let tick = Tick {
        sequence: Sequence(sequence),
        time: Time::from_nanos(time_of(symbol, sequence)),
        price: Price::from_nanos(1).unwrap(),
        quantity: 1,
    };
    Message::Tick(LiveTick { conflated, snapshot, ..LiveTick::new(symbol.parse().unwrap(), tick) })
}

fn result(tape_id: &str, statuses: &[(&str, Code)]) -> v1::SubscriptionResult {
    let status = |(symbol, code): &(&str, Code)| v1::SymbolStatus {
        symbol: (*symbol).to_owned(),
        code: (*code).into(),
        ..Default::default()
    };
    v1::SubscriptionResult {
        tape_id: tape_id.to_owned(),
        statuses: statuses.iter().map(status).collect(),
        ..Default::default()
    }
}

impl StreamModel {
    /// Does what the contract says that a server does with these requests.
    fn open(requests: Vec<v1::Subscription>, now: u64, behind: u64) -> Self {
        let mut stream = Self {
            behind,
            next: BTreeMap::new(),
            unsent_snapshots: BTreeSet::new(),
            delivery: v1::Delivery::Unspecified,
            asked: VecDeque::new(),
            pipe: VecDeque::new(),
        };
        let now = now.saturating_sub(behind);
        for request in requests {
            let everything = request.symbols == [ALL_INSTRUMENTS];
            let statuses: Vec<_> =
                request.symbols.iter().map(|symbol| (symbol.as_str(), Code::Subscribed)).collect();
            stream.pipe.push_back(Message::Result(result("tape", &statuses)));
            stream.delivery = request.delivery();
            for symbol in SYMBOLS {
                let resumed = request.after_sequence.contains_key(symbol) || request.start_time.is_some();
                let asked = everything || request.symbols.iter().any(|asked| asked == symbol);
                if !asked || stream.next.contains_key(symbol) && !resumed {
                    continue;
                }
                let next = match (request.after_sequence.get(symbol), &request.start_time) {
                    (Some(after), _) => after + 1,
                    (None, Some(start)) => {
                        let start = start.nanos as u64;
                        (FIRST..).find(|sequence| time_of(symbol, *sequence) >= start).unwrap()
                    }
                    (None, None) => {
                        if let Some(newest) = newest(symbol, now) {
                            stream.unsent_snapshots.insert(symbol);
                            newest
                        } else {
                            FIRST
                        }
                    }
                };
                stream.next.insert(symbol, next);
            }
            stream.asked.push_back(request.symbols);
        }
        stream
    }

    /// Sends what is due; sometimes the last `conflated` ticks of each symbol as one, if that is allowed.
    fn run(&mut self, now: u64, conflate: bool) {
        let now = now.saturating_sub(self.behind);
        for (symbol, next) in &mut self.next {
            let Some(newest) = newest(symbol, now) else { continue };
            let first = *next;
            let conflate = conflate && self.delivery == v1::Delivery::Latest;
            while *next <= newest {
                let skipped = if conflate { newest - *next } else { 0 };
                let snapshot = self.unsent_snapshots.remove(symbol);
                // What the server counts is not relied upon.
                self.pipe.push_back(tick(symbol, *next + skipped, skipped, snapshot));
                *next += skipped + 1;
            }
            if first < *next {
                let caught_up =
                    Message::CaughtUp { symbol: symbol.parse().unwrap(), sequence: Sequence(*next - 1) };
                self.pipe.push_back(caught_up);
            }
        }
    }

    /// Sends the last ticks of a symbol again.
    fn repeat(&mut self, symbol: &str) {
        if let Some((symbol, next)) = self.next.get_key_value(symbol) {
            let again = (next.saturating_sub(3).max(FIRST)..*next).map(|at| tick(symbol, at, 0, false));
            self.pipe.extend(again);
        }
    }

    /// Leaves ticks out, and says so or not.
    fn skip(&mut self, symbol: &str, count: u64, tell: bool) -> Option<std::ops::Range<u64>> {
        let (symbol, next) = self.next.iter_mut().find(|(name, _)| **name == symbol)?;
        let skipped = *next..*next + count;
        *next += count;
        if tell {
            self.pipe.push_back(Message::Gap {
                symbol: symbol.parse().unwrap(),
                first: Sequence(skipped.start),
                last: Sequence(skipped.end - 1),
            });
        }
        Some(skipped)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Send { conflate: bool },
    Deliver(usize),
    Kill { deliver: usize, behind: u64 },
    MakeBeforeBreak { deliver: usize, behind: u64 },
    Repeat(&'static str),
    Skip { symbol: &'static str, count: u64, tell: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let symbol = || proptest::sample::select(&SYMBOLS[..]);
    prop_oneof![
        4 => (1..20u64).prop_map(Step::Wait),
        4 => any::<bool>().prop_map(|conflate| Step::Send { conflate }),
        4 => (0..40usize).prop_map(Step::Deliver),
        2 => (0..40usize, 0..15u64).prop_map(|(deliver, behind)| Step::Kill { deliver, behind }),
        1 => (0..40usize, 0..15u64).prop_map(|(deliver, behind)| Step::MakeBeforeBreak { deliver, behind }),
        1 => symbol().prop_map(Step::Repeat),
        1 => (symbol(), 1..5u64, any::<bool>())
            .prop_map(|(symbol, count, tell)| Step::Skip { symbol, count, tell }),
    ]
}

fn options(symbols: &[&str], delivery: Delivery) -> SubscribeOptions {
    SubscribeOptions::new(symbols.iter().copied()).with_delivery(delivery)
}

fn deliver(resume: &mut ResumeState, stream: &mut StreamModel, most: usize, events: &mut Vec<Event>) {
    for _ in 0..most {
        let Some(message) = stream.pipe.pop_front() else { return };
        let asked = &mut stream.asked;
        resume.take(message, || asked.pop_front().unwrap(), events).unwrap();
    }
}

/// Plays the steps, then delivers all that is left on a good stream. Returns the events and what was skipped.
fn play(resume: &mut ResumeState, steps: &[Step]) -> (Vec<Event>, BTreeSet<(String, u64)>, u64) {
    let (mut events, mut skipped, mut now) = (Vec::new(), BTreeSet::new(), 20);
    resume.since(Time::from_nanos(now));
    let mut stream = StreamModel::open(resume.subscriptions(), now, 0);
    stream.run(now, false);
    deliver(resume, &mut stream, usize::MAX, &mut events);
    for step in steps {
        match step {
            Step::Wait(time) => now += time,
            Step::Send { conflate } => stream.run(now, *conflate),
            Step::Deliver(most) => deliver(resume, &mut stream, *most, &mut events),
            Step::Kill { deliver: most, behind } => {
                deliver(resume, &mut stream, *most, &mut events);
                stream = StreamModel::open(resume.subscriptions(), now, *behind);
            }
            Step::MakeBeforeBreak { deliver: most, behind } => {
                let mut next = StreamModel::open(resume.subscriptions(), now, *behind);
                stream.run(now, false);
                deliver(resume, &mut stream, *most, &mut events);
                next.run(now, false);
                stream = next;
            }
            Step::Repeat(symbol) => stream.repeat(symbol),
            Step::Skip { symbol, count, tell } => {
                let range = stream.skip(symbol, *count, *tell).into_iter().flatten();
                skipped.extend(range.map(|sequence| ((*symbol).to_owned(), sequence)));
            }
        }
    }
    now += 200;
    stream.run(now, false);
    deliver(resume, &mut stream, usize::MAX, &mut events);
    // The last replica may be behind, and what was skipped at the very end is only seen with the next tick.
    let mut last = StreamModel::open(resume.subscriptions(), now + 20, 0);
    last.run(now + 20, false);
    deliver(resume, &mut last, usize::MAX, &mut events);
    (events, skipped, now + 20)
}

proptest! {
    #[test]
    fn every_tick_comes_once_and_in_order_or_in_a_gap(
        steps in vec(step(), 0..60),
        star in any::<bool>(),
    ) {
        let symbols = if star { &["FAST", ALL_INSTRUMENTS][..] } else { &SYMBOLS };
        let mut resume = ResumeState::new(options(symbols, Delivery::EveryTick), None);
        let (events, skipped, now) = play(&mut resume, &steps);
        for symbol in SYMBOLS {
            let mut next = None;
            for event in &events {
                let (first, last) = match event {
                    Event::Tick(live) if live.symbol.as_str() == symbol => {
                        prop_assert_eq!(live.conflated, 0);
                        (live.tick.sequence.0, live.tick.sequence.0)
                    }
                    Event::Gap { symbol: of, first, last } if of.as_str() == symbol => {
                        for sequence in first.0..=last.0 {
                            prop_assert!(skipped.contains(&(symbol.to_owned(), sequence)), "{} {}", symbol, sequence);
                        }
                        (first.0, last.0)
                    }
                    _ => continue,
                };
                prop_assert!(next.is_none_or(|next| next == first), "{} {:?} {}", symbol, next, first);
                next = Some(last + 1);
            }
            prop_assert_eq!(next.map(|next| next - 1), newest(symbol, now));
            let first = events.iter().find_map(|event| match event {
                Event::Tick(live) if live.symbol.as_str() == symbol => Some(live.tick.sequence.0),
                Event::Gap { symbol: of, first, .. } if of.as_str() == symbol => Some(first.0),
                _ => None,
            });
            if symbol == "LATE" && !skipped.contains(&("LATE".to_owned(), FIRST)) {
                prop_assert_eq!(first, Some(FIRST), "it began after it was subscribed");
            }
        }
    }

    #[test]
    fn received_and_conflated_add_up_across_replicas(steps in vec(step(), 0..60)) {
        let mut resume = ResumeState::new(options(&SYMBOLS, Delivery::Latest), None);
        let (events, ..) = play(&mut resume, &steps);
        for symbol in SYMBOLS {
            let mut last = None;
            for event in &events {
                match event {
                    Event::Tick(live) if live.symbol.as_str() == symbol => {
                        let sequence = live.tick.sequence.0;
                        if let Some(last) = last {
                            prop_assert_eq!(last + live.conflated + 1, sequence);
                        }
                        last = Some(sequence);
                    }
                    Event::Gap { symbol: of, first, last: end } if of.as_str() == symbol => {
                        prop_assert!(last.is_none_or(|last| last + 1 == first.0));
                        last = Some(end.0);
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn each_symbol_is_answered_once(steps in vec(step(), 0..60)) {
        let mut resume = ResumeState::new(options(&["FAST", "SLOW", "FAST", "LATE"], Delivery::EveryTick), None);
        let (events, ..) = play(&mut resume, &steps);
        let answered: Vec<_> = events.iter().filter_map(|event| match event {
            Event::Answer { subscribed, .. } => Some(subscribed.clone()),
            _ => None,
        }).flatten().collect();
        prop_assert_eq!(answered, SYMBOLS);
        prop_assert_eq!(resume.unanswered(), 0);
    }
}

#[test]
fn a_resume_names_the_tape_and_the_last_sequence_of_each_symbol() {
    let mut resume = ResumeState::new(options(&["FAST", ALL_INSTRUMENTS, "NOPE"], Delivery::Latest), None);
    let first = resume.subscriptions();
    assert_eq!(first.len(), 2);
    assert_eq!(first[1].symbols, ["FAST", "NOPE"]);
    assert!(first.iter().all(|request| request.after_sequence.is_empty() && request.tape_id.is_empty()));
    let mut events = Vec::new();
    let answers = [
        (&first[1], result("tape", &[("FAST", Code::Subscribed), ("NOPE", Code::UnknownSymbol)])),
        (&first[0], result("tape", &[(ALL_INSTRUMENTS, Code::Subscribed)])),
    ];
    for (request, answer) in answers {
        resume.take(Message::Result(answer), || request.symbols.clone(), &mut events).unwrap();
    }
    for (symbol, sequence) in [("FAST", 70), ("SLOW", 20)] {
        resume.take(tick(symbol, sequence, 0, true), Vec::new, &mut events).unwrap();
    }
    let again = resume.subscriptions();
    let asked: Vec<_> = again
        .iter()
        .map(|request| (&request.symbols[..], request.after_sequence.iter().collect::<Vec<_>>()))
        .collect();
    assert_eq!(
        asked,
        [
            (&["*".to_owned()][..], vec![(&"SLOW".to_owned(), &20)]),
            (&["FAST".to_owned()][..], vec![(&"FAST".to_owned(), &70)]),
        ]
    );
    assert!(again.iter().all(|request| request.tape_id == "tape"));
}

#[test]
fn a_replica_that_does_not_go_on_is_unsuitable() {
    let mut events = Vec::new();
    let asked = || vec!["FAST".to_owned()];
    let subscribed = |tape| Message::Result(result(tape, &[("FAST", Code::Subscribed)]));
    let mut resume = ResumeState::new(options(&["FAST"], Delivery::EveryTick), None);
    resume.take(subscribed("tape"), asked, &mut events).unwrap();
    let foreign = resume.take(subscribed("other"), asked, &mut events).unwrap_err();
    assert_eq!(foreign.0, "plays the tape other and not tape: its sequences mean other ticks");
    let older = Message::Result(result("tape", &[("FAST", Code::Unimplemented)]));
    let older = resume.take(older, asked, &mut events).unwrap_err();
    assert_eq!(older.0, "does not go on with FAST: refused (SYMBOL_STATUS_CODE_UNIMPLEMENTED)");
    assert_eq!(events.len(), 1, "only the first answer is told");
}

#[test]
fn a_request_that_is_refused_as_a_whole_refuses_each_of_its_symbols() {
    let mut resume = ResumeState::new(options(&["A", "B"], Delivery::Latest), None);
    let mut events = Vec::new();
    let refused = Message::Result(result("tape", &[("", Code::LimitExceeded)]));
    resume.take(refused, || vec!["A".to_owned(), "B".to_owned()], &mut events).unwrap();
    assert!(matches!(&events[..], [Event::Answer { refused, .. }] if refused.len() == 2));
    assert_eq!((resume.unanswered(), resume.subscriptions().len()), (0, 0));
}

#[test]
fn a_symbol_that_a_fresh_token_does_not_allow_is_reported_and_not_asked_for_again() {
    let mut resume = ResumeState::new(options(&["FAST", "SLOW"], Delivery::Latest), None);
    let mut events = Vec::new();
    let asked = || vec!["FAST".to_owned(), "SLOW".to_owned()];
    let both = [("FAST", Code::Subscribed), ("SLOW", Code::Subscribed)];
    resume.take(Message::Result(result("tape", &both)), asked, &mut events).unwrap();
    events.clear();
    let removed = Message::Result(result("tape", &[("SLOW", Code::Unsubscribed)]));
    resume.take(removed, Vec::new, &mut events).unwrap();
    let [Event::Answer { refused, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(refused[0].symbol, "SLOW");
    let again: Vec<_> = resume.subscriptions().into_iter().flat_map(|request| request.symbols).collect();
    assert_eq!(again, ["FAST"]);
}
