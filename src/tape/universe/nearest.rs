//! Which symbol was meant, for "did you mean RELIANCE?".

use std::sync::Arc;

use crate::{tape::Instrument, tick::Symbol};

/// How many symbols are compared at most, however many there are: clients may ask a thousand times a message.
const WINDOW: usize = 128;
/// How many letters may be wrong, missing or too many.
const FARTHEST: usize = 2;

/// The symbol that a text most likely means, among instruments sorted by symbol.
///
/// One that only differs in case is found in a list of any length, if the list has it in capitals or in small
/// letters. One that is misspelt is found in a long list only when it begins like the text.
pub(super) fn nearest(listed: &[Arc<Instrument>], text: &str) -> Option<Symbol> {
    if text.len() > Symbol::MAX_LEN + FARTHEST {
        return None;
    }
    let (capitals, small) = (text.to_ascii_uppercase(), text.to_ascii_lowercase());
    // A short text resembles everything a little.
    let farthest = FARTHEST.min(text.len() / 2);
    around(listed, &capitals)
        .chain(around(listed, &small))
        .map(|symbol| (distance(&capitals, &symbol.as_str().to_ascii_uppercase()), symbol))
        .filter(|(distance, _)| *distance <= farthest)
        .min()
        .map(|(_, symbol)| symbol)
}

/// The symbols around the place where a text would be.
fn around(listed: &[Arc<Instrument>], text: &str) -> impl Iterator<Item = Symbol> {
    let place = listed.partition_point(|instrument| instrument.symbol.as_str() < text);
    let from = place.saturating_sub(WINDOW / 2).min(listed.len().saturating_sub(WINDOW));
    listed[from..].iter().take(WINDOW).map(|instrument| instrument.symbol)
}

/// The least number of letters to change, insert or delete to make one text the other; more than
/// [`FARTHEST`] is not told exactly.
fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > FARTHEST {
        return FARTHEST + 1;
    }
    let mut above: Vec<usize> = (0..=other.len()).collect();
    let mut row = above.clone();
    for (i, a) in one.bytes().enumerate() {
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            row[j + 1] = (above[j] + usize::from(a != b)).min(above[j + 1] + 1).min(row[j] + 1);
        }
        std::mem::swap(&mut above, &mut row);
    }
    above[other.len()]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use crate::tape::Universe;

    fn found(universe: &Universe, text: &str) -> Option<String> {
        universe.nearest(text).map(|symbol| symbol.to_string())
    }

    #[test]
    fn a_symbol_that_is_nearly_right_is_found() {
        let universe = Universe::builtin().unwrap();
        for (text, symbol) in [
            ("reliance", "RELIANCE"),
            ("RELAINCE", "RELIANCE"),
            ("BTCUSD", "BTC-USD"),
            ("btc/usd", "BTC-USD"),
            ("NIFTY 50", "NIFTY50"),
            ("APPL", "AAPL"),
            ("brk-b", "BRK.B"),
        ] {
            assert_eq!(found(&universe, text).as_deref(), Some(symbol), "{text}");
        }
    }

    #[test]
    fn nothing_is_made_of_a_symbol_that_resembles_none() {
        let universe = Universe::builtin().unwrap();
        for text in ["", "X", "GOLD-FUTURE", "₹₹₹", &"A".repeat(10_000)] {
            assert_eq!(found(&universe, text), None, "{text}");
        }
    }

    #[test]
    fn a_long_list_is_as_cheap_as_a_short_one() {
        let text: String =
            (0..20_000).map(|n| format!("[[instrument]]\nsymbol='S{n}'\nreference_price=1\n")).collect();
        let universe = Universe::parse(&text, "many").unwrap();
        assert_eq!(found(&universe, "s19999").as_deref(), Some("S19999"));
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(found(&universe, "SQZWV"), None);
        }
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}
