//! The parts of a path: that of the instrument alone, and one for each factor that it shares with others.

use super::{
    calendar::YEAR,
    keys::{Draw, Key},
};
use crate::tape::{Instrument, MOST_FACTORS};

/// Number of parts. Those that an instrument does not have are flat.
pub(super) const PARTS: usize = MOST_FACTORS + 1;

/// The parts of a path. All of them are computed at once, so each figure is an array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) keys: [Key; PARTS],
    /// Variance over a block.
    pub(super) variance: [f64; PARTS],
    /// Share in the variance of the path.
    pub(super) weight: [f64; PARTS],
    /// −1 if the instrument falls when the factor rises.
    pub(super) sign: [f64; PARTS],
}

/// What the parts do over a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moves {
    pub(super) rise: [f64; PARTS],
    pub(super) variance: [f64; PARTS],
}

impl Parts {
    /// The parts of an instrument, whose own one has a key. Their variance is over so many nanoseconds.
    pub(super) fn new(seed: u64, instrument: &Instrument, own: Key, nanos: f64) -> Self {
        let variance = variance(instrument, nanos);
        let mut parts =
            Self { keys: [own; PARTS], variance: [0.0; PARTS], weight: [0.0; PARTS], sign: [1.0; PARTS] };
        for (number, (name, correlation)) in (1..PARTS).zip(&instrument.factors) {
            parts.keys[number] = Key::of_factor(seed, name);
            parts.weight[number] = correlation * correlation;
            parts.sign[number] = if *correlation < 0.0 { -1.0 } else { 1.0 };
        }
        parts.weight[0] = (1.0 - parts.weight.iter().sum::<f64>()).max(0.0);
        parts.variance = parts.weight.map(|weight| weight * variance);
        parts
    }

    /// What each part draws.
    #[inline(always)]
    pub(super) fn draw(&self, counter: u64) -> [Draw; PARTS] {
        self.keys.map(|key| key.draw(counter))
    }

    /// Figures of the parts with their signs.
    #[inline(always)]
    pub(super) fn signed(&self, figures: [f64; PARTS]) -> [f64; PARTS] {
        times(figures, self.sign)
    }
}

/// A standard normal number of each draw.
#[inline(always)]
pub(super) fn normals(draws: [Draw; PARTS]) -> [f64; PARTS] {
    draws.map(Draw::normal)
}

/// The products of two figures of each part.
#[inline(always)]
pub(super) fn times(mut one: [f64; PARTS], other: [f64; PARTS]) -> [f64; PARTS] {
    for number in 0..PARTS {
        one[number] *= other[number];
    }
    one
}

/// The yearly volatility of an instrument. What is no volatility counts as none. More than 10,000 % would not fit a double.
pub(super) fn volatility(instrument: &Instrument) -> f64 {
    if instrument.annual_volatility > 0.0 { instrument.annual_volatility.min(100.0) } else { 0.0 }
}

/// The variance of its log price over so many nanoseconds.
pub(super) fn variance(instrument: &Instrument, nanos: f64) -> f64 {
    volatility(instrument) * volatility(instrument) * (nanos / YEAR)
}
