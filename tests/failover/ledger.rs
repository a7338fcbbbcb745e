//! Holds the ticks that a client yields to what the contract promises: each sequence once and in order.

use std::collections::BTreeMap;

use ticker::{
    client::Event,
    tick::{Sequence, Symbol, Tick},
};

/// What has come of each symbol.
#[derive(Default)]
pub(crate) struct Ledger {
    last: BTreeMap<Symbol, Sequence>,
    pub(crate) ticks: u64,
}

impl Ledger {
    /// Enters an event.
    ///
    /// # Panics
    /// A tick came twice, or out of order, or one before it did not come; or the service left one out.
    pub(crate) fn enter(&mut self, event: &Event) -> Option<Tick> {
        match event {
            Event::Tick(live) => {
                let (symbol, sequence) = (live.symbol, live.tick.sequence);
                if let Some(last) = self.last.insert(symbol, sequence) {
                    assert_eq!(sequence, last.next(), "{symbol}: a tick is missing, came twice or too early");
                }
                assert_eq!(live.conflated, 0, "{symbol}");
                self.ticks += 1;
                Some(live.tick)
            }
            Event::Gap { .. } => panic!("a tick was left out: {event:?}"),
            _ => None,
        }
    }

    /// The last sequence of a symbol.
    pub(crate) fn last(&self, symbol: &Symbol) -> Option<Sequence> {
        self.last.get(symbol).copied()
    }

    /// How many symbols have had a tick.
    pub(crate) fn symbols(&self) -> usize {
        self.last.len()
    }
}
