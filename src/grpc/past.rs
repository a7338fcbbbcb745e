//! The past of one instrument: what the tape has, and what has left the window of a feed and is only in its log.

use std::{ops::Range, sync::Arc};

use super::{WorkerContext, call::Call, status::Failure};
use crate::{
    feed::{FeedError, StoredPart, StoredTicks},
    history::{Order, PastTicks, TickPage},
    tape::Instrument,
    tick::{Sequence, Tick, Time},
};

/// The past of one instrument.
pub(super) struct Past {
    pub(super) instrument: Arc<Instrument>,
    pub(super) ticks: PastTicks,
    stored: Option<Arc<dyn StoredTicks>>,
}

/// Reads a range of stored ticks into a fold.
struct Reading<F, T> {
    range: Range<Sequence>,
    /// The next tick; `None` before the first one. What does not follow is no part of the tape.
    next: Option<Sequence>,
    fold: F,
    take: T,
}

impl Past {
    /// The past of the instrument that a client names, up to now.
    ///
    /// # Errors
    /// There is no such instrument.
    pub(super) fn of(worker: &WorkerContext, symbol: &str, now: Time) -> Result<Self, Failure> {
        let instrument = worker
            .instrument(symbol)
            .map_err(|refusal| Failure::of_symbol(&*worker.tape, symbol, refusal))?;
        let series = worker.tape.series(&instrument);
        let cached = worker.history.cache().of(instrument.symbol, &*series);
        let stored = worker.intake.as_ref().and_then(|intake| intake.stored()).cloned();
        Ok(Self { instrument, ticks: PastTicks::new(series, now).with_cache(cached), stored })
    }

    /// The sequences of a range of times.
    ///
    /// # Errors
    /// The log has to be asked and cannot be read.
    pub(super) async fn sequences(&self, times: Range<Time>) -> Result<Range<Sequence>, Failure> {
        Ok(self.sequence_from(times.start).await?..self.sequence_from(times.end).await?)
    }

    /// The sequence of the first tick at or after a time.
    ///
    /// # Errors
    /// The log has to be asked and cannot be read.
    pub(super) async fn sequence_from(&self, time: Time) -> Result<Sequence, Failure> {
        Ok(self.only_stored_from(time).await?.unwrap_or_else(|| self.ticks.sequence_from(time)))
    }

    /// As [`Self::sequence_from`], if only the log has that tick; otherwise `None`.
    ///
    /// # Errors
    /// The log has to be asked and cannot be read.
    pub(super) async fn only_stored_from(&self, time: Time) -> Result<Option<Sequence>, Failure> {
        let first = self.ticks.available().start;
        let Some(log) = self.log_before(first).filter(|_| self.ticks.sequence_from(time) <= first) else {
            return Ok(None);
        };
        let found = log.sequence_from(self.instrument.symbol, time).await;
        let found = found.unwrap_or(Err(FeedError::Stopped)).map_err(Failure::Feed)?;
        Ok(found.filter(|found| *found < first))
    }

    /// A page of at most `most` ticks of a range, if some of them are only in the log; otherwise `None`.
    ///
    /// # Errors
    /// The log cannot be read; too much history is read already.
    pub(super) async fn stored_page(
        &self,
        call: &Call,
        range: Range<Sequence>,
        order: Order,
        most: usize,
    ) -> Result<Option<TickPage>, Failure> {
        let start = range.start.max(Sequence(1));
        let end = range.end.min(self.ticks.available().end);
        let from = match order {
            Order::OldestFirst => start,
            Order::NewestFirst => start.max(Sequence(end.0.saturating_sub(most as u64))),
        };
        if from >= end || !self.is_only_stored(from) {
            return Ok(None);
        }
        let take = move |ticks: &mut Vec<Tick>, tick: &Tick| {
            ticks.push(*tick);
            Ok(ticks.len() < most)
        };
        let mut ticks = self.fold_stored(call, from..end, Vec::new(), take).await?;
        let next = match order {
            Order::OldestFirst => ticks.last().map(|last| last.sequence.next()).filter(|next| *next < end),
            Order::NewestFirst => {
                ticks.reverse();
                // Without the tick that was asked for, the log has none before it.
                let has_first = ticks.last().is_some_and(|first| first.sequence == from);
                (has_first && from > start).then(|| Sequence(from.0 - 1))
            }
        };
        Ok(Some(TickPage { ticks, next }))
    }

    /// Whether ticks from a sequence on are asked for that only the log has.
    pub(super) fn is_only_stored(&self, from: Sequence) -> bool {
        let first = self.ticks.available().start;
        from < first && self.log_before(first).is_some()
    }

    /// The log, if it may have ticks before a sequence.
    fn log_before(&self, sequence: Sequence) -> Option<&Arc<dyn StoredTicks>> {
        self.stored.as_ref().filter(|_| sequence > Sequence(1))
    }

    /// Gives the stored ticks of a range to `take` in their order, as long as it says that it wants more.
    ///
    /// # Errors
    /// Those of `take`; the log cannot be read; too much history is read already.
    pub(super) async fn fold_stored<F: Send + 'static>(
        &self,
        call: &Call,
        range: Range<Sequence>,
        fold: F,
        take: impl FnMut(&mut F, &Tick) -> Result<bool, Failure> + Send + 'static,
    ) -> Result<F, Failure> {
        let range = range.start..range.end.min(self.ticks.available().end);
        let mut reading = Reading { range, next: None, fold, take };
        let Some(stored) = self.stored.as_ref().filter(|_| !reading.range.is_empty()) else {
            return Ok(reading.fold);
        };
        let mut parts = stored.read(self.instrument.symbol, reading.range.start);
        loop {
            let part = parts.recv().await.unwrap_or(Err(FeedError::Stopped));
            let StoredPart { groups, is_last } = part.map_err(Failure::Feed)?;
            let (stored, instrument) = (stored.clone(), self.instrument.clone());
            let mut groups = groups.into_iter();
            let mut unread = Some(reading);
            let step = move || {
                let mut reading = unread.take()?;
                let wants_more = match groups.next() {
                    None => return Some(Ok((reading, true))),
                    Some(group) => reading.read(&stored.ticks(&group, &instrument)),
                };
                match wants_more {
                    Ok(true) => {
                        unread = Some(reading);
                        None
                    }
                    Ok(false) => Some(Ok((reading, false))),
                    Err(failure) => Some(Err(failure)),
                }
            };
            let wants_more;
            (reading, wants_more) = call.run(step, None).await?;
            if is_last || !wants_more {
                return Ok(reading.fold);
            }
        }
    }
}

impl<F, T: FnMut(&mut F, &Tick) -> Result<bool, Failure>> Reading<F, T> {
    /// Takes ticks. False when no more are wanted.
    fn read(&mut self, ticks: &[Tick]) -> Result<bool, Failure> {
        for tick in ticks {
            let follows = self.next.is_none_or(|next| tick.sequence == next);
            if tick.sequence < self.range.start || !follows {
                continue;
            }
            if tick.sequence >= self.range.end || !(self.take)(&mut self.fold, tick)? {
                return Ok(false);
            }
            self.next = Some(tick.sequence.next());
        }
        Ok(self.next.is_none_or(|next| next < self.range.end))
    }
}
