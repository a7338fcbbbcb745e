//! A replay: past ticks of all symbols of a watch, in the order of their times, at a pace of their own.
//!
//! It is read as it is sent and holds a cursor per symbol, so it costs the same however long it is. One that is open
//! goes on as a live subscription when it has reached the present.

mod span;
mod symbol;

use std::{pin::Pin, sync::Arc, task::Context, time::Duration, vec};

use tokio::time::{Instant, Sleep, sleep};

pub(super) use self::span::ReplaySpan;
use self::symbol::{OPEN, ReplayedSymbol};
use super::{
    Format, WorkerContext,
    subscribe_options::{CheckedOptions, StartPoint},
    wire::V1Format,
};
use crate::{
    history::Merge,
    hub::{Discard, Full, Hub, Interest, Sent, Start, Subscribed, Subscriber, WireFormat},
    tape::Instrument,
    tick::Time,
};

/// The replay of one stream.
pub(super) struct Replay {
    hub: Arc<Hub>,
    /// The instruments that are not open yet.
    unopened: vec::IntoIter<Arc<Instrument>>,
    start_point: StartPoint,
    merge: Merge,
    symbols: Vec<ReplayedSymbol>,
    interest: Interest,
    span: ReplaySpan,
    began: Instant,
    format: V1Format,
    /// Number of symbols for which `caught_up` was sent.
    caught_up: usize,
    /// It has reached the present.
    is_present: bool,
    alarm: Option<Pin<Box<Sleep>>>,
    sent: Sent,
}

/// The cursors of a replay that has ended. There may be ten thousand, so they are freed in pieces.
struct ClosedReplay {
    symbols: Vec<ReplayedSymbol>,
    merge: Merge,
}

/// Result of polling a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replayed {
    /// Something was appended; call it again.
    Data,
    /// Nothing was appended, and there is more to read than it was allowed to; call it again.
    More,
    /// The next tick is not due; the waker says when it is.
    Waiting,
    /// The end that was asked for.
    End,
    /// The present: what follows is live. See [`Replay::go_live`].
    Present,
}

impl Replay {
    /// A replay of instruments, each named once. They are opened when the replay is polled.
    pub(super) fn new(
        worker: &WorkerContext,
        span: ReplaySpan,
        options: CheckedOptions,
        instruments: Vec<Arc<Instrument>>,
    ) -> Self {
        let tape_id = &worker.tape.identity().tape_id;
        let CheckedOptions { interest, start_point } = options;
        Self {
            hub: worker.hub.clone(),
            unopened: instruments.into_iter(),
            start_point,
            merge: Merge::default(),
            symbols: Vec::new(),
            interest,
            span,
            began: Instant::now(),
            format: match Format::V1WithQuotes.is_of(&interest) {
                true => V1Format::with_quotes(tape_id),
                false => V1Format::new(tape_id),
            },
            caught_up: 0,
            is_present: false,
            alarm: None,
            sent: Sent::default(),
        }
    }

    /// How many symbols it has that are not live yet.
    pub(super) fn symbols(&self) -> usize {
        self.unopened.len() + self.symbols.len()
    }

    /// What was sent so far.
    pub(super) fn sent(&self) -> Sent {
        self.sent
    }

    /// Appends ticks to `out` until it holds `budget` bytes, the end or the present is reached, or the next one is
    /// not due. About `reads` ticks are read from the tape at most, and counted off.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
        budget: usize,
        reads: &mut usize,
        out: &mut Vec<u8>,
    ) -> Replayed {
        if self.is_present {
            return Replayed::Present;
        }
        let before = out.len();
        let is_open = self.open(worker, budget, reads, out);
        let (now, position) = (worker.clock.now(), self.span.position(self.began.elapsed()));
        while is_open && out.len() < budget && *reads > 0 {
            let next = self.merge.peek().map(|(at, tick)| (at, *tick));
            let Some((at, tick)) = next.filter(|(_, tick)| !self.span.is_over(tick.time)) else {
                return if self.span.end.is_some() { Replayed::End } else { self.present() };
            };
            if tick.time > now {
                if self.span.end.is_none() {
                    return self.present();
                }
                self.say_caught_up(budget, out);
            }
            if tick.time > now.min(position) {
                if out.len() > before {
                    break;
                }
                self.wait(cx, worker.clock.until(tick.time).max(self.span.until(tick.time, position)));
                return Replayed::Waiting;
            }
            let Some(symbol) = self.symbols.get_mut(at) else { break };
            if !symbol.send(&tick, self.interest, &mut self.format, reads, out, &mut self.sent) {
                break;
            }
            let limit = self.span.limit(now);
            self.merge.advance_or_jump(|next| symbol.jump(next, limit, reads));
        }
        match out.len() > before || out.len() >= budget {
            true => Replayed::Data,
            false => Replayed::More,
        }
    }

    /// Turns at most `most` symbols into live subscriptions that begin where the replay ended. True when there are more.
    /// After an error the stream must end, because the symbols that are left cannot be subscribed.
    pub(super) fn go_live(
        &mut self,
        worker: &WorkerContext,
        subscriber: &Subscriber,
        most: usize,
    ) -> Result<bool, Full> {
        for symbol in self.symbols.drain(self.symbols.len().saturating_sub(most)..) {
            let ReplayedSymbol { instrument, next, not_before, day, .. } = symbol;
            let start = Start::At { next, not_before, day: day.map(Box::new) };
            let now = worker.clock.now();
            let subscribed = subscriber.subscribe(&*worker.tape, &instrument, self.interest, start, now);
            if let Subscribed::Full(full) = subscribed {
                return Err(full);
            }
        }
        let more = !self.symbols.is_empty();
        subscriber.hold(more);
        Ok(more)
    }

    /// Opens symbols. Sequences before the first tick of the tape are reported as a gap. True when all symbols are open.
    fn open(&mut self, worker: &WorkerContext, budget: usize, reads: &mut usize, out: &mut Vec<u8>) -> bool {
        while !self.unopened.as_slice().is_empty() && *reads > 0 && out.len() < budget {
            let Some(instrument) = self.unopened.next() else { break };
            *reads = reads.saturating_sub(OPEN);
            let series = worker.tape.series(&instrument);
            let first = series.first();
            let mut next = match self.start_point.start(worker, &instrument) {
                Ok(Start::At { next, .. }) => next,
                Ok(Start::Snapshot) => series.sequence_from(self.span.start),
                // Refused: the status of the symbol says why.
                Err(_) => continue,
            };
            if next < first {
                self.format.gap(&instrument.symbol, next, first.previous(), out);
                self.sent.gaps += 1;
                next = first;
            }
            self.merge.add(&*series, next);
            self.symbols.push(ReplayedSymbol {
                cached: worker.history.cache().of(instrument.symbol, &*series),
                instrument,
                series,
                next,
                not_before: Time::default(),
                day: None,
            });
        }
        self.unopened.as_slice().is_empty()
    }

    fn present(&mut self) -> Replayed {
        self.is_present = true;
        Replayed::Present
    }

    fn say_caught_up(&mut self, budget: usize, out: &mut Vec<u8>) {
        for symbol in self.symbols.iter().skip(self.caught_up) {
            if out.len() >= budget {
                break;
            }
            self.format.caught_up(&symbol.instrument.symbol, symbol.next.previous(), out);
            self.caught_up += 1;
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>, wait: Duration) {
        let alarm = self.alarm.insert(Box::pin(sleep(wait)));
        if alarm.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let remains = ClosedReplay {
            symbols: std::mem::take(&mut self.symbols),
            merge: std::mem::take(&mut self.merge),
        };
        self.hub.discard(Box::new(remains));
    }
}

impl Discard for ClosedReplay {
    fn discard(&mut self, most: usize) -> bool {
        let left = self.symbols.len().saturating_sub(most);
        self.symbols.truncate(left);
        self.merge.discard(most) || left > 0
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        grpc::HistoryPool,
        history::{CachedCandles, DayFold},
        hub::{Delivery, Limits, Quota, Quote, TickMeta},
        tape::{Simulated, Universe, all_but_tests},
    };

    const START: Time = Time::from_nanos(1_700_000_000_000_000_000);
    const INSTRUMENTS: &str = r#"
        [[instrument]]
        symbol = "A"
        reference_price = "100.00"
        tick_interval = "3s"
        [[instrument]]
        symbol = "B"
        reference_price = "200.00"
        tick_interval = "7s"
        [[instrument]]
        symbol = "C"
        reference_price = "300.00"
        tick_interval = "90s"
    "#;

    fn worker(now: Time) -> WorkerContext {
        let tape = Arc::new(Simulated::new(7, Universe::parse(INSTRUMENTS, "test").unwrap()));
        let clock = crate::pacer::Clock::From { time: now, instant: Instant::now() };
        WorkerContext::new(
            tape,
            clock,
            Limits::default(),
            Quota::unlimited(),
            HistoryPool::default(),
            Arc::default(),
        )
    }

    fn instruments(worker: &WorkerContext) -> Vec<Arc<Instrument>> {
        all_but_tests(&worker.tape.instruments()).cloned().collect()
    }

    fn options(min_interval: Duration, quotes: bool) -> CheckedOptions {
        let format = if quotes { Format::V1WithQuotes } else { Format::V1 } as u8;
        let interest = Interest { delivery: Delivery::Latest { min_interval }, format, unnamed: false };
        CheckedOptions { interest, start_point: StartPoint::default() }
    }

    /// Reads a replay in pieces until it ends or is live.
    fn read(
        worker: &WorkerContext,
        replay: &mut Replay,
        budget: usize,
        reads: usize,
    ) -> (Vec<u8>, Replayed, usize) {
        let (mut out, mut used) = (Vec::new(), 0);
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let (mut piece, mut left) = (Vec::new(), reads);
            let replayed = replay.poll(&mut cx, worker, budget, &mut left, &mut piece);
            used += reads - left;
            match replayed {
                Replayed::Data => assert!(!piece.is_empty()),
                Replayed::More => assert!(piece.is_empty() && left == 0),
                Replayed::Waiting => panic!("it is as fast as its reader"),
                Replayed::End | Replayed::Present => {
                    out.append(&mut piece);
                    return (out, replayed, used);
                }
            }
            out.append(&mut piece);
        }
    }

    /// The same by reading every tick.
    fn naive(worker: &WorkerContext, start: Time, end: Time, options: &CheckedOptions) -> Vec<u8> {
        let mut format = if options.interest.format == Format::V1WithQuotes as u8 {
            V1Format::with_quotes(&worker.tape.identity().tape_id)
        } else {
            V1Format::new(&worker.tape.identity().tape_id)
        };
        let instruments = instruments(worker);
        let series: Vec<_> = instruments.iter().map(|instrument| worker.tape.series(instrument)).collect();
        let mut merge = Merge::new(series.iter().map(|series| (&**series, series.sequence_from(start))));
        let mut symbols: Vec<_> =
            series.iter().map(|series| (series.sequence_from(start), Time::default(), None)).collect();
        let mut out = Vec::new();
        while let Some((at, tick)) = merge.peek().filter(|(_, tick)| tick.time < end) {
            let (next, not_before, day) = &mut symbols[at];
            if tick.time >= *not_before {
                let begin = || {
                    DayFold::new(
                        series[at].clone(),
                        instruments[at].trading_days(),
                        tick.sequence,
                        CachedCandles::default(),
                    )
                };
                let day =
                    day.get_or_insert_with(begin).reach(tick.sequence, &mut usize::MAX.clone()).unwrap();
                let book = series[at].top_of_book(tick);
                let quote = format.quotes().then(|| Quote::after(tick, &instruments[at], (day, book)));
                let meta = TickMeta { conflated: tick.sequence.0 - next.0, snapshot: false };
                format.tick(&instruments[at], tick, meta, quote.as_ref(), &mut out);
                (*next, *not_before) = (tick.sequence.next(), tick.time + options.interest.min_interval());
            }
            merge.advance();
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_thinned_replay_is_what_reading_every_tick_gives(
            offset in 0..100_000_000_000u64,
            seconds in 0..400u64,
            min_interval in prop_oneof![Just(0), 1..2_000u64, 1..200_000u64],
            quotes: bool,
            budget in prop_oneof![1..2_000usize, Just(100_000)],
            reads in prop_oneof![1..40usize, Just(4_096)],
        ) {
            let start = START + Duration::from_nanos(offset);
            let end = start + Duration::from_secs(seconds);
            let options = || options(Duration::from_millis(min_interval), quotes);
            let span = |end| ReplaySpan { start, end, speed: None };
            let worker = worker(end + Duration::from_secs(1_000));
            let all = || instruments(&worker);
            let expected = naive(&worker, start, end, &options());
            let mut replay = Replay::new(&worker, span(Some(end)), options(), all());
            let (found, came_to, _) = read(&worker, &mut replay, budget, reads);
            prop_assert_eq!((found, came_to), (expected, Replayed::End));

            // Without an end it reaches the present with the same ticks, and each symbol goes on from there.
            let present = self::worker(end);
            let after = end + Duration::from_nanos(1);
            let mut replay = Replay::new(&present, span(None), options(), all());
            let (found, came_to, _) = read(&present, &mut replay, budget, reads);
            let expected = naive(&present, start, after, &options());
            // The clock goes on while it reads: no tick of it is lost, and a few more may have come.
            prop_assert!(found.starts_with(&expected) && came_to == Replayed::Present);
            let subscriber = Subscriber::join(present.hub.clone(), Format::V1 as u8, Quota::unlimited().into(), end);
            prop_assert_eq!(replay.go_live(&present, &subscriber, 2), Ok(true));
            prop_assert_eq!(replay.go_live(&present, &subscriber, 2), Ok(false));
            prop_assert_eq!(subscriber.interests().len(), 3);
        }
    }

    #[test]
    fn a_thinned_replay_jumps_over_what_it_leaves_out() {
        let (days, day) = (300, Duration::from_secs(86_400));
        let worker = worker(START + days * day);
        let span = ReplaySpan { start: START, end: Some(START + days * day), speed: None };
        let mut replay = Replay::new(&worker, span, options(day, false), instruments(&worker));
        let (_, _, used) = read(&worker, &mut replay, 100_000, 256);
        assert!(used < 3 * (days as usize + 2) * (OPEN + 2), "{used} reads for {days} days of three symbols");
    }

    #[test]
    fn a_replay_without_room_for_its_symbols_does_not_go_live() {
        let worker = worker(START);
        let span = ReplaySpan { start: START, end: None, speed: None };
        let instruments = instruments(&worker);
        let mut replay = Replay::new(&worker, span, options(Duration::ZERO, false), instruments);
        assert_eq!(read(&worker, &mut replay, 100, 100).1, Replayed::Present);
        let subscriber = Subscriber::join(worker.hub.clone(), Format::V1 as u8, Quota::new(2).into(), START);
        assert_eq!(replay.go_live(&worker, &subscriber, 10), Err(Full::Connection));
    }

    #[test]
    fn a_replay_is_freed_in_pieces() {
        let worker = worker(START);
        let span = ReplaySpan { start: START, end: None, speed: None };
        let instruments = instruments(&worker);
        let mut replay = Replay::new(&worker, span, options(Duration::ZERO, false), instruments);
        read(&worker, &mut replay, 100, 100);
        drop(replay);
        assert_eq!([(); 3].map(|()| worker.hub.sweep(1)), [true, true, false]);
    }
}
