//! The keys of an `[[instrument]]` table: types, bounds and defaults.

use std::{num::NonZeroU64, ops::RangeInclusive, time::Duration};

use jiff::civil::Time;
use toml::de::DeValue;

use crate::{
    decimal, duration,
    tape::{Hours, HoursError, Instrument, Lease, MOST_FACTORS, TestSymbol},
    tick::{Price, Symbol, SymbolError},
};

/// The values of a table read so far.
#[derive(Default)]
pub(super) struct Fields {
    symbol: Option<Symbol>,
    reference_price: Option<Price>,
    name: Option<String>,
    kind: Option<String>,
    currency: Option<String>,
    price_increment: Option<Price>,
    quantity_increment: Option<NonZeroU64>,
    annual_volatility: Option<f64>,
    tick_interval: Option<Duration>,
    day_start: Option<Duration>,
    hours: Option<Hours>,
    session: Option<Hours>,
    daily_volume: Option<f64>,
    annual_drift: Option<f64>,
    factors: Vec<(String, f64)>,
    tracks: Option<Symbol>,
    product: Vec<Symbol>,
}

const KEYS: &str = "symbol, reference_price, name, kind, currency, price_increment, quantity_increment, \
                    daily_volume, annual_volatility, annual_drift, tick_interval, day_start, hours, session, factors, tracks and product";

const DEFAULT_KIND: &str = "equity";
const DEFAULT_PRICE_INCREMENT: Price = Price::from_nanos(10_000_000).unwrap();
const DEFAULT_QUANTITY_INCREMENT: NonZeroU64 = NonZeroU64::new(1_000_000_000).unwrap();
const DEFAULT_VOLATILITY: f64 = 0.25;
const DEFAULT_INTERVAL: Duration = Duration::from_millis(100);

/// A price may move far from its reference, and must still fit into 64 bits of nanos.
const HIGHEST_PRICE: Price = Price::from_nanos(100_000_000 * 1_000_000_000).unwrap();
const VOLATILITIES: RangeInclusive<f64> = 0.0..=5.0;
const MOST_VOLUME: f64 = 1e15;
const DRIFTS: RangeInclusive<f64> = -0.5..=0.5;
const INTERVALS: RangeInclusive<Duration> = Duration::from_micros(100)..=Duration::from_secs(3600);
const LONGEST_TEXT: usize = 100;

impl Fields {
    /// Sets the value of a key.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub(super) fn set(&mut self, key: &str, value: &DeValue) -> Result<(), String> {
        match key {
            "symbol" => self.symbol = Some(symbol(value)?),
            "reference_price" => self.reference_price = Some(price(value)?),
            "name" => self.name = Some(line(value)?),
            "kind" => self.kind = Some(kind(value)?),
            "currency" => self.currency = Some(line(value)?),
            "price_increment" => self.price_increment = Some(price(value)?),
            "quantity_increment" => self.quantity_increment = Some(quantity(value)?),
            "annual_volatility" => self.annual_volatility = Some(volatility(value)?),
            "tick_interval" => self.tick_interval = Some(interval(value)?),
            "day_start" => self.day_start = Some(time_of_day(value)?),
            "hours" => self.hours = Some(hours(value)?),
            "session" => self.session = Some(hours(value)?),
            "daily_volume" => self.daily_volume = Some(volume(value)?),
            "annual_drift" => self.annual_drift = Some(drift(value)?),
            "factors" => self.factors = factors(value)?,
            "tracks" => self.tracks = Some(symbol(value)?),
            "product" => self.product = product(value)?,
            _ => return Err(format!("unknown key; the keys of an instrument are {KEYS}")),
        }
        Ok(())
    }

    /// The instrument, with defaults for the keys that are not set.
    ///
    /// # Errors
    /// The key that is wrong or missing, and why.
    pub(super) fn instrument(self) -> Result<Instrument, (&'static str, String)> {
        let missing = |key, example| (key, format!("missing; add a line such as {key} = {example}"));
        let symbol = self.symbol.ok_or_else(|| missing("symbol", "\"RELIANCE\""))?;
        let reference_price = self.reference_price.ok_or_else(|| missing("reference_price", "2930.55"))?;
        let price_increment = self.price_increment.unwrap_or(DEFAULT_PRICE_INCREMENT);
        if reference_price < price_increment {
            let problem =
                format!("must be at least the price_increment, {price_increment}, got {reference_price}");
            return Err(("reference_price", problem));
        }
        if self.hours.is_some() && self.session.is_some() {
            return Err(("hours", "session says the hours already; leave one of them out".to_owned()));
        }
        if self.day_start.is_some() && self.session.is_some() {
            return Err((
                "day_start",
                "the day begins when the session opens; leave day_start out".to_owned(),
            ));
        }
        if self.tracks.is_some() && !self.product.is_empty() {
            return Err((
                "tracks",
                "product says already what moves the price; leave one of them out".to_owned(),
            ));
        }
        Ok(Instrument {
            lease: Lease::default(),
            symbol,
            name: self.name.unwrap_or_else(|| symbol.to_string()),
            kind: self.kind.unwrap_or_else(|| DEFAULT_KIND.to_owned()),
            currency: self.currency.unwrap_or_default(),
            reference_price,
            price_increment,
            quantity_increment_nanos: self.quantity_increment.unwrap_or(DEFAULT_QUANTITY_INCREMENT),
            annual_volatility: self.annual_volatility.unwrap_or(DEFAULT_VOLATILITY),
            daily_volume: self.daily_volume.unwrap_or_default(),
            annual_drift: self.annual_drift.unwrap_or_default(),
            factors: self.factors,
            follows: self.tracks.into_iter().chain(self.product).collect(),
            tick_interval: self.tick_interval.unwrap_or(DEFAULT_INTERVAL),
            day_start: self.day_start.unwrap_or_default(),
            closes: self.session.is_some(),
            hours: self.session.or(self.hours),
        })
    }
}

fn symbol(value: &DeValue) -> Result<Symbol, String> {
    let text = text(value)?;
    if text.starts_with(TestSymbol::PREFIX) {
        let prefix = TestSymbol::PREFIX;
        return Err(format!(
            "symbols that begin with {prefix} are the built-in ones for tests; choose another one than {text}"
        ));
    }
    text.parse().map_err(|error: SymbolError| error.to_string())
}

fn kind(value: &DeValue) -> Result<String, String> {
    let kind = line(value)?;
    if kind == TestSymbol::KIND {
        return Err(format!("{kind} is the kind of the built-in symbols for tests; choose another one"));
    }
    Ok(kind)
}

/// A text of one line without control characters.
fn line(value: &DeValue) -> Result<String, String> {
    let text = text(value)?;
    if text.chars().count() > LONGEST_TEXT || text.chars().any(char::is_control) {
        return Err(format!("must be at most {LONGEST_TEXT} characters on one line"));
    }
    Ok(text.to_owned())
}

fn price(value: &DeValue) -> Result<Price, String> {
    let text = number(value)?;
    let nanos = decimal::nanos(&text).map_err(|error| error.to_string())?;
    let price = Price::from_nanos(nanos).ok_or_else(|| format!("must be positive, got {text}"))?;
    if price > HIGHEST_PRICE {
        return Err(format!("must be at most {HIGHEST_PRICE}, got {text}"));
    }
    Ok(price)
}

fn quantity(value: &DeValue) -> Result<NonZeroU64, String> {
    let text = number(value)?;
    let nanos = decimal::nanos(&text).map_err(|error| error.to_string())?;
    let positive = u64::try_from(nanos).ok().and_then(NonZeroU64::new);
    positive.ok_or_else(|| format!("must be positive, got {text}"))
}

fn volatility(value: &DeValue) -> Result<f64, String> {
    let (least, most) = VOLATILITIES.into_inner();
    within(value, VOLATILITIES, &format!("must be from {least} to {most}, where 0.25 is 25 %"))
}

/// A number in a range; `problem` says which.
fn within(value: &DeValue, range: RangeInclusive<f64>, problem: &str) -> Result<f64, String> {
    let text = number(value)?;
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{problem}, got {text}"))
}

fn volume(value: &DeValue) -> Result<f64, String> {
    let problem = format!("must be from 0 to {MOST_VOLUME:e}, in shares or coins");
    within(value, 0.0..=MOST_VOLUME, &problem)
}

fn drift(value: &DeValue) -> Result<f64, String> {
    let (least, most) = DRIFTS.into_inner();
    within(value, DRIFTS, &format!("must be from {least} to {most}, where 0.08 is 8 % a year"))
}

/// A table of names and correlations, such as `{ world = 0.4, india = 0.5 }`.
fn factors(value: &DeValue) -> Result<Vec<(String, f64)>, String> {
    let example = "such as { world = 0.4, india = 0.5 }";
    let table =
        value.as_table().ok_or_else(|| format!("must be a table, {example}, got {}", shown(value)))?;
    let mut factors = Vec::new();
    for (name, value) in table {
        let name = name.get_ref().to_string();
        let problem = format!("the correlation with {name} must be from -1 to 1");
        factors.push((name, within(value.get_ref(), -1.0..=1.0, &problem)?));
    }
    // The order of the text makes no other tape.
    factors.sort_by(|(one, _), (other, _)| one.cmp(other));
    let variance: f64 =
        factors.iter().map(|(_, correlation): &(String, f64)| correlation * correlation).sum();
    if factors.len() > MOST_FACTORS || variance > 1.0 {
        return Err(format!(
            "must be at most {MOST_FACTORS}, and the squares of their correlations at most 1 together, got {} with {variance:.2}",
            factors.len()
        ));
    }
    Ok(factors)
}

fn product(value: &DeValue) -> Result<Vec<Symbol>, String> {
    let example = "must be two symbols, such as [\"EUR-USD\", \"USD-INR\"]";
    let values = value.as_array().filter(|values| values.len() == 2).ok_or(example)?;
    values.iter().map(|value| symbol(value.get_ref())).collect()
}

fn interval(value: &DeValue) -> Result<Duration, String> {
    let text = text(value)?;
    let interval = duration::parse(text).map_err(|error| error.to_string())?;
    if !INTERVALS.contains(&interval) {
        return Err(format!("must be from 100us to 1h, got {text}"));
    }
    Ok(interval)
}

/// `HH:MM` or `HH:MM:SS`, after 00:00 UTC.
fn time_of_day(value: &DeValue) -> Result<Duration, String> {
    let read = |text: &str| {
        let time = Time::strptime("%H:%M", text).or_else(|_| Time::strptime("%H:%M:%S", text)).ok()?;
        Duration::try_from(time.duration_since(Time::midnight())).ok()
    };
    let (time, got) = match value {
        DeValue::String(text) => (read(text), text.to_string()),
        _ => (None, shown(value)),
    };
    time.ok_or_else(|| format!("must be a time of day in UTC, below 24:00, such as \"03:45\", got {got}"))
}

fn hours(value: &DeValue) -> Result<Hours, String> {
    text(value)?.parse().map_err(|error: HoursError| error.to_string())
}

fn text<'a>(value: &'a DeValue) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("must be a string, got {}", shown(value)))
}

/// A number as it was written, or as a string that holds one.
fn number(value: &DeValue) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Float(float) => Ok(float.as_str().to_owned()),
        DeValue::Integer(integer) if integer.radix() == 10 => Ok(integer.as_str().to_owned()),
        _ => Err(format!("must be a decimal number, got {}", shown(value))),
    }
}

/// A value of the wrong type, for an error message.
fn shown(value: &DeValue) -> String {
    match value {
        DeValue::String(text) => format!("string {text:?}"),
        DeValue::Integer(integer) => format!("integer {integer}"),
        DeValue::Float(float) => format!("float {float}"),
        DeValue::Boolean(boolean) => format!("boolean {boolean}"),
        _ => value.type_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(key: &str, value: &str) -> String {
        let value = DeValue::parse(value).unwrap();
        Fields::default().set(key, value.get_ref()).unwrap_err()
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Instrument, (&'static str, String)> {
        let mut fields = Fields::default();
        for (key, value) in [("symbol", "'A'"), ("reference_price", "100")].iter().chain(pairs) {
            fields.set(key, DeValue::parse(value).unwrap().get_ref()).unwrap();
        }
        fields.instrument()
    }

    fn instrument(pairs: &[(&str, &str)]) -> Instrument {
        read(pairs).unwrap()
    }

    fn symbols(instrument: &Instrument) -> Vec<&str> {
        instrument.follows.iter().map(Symbol::as_str).collect()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let instrument = instrument(&[]);
        assert_eq!(instrument.name, "A");
        assert_eq!(instrument.kind, "equity");
        assert_eq!(instrument.currency, "");
        assert_eq!(instrument.price_increment.to_string(), "0.01");
        assert_eq!(instrument.quantity_increment_nanos.get(), 1_000_000_000);
        assert_eq!(instrument.annual_volatility, 0.25);
        assert_eq!(instrument.tick_interval, Duration::from_millis(100));
        assert_eq!(instrument.day_start, Duration::ZERO);
        assert_eq!((instrument.hours, instrument.closes), (None, false));
        assert_eq!(instrument.annual_drift, 0.0);
        assert!(instrument.factors.is_empty() && instrument.follows.is_empty());
    }

    #[test]
    fn a_day_starts_at_a_time_of_day() {
        let start = |written| instrument(&[("day_start", written)]).day_start.as_secs();
        assert_eq!(start("'03:45'"), 13_500);
        assert_eq!((start("'3:45'"), start("'00:00'")), (13_500, 0));
        assert_eq!(start("'23:59:59'"), 86_399);
    }

    #[test]
    fn hours_shape_the_day_and_a_session_closes_as_well() {
        let text = "09:15-15:30 Asia/Kolkata Mon-Fri";
        for (key, closes) in [("hours", false), ("session", true)] {
            let instrument = instrument(&[(key, &format!("'{text}'"))]);
            assert_eq!(instrument.hours.unwrap().to_string(), text);
            assert_eq!(instrument.closes, closes, "{key}");
        }
    }

    #[test]
    fn a_session_says_the_hours_and_when_the_day_begins() {
        let session = ("session", "'09:15-15:30 Asia/Kolkata Mon-Fri'");
        let (key, problem) = read(&[session, ("hours", session.1)]).unwrap_err();
        assert_eq!((key, problem.contains("leave one of them out")), ("hours", true));
        let (key, problem) = read(&[session, ("day_start", "'03:45'")]).unwrap_err();
        assert_eq!((key, problem.contains("leave day_start out")), ("day_start", true));
    }

    #[test]
    fn factors_are_the_same_in_any_order_and_may_make_up_the_whole_variance() {
        let factors = |written| instrument(&[("factors", written)]).factors;
        let expected = [("india/it".to_owned(), -0.6), ("world".to_owned(), 0.8)];
        assert_eq!(factors("{ world = 0.8, 'india/it' = -0.6 }"), expected);
        assert_eq!(factors("{ 'india/it' = '-0.60', world = 8e-1 }"), expected);
        assert_eq!(factors("{ a = 1 }"), [("a".to_owned(), 1.0)]);
        assert_eq!(factors("{ a = -1, b = 0, c = 0.0 }").len(), MOST_FACTORS);
        assert!(factors("{}").is_empty());
    }

    #[test]
    fn an_instrument_follows_what_it_tracks_or_the_two_of_a_product() {
        assert_eq!(symbols(&instrument(&[("tracks", "'SPX'")])), ["SPX"]);
        let product = ("product", "['EUR-USD', 'USD-INR']");
        assert_eq!(symbols(&instrument(&[product])), ["EUR-USD", "USD-INR"]);
        let (key, problem) = read(&[("tracks", "'SPX'"), product]).unwrap_err();
        assert_eq!(
            (key, problem.as_str()),
            ("tracks", "product says already what moves the price; leave one of them out")
        );
    }

    #[test]
    fn a_drift_may_be_up_to_half_in_either_direction() {
        for (written, drift) in [("-0.5", -0.5), ("0.5", 0.5), ("'8e-2'", 0.08), ("0", 0.0)] {
            assert_eq!(instrument(&[("annual_drift", written)]).annual_drift, drift, "{written}");
        }
    }

    #[test]
    fn prices_are_read_exactly_from_numbers_and_from_strings() {
        for written in ["2930.55", "'2930.55'", "2_930.55", "293055e-2", "+2930.550"] {
            let price = instrument(&[("reference_price", written)]).reference_price;
            assert_eq!(price.nanos(), 2_930_550_000_000, "{written}");
        }
        assert_eq!(instrument(&[("quantity_increment", "0.0001")]).quantity_increment_nanos.get(), 100_000);
    }

    #[test]
    fn a_bad_value_is_told_with_what_is_allowed() {
        for (key, value, problem) in [
            ("symbol", "'NIFTY 50'", "' ' at position 6"),
            ("symbol", "''", "must not be empty"),
            ("symbol", "'TEST.MINE'", "begin with TEST. are the built-in ones for tests; choose another"),
            ("kind", "'test'", "the kind of the built-in symbols for tests; choose another"),
            ("name", "1", "must be a string, got integer 1"),
            ("name", "\"a\\u001bb\"", "on one line"),
            ("price_increment", "-1", "must be positive, got -1"),
            ("price_increment", "0.0", "must be positive, got 0.0"),
            ("price_increment", "true", "must be a decimal number, got boolean true"),
            ("reference_price", "0x10", "must be a decimal number, got integer 0x10"),
            ("reference_price", "'cheap'", "must be a decimal number such as 2930.55, got cheap"),
            ("reference_price", "nan", "must be a decimal number such as 2930.55, got nan"),
            ("reference_price", "1e9", "must be at most 100000000, got 1e9"),
            ("reference_price", "1.0000000001", "at most 9 decimals"),
            ("quantity_increment", "0", "must be positive, got 0"),
            ("annual_volatility", "-0.1", "from 0 to 5, where 0.25 is 25 %, got -0.1"),
            ("annual_volatility", "nan", "from 0 to 5"),
            ("annual_volatility", "25", "from 0 to 5"),
            ("tick_interval", "100", "must be a string, got integer 100"),
            ("tick_interval", "'100'", "such as 250us, 100ms"),
            ("tick_interval", "'99us'", "from 100us to 1h, got 99us"),
            ("tick_interval", "'2h'", "from 100us to 1h, got 2h"),
            ("day_start", "'24:00'", "below 24:00, such as \"03:45\", got 24:00"),
            ("day_start", "'03:60'", "got 03:60"),
            ("day_start", "'03:45:61'", "got 03:45:61"),
            ("day_start", "'03:45:00:00'", "got 03:45:00:00"),
            ("day_start", "'03'", "got 03"),
            ("day_start", "'03:45Z'", "got 03:45Z"),
            ("day_start", "'-3:45'", "got -3:45"),
            ("day_start", "''", "must be a time of day"),
            ("day_start", "03:45:00", "got datetime"),
            ("day_start", "345", "got integer 345"),
            ("hours", "1", "must be a string, got integer 1"),
            ("hours", "'09:15-15:30'", "such as \"09:15-15:30 Asia/Kolkata Mon-Fri\", got"),
            ("session", "'09:15-15:30 IST Mon-Fri'", "such as Asia/Kolkata or America/New_York, got \"IST\""),
            ("annual_drift", "0.51", "from -0.5 to 0.5, where 0.08 is 8 % a year, got 0.51"),
            ("annual_drift", "-0.51", "got -0.51"),
            ("annual_drift", "nan", "from -0.5 to 0.5"),
            ("annual_drift", "true", "must be a decimal number, got boolean true"),
            ("factors", "0.35", "must be a table, such as { world = 0.4, india = 0.5 }, got float 0.35"),
            ("factors", "['world']", "must be a table, such as { world = 0.4, india = 0.5 }, got array"),
            ("factors", "{ world = 2 }", "the correlation with world must be from -1 to 1, got 2"),
            ("factors", "{ world = -1.01 }", "the correlation with world must be from -1 to 1, got -1.01"),
            ("factors", "{ world = nan }", "the correlation with world must be from -1 to 1, got nan"),
            ("factors", "{ world = 'much' }", "the correlation with world must be from -1 to 1, got much"),
            ("factors", "{ world = [] }", "must be a decimal number, got array"),
            ("factors", "{ a = 0.1, b = 0.1, c = 0.1, d = 0.1 }", "must be at most 3, "),
            ("factors", "{ a = 0.1, b = 0.1, c = 0.1, d = 0.1 }", "got 4 with 0.04"),
            (
                "factors",
                "{ a = 0.8, b = 0.7 }",
                "squares of their correlations at most 1 together, got 2 with 1.13",
            ),
            ("tracks", "['SPX']", "must be a string, got array"),
            ("tracks", "'S P X'", "' ' at position 2"),
            ("product", "'EUR-USD'", "must be two symbols, such as [\"EUR-USD\", \"USD-INR\"]"),
            ("product", "[]", "must be two symbols"),
            ("product", "['EUR-USD']", "must be two symbols"),
            ("product", "['A', 'B', 'C']", "must be two symbols"),
            ("product", "['A', 2]", "must be a string, got integer 2"),
            ("product", "['A', '']", "must not be empty"),
            ("ltp", "1", "unknown key; the keys of an instrument are symbol,"),
        ] {
            let told = fault(key, value);
            assert!(told.contains(problem), "{key} = {value}: {told}");
        }
    }
}
