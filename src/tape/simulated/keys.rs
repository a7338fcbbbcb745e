//! Keyed draws: the same key and counter give the same bits, in whatever order they are asked for.

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use sha2::{Digest, Sha256};

use crate::tick::Symbol;

/// The keys of one series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// Of the path of the price.
    pub(super) path: Key,
    /// Of the slots: when in its slot a trade takes place, and its size.
    pub(super) slots: Key,
    /// Of the book: spread, side and sizes.
    pub(super) book: Key,
}

/// Picks one function from counters to bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    start: u64,
    twist: u64,
}

/// 64 random bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw(u64);

impl Keys {
    /// The keys of a symbol on the tape of a seed. They come from `ChaCha8Rng`, whose numbers `rand` promises never
    /// to change.
    pub(super) fn new(seed: u64, symbol: &Symbol) -> Self {
        let digest = Sha256::new()
            .chain_update(b"ticker/simulated/series\0")
            .chain_update(seed.to_be_bytes())
            .chain_update(symbol.as_str())
            .finalize();
        let mut source = ChaCha8Rng::from_seed(digest.into());
        let mut key = || Key { start: source.next_u64(), twist: source.next_u64() };
        Self { path: key(), slots: key(), book: key() }
    }
}

impl Key {
    /// The bits of a counter: the generator SplitMix64 as a function of its counter (Steele, Lea and Flood, *Fast
    /// splittable pseudorandom number generators*, 2014), which needs no state between draws. The twist keeps two
    /// series apart whose starts happen to lie near each other.
    #[inline]
    pub(super) fn draw(self, counter: u64) -> Draw {
        let mut bits = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.start);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ self.twist;
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Draw(bits ^ (bits >> 31))
    }
}

impl Draw {
    /// All the bits.
    #[inline]
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// The draw itself for side 0. For side 1 its mirror image: the normal number changes its sign, and the share is
    /// one minus the share, both exactly.
    #[inline]
    pub(super) fn mirrored(self, side: u64) -> Self {
        Self(self.0 ^ side.wrapping_neg())
    }

    /// A standard normal number, of the low 48 bits.
    ///
    /// The sum of three uniform numbers (the Irwin-Hall distribution) is nearly normal. An odd polynomial, fitted by
    /// least squares to the normal quantiles of that sum, brings the distribution within 0.0005 of the normal one:
    /// variance 1, kurtosis 2.999, never beyond ±4.36. It takes no table, no branch and no logarithm.
    #[inline]
    pub(super) fn normal(self) -> f64 {
        // The integers below are 2^17 times what the polynomial was fitted to.
        const UNIT: f64 = 1.0 / 131_072.0;
        const CUBE: f64 = UNIT * UNIT * UNIT;
        const C1: f64 = 1.885_710_345_644_26 * UNIT;
        const C3: f64 = 0.228_822_260_979_241_05 * CUBE;
        const C5: f64 = -0.226_947_582_239_275_83 * (CUBE * UNIT * UNIT);
        const C7: f64 = 0.145_225_197_789_324_08 * (CUBE * CUBE * UNIT);
        let sum = (self.0 & 0xffff) + (self.0 >> 16 & 0xffff) + (self.0 >> 32 & 0xffff);
        let x = f64::from(2 * sum as i32 - 3 * 65_535);
        let square = x * x;
        x * (C1 + square * (C3 + square * (C5 + square * C7)))
    }

    /// A uniform number in (¼, ¾), of the high 16 bits.
    #[inline]
    pub(super) fn share(self) -> f64 {
        f64::from(2 * (self.0 >> 48) as i32 + 65_537) * (1.0 / 262_144.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(seed: u64, symbol: &str) -> Keys {
        Keys::new(seed, &symbol.parse().unwrap())
    }

    #[test]
    fn the_keys_of_seeds_symbols_and_purposes_differ() {
        let draw = |key: Key| key.draw(7).bits();
        let mut draws = Vec::new();
        for (seed, symbol) in [(1, "A"), (2, "A"), (1, "B"), (1, "AB")] {
            let Keys { path, slots, book } = keys(seed, symbol);
            draws.extend([path, slots, book].map(draw));
        }
        let drawn = draws.len();
        draws.sort_unstable();
        draws.dedup();
        assert_eq!(draws.len(), drawn);
        assert_eq!(draw(keys(1, "A").path), draw(keys(1, "A").path));
    }

    #[test]
    fn normal_numbers_have_the_moments_of_the_normal_distribution() {
        let key = keys(7, "A").path;
        let count = 400_000;
        let mut moments = [0.0; 4];
        let mut with_share = 0.0;
        for n in 0..count {
            let (normal, share) = (key.draw(n).normal(), key.draw(n).share());
            assert!(normal.abs() < 4.36 && share > 0.25 && share < 0.75);
            let mut power = 1.0;
            for moment in &mut moments {
                power *= normal;
                *moment += power / count as f64;
            }
            with_share += normal * normal * (share - 0.5) / count as f64;
        }
        // Four deviations of each mean.
        let off = [moments[0], moments[1] - 1.0, moments[2], moments[3] - 3.0, with_share];
        let within = [0.0064, 0.009, 0.025, 0.063, 0.0016];
        assert!(off.iter().zip(within).all(|(off, within)| off.abs() < within), "{off:?}");
    }

    #[test]
    fn the_mirror_of_a_draw_is_exact() {
        let key = keys(7, "A").path;
        for n in 0..1000 {
            let (draw, mirror) = (key.draw(n), key.draw(n).mirrored(1));
            assert_eq!(mirror.normal(), -draw.normal());
            assert_eq!(mirror.share(), 1.0 - draw.share());
            assert_eq!(draw.mirrored(0).bits(), draw.bits());
        }
    }
}
