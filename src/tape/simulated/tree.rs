//! The tree of one instrument: when its ticks take place, and the path of its efficient price.
//!
//! The clock is divided into blocks of 1,024 days, and each span of the clock is halved again and again. A span has a whole number of
//! ticks, a variance, and the value of the path at both ends. A split gives the left half a share of the variance that is drawn, a
//! share of the ticks that follows it (Mandelbrot, Fisher and Calvet, *A multifractal model of asset returns*, 1997), and the value
//! in the middle: the mean of both ends and a normal number (Lévy, *Processus stochastiques et mouvement brownien*, 1948).
//!
//! From [`FINE`] up the tree has the instrument's own part of the path, and the [factors](super::factors) have the rest. Below, it is
//! one path with the variance of all.

use std::{
    ops::{Range, RangeInclusive},
    sync::Arc,
    time::Duration,
};

use wide::f64x2;

use super::{
    calendar::{self, BLOCKS, DAY, Position, TOP, UNIT_NANOS},
    common::{BLOCK_NANOS, Common},
    factors::{AT_EDGES, Factors, Weather, share_of_factor, tilt, variance},
    keys::Keys,
    path::Path,
    rhythm::{Block, FINE, Rhythm, share_of},
    share::EVEN,
    span::{Halves, NoiseByLevel, Span, Split, Ticks},
};
use crate::{tape::Instrument, tick::Time};

/// Bounds of the mean time between two ticks.
const SHORTEST_INTERVAL: Duration = Duration::from_micros(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(86_400);

/// When the ticks of one instrument take place, and the path of its efficient price.
#[derive(Debug)]
pub(super) struct Tree {
    keys: Keys,
    rhythm: Arc<Rhythm>,
    weather: Arc<Weather>,
    factors: Factors,
    /// Variance of the instrument's own part of the path over a block.
    own_variance: f64,
    /// Mean time between two ticks while the market is open, in nanoseconds.
    interval: u64,
    /// The same in blocks.
    blocks_per_tick: f64,
    /// Number of ticks before the end of time.
    ticks: u64,
    /// Level of the shortest spans.
    leaf: u32,
    /// How much chance there is in the number of ticks of a half, by its level.
    noise: Arc<NoiseByLevel>,
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

/// What a descent looks for.
pub(super) trait Goal: Copy {
    /// The half of a span of a level in which it is, 0 for the left one, if the right one begins with a tick.
    fn side(self, right: u64, below: u32) -> u64;
}

/// A tick, by its number.
#[derive(Clone, Copy)]
pub(super) struct OfTick(pub(super) u64);

/// A place on the clock.
#[derive(Clone, Copy)]
pub(super) struct At(pub(super) Position);

impl Goal for OfTick {
    #[inline(always)]
    fn side(self, right: u64, _: u32) -> u64 {
        // The sign bit: a comparison would become a branch, which is mispredicted half of the time.
        !self.0.wrapping_sub(right) >> 63
    }
}

impl Goal for At {
    #[inline(always)]
    fn side(self, _: u64, below: u32) -> u64 {
        self.0 >> below & 1
    }
}

/// The ticks of a block of the clock.
#[derive(Clone, Copy)]
struct BlockTicks {
    number: u64,
    /// The first of them.
    first: u64,
    /// The first one after them.
    end: u64,
}

/// A span above [`FINE`].
#[derive(Clone, Copy)]
struct Coarse {
    start: Position,
    first: u64,
    ticks: Ticks,
    /// The instrument's own part of the path, and what the factors do, if the span is within a day.
    paths: Path<f64x2>,
    /// How uneven the weather makes its halves, in 1/256.
    weather: i32,
}

/// Which paths a descent above [`FINE`] follows.
type Paths = u8;
const NONE: Paths = 0;
const OWN: Paths = 1;
/// Within a day.
const OWN_AND_FACTORS: Paths = 2;

impl Coarse {
    /// As a span of level [`FINE`], with the whole path.
    #[inline(always)]
    fn fine(&self, rhythm: &Block) -> Placed {
        let Self { start, first, ticks, paths, .. } = *self;
        let span = Span { ticks, path: paths.sum(), flow: 0.0 };
        Placed { start, first, span, has_edge: rhythm.has_edge(start) }
    }
}

impl Tree {
    pub(super) fn new(instrument: &Instrument, common: &Common) -> Self {
        let rhythm = Rhythm::of(instrument);
        let factors = common.factors(instrument);
        let own_variance = (variance(instrument, BLOCK_NANOS) - factors.variance()).max(0.0);
        // No block has more ticks than a share of them can be computed of, and each has some.
        let interval = instrument.tick_interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL).as_nanos() as u64;
        let units = interval as f64 / UNIT_NANOS;
        let leaf = (1..FINE - 1).find(|level| (1_u64 << level) as f64 >= units).unwrap_or(FINE - 1);
        let open = rhythm.open_before(BLOCKS);
        Self {
            keys: Keys::new(common.seed, &instrument.symbol),
            weather: common.weather.clone(),
            blocks_per_tick: interval as f64 * (BLOCKS as f64 / open as f64),
            ticks: open / interval,
            rhythm,
            factors,
            own_variance,
            interval,
            leaf,
            noise: common.noise(interval),
        }
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
        let leaf = self.span_at(calendar::position(time), self.leaf);
        self.value_in(leaf.start, &leaf.span, time)
    }

    /// The path at a time of a span of a level up to [`FINE`].
    pub(super) fn value_below(&self, whole: &Placed, level: u32, time: Time) -> f64 {
        let leaf = self.below(*whole, level, At(calendar::position(time)), self.leaf);
        self.value_in(leaf.start, &leaf.span, time)
    }

    /// The path at a time of a leaf, which begins at a position.
    #[inline(always)]
    pub(super) fn value_in(&self, start: Position, leaf: &Span, time: Time) -> f64 {
        let (from, to) = self.clock_bounds(start);
        let part = time.nanos().saturating_sub(from) as f64 / to.saturating_sub(from).max(1) as f64;
        leaf.path.value + leaf.path.rise * part
    }

    /// The leaf that contains a position, without its path.
    #[inline(always)]
    pub(super) fn leaf_at(&self, position: Position) -> Placed {
        self.descend::<NONE, NONE>(self.block_at(position >> TOP), At(position), self.leaf)
    }

    /// The span of a level up to [`FINE`] that contains a position.
    #[inline(always)]
    pub(super) fn span_at(&self, position: Position, level: u32) -> Placed {
        self.descend::<OWN, OWN_AND_FACTORS>(self.block_at(position >> TOP), At(position), level)
    }

    /// The span of a level up to [`FINE`] that has a tick before the end of time.
    #[inline(always)]
    pub(super) fn span_of(&self, tick: u64, level: u32) -> Placed {
        self.descend::<OWN, OWN_AND_FACTORS>(self.block_of(tick), OfTick(tick), level)
    }

    /// Both halves of a span up to [`FINE`].
    #[inline(always)]
    pub(super) fn halves(&self, span: &Span, start: Position, below: u32, has_edge: bool) -> Halves {
        span.halves(&self.split_fine(span, start, below, has_edge))
    }

    /// The same with their places.
    #[inline(always)]
    pub(super) fn halves_of(&self, whole: &Placed, below: u32) -> [Placed; 2] {
        let Placed { start, first, has_edge, .. } = *whole;
        let Halves { left, right } = self.halves(&whole.span, start, below, has_edge);
        let middle = first + left.ticks.count as u64;
        let placed = |start, first, span| Placed { start, first, span, has_edge };
        [placed(start, first, left), placed(start | 1 << below, middle, right)]
    }

    /// The part of a leaf in which the market is open, in nanoseconds since 1970 from and to.
    #[inline]
    pub(super) fn bounds(&self, leaf: Position, has_edge: bool) -> (u64, u64) {
        if has_edge {
            return self.rhythm.block(leaf >> TOP).open_within(leaf, self.leaf);
        }
        self.clock_bounds(leaf)
    }

    /// When a leaf begins and when it ends, in nanoseconds since 1970.
    #[inline]
    fn clock_bounds(&self, leaf: Position) -> (u64, u64) {
        (calendar::nanos(leaf), calendar::nanos(leaf + (1 << self.leaf)))
    }

    /// The block that has a tick.
    #[inline(always)]
    fn block_of(&self, tick: u64) -> BlockTicks {
        let mut block = self.block_at((tick as f64 * self.blocks_per_tick) as u64);
        while block.first > tick {
            block = self.block_at(block.number - 1);
        }
        while block.end <= tick && block.number + 1 < BLOCKS {
            block = self.block_at(block.number + 1);
        }
        block
    }

    /// A block by its number; the last one for what is after it.
    #[inline(always)]
    fn block_at(&self, number: u64) -> BlockTicks {
        let number = number.min(BLOCKS - 1);
        let before = |block| self.rhythm.open_before(block) / self.interval;
        BlockTicks { number, first: before(number), end: before(number + 1) }
    }

    /// The spans of level [`FINE`] that begin between two positions, both included, with their paths.
    pub(super) fn fine_spans(&self, from: Position, last: Position) -> Vec<Placed> {
        let mut spans = Vec::with_capacity(((last - from) >> FINE) as usize + 1);
        for day in from >> DAY..=last >> DAY {
            let block = self.block_at(day >> (TOP - DAY));
            let midnight = self.day::<OWN>(block, At(day << DAY));
            self.fine_spans_of(&midnight, DAY, 1, &(from..=last), &mut spans);
        }
        spans
    }

    /// Appends the spans of level [`FINE`] that are in a span of a day and overlap `within`. `number` is that of the span: see [`share_of`].
    fn fine_spans_of(
        &self,
        whole: &Coarse,
        level: u32,
        number: usize,
        within: &RangeInclusive<Position>,
        spans: &mut Vec<Placed>,
    ) {
        let last = whole.start + (1 << level) - 1;
        if last < *within.start() || whole.start > *within.end() {
            return;
        }
        let rhythm = self.rhythm.block(whole.start >> TOP);
        if level == FINE {
            return spans.push(whole.fine(rhythm));
        }
        let below = level - 1;
        let split = self.split_coarse(whole, below, share_of(rhythm.shares_of_day(whole.start), number));
        for side in [0, 1] {
            let half = self.half::<OWN_AND_FACTORS>(whole, &split, below, side);
            self.fine_spans_of(&half, below, 2 * number + side as usize, within, spans);
        }
    }

    /// The span of a level, at most [`FINE`], in which the goal is, with its path or without.
    ///
    /// What is drawn for the split of a span comes from the draws of the span above it. So the processor need not wait for the
    /// choice of a half before it draws.
    #[inline(always)]
    fn descend<const ABOVE: Paths, const WITHIN: Paths>(
        &self,
        block: BlockTicks,
        goal: impl Goal,
        level: u32,
    ) -> Placed {
        let day = self.day::<ABOVE>(block, goal);
        let rhythm = self.rhythm.block(block.number);
        let coarse = self.above::<WITHIN>(day, FINE..DAY, rhythm.shares_of_day(day.start), goal);
        self.below(coarse.fine(rhythm), FINE, goal, level)
    }

    /// The day in which the goal is.
    #[inline(always)]
    fn day<const PATHS: Paths>(&self, block: BlockTicks, goal: impl Goal) -> Coarse {
        let shares = self.rhythm.block(block.number).shares_of_days();
        let mut day = self.above::<PATHS>(self.block(block), DAY..TOP, shares, goal);
        if PATHS != NONE {
            day.paths = Path::of([day.paths.first(), self.factors.over_day(day.start >> DAY)]);
        }
        day
    }

    /// The span in which the goal is, so many levels down in a span above [`FINE`]. `shares` are those of its spans: see [`share_of`].
    #[inline(always)]
    fn above<const PATHS: Paths>(
        &self,
        whole: Coarse,
        levels: Range<u32>,
        shares: &[u32],
        goal: impl Goal,
    ) -> Coarse {
        let (mut coarse, mut number) = (whole, 1);
        for below in levels.rev() {
            let split = self.split_coarse(&coarse, below, share_of(shares, number));
            let side = goal.side(coarse.first + split.ticks as u64, below);
            number = 2 * number + side as usize;
            coarse = self.half::<PATHS>(&coarse, &split, below, side);
        }
        coarse
    }

    /// The span of a level in which the goal is, in a span of a level up to [`FINE`].
    #[inline(always)]
    fn below(&self, whole: Placed, from: u32, goal: impl Goal, level: u32) -> Placed {
        let Placed { mut start, mut first, mut span, has_edge } = whole;
        for below in (level..from).rev() {
            let split = self.split_fine(&span, start, below, has_edge);
            let side = goal.side(first + split.ticks as u64, below);
            first += split.ticks as u64 & side.wrapping_neg();
            span = span.half(&split, side);
            start |= side << below;
        }
        Placed { start, first, span, has_edge }
    }

    /// A block of the clock as a span.
    #[inline(always)]
    fn block(&self, block: BlockTicks) -> Coarse {
        let start = block.number << TOP;
        let (draw, end) = (self.keys.path.draw(start), self.keys.path.draw(start + (1 << TOP)));
        let deviation = (self.own_variance * AT_EDGES).sqrt();
        let value = deviation * draw.normal();
        let path = Path { value, rise: deviation * end.normal() - value, variance: self.own_variance };
        Coarse {
            start,
            first: block.first,
            ticks: Ticks::new((block.end - block.first) as i64, draw),
            paths: Path::of([path, Path::default()]),
            weather: self.weather.draw(start).even(0),
        }
    }

    /// How a span above [`FINE`] is halved.
    #[inline(always)]
    fn split_coarse(&self, coarse: &Coarse, below: u32, prior: i64) -> Split {
        let tilt = tilt(coarse.weather, coarse.ticks.even);
        self.split(&coarse.ticks, coarse.start | 1 << below, below, prior, tilt)
    }

    /// A half of a span above [`FINE`]: side 0 is the left one, 1 the right one.
    #[inline(always)]
    fn half<const PATHS: Paths>(&self, whole: &Coarse, split: &Split, below: u32, side: u64) -> Coarse {
        let middle = whole.start | 1 << below;
        let paths = match PATHS {
            NONE => whole.paths,
            OWN => whole.paths.half(split.share.into(), split.draw.normal().into(), side),
            _ => {
                let shares = f64x2::new([split.share, share_of_factor(EVEN, whole.weather, below)]);
                whole.paths.half(shares, self.factors.normals(split.draw, middle), side)
            }
        };
        Coarse {
            start: whole.start | side << below,
            first: whole.first + (split.ticks as u64 & side.wrapping_neg()),
            ticks: whole.ticks.half(split, side),
            paths,
            weather: self.weather.draw(middle).even(side),
        }
    }

    /// How a span up to [`FINE`] is halved, in which the market may open or close. Below, the weather is the same everywhere.
    #[inline(always)]
    fn split_fine(&self, span: &Span, start: Position, below: u32, has_edge: bool) -> Split {
        let prior = if has_edge { self.rhythm.block(start >> TOP).share_at_edge(start, below) } else { EVEN };
        self.split(&span.ticks, start | 1 << below, below, prior, i64::from(span.ticks.even) << 8)
    }

    /// How a span is halved whose left half has a share in the activity, for a tilt of ±[`ONE`](super::share::ONE).
    #[inline(always)]
    fn split(&self, ticks: &Ticks, middle: Position, below: u32, prior: i64, tilt: i64) -> Split {
        ticks.split(below, prior, tilt, &self.noise[below as usize], self.keys.path.draw(middle))
    }
}
