//! What instruments share: factors, which move the prices of several, and the weather, the calm and stormy times of all.

use std::sync::{Arc, OnceLock};

use wide::f64x2;

use super::{
    calendar::{BLOCKS, DAY, Position, TOP, YEAR},
    keys::{Draw, Key, normals},
    path::Path,
    rhythm::factor_share,
    share::{self, part},
};
use crate::tape::{Instrument, MOST_FACTORS};

const DAYS: usize = 1 << (TOP - DAY);

/// How uneven the halves of a factor are, as a share of how uneven they may be, in 1/256. All of it is weather.
const WEATHER_OF_FACTORS: i64 = 195;
/// The same for an instrument's own part: how much is weather, and how much its own.
const WEATHER: i64 = 192;
const OWN: i64 = 38;

/// Calm and stormy times, which all instruments share.
#[derive(Debug)]
pub(super) struct Weather {
    key: Key,
    /// For each block of the clock the variance of a factor on each day, as a share of that of the block, worked out when it is first
    /// needed.
    blocks: Box<[OnceLock<Box<[f64]>>]>,
}

/// The path of one factor, with a variance of 1 over a block.
#[derive(Debug)]
pub(super) struct Factor {
    key: Key,
    /// For each block of the clock its values at the start of each day and at the end, worked out when they are first needed.
    blocks: Box<[OnceLock<Box<[f64]>>]>,
}

/// The factors of one instrument.
#[derive(Debug)]
pub(super) struct Factors {
    weather: Arc<Weather>,
    factors: Vec<Arc<Factor>>,
    /// How far each moves the instrument.
    loads: [f64; MOST_FACTORS],
    /// The same in deviations of their sum.
    weights: [f64; MOST_FACTORS],
    keys: [Key; MOST_FACTORS],
    /// Variance of all of them together over a block.
    variance: f64,
}

impl Weather {
    pub(super) fn new(seed: u64) -> Self {
        Self { key: Key::of_factor(seed, ""), blocks: empty() }
    }

    #[inline(always)]
    pub(super) fn draw(&self, position: Position) -> Draw {
        self.key.draw(position)
    }

    #[inline]
    fn day(&self, day: u64) -> f64 {
        let (block, day) = place(day);
        let days = self.blocks[block].get_or_init(|| self.halve(block as u64, |_, _, _, _| ()).into());
        days[day]
    }

    /// Halves a block down to days. What is called for each split gets the first day, the number of days of a half, and the variance
    /// of the whole and the share of its left half.
    fn halve(&self, block: u64, mut split: impl FnMut(usize, usize, f64, f64)) -> [f64; DAYS] {
        let (mut variances, mut evens) = ([0.0; DAYS], [0; DAYS]);
        let start = block << TOP;
        (variances[0], evens[0]) = (1.0, self.draw(start).even(0));
        for below in (DAY..TOP).rev() {
            let half = 1 << (below - DAY);
            for first in (0..DAYS).step_by(2 * half) {
                let variance = variances[first];
                let from = start + ((first as u64) << DAY);
                let share = share_of_factor(factor_share(from, below), evens[first], below);
                split(first, half, variance, share);
                let draw = self.draw(from | 1 << below);
                (variances[first], variances[first + half]) = (variance * share, variance * (1.0 - share));
                (evens[first], evens[first + half]) = (draw.even(0), draw.even(1));
            }
        }
        variances
    }
}

impl Factor {
    pub(super) fn new(seed: u64, name: &str) -> Self {
        Self { key: Key::of_factor(seed, name), blocks: empty() }
    }

    /// The values at the start and at the end of a day.
    #[inline]
    fn day(&self, day: u64, weather: &Weather) -> (f64, f64) {
        let (block, day) = place(day);
        let values = self.blocks[block].get_or_init(|| self.values(block as u64, weather));
        (values[day], values[day + 1])
    }

    fn values(&self, block: u64, weather: &Weather) -> Box<[f64]> {
        let edge = |block: u64| self.key.draw(block << TOP).normal() * AT_EDGES.sqrt();
        let mut values = vec![0.0; DAYS + 1];
        (values[0], values[DAYS]) = (edge(block), edge(block + 1));
        weather.halve(block, |first, half, variance, share| {
            let (from, to) = (values[first], values[first + 2 * half]);
            let middle = (block << TOP) + (((first + half) as u64) << DAY);
            let shift = (variance * (share * (1.0 - share))).sqrt() * self.key.draw(middle).normal();
            values[first + half] = from + share * (to - from) + shift;
        });
        values.into()
    }
}

/// The variance of a path at the edges of blocks, for a variance of 1 over a block: the difference of two has the whole.
pub(super) const AT_EDGES: f64 = 0.5;

impl Factors {
    /// The factors of an instrument, with a variance over a block.
    pub(super) fn new(
        instrument: &Instrument,
        variance: f64,
        weather: Arc<Weather>,
        mut factor: impl FnMut(&str) -> Arc<Factor>,
    ) -> Self {
        let mut of = Self {
            weather,
            factors: Vec::new(),
            loads: [0.0; MOST_FACTORS],
            weights: [0.0; MOST_FACTORS],
            keys: [Key::default(); MOST_FACTORS],
            variance: 0.0,
        };
        for (number, (name, correlation)) in (0..MOST_FACTORS).zip(&instrument.factors) {
            let factor = factor(name);
            of.keys[number] = factor.key;
            of.factors.push(factor);
            of.loads[number] = correlation * variance.sqrt();
            of.variance += correlation * correlation * variance;
        }
        let deviation = if of.variance > 0.0 { of.variance.sqrt() } else { 1.0 };
        of.weights = of.loads.map(|load| load / deviation);
        of
    }

    /// Variance of all of them together over a block.
    pub(super) fn variance(&self) -> f64 {
        self.variance
    }

    /// What they do over a day.
    #[inline]
    pub(super) fn over_day(&self, day: u64) -> Path {
        if self.factors.is_empty() {
            return Path::default();
        }
        let (mut value, mut end) = (0.0, 0.0);
        for (factor, load) in self.factors.iter().zip(self.loads) {
            let (at_start, at_end) = factor.day(day, &self.weather);
            value += load * at_start;
            end += load * at_end;
        }
        Path { value, rise: end - value, variance: self.weather.day(day) * self.variance }
    }

    /// The normal number of a draw, and that of all factors at a position together, in deviations of their sum.
    #[inline(always)]
    pub(super) fn normals(&self, own: Draw, position: Position) -> f64x2 {
        let [first, second, third] = self.keys.map(|key| key.draw(position));
        let weights = self.weights;
        let one = f64x2::new([1.0, weights[0]]) * normals([own, first]);
        let two = f64x2::new([weights[1], weights[2]]) * normals([second, third]);
        let ([own, first], [second, third]) = (one.to_array(), two.to_array());
        f64x2::new([own, first + second + third])
    }
}

/// The share of the left half of a span in the variance of a factor, if its share in the activity is `prior`. `even` says how uneven
/// the weather makes the halves, in 1/256.
#[inline(always)]
pub(super) fn share_of_factor(prior: i64, even: i32, below: u32) -> f64 {
    part(prior + share::tilted(share::spread(prior), WEATHER_OF_FACTORS * i64::from(even), below))
}

/// How uneven the halves of a span of an instrument's own part are, in units of 2^-16 of how uneven they may be, for draws in 1/256.
#[inline(always)]
pub(super) fn tilt(weather: i32, own: i32) -> i64 {
    WEATHER * i64::from(weather) + OWN * i64::from(own)
}

fn empty<T>() -> Box<[OnceLock<T>]> {
    (0..BLOCKS).map(|_| OnceLock::new()).collect()
}

/// The block of a day, and its number there. A day after the end of time is the last one.
#[inline]
fn place(day: u64) -> (usize, usize) {
    let last = BLOCKS * DAYS as u64 - 1;
    let day = day.min(last) as usize;
    (day / DAYS, day % DAYS)
}

/// The yearly volatility of an instrument. What is no volatility counts as none. More than 10,000 % would not fit a double.
pub(super) fn volatility(instrument: &Instrument) -> f64 {
    if instrument.annual_volatility > 0.0 { instrument.annual_volatility.min(100.0) } else { 0.0 }
}

/// The variance of its log price over so many nanoseconds.
pub(super) fn variance(instrument: &Instrument, nanos: f64) -> f64 {
    volatility(instrument) * volatility(instrument) * (nanos / YEAR)
}
