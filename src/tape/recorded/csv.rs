//! Reads trades from comma-separated values: one that names its columns, or a dump of Binance.

use std::{io::Read, num::NonZeroU64};

use ::csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::{
    binance,
    error::{Origin, Place, READABLE, RecordedError},
    intake::{Intake, Row},
    when,
};
use crate::{
    decimal,
    tick::{Price, Sequence},
};

/// Where a trade has what.
pub(super) struct Columns {
    pub(super) time: usize,
    pub(super) symbol: SymbolIn,
    pub(super) price: usize,
    pub(super) quantity: Option<usize>,
    pub(super) sequence: Option<usize>,
    /// How many columns there are.
    pub(super) count: usize,
}

/// Where the symbol stands.
pub(super) enum SymbolIn {
    /// In a column.
    Column(usize),
    /// In the name of the file: all trades are of one.
    Name(String),
}

/// The names of the columns, each with those that other programs give it.
const TIME: &[&str] = &["time", "timestamp", "transact_time"];
const SYMBOL: &[&str] = &["symbol"];
const PRICE: &[&str] = &["price", "ltp"];
const QUANTITY: &[&str] = &["quantity", "qty"];
const SEQUENCE: &[&str] = &["sequence"];

/// A column of `ticker watch`, which counts increments: how large one is, the file does not say.
const INCREMENTS: &str = "last_quantity";

/// A trade without a quantity is one of one.
const ONE: NonZeroU64 = NonZeroU64::new(1_000_000_000).unwrap();

/// Reads every line.
pub(super) fn read(origin: &Origin, bytes: impl Read, intake: &mut Intake) -> Result<(), RecordedError> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1 << 16).from_reader(bytes);
    let failed = |error: ::csv::Error| match error.into_kind() {
        ErrorKind::Io(error) => origin.broken(error),
        kind => origin.fault(Place::File, format!("{kind:?}")),
    };
    let mut record = ByteRecord::new();
    let mut more = reader.read_byte_record(&mut record).map_err(failed)?;
    let line = |record: &ByteRecord| Place::Line(record.position().map_or(0, |position| position.line()));

    let of_dump = binance::columns(&record, origin.path);
    let is_header = of_dump.is_none();
    let columns = of_dump.unwrap_or_else(|| named(&record, origin));
    let columns = columns.map_err(|problem| origin.fault(Place::Line(1), problem))?;
    if is_header {
        more = reader.read_byte_record(&mut record).map_err(failed)?;
    }
    while more {
        columns.take(&record, intake).map_err(|problem| origin.fault(line(&record), problem))?;
        more = reader.read_byte_record(&mut record).map_err(failed)?;
    }
    Ok(())
}

/// The columns that a header names.
fn named(header: &ByteRecord, origin: &Origin) -> Result<Columns, String> {
    let place = |names: &[&str]| {
        let is_named =
            |field: &[u8]| names.iter().any(|name| field.trim_ascii().eq_ignore_ascii_case(name.as_bytes()));
        header.iter().position(is_named)
    };
    let missing = |names: &[&str]| {
        let found = header.iter().map(shown).collect::<Vec<_>>().join(",");
        format!("there is no column {}: {READABLE}; this begins with {}", names[0], cut(&found))
    };
    let quantity = place(QUANTITY);
    if quantity.is_none() && place(&[INCREMENTS]).is_some() {
        return Err(format!(
            "{INCREMENTS} counts increments and no column says how large they are: `ticker record` writes a file \
             with the column {}",
            QUANTITY[0]
        ));
    }
    let price = place(PRICE).ok_or_else(|| missing(PRICE))?;
    let symbol = match place(SYMBOL) {
        Some(column) => SymbolIn::Column(column),
        None => SymbolIn::Name(binance::symbol(origin.path).map_err(|_| missing(SYMBOL))?),
    };
    Ok(Columns {
        time: place(TIME).ok_or_else(|| missing(TIME))?,
        symbol,
        price,
        quantity,
        sequence: place(SEQUENCE),
        count: header.len(),
    })
}

impl Columns {
    fn take(&self, record: &ByteRecord, intake: &mut Intake) -> Result<(), String> {
        if record.len() != self.count {
            return Err(format!("the line has {} fields and not {}", record.len(), self.count));
        }
        let field = |name: &str, at: usize| {
            let bytes = record.get(at).unwrap_or_default().trim_ascii();
            let is_short = bytes.len() <= LONGEST && !bytes.iter().any(u8::is_ascii_control);
            let text = str::from_utf8(bytes).ok().filter(|_| is_short);
            text.ok_or_else(|| format!("{name}: this is no text of one line: {}", shown(bytes)))
        };
        let positive = |name: &str, at: usize| {
            let text = field(name, at)?;
            let nanos = decimal::nanos(text).map_err(|error| format!("{name}: {error}"))?;
            u64::try_from(nanos)
                .ok()
                .and_then(NonZeroU64::new)
                .ok_or_else(|| format!("{name}: must be positive, got {text}"))
        };
        let symbol = match &self.symbol {
            SymbolIn::Column(at) => field("symbol", *at)?,
            SymbolIn::Name(symbol) => symbol,
        };
        let time = when::parse(field("time", self.time)?).map_err(|error| format!("time: {error}"))?;
        let price = positive("price", self.price)?;
        let quantity = self.quantity.map_or(Ok(ONE), |at| positive("quantity", at))?;
        let sequence = self.sequence.map(|at| {
            let text = field("sequence", at)?;
            text.parse().map(Sequence).map_err(|_| format!("sequence: must be a whole number, got {text}"))
        });
        let row = Row {
            symbol,
            time,
            // Decimals are read as signed numbers: a positive one is a price.
            price: Price::from_nanos(price.get() as i64).ok_or("price: must be positive")?,
            quantity,
            sequence: sequence.transpose()?,
        };
        intake.take(&row).map_err(|error| error.to_string())
    }
}

/// No field that means anything is longer.
const LONGEST: usize = 64;

/// Bytes of a file, for the eyes of whoever has to mend it.
fn shown(bytes: &[u8]) -> String {
    cut(&String::from_utf8_lossy(bytes)).escape_debug().to_string()
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
