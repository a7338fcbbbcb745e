//! Reads trades from Databento's binary encoding (DBN), versions 1 to 3.
//!
//! A file has a header and records. The header maps instrument numbers to symbols, by day. Only records of trades are read.
//! Databento's own crate reads every record of every schema and brings a dozen dependencies; trades need only the few
//! fields below. The tests write files with that crate.
//!
//! The time of a trade is when Databento received it: files are sorted by this time.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read},
};

use jiff::{civil, tz::TimeZone};

use super::{
    error::{Place, RecordedError, SourceFile},
    intake::{Intake, Row},
};
use crate::{
    tick::{Price, Time},
    timestamp,
};

/// The parts of the header that trades need.
struct Header {
    /// The symbols of each instrument number.
    symbols: HashMap<u32, Vec<Named>>,
}

/// A symbol and the times during which an instrument number stands for it, `from` included and `to` excluded.
struct Named {
    from: Time,
    to: Time,
    symbol: String,
}

/// Reads binary fields one after the other.
struct Fields<'a>(&'a [u8]);

/// There are fewer bytes than the field has.
struct Short;

/// Number of the schema `trades`, and the number that says that a file has several schemas.
const TRADES: u16 = 4;
const SEVERAL: u16 = u16::MAX;
/// Record type of a trade.
const TRADE: u8 = 0;
/// Symbology whose symbols are instrument numbers.
const BY_NUMBER: u8 = 0;
/// Values that mean that there is no time, or no price.
const UNDEFINED_TIME: u64 = u64::MAX;
const UNDEFINED_PRICE: i64 = i64::MAX;

/// Reads every trade of a file into `intake`.
pub(super) fn read(
    source: &SourceFile,
    mut bytes: impl Read,
    intake: &mut Intake,
) -> Result<(), RecordedError> {
    let header = Header::read(source, &mut bytes)?;
    let mut record = [0; 4 * u8::MAX as usize];
    for number in 1.. {
        let fault = |problem: String| source.fault(Place::Record(number), problem);
        let (length, rest) = record.split_at_mut(1);
        // The file may end only between two records.
        match bytes.read(length) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(source.broken(error)),
        }
        let length = 4 * usize::from(length[0]);
        let rest = length.checked_sub(1).and_then(|length| rest.get_mut(..length));
        let rest = rest.ok_or_else(|| fault("its length is zero; the file is damaged".to_owned()))?;
        bytes.read_exact(rest).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => fault("the file ends in the middle of it; fetch it again".to_owned()),
            _ => source.broken(error),
        })?;
        let short = |_| fault(format!("a trade of {length} bytes is too short; the file is damaged"));
        if let Some(trade) = Trade::of(rest).map_err(short)? {
            header.take(&trade, intake).map_err(fault)?;
        }
    }
    Ok(())
}

/// The fields of a trade that the tape needs.
struct Trade {
    instrument: u32,
    event: u64,
    received: u64,
    price: i64,
    size: u32,
}

impl Trade {
    /// Reads a record without its first byte; `None` when it is not a trade.
    fn of(record: &[u8]) -> Result<Option<Self>, Short> {
        let mut fields = Fields(record);
        if fields.u8()? != TRADE {
            return Ok(None);
        }
        fields.skip(2)?; // the publisher
        let (instrument, event) = (fields.u32()?, fields.u64()?);
        let (price, size) = (fields.u64()? as i64, fields.u32()?);
        fields.skip(4)?; // action, side, flags and depth
        Ok(Some(Self { instrument, event, received: fields.u64()?, price, size }))
    }
}

impl Header {
    fn read(source: &SourceFile, bytes: &mut impl Read) -> Result<Self, RecordedError> {
        let fault = |problem: String| source.fault(Place::File, problem);
        let short = |_| fault("the header is not whole; fetch the file again".to_owned());
        let mut start = Vec::new();
        bytes.by_ref().take(8).read_to_end(&mut start).map_err(|error| source.broken(error))?;
        let [_, _, _, version, length @ ..] = Fields(&start).array::<8>().map_err(short)?;
        if !(1..=3).contains(&version) {
            return Err(fault(format!(
                "DBN of version {version}: ticker reads 1 to 3; convert it with `dbn`"
            )));
        }
        let mut header = Vec::new();
        bytes
            .take(u32::from_le_bytes(length).into())
            .read_to_end(&mut header)
            .map_err(|error| source.broken(error))?;
        let (schema, header) = Self::parse(version, Fields(&header)).map_err(short)?;
        match schema {
            TRADES | SEVERAL => header.ok_or_else(|| {
                fault("the header maps no instrument numbers to symbols; ask for them as symbols".to_owned())
            }),
            _ => Err(fault(format!(
                "the records are no trades (their schema is number {schema}): ask Databento for the schema trades"
            ))),
        }
    }

    /// The number of the schema, and the header; no header when it does not map instrument numbers.
    fn parse(version: u8, mut fields: Fields) -> Result<(u16, Option<Self>), Short> {
        fields.skip(16)?; // the data set
        let schema = fields.u16()?;
        fields.skip(3 * 8)?; // start, end and limit
        if version == 1 {
            fields.skip(8)?; // the number of records
        }
        let (named, names) = (fields.u8()?, fields.u8()?);
        fields.skip(1)?; // whether records have the time of sending, which their length tells as well
        let symbol_len = if version == 1 { 22 } else { usize::from(fields.u16()?) };
        fields.skip(if version == 1 { 47 } else { 53 })?;
        let definition = fields.u32()? as usize;
        fields.skip(definition)?;
        for _ in ["requested", "partly found", "not found"] {
            let count = fields.u32()? as usize;
            fields.skip(count.saturating_mul(symbol_len))?;
        }
        let mut symbols: HashMap<u32, Vec<Named>> = HashMap::new();
        for _ in 0..fields.u32()? {
            let one = fields.text(symbol_len)?;
            for _ in 0..fields.u32()? {
                let (from, to) = (fields.day()?, fields.day()?);
                let other = fields.text(symbol_len)?;
                let (number, symbol) = if named == BY_NUMBER { (&one, &other) } else { (&other, &one) };
                if let Ok(number) = number.parse() {
                    symbols.entry(number).or_default().push(Named { from, to, symbol: symbol.clone() });
                }
            }
        }
        let header = (named == BY_NUMBER || names == BY_NUMBER).then_some(Self { symbols });
        Ok((schema, header))
    }

    fn take(&self, trade: &Trade, intake: &mut Intake) -> Result<(), String> {
        let time = match trade.received {
            UNDEFINED_TIME => trade.event,
            received => received,
        };
        let time = Time::from_nanos(time);
        let mut named = self.symbols.get(&trade.instrument).into_iter().flatten();
        let symbol = named.find(|named| (named.from..named.to).contains(&time)).ok_or_else(|| {
            format!(
                "the header has no symbol for the instrument {} at {}",
                trade.instrument,
                timestamp::show(time)
            )
        })?;
        let price = match trade.price {
            UNDEFINED_PRICE => Err("price: there is none".to_owned()),
            price => {
                Price::from_nanos(price).ok_or_else(|| format!("price: must be positive, got {price}e-9"))
            }
        }?;
        if trade.size == 0 {
            return Err("size: must be positive, got 0".to_owned());
        }
        let quantity = u64::from(trade.size) * 1_000_000_000;
        intake
            .take(&Row { symbol: &symbol.symbol, time, price, quantity, sequence: None })
            .map_err(|error| error.to_string())
    }
}

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        self.bytes(N)?.try_into().map_err(|_| Short)
    }

    fn skip(&mut self, count: usize) -> Result<(), Short> {
        self.bytes(count).map(|_| ())
    }

    fn u8(&mut self) -> Result<u8, Short> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_le_bytes)
    }

    /// Text padded with zeros to `len` bytes.
    fn text(&mut self, len: usize) -> Result<String, Short> {
        let text = self.bytes(len)?.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// The start of a day in UTC, written as a number such as 20261120; [`Time::MAX`] when that is not a date.
    fn day(&mut self) -> Result<Time, Short> {
        let number = self.u32()?;
        let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
        let date =
            i16::try_from(year).ok().and_then(|year| civil::Date::new(year, month as i8, day as i8).ok());
        let begins = date.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
        let nanos = begins.and_then(|begins| u64::try_from(begins.timestamp().as_nanosecond()).ok());
        Ok(nanos.map_or(Time::MAX, Time::from_nanos))
    }
}
