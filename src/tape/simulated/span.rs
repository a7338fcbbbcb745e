//! What happens in a span of the clock, and in its halves.

use std::{array, hint::select_unpredictable};

use super::{
    calendar::{TOP, UNIT_NANOS},
    keys::Draw,
    path::{Number, Path},
    share::{self, EVEN},
};

/// How much of the order flow of a span its halves keep.
const FLOW: f64 = 0.9;

/// What happens in a span.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) ticks: Ticks,
    pub(super) path: Path,
    /// Whether more is bought or sold: the normal numbers of the splits above, the nearer ones more.
    pub(super) flow: f64,
}

/// The ticks of a span, and how uneven its halves are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ticks {
    /// Number of ticks.
    pub(super) count: i64,
    /// How uneven the halves are, in 1/256.
    pub(super) even: i32,
    /// The noise of the number of their ticks, in 1/512.
    noise: i32,
}

/// How a span is halved.
pub(super) struct Split {
    /// Number of ticks of the left half.
    pub(super) ticks: i64,
    /// Share of the left half in the variance.
    pub(super) share: f64,
    /// The normal number of the middle, and what is drawn for the halves.
    pub(super) draw: Draw,
}

/// The two halves of a span.
pub(super) struct Halves {
    pub(super) left: Span,
    pub(super) right: Span,
}

/// How far the number of ticks of a half is from its share, for noise of 1/512: so many times the ticks of the whole, and so many
/// ticks. In units of 2^-16 and 2^-12.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noise {
    per_tick: i64,
    fixed: i64,
}

impl Ticks {
    /// So many ticks of a span, whose halves are drawn at its start.
    #[inline(always)]
    pub(super) fn new(count: i64, draw: Draw) -> Self {
        Self { count, even: draw.even(0), noise: draw.noise(0) }
    }

    /// How the span is halved at a level, if its left half has a prior share in the activity, for a tilt of ±[`ONE`](share::ONE).
    #[inline(always)]
    pub(super) fn split(&self, below: u32, prior: i64, tilt: i64, noise: &Noise, draw: Draw) -> Split {
        let spread = share::spread(prior);
        let tilted = share::tilted(spread, tilt, below);
        let drawn = spread * i64::from(self.noise);
        // The ticks are half as uneven as the variance.
        let share = prior + (tilted >> 1) + ((drawn * noise.per_tick) >> 25);
        let ticks = (self.count * share + ((drawn * noise.fixed) >> 21) + EVEN) >> 16;
        Split { ticks: ticks.max(0).min(self.count), share: share::part(prior + tilted), draw }
    }

    /// Those of a half: side 0 is the left one, 1 the right one.
    #[inline(always)]
    pub(super) fn half(&self, split: &Split, side: u64) -> Self {
        Self {
            // A branch would be mispredicted half of the time.
            count: select_unpredictable(side == 0, split.ticks, self.count - split.ticks),
            even: split.draw.even(side),
            noise: split.draw.noise(side),
        }
    }
}

impl Span {
    #[inline(always)]
    pub(super) fn halves(&self, split: &Split) -> Halves {
        Halves { left: self.half(split, 0), right: self.half(split, 1) }
    }

    /// A half: side 0 is the left one, 1 the right one.
    #[inline(always)]
    pub(super) fn half(&self, split: &Split, side: u64) -> Self {
        let normal = split.draw.normal();
        let (_, mirror) = f64::SIDES[side as usize & 1];
        Self {
            ticks: self.ticks.half(split, side),
            path: self.path.half(split.share, normal, side),
            flow: self.flow * FLOW + mirror * normal,
        }
    }
}

impl Noise {
    /// The noise of a half of a span with so many ticks on average: about as if each tick chose its half by itself.
    ///
    /// A uniform number from −1 to 1 deviates by 1/√3, and the number of ticks by √ticks / 2. With the mean *m*, the root is within a
    /// sixth of √m × (0.6 + 0.3 × ticks / m) for 0.4 to 12 times the mean.
    fn of(mean: f64) -> Self {
        let deviation = 0.5 * 3_f64.sqrt() * mean.sqrt();
        let (per_tick, fixed) = (0.3 * deviation / mean, 0.6 * deviation);
        Self { per_tick: (per_tick * 65_536.0) as i64, fixed: (fixed * 4_096.0) as i64 }
    }
}

/// The noise of a half of a span, by the level of the half.
pub(super) type NoiseByLevel = [Noise; TOP as usize];

/// The same for a mean time between two ticks, in nanoseconds.
pub(super) fn noise_by_level(interval: u64) -> NoiseByLevel {
    let units = interval as f64 / UNIT_NANOS;
    array::from_fn(|below| Noise::of((2_u64 << below) as f64 / units))
}
