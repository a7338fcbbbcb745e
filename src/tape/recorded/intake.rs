//! Collects the trades of a recording, whatever its format, and checks them against the rules of a tape.

use std::{collections::HashMap, sync::Arc};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::ticks::{Increments, Ticks, TicksBuilder};
use crate::{
    tape::{Instrument, Universe},
    tick::{Price, Sequence, Symbol, SymbolError, Time},
    timestamp,
};

/// One trade of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) symbol: &'a str,
    pub(super) time: Time,
    pub(super) price: Price,
    /// In units of 1e-9; 0 for an index.
    pub(super) quantity: u64,
    /// Its sequence, if the file has sequences; otherwise the ticks of a symbol are counted from one.
    pub(super) sequence: Option<Sequence>,
}

/// Why a trade is refused.
#[derive(Debug, Error)]
pub(super) enum RowError {
    #[error("symbol: {0}")]
    Symbol(#[from] SymbolError),
    #[error(
        "time: {symbol} goes back from {} to {}; sort the lines of a symbol by time",
        timestamp::show(*last), timestamp::show(*time)
    )]
    GoesBack { symbol: Symbol, last: Time, time: Time },
    #[error(
        "sequence: {symbol} has {found} where {next} is next: ticks are missing, twice there or out of order; \
         without the column they are counted from 1"
    )]
    Sequence { symbol: Symbol, next: Sequence, found: Sequence },
    #[error(
        "sequence: {symbol} has {last}, after which there is no number: let them end before it, or leave out the column, \
         without which they are counted from 1",
        last = u64::MAX
    )]
    LastOfAll { symbol: Symbol },
}

/// The trades read so far, by symbol.
#[derive(Default)]
pub(super) struct Intake {
    /// Index in `symbols` of each symbol, by its text.
    places: HashMap<Box<str>, usize>,
    symbols: Vec<OneSymbol>,
    /// Index of the symbol of the last trade. The next trade often has the same symbol.
    latest: usize,
}

/// The trades of one symbol.
struct OneSymbol {
    symbol: Symbol,
    reference_price: Price,
    last: Time,
    ticks: TicksBuilder,
    digest: Sha256,
}

/// The content of a recording.
pub(super) struct Taken {
    pub(super) universe: Universe,
    /// The ticks of each instrument of the universe, in the same order.
    pub(super) ticks: Vec<Arc<Ticks>>,
    /// A digest of the instruments and the ticks.
    pub(super) digest: Sha256,
}

impl Intake {
    /// Adds the next trade.
    pub(super) fn take(&mut self, row: &Row) -> Result<(), RowError> {
        let place = self.place(row)?;
        let Some(one) = self.symbols.get_mut(place) else { return Ok(()) };
        let next = one.ticks.next();
        if let Some(found) = row.sequence.filter(|found| *found != next) {
            return Err(RowError::Sequence { symbol: one.symbol, next, found });
        }
        // A reader resumes after the last sequence that it has seen, so the largest number cannot be used.
        if next == Sequence(u64::MAX) {
            return Err(RowError::LastOfAll { symbol: one.symbol });
        }
        if row.time < one.last {
            return Err(RowError::GoesBack { symbol: one.symbol, last: one.last, time: row.time });
        }
        one.last = row.time;
        let digest = &mut one.digest;
        one.ticks.push(row.time, row.price, row.quantity, |columns| digest_into(digest, columns));
        self.latest = place;
        Ok(())
    }

    /// Whether there is no trade.
    pub(super) fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Makes an instrument of each symbol, with the name, kind, currency and start of the day that `described` has for it.
    pub(super) fn finish(mut self, described: Option<&Universe>) -> Taken {
        self.symbols.sort_by_key(|one| one.symbol);
        let (mut listed, mut ticks, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        for one in self.symbols {
            let mut digest = one.digest;
            let (of_one, increments) = one.ticks.finish(|columns| digest_into(&mut digest, columns));
            digests.push(digest.chain_update(of_one.first().0.to_le_bytes()).finalize());
            listed.push(Arc::new(instrument(one.symbol, one.reference_price, increments, described)));
            ticks.push(Arc::new(of_one));
        }
        let universe = Universe::of(listed);
        let mut digest = Sha256::new();
        universe.digest_into(&mut digest);
        digests.iter().for_each(|of_one| digest.update(of_one));
        Taken { universe, ticks, digest }
    }

    fn place(&mut self, row: &Row) -> Result<usize, SymbolError> {
        if self.symbols.get(self.latest).is_some_and(|one| one.symbol.as_str() == row.symbol) {
            return Ok(self.latest);
        }
        if let Some(place) = self.places.get(row.symbol) {
            return Ok(*place);
        }
        let symbol = row.symbol.parse()?;
        let place = self.symbols.len();
        self.places.insert(row.symbol.into(), place);
        self.symbols.push(OneSymbol {
            symbol,
            reference_price: row.price,
            last: row.time,
            ticks: TicksBuilder::new(row.sequence.unwrap_or(Sequence(1))),
            digest: Sha256::new(),
        });
        Ok(place)
    }
}

fn instrument(
    symbol: Symbol,
    reference_price: Price,
    increments: Increments,
    described: Option<&Universe>,
) -> Instrument {
    let Increments { price, quantity } = increments;
    let recorded = Instrument::not_simulated(symbol, "recorded", reference_price, price, quantity);
    match described.and_then(|universe| universe.instrument(&symbol).ok()) {
        Some(found) => Instrument {
            name: found.name.clone(),
            kind: found.kind.clone(),
            currency: found.currency.clone(),
            day_start: found.day_start,
            ..recorded
        },
        None => recorded,
    }
}

/// Digests the numbers, not their packed form, so that the identity of a tape does not depend on the packing.
fn digest_into(digest: &mut Sha256, columns: [&[u64]; 3]) {
    for column in columns {
        let bytes: Vec<u8> = column.iter().flat_map(|value| value.to_le_bytes()).collect();
        digest.update(&bytes);
    }
}
