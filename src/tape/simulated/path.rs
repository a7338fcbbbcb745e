//! The path of the logarithm of the price, as a function of the tick.

use super::{
    keys::{Draw, Key},
    slots::Slots,
};

const DAY: u128 = 86_400_000_000_000;
const YEAR: u128 = 365 * DAY;

/// How many levels of the tree a walk remembers. Below them a step costs one split on average; every 2^12 ticks a walk
/// comes down from the top again.
const REMEMBERED: usize = 12;

/// How far a span may split its trading time from even halves.
const SPREAD: f64 = 0.25;

/// A Brownian path in random trading time. Its unit is the deviation of one tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    key: Key,
    /// A span of 2^year ticks lasts about a year, its ends are drawn independently.
    year: u32,
    /// A span of 2^day ticks lasts about a day. Trading time is even above it and uneven below it.
    day: u32,
    /// The deviation of the path over a year's span.
    deviation: f64,
}

/// What the path does over one span of ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    /// Where the path is at the first tick.
    value: f64,
    /// How much it rises to the first tick after the span.
    rise: f64,
    /// The square root of the span's trading time.
    deviation: f64,
}

/// The path at one tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Its value, in deviations of a tick.
    pub(super) value: f64,
    /// The trading time that passes until the next tick, 1 on average.
    pub(super) activity: f64,
}

/// Goes along a path tick by tick.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    path: Path,
    tick: u64,
    here: Span,
    /// At each level the next span to the right that a step will reach, if the walk stands in a left half there.
    ahead: [Span; REMEMBERED],
}

impl Path {
    pub(super) fn new(key: Key, slots: &Slots) -> Self {
        let interval = u128::from(slots.interval());
        let (day, year) = (levels(interval, DAY), levels(interval, YEAR));
        Self { key, year, day, deviation: ((1u64 << year) as f64).sqrt() }
    }

    /// The path at a tick.
    #[inline]
    pub(super) fn at(&self, tick: u64) -> Point {
        self.span(tick, 0).point()
    }

    /// Goes along the path from a tick.
    pub(super) fn walk(&self, tick: u64) -> Walk {
        let mut walk = Walk { path: *self, tick, here: Span::default(), ahead: Default::default() };
        walk.descend();
        walk
    }

    /// The span of 2^level ticks that a tick lies in.
    #[inline]
    fn span(&self, tick: u64, level: u32) -> Span {
        let mut span = self.whole(tick);
        let mut below = self.year;
        while below > level {
            below -= 1;
            let (left, right) = self.split(span, tick, below);
            span = if tick >> below & 1 == 0 { left } else { right };
        }
        span
    }

    /// The span of a year that a tick lies in.
    #[inline]
    fn whole(&self, tick: u64) -> Span {
        let first = tick >> self.year << self.year;
        let deviation = self.deviation * std::f64::consts::FRAC_1_SQRT_2;
        let value = self.key.draw(first).normal() * deviation;
        // After the last span of all comes the first.
        let end = self.key.draw(first.wrapping_add(1 << self.year)).normal() * deviation;
        Span { value, rise: end - value, deviation: self.deviation }
    }

    /// The halves, each of 2^below ticks, of the span that a tick lies in.
    #[inline]
    fn split(&self, span: Span, tick: u64, below: u32) -> (Span, Span) {
        // Every tick is the middle of one span only, so it names the draw.
        let middle = (tick >> below | 1) << below;
        let draw = self.key.draw(middle);
        if below >= self.day { span.halves(draw) } else { span.shares(draw) }
    }
}

/// The number of doublings that bring an interval nearest to a length.
fn levels(interval: u128, length: u128) -> u32 {
    // Nearest by ratio: to within a factor of the square root of two.
    let mut levels = 0;
    while (interval << levels) * (interval << levels) * 2 < length * length {
        levels += 1;
    }
    levels
}

impl Span {
    /// Both halves of a span whose trading time is even.
    #[inline]
    fn halves(self, draw: Draw) -> (Self, Self) {
        let deviation = self.deviation * std::f64::consts::FRAC_1_SQRT_2;
        self.broken(0.5, self.deviation * 0.5 * draw.normal(), deviation, deviation)
    }

    /// Both halves of a span whose trading time is not.
    #[inline]
    fn shares(self, draw: Draw) -> (Self, Self) {
        let share = (0.5 - SPREAD) + 2.0 * SPREAD * draw.share();
        let (left, right) = (share.sqrt(), (1.0 - share).sqrt());
        self.broken(
            share,
            self.deviation * (left * right * draw.normal()),
            self.deviation * left,
            self.deviation * right,
        )
    }

    #[inline]
    fn broken(self, share: f64, shift: f64, left: f64, right: f64) -> (Self, Self) {
        let rise = share * self.rise + shift;
        (
            Self { value: self.value, rise, deviation: left },
            Self { value: self.value + rise, rise: self.rise - rise, deviation: right },
        )
    }

    #[inline]
    fn point(self) -> Point {
        Point { value: self.value, activity: self.deviation * self.deviation }
    }
}

impl Walk {
    pub(super) fn tick(&self) -> u64 {
        self.tick
    }

    #[inline]
    pub(super) fn point(&self) -> Point {
        self.here.point()
    }

    /// Moves to the next tick, which must exist.
    #[inline]
    pub(super) fn advance(&mut self) {
        let level = self.tick.trailing_ones();
        self.tick = self.tick.wrapping_add(1);
        if level < self.remembered() {
            self.here = self.ahead[level as usize];
            self.first_of(level);
        } else {
            self.descend();
        }
    }

    fn remembered(&self) -> u32 {
        self.path.year.min(REMEMBERED as u32)
    }

    /// Comes down from the top to the tick.
    #[cold]
    fn descend(&mut self) {
        let top = self.remembered();
        self.here = self.path.span(self.tick, top);
        for below in (0..top).rev() {
            let (left, right) = self.path.split(self.here, self.tick, below);
            self.ahead[below as usize] = right;
            self.here = if self.tick >> below & 1 == 0 { left } else { right };
        }
    }

    /// Comes down from a span of 2^level ticks to its first tick.
    #[inline]
    fn first_of(&mut self, level: u32) {
        for below in (0..level).rev() {
            let (left, right) = self.path.split(self.here, self.tick, below);
            self.ahead[below as usize] = right;
            self.here = left;
        }
    }
}
