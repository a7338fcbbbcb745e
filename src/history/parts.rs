//! Candles of consecutive ticks, made in parts by several threads.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::candle::{Candle, CandleInterval};
use crate::{
    tape::{Cursor, Series},
    tick::{Sequence, Tick},
};

/// The parts of a page of candles that are being made, in the order of their ticks. The thread that has the page takes the parts
/// one after the other, and others may help it.
pub struct Parts {
    series: Arc<dyn Series>,
    interval: CandleInterval,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    parts: VecDeque<State>,
    /// The number of the first of them.
    first: u64,
    /// The number of the first that nobody has taken.
    next: u64,
}

enum State {
    /// Waits for a thread, or was taken by one.
    Open(Arc<Part>),
    Made(Vec<Candle>),
}

/// Some ticks that follow each other: those of several candles, or a part of the ticks of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) start: Sequence,
    /// The first tick after each of its candles. The last one may go on in the next part.
    pub(super) ends: Vec<Sequence>,
    /// Whether it is one whole candle, to be made from the totals of its ticks.
    pub(super) from_totals: bool,
}

/// A part that is being made.
pub(super) struct OpenPart {
    number: u64,
    part: Arc<Part>,
    /// The place of the end of the present candle.
    at: usize,
    /// The next tick to add.
    next: Sequence,
    begun: Option<Candle>,
    made: Vec<Candle>,
}

impl Parts {
    /// Largest number of ticks of a part. One thread reads them in about two milliseconds, without a pause. Small in tests, which
    /// have few ticks.
    pub(super) const TICKS: u64 = if cfg!(test) { 7 } else { 1 << 15 };
    /// Cost of a candle that is made from totals, in ticks read, and the fewest ticks of such a candle. Small in tests.
    pub(super) const COST_OF_TOTALS: u64 = if cfg!(test) { 5 } else { 1 << 14 };

    /// Largest cost of a candle of a series, in ticks read. A candle of at least this many ticks is made from totals.
    pub(super) fn largest_cost(series: &dyn Series) -> u64 {
        if series.has_totals() { Self::COST_OF_TOTALS } else { u64::MAX }
    }

    pub(super) fn new(series: Arc<dyn Series>, interval: CandleInterval) -> Self {
        Self { series, interval, line: Mutex::default() }
    }

    /// Whether there is a part that nobody has taken.
    pub fn has_more(&self) -> bool {
        self.line().waiting() > 0
    }

    /// Makes a part that nobody has taken, if there is one.
    pub fn help(&self) -> bool {
        let Some(mut part) = self.line().take() else { return false };
        let mut cursor = self.cursor(&part);
        self.step(&mut part, &mut *cursor, &mut u64::MAX.clone());
        self.close(part);
        true
    }

    /// A cursor at the next tick of a part.
    pub(super) fn cursor(&self, part: &OpenPart) -> Box<dyn Cursor> {
        self.series.cursor(part.next)
    }

    /// Makes a part, with a cursor at its next tick. Reads at most `left` ticks, or makes one candle from totals, and subtracts the
    /// cost from `left`. True when the part is made.
    pub(super) fn step(&self, part: &mut OpenPart, cursor: &mut dyn Cursor, left: &mut u64) -> bool {
        if part.part.from_totals
            && part.next == part.part.start
            && let Some(candle) = self.candle_from_totals(&part.part, &cursor.tick())
        {
            *left = left.saturating_sub(Self::COST_OF_TOTALS);
            part.made.push(candle);
            return true;
        }
        part.read(cursor, self.interval, left)
    }

    fn candle_from_totals(&self, part: &Part, first: &Tick) -> Option<Candle> {
        let end = *part.ends.last()?;
        let totals = self.series.totals(part.start..end)?;
        let last = self.series.tick(end.previous());
        Some(Candle::from_totals(self.interval.open_time(first.time), first, &last, totals))
    }

    /// Adds a part at the end.
    pub(super) fn push(&self, part: Part) {
        self.line().parts.push_back(State::Open(Arc::new(part)));
    }

    /// Adds a candle at the end.
    pub(super) fn push_made(&self, candle: Candle) {
        let line = &mut *self.line();
        line.parts.push_back(State::Made(vec![candle]));
        line.skip_made();
    }

    /// Takes the first part that nobody has taken. If there is none it takes the first that is not made: the thread that has taken
    /// it may be slow, and whoever is first has made it.
    pub(super) fn take(&self) -> Option<OpenPart> {
        let line = &mut *self.line();
        line.take().or_else(|| line.open(line.first))
    }

    /// How many parts nobody has taken.
    pub(super) fn waiting(&self) -> usize {
        self.line().waiting()
    }

    /// Whether the candles of every part were taken out.
    pub(super) fn is_empty(&self) -> bool {
        self.line().parts.is_empty()
    }

    /// Gives back a part that is made.
    pub(super) fn close(&self, part: OpenPart) {
        let line = &mut *self.line();
        let at = part.number.checked_sub(line.first).and_then(|at| usize::try_from(at).ok());
        if let Some(state) = at.and_then(|at| line.parts.get_mut(at)) {
            *state = State::Made(part.made);
        }
    }

    /// Takes out the candles of the first part, if it is made.
    pub(super) fn pop(&self) -> Option<Vec<Candle>> {
        let line = &mut *self.line();
        match line.parts.pop_front()? {
            State::Made(candles) => {
                line.first += 1;
                Some(candles)
            }
            open @ State::Open(_) => {
                line.parts.push_front(open);
                None
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Nothing panics while the lock is held.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn waiting(&self) -> usize {
        let taken = usize::try_from(self.next - self.first).unwrap_or(usize::MAX);
        self.parts.len().saturating_sub(taken)
    }

    fn take(&mut self) -> Option<OpenPart> {
        let part = self.open(self.next)?;
        self.next += 1;
        self.skip_made();
        Some(part)
    }

    fn open(&self, number: u64) -> Option<OpenPart> {
        match self.get(number)? {
            State::Open(part) => Some(OpenPart::new(number, part.clone())),
            State::Made(_) => None,
        }
    }

    /// Moves `next` to a part that is not made.
    fn skip_made(&mut self) {
        while matches!(self.get(self.next), Some(State::Made(_))) {
            self.next += 1;
        }
    }

    fn get(&self, number: u64) -> Option<&State> {
        self.parts.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

impl OpenPart {
    fn new(number: u64, part: Arc<Part>) -> Self {
        let made = Vec::with_capacity(part.ends.len());
        Self { number, next: part.start, part, at: 0, begun: None, made }
    }

    /// The next tick to add.
    pub(super) fn next(&self) -> Sequence {
        self.next
    }

    /// Adds ticks from a cursor at [`Self::next`], at most `left` of them, and subtracts their number from `left`. True when the
    /// part is made.
    fn read(&mut self, cursor: &mut dyn Cursor, interval: CandleInterval, left: &mut u64) -> bool {
        while let Some(end) = self.part.ends.get(self.at).copied() {
            while self.next < end {
                if *left == 0 {
                    return false;
                }
                *left -= 1;
                let tick = cursor.tick();
                if tick.sequence >= end {
                    // The window of a growing tape has moved past the other ticks of the candle.
                    self.next = end;
                    break;
                }
                match &mut self.begun {
                    Some(candle) => candle.take(&tick),
                    none => *none = Some(Candle::open(interval.open_time(tick.time), &tick)),
                }
                self.next = tick.sequence.next();
                cursor.advance();
            }
            self.made.extend(self.begun.take());
            self.at += 1;
        }
        true
    }
}
