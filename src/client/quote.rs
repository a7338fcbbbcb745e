//! The state of a market after a trade.

use super::{
    convert::{self, Malformed},
    instrument::InstrumentStatus,
};
use crate::{
    contract::v1,
    tick::{Price, Time},
};

/// The best bid and ask and the figures of the day, right after a trade. They come from the tape, so they are the same on
/// every replica.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Quote {
    /// The best bid. `None` when the tape has no order book, as a recorded tape.
    pub bid: Option<PriceLevel>,
    /// The best ask. `None` when the tape has no order book.
    pub ask: Option<PriceLevel>,
    /// When the trading day began.
    pub day_start: Time,
    /// The first price of the day.
    pub open: Price,
    /// The highest price of the day so far.
    pub high: Price,
    /// The lowest price of the day so far.
    pub low: Price,
    /// How much was traded on the day so far, in the instrument's quantity increments; 0 for an index.
    pub volume: u64,
    /// The last price before the day. `None` on the first day of a tape.
    pub previous_close: Option<Price>,
    /// The last traded price against the previous close, in percent: 1.5 is 1.5 % up.
    pub change_percent: Option<f64>,
    /// Whether the instrument trades: at the time of the trade, or now in a snapshot. `None` when that is not known.
    pub status: Option<InstrumentStatus>,
}

/// A price of an order book and how much is offered or bid for at that price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceLevel {
    /// The price.
    pub price: Price,
    /// How much, in the instrument's quantity increments; 0 for an index.
    pub quantity: u64,
}

impl Quote {
    pub(super) fn of(quote: &v1::Quote) -> Result<Self, Malformed> {
        let price = |nanos| Price::from_nanos(nanos).ok_or(Malformed("a quote without a positive price"));
        let known = |nanos| if nanos == 0 { Ok(None) } else { price(nanos).map(Some) };
        let level = |nanos, quantity| Ok(known(nanos)?.map(|price| PriceLevel { price, quantity }));
        Ok(Self {
            bid: level(quote.bid_nanos, quote.bid_quantity)?,
            ask: level(quote.ask_nanos, quote.ask_quantity)?,
            day_start: convert::time(quote.day_start_time.as_ref())?,
            open: price(quote.open_nanos)?,
            high: price(quote.high_nanos)?,
            low: price(quote.low_nanos)?,
            volume: quote.volume,
            previous_close: known(quote.previous_close_nanos)?,
            change_percent: quote.change_percent,
            status: InstrumentStatus::of(quote.status()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote() -> v1::Quote {
        v1::Quote {
            bid_nanos: 99_500_000_000,
            bid_quantity: 7,
            ask_nanos: 100_500_000_000,
            ask_quantity: 9,
            day_start_time: Some(prost_types::Timestamp { seconds: 86_400, nanos: 0 }),
            open_nanos: 98_000_000_000,
            high_nanos: 101_000_000_000,
            low_nanos: 97_000_000_000,
            volume: 1_000,
            previous_close_nanos: 98_500_000_000,
            change_percent: Some(1.5),
            status: v1::InstrumentStatus::Halted.into(),
        }
    }

    #[test]
    fn every_field_of_a_quote_is_taken_over() {
        let price = |nanos| Price::from_nanos(nanos).unwrap();
        let expected = Quote {
            bid: Some(PriceLevel { price: price(99_500_000_000), quantity: 7 }),
            ask: Some(PriceLevel { price: price(100_500_000_000), quantity: 9 }),
            day_start: Time::from_nanos(86_400_000_000_000),
            open: price(98_000_000_000),
            high: price(101_000_000_000),
            low: price(97_000_000_000),
            volume: 1_000,
            previous_close: Some(price(98_500_000_000)),
            change_percent: Some(1.5),
            status: Some(InstrumentStatus::Halted),
        };
        assert_eq!(Quote::of(&quote()), Ok(expected));
    }

    #[test]
    fn what_a_tape_does_not_know_is_none_and_what_the_contract_forbids_is_refused() {
        let unknown = v1::Quote {
            bid_nanos: 0,
            ask_nanos: 0,
            previous_close_nanos: 0,
            change_percent: None,
            status: 0,
            ..quote()
        };
        let unknown = Quote::of(&unknown).unwrap();
        assert_eq!((unknown.bid, unknown.ask, unknown.previous_close), (None, None, None));
        assert_eq!(unknown.status, None);
        for broken in [
            v1::Quote { bid_nanos: -1, ..quote() },
            v1::Quote { low_nanos: 0, ..quote() },
            v1::Quote { day_start_time: None, ..quote() },
        ] {
            assert!(Quote::of(&broken).is_err(), "{broken:?}");
        }
    }
}
