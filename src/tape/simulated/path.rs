//! A path of a log price over a span of the clock, and over its halves.

use std::ops::{Add, Mul, Sub};

use wide::f64x2;

/// A path over a span, or two of them that are computed together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Path<N = f64> {
    /// Its value at the start of the span.
    pub(super) value: N,
    /// How much higher it is at the end.
    pub(super) rise: N,
    /// The variance of the rise.
    pub(super) variance: N,
}

/// A number, or two of them, each of which is computed as if it were alone.
pub(super) trait Number: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    const ONE: Self;
    /// For the left half and for the right one: 0 and 1, and 1 and −1.
    const SIDES: [(Self, Self); 2];

    fn sqrt(self) -> Self;
}

impl Number for f64 {
    const ONE: Self = 1.0;
    const SIDES: [(Self, Self); 2] = [(0.0, 1.0), (1.0, -1.0)];

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }
}

impl Number for f64x2 {
    const ONE: Self = Self::ONE;
    const SIDES: [(Self, Self); 2] = [(Self::ZERO, Self::ONE), (Self::ONE, Self::splat(-1.0))];

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }
}

impl<N: Number> Path<N> {
    /// The path over a half, side 0 or 1, whose left one has a share in the variance. The normal number is that of the value in the
    /// middle.
    #[inline(always)]
    pub(super) fn half(&self, share: N, normal: N, side: u64) -> Self {
        let (right, mirror) = N::SIDES[side as usize & 1];
        let shift = (self.variance * (share * (N::ONE - share))).sqrt() * (mirror * normal);
        let share = right + mirror * share;
        let rise = share * self.rise + shift;
        Self { value: self.value + right * (self.rise - rise), rise, variance: self.variance * share }
    }
}

impl Path<f64x2> {
    /// Two paths together.
    #[inline]
    pub(super) fn of([first, second]: [Path; 2]) -> Self {
        Self {
            value: f64x2::new([first.value, second.value]),
            rise: f64x2::new([first.rise, second.rise]),
            variance: f64x2::new([first.variance, second.variance]),
        }
    }

    /// The first of both.
    #[inline]
    pub(super) fn first(&self) -> Path {
        let [value, rise, variance] = [self.value, self.rise, self.variance].map(|both| both.to_array()[0]);
        Path { value, rise, variance }
    }

    /// The sum of both, which do not depend on each other.
    #[inline(always)]
    pub(super) fn sum(&self) -> Path {
        let [value, rise, variance] = [self.value, self.rise, self.variance].map(f64x2::reduce_add);
        Path { value, rise, variance }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(path: Path) -> [u64; 3] {
        [path.value, path.rise, path.variance].map(f64::to_bits)
    }

    /// A path, the share of its left half, and the normal number of its middle.
    fn split() -> impl Strategy<Value = (Path, f64, f64)> {
        let path = (-5.0..5.0, -1.0..1.0, 0.0..1.0);
        let path = path.prop_map(|(value, rise, variance)| Path { value, rise, variance });
        (path, 0.0..1.0, -4.36..4.36)
    }

    proptest! {
        #[test]
        fn two_paths_together_have_the_bits_that_each_has_alone(
            splits in prop::array::uniform2(split()),
            side in 0..2_u64,
        ) {
            let shares = f64x2::new(splits.map(|(_, share, _)| share));
            let normals = f64x2::new(splits.map(|(.., normal)| normal));
            let both = Path::of(splits.map(|(path, ..)| path)).half(shares, normals, side);
            let alone = splits.map(|(path, share, normal)| path.half(share, normal, side));
            prop_assert_eq!(bits(both.first()), bits(alone[0]));
            let second = [both.value, both.rise, both.variance].map(|both| both.to_array()[1].to_bits());
            prop_assert_eq!(second, bits(alone[1]));
        }
    }
}
