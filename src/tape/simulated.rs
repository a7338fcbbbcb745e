//! The tape of a simulated market: a pure function of seed, symbol and sequence.
//!
//! `calendar` halves the clock, and `rhythm` says how busy a market is at each time. `tree` is one descent from years to a fraction
//! of a second that finds when ticks take place and what the efficient price is, `span` one step of it, and `path` what a step
//! does to the price; `walk` goes along the tree from leaf to leaf, and `factors` are what instruments share. `market` puts quotes
//! about the efficient price and trades at them, and `sizes` says how much is traded. `model` puts all together, `series` reads it
//! in order, `totals` finds the highest and the lowest price of many ticks, and `keys` makes random bits that can be read in any
//! order. `test_series` has the ticks of the symbols for tests. `docs/TAPE.md` explains the construction.

mod calendar;
mod common;
mod factors;
mod keys;
mod market;
mod model;
mod path;
mod rhythm;
mod series;
mod share;
mod sizes;
mod span;
mod test_series;
mod totals;
mod tree;
mod walk;

use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use series::SimulatedSeries;

use self::{common::Common, rhythm::Rhythm, test_series::TestSeries};
use super::{Identity, Instrument, Kind, Missing, Series, Tape, Universe, tape_id};
use crate::tick::Symbol;

/// Version of the construction. It changes whenever any tick of any tape changes, and so do the golden vectors.
pub const ENGINE_VERSION: &str = "2";

/// The tape of a seed and a universe.
#[derive(Debug)]
pub struct Simulated {
    universe: Universe,
    identity: Identity,
    common: Common,
}

impl Simulated {
    /// The same seed and the same instruments make the same tape, on every machine.
    pub fn new(seed: u64, universe: Universe) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"ticker tape\0");
        digest.update(ENGINE_VERSION);
        digest.update([0]);
        digest.update(seed.to_le_bytes());
        universe.digest_into(&mut digest);
        let tape_id = tape_id(digest);
        // The rhythm of a market that closes takes some milliseconds, for which no worker should wait.
        for instrument in universe.listed().iter() {
            Rhythm::of(instrument);
        }
        Self {
            universe: universe.with_test_symbols(),
            common: Common::new(seed),
            identity: Identity { tape_id, kind: Kind::Simulated, seed, engine_version: ENGINE_VERSION },
        }
    }
}

impl Tape for Simulated {
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
        if let Some(test) = instrument.test_symbol() {
            return Arc::new(TestSeries(test));
        }
        let legs: Vec<_> =
            instrument.follows.iter().filter_map(|leg| self.universe.instrument(leg).ok()).collect();
        Arc::new(SimulatedSeries::following(instrument, &legs, &self.common))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape_id(seed: u64, instruments: &str) -> String {
        Simulated::new(seed, Universe::parse(instruments, "test").unwrap()).identity.tape_id
    }

    #[test]
    fn the_identity_tells_seeds_and_instruments_apart_and_nothing_else() {
        let one = "[[instrument]]\nsymbol = \"A\"\nreference_price = 10";
        let same = "# the same\n[[instrument]]\nreference_price = \"10.00\"\nsymbol = \"A\"";
        let other = "[[instrument]]\nsymbol = \"A\"\nreference_price = 11";
        assert_eq!(tape_id(1, one), tape_id(1, same));
        assert_ne!(tape_id(1, one), tape_id(2, one));
        assert_ne!(tape_id(1, one), tape_id(1, other));
        assert_eq!(tape_id(1, one).len(), 32);
    }
}
