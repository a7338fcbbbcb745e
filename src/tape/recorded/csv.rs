//! Reads trades from comma-separated values whose first line names the columns, or from a dump of Binance.

use std::io::{BufReader, Read};

use ::csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::{
    binance,
    columns::{Columns, SymbolSource, cut, shown},
    error::{Place, READABLE, RecordedError, SourceFile},
    intake::Intake,
    lines::Lines,
};

/// Reads the rows of a file one by one.
struct Rows<'a, R> {
    source: &'a SourceFile<'a>,
    reader: Reader<Lines<BufReader<R>>>,
    row: ByteRecord,
}

/// Names of the columns: the name in our own files first, then the names that other programs use.
const TIME: &[&str] = &["time", "timestamp", "transact_time"];
const SYMBOL: &[&str] = &["symbol"];
const PRICE: &[&str] = &["price", "ltp"];
const QUANTITY: &[&str] = &["quantity", "qty"];
const SEQUENCE: &[&str] = &["sequence"];

/// A column of `ticker watch`: a quantity in increments. The file does not say how large an increment is, so this column
/// cannot be read as a quantity.
const INCREMENTS: &str = "last_quantity";

/// Reads every line of a file into `intake`.
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

/// The columns by the names in the header line.
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
        Some(column) => SymbolSource::Column(column),
        None => SymbolSource::FileName(binance::symbol(source.path).map_err(|_| missing(SYMBOL))?),
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

    /// Reads the next row. False at the end of the file.
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

    /// An error at the line of the last row that was read.
    fn fault(&self, problem: String) -> RecordedError {
        self.source.fault(Place::Line(self.reader.get_ref().number()), problem)
    }
}
