//! Keyed draws: the same key and counter give the same bits, in whatever order they are asked for.

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use sha2::{Digest, Sha256};
use wide::{bytemuck::cast, f64x2, u64x2};

use crate::tick::Symbol;

/// The keys of one series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// Of the instrument's own part of the path, and of how many ticks each half of a span has.
    pub(super) path: Key,
    /// Of each tick: its place in its leaf and its side.
    pub(super) trades: Key,
    /// Of the order of the sizes of ticks.
    pub(super) sizes: Key,
    /// Of the sizes of the best bid and ask.
    pub(super) depth: Key,
}

/// Picks one function from counters to bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Key {
    start: u64,
    twist: u64,
}

/// No normal number is farther from zero.
pub(super) const FARTHEST: f64 = 4.36;

/// 64 random bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Draw(u64);

impl Keys {
    /// The keys of a symbol on the tape of a seed.
    pub(super) fn new(seed: u64, symbol: &Symbol) -> Self {
        let mut source = source(b"ticker/simulated/series\0", seed, symbol.as_str());
        let mut key = || Key::from(&mut source);
        Self { path: key(), trades: key(), sizes: key(), depth: key() }
    }
}

/// Random bits of a name on the tape of a seed. They come from `ChaCha8Rng`, whose numbers `rand` promises never to
/// change.
fn source(purpose: &[u8], seed: u64, name: &str) -> ChaCha8Rng {
    let digest = Sha256::new_with_prefix(purpose).chain_update(seed.to_be_bytes()).chain_update(name);
    ChaCha8Rng::from_seed(digest.finalize().into())
}

impl Key {
    /// The key of a factor: the same for every instrument that it moves.
    pub(super) fn of_factor(seed: u64, name: &str) -> Self {
        Self::from(&mut source(b"ticker/simulated/factor\0", seed, name))
    }

    fn from(source: &mut ChaCha8Rng) -> Self {
        Self { start: source.next_u64(), twist: source.next_u64() }
    }

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

    /// A standard normal number, of the low 30 bits: see [`normals`].
    #[inline(always)]
    pub(super) fn normal(self) -> f64 {
        normals([self, Self(0)]).to_array()[0]
    }

    /// A uniform odd number from −255 to 255 for each half of a span: of bits 30 to 37 for the left one, side 0, and 38 to 45 for the
    /// right one.
    #[inline]
    pub(super) fn even(self, side: u64) -> i32 {
        2 * (self.0 >> (30 + 8 * side) & 0xff) as i32 - 0xff
    }

    /// A uniform odd number from −511 to 511 for each half of a span: of bits 46 to 54, and 55 to 63.
    #[inline]
    pub(super) fn noise(self, side: u64) -> i32 {
        2 * (self.0 >> (46 + 9 * side) & 0x1ff) as i32 - 0x1ff
    }

    /// A uniform number in [0, 1), of the high 32 bits.
    #[inline]
    pub(super) fn fraction(self) -> f64 {
        (self.0 >> 32) as f64 * (1.0 / 4_294_967_296.0)
    }
}

/// Two standard normal numbers, each of the low 30 bits of a draw.
///
/// The sum of three uniform numbers (the Irwin-Hall distribution) is nearly normal. An odd polynomial, fitted by least squares
/// to the normal quantiles of that sum, brings the distribution within 0.0005 of the normal one: variance 1, kurtosis 2.999,
/// never beyond ±[`FARTHEST`]. It takes no table, no branch and no logarithm.
#[inline(always)]
pub(super) fn normals(draws: [Draw; 2]) -> f64x2 {
    // The integers below are 2^11 times what the polynomial was fitted to.
    const UNIT: f64 = 1.0 / 2_048.0;
    const CUBE: f64 = UNIT * UNIT * UNIT;
    const C1: f64x2 = f64x2::splat(1.885_710_345_644_26 * UNIT);
    const C3: f64x2 = f64x2::splat(0.228_822_260_979_241_05 * CUBE);
    const C5: f64x2 = f64x2::splat(-0.226_947_582_239_275_83 * (CUBE * UNIT * UNIT));
    const C7: f64x2 = f64x2::splat(0.145_225_197_789_324_08 * (CUBE * CUBE * UNIT));
    // Twice each uniform number of 10 bits.
    const TWICE: u64x2 = u64x2::splat(0x3ff << 1);
    // A double of 2^52 has a whole number up to that in its last bits.
    const OFFSET: f64 = (1_u64 << 52) as f64;
    let bits = u64x2::new(draws.map(Draw::bits));
    let sum = (bits << 1_u32 & TWICE) + (bits >> 9_u32 & TWICE) + (bits >> 19_u32 & TWICE);
    let x = cast::<_, f64x2>(sum | u64x2::splat(OFFSET.to_bits())) - (OFFSET + 3.0 * 1_023.0);
    let square = x * x;
    x * (C1 + square * (C3 + square * (C5 + square * C7)))
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
            let Keys { path, trades, sizes, depth } = keys(seed, symbol);
            draws.extend([path, trades, sizes, depth, Key::of_factor(seed, symbol)].map(draw));
        }
        let drawn = draws.len();
        draws.sort_unstable();
        draws.dedup();
        // The factors of two equal seeds and names are the same.
        assert_eq!(draws.len(), drawn);
        assert_eq!(draw(keys(1, "A").path), draw(keys(1, "A").path));
    }

    #[test]
    fn normal_numbers_have_the_moments_of_the_normal_distribution() {
        let key = keys(7, "A").path;
        let count = 400_000;
        let mut moments = [0.0; 4];
        let mut with_even = 0.0;
        for n in 0..count {
            let (normal, even) = (key.draw(n).normal(), f64::from(key.draw(n).even(n & 1)) / 256.0);
            assert!(normal.abs() < FARTHEST && even.abs() < 1.0);
            let mut power = 1.0;
            for moment in &mut moments {
                power *= normal;
                *moment += power / count as f64;
            }
            with_even += normal * normal * even / count as f64;
        }
        // Four deviations of each mean.
        let off = [moments[0], moments[1] - 1.0, moments[2], moments[3] - 3.0, with_even];
        let within = [0.0064, 0.009, 0.025, 0.063, 0.0064];
        assert!(off.iter().zip(within).all(|(off, within)| off.abs() < within), "{off:?}");
    }

    #[test]
    fn uniform_numbers_of_both_halves_are_even_and_independent() {
        let key = keys(7, "A").path;
        let count = 100_000;
        let (mut sums, mut together) = ([0.0; 4], [0.0; 2]);
        for draw in (0..count).map(|n| key.draw(n)) {
            let (even, noise) = ([draw.even(0), draw.even(1)], [draw.noise(0), draw.noise(1)]);
            let drawn =
                [even.map(|even| f64::from(even) / 256.0), noise.map(|noise| f64::from(noise) / 512.0)];
            let drawn = drawn.as_flattened();
            for (sum, drawn) in sums.iter_mut().zip(drawn) {
                *sum += drawn * drawn / f64::from(count as u32);
            }
            together[0] += drawn[0] * drawn[1] / f64::from(count as u32);
            together[1] += drawn[2] * drawn[3] / f64::from(count as u32);
        }
        assert!(sums.iter().all(|square| (square - 1.0 / 3.0).abs() < 0.004), "{sums:?}");
        assert!(together.iter().all(|product| product.abs() < 0.0045), "{together:?}");
    }
}
