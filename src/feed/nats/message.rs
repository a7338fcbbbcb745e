//! Ticks of one symbol as a message: lines of the log.

use crate::{feed::row::Row, tick::Symbol};

/// Reads the ticks of a message of a symbol, which follow one another.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(payload: &[u8], symbol: &Symbol) -> Result<Vec<Row>, String> {
    let lines = payload.strip_suffix(b"\n").ok_or("it does not end with a line feed")?;
    let mut rows = Vec::<Row>::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let row = Row::read(line)?;
        if row.symbol != *symbol {
            return Err(format!("it has a tick of {}", row.symbol));
        }
        if let Some(before) = rows.last()
            && (row.sequence() != before.sequence().next() || row.time() < before.time())
        {
            return Err(format!("sequence: {} comes after {}", row.sequence(), before.sequence()));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The last tick of a message; `None` when it cannot be read. The others are not looked at.
pub(super) fn last_row(payload: &[u8]) -> Option<Row> {
    let lines = payload.strip_suffix(b"\n")?;
    Row::read(lines.rsplit(|byte| *byte == b'\n').next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(symbol: &str, sequence: u64, second: u64) -> String {
        format!("2026-11-20T09:15:0{second}.000000000Z,{symbol},1,1,{sequence},,,,,,\n")
    }

    fn read_text(text: &str) -> Result<usize, String> {
        read(text.as_bytes(), &"A".parse().unwrap()).map(|rows| rows.len())
    }

    #[test]
    fn the_ticks_of_a_message_are_of_its_symbol_and_follow_one_another() {
        let good = line("A", 7, 1) + &line("A", 8, 1) + &line("A", 9, 2);
        assert_eq!(read_text(&good), Ok(3));
        assert_eq!(last_row(good.as_bytes()).map(|row| row.sequence().0), Some(9));
        for bad in [
            String::new(),
            "\n".to_owned(),
            "hello\n".to_owned(),
            line("B", 7, 1),
            line("A", 7, 1) + &line("A", 9, 1),
            line("A", 7, 1) + &line("A", 8, 0),
            line("A", 7, 1).trim_end().to_owned(),
        ] {
            assert!(read_text(&bad).is_err(), "{bad}");
        }
    }
}
