//! Takes the ticks of a recording in, whatever format they come from, and holds them to the rules of a tape.

use std::{collections::HashMap, num::NonZeroU64, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::ticks::{Increments, Ticks, TicksBuilder};
use crate::{
    tape::{Instrument, Lease, Universe},
    tick::{Price, Sequence, Symbol, SymbolError, Time},
    timestamp,
};

/// A trade as a file has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) symbol: &'a str,
    pub(super) time: Time,
    pub(super) price: Price,
    /// In units of 1e-9.
    pub(super) quantity: NonZeroU64,
    /// Its number; when it has none, the ticks of a symbol are counted from one.
    pub(super) sequence: Option<Sequence>,
}

/// Why a trade cannot be on the tape.
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

/// What has been read so far.
#[derive(Default)]
pub(super) struct Intake {
    /// By the text of the symbol, places in `symbols`.
    places: HashMap<Box<str>, usize>,
    symbols: Vec<OneSymbol>,
    /// The place of the symbol that came last, which often comes next.
    latest: usize,
}

/// What has been read of one symbol.
struct OneSymbol {
    symbol: Symbol,
    reference_price: Price,
    last: Time,
    ticks: TicksBuilder,
    digest: Sha256,
}

/// All that was read, by symbol.
pub(super) struct Taken {
    pub(super) universe: Universe,
    /// Beside the instruments of the universe.
    pub(super) ticks: Vec<Arc<Ticks>>,
    /// A digest of the instruments and the ticks.
    pub(super) digest: Sha256,
}

impl Intake {
    /// Takes in the next trade.
    pub(super) fn take(&mut self, row: &Row) -> Result<(), RowError> {
        let place = self.place(row)?;
        let Some(one) = self.symbols.get_mut(place) else { return Ok(()) };
        let next = one.ticks.next();
        if let Some(found) = row.sequence.filter(|found| *found != next) {
            return Err(RowError::Sequence { symbol: one.symbol, next, found });
        }
        // Readers go on after the last tick that they have seen: the last number of all has none after it.
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

    /// Whether there is no trade yet.
    pub(super) fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Makes instruments of the symbols; those that are described take what describes them.
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
    let found = described.and_then(|universe| universe.instrument(&symbol).ok());
    let (name, kind, currency, day_start) = match &found {
        Some(found) => (found.name.clone(), found.kind.clone(), found.currency.clone(), found.day_start),
        None => (symbol.to_string(), "recorded".to_owned(), String::new(), Duration::ZERO),
    };
    Instrument {
        symbol,
        name,
        kind,
        currency,
        reference_price,
        price_increment: increments.price,
        quantity_increment_nanos: increments.quantity,
        annual_volatility: 0.0,
        tick_interval: Duration::ZERO,
        day_start,
        lease: Lease::default(),
    }
}

/// The numbers themselves, not how they are packed: a tape keeps its identity when the packing changes.
fn digest_into(digest: &mut Sha256, columns: [&[u64]; 3]) {
    for column in columns {
        let bytes: Vec<u8> = column.iter().flat_map(|value| value.to_le_bytes()).collect();
        digest.update(&bytes);
    }
}
