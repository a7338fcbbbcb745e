//! Which symbol was meant, for "did you mean RELIANCE?".

use std::{ops::Range, sync::Arc};

use crate::{tape::Instrument, tick::Symbol};

/// Largest number of symbols compared around one position of the list. All built-in ones fit.
const WINDOW: usize = 64;
/// Largest edit distance of a suggestion.
const FARTHEST: usize = 2;
/// Longest text that can be within that distance of a symbol, in bytes.
const LONGEST: usize = Symbol::MAX_LEN + FARTHEST;

/// A text in capitals, prepared to be compared with many symbols.
struct Pattern {
    len: usize,
    /// For each byte, the positions at which the text has it, one bit for each position.
    positions: [u64; 256],
}

/// The symbol that a text most likely means, among instruments sorted by symbol.
///
/// A symbol that differs only in case is found in a list of any length, if the list has it in capitals or in small
/// letters. A misspelt symbol is found in a long list only when it begins like the text. Allocates nothing: a message
/// may have a thousand unknown symbols.
pub fn nearest(listed: &[Arc<Instrument>], text: &str) -> Option<Symbol> {
    let mut bytes = [0; LONGEST];
    let copy = bytes.get_mut(..text.len()).filter(|copy| !copy.is_empty())?;
    copy.copy_from_slice(text.as_bytes());
    let text = copy;
    // A short text resembles everything a little.
    let farthest = FARTHEST.min(text.len() / 2);
    text.make_ascii_lowercase();
    let small = around(listed, text);
    text.make_ascii_uppercase();
    let capitals = around(listed, text);
    let pattern = Pattern::new(text);

    // The windows may overlap, but each symbol is compared once.
    let below = small.start..small.end.min(capitals.start);
    let above = small.start.max(capitals.end)..small.end;
    let candidates = [capitals, below, above].into_iter().filter_map(|window| listed.get(window)).flatten();
    candidates
        .filter_map(|instrument| Some((pattern.distance(instrument.symbol.as_str(), farthest)?, instrument)))
        .min_by_key(|(distance, instrument)| (*distance, instrument.symbol))
        .map(|(_, instrument)| instrument.symbol)
}

/// The window of the list around the position at which the text would be inserted.
fn around(listed: &[Arc<Instrument>], text: &[u8]) -> Range<usize> {
    let place = listed.partition_point(|instrument| instrument.symbol.as_str().as_bytes() < text);
    let start = place.saturating_sub(WINDOW / 2).min(listed.len().saturating_sub(WINDOW));
    start..listed.len().min(start + WINDOW)
}

impl Pattern {
    /// `text` has at least one byte and at most [`LONGEST`].
    fn new(text: &[u8]) -> Self {
        let mut positions = [0; 256];
        for (at, byte) in text.iter().enumerate() {
            positions[usize::from(*byte)] |= 1 << at;
        }
        Self { len: text.len(), positions }
    }

    /// The least number of letters to change, insert or delete to make the text the symbol, whatever its case; `None`
    /// when there are more than `farthest`.
    ///
    /// Myers' bit-parallel algorithm in Hyyrö's form. A column of the distance matrix is two words: one has a bit for
    /// each row whose distance is one more than in the row above, the other for each row whose distance is one less.
    fn distance(&self, symbol: &str, farthest: usize) -> Option<usize> {
        let end = 1 << (self.len - 1);
        if self.len.abs_diff(symbol.len()) > farthest {
            return None;
        }
        let (mut more, mut less) = (u64::MAX, 0);
        let mut distance = self.len;
        for byte in symbol.bytes() {
            let equal = self.positions[usize::from(byte.to_ascii_uppercase())];
            let vertical = equal | less;
            let horizontal = ((equal & more).wrapping_add(more) ^ more) | equal;
            let up = less | !(horizontal | more);
            let down = more & horizontal;
            distance = distance + usize::from(up & end != 0) - usize::from(down & end != 0);
            let up = up << 1 | 1;
            more = down << 1 | !(vertical | up);
            less = up & vertical;
        }
        (distance <= farthest).then_some(distance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
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

    fn many() -> Universe {
        let text: String =
            (0..20_000).map(|n| format!("[[instrument]]\nsymbol='S{n}'\nreference_price=1\n")).collect();
        Universe::parse(&text, "many").unwrap()
    }

    #[test]
    fn a_symbol_in_the_other_case_is_found_in_a_long_list() {
        assert_eq!(found(&many(), "s19999").as_deref(), Some("S19999"));
    }

    #[test]
    fn a_long_list_is_as_cheap_as_a_short_one() {
        for listed in [many(), Universe::builtin().unwrap()] {
            let compared =
                [b"SQZWV".as_slice(), b"sqzwv", b"", b"\xff"].map(|text| around(listed.listed(), text));
            assert!(
                compared.iter().all(|window| window.len() <= WINDOW && window.end <= listed.listed().len())
            );
        }
    }

    /// The plain matrix of distances.
    fn distance(one: &str, other: &str) -> usize {
        let mut row: Vec<usize> = (0..=other.len()).collect();
        for (i, a) in one.bytes().enumerate() {
            let mut diagonal = std::mem::replace(&mut row[0], i + 1);
            for (j, b) in other.bytes().enumerate() {
                let changed = diagonal + usize::from(a != b);
                diagonal = row[j + 1];
                row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
            }
        }
        row[other.len()]
    }

    proptest! {
        #[test]
        fn a_distance_is_that_of_the_plain_matrix(
            one in "[A-C]{1,34}", other in "[A-Ca-c]{1,32}", farthest in 1..40_usize,
        ) {
            let expected = Some(distance(&one, &other.to_uppercase())).filter(|found| *found <= farthest);
            prop_assert_eq!(Pattern::new(one.as_bytes()).distance(&other, farthest), expected);
        }

        #[test]
        fn the_nearest_of_a_list_is_the_least_by_distance_and_then_by_symbol(
            symbols in prop::collection::btree_set("[A-Ba-b]{1,6}", 1..40), text in "[A-Ba-b]{0,8}",
        ) {
            let list: String =
                symbols.iter().map(|s| format!("[[instrument]]\nsymbol='{s}'\nreference_price=1\n")).collect();
            let universe = Universe::parse(&list, "some").unwrap();
            let capitals = text.to_uppercase();
            let expected = symbols
                .iter()
                .map(|symbol| (distance(&capitals, &symbol.to_uppercase()), symbol))
                .filter(|(distance, _)| *distance <= FARTHEST.min(text.len() / 2))
                .min()
                .map(|(_, symbol)| symbol.clone());
            prop_assert_eq!(universe.nearest(&text).map(|symbol| symbol.to_string()), expected);
        }
    }
}
