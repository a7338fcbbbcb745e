//! The best bid and ask.

use crate::tick::Price;

/// The best bid and ask of an instrument, with their sizes in the instrument's quantity increments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopOfBook {
    /// The best bid.
    pub bid: Price,
    /// How much is bid for at that price; 0 for an index.
    pub bid_quantity: u64,
    /// The best ask, above the best bid.
    pub ask: Price,
    /// How much is offered at that price; 0 for an index.
    pub ask_quantity: u64,
}
