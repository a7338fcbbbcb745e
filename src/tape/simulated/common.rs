//! What all instruments of a tape have in common.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    calendar::{self, TOP},
    factors::{Factor, Factors, Weather, variance},
    span::{NoiseByLevel, noise_by_level},
};
use crate::tape::Instrument;

/// What all instruments of a tape have in common, each thing made once.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) seed: u64,
    pub(super) weather: Arc<Weather>,
    factors: Mutex<HashMap<String, Arc<Factor>>>,
    /// By the mean time between two ticks in nanoseconds. Most instruments share one.
    noise: Mutex<HashMap<u64, Arc<NoiseByLevel>>>,
}

impl Common {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            weather: Arc::new(Weather::new(seed)),
            factors: Mutex::default(),
            noise: Mutex::default(),
        }
    }

    /// The noise of the numbers of ticks, for a mean time between two ticks in nanoseconds.
    pub(super) fn noise(&self, interval: u64) -> Arc<NoiseByLevel> {
        let mut known = self.noise.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(interval).or_insert_with(|| Arc::new(noise_by_level(interval))).clone()
    }

    /// The factors that move an instrument.
    pub(super) fn factors(&self, instrument: &Instrument) -> Factors {
        let mut known = self.factors.lock().unwrap_or_else(PoisonError::into_inner);
        let factor = |name: &str| {
            known.entry(name.to_owned()).or_insert_with(|| Arc::new(Factor::new(self.seed, name))).clone()
        };
        Factors::new(instrument, variance(instrument, BLOCK_NANOS), self.weather.clone(), factor)
    }
}

/// Length of a block in nanoseconds.
pub(super) const BLOCK_NANOS: f64 = (calendar::DAY_NANOS << (TOP - calendar::DAY)) as f64;
