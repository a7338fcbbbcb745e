//! The tape of ticks that took place elsewhere and were recorded in a file.
//!
//! A recording is read in this order; each file uses only files that come before it in a line or in a line above:
//!
//! - `ticks`: the ticks of a symbol in packed columns;
//! - `intake`: checks each trade against the rules of a tape, and makes instruments and ticks;
//! - `compression`, `error`: how a file is compressed, and what is wrong with it;
//! - `when`, `columns`, `lines`: parts of text formats; `binance`, `csv`, `dbn`: the formats;
//! - `file`: opens a file, decompresses it and calls the reader of its format;
//! - `series`: the ticks of a symbol as a series, played once or in a loop.

mod binance;
mod columns;
mod compression;
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

pub use compression::Compression;
pub use error::{Place, RecordedError};
pub use file::LoadProgress;
use intake::Taken;
use series::Loop;
pub use series::RecordedSeries;
use sha2::Digest;

use super::{Identity, Instrument, Kind, Missing, Series, Tape, Universe, tape_id};
use crate::tick::{Symbol, Time};

/// Version of how a recording becomes a tape. It changes whenever any tick of any recording changes.
const ENGINE_VERSION: &str = "recorded/1";

/// The tape of a recording. All its ticks are in memory.
#[derive(Debug)]
pub struct Recorded {
    universe: Universe,
    /// The series of each instrument of the universe, in the same order; at least one.
    series: Vec<Arc<RecordedSeries>>,
    identity: Identity,
    extent: Extent,
}

/// What a recording holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Number of ticks.
    pub ticks: u64,
    /// The time of the first tick.
    pub first: Time,
    /// The time of the last tick.
    pub last: Time,
    /// Time from the start of one pass to the start of the next, if the recording is looped.
    pub period: Option<Duration>,
}

impl Recorded {
    /// Reads a file: CSV with a header, a dump of Binance or DBN of Databento, each plain or compressed by `gzip` or
    /// `zstd`. A looped tape repeats the recording without end. `described` adds names, kinds, currencies and the start
    /// of the day to symbols of the file. `progress` is called after each read.
    ///
    /// The same ticks make the same tape, whatever the format of their file.
    ///
    /// # Errors
    /// The file cannot be read, a part of it is invalid, or it has no trade.
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

    /// What the recording holds.
    pub fn extent(&self) -> Extent {
        self.extent
    }
}

impl Tape for Recorded {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn instruments(&self) -> Arc<[Arc<Instrument>]> {
        self.universe.listed().clone()
    }

    fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing> {
        self.universe.instrument(symbol)
    }

    fn suggest(&self, text: &str) -> Option<Symbol> {
        self.universe.nearest(text)
    }

    fn series(&self, instrument: &Instrument) -> Arc<dyn Series> {
        let place = self.universe.listed().partition_point(|other| other.symbol < instrument.symbol);
        // An instrument of another tape is not in the list; it gets the last series, since each recording has one.
        self.series[place.min(self.series.len() - 1)].clone()
    }
}

#[cfg(test)]
mod tests;
