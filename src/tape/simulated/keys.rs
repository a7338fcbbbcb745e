//! Keyed draws with random access: the same key and counter give the same bits, in whatever order they are asked for.

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use sha2::{Digest, Sha256};

use crate::tick::Symbol;

/// The keys of one series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// Of the price's path.
    pub(super) path: Key,
    /// Of the slots: when in its slot a trade takes place, and its size.
    pub(super) slots: Key,
}

/// Picks one function from counters to bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    start: u64,
    twist: u64,
}

/// 64 random bits. The low 48 make the normal number and the high 16 the share, so that one draw gives both,
/// independent of each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw(pub(super) u64);

impl Keys {
    /// The keys of a symbol's series on the tape of a seed. They come from `ChaCha8Rng`, whose output `rand`
    /// promises never to change.
    pub(super) fn new(seed: u64, symbol: &Symbol) -> Self {
        let digest = Sha256::new()
            .chain_update(b"ticker/simulated/series\0")
            .chain_update(seed.to_be_bytes())
            .chain_update(symbol.as_str())
            .finalize();
        let mut source = ChaCha8Rng::from_seed(digest.into());
        let mut key = || Key { start: source.next_u64(), twist: source.next_u64() };
        Self { path: key(), slots: key() }
    }
}

impl Key {
    /// The bits of a counter: SplitMix64 (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*,
    /// 2014) as a function of its counter. The twist keeps two series apart whose starts happen to lie close.
    #[inline]
    pub(super) fn draw(self, counter: u64) -> Draw {
        let mut bits = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.start);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ self.twist;
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Draw(bits ^ (bits >> 31))
    }
}

impl Draw {
    /// A standard normal number.
    ///
    /// The sum of three uniform numbers (Irwin and Hall) is close to normal; an odd polynomial of it, fitted to the
    /// quantiles of the normal distribution, is normal within 0.0005 of probability. Variance 1, kurtosis 2.999, never beyond
    /// ±[`Draw::MOST_NORMAL`].
    #[inline]
    pub(super) fn normal(self) -> f64 {
        let sum = (self.0 & 0xffff) + (self.0 >> 16 & 0xffff) + (self.0 >> 32 & 0xffff);
        let u = (sum as i32 - 98_302) as f64 * (1.0 / 65_536.0) - 0.5 / 65_536.0;
        let square = u * u;
        u * (1.885_710_345_644_26
            + square
                * (0.228_822_260_979_241_05
                    + square * (-0.226_947_582_239_275_83 + square * 0.145_225_197_789_324_08)))
    }

    /// A uniform number inside (0, 1).
    #[inline]
    pub(super) fn share(self) -> f64 {
        (self.0 >> 48) as f64 * (1.0 / 65_536.0) + 0.5 / 65_536.0
    }
}
