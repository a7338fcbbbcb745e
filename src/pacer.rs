//! Which of the watched ticks are due now.
//!
//! A pacer holds a cursor for each watched instrument, in a timing wheel. An instrument costs nothing until its next tick is
//! due, and an instrument that nobody watches costs nothing at all.
//!
//! An instrument of which all ticks were handed out leaves the wheel. On a growing tape it returns when a tick arrives. That
//! tick is due at its time, or with the next flush if its time is over.

mod ahead;
mod alarm;
mod arrivals;
mod clock;
mod speed;
mod wheel;

use std::{sync::Arc, task::Waker, time::Duration};

use ahead::Ahead;
pub use alarm::Alarm;
pub use arrivals::Arrivals;
pub use clock::Clock;
pub use speed::{Speed, SpeedError};
use wheel::Wheel;

use crate::{
    tape::Series,
    tick::{Sequence, Tick, Time},
};

/// Hands out due ticks, one flush interval at a time.
pub struct Pacer {
    wheel: Wheel,
    /// [`Self::LATE`] in the time of the clock.
    late: Duration,
    /// Each in memory of its own: a table of them would be moved as it grows and shrinks.
    paced: Vec<Option<Box<Paced>>>,
    /// The instruments of a flush that are not handed out yet.
    due: Vec<u32>,
    first_due: Time,
    arrived: Vec<u32>,
    arrivals: Arc<Arrivals>,
}

/// Where a pacer hands out its ticks.
pub trait TickSink {
    /// Takes a tick of an instrument.
    fn tick(&mut self, id: u32, tick: &Tick);

    /// Reads from memory what taking ticks of these instruments will read. Of thousands of instruments, nothing is in the
    /// processor's caches; reads that do not depend on each other wait for memory at the same time.
    fn read_ahead(&self, _ids: &[u32]) {}
}

impl<F: FnMut(u32, &Tick)> TickSink for F {
    fn tick(&mut self, id: u32, tick: &Tick) {
        self(id, tick);
    }
}

/// One watched instrument.
struct Paced {
    series: Arc<dyn Series>,
    /// At the next tick to hand out. While it waits, the current tick was handed out, and the instrument is not in the wheel.
    ahead: Ahead,
    /// Reports that a tick has arrived, once it was needed.
    waker: Option<Waker>,
}

impl Pacer {
    /// How far an instrument may be behind, in real time, before its missed ticks are skipped. Subscribers that want them
    /// read them from the tape, so that a clock that jumps ahead causes no burst.
    const LATE: Duration = Duration::from_secs(1);
    /// Largest number of ticks of one instrument per flush. A tape that is played fast may have more. The others follow with
    /// the next flush, or are skipped when it is late.
    const MANY: u64 = 1024;
    /// Largest number of instruments that are handed out at once: about a millisecond when nothing of them is in the
    /// processor's caches. (In unit tests the pieces are small, so that they are common.)
    const PIECE: usize = if cfg!(test) { 2 } else { 1024 };
    /// Number of instruments whose memory is read ahead together.
    const AHEAD: usize = 16;

    /// A pacer on a clock of this speed. It hands out ticks once in each real `flush_interval`. The times of the flushes are
    /// multiples, since the Unix epoch, of the interval in the time of the clock.
    pub fn new(speed: Speed, flush_interval: Duration) -> Self {
        Self {
            wheel: Wheel::new(speed.of(flush_interval)),
            late: speed.of(Self::LATE),
            paced: Vec::new(),
            due: Vec::new(),
            first_due: Time::default(),
            arrived: Vec::new(),
            arrivals: Arc::default(),
        }
    }

    /// Begins to hand out the ticks of `series` from the sequence `from` on, under `id`.
    pub fn watch(&mut self, id: u32, series: Arc<dyn Series>, from: Sequence) {
        let ahead = Ahead::new(series.cursor(from));
        let mut paced = Box::new(Paced { series, ahead, waker: None });
        if paced.ahead.tick().sequence < from {
            paced.step();
        }
        paced.schedule(id, &mut self.wheel, &self.arrivals);
        let at = id as usize;
        if self.paced.len() <= at {
            self.paced.resize_with(at + 1, || None);
        }
        self.paced[at] = Some(paced);
    }

    /// Stops handing out ticks under `id`.
    pub fn unwatch(&mut self, id: u32) {
        let paced = self.paced.get_mut(id as usize).and_then(Option::take);
        if paced.is_some_and(|paced| !paced.ahead.waits()) {
            self.wheel.remove(id);
        }
        // The lowest ids are used first, so the end of the table becomes free.
        while self.paced.last().is_some_and(Option::is_none) {
            self.paced.pop();
        }
        if self.paced.capacity() > 1_024 && self.paced.len() <= self.paced.capacity() / 16 {
            self.paced.shrink_to(self.paced.len() * 2);
            self.wheel.shrink_to(self.paced.len());
            self.due.shrink_to(self.paced.len());
            self.arrived.shrink_to(self.paced.len());
        }
    }

    /// Tells when [`Self::take_arrivals`] has something to do.
    pub fn arrivals(&self) -> Arc<Arrivals> {
        self.arrivals.clone()
    }

    /// Schedules the ticks that have arrived.
    pub fn take_arrivals(&mut self) {
        self.arrivals.take(&mut self.arrived);
        for ids in self.arrived.chunks(Self::AHEAD) {
            self.read_ahead(ids);
            self.paced_of(ids).for_each(|paced| paced.ahead.read_cursor_ahead());
            for &id in ids {
                let Some(paced) = self.paced.get_mut(id as usize).and_then(Option::as_mut) else { continue };
                paced.ahead.note_arrival();
                if paced.ahead.waits() {
                    paced.step();
                    paced.schedule(id, &mut self.wheel, &self.arrivals);
                }
            }
        }
        self.arrived.clear();
    }

    /// Hands out every tick that took place up to the last multiple of the flush interval before `now`, and returns
    /// that time. The ticks of one instrument come together and in order, and none is left out between them.
    ///
    /// A flush of many instruments is handed out in pieces, so that the first ticks do not wait for the last ones. While
    /// [`Self::has_more`], the next call continues it.
    pub fn advance(&mut self, now: Time, sink: &mut impl TickSink) -> Time {
        if !self.has_more() {
            self.first_due = self.wheel.advance(now, &mut self.due);
            // In the order of their ids, which is their order in memory, here and in every page.
            self.due.sort_unstable();
        }
        let boundary = self.wheel.flushed();
        let mut due = std::mem::take(&mut self.due);
        let piece = due.drain(..due.len().min(Self::PIECE));
        for ids in piece.as_slice().chunks(Self::AHEAD) {
            self.read_ahead(ids);
            sink.read_ahead(ids);
            for &id in ids {
                self.hand_out(id, boundary, sink);
            }
        }
        drop(piece);
        self.due = due;
        boundary
    }

    /// Whether a part of a flush is not handed out yet.
    pub fn has_more(&self) -> bool {
        !self.due.is_empty()
    }

    fn read_ahead(&self, ids: &[u32]) {
        self.paced_of(ids).for_each(|paced| paced.ahead.read_ticks_ahead());
    }

    fn paced_of<'a>(&'a self, ids: &'a [u32]) -> impl Iterator<Item = &'a Paced> {
        ids.iter().filter_map(|id| self.paced.get(*id as usize)?.as_deref())
    }

    /// Hands out the ticks of an instrument that took place up to `boundary`.
    fn hand_out(&mut self, id: u32, boundary: Time, sink: &mut impl TickSink) {
        let Some(paced) = self.paced.get_mut(id as usize).and_then(Option::as_mut) else { return };
        paced.skip_missed(boundary, self.late);
        for _ in 0..Self::MANY {
            if paced.ahead.tick().time > boundary {
                break;
            }
            sink.tick(id, paced.ahead.tick());
            if !paced.step() {
                break;
            }
        }
        paced.schedule(id, &mut self.wheel, &self.arrivals);
    }

    /// The time at which the first tick of the last flush was due: before the time of that flush if it was late.
    pub fn first_due(&self) -> Time {
        self.first_due
    }

    /// The time of the last flush.
    pub fn flushed(&self) -> Time {
        self.wheel.flushed()
    }

    /// The first flush at or after `time` that is not over.
    pub fn flush_at(&self, time: Time) -> Time {
        self.wheel.flush_at(time)
    }

    /// The time of the next flush that may have ticks; `None` when there is no known tick to hand out.
    pub fn next_due(&self) -> Option<Time> {
        self.wheel.next_due()
    }
}

impl Paced {
    /// Moves to the next tick. False when the sequence does not rise by one: there is no later tick so far, or the next ticks
    /// have left the window of the tape.
    fn step(&mut self) -> bool {
        let handed_out = self.ahead.tick().sequence;
        self.ahead.advance();
        self.ahead.tick().sequence.0 == handed_out.0.wrapping_add(1)
    }

    /// Inserts the instrument into the wheel, or waits for a tick to arrive.
    fn schedule(&mut self, id: u32, wheel: &mut Wheel, arrivals: &Arc<Arrivals>) {
        // At once, because all of it is in the processor's caches now.
        if self.ahead.needs_waker() {
            self.ahead.wake_on_arrival(self.waker.get_or_insert_with(|| arrivals.waker(id)));
        }
        if !self.ahead.waits() {
            wheel.insert(id, self.ahead.tick().time);
        }
    }

    fn skip_missed(&mut self, now: Time, late: Duration) {
        let next = self.ahead.tick();
        let behind = Duration::from_nanos(now.nanos().saturating_sub(next.time.nanos()));
        // So short a time has few ticks: looking up the newest one is not worth its cost.
        if behind <= late.min(Pacer::LATE) {
            return;
        }
        let Some(newest) = self.series.sequence_at(now) else { return };
        let missed = newest.0.saturating_sub(next.sequence.0);
        // A tick of a growing tape that has just arrived may have an older time.
        let is_late = behind > late && self.series.is_complete();
        if missed > 0 && (is_late || missed > Pacer::MANY) {
            self.ahead = Ahead::new(self.series.cursor(newest));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        tape::{Feed, Instrument, SimulatedSeries, WindowLimits},
        tick::Price,
    };

    const FLUSH: Duration = Duration::from_millis(10);
    const START: Time = Time::from_nanos(1_700_000_000_000_000_000);

    /// The sequences that come when a clock of this speed jumps to so much real time after the next tick, and all that are due.
    fn handed_out(speed: &str, real: Duration) -> (Vec<u64>, Vec<u64>) {
        let speed: Speed = speed.parse().unwrap();
        let instrument = Instrument::named("A", Duration::from_millis(100));
        let series: Arc<dyn Series> = Arc::new(SimulatedSeries::new(7, &instrument));
        let mut pacer = Pacer::new(speed, FLUSH);
        let start = pacer.advance(START, &mut |_: u32, _: &Tick| {});
        let from = series.sequence_at(start).unwrap().next();
        pacer.watch(0, series.clone(), from);
        let mut handed_out = Vec::new();
        let late = series.tick(from).time + speed.of(real);
        let boundary = pacer.advance(late, &mut |_: u32, tick: &Tick| handed_out.push(tick.sequence.0));
        (handed_out, (from.0..=series.sequence_at(boundary).unwrap().0).collect())
    }

    proptest! {
        /// A step appends some ticks, looks at the arrivals or not, and makes a flush or not.
        #[test]
        fn a_flush_after_the_arrivals_has_every_tick_that_has_arrived_once(
            steps in prop::collection::vec((0..30u64, any::<bool>(), any::<bool>()), 1..60),
        ) {
            let limits = WindowLimits { time: Duration::from_secs(3600), bytes: usize::MAX };
            let feed = Feed::new("feed".to_owned(), limits, Arc::default());
            let price = Price::from_nanos(1).unwrap();
            let tick = |sequence, time| Tick { sequence: Sequence(sequence), time, price, quantity: 1 };
            let series = feed.list(Arc::new(Instrument::named("A", Duration::ZERO)), tick(1, START), None);
            let mut pacer = Pacer::new(Speed::REAL, FLUSH);
            pacer.advance(START, &mut |_: u32, _: &Tick| {});
            pacer.watch(0, Arc::new(series.clone()), Sequence(2));
            let (mut now, mut last, mut handed_out) = (START, 1, Vec::new());
            for (count, takes, flushes) in steps {
                for _ in 0..count {
                    last += 1;
                    feed.append(&series, tick(last, now), None);
                }
                now = now + FLUSH;
                if takes {
                    pacer.take_arrivals();
                }
                if flushes {
                    pacer.advance(now, &mut |_: u32, tick: &Tick| handed_out.push(tick.sequence.0));
                }
                if takes && flushes {
                    prop_assert_eq!(handed_out.last().copied().unwrap_or(1), last);
                }
            }
            pacer.take_arrivals();
            pacer.advance(now + FLUSH, &mut |_: u32, tick: &Tick| handed_out.push(tick.sequence.0));
            prop_assert_eq!(handed_out, (2..=last).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_tape_that_plays_fast_has_every_tick_of_a_flush_and_a_late_one_the_newest_alone() {
        for (speed, real) in [("1", 1_000), ("10", 999), ("1000", 30), ("0.5", 999)] {
            let (handed_out, due) = self::handed_out(speed, Duration::from_millis(real));
            assert_eq!(handed_out, due, "{speed}");
        }
        for (speed, real) in [("1", 1_200), ("10", 1_100), ("1000", 1_100), ("0.5", 1_300)] {
            let (handed_out, due) = self::handed_out(speed, Duration::from_millis(real));
            assert_eq!(handed_out, due[due.len() - 1..], "{speed}");
        }
    }

    #[test]
    fn a_flush_of_many_instruments_is_handed_out_in_pieces_and_leaves_none_out() {
        let mut pacer = Pacer::new(Speed::REAL, FLUSH);
        let start = pacer.advance(START, &mut |_: u32, _: &Tick| {});
        let all: Vec<Arc<dyn Series>> = (0..Pacer::PIECE as u32 * 2 + 1)
            .map(|id| {
                let instrument = Instrument::named(&format!("A{id}"), Duration::from_millis(100));
                Arc::new(SimulatedSeries::new(7, &instrument)) as Arc<dyn Series>
            })
            .collect();
        for (id, series) in (0..).zip(&all) {
            pacer.watch(id, series.clone(), series.sequence_at(start).unwrap().next());
        }
        let (now, mut handed_out, mut pieces) = (START + Duration::from_millis(900), Vec::new(), 0);
        loop {
            // Time that passes meanwhile changes nothing.
            let boundary = pacer.advance(now + pieces * FLUSH, &mut |id: u32, tick: &Tick| {
                handed_out.push((id, tick.sequence.0));
            });
            assert_eq!(boundary, now);
            pieces += 1;
            if !pacer.has_more() {
                break;
            }
        }
        assert_eq!(pieces, 3);
        let due = (0..).zip(&all).flat_map(|(id, series)| {
            let (from, to) = (series.sequence_at(start).unwrap(), series.sequence_at(now).unwrap());
            (from.0 + 1..=to.0).map(move |sequence| (id, sequence))
        });
        assert_eq!(handed_out, due.collect::<Vec<_>>());
    }

    #[test]
    fn more_ticks_at_once_than_anybody_takes_are_skipped() {
        let (handed_out, due) = handed_out("1000000", 2 * FLUSH);
        assert!(due.len() > 100_000);
        assert_eq!(handed_out, due[due.len() - 1..]);
    }
}
