//! Random deviations of times, so that clients and replicas do not act together.

use std::time::Duration;

use rand::{
    RngExt, SeedableRng,
    rngs::{ChaCha8Rng, SysRng},
};

/// A source of random times. Replicas that start together have different ones.
pub struct Jitter(ChaCha8Rng);

/// Largest deviation of an age.
const AGE: f64 = 0.1;

impl Jitter {
    /// A source that is seeded by the system.
    pub fn new() -> Self {
        Self(ChaCha8Rng::try_from_rng(&mut SysRng).unwrap_or_else(|_| ChaCha8Rng::seed_from_u64(0)))
    }

    /// A source that is seeded by the caller: its times can be repeated, as a simulation needs.
    pub fn seeded(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A random moment of a time: from zero to all of it.
    pub fn moment_of(&mut self, spread: Duration) -> Duration {
        spread.mul_f64(self.0.random_range(0.0..=1.0))
    }

    /// An age that deviates from the one given by 10 % at most.
    pub fn age(&mut self, age: Duration) -> Duration {
        age.mul_f64(self.0.random_range(1.0 - AGE..=1.0 + AGE))
    }
}

impl Default for Jitter {
    fn default() -> Self {
        Self::new()
    }
}
