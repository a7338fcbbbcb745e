//! The tape of ticks that took place elsewhere and were recorded in a file.
//!
//! `file` undoes compression and tells formats, `csv` (over `lines`), `binance` and `dbn` read them, `when` reads times; `intake` holds
//! what they read to the rules of a tape. `column` and `ticks` keep it in little memory, and `series` reads it, once or
//! again and again.

mod binance;
mod column;
mod csv;
mod dbn;
mod error;
mod file;
mod intake;
mod lines;
mod series;
mod ticks;
mod when;

use std::{path::Path, sync::Arc, time::Duration};

pub use error::{Place, RecordedError};
pub use file::{LoadProgress, Packing};
use intake::Taken;
use series::Loop;
pub use series::RecordedSeries;
use sha2::Digest;

use super::{Identity, Instrument, Kind, Missing, Series, Tape, Universe, tape_id};
use crate::tick::{Symbol, Time};

/// The version of how a recording becomes a tape. It moves whenever any tick of any recording does.
const ENGINE_VERSION: &str = "recorded/1";

/// The tape of a recording, which is all in memory.
#[derive(Debug)]
pub struct Recorded {
    universe: Universe,
    /// Beside the instruments of the universe; at least one.
    series: Vec<Arc<RecordedSeries>>,
    identity: Identity,
    extent: Extent,
}

/// What a recording holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How many ticks.
    pub ticks: u64,
    /// The time of the first tick.
    pub first: Time,
    /// The time of the last tick.
    pub last: Time,
    /// From the beginning of one pass to that of the next, if it is repeated.
    pub period: Option<Duration>,
}

impl Recorded {
    /// Reads a file: CSV with a header, a dump of Binance or DBN of Databento, each as it is or compressed by `gzip` or
    /// `zstd`. A looped tape begins with the recording and repeats it without end. `described` may say more of the
    /// symbols than the file does. `progress` is told of every piece that was read.
    ///
    /// The same ticks make the same tape, whatever the format of their file.
    ///
    /// # Errors
    /// The file cannot be read, a part of it is wrong, or there is no trade in it.
    pub fn read(
        path: &Path,
        looped: bool,
        described: Option<&Universe>,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self, RecordedError> {
        Ok(Self::of(file::read(path, progress)?.finish(described), looped))
    }

    fn of(taken: Taken, looped: bool) -> Self {
        let Taken { universe, ticks, mut digest } = taken;
        let count = ticks.iter().map(|ticks| ticks.len() as u64).sum();
        let first = ticks.iter().map(|ticks| ticks.get(0).time).min().unwrap_or_default();
        let last = ticks.iter().map(|ticks| ticks.get(ticks.len() - 1).time).max().unwrap_or_default();
        let looped = looped.then(|| Loop::new(first, last, count));

        digest.update(ENGINE_VERSION);
        digest.update([looped.is_some().into()]);
        let tape_id = tape_id(digest);
        Self {
            universe,
            series: ticks.into_iter().map(|ticks| Arc::new(RecordedSeries::new(ticks, looped))).collect(),
            identity: Identity { tape_id, kind: Kind::Recorded, seed: 0, engine_version: ENGINE_VERSION },
            extent: Extent { ticks: count, first, last, period: looped.map(Loop::period) },
        }
    }

    /// What it holds.
    pub fn extent(&self) -> Extent {
        self.extent
    }
}

impl Tape for Recorded {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn instruments(&self) -> &[Arc<Instrument>] {
        self.universe.listed()
    }

    fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing> {
        self.universe.instrument(symbol)
    }

    fn suggest(&self, text: &str) -> Option<Symbol> {
        self.universe.nearest(text)
    }

    fn series(&self, instrument: &Instrument) -> Arc<dyn Series> {
        let place = self.universe.listed().partition_point(|other| other.symbol < instrument.symbol);
        // An instrument of another tape has no place, and every recording has a last one.
        self.series[place.min(self.series.len() - 1)].clone()
    }
}

#[cfg(test)]
mod tests;
