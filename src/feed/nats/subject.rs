//! Symbols as subjects of a stream.

use crate::tick::Symbol;

/// The subject of a symbol: the name of the stream, a dot, and the symbol, of which a token of a subject may not have the dots.
pub(super) fn of(stream: &str, symbol: &Symbol) -> String {
    // No symbol has a %.
    format!("{stream}.{}", symbol.as_str().replace('.', "%2E"))
}

/// The subjects of all symbols.
pub(super) fn all(stream: &str) -> String {
    format!("{stream}.*")
}

/// The symbol of a subject; `None` when it is no subject of a symbol.
pub(super) fn symbol(stream: &str, subject: &str) -> Option<Symbol> {
    let token = subject.strip_prefix(stream)?.strip_prefix('.')?;
    if token.contains('.') {
        return None;
    }
    let symbol = token.replace("%2E", ".").parse().ok()?;
    (of(stream, &symbol) == subject).then_some(symbol)
}

/// Whether a pattern of subjects has all the subjects of another one.
pub(super) fn covers(pattern: &str, other: &str) -> bool {
    let mut other = other.split('.');
    for token in pattern.split('.') {
        match (token, other.next()) {
            (">", Some(_)) => return true,
            ("*", Some(token)) if token != ">" => {}
            (token, Some(same)) if token == same => {}
            _ => return false,
        }
    }
    other.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_has_a_subject_of_its_own_that_is_read_back() {
        for text in ["A", "BRK.B", "NSE:TCS", "^NSEI", "A..B-C/D:E^F=G&H_I", "EUR/USD"] {
            let symbol = text.parse().unwrap();
            let subject = of("ticker", &symbol);
            assert_eq!(subject.split('.').count(), 2, "{subject}");
            assert!(subject.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte)));
            assert_eq!(super::symbol("ticker", &subject), Some(symbol));
            assert!(covers(&all("ticker"), &subject));
        }
        assert_eq!(of("ticker", &"BRK.B".parse().unwrap()), "ticker.BRK%2EB");
    }

    #[test]
    fn a_subject_of_another_kind_has_no_symbol() {
        for subject in [
            "ticker",
            "ticker.",
            "ticker.A.B",
            "other.A",
            "ticker.%2E",
            "ticker.a b",
            "tickerA",
            "ticker.%41",
        ] {
            assert_eq!(symbol("ticker", subject), None, "{subject}");
        }
    }

    #[test]
    fn a_pattern_covers_what_every_subject_of_it_matches() {
        for pattern in ["t.*", "t.>", ">", "*.*", "*.>"] {
            assert!(covers(pattern, "t.*"), "{pattern}");
        }
        for pattern in ["t", "t.A", "u.*", "t.*.*", "t.*.>", "*", ""] {
            assert!(!covers(pattern, "t.*"), "{pattern}");
        }
    }
}
