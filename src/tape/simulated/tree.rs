//! The tree of one instrument: when its ticks take place, and the path of its efficient price.
//!
//! The clock is divided into blocks of 1,024 days, and each span of the clock is halved again and again. A span has a whole number of
//! ticks, a variance, and the value of the path at both ends. A split gives the left half a share of the variance that is drawn, a
//! share of the ticks that follows it (Mandelbrot, Fisher and Calvet, *A multifractal model of asset returns*, 1997), and the value
//! in the middle: the mean of both ends and a normal number (Lévy, *Processus stochastiques et mouvement brownien*, 1948).
//!
//! Above [`FINE`] the path is the sum of several parts: that of the instrument alone, and one for each factor that it shares with
//! others. Below, it is one path with the variance of all.

use std::{sync::Arc, time::Duration};

use super::{
    calendar::{self, BLOCKS, Position, TOP},
    keys::{Draw, Key, Keys},
    parts::{Moves, PARTS, Parts, normals, times},
    rhythm::{FINE, Rhythm, factor_share},
};
use crate::{tape::Instrument, tick::Time};

/// Bounds of the mean time between two ticks.
const SHORTEST_INTERVAL: Duration = Duration::from_micros(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(86_400);

const BLOCK_NANOS: u64 = calendar::DAY_NANOS << (TOP - calendar::DAY);
const UNIT_NANOS: f64 = calendar::DAY_NANOS as f64 / (1_u64 << calendar::DAY) as f64;

/// How uneven the halves of a span are: the share of the variance that its left half has is between ½ − this and ½ + this.
const fn unevenness(below: u32) -> f64 {
    match below {
        39.. => 0.05,
        36.. => 0.49,
        32.. => 0.34,
        22.. => 0.17,
        _ => 0.09,
    }
}

const UNEVEN: [f64; TOP as usize] = {
    let mut uneven = [0.0; TOP as usize];
    let mut below = 0;
    while below < TOP {
        uneven[below as usize] = unevenness(below);
        below += 1;
    }
    uneven
};

/// How uneven the ticks are, as a part of how uneven the variance is.
const COUNTS: f64 = 0.5;

/// How much of the unevenness is weather: calm and stormy times that all parts of all instruments share.
const WEATHER: f64 = 0.7;

/// How much of the order flow of a span its halves keep.
const FLOW: f64 = 0.9;

/// The noise of the number of ticks is left out where spans have more ticks than this on average: there it is less than a hundredth
/// of what the draws make.
const MANY_TICKS: f64 = 4_096.0;

/// When the ticks of one instrument take place, and the path of its efficient price.
#[derive(Debug)]
pub(super) struct Tree {
    keys: Keys,
    /// Of the calm and stormy times that all parts of all instruments share.
    weather: Key,
    rhythm: Arc<Rhythm>,
    /// Mean time between two ticks while the market is open, in nanoseconds.
    interval: u64,
    /// The same in blocks.
    blocks_per_tick: f64,
    /// Number of ticks before the end of time.
    ticks: u64,
    /// Level of the shortest spans.
    leaf: u32,
    /// The level from which spans have many ticks.
    many: u32,
    parts: Parts,
}

/// What happens in a span of the clock at [`FINE`] or below.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// Number of ticks, a whole number.
    pub(super) ticks: f64,
    /// The path at the start of the span.
    pub(super) value: f64,
    /// How much higher it is at the end.
    pub(super) rise: f64,
    /// The variance of the rise.
    pub(super) variance: f64,
    /// Whether more is bought or sold: the normal numbers of the splits above, the nearer ones more.
    pub(super) flow: f64,
    /// How uneven its halves are, and the noise of the number of their ticks, both from −1 to 1.
    even: f32,
    noise: f32,
}

/// A span with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) start: Position,
    /// The first tick of the span, if it has any.
    pub(super) first: u64,
    pub(super) span: Span,
    /// Whether the market opens or closes within the span of level [`FINE`] that contains it.
    pub(super) has_edge: bool,
}

/// What a descent looks for in a block.
#[derive(Clone, Copy)]
enum Goal {
    /// A tick, by its number in the block.
    Tick(f64),
    At(Position),
}

impl Goal {
    /// The half of a span in which it is, 0 for the left one. The first tick of the span and the ticks of its left half are known.
    #[inline(always)]
    fn side(self, first: f64, left: f64, below: u32) -> u64 {
        match self {
            // The sign bit: a comparison would become a branch, which is mispredicted half of the time.
            Self::Tick(tick) => !(tick - first - left).to_bits() >> 63,
            Self::At(position) => position >> below & 1,
        }
    }
}

/// The two halves of a span.
pub(super) struct Halves {
    pub(super) left: Span,
    pub(super) right: Span,
}

impl Tree {
    pub(super) fn new(seed: u64, instrument: &Instrument, rhythm: Arc<Rhythm>) -> Self {
        let keys = Keys::new(seed, &instrument.symbol);
        // No block has more ticks than a double can count, and each has some.
        let interval = instrument.tick_interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL).as_nanos() as u64;
        let parts = Parts::new(seed, instrument, keys.path, BLOCK_NANOS as f64);
        let units = interval as f64 / UNIT_NANOS;
        let level_of = |ticks: f64| (1..TOP).find(|level| (1_u64 << level) as f64 >= ticks * units);
        let leaf = level_of(1.0).unwrap_or(TOP).min(FINE - 1);
        let many = level_of(MANY_TICKS).unwrap_or(TOP);
        let open = rhythm.open_before(BLOCKS);
        let (blocks_per_tick, ticks) = (interval as f64 * (BLOCKS as f64 / open as f64), open / interval);
        let weather = Key::of_factor(seed, "");
        Self { keys, weather, rhythm, interval, blocks_per_tick, ticks, leaf, many, parts }
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Level of the shortest spans.
    pub(super) fn leaf(&self) -> u32 {
        self.leaf
    }

    /// Length of a leaf in nanoseconds.
    pub(super) fn leaf_nanos(&self) -> f64 {
        (1_u64 << self.leaf) as f64 * UNIT_NANOS
    }

    /// Mean number of ticks of a day on which the market opens.
    pub(super) fn ticks_a_day(&self) -> f64 {
        self.rhythm.open_a_day() / self.interval as f64
    }

    /// Number of ticks before the end of time. All later ones take place then.
    #[inline]
    pub(super) fn ticks(&self) -> u64 {
        self.ticks
    }

    /// The leaf of a tick before the end of time.
    #[inline]
    pub(super) fn leaf_of(&self, tick: u64) -> Placed {
        self.span_of(tick, self.leaf)
    }

    /// The path at a time.
    pub(super) fn value_at(&self, time: Time) -> f64 {
        let leaf = self.leaf_at(calendar::position(time));
        let (from, to) = self.clock_bounds(&leaf);
        let part = time.nanos().saturating_sub(from) as f64 / to.saturating_sub(from).max(1) as f64;
        leaf.span.value + leaf.span.rise * part
    }

    /// The leaf that contains a position.
    #[inline]
    pub(super) fn leaf_at(&self, position: Position) -> Placed {
        self.descend((position >> TOP).min(BLOCKS - 1), Goal::At(position), self.leaf)
    }

    /// The span of a level up to [`FINE`] that has a tick before the end of time.
    #[inline(always)]
    pub(super) fn span_of(&self, tick: u64, level: u32) -> Placed {
        let block = self.block_of(tick);
        let number = tick.saturating_sub(self.ticks_before(block));
        self.descend(block, Goal::Tick(number as f64), level)
    }

    /// Both halves of a span up to [`FINE`].
    #[inline(always)]
    pub(super) fn halves(&self, span: &Span, start: Position, below: u32, has_edge: bool) -> Halves {
        let split = self.split(span, start, below, has_edge);
        Halves { left: span.half(&split, 0), right: span.half(&split, 1) }
    }

    /// The part of a leaf in which the market is open, in nanoseconds since 1970 from and to.
    #[inline]
    pub(super) fn bounds(&self, leaf: &Placed) -> (u64, u64) {
        if leaf.has_edge {
            return self.rhythm.block(leaf.start >> TOP).open_within(leaf.start, self.leaf);
        }
        self.clock_bounds(leaf)
    }

    /// When a leaf begins and when it ends, in nanoseconds since 1970.
    #[inline]
    fn clock_bounds(&self, leaf: &Placed) -> (u64, u64) {
        (calendar::nanos(leaf.start), calendar::nanos(leaf.start + (1 << self.leaf)))
    }

    /// The block that has a tick.
    #[inline]
    fn block_of(&self, tick: u64) -> u64 {
        let mut block = ((tick as f64 * self.blocks_per_tick) as u64).min(BLOCKS - 1);
        while self.ticks_before(block) > tick {
            block -= 1;
        }
        while block + 1 < BLOCKS && self.ticks_before(block + 1) <= tick {
            block += 1;
        }
        block
    }

    /// Number of ticks before a block.
    #[inline]
    fn ticks_before(&self, block: u64) -> u64 {
        self.rhythm.open_before(block) / self.interval
    }

    /// The span of a level, at most [`FINE`], in which the goal is.
    ///
    /// What is drawn for the split of a span comes from the draws of the span above it. So the processor need not wait for the
    /// choice of a half before it draws.
    #[inline(always)]
    fn descend(&self, block: u64, goal: Goal, level: u32) -> Placed {
        let before = self.ticks_before(block);
        let mut ticks = (self.ticks_before(block + 1) - before) as f64;
        let mut start = block << TOP;
        let mut first = 0.0;
        // With half of the variance of a block at each end, their difference has the whole.
        let deviation = self.parts.signed(self.parts.variance.map(|variance| (variance * 0.5).sqrt()));
        let mut draws = self.parts.draw(start);
        let here = times(deviation, normals(draws));
        let end = times(deviation, normals(self.parts.draw(start + (1 << TOP))));
        let mut value: f64 = here.iter().sum();
        let mut moves = Moves { rise: [0.0; PARTS], variance: self.parts.variance };
        for number in 0..PARTS {
            moves.rise[number] = end[number] - here[number];
        }
        let mut weather = self.weather.draw(start);
        let mut side = 0;
        let rhythm = self.rhythm.block(block);
        let mut prior = rhythm.share(start, TOP - 1);
        let mut tilt = self.tilt(&draws, weather, 0);
        for below in (FINE..TOP).rev() {
            let middle = start | 1 << below;
            let uneven = UNEVEN[below as usize];
            let spread = spread(prior);
            let noise =
                if below < self.many { spread * self.keys.arrivals.draw(middle).noise(0) } else { 0.0 };
            let left = halved(ticks, prior + spread * tilt * (uneven * COUNTS), noise);
            let next_side = goal.side(first, left, below);

            let mut even = [0.0; PARTS];
            for number in 0..PARTS {
                even[number] =
                    uneven * (WEATHER * weather.even(side) + (1.0 - WEATHER) * draws[number].even(side));
            }
            let common = factor_share(start, below);
            let common_spread = self::spread(common);
            let mut share = even.map(|even| common + common_spread * even);
            share[0] = prior + spread * even[0];
            draws = self.parts.draw(middle);
            weather = self.weather.draw(middle);
            let normals = self.parts.signed(normals(draws));
            side = next_side;
            let (right, mirror) = (side as i64 as f64, 1.0 - 2.0 * side as i64 as f64);
            for number in 0..PARTS {
                let (rise, variance, share) = (moves.rise[number], moves.variance[number], share[number]);
                let shift = (variance * (share * (1.0 - share))).sqrt() * normals[number];
                let share = right + mirror * share;
                moves.rise[number] = share * rise + mirror * shift;
                moves.variance[number] = variance * share;
                value += right * (rise - moves.rise[number]);
            }
            first += right * left;
            ticks = right * (ticks - left) + (1.0 - right) * left;
            let next = below - 1;
            tilt = either(side, self.tilt(&draws, weather, 0), self.tilt(&draws, weather, 1));
            prior = either(side, rhythm.share(start, next), rhythm.share(middle, next));
            start |= side << below;
        }
        let (rise, variance) = (moves.rise.iter().sum(), moves.variance.iter().sum());
        // Below, the instrument goes its own way.
        let noise = self.keys.arrivals.draw(start | 1 << (FINE - 1)).noise(0) as f32;
        let even = draws[0].even(side) as f32;
        let mut span = Span { ticks, value, rise, variance, flow: 0.0, even, noise };
        let has_edge = rhythm.has_edge(start);
        for below in (level..FINE).rev() {
            let split = self.split(&span, start, below, has_edge);
            let side = goal.side(first, split.ticks, below);
            first += side as i64 as f64 * split.ticks;
            span = span.half(&split, side);
            start |= side << below;
        }
        Placed { start, first: before + first as u64, span, has_edge }
    }

    /// How uneven the halves of a half of a span are, all parts together.
    #[inline(always)]
    fn tilt(&self, draws: &[Draw; PARTS], weather: Draw, side: u64) -> f64 {
        let mut tilt = 0.0;
        for (weight, draw) in self.parts.weight.iter().zip(draws) {
            tilt += weight * draw.even(side);
        }
        WEATHER * weather.even(side) + (1.0 - WEATHER) * tilt
    }

    /// How a span up to [`FINE`] is halved.
    #[inline(always)]
    fn split(&self, span: &Span, start: Position, below: u32, has_edge: bool) -> Split {
        let middle = start | 1 << below;
        let prior = if has_edge { self.rhythm.block(start >> TOP).share_at_edge(start, below) } else { 0.5 };
        let spread = spread(prior);
        let even = spread * f64::from(span.even) * UNEVEN[below as usize];
        let ticks = halved(span.ticks, prior + even * COUNTS, spread * f64::from(span.noise));
        Split {
            ticks,
            share: prior + even,
            draw: self.keys.path.draw(middle),
            noise: self.keys.arrivals.draw(middle),
        }
    }
}

/// How far from a prior share the drawn one may be, for draws of −½ to ½: it stays within 0 … 1, and 0 and 1 stay themselves.
#[inline(always)]
fn spread(prior: f64) -> f64 {
    2.0 * prior.min(1.0 - prior)
}

/// The first number for side 0 and the second for side 1, without a branch, which would be mispredicted half of the time.
#[inline(always)]
fn either(side: u64, left: f64, right: f64) -> f64 {
    let mask = side.wrapping_neg();
    f64::from_bits(left.to_bits() & !mask | right.to_bits() & mask)
}

/// How a span up to [`FINE`] is halved.
struct Split {
    /// Ticks of the left half.
    ticks: f64,
    /// Share of the left half in the variance.
    share: f64,
    /// The normal number of the middle, and what is drawn for the halves.
    draw: Draw,
    noise: Draw,
}

impl Span {
    /// A half: side 0 is the left one, 1 the right one.
    #[inline(always)]
    fn half(&self, split: &Split, side: u64) -> Self {
        let right = side as i64 as f64;
        let mirror = 1.0 - 2.0 * right;
        let normal = mirror * split.draw.normal();
        let shift = (self.variance * (split.share * (1.0 - split.share))).sqrt() * normal;
        let share = right + mirror * split.share;
        let rise = share * self.rise + shift;
        Self {
            ticks: right * (self.ticks - split.ticks) + (1.0 - right) * split.ticks,
            value: self.value + right * (self.rise - rise),
            rise,
            variance: self.variance * share,
            flow: self.flow * FLOW + normal,
            even: split.draw.even(side) as f32,
            noise: split.noise.noise(side) as f32,
        }
    }
}

/// Ticks of the left half of a span: its share of them, rounded, and about as uneven as if each tick chose its half by itself. The
/// noise is from −1 to 1. Without noise, a share of 0 or 1 is none or all of them.
#[inline(always)]
fn halved(ticks: f64, share: f64, noise: f64) -> f64 {
    // Adding this and taking it away again rounds to the nearest whole number.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    // A uniform number of −1 to 1 deviates by 1/√3, the number of ticks by √ticks / 2.
    let left = ticks * share + root(ticks) * (noise * 0.866_025_403_784_438_6);
    ((left + WHOLE) - WHOLE).max(0.0).min(ticks)
}

/// The square root, within 6 %: half of the exponent.
#[inline(always)]
fn root(number: f64) -> f64 {
    f64::from_bits((number.to_bits() >> 1) + (1023 << 51))
}
