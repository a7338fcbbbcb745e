//! The public dumps of trades of Binance: CSV without a header line. The symbol is only in the name of the file.
//!
//! | dump | columns |
//! | --- | --- |
//! | `trades` | id, price, quantity, quote quantity, time, buyer is maker, and for spot: is best match |
//! | `aggTrades` | id, price, quantity, first id, last id, time, buyer is maker, and for spot: is best match |
//!
//! Dumps of futures have a header line; only their symbol is read here.

use std::path::Path;

use csv::ByteRecord;

use super::columns::{Columns, SymbolSource};

/// The columns of a dump whose first line is `first`; `None` when the file is not a dump of Binance.
///
/// # Errors
/// The name of the file does not contain the symbol.
pub(super) fn columns(first: &ByteRecord, path: &Path) -> Option<Result<Columns, String>> {
    let is_flag = |field: &[u8]| field.eq_ignore_ascii_case(b"true") || field.eq_ignore_ascii_case(b"false");
    let is_id = |field: &[u8]| !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    // The time is the column before the first flag.
    let time = first.iter().position(is_flag)?.checked_sub(1).filter(|at| [4, 5].contains(at))?;
    let is_dump = first.len() <= time + 3 && first.get(0).is_some_and(is_id);
    is_dump.then(|| {
        let symbol = SymbolSource::FileName(symbol(path)?);
        Ok(Columns { time, symbol, price: 1, quantity: Some(2), sequence: None, count: first.len() })
    })
}

/// The symbol in the name of a dump: `BTCUSDT` of `BTCUSDT-trades-2025-01-01.csv`.
pub(super) fn symbol(path: &Path) -> Result<String, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let symbol =
        ["-trades-", "-aggTrades-"].iter().find_map(|kind| name.split_once(kind)).map(|(symbol, _)| symbol);
    symbol.map(str::to_owned).ok_or_else(|| {
        "a dump of Binance has its symbol in its name: name the file as it was, such as BTCUSDT-trades-2025-01-01.csv"
            .to_owned()
    })
}
