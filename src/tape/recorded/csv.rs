//! Reads trades from comma-separated values: one that names its columns, or a dump of Binance.

use std::{
    io::{BufReader, Read},
    num::NonZeroU64,
};

use ::csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::{
    binance,
    error::{Place, READABLE, RecordedError, SourceFile},
    intake::{Intake, Row},
    lines::Lines,
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

/// The rows of a file, one at a time.
struct Rows<'a, R> {
    source: &'a SourceFile<'a>,
    reader: Reader<Lines<BufReader<R>>>,
    row: ByteRecord,
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
pub(super) fn read(source: &SourceFile, bytes: impl Read, intake: &mut Intake) -> Result<(), RecordedError> {
    let mut rows = Rows::new(source, bytes);
    let mut more = rows.read()?;
    let of_dump = binance::columns(&rows.row, source.path);
    let is_header = of_dump.is_none();
    let columns = of_dump.unwrap_or_else(|| named(&rows.row, source));
    let columns = columns.map_err(|problem| rows.fault(problem))?;
    if is_header {
        more = rows.read()?;
    }
    while more {
        columns.take(&rows.row, intake).map_err(|problem| rows.fault(problem))?;
        more = rows.read()?;
    }
    Ok(())
}

/// The columns that a header names.
fn named(header: &ByteRecord, source: &SourceFile) -> Result<Columns, String> {
    let place = |names: &[&str]| {
        let is_named =
            |field: &[u8]| names.iter().any(|name| field.trim_ascii().eq_ignore_ascii_case(name.as_bytes()));
        let mut named = header.iter().enumerate().filter(|(_, field)| is_named(field));
        match (named.next(), named.next()) {
            (Some((_, one)), Some((_, other))) => Err(format!(
                "the columns {} and {} are both the {}: leave one of them out",
                shown(one.trim_ascii()),
                shown(other.trim_ascii()),
                names[0]
            )),
            (found, _) => Ok(found.map(|(at, _)| at)),
        }
    };
    let missing = |names: &[&str]| {
        let found = header.iter().map(shown).collect::<Vec<_>>().join(",");
        format!("there is no column {}: {READABLE}; this begins with {}", names[0], cut(&found))
    };
    let quantity = place(QUANTITY)?;
    if quantity.is_none() && place(&[INCREMENTS])?.is_some() {
        return Err(format!(
            "{INCREMENTS} counts increments and no column says how large they are: `ticker record` writes a file \
             with the column {}",
            QUANTITY[0]
        ));
    }
    let price = place(PRICE)?.ok_or_else(|| missing(PRICE))?;
    let symbol = match place(SYMBOL)? {
        Some(column) => SymbolIn::Column(column),
        None => SymbolIn::Name(binance::symbol(source.path).map_err(|_| missing(SYMBOL))?),
    };
    Ok(Columns {
        time: place(TIME)?.ok_or_else(|| missing(TIME))?,
        symbol,
        price,
        quantity,
        sequence: place(SEQUENCE)?,
        count: header.len(),
    })
}

impl<'a, R: Read> Rows<'a, R> {
    fn new(source: &'a SourceFile, bytes: R) -> Self {
        let lines = Lines::new(BufReader::with_capacity(1 << 16, bytes));
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
        Self { source, reader, row: ByteRecord::new() }
    }

    /// Reads the next row, if there is one.
    fn read(&mut self) -> Result<bool, RecordedError> {
        let line = self.reader.get_mut().begin();
        self.reader.read_byte_record(&mut self.row).map_err(|error| match error.into_kind() {
            ErrorKind::Io(_) if self.reader.get_ref().is_too_long() => {
                let most = Lines::<R>::MOST >> 10;
                let problem =
                    format!("what begins here goes on for more than {most} KiB: this is no line of CSV");
                self.source.fault(Place::Line(line), problem)
            }
            ErrorKind::Io(error) => self.source.broken(error),
            kind => self.source.fault(Place::File, format!("{kind:?}")),
        })
    }

    /// The error of the row that was read last.
    fn fault(&self, problem: String) -> RecordedError {
        self.source.fault(Place::Line(self.reader.get_ref().number()), problem)
    }
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
