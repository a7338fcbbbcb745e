//! The path that the logarithm of a price takes: Brownian motion in random trading time, with random access.
//!
//! The path is drawn at ticks about a quarter of a year apart, and spans of ticks are halved from there (Lévy, *Processus
//! stochastiques et mouvement brownien*, 1948): given both ends, the middle of a Brownian path is their mean plus a
//! normal number. Below about a day the halves share out the span's trading time unevenly, and the price moves by trading
//! time (Mandelbrot, Fisher and Calvet, *A multifractal model of asset returns*, 1997). Any tick is one descent away.

use super::keys::{Draw, Key};

const DAY: u128 = 86_400_000_000_000;
const QUARTER: u128 = 91 * DAY;

/// A path over all ticks. Its unit is the deviation of the path over one tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    key: Key,
    /// 2^quarter ticks last about a quarter of a year. The path is drawn independently at multiples of them.
    quarter: u32,
    /// 2^day ticks last about a day. Trading time is even above and uneven below.
    day: u32,
    /// The deviation of what is drawn.
    anchor: f64,
}

/// What the path does over 2^level ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// The path at the first tick.
    value: f64,
    /// How much higher it is at the first tick after the span.
    rise: f64,
    /// The trading time that passes, a tick's being 1 on average: the variance of the rise.
    activity: f64,
}

/// The path at one tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// Its value, in deviations over one tick.
    pub(super) value: f64,
    /// The trading time that passes until the next tick, 1 on average.
    pub(super) activity: f64,
}

impl Path {
    /// A path for ticks that are `interval` nanoseconds apart.
    pub(super) fn new(key: Key, interval: u64) -> Self {
        let (day, quarter) = (doublings(interval, DAY), doublings(interval, QUARTER));
        // With half of a quarter's variance at each end, the difference of two has the whole, and the path has the
        // same variance at every tick.
        Self { key, quarter, day, anchor: (whole(quarter) * 0.5).sqrt() }
    }

    /// The path at a tick.
    #[inline]
    pub(super) fn at(&self, tick: u64) -> Point {
        self.span(tick, 0).point()
    }

    /// The level of the longest spans.
    pub(super) fn top(&self) -> u32 {
        self.quarter
    }

    /// The span of 2^level ticks that holds a tick.
    #[inline]
    pub(super) fn span(&self, tick: u64, level: u32) -> Span {
        let mut span = self.longest(tick);
        let mut below = self.quarter;
        // Two loops: a question about the level in one loop would cost more than the draw of the share.
        while below > level.max(self.day) {
            below -= 1;
            let side = tick >> below & 1;
            let draw = self.draw(tick, below).mirrored(side);
            span = span.half(side, 0.5, draw.normal());
        }
        while below > level {
            below -= 1;
            let side = tick >> below & 1;
            let draw = self.draw(tick, below).mirrored(side);
            span = span.half(side, draw.share(), draw.normal());
        }
        span
    }

    /// Both halves, of 2^below ticks, of the span that holds a tick: the same as [`Path::span`] finds one by one.
    #[inline]
    pub(super) fn halves(&self, span: Span, tick: u64, below: u32) -> (Span, Span) {
        let draw = self.draw(tick, below);
        let share = if below >= self.day { 0.5 } else { draw.share() };
        span.halves(share, draw.normal())
    }

    /// The span of about a quarter of a year that holds a tick.
    #[inline]
    fn longest(&self, tick: u64) -> Span {
        let first = tick >> self.quarter << self.quarter;
        let value = self.key.draw(first).normal() * self.anchor;
        // After the last span of all comes the first.
        let end = self.key.draw(first.wrapping_add(1 << self.quarter)).normal() * self.anchor;
        Span { value, rise: end - value, activity: whole(self.quarter) }
    }

    /// The draw that splits the span whose halves are 2^below ticks long.
    #[inline]
    fn draw(&self, tick: u64, below: u32) -> Draw {
        // Every tick is in the middle of one span at most, so it can name the draw.
        self.key.draw((tick >> below | 1) << below)
    }
}

impl Span {
    #[inline]
    pub(super) fn point(self) -> Point {
        Point { value: self.value, activity: self.activity }
    }

    /// The half on a side, 0 for the left. The share of the trading time and the normal number are those of a draw that
    /// is mirrored for that side, so that both sides are one formula without a branch.
    #[inline]
    fn half(self, side: u64, share: f64, normal: f64) -> Self {
        let rise = share * self.rise + self.shift(share) * normal;
        let value = self.value + f64::from(side as i32) * (self.rise - rise);
        Self { value, rise, activity: self.activity * share }
    }

    /// Both halves, to the last bit as [`Span::half`] has them.
    #[inline]
    fn halves(self, share: f64, normal: f64) -> (Self, Self) {
        let (rest, shift) = (1.0 - share, self.shift(share) * normal);
        let (left, right) = (share * self.rise + shift, rest * self.rise - shift);
        (
            Self { value: self.value, rise: left, activity: self.activity * share },
            Self { value: self.value + (self.rise - right), rise: right, activity: self.activity * rest },
        )
    }

    /// The deviation of the path where a share of the trading time has passed, both ends being known: that of a
    /// Brownian bridge.
    #[inline]
    fn shift(self, share: f64) -> f64 {
        (self.activity * (share * (1.0 - share))).sqrt()
    }
}

/// How many doublings bring an interval nearest to a length.
fn doublings(interval: u64, length: u128) -> u32 {
    let mut doublings = 0;
    // Nearest by ratio: it ends once √½ of the length is reached, which is 12/17 as near as it matters.
    while u128::from(interval) << doublings < length * 12 / 17 {
        doublings += 1;
    }
    doublings
}

/// The trading time of 2^level ticks above a day. No interval needs more than 53 levels.
fn whole(level: u32) -> f64 {
    (1u64 << level) as f64
}

#[cfg(test)]
mod tests {
    use super::{super::keys::Keys, *};

    fn path(interval: u64) -> Path {
        Path::new(Keys::new(7, &"A".parse().unwrap()).path, interval)
    }

    #[test]
    fn days_and_quarters_are_counted_in_ticks_of_any_interval() {
        let levels = |interval| (path(interval).day, path(interval).quarter);
        assert_eq!(levels(100_000_000), (20, 26));
        assert_eq!(levels(100_000), (30, 36));
        assert_eq!(levels(1), (46, 53));
        assert_eq!(levels(60_000_000_000), (10, 17));
        assert_eq!(levels(u64::MAX), (0, 0));
    }

    #[test]
    fn the_trading_time_of_a_day_is_shared_out_and_none_is_lost() {
        let path = path(10_000_000_000);
        let day = 1 << path.day;
        for first in (0..20).map(|n| n * day) {
            let total: f64 = (first..first + day).map(|tick| path.at(tick).activity).sum();
            assert!((total / day as f64 - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_span_ends_where_the_next_begins() {
        let path = path(100_000_000);
        for level in 0..path.top() {
            for n in [1u64, 2, 3, 4, 7, 8, 1000, 1 << 20] {
                let (span, next) = (path.span((n - 1) << level, level), path.span(n << level, level));
                assert!((span.value + span.rise - next.value).abs() < 1e-9, "level {level}, {n}");
            }
        }
    }
}
