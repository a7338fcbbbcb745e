//! The ticks of one recorded symbol as a series, played once or in a loop.

use std::{sync::Arc, time::Duration};

use super::ticks::Ticks;
use crate::{
    tape::{Cursor, Series},
    tick::{Sequence, Tick, Time},
};

/// The recorded ticks of one symbol. Clones share the ticks.
#[derive(Clone, Debug)]
pub struct RecordedSeries {
    ticks: Arc<Ticks>,
    looped: Option<Loop>,
    last: Sequence,
}

/// How a recording is looped, the same for all its symbols: the ticks of pass *k* are `k × period` later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loop {
    start: Time,
    /// Nanoseconds from the start of one pass to the start of the next; longer than the recording.
    period: u64,
}

struct RecordedCursor {
    series: RecordedSeries,
    sequence: Sequence,
    /// Index of the tick in the recording, and how much later this pass is.
    at: usize,
    later: Duration,
}

impl Loop {
    /// The loop of a recording of `ticks` ticks. The pause between two passes is the mean time between two ticks, so that
    /// the last tick of a pass and the first tick of the next one have different times.
    pub(super) fn new(start: Time, end: Time, ticks: u64) -> Self {
        const ALL_AT_ONCE: u64 = 1_000_000_000;
        let length = end.nanos() - start.nanos();
        let mean = match length {
            0 => ALL_AT_ONCE,
            _ => (length / ticks.saturating_sub(1).max(1)).max(1),
        };
        Self { start, period: length.saturating_add(mean) }
    }

    /// Time from the start of one pass to the start of the next.
    pub(super) fn period(self) -> Duration {
        Duration::from_nanos(self.period)
    }
}

impl RecordedSeries {
    pub(super) fn new(ticks: Arc<Ticks>, looped: Option<Loop>) -> Self {
        // A loop ends at the last time, or at the last sequence that has a successor.
        let mut series = Self { last: Sequence(u64::MAX - 1), ticks, looped };
        series.last = series.sequence_at(Time::MAX).unwrap_or(series.first());
        series
    }

    /// The pass, and the index in the recording, of a sequence of the series.
    fn place(&self, sequence: Sequence) -> (u64, usize) {
        let (n, len) = (sequence.0 - self.first().0, self.ticks.len() as u64);
        (n / len, (n % len) as usize)
    }

    fn later(&self, pass: u64) -> Duration {
        // No sequence up to the last one has a time that overflows.
        Duration::from_nanos(self.looped.map_or(0, |looped| pass.saturating_mul(looped.period)))
    }
}

impl Series for RecordedSeries {
    fn first(&self) -> Sequence {
        self.ticks.first()
    }

    fn last(&self) -> Sequence {
        self.last
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        let (passes, time) = match self.looped {
            Some(Loop { start, period }) => {
                let since = time.nanos().checked_sub(start.nanos())?;
                (since / period, start + Duration::from_nanos(since % period))
            }
            None => (0, time),
        };
        let of_passes = u128::from(passes) * self.ticks.len() as u128;
        let count = of_passes + self.ticks.count_up_to(time) as u128;
        let last = u128::from(self.first().0) + count.checked_sub(1)?;
        Some(u64::try_from(last).map_or(self.last, Sequence).min(self.last))
    }

    fn tick(&self, sequence: Sequence) -> Tick {
        let sequence = sequence.clamp(self.first(), self.last);
        let (pass, at) = self.place(sequence);
        let tick = self.ticks.get(at);
        Tick { sequence, time: tick.time + self.later(pass), ..tick }
    }

    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        let sequence = from.clamp(self.first(), self.last);
        let (pass, at) = self.place(sequence);
        Box::new(RecordedCursor { sequence, at, later: self.later(pass), series: self.clone() })
    }
}

impl Cursor for RecordedCursor {
    fn tick(&self) -> Tick {
        let tick = self.series.ticks.get(self.at);
        Tick { sequence: self.sequence, time: tick.time + self.later, ..tick }
    }

    fn advance(&mut self) {
        if self.sequence == self.series.last {
            return;
        }
        self.sequence = self.sequence.next();
        self.at += 1;
        if self.at == self.series.ticks.len() {
            self.at = 0;
            self.later += self.series.later(1);
        }
    }
}
