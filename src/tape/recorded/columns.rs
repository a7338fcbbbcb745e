//! Where a row of comma-separated values has each part of a trade, and how the parts are read.

use csv::ByteRecord;

use super::{
    intake::{Intake, Row},
    when,
};
use crate::{
    decimal,
    tick::{Price, Sequence},
};

/// The column of each part of a trade, counted from zero.
pub(super) struct Columns {
    pub(super) time: usize,
    pub(super) symbol: SymbolSource,
    pub(super) price: usize,
    pub(super) quantity: Option<usize>,
    pub(super) sequence: Option<usize>,
    /// Number of columns in every row.
    pub(super) count: usize,
}

/// Where the symbol of a trade is found.
pub(super) enum SymbolSource {
    /// In a column.
    Column(usize),
    /// In the name of the file, which has trades of this symbol only.
    FileName(String),
}

/// The quantity of a trade whose file has no column for it, in units of 1e-9.
const ONE: u64 = 1_000_000_000;

/// Longest field in bytes. No valid field is longer.
const LONGEST: usize = 64;

impl Columns {
    /// Reads the trade of a row.
    ///
    /// # Errors
    /// A field is not valid, or the trade breaks a rule of the tape.
    pub(super) fn take(&self, record: &ByteRecord, intake: &mut Intake) -> Result<(), String> {
        if record.len() != self.count {
            return Err(format!("the line has {} fields and not {}", record.len(), self.count));
        }
        let field = |name: &str, at: usize| {
            let bytes = record.get(at).unwrap_or_default().trim_ascii();
            let is_short = bytes.len() <= LONGEST && !bytes.iter().any(u8::is_ascii_control);
            let text = str::from_utf8(bytes).ok().filter(|_| is_short);
            text.ok_or_else(|| format!("{name}: this is no text of one line: {}", shown(bytes)))
        };
        let nanos = |name: &str, at: usize| {
            let text = field(name, at)?;
            let nanos = decimal::nanos(text).map_err(|error| format!("{name}: {error}"))?;
            Ok::<_, String>((nanos, text))
        };
        let symbol = match &self.symbol {
            SymbolSource::Column(at) => field("symbol", *at)?,
            SymbolSource::FileName(symbol) => symbol,
        };
        let time = when::parse(field("time", self.time)?).map_err(|error| format!("time: {error}"))?;
        let (price, text) = nanos("price", self.price)?;
        let price = Price::from_nanos(price).ok_or_else(|| format!("price: must be positive, got {text}"))?;
        let quantity = self.quantity.map_or(Ok(ONE), |at| {
            let (quantity, text) = nanos("quantity", at)?;
            u64::try_from(quantity).map_err(|_| format!("quantity: must not be negative, got {text}"))
        })?;
        let sequence = self.sequence.map(|at| {
            let text = field("sequence", at)?;
            text.parse().map(Sequence).map_err(|_| format!("sequence: must be a whole number, got {text}"))
        });
        let row = Row { symbol, time, price, quantity, sequence: sequence.transpose()? };
        intake.take(&row).map_err(|error| error.to_string())
    }
}

/// Bytes of a file as text for an error message: printable and cut to [`LONGEST`] characters.
pub(super) fn shown(bytes: &[u8]) -> String {
    cut(&String::from_utf8_lossy(bytes)).escape_debug().to_string()
}

/// The first [`LONGEST`] characters.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
