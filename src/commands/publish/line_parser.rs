//! Reads ticks from lines of text: `SYMBOL PRICE [QUANTITY]`, or CSV whose header names the columns.

use thiserror::Error;

use crate::{
    client::{BidAsk, NewTick, PriceLevel},
    commands::{phrases::counted, quantity_increments::QuantityIncrements},
    decimal,
    tick::{Price, Symbol, Time},
    timestamp,
};

/// Reads one line after the other.
pub(super) struct LineParser {
    increments: QuantityIncrements,
    /// The columns, once the first line with ticks or a header was read.
    columns: Option<Columns>,
}

/// Why a line is no tick.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum LineError {
    /// The header cannot be used, so no line after it can be read.
    #[error("{0}")]
    Header(String),
    /// This line alone.
    #[error("{0}")]
    Line(String),
}

/// The column of each field of a line.
#[derive(Debug)]
struct Columns {
    names: Vec<Column>,
    /// How many fields a line may lack at its end.
    optional: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Symbol,
    Price,
    Quantity,
    Time,
    Bid,
    BidQuantity,
    Ask,
    AskQuantity,
}

/// The fields of a line, by column. A field that is empty or missing is `None`.
#[derive(Default)]
struct Fields<'a>([Option<&'a str>; Column::ALL.len()]);

impl Column {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Symbol, "symbol"),
        (Self::Price, "price"),
        (Self::Quantity, "quantity"),
        (Self::Time, "time"),
        (Self::Bid, "bid"),
        (Self::BidQuantity, "bid_quantity"),
        (Self::Ask, "ask"),
        (Self::AskQuantity, "ask_quantity"),
    ];

    fn of(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        found.map(|(column, _)| *column)
    }

    fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl LineParser {
    /// Quantities are counted in these increments.
    pub(super) fn new(increments: QuantityIncrements) -> Self {
        Self { increments, columns: None }
    }

    /// Reads a line; `None` for an empty one and for the header.
    ///
    /// # Errors
    /// The line is no tick, or no header that can be used.
    pub(super) fn parse(&mut self, line: &str) -> Result<Option<NewTick>, LineError> {
        // Some programs begin a file with a byte order mark.
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            return Ok(None);
        }
        let fields = split(line);
        let columns = match &self.columns {
            Some(columns) => columns,
            None if is_header(&fields) => {
                self.columns = Some(Columns::named(&fields).map_err(LineError::Header)?);
                return Ok(None);
            }
            None => self.columns.insert(Columns::positional()),
        };
        let tick = columns.fields(&fields).and_then(|fields| fields.tick(&self.increments));
        tick.map(Some).map_err(LineError::Line)
    }
}

/// The fields of a line: separated by commas if it has one, and by spaces otherwise. Fields may be quoted.
fn split(line: &str) -> Vec<&str> {
    match line.contains(',') {
        true => line.split(',').map(unquoted).collect(),
        false => line.split_whitespace().map(unquoted).collect(),
    }
}

fn unquoted(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|field| field.strip_suffix('"')).unwrap_or(field).trim()
}

/// Whether the first line names columns: it has the name of one, and no number.
fn is_header(fields: &[&str]) -> bool {
    fields.len() > 1
        && fields.iter().any(|field| Column::of(field).is_some())
        && fields.iter().all(|field| decimal::nanos(field).is_err())
}

impl Columns {
    fn positional() -> Self {
        Self { names: vec![Column::Symbol, Column::Price, Column::Quantity], optional: 1 }
    }

    fn named(header: &[&str]) -> Result<Self, String> {
        let mut names = Vec::new();
        for name in header {
            let known = || Column::ALL.map(|(_, name)| name).join(", ");
            let column = Column::of(name).ok_or_else(|| {
                format!("the header has the unknown column {name:?}: the columns are {}", known())
            })?;
            if names.contains(&column) {
                return Err(format!(
                    "the header has the column {} twice: leave one of them out",
                    column.name()
                ));
            }
            names.push(column);
        }
        for column in [Column::Symbol, Column::Price] {
            if !names.contains(&column) {
                return Err(format!("the header has no column {}: every tick needs one", column.name()));
            }
        }
        if names.contains(&Column::Bid) != names.contains(&Column::Ask) {
            return Err(
                "the header has only one of bid and ask: add the other one, or leave both out".to_owned()
            );
        }
        Ok(Self { names, optional: 0 })
    }

    fn fields<'a>(&self, fields: &[&'a str]) -> Result<Fields<'a>, String> {
        let most = self.names.len();
        let least = most - self.optional;
        if !(least..=most).contains(&fields.len()) {
            return Err(match self.optional {
                0 => format!("the line has {} fields, and the header {most}", fields.len()),
                _ => {
                    format!("expected SYMBOL PRICE [QUANTITY], got {}", counted(fields.len() as u64, "field"))
                }
            });
        }
        let mut by_column = Fields::default();
        for (column, field) in self.names.iter().zip(fields).filter(|(_, field)| !field.is_empty()) {
            by_column.0[*column as usize] = Some(field);
        }
        Ok(by_column)
    }
}

impl Fields<'_> {
    fn tick(&self, increments: &QuantityIncrements) -> Result<NewTick, String> {
        let symbol = self.get(Column::Symbol).ok_or("symbol: there is none")?;
        let symbol: Symbol = symbol.parse().map_err(|error| format!("symbol: {error}"))?;
        let price = self.price(Column::Price)?.ok_or("price: there is none")?;
        let quantity = self.quantity(Column::Quantity, symbol, increments)?.unwrap_or_default();
        let time = self.get(Column::Time).map(timestamp::parse).transpose();
        let time: Option<Time> = time.map_err(|error| format!("time: {error}"))?;
        let level = |price, quantity| {
            let (price, quantity) = (self.price(price)?, self.quantity(quantity, symbol, increments)?);
            match (price, quantity) {
                (Some(price), quantity) => {
                    Ok(Some(PriceLevel { price, quantity: quantity.unwrap_or_default() }))
                }
                (None, Some(_)) => Err("bid and ask: there is a quantity without its price".to_owned()),
                (None, None) => Ok(None),
            }
        };
        let bid = level(Column::Bid, Column::BidQuantity)?;
        let ask = level(Column::Ask, Column::AskQuantity)?;
        let bid_ask = match (bid, ask) {
            (Some(bid), Some(ask)) => Some(BidAsk { bid, ask }),
            (None, None) => None,
            _ => return Err("bid and ask: there is only one of them; give both or none".to_owned()),
        };
        Ok(NewTick::new(symbol, price, quantity).with_time(time).with_bid_ask(bid_ask))
    }

    fn get(&self, column: Column) -> Option<&str> {
        self.0[column as usize]
    }

    fn price(&self, column: Column) -> Result<Option<Price>, String> {
        let Some(text) = self.get(column) else { return Ok(None) };
        let nanos = decimal::nanos(text).map_err(|error| format!("{}: {error}", column.name()))?;
        let price = Price::from_nanos(nanos);
        price.map(Some).ok_or_else(|| format!("{}: must be positive, got {text}", column.name()))
    }

    /// A quantity in increments.
    fn quantity(
        &self,
        column: Column,
        symbol: Symbol,
        increments: &QuantityIncrements,
    ) -> Result<Option<u64>, String> {
        let Some(text) = self.get(column) else { return Ok(None) };
        let nanos = decimal::nanos(text).map_err(|error| format!("{}: {error}", column.name()))?;
        let nanos = u64::try_from(nanos)
            .map_err(|_| format!("{}: must not be negative, got {text}", column.name()))?;
        increments.count(symbol, nanos).map(Some).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parser() -> LineParser {
        let increments = [("BTC-USD", 10_000), ("LOTS", 25_000_000_000)];
        let increments = increments.map(|(symbol, nanos)| (symbol.parse().unwrap(), nanos));
        LineParser::new(increments.into_iter().collect())
    }

    /// The ticks and errors of lines; nothing for an empty one and for the header.
    fn parse(lines: &[&str]) -> Vec<Result<NewTick, String>> {
        let mut parser = parser();
        let parsed = lines.iter().map(|line| parser.parse(line).map_err(|error| error.to_string()));
        parsed.filter_map(Result::transpose).collect()
    }

    fn tick(symbol: &str, nanos: i64, quantity: u64) -> NewTick {
        NewTick::new(symbol.parse().unwrap(), Price::from_nanos(nanos).unwrap(), quantity)
    }

    #[test]
    fn a_line_is_a_symbol_a_price_and_perhaps_a_quantity_separated_by_spaces_or_commas() {
        let ticks = parse(&[
            "TCS 4192.05 3",
            "BTC-USD,97000.01,0.015",
            "",
            "  TCS \t 4192 \r",
            "TCS, 1 ,",
            "\"TCS\",1e3,+2",
            "LOTS 1 50",
        ]);
        let expected = [
            tick("TCS", 4_192_050_000_000, 3),
            tick("BTC-USD", 97_000_010_000_000, 1500),
            tick("TCS", 4_192_000_000_000, 0),
            tick("TCS", 1_000_000_000, 0),
            tick("TCS", 1_000_000_000_000, 2),
            tick("LOTS", 1_000_000_000, 2),
        ];
        assert_eq!(ticks, expected.map(Ok));
    }

    #[test]
    fn a_header_names_the_columns_in_any_order_and_case() {
        let ticks = parse(&[
            "\u{feff}Price,SYMBOL,ask,ask_quantity,bid,time",
            "5,TCS,6,7,4,1970-01-01T00:00:01Z",
            "5,TCS,,,,",
        ]);
        let level = |nanos, quantity| PriceLevel { price: Price::from_nanos(nanos).unwrap(), quantity };
        let bid_ask = BidAsk { bid: level(4_000_000_000, 0), ask: level(6_000_000_000, 7) };
        let full =
            tick("TCS", 5_000_000_000, 0).with_time(Time::from_nanos(1_000_000_000)).with_bid_ask(bid_ask);
        assert_eq!(ticks, [Ok(full), Ok(tick("TCS", 5_000_000_000, 0))]);
    }

    #[test]
    fn a_bad_line_is_refused_with_what_is_wrong_and_the_next_one_is_read() {
        for (line, told) in [
            ("TCS", "expected SYMBOL PRICE [QUANTITY], got 1 field"),
            ("TCS 1 2 3", "expected SYMBOL PRICE [QUANTITY], got 4 fields"),
            ("TCS,,5", "price: there is none"),
            (",1", "symbol: there is none"),
            ("TCS -1", "price: must be positive, got -1"),
            ("TCS 0", "price: must be positive, got 0"),
            ("TCS NaN", "price: must be a decimal number such as 2930.55, got NaN"),
            ("TCS inf", "price: must be a decimal number such as 2930.55, got inf"),
            ("TCS 1 -2", "quantity: must not be negative, got -2"),
            ("TCS 1 0.5", "quantity: 0.5 is no multiple of 1, the quantity increment of TCS"),
            ("LOTS 1 10", "quantity: 10 is no multiple of 25, the quantity increment of LOTS"),
            ("BTC-USD 1 0.000001", "quantity: 0.000001 is no multiple of 0.00001"),
            ("TCS 0.0000000001", "price: must have at most 9 decimals"),
            ("TCS 99999999999", "price: must be below 9223372036"),
            ("NIFTY 50,100.5", "symbol: a symbol is made of letters"),
            ("-TCS 1", "symbol: a symbol is made of letters"),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG 1", "symbol: a symbol has at most 32 characters"),
        ] {
            let parsed = parse(&["TCS 1", line, "TCS 2"]);
            let told_is = parsed[1].as_ref().unwrap_err();
            assert!(told_is.starts_with(told), "{line}: {told_is}");
            assert_eq!(parsed[2], Ok(tick("TCS", 2_000_000_000, 0)));
        }
    }

    #[test]
    fn a_bad_row_is_refused_with_its_column() {
        let header = "symbol,price,time,bid,bid_quantity,ask";
        for (row, told) in [
            ("TCS,1", "the line has 2 fields, and the header 6"),
            ("TCS,1,noon,,,", "time: expected a time with its zone"),
            ("TCS,1,,1,,", "bid and ask: there is only one of them"),
            ("TCS,1,,,3,2", "bid and ask: there is a quantity without its price"),
            ("TCS,1,,-1,,2", "bid: must be positive, got -1"),
            ("TCS,1,,1,x,2", "bid_quantity: must be a decimal number"),
        ] {
            let parsed = parse(&[header, row]);
            let told_is = parsed[0].as_ref().unwrap_err();
            assert!(told_is.starts_with(told), "{row}: {told_is}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_used_ends_it() {
        for (header, told) in [
            (
                "symbol,price,volume",
                "the header has the unknown column \"volume\": the columns are symbol, price",
            ),
            ("symbol,quantity", "the header has no column price"),
            ("price,quantity", "the header has no column symbol"),
            ("symbol,price,price", "the header has the column price twice"),
            ("symbol,price,bid", "the header has only one of bid and ask"),
        ] {
            let error = parser().parse(header).unwrap_err();
            assert!(matches!(&error, LineError::Header(message) if message.starts_with(told)), "{error}");
        }
        // A tick of a symbol with the name of a column.
        assert_eq!(parser().parse("PRICE 5"), Ok(Some(tick("PRICE", 5_000_000_000, 0))));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(lines in prop::collection::vec(".*", 1..4)) {
            let mut parser = parser();
            for line in lines {
                let _ = parser.parse(&line);
            }
        }
    }
}
