//! A tick as a line of the log: comma-separated values that `ticker serve --tape` reads as well.

use std::{io::Write, num::NonZeroU64, str::Split, sync::Arc};

use crate::{
    decimal,
    tape::{Instrument, TopOfBook},
    tick::{Price, Sequence, Symbol, Tick},
    timestamp,
};

/// The first line of a log.
pub(super) const HEADER: &str =
    "time,symbol,price,quantity,sequence,bid,bid_quantity,ask,ask_quantity,publisher,number\n";

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) symbol: Symbol,
    /// With its quantity in units of 1e-9.
    tick: Tick,
    /// With its quantities in units of 1e-9.
    book: Option<TopOfBook>,
    /// The publisher and the number of the tick.
    pub(super) number: Option<(Arc<str>, u64)>,
}

impl Row {
    /// A tick of an instrument. The quantities times the increment must fit into 63 bits.
    pub(super) fn of(
        instrument: &Instrument,
        tick: &Tick,
        book: Option<TopOfBook>,
        number: Option<(Arc<str>, u64)>,
    ) -> Self {
        let nanos = |quantity: u64| quantity.saturating_mul(instrument.quantity_increment_nanos.get());
        Self {
            symbol: instrument.symbol,
            tick: Tick { quantity: nanos(tick.quantity), ..*tick },
            book: book.map(|book| TopOfBook {
                bid_quantity: nanos(book.bid_quantity),
                ask_quantity: nanos(book.ask_quantity),
                ..book
            }),
            number,
        }
    }

    /// The price.
    pub(super) fn price(&self) -> Price {
        self.tick.price
    }

    /// The tick and the book with their quantities in the increments of the instrument.
    ///
    /// # Errors
    /// A price or a quantity is no multiple of its increment.
    pub(super) fn in_increments(&self, instrument: &Instrument) -> Result<(Tick, Option<TopOfBook>), String> {
        let price_increment = instrument.price_increment;
        let book_prices = self.book.into_iter().flat_map(|book| [book.bid, book.ask]);
        for price in std::iter::once(self.tick.price).chain(book_prices) {
            if price.nanos() % price_increment.nanos() != 0 {
                return Err(format!(
                    "price: {price} is no multiple of {price_increment}, the price_increment of {} in the file of \
                     --instruments: give it the one with which the log was written",
                    self.symbol
                ));
            }
        }
        let increments = |nanos: u64| {
            let increment = instrument.quantity_increment_nanos;
            if !nanos.is_multiple_of(increment.get()) {
                return Err(format!(
                    "quantity: {} is no multiple of {}, the quantity_increment of {} in the file of --instruments: give it \
                     the one with which the log was written",
                    decimal::show(nanos),
                    decimal::show(NonZeroU64::get(increment)),
                    self.symbol
                ));
            }
            Ok(nanos / increment)
        };
        let tick = Tick { quantity: increments(self.tick.quantity)?, ..self.tick };
        let book = match self.book {
            Some(book) => Some(TopOfBook {
                bid_quantity: increments(book.bid_quantity)?,
                ask_quantity: increments(book.ask_quantity)?,
                ..book
            }),
            None => None,
        };
        Ok((tick, book))
    }

    #[cfg(feature = "nats")]
    pub(super) fn sequence(&self) -> Sequence {
        self.tick.sequence
    }

    #[cfg(feature = "nats")]
    pub(super) fn time(&self) -> crate::tick::Time {
        self.tick.time
    }

    /// Appends the line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { symbol, tick, book, number } = self;
        let time = timestamp::show_with_decimals(tick.time, 9);
        let quantity = decimal::show(tick.quantity);
        // Writing to memory cannot fail.
        let _ = write!(out, "{time},{symbol},{},{quantity},{},", tick.price, tick.sequence);
        let _ = match book {
            Some(book) => {
                let (bid_quantity, ask_quantity) =
                    (decimal::show(book.bid_quantity), decimal::show(book.ask_quantity));
                write!(out, "{},{bid_quantity},{},{ask_quantity},", book.bid, book.ask)
            }
            None => write!(out, ",,,,"),
        };
        let _ = match number {
            Some((publisher, number)) => writeln!(out, "{publisher},{number}"),
            None => writeln!(out, ","),
        };
    }

    /// Reads a line without its end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(line).map_err(|_| "it is no text".to_owned())?;
        let mut fields = text.split(',');
        let mut next = |name: &'static str| field(&mut fields, name);
        let time = next("time")?;
        let (_, symbol) = next("symbol")?;
        let price = price(next("price")?)?;
        let quantity = quantity(next("quantity")?)?;
        let sequence = number(next("sequence")?)?;
        let book = [next("bid")?, next("bid_quantity")?, next("ask")?, next("ask_quantity")?];
        let (_, publisher) = next("publisher")?;
        let publisher_number = next("number")?;
        if fields.next().is_some() {
            return Err("it has more fields than the header".to_owned());
        }
        Ok(Self {
            symbol: symbol.parse().map_err(|error| format!("symbol: {error}"))?,
            tick: Tick {
                sequence: Sequence(sequence),
                time: timestamp::parse(time.1).map_err(|error| format!("time: {error}"))?,
                price,
                quantity,
            },
            book: match book {
                [(_, ""), ..] => None,
                [bid, bid_quantity, ask, ask_quantity] => Some(TopOfBook {
                    bid: self::price(bid)?,
                    bid_quantity: self::quantity(bid_quantity)?,
                    ask: self::price(ask)?,
                    ask_quantity: self::quantity(ask_quantity)?,
                }),
            },
            number: match publisher {
                "" => None,
                publisher => Some((publisher.into(), number(publisher_number)?)),
            },
        })
    }
}

/// A field of a line and its name.
type Field<'a> = (&'static str, &'a str);

fn field<'a>(fields: &mut Split<'a, char>, name: &'static str) -> Result<Field<'a>, String> {
    Ok((name, fields.next().ok_or_else(|| format!("it ends before the field {name}"))?))
}

fn price((name, text): Field) -> Result<Price, String> {
    let nanos = decimal::nanos(text).map_err(|error| format!("{name}: {error}"))?;
    Price::from_nanos(nanos).ok_or_else(|| format!("{name}: {text} is not positive"))
}

fn quantity((name, text): Field) -> Result<u64, String> {
    let nanos = decimal::nanos(text).map_err(|error| format!("{name}: {error}"))?;
    u64::try_from(nanos).map_err(|_| format!("{name}: {text} is negative"))
}

fn number((name, text): Field) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{name}: {text:?} is no whole number"))
}
