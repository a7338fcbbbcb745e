//! The share that the left half of a span has in the activity, the ticks or the variance of the span. It is counted in units of
//! 2^-16, as whole numbers are quick to draw and to compare.

use super::calendar::TOP;

/// The whole.
pub(super) const ONE: i64 = 1 << 16;
/// What a half has that is like the other one.
pub(super) const EVEN: i64 = ONE / 2;

/// How uneven the halves of a span are, by their level: the share of the variance is between ½ − this and ½ + this.
const UNEVEN: [i64; TOP as usize] = {
    let mut uneven = [0; TOP as usize];
    let mut below = 0;
    while below < TOP {
        uneven[below as usize] = (ONE as f64 * unevenness(below)) as i64;
        below += 1;
    }
    uneven
};

const fn unevenness(below: u32) -> f64 {
    match below {
        39.. => 0.05,
        36.. => 0.49,
        32.. => 0.34,
        22.. => 0.17,
        _ => FINEST,
    }
}

/// The same for the shortest spans.
pub(super) const FINEST: f64 = 0.09;

/// How far from a prior share the drawn one may be: it stays within 0 and [`ONE`], which stay themselves.
#[inline(always)]
pub(super) fn spread(prior: i64) -> i64 {
    2 * prior.min(ONE - prior)
}

/// How far from its prior a share is, for a tilt of −[`ONE`] to [`ONE`].
#[inline(always)]
pub(super) fn tilted(spread: i64, tilt: i64, below: u32) -> i64 {
    (spread * ((UNEVEN[below as usize] * tilt) >> 16)) >> 16
}

/// As a part of 1.
#[inline(always)]
pub(super) fn part(share: i64) -> f64 {
    share as f64 * (1.0 / ONE as f64)
}
