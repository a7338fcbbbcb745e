//! Reads instruments from TOML: one `[[instrument]]` table each.

use toml::de::{DeTable, DeValue};

use super::{error::UniverseError, fields::Fields};
use crate::tape::Instrument;

/// A text and where it comes from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) origin: &'a str,
    pub(super) text: &'a str,
}

/// An instrument and where its table begins, in bytes.
pub(super) struct Listed {
    pub(super) instrument: Instrument,
    pub(super) at: usize,
}

/// The line at which the text is cut into pieces.
const HEADER: &str = "\n[[instrument]]";
/// Approximate size of a piece of text that is parsed at once, in bytes. A parsed document takes fifty times the memory of its text, which
/// would be gigabytes for a million instruments.
const PIECE: usize = 1 << 18;

impl<'a> Source<'a> {
    /// Reads every instrument, in the order of the text.
    pub(super) fn instruments(self) -> Result<Vec<Listed>, UniverseError> {
        let mut found = Vec::new();
        let mut start = 0;
        while start < self.text.len() {
            let mut end = self.end_of_piece(start);
            let mut document = DeTable::parse(&self.text[start..end]);
            if document.is_err() {
                // The cut may be inside a string of several lines: a longer piece shows whether it is.
                end = self.end_of_piece(end);
                document = DeTable::parse(&self.text[start..end]);
            }
            let document = document.map_err(|error| UniverseError::Invalid {
                origin: self.origin.to_owned(),
                line: self.line(start + error.span().map_or(0, |span| span.start)),
                problem: format!("this is not TOML: {}", error.message()),
            })?;
            self.document(start, document.get_ref(), &mut found)?;
            start = end;
        }
        Ok(found)
    }

    /// An error at a byte of the text, in the value of a key.
    pub(super) fn fault(&self, at: usize, key: &str, problem: impl Into<String>) -> UniverseError {
        UniverseError::Invalid {
            origin: self.origin.to_owned(),
            line: self.line(at),
            problem: format!("{key}: {}", problem.into()),
        }
    }

    /// The number of the line that a byte is on, from one.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }

    fn end_of_piece(&self, start: usize) -> usize {
        let enough = self.text.len().min(start + PIECE);
        // The search is by bytes: `enough` may be inside a character, where no header begins.
        let header =
            self.text.as_bytes()[enough..].windows(HEADER.len()).position(|at| at == HEADER.as_bytes());
        header.map_or(self.text.len(), |header| enough + header + 1)
    }

    /// Reads the tables of a document that begins at a byte of the text.
    fn document(
        &self,
        start: usize,
        document: &DeTable,
        found: &mut Vec<Listed>,
    ) -> Result<(), UniverseError> {
        for (key, value) in document {
            let fault = |problem| self.fault(start + key.span().start, key.get_ref(), problem);
            if key.get_ref() != "instrument" {
                return Err(fault("unknown key; the file holds [[instrument]] tables and nothing else"));
            }
            let tables = value.get_ref().as_array().ok_or_else(|| fault("write [[instrument]]"))?;
            for table in tables.iter() {
                let at = start + table.span().start;
                let DeValue::Table(fields) = table.get_ref() else {
                    return Err(self.fault(at, "instrument", "must be a table"));
                };
                found.push(Listed { instrument: self.table(start, at, fields)?, at });
            }
        }
        Ok(())
    }

    fn table(&self, start: usize, at: usize, table: &DeTable) -> Result<Instrument, UniverseError> {
        let mut fields = Fields::default();
        for (key, value) in table {
            fields
                .set(key.get_ref(), value.get_ref())
                .map_err(|problem| self.fault(start + value.span().start, key.get_ref(), problem))?;
        }
        fields.instrument().map_err(|(key, problem)| {
            let at = table.get(key).map_or(at, |value| start + value.span().start);
            self.fault(at, key, problem)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        match (Source { origin: "my.toml", text }).instruments() {
            Ok(_) => panic!("no fault"),
            Err(error) => error.to_string(),
        }
    }

    fn symbols(text: &str) -> Vec<String> {
        let listed = Source { origin: "my.toml", text }.instruments().unwrap();
        listed.iter().map(|listed| listed.instrument.symbol.to_string()).collect()
    }

    #[test]
    fn what_is_not_toml_is_told_with_its_line() {
        assert_eq!(
            fault("[[instrument]]\nsymbol = \"A\nreference_price = 1"),
            "my.toml:2: this is not TOML: invalid basic string, expected `\"`"
        );
        assert!(
            fault("[[instrument]]\nsymbol = 'A'\nsymbol = 'B'")
                .starts_with("my.toml:3: this is not TOML: dup")
        );
    }

    #[test]
    fn what_is_not_a_table_of_an_instrument_is_told_with_its_line() {
        assert_eq!(
            fault("\nsymbols = []"),
            "my.toml:2: symbols: unknown key; the file holds [[instrument]] tables and nothing else"
        );
        assert_eq!(fault("[instrument]\nsymbol = 'A'"), "my.toml:1: instrument: write [[instrument]]");
        assert_eq!(fault("instrument = [\n3]"), "my.toml:2: instrument: must be a table");
    }

    #[test]
    fn a_missing_value_is_told_at_the_head_of_its_table_and_a_bad_one_at_its_own_line() {
        assert!(fault("\n[[instrument]]\nreference_price = 1").starts_with("my.toml:2: symbol: missing"));
        assert!(fault("[[instrument]]\nsymbol = 'A'").starts_with("my.toml:1: reference_price: missing"));
        assert_eq!(
            fault("[[instrument]]\nsymbol = 'A'\n\nreference_price = -1"),
            "my.toml:4: reference_price: must be positive, got -1"
        );
        assert_eq!(
            fault("[[instrument]]\nsymbol = 'A'\n# cheap\nreference_price = 0.001"),
            "my.toml:4: reference_price: must be at least the price_increment, 0.01, got 0.001"
        );
    }

    #[test]
    fn a_text_of_many_pieces_is_read_whole_and_its_faults_have_the_right_line() {
        let count = 20_000;
        let table = |n: usize| format!("[[instrument]]\nsymbol = \"S{n}\"\nreference_price = {n}.5\n\n");
        let mut text: String = (0..count).map(table).collect();
        assert!(text.len() > 3 * PIECE);
        let expected: Vec<_> = (0..count).map(|n| format!("S{n}")).collect();
        assert_eq!(symbols(&text), expected);

        text.push_str("[[instrument]]\nsymbol = 7");
        assert_eq!(
            fault(&text),
            format!("my.toml:{}: symbol: must be a string, got integer 7", count * 4 + 2)
        );
    }

    #[test]
    fn a_string_that_looks_like_a_header_does_not_cut_the_text() {
        let lines = PIECE / 2 - 5;
        let text = "#\n".repeat(lines) + "[[instrument]]\nsymbol = 'A'\nname = '''A";
        assert!(text.len() > PIECE);
        let text = text + HEADER + "'''\nreference_price = 1" + HEADER + "\nsymbol = 'B'";
        assert_eq!(
            fault(&text),
            format!("my.toml:{}: name: must be at most 100 characters on one line", lines + 3)
        );
    }
}
