//! What the quantities of a server's instruments count.

use std::collections::HashMap;

use thiserror::Error;
use tokio_stream::StreamExt;

use crate::{
    client::{Client, ClientError, InstrumentInfo},
    decimal,
    tick::Symbol,
};

/// The quantity increments of the instruments of a server, in units of 1e-9.
#[derive(Clone, Debug, Default)]
pub(super) struct QuantityIncrements(HashMap<Symbol, u64>);

/// Error: a quantity is no whole number of increments.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "quantity: {} is no multiple of {}, the quantity increment of {symbol}: give the server a file of instruments \
     (--instruments) in which {symbol} has a quantity_increment that divides it",
    decimal::show(*nanos), decimal::show(*increment)
)]
pub(super) struct NotWhole {
    symbol: Symbol,
    nanos: u64,
    increment: u64,
}

/// The increment of an instrument that the server does not list: one share or coin.
const ONE: u64 = 1_000_000_000;

impl QuantityIncrements {
    /// Asks a server.
    pub(super) async fn of(client: &Client) -> Result<Self, ClientError> {
        let increment =
            |instrument: InstrumentInfo| (instrument.symbol, instrument.quantity_increment_nanos.get());
        let increments = client.instruments().map(|instrument| instrument.map(increment));
        Ok(Self(increments.collect::<Result<_, _>>().await?))
    }

    /// The increment of a symbol, in units of 1e-9.
    pub(super) fn get(&self, symbol: &Symbol) -> u64 {
        self.0.get(symbol).copied().unwrap_or(ONE)
    }

    /// A quantity in units of 1e-9 as a number of increments.
    ///
    /// # Errors
    /// It is no whole number of them.
    pub(super) fn count(&self, symbol: Symbol, nanos: u64) -> Result<u64, NotWhole> {
        let increment = self.get(&symbol);
        match nanos.is_multiple_of(increment) {
            true => Ok(nanos / increment),
            false => Err(NotWhole { symbol, nanos, increment }),
        }
    }
}

impl FromIterator<(Symbol, u64)> for QuantityIncrements {
    fn from_iter<I: IntoIterator<Item = (Symbol, u64)>>(increments: I) -> Self {
        Self(increments.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    #[test]
    fn a_quantity_is_counted_in_the_increments_of_its_instrument_and_in_ones_without() {
        let increments = QuantityIncrements::from_iter([(symbol("BTC"), 10_000), (symbol("LOTS"), 25 * ONE)]);
        assert_eq!(increments.count(symbol("BTC"), 15_000_000), Ok(1500));
        assert_eq!(increments.count(symbol("LOTS"), 50 * ONE), Ok(2));
        assert_eq!(increments.count(symbol("NEW"), 3 * ONE), Ok(3));
        assert_eq!(increments.count(symbol("NEW"), 0), Ok(0));
        assert_eq!(
            increments.count(symbol("NEW"), ONE / 2).unwrap_err().to_string(),
            "quantity: 0.5 is no multiple of 1, the quantity increment of NEW: give the server a file of instruments \
             (--instruments) in which NEW has a quantity_increment that divides it"
        );
        assert!(
            increments
                .count(symbol("LOTS"), 10 * ONE)
                .unwrap_err()
                .to_string()
                .contains("10 is no multiple of 25")
        );
    }
}
