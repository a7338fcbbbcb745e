//! What shows only when every tick is read: gaps, bursts, the book before and after a trade, and sizes.

use std::{collections::VecDeque, time::Duration};

use super::{
    minutes::{DAY_MINUTES, HOUR_MINUTES, MINUTE, Minutes},
    quoted::{self, Quoted, middle, spread},
    statistics::Autocorrelation,
};
use crate::{
    tape::{Instrument, Series, TopOfBook},
    tick::{Sequence, Tick, Time},
};

/// Lags, in trades, of the autocorrelation of signs.
pub(super) const SIGN_LAGS: [usize; 3] = [1, 5, 20];

/// The length of a burst.
const BURST: Duration = Duration::from_millis(10);

/// Largest number of ticks that are read of one instrument.
const BUDGET: u64 = 10_000_000;
/// How many of the busiest minutes are searched for bursts.
const BUSIEST: usize = 10;
/// Days of which every hour is read where there is no time for all: one hour of each day, in turn.
const SAMPLED_DAYS: usize = 12;
/// Of this many ticks one size is kept.
const KEPT_SIZE: u64 = 8;

/// Sums over the ticks that were read.
pub(super) struct Ticks {
    /// Whether these are all ticks of the span.
    pub(super) is_all: bool,
    /// The number of ticks.
    pub(super) count: f64,
    pub(super) gaps: Gaps,
    /// Most ticks in any 10 ms.
    pub(super) burst: usize,
    pub(super) book: Book,
    /// The signs of trades at each of [`SIGN_LAGS`].
    pub(super) signs: [Autocorrelation; 3],
    /// The changes of the price from trade to trade.
    pub(super) changes: Autocorrelation,
    pub(super) sizes: Sizes,
    /// Trades whose price is a multiple of ten price increments.
    pub(super) round_prices: f64,
}

/// The times between ticks, in seconds.
#[derive(Default)]
pub(super) struct Gaps {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) squares: f64,
    pub(super) longest: f64,
}

/// Trades that were compared with the book before them.
#[derive(Default)]
pub(super) struct Book {
    /// Trades with a book before and after them.
    pub(super) count: f64,
    /// Trades at the bid or the ask.
    pub(super) at_quote: f64,
    /// Trades above the ask or below the bid.
    pub(super) outside: f64,
    /// Trades after which the bid is at or above the ask that stood before.
    pub(super) crossed: f64,
    /// Trades that leave both prices as they were.
    pub(super) unchanged: f64,
    /// Sum of the spreads in basis points.
    pub(super) basis_points: f64,
    /// Sum of the spreads in price increments.
    pub(super) increments: f64,
}

/// The sizes of trades.
#[derive(Default)]
pub(super) struct Sizes {
    /// Trades with a quantity.
    pub(super) count: f64,
    /// Their sum, in quantity increments.
    pub(super) sum: f64,
    /// Sizes that are multiples of ten.
    pub(super) tens: f64,
    /// Sizes that are multiples of a hundred.
    pub(super) hundreds: f64,
    /// A part of the sizes.
    pub(super) kept: Vec<f64>,
}

/// The state from one tick to the next.
struct Reader<'a> {
    ticks: &'a mut Ticks,
    increment: f64,
    last: Option<Quoted>,
    last_sign: f64,
    recent: VecDeque<Time>,
}

impl Ticks {
    /// Reads all ticks of the span, or where they are too many, ticks from every hour of the day, and the busiest minutes.
    pub(super) fn read(series: &dyn Series, instrument: &Instrument, minutes: &Minutes) -> Self {
        let mut ticks = Self {
            is_all: minutes.ticks() <= BUDGET as f64,
            count: 0.0,
            gaps: Gaps::default(),
            burst: 0,
            book: Book::default(),
            signs: SIGN_LAGS.map(Autocorrelation::new),
            changes: Autocorrelation::new(1),
            sizes: Sizes::default(),
            round_prices: 0.0,
        };
        let spans = if ticks.is_all { vec![(0, minutes.len())] } else { hours(minutes.len()) };
        let most = BUDGET / spans.len() as u64;
        for (from, to) in spans {
            let Some((first, last)) = sequences(series, minutes, from, to) else { continue };
            let last = Sequence(last.0.min(first.0.saturating_add(most)));
            ticks.read_span(series, instrument, first, last);
        }
        if !ticks.is_all {
            for minute in busiest(&minutes.counts) {
                let Some((first, last)) = sequences(series, minutes, minute, minute + 1) else { continue };
                let mut recent = VecDeque::new();
                let last = Sequence(last.0.min(first.0.saturating_add(most)));
                quoted::each(series, first, last, |quoted| {
                    ticks.burst = ticks.burst.max(burst(&mut recent, &quoted.tick));
                });
            }
        }
        ticks
    }

    fn read_span(&mut self, series: &dyn Series, instrument: &Instrument, first: Sequence, last: Sequence) {
        self.changes.interrupt();
        self.signs.iter_mut().for_each(Autocorrelation::interrupt);
        let mut reader = Reader {
            ticks: self,
            increment: instrument.price_increment.nanos() as f64,
            last: None,
            last_sign: 0.0,
            recent: VecDeque::new(),
        };
        quoted::each(series, first, last, |quoted| reader.take(quoted));
    }
}

impl Reader<'_> {
    fn take(&mut self, quoted: Quoted) {
        let nanos = quoted.tick.price.nanos();
        self.ticks.count += 1.0;
        self.ticks.burst = self.ticks.burst.max(burst(&mut self.recent, &quoted.tick));
        self.ticks.round_prices += one_if(nanos % (self.increment as i64).saturating_mul(10) == 0);
        self.ticks.sizes.take(quoted.tick.quantity, quoted.tick.sequence);
        if let Some(last) = self.last.replace(quoted) {
            let gap = Duration::from_nanos(quoted.tick.time.nanos() - last.tick.time.nanos());
            self.ticks.gaps.take(gap);
            self.ticks.changes.push((nanos - last.tick.price.nanos()) as f64 / self.increment);
            if let (Some(before), Some(after)) = (&last.book, &quoted.book) {
                self.ticks.book.take(&quoted.tick, before, after, self.increment);
            }
            let sign = self.sign(&quoted.tick, &last);
            if sign != 0.0 {
                self.last_sign = sign;
                self.ticks.signs.iter_mut().for_each(|signs| signs.push(sign));
            }
        }
    }

    /// Whether a buyer (1) or a seller (-1) made the trade: by the side of the middle of the book before it, else by the last
    /// change of the price (Lee and Ready, 1991); 0 where neither is known.
    fn sign(&self, trade: &Tick, last: &Quoted) -> f64 {
        let price = trade.price.to_f64();
        let from_middle = last.book.as_ref().map_or(0.0, |book| price - middle(book));
        let change = price - last.tick.price.to_f64();
        if from_middle != 0.0 {
            from_middle.signum()
        } else if change != 0.0 {
            change.signum()
        } else {
            self.last_sign
        }
    }
}

impl Gaps {
    /// Silence of half an hour is not a gap between trades but a closed market.
    const LONGEST: Duration = Duration::from_secs(30 * 60);

    fn take(&mut self, gap: Duration) {
        if gap >= Self::LONGEST {
            return;
        }
        let seconds = gap.as_secs_f64();
        self.count += 1.0;
        self.sum += seconds;
        self.squares += seconds * seconds;
        self.longest = self.longest.max(seconds);
    }

    /// The mean, in seconds.
    pub(super) fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// The standard deviation over the mean.
    pub(super) fn variation(&self) -> Option<f64> {
        let mean = self.mean();
        let variation = (self.squares / self.count - mean * mean).max(0.0).sqrt() / mean;
        variation.is_finite().then_some(variation)
    }
}

impl Book {
    fn take(&mut self, trade: &Tick, before: &TopOfBook, after: &TopOfBook, increment: f64) {
        self.count += 1.0;
        self.at_quote += one_if(trade.price == before.bid || trade.price == before.ask);
        self.outside += one_if(trade.price < before.bid || trade.price > before.ask);
        self.crossed += one_if(after.bid >= before.ask);
        self.unchanged += one_if((after.bid, after.ask) == (before.bid, before.ask));
        self.basis_points += spread(after);
        self.increments += (after.ask.nanos() - after.bid.nanos()) as f64 / increment;
    }
}

impl Sizes {
    fn take(&mut self, quantity: u64, sequence: Sequence) {
        if quantity == 0 {
            return;
        }
        self.count += 1.0;
        self.sum += quantity as f64;
        self.tens += one_if(quantity.is_multiple_of(10));
        self.hundreds += one_if(quantity.is_multiple_of(100));
        if sequence.0.is_multiple_of(KEPT_SIZE) {
            self.kept.push(quantity as f64);
        }
    }
}

fn one_if(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

/// Adds a tick to those of the last 10 ms, and returns how many they are.
fn burst(recent: &mut VecDeque<Time>, tick: &Tick) -> usize {
    recent.push_back(tick.time);
    while recent.front().is_some_and(|first| *first + BURST <= tick.time) {
        recent.pop_front();
    }
    recent.len()
}

/// One hour of each of many days, evenly spread: each hour of the day equally often.
fn hours(minutes: usize) -> Vec<(usize, usize)> {
    let hours = (minutes / HOUR_MINUTES).clamp(1, SAMPLED_DAYS * 24);
    let days = (minutes / DAY_MINUTES).max(1);
    let span = |n: usize| {
        let from = (n * days / hours * DAY_MINUTES) + n % 24 * HOUR_MINUTES;
        (from, (from + HOUR_MINUTES).min(minutes))
    };
    (0..hours).map(span).filter(|(from, to)| from < to).collect()
}

/// The first and the last tick between two minutes.
fn sequences(series: &dyn Series, minutes: &Minutes, from: usize, to: usize) -> Option<(Sequence, Sequence)> {
    let boundary = |minute: usize| minutes.start + MINUTE * minute as u32;
    let (first, end) = (series.sequence_from(boundary(from)), series.sequence_from(boundary(to)));
    (first < end).then(|| (first, end.previous()))
}

/// The minutes with the most ticks.
fn busiest(counts: &[f64]) -> Vec<usize> {
    let mut minutes: Vec<usize> = (0..counts.len()).collect();
    let most = BUSIEST.min(minutes.len());
    if most < minutes.len() {
        minutes.select_nth_unstable_by(most, |a, b| counts[*b].total_cmp(&counts[*a]));
        minutes.truncate(most);
    }
    minutes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::Price;

    fn tick(millis: u64) -> Tick {
        let price = Price::from_nanos(1).unwrap();
        let time = Time::from_nanos(millis * 1_000_000);
        Tick { sequence: Sequence(0), time, price, quantity: 1 }
    }

    #[test]
    fn a_burst_is_what_falls_into_less_than_10_ms() {
        let mut recent = VecDeque::new();
        let counts: Vec<_> = [0, 0, 5, 9, 10, 19, 100].map(|millis| burst(&mut recent, &tick(millis))).into();
        assert_eq!(counts, [1, 2, 3, 4, 3, 2, 1]);
    }

    #[test]
    fn the_sampled_hours_are_each_of_the_day_as_often() {
        let hours = hours(512 * DAY_MINUTES);
        assert_eq!(hours.len(), SAMPLED_DAYS * 24);
        for hour in 0..24 {
            let of_day = hours.iter().filter(|(from, _)| from % DAY_MINUTES == hour * HOUR_MINUTES);
            assert_eq!(of_day.count(), SAMPLED_DAYS);
        }
        assert_eq!(super::hours(5), [(0, 5)]);
    }

    #[test]
    fn the_busiest_minutes_are_those_with_the_most_ticks() {
        let mut counts = vec![1.0; 100];
        counts[42] = 9.0;
        assert!(busiest(&counts).contains(&42));
        assert_eq!(busiest(&counts).len(), BUSIEST);
        assert_eq!(busiest(&[1.0]), [0]);
    }
}
