//! A tape at every full minute of a span, read at random access.

use std::time::Duration;

use super::quoted::{Quoted, middle, spread};
use crate::{
    tape::{Instrument, InstrumentStatus, Series},
    tick::{Sequence, Time},
};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR_MINUTES: usize = 60;
pub(super) const DAY_MINUTES: usize = 1440;

/// What a tape shows at the boundaries of minutes, and how many ticks are between them.
pub(super) struct Minutes {
    pub(super) start: Time,
    /// The number of ticks of each minute.
    pub(super) counts: Vec<f64>,
    /// The logarithm of the last price at each boundary, one more than there are minutes.
    pub(super) trades: Vec<f64>,
    /// The logarithm of the middle of the book at each boundary; empty when the tape knows no book.
    pub(super) middles: Vec<f64>,
    /// The spread at each boundary in basis points; empty when the tape knows no book.
    pub(super) spreads: Vec<f64>,
    /// The number of minutes before each boundary in which the market was closed.
    closed: Vec<usize>,
}

impl Minutes {
    /// Reads this many minutes.
    pub(super) fn read(series: &dyn Series, instrument: &Instrument, start: Time, minutes: usize) -> Self {
        let mut read = Self {
            start,
            counts: Vec::with_capacity(minutes),
            trades: Vec::with_capacity(minutes + 1),
            middles: Vec::new(),
            spreads: Vec::new(),
            closed: Vec::new(),
        };
        // The tick before a boundary, or at the start of the tape the first one.
        let before = |next: Sequence| Quoted::at(series, next.previous().max(series.first()));
        let mut next = series.sequence_from(start);
        let mut quoted = before(next);
        read.push(&quoted);
        for minute in 1..=minutes {
            let from = next;
            next = series.sequence_from(start + MINUTE * minute as u32);
            read.counts.push((next.0 - from.0) as f64);
            if next != from {
                quoted = before(next);
            }
            read.push(&quoted);
        }
        let status = |minute: usize| instrument.status_at(start + MINUTE * minute as u32);
        read.closed = before_each(match status(0) {
            Some(_) => (0..minutes).map(|minute| status(minute) != Some(InstrumentStatus::Open)).collect(),
            None => silent(&read.counts),
        });
        read
    }

    fn push(&mut self, quoted: &Quoted) {
        self.trades.push(libm::log(quoted.tick.price.to_f64()));
        if let Some(book) = &quoted.book {
            self.middles.push(libm::log(middle(book)));
            self.spreads.push(spread(book));
        }
    }

    /// The number of minutes.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// The number of ticks.
    pub(super) fn ticks(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// Whether the market was open in a minute.
    pub(super) fn is_open(&self, minute: usize) -> bool {
        self.are_open(minute, minute + 1)
    }

    /// Whether the market was open in all minutes from one to before another.
    pub(super) fn are_open(&self, from: usize, to: usize) -> bool {
        self.closed[from] == self.closed[to]
    }

    /// The share of minutes in which the market was open.
    pub(super) fn open_share(&self) -> f64 {
        1.0 - self.closed[self.len()] as f64 / self.len() as f64
    }

    /// The ticks of each minute in which the market was open.
    pub(super) fn open_counts(&self) -> Vec<f64> {
        (0..self.len()).filter(|minute| self.is_open(*minute)).map(|minute| self.counts[minute]).collect()
    }

    /// The minutes at which stretches of `step` minutes begin that have a return: the market is open all along, and was open
    /// the minute before, so that the return of an opening is not among them.
    pub(super) fn stretches(&self, step: usize) -> impl Iterator<Item = usize> {
        let starts = (0..self.len() / step).map(move |n| n * step);
        starts.filter(move |from| self.are_open(from.saturating_sub(1), from + step))
    }

    /// The log returns of stretches of `step` minutes in which the market was open.
    pub(super) fn returns(&self, logs: &[f64], step: usize) -> Vec<f64> {
        if logs.is_empty() {
            return Vec::new();
        }
        self.stretches(step).map(|from| logs[from + step] - logs[from]).collect()
    }

    /// The ends of the days that have ticks, as minutes.
    pub(super) fn closes(&self) -> Vec<usize> {
        let has_ticks = |day: &usize| {
            self.counts[day * DAY_MINUTES..(day + 1) * DAY_MINUTES].iter().any(|count| *count > 0.0)
        };
        (0..self.len() / DAY_MINUTES).filter(has_ticks).map(|day| (day + 1) * DAY_MINUTES).collect()
    }

    /// The log returns from the end of each day that has ticks to the next.
    pub(super) fn daily_returns(&self, logs: &[f64]) -> Vec<f64> {
        let closes = self.closes();
        closes.windows(2).filter_map(|pair| Some(logs.get(pair[1])? - logs.get(pair[0])?)).collect()
    }

    /// Minutes since midnight UTC on a Thursday, 1 January 1970, at which a minute begins.
    fn since_epoch(&self, minute: usize) -> usize {
        (self.start.nanos() / MINUTE.as_nanos() as u64) as usize + minute
    }

    /// The hour of the day, in UTC, in which a minute is.
    pub(super) fn hour(&self, minute: usize) -> usize {
        self.since_epoch(minute) / HOUR_MINUTES % 24
    }

    /// Whether a minute is on a Saturday or a Sunday, in UTC.
    pub(super) fn is_weekend(&self, minute: usize) -> bool {
        matches!(self.since_epoch(minute) / DAY_MINUTES % 7, 2 | 3)
    }
}

/// In which minutes the market was closed, for a recording, which does not say it: half an hour without a tick counts as closed,
/// unless most minutes have no tick or such silence is frequent.
fn silent(counts: &[f64]) -> Vec<bool> {
    const LEAST: usize = 30;
    let silent: Vec<(usize, usize)> = silences(counts).filter(|(from, to)| to - from >= LEAST).collect();
    let others = counts.len() - silent.iter().map(|(from, to)| to - from).sum::<usize>();
    let ticking = counts.iter().filter(|count| **count > 0.0).count();
    let is_busy = 2 * ticking >= others && others >= LEAST * silent.len();
    let mut is_closed = vec![false; counts.len()];
    for (from, to) in silent.into_iter().filter(|_| is_busy) {
        is_closed[from..to].fill(true);
    }
    is_closed
}

/// How many minutes before each boundary the market was closed.
fn before_each(is_closed: Vec<bool>) -> Vec<usize> {
    let mut before = 0;
    let sums = is_closed.into_iter().map(|closed| {
        before += usize::from(closed);
        before
    });
    [0].into_iter().chain(sums).collect()
}

/// Stretches of minutes without a tick, each from its first minute to before the next one with a tick.
fn silences(counts: &[f64]) -> impl Iterator<Item = (usize, usize)> {
    let mut from = 0;
    counts.chunk_by(|a, b| (*a > 0.0) == (*b > 0.0)).filter_map(move |run| {
        let start = from;
        from += run.len();
        (run[0] == 0.0).then_some((start, from))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_without_ticks_is_closed_and_a_quiet_minute_is_not() {
        let counts =
            [[5.0; 40].as_slice(), &[0.0; 20], &[0.0; 40], &[5.0; 20], &[0.0; 5], &[5.0; 30]].concat();
        let closed = before_each(silent(&counts));
        assert_eq!([0, 40, 100, 155].map(|minute| closed[minute]), [0, 0, 60, 60]);
    }

    #[test]
    fn an_instrument_with_a_tick_an_hour_is_never_closed() {
        let counts: Vec<f64> = (0..600).map(|minute| if minute % 60 == 0 { 1.0 } else { 0.0 }).collect();
        assert!(!silent(&counts).contains(&true));
    }
}
