//! A tick to publish.

use crate::{
    client::{PriceLevel, convert::timestamp},
    contract::v1::PublishedTick,
    tick::{Price, Symbol, Time},
};

/// A trade of one symbol, or a value of an index, that is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTick {
    /// The symbol that traded.
    pub symbol: Symbol,
    /// When the trade took place. `None`, the default, stands for the time at which the server takes the tick.
    pub time: Option<Time>,
    /// The price.
    pub price: Price,
    /// How much was traded, in the instrument's quantity increments; 0 for an index.
    pub quantity: u64,
    /// The best bid and ask after the trade, if they are known.
    pub bid_ask: Option<BidAsk>,
}

/// The best bid and the best ask of an order book. The bid is below the ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BidAsk {
    /// The best bid.
    pub bid: PriceLevel,
    /// The best ask.
    pub ask: PriceLevel,
}

impl NewTick {
    /// A tick that takes place when the server takes it, without bid and ask.
    pub fn new(symbol: Symbol, price: Price, quantity: u64) -> Self {
        Self { symbol, time: None, price, quantity, bid_ask: None }
    }

    /// Sets when the trade took place: at most a minute before and a second after the time of the server.
    pub fn with_time(self, time: impl Into<Option<Time>>) -> Self {
        Self { time: time.into(), ..self }
    }

    /// Sets the best bid and ask after the trade.
    pub fn with_bid_ask(self, bid_ask: impl Into<Option<BidAsk>>) -> Self {
        Self { bid_ask: bid_ask.into(), ..self }
    }

    pub(super) fn to_message(self) -> PublishedTick {
        let message = PublishedTick {
            symbol: self.symbol.to_string(),
            time: self.time.map(timestamp),
            price_nanos: self.price.nanos(),
            quantity: self.quantity,
            ..PublishedTick::default()
        };
        match self.bid_ask {
            None => message,
            Some(BidAsk { bid, ask }) => PublishedTick {
                bid_nanos: bid.price.nanos(),
                bid_quantity: bid.quantity,
                ask_nanos: ask.price.nanos(),
                ask_quantity: ask.quantity,
                ..message
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_tick_is_sent() {
        let price = |nanos| Price::from_nanos(nanos).unwrap();
        let tick = NewTick::new("TCS".parse().unwrap(), price(5), 7);
        let plain = PublishedTick {
            symbol: "TCS".to_owned(),
            price_nanos: 5,
            quantity: 7,
            ..PublishedTick::default()
        };
        assert_eq!(tick.to_message(), plain);
        let bid = PriceLevel { price: price(4), quantity: 1 };
        let ask = PriceLevel { price: price(6), quantity: 2 };
        let full =
            tick.with_time(Time::from_nanos(1_000_000_003)).with_bid_ask(BidAsk { bid, ask }).to_message();
        assert_eq!(full.time, Some(prost_types::Timestamp { seconds: 1, nanos: 3 }));
        assert_eq!((full.bid_nanos, full.bid_quantity), (4, 1));
        assert_eq!((full.ask_nanos, full.ask_quantity), (6, 2));
    }
}
