//! One symbol of a replay.

use std::sync::Arc;

use crate::{
    grpc::wire::V1Format,
    history::{CachedCandles, Day, DayFold},
    hub::{Interest, Quote, Sent, TickMeta, WireFormat},
    tape::{Cursor, Instrument, Series, TopOfBook},
    tick::{Sequence, Tick, Time},
};

/// One symbol of a replay: its position on the tape, and what the next tick needs.
pub(super) struct ReplayedSymbol {
    pub(super) instrument: Arc<Instrument>,
    pub(super) series: Arc<dyn Series>,
    /// Hours of the days of its quotes.
    pub(super) cached: CachedCandles,
    /// The first sequence that is not sent.
    pub(super) next: Sequence,
    /// With a minimum interval: the least time of the next tick.
    pub(super) not_before: Time,
    /// With quotes: the figures of the day.
    pub(super) day: Option<DayFold>,
}

/// Cost of opening a symbol or moving it to a later time, in ticks read.
pub(super) const OPEN: usize = 16;

impl ReplayedSymbol {
    /// Sends a tick, unless the minimum interval leaves it out. False when more has to be read before.
    pub(super) fn send(
        &mut self,
        tick: &Tick,
        interest: Interest,
        format: &mut V1Format,
        reads: &mut usize,
        out: &mut Vec<u8>,
        sent: &mut Sent,
    ) -> bool {
        if tick.time >= self.not_before {
            if interest.min_interval().is_zero() && tick.sequence > self.next {
                // The window of a growing tape has moved past what comes next.
                format.gap(&self.instrument.symbol, self.next, tick.sequence.previous(), out);
                self.next = tick.sequence;
            }
            let mut quote = None;
            if format.quotes() {
                let Some(figures) = self.figures(tick, reads) else { return false };
                quote = Some(Quote::after(tick, &self.instrument, figures));
            }
            let conflated = tick.sequence.0.saturating_sub(self.next.0);
            let meta = TickMeta { conflated, snapshot: false };
            format.tick(&self.instrument, tick, meta, quote.as_ref(), out);
            sent.note(meta);
            self.next = tick.sequence.next();
            self.not_before = tick.time + interest.min_interval();
        }
        *reads = reads.saturating_sub(1);
        true
    }

    /// The figures of the day and the book after a tick; `None` when more has to be read for them.
    fn figures(&mut self, tick: &Tick, reads: &mut usize) -> Option<(Day, Option<TopOfBook>)> {
        let day = match &mut self.day {
            Some(day) => day,
            none => {
                *reads = reads.saturating_sub(OPEN).max(1);
                let (series, cached) = (self.series.clone(), self.cached.clone());
                none.insert(DayFold::new(series, self.instrument.trading_days(), tick.sequence, cached))
            }
        };
        Some((day.reach(tick.sequence, reads)?, day.top_of_book()))
    }

    /// A cursor at the next tick that the minimum interval does not leave out; `None` when that is `next` itself. It is
    /// at most at the newest tick by `limit`, so that the replay reaches the present and its end with the same ticks as
    /// if every tick were read.
    pub(super) fn jump(&self, next: &Tick, limit: Time, reads: &mut usize) -> Option<Box<dyn Cursor>> {
        if next.time >= self.not_before {
            return None;
        }
        *reads = reads.saturating_sub(OPEN);
        let wanted = match self.not_before <= limit {
            true => self.series.sequence_from(self.not_before).min(self.series.last()),
            false => self.series.sequence_at(limit)?,
        };
        (wanted > next.sequence).then(|| self.series.cursor(wanted))
    }
}
