//! The instruments of a simulated tape: built in, read from a file, or invented for any symbol.

use std::{fs, path::Path, sync::Arc};

use sha2::{Digest, Sha256};

use self::{
    file::{Listed, Source},
    invented::Invented,
};
use super::{Instrument, Missing, TestSymbol};
use crate::tick::{Price, Symbol};

mod error;
mod fields;
mod file;
mod for_tests;
mod invented;
mod nearest;

pub use error::UniverseError;
pub use nearest::nearest;

const BUILTIN: &str = include_str!("universe/builtin.toml");

/// The instruments of a tape.
#[derive(Debug)]
pub struct Universe {
    listed: Arc<[Arc<Instrument>]>,
    invented: Option<Invented>,
}

impl Universe {
    /// Default limit of invented instruments at a time.
    pub const MAX_INVENTED: usize = 100_000;

    /// The built-in instruments: well-known shares, indices, currency pairs and cryptocurrencies.
    ///
    /// # Errors
    /// None in practice: a test reads the same list.
    pub fn builtin() -> Result<Self, UniverseError> {
        Self::parse(BUILTIN, "builtin.toml")
    }

    /// Reads the instruments of a TOML file.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is wrong.
    pub fn read(path: &Path) -> Result<Self, UniverseError> {
        let origin = path.display().to_string();
        let bytes =
            fs::read(path).map_err(|source| UniverseError::Unreadable { path: path.to_owned(), source })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let readable = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..readable].iter().filter(|byte| **byte == b'\n').count();
            UniverseError::Invalid {
                origin: origin.clone(),
                line,
                problem: "save the file as UTF-8".to_owned(),
            }
        })?;
        Self::parse(&text, &origin)
    }

    /// Reads the instruments of a TOML text; `origin` says in errors where it comes from.
    ///
    /// # Errors
    /// A line of the text is wrong, a symbol is there twice, or there is no instrument.
    pub fn parse(text: &str, origin: &str) -> Result<Self, UniverseError> {
        let source = Source { origin, text };
        let mut listed = source.instruments()?;
        if listed.is_empty() {
            let problem = "there is none; add an [[instrument]] table with a symbol and a reference_price";
            return Err(source.fault(0, "instrument", problem));
        }
        listed.sort_by_key(|listed| listed.instrument.symbol);
        let twice = listed.windows(2).filter(|pair| pair[0].instrument.symbol == pair[1].instrument.symbol);
        if let [first, second] = twice.min_by_key(|pair| pair[1].at).unwrap_or_default() {
            let (symbol, line) = (first.instrument.symbol, source.line(first.at));
            let problem = format!("{symbol} is on line {line} already; list each symbol once");
            return Err(source.fault(second.at, "symbol", problem));
        }
        for at in 0..listed.len() {
            let Listed { instrument, at: place } = &listed[at];
            if let Some(price) = followed_price(&listed, instrument)
                .map_err(|(key, problem)| source.fault(*place, key, problem))?
            {
                listed[at].instrument.reference_price = price;
            }
        }
        let listed = listed.into_iter().map(|Listed { instrument, .. }| Arc::new(instrument)).collect();
        Ok(Self { listed, invented: None })
    }

    /// A universe of these instruments, each symbol once.
    pub(super) fn of(mut listed: Vec<Arc<Instrument>>) -> Self {
        listed.sort_by_key(|instrument| instrument.symbol);
        Self { listed: listed.into(), invented: None }
    }

    /// The same instruments, and an invented one for any other well-formed symbol, at most `most` invented ones at a
    /// time.
    #[must_use]
    pub fn with_any_symbol(self, most: usize) -> Self {
        Self { invented: Some(Invented::new(most)), ..self }
    }

    /// The same instruments, of which those with hours trade only within their hours.
    #[must_use]
    pub fn with_sessions(self) -> Self {
        let closing = self.listed.iter().map(|instrument| match &instrument.hours {
            Some(_) => Arc::new(Instrument { closes: true, ..instrument.as_ref().clone() }),
            None => instrument.clone(),
        });
        Self { listed: closing.collect(), ..self }
    }

    /// The same instruments and the symbols for tests.
    #[must_use]
    pub(super) fn with_test_symbols(self) -> Self {
        let mut listed = [&self.listed, for_tests::instruments().as_slice()].concat();
        listed.sort_by_key(|instrument| instrument.symbol);
        Self { listed: listed.into(), ..self }
    }

    /// The instruments that are listed, sorted by symbol.
    pub fn listed(&self) -> &Arc<[Arc<Instrument>]> {
        &self.listed
    }

    /// The instrument of a symbol. An invented one is shared by all who hold it at the same time.
    ///
    /// # Errors
    /// The symbol is not listed, and no instrument is invented for it, or as many as may be are held already.
    pub fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing> {
        match self.listed.binary_search_by_key(symbol, |instrument| instrument.symbol) {
            Ok(at) => self.listed.get(at).cloned().ok_or(Missing::Unknown),
            // A misspelt symbol for tests must not become a market.
            Err(_) if symbol.as_str().starts_with(TestSymbol::PREFIX) => Err(Missing::Unknown),
            Err(_) => self.invented.as_ref().ok_or(Missing::Unknown)?.instrument(symbol),
        }
    }

    /// The listed symbol that a text most likely means. The cost does not grow with the list.
    pub fn nearest(&self, text: &str) -> Option<Symbol> {
        nearest(&self.listed, text)
    }

    /// Adds every listed instrument to a digest. Two lists give the same digest only if they are the same.
    pub fn digest_into(&self, digest: &mut Sha256) {
        digest.update((self.listed.len() as u64).to_le_bytes());
        for instrument in self.listed.iter() {
            // Every field is named, so that a new field cannot be left out by mistake.
            let Instrument {
                symbol,
                name,
                kind,
                currency,
                reference_price,
                price_increment,
                quantity_increment_nanos,
                annual_volatility,
                daily_volume,
                annual_drift,
                factors,
                follows,
                tick_interval,
                day_start,
                hours,
                closes,
                lease: _,
            } = instrument.as_ref();
            for text in [symbol.as_str(), name, kind, currency] {
                text_into(text, digest);
            }
            digest.update(reference_price.nanos().to_le_bytes());
            digest.update(price_increment.nanos().to_le_bytes());
            digest.update(quantity_increment_nanos.get().to_le_bytes());
            digest.update(annual_volatility.to_bits().to_le_bytes());
            digest.update(tick_interval.as_nanos().to_le_bytes());
            // Left out when it is zero.
            if !day_start.is_zero() {
                digest.update(day_start.as_nanos().to_le_bytes());
            }
            digest.update(daily_volume.to_bits().to_le_bytes());
            digest.update(annual_drift.to_bits().to_le_bytes());
            digest.update((factors.len() as u64).to_le_bytes());
            for (name, correlation) in factors {
                text_into(name, digest);
                digest.update(correlation.to_bits().to_le_bytes());
            }
            digest.update((follows.len() as u64).to_le_bytes());
            for symbol in follows {
                text_into(symbol.as_str(), digest);
            }
            if let Some(hours) = hours {
                digest.update(if *closes { b"session\0" } else { b"hours\0\0\0" });
                hours.digest_into(digest);
            }
        }
    }
}

/// Adds a text to a digest, with its length, so that it is told from what follows.
fn text_into(text: &str, digest: &mut Sha256) {
    digest.update((text.len() as u64).to_le_bytes());
    digest.update(text);
}

/// Checks what an instrument follows among those that are listed by symbol. A product has the product of the reference prices.
fn followed_price(
    listed: &[Listed],
    instrument: &Instrument,
) -> Result<Option<Price>, (&'static str, String)> {
    let key = if instrument.follows.len() == 1 { "tracks" } else { "product" };
    let mut product = 1.0;
    for symbol in &instrument.follows {
        let found = listed.binary_search_by_key(symbol, |listed| listed.instrument.symbol);
        let found = found.ok().and_then(|at| listed.get(at)).map(|listed| &listed.instrument);
        let found = found.ok_or_else(|| (key, format!("{symbol} is not listed; add it to the file")))?;
        if !found.follows.is_empty() {
            return Err((key, format!("{symbol} follows others itself; name those")));
        }
        product *= found.reference_price.to_f64();
    }
    if instrument.follows.len() < 2 {
        return Ok(None);
    }
    let given = instrument.reference_price.to_f64();
    if (product / given - 1.0).abs() > 0.01 {
        return Err((
            "reference_price",
            format!("must be {product:.6}, the product of the two, or within 1 % of it; got {given}"),
        ));
    }
    Ok(Price::from_nanos((product * 1e9 + 0.5) as i64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TWO: &str = "[[instrument]]\nsymbol = 'B'\nreference_price = 2\n\n\
                       [[instrument]]\nsymbol = 'A'\nreference_price = 1\n";

    fn digest(text: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        Universe::parse(text, "test").unwrap().digest_into(&mut digest);
        digest.finalize().into()
    }

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    #[test]
    fn the_builtin_instruments_are_many_and_of_every_kind() {
        let universe = Universe::builtin().unwrap();
        assert!(universe.listed().len() >= 60);
        let kinds: BTreeSet<_> =
            universe.listed().iter().map(|instrument| instrument.kind.as_str()).collect();
        assert_eq!(kinds, BTreeSet::from(["crypto", "currency", "equity", "index"]));
        for text in ["RELIANCE", "M&M", "NIFTY50", "SENSEX", "AAPL", "BRK.B", "EUR-USD", "USD-INR", "BTC-USD"]
        {
            assert!(universe.instrument(&symbol(text)).is_ok(), "{text}");
        }
        for instrument in universe.listed().iter() {
            let (price, increment) = (instrument.reference_price.nanos(), instrument.price_increment.nanos());
            let is_product = instrument.follows.len() > 1;
            assert!(
                is_product || price % increment == 0,
                "{} trades at multiples of its increment",
                instrument.symbol
            );
            assert!(price / increment > 1000, "the price of {} can move", instrument.symbol);
            assert_eq!(instrument.currency.is_empty(), instrument.kind == "index", "{}", instrument.symbol);
        }
    }

    #[test]
    fn instruments_are_sorted_and_found_by_symbol() {
        let universe = Universe::parse(TWO, "test").unwrap();
        let symbols: Vec<_> =
            universe.listed().iter().map(|instrument| instrument.symbol.to_string()).collect();
        assert_eq!(symbols, ["A", "B"]);
        assert_eq!(universe.instrument(&symbol("B")).unwrap().reference_price.to_string(), "2");
        assert_eq!(universe.instrument(&symbol("C")), Err(Missing::Unknown));
    }

    #[test]
    fn any_symbol_has_an_instrument_when_asked_for_and_a_listed_one_keeps_its_own() {
        let universe = Universe::parse(TWO, "test").unwrap().with_any_symbol(1);
        let held = universe.instrument(&symbol("C")).unwrap();
        assert_eq!(universe.instrument(&symbol("D")), Err(Missing::NoRoom { most: 1 }));
        assert!(Arc::ptr_eq(&universe.instrument(&symbol("C")).unwrap(), &held));
        assert!(Arc::ptr_eq(&universe.instrument(&symbol("A")).unwrap(), &universe.listed()[0]));
        assert_eq!(universe.listed().len(), 2);
    }

    #[test]
    fn with_sessions_the_instruments_with_hours_close() {
        let text = format!("{TWO}hours = '09:15-15:30 Asia/Kolkata Mon-Fri'");
        let universe = Universe::parse(&text, "test").unwrap();
        let closing = |universe: &Universe| -> Vec<bool> {
            universe.listed().iter().map(|instrument| instrument.closes).collect()
        };
        assert_eq!(closing(&universe), [false, false]);
        let universe = universe.with_any_symbol(1).with_sessions();
        assert_eq!(closing(&universe), [true, false]);
        assert!(!universe.instrument(&symbol("C")).unwrap().closes);
        assert_eq!(
            Universe::parse(&text.replace("hours", "session"), "test").unwrap().listed(),
            universe.listed()
        );
    }

    #[test]
    fn every_builtin_instrument_but_a_cryptocurrency_has_hours() {
        for instrument in Universe::builtin().unwrap().listed().iter() {
            assert_eq!(instrument.hours.is_none(), instrument.kind == "crypto", "{}", instrument.symbol);
            assert!(!instrument.closes, "{}", instrument.symbol);
        }
    }

    #[test]
    fn a_symbol_that_is_there_twice_is_told_with_both_lines() {
        let text = format!("{TWO}[[instrument]]\nsymbol = 'B'\nreference_price = 3");
        assert_eq!(
            Universe::parse(&text, "my.toml").unwrap_err().to_string(),
            "my.toml:8: symbol: B is on line 1 already; list each symbol once"
        );
    }

    /// What is wrong with the table of C, where A costs 2 and B costs 3.
    fn problem(table: &str) -> String {
        let text = format!(
            "[[instrument]]\nsymbol = 'C'\n{table}\n\n\
             [[instrument]]\nsymbol = 'A'\nreference_price = 2\n\n\
             [[instrument]]\nsymbol = 'B'\nreference_price = 3\n\n\
             [[instrument]]\nsymbol = 'LIKE-B'\nreference_price = 1\ntracks = 'B'\n"
        );
        Universe::parse(&text, "my.toml").unwrap_err().to_string()
    }

    #[test]
    fn an_instrument_follows_listed_ones_that_follow_nobody() {
        for (table, told) in [
            ("reference_price = 1\ntracks = 'X'", "tracks: X is not listed; add it to the file"),
            ("reference_price = 1\ntracks = 'C'", "tracks: C follows others itself; name those"),
            ("reference_price = 1\ntracks = 'LIKE-B'", "tracks: LIKE-B follows others itself; name those"),
            ("reference_price = 6\nproduct = ['A', 'X']", "product: X is not listed; add it to the file"),
            (
                "reference_price = 2\nproduct = ['A', 'LIKE-B']",
                "product: LIKE-B follows others itself; name those",
            ),
        ] {
            assert_eq!(problem(table), format!("my.toml:1: {told}"));
        }
    }

    #[test]
    fn a_product_costs_the_product_of_its_two_and_its_own_price_may_be_one_percent_off() {
        let listed = |price: &str| {
            let text = format!(
                "{TWO}\n[[instrument]]\nsymbol = 'C'\nreference_price = {price}\nproduct = ['A', 'B']"
            );
            let universe = Universe::parse(&text, "test").unwrap();
            universe.instrument(&symbol("C")).unwrap().reference_price.to_string()
        };
        assert_eq!(["1.981", "2", "2.02"].map(listed), ["2"; 3]);
        for price in ["5.94", "6.07"] {
            assert_eq!(
                problem(&format!("reference_price = {price}\nproduct = ['A', 'B']")),
                format!(
                    "my.toml:1: reference_price: must be 6.000000, the product of the two, or within 1 % of it; got {price}"
                )
            );
        }
    }

    #[test]
    fn one_that_tracks_another_keeps_its_own_price() {
        let text = format!("{TWO}tracks = 'B'");
        let universe = Universe::parse(&text, "test").unwrap();
        let tracker = universe.instrument(&symbol("A")).unwrap();
        assert_eq!(
            (tracker.reference_price.to_string().as_str(), &tracker.follows[..]),
            ("1", &[symbol("B")][..])
        );
    }

    #[test]
    fn a_list_without_instruments_is_refused() {
        for text in ["", "# nothing\n"] {
            assert_eq!(
                Universe::parse(text, "my.toml").unwrap_err().to_string(),
                "my.toml:1: instrument: there is none; add an [[instrument]] table with a symbol and a \
                 reference_price"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.toml");
        let error = Universe::read(&missing).unwrap_err().to_string();
        assert_eq!(error, format!("cannot read the instruments of {}", missing.display()));

        let binary = folder.path().join("binary.toml");
        fs::write(&binary, b"# one\n# two\n\xff").unwrap();
        let error = Universe::read(&binary).unwrap_err().to_string();
        assert_eq!(error, format!("{}:3: save the file as UTF-8", binary.display()));
    }

    #[test]
    fn the_digest_tells_lists_apart_and_not_their_order_on_paper() {
        let (b, a) = TWO.split_once("\n\n").unwrap();
        assert_eq!(digest(TWO), digest(&format!("{a}\n{b}\n# a comment")));
        let others = [
            TWO.replace("'A'", "'C'"),
            TWO.replace("= 1", "= 1.01"),
            format!("{TWO}name = 'Alpha'"),
            format!("{TWO}kind = 'index'"),
            format!("{TWO}currency = 'INR'"),
            format!("{TWO}price_increment = 0.05"),
            format!("{TWO}quantity_increment = 0.1"),
            format!("{TWO}annual_volatility = 0.3"),
            format!("{TWO}tick_interval = '1s'"),
            format!("{TWO}day_start = '03:45'"),
            format!("{TWO}day_start = '03:46'"),
            format!("{TWO}hours = '09:15-15:30 Asia/Kolkata Mon-Fri'"),
            format!("{TWO}hours = '09:15-15:30 Asia/Kolkata Mon-Sat'"),
            format!("{TWO}session = '09:15-15:30 Asia/Kolkata Mon-Fri'"),
            format!("{TWO}annual_drift = 0.05"),
            format!("{TWO}annual_drift = -0.05"),
            format!("{TWO}factors = {{ world = 0.5 }}"),
            format!("{TWO}factors = {{ world = -0.5 }}"),
            format!("{TWO}factors = {{ india = 0.5 }}"),
            format!("{TWO}factors = {{ india = 0.5, world = 0.5 }}"),
            format!("{TWO}tracks = 'B'"),
            format!("{TWO}\n[[instrument]]\nsymbol = 'C'\nreference_price = 2\nproduct = ['A', 'B']"),
            format!("{TWO}\n[[instrument]]\nsymbol = 'C'\nreference_price = 2\nproduct = ['B', 'A']"),
            format!("{TWO}\n[[instrument]]\nsymbol = 'C'\nreference_price = 2"),
            format!("{TWO}name = 'x'\nkind = 'yz'"),
            format!("{TWO}name = 'xy'\nkind = 'z'"),
        ];
        let mut digests: BTreeSet<_> = others.iter().map(|text| digest(text)).collect();
        digests.insert(digest(TWO));
        assert_eq!(digests.len(), others.len() + 1);
    }
}
