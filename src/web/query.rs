//! The query of a GET as the request of the RPC that answers it.
//!
//! The parameters have the names of the fields in proto3 JSON, `startTime`, and `start_time` is accepted too. A parameter
//! without a value counts as left out.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use prost_types::Timestamp;
use thiserror::Error;

use crate::{
    contract::v1::{
        Delivery, Detail, GetLastPricesRequest, GetTapeRequest, ListCandlesRequest, ListInstrumentsRequest,
        ListTicksRequest, WatchRequest,
    },
    duration,
    grpc::{convert, cut},
    similar_name::similar_name,
    timestamp,
};

/// Largest page, in items.
const MAX_PAGE: u64 = 1_000;
/// Longest value of a parameter that is no free text, in bytes.
const MAX_VALUE: usize = 64;

/// Why a query is no request.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum QueryError {
    /// The path has no such parameter.
    #[error("unknown parameter {name:?}; {}", Hint(*.similar, .known))]
    Unknown {
        /// The beginning of its name.
        name: String,
        /// The parameter that it most likely means.
        similar: Option<&'static str>,
        /// All parameters of the path.
        known: Vec<&'static str>,
    },
    /// A parameter that has one value is given more than once.
    #[error("{0} is given more than once: give it one value")]
    Repeated(&'static str),
    /// A parameter that the path cannot do without.
    #[error("{0} is missing: {1}")]
    Missing(&'static str, &'static str),
    /// The value of a parameter and what is wrong with it.
    #[error("{0}: {1}")]
    Invalid(&'static str, String),
}

/// The parameters that are not read yet.
struct Query<'a> {
    parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The names that were asked for: all that the path knows, in the end.
    known: Vec<&'static str>,
}

/// What to do about an unknown parameter.
struct Hint<'a>(Option<&'static str>, &'a [&'static str]);

/// Reads the request for `/v1/instruments`.
///
/// # Errors
/// See [`QueryError`].
pub(super) fn list_instruments(query: &str) -> Result<ListInstrumentsRequest, QueryError> {
    let mut query = Query::of(query);
    let request = ListInstrumentsRequest {
        search: query.text("search")?,
        page_size: query.page_size()?,
        page_token: query.text("pageToken")?,
    };
    query.finish()?;
    Ok(request)
}

/// Reads the request for `/v1/prices`.
///
/// # Errors
/// See [`QueryError`].
pub(super) fn get_last_prices(query: &str) -> Result<GetLastPricesRequest, QueryError> {
    let mut query = Query::of(query);
    let request = GetLastPricesRequest {
        symbols: query.list("symbols"),
        page_size: query.page_size()?,
        page_token: query.text("pageToken")?,
    };
    query.finish()?;
    Ok(request)
}

/// Reads the request for `/v1/ticks`.
///
/// # Errors
/// See [`QueryError`].
pub(super) fn list_ticks(query: &str) -> Result<ListTicksRequest, QueryError> {
    let mut query = Query::of(query);
    let request = ListTicksRequest {
        symbol: query.text("symbol")?,
        start_time: query.time("startTime")?,
        end_time: query.time("endTime")?,
        start_sequence: query.sequence("startSequence")?,
        end_sequence: query.sequence("endSequence")?,
        newest_first: query.flag("newestFirst")?,
        page_size: query.page_size()?,
        page_token: query.text("pageToken")?,
    };
    query.finish()?;
    has_symbol(&request.symbol)?;
    Ok(request)
}

/// Reads the request for `/v1/candles`.
///
/// # Errors
/// See [`QueryError`].
pub(super) fn list_candles(query: &str) -> Result<ListCandlesRequest, QueryError> {
    let mut query = Query::of(query);
    let request = ListCandlesRequest {
        symbol: query.text("symbol")?,
        interval: query.duration("interval")?,
        start_time: query.time("startTime")?,
        end_time: query.time("endTime")?,
        page_size: query.page_size()?,
        page_token: query.text("pageToken")?,
    };
    query.finish()?;
    has_symbol(&request.symbol)?;
    if request.interval.is_none() {
        return Err(QueryError::Missing("interval", "give the length of a candle, such as interval=1m"));
    }
    if request.start_time.is_none() {
        let hint = "give the time of the first candle, such as startTime=2026-11-20T09:15:00Z";
        return Err(QueryError::Missing("startTime", hint));
    }
    Ok(request)
}

/// Reads the request for `/v1/tape`, which has no parameters.
///
/// # Errors
/// See [`QueryError`].
pub(super) fn get_tape(query: &str) -> Result<GetTapeRequest, QueryError> {
    Query::of(query).finish()?;
    Ok(GetTapeRequest {})
}

/// Reads the request for `/v1/watch`.
///
/// # Errors
/// See [`QueryError`].
pub(super) fn watch(query: &str) -> Result<WatchRequest, QueryError> {
    let mut query = Query::of(query);
    let request = WatchRequest {
        symbols: query.list("symbols"),
        delivery: query.choice(
            "delivery",
            "DELIVERY_",
            &[Delivery::Latest, Delivery::EveryTick],
            Delivery::as_str_name,
        )?,
        min_interval: query.duration("minInterval")?,
        start_time: query.time("startTime")?,
        end_time: query.time("endTime")?,
        speed: query.speed()?,
        detail: query.choice("detail", "DETAIL_", &[Detail::Ltp, Detail::Quote], Detail::as_str_name)?,
        tape_id: query.text("tapeId")?,
        ..WatchRequest::default()
    };
    query.finish()?;
    if request.symbols.is_empty() {
        let hint = "name them, such as symbols=RELIANCE,TCS, or use symbols=* for all that are listed";
        return Err(QueryError::Missing("symbols", hint));
    }
    Ok(request)
}

fn has_symbol(symbol: &str) -> Result<(), QueryError> {
    match symbol {
        "" => Err(QueryError::Missing(
            "symbol",
            "name one, such as symbol=RELIANCE; /v1/instruments lists them",
        )),
        _ => Ok(()),
    }
}

impl<'a> Query<'a> {
    fn of(query: &'a str) -> Self {
        let parameters = form_urlencoded::parse(query.as_bytes());
        Self {
            parameters: parameters.map(|(name, value)| (camel_case(name), value)).collect(),
            known: Vec::new(),
        }
    }

    /// Takes the values of a parameter.
    fn take(&mut self, name: &'static str) -> impl Iterator<Item = Cow<'a, str>> {
        self.known.push(name);
        self.parameters.extract_if(.., move |(given, _)| given == name).map(|(_, value)| value)
    }

    /// The value of a parameter that has one; `None` when it is left out.
    fn one(&mut self, name: &'static str) -> Result<Option<Cow<'a, str>>, QueryError> {
        let values: Vec<_> = self.take(name).collect();
        match <[_; 1]>::try_from(values) {
            Ok([value]) => Ok(Some(value).filter(|value| !value.is_empty())),
            Err(values) if values.is_empty() => Ok(None),
            Err(_) => Err(QueryError::Repeated(name)),
        }
    }

    /// The value of a parameter as `read` reads it.
    fn read<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, QueryError> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        if value.len() > MAX_VALUE {
            let problem =
                format!("{:?}… is too long: it has {} characters", cut(&value), value.chars().count());
            return Err(QueryError::Invalid(name, problem));
        }
        read(&value).map(Some).map_err(|error| QueryError::Invalid(name, error.to_string()))
    }

    fn text(&mut self, name: &'static str) -> Result<String, QueryError> {
        Ok(self.one(name)?.unwrap_or_default().into_owned())
    }

    /// Values with commas between them, in any number of parameters.
    fn list(&mut self, name: &'static str) -> Vec<String> {
        let mut items = Vec::new();
        for values in self.take(name) {
            items.extend(values.split(',').filter(|item| !item.is_empty()).map(str::to_owned));
        }
        items
    }

    fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, QueryError> {
        self.read(name, |value| match timestamp::parse(value) {
            Ok(time) => Ok(convert::timestamp(time)),
            // In a query a plus is a space.
            Err(error) if value.contains(' ') => Err(format!("{error}; write the + of a zone as %2B")),
            Err(error) => Err(error.to_string()),
        })
    }

    fn duration(&mut self, name: &'static str) -> Result<Option<prost_types::Duration>, QueryError> {
        self.read(name, |value| {
            let duration: Duration = duration::parse(value).map_err(|error| error.to_string())?;
            prost_types::Duration::try_from(duration).map_err(|error| error.to_string())
        })
    }

    fn sequence(&mut self, name: &'static str) -> Result<u64, QueryError> {
        Ok(self.read(name, whole_number)?.unwrap_or_default())
    }

    fn page_size(&mut self) -> Result<u32, QueryError> {
        let size = self.read("pageSize", whole_number)?.unwrap_or_default();
        Ok(size.min(MAX_PAGE) as u32)
    }

    fn flag(&mut self, name: &'static str) -> Result<bool, QueryError> {
        let read =
            |value: &str| bool::from_str(value).map_err(|_| format!("expected true or false, got {value:?}"));
        Ok(self.read(name, read)?.unwrap_or_default())
    }

    fn speed(&mut self) -> Result<f64, QueryError> {
        let read = |value: &str| {
            let number = value.parse().ok().filter(|number: &f64| number.is_finite());
            number
                .ok_or_else(|| format!("expected a number, such as 10 for ten times as fast, got {value:?}"))
        };
        Ok(self.read("speed", read)?.unwrap_or_default())
    }

    /// One of the values of an enum, by its name in the `.proto` file with or without the prefix that all have.
    fn choice<E: Copy + Into<i32>>(
        &mut self,
        name: &'static str,
        prefix: &str,
        values: &[E],
        name_of: impl Fn(&E) -> &'static str,
    ) -> Result<i32, QueryError> {
        let short = |value: &E| name_of(value).trim_start_matches(prefix);
        let read = |text: &str| {
            let is_meant = |value: &&E| {
                [name_of(value), short(value)].iter().any(|name| name.eq_ignore_ascii_case(text))
            };
            values.iter().find(is_meant).map(|value| (*value).into()).ok_or_else(|| {
                let known: Vec<_> = values.iter().map(short).collect();
                format!("expected {}, got {text:?}", known.join(" or "))
            })
        };
        Ok(self.read(name, read)?.unwrap_or_default())
    }

    /// Refuses what was not read.
    fn finish(self) -> Result<(), QueryError> {
        match self.parameters.first() {
            None => Ok(()),
            Some((name, _)) => Err(QueryError::Unknown {
                name: cut(name),
                similar: similar_name(&cut(name), self.known.iter().copied()),
                known: self.known,
            }),
        }
    }
}

fn whole_number(value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("expected a whole number from 0 to {}, got {value:?}", u64::MAX))
}

/// `start_time` as `startTime`.
fn camel_case(name: Cow<'_, str>) -> Cow<'_, str> {
    if !name.contains('_') {
        return name;
    }
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel.into()
}

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(similar), _) => write!(f, "did you mean {similar}?"),
            Self(None, []) => f.write_str("this path takes none"),
            Self(None, known) => write!(f, "this path takes {}", known.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told<T: fmt::Debug>(result: Result<T, QueryError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn each_query_becomes_the_request_of_its_rpc() {
        let time = |seconds, nanos| Some(Timestamp { seconds, nanos });
        let length = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
        let request =
            ListInstrumentsRequest { search: "bank of".into(), page_size: 7, page_token: "A&B".into() };
        assert_eq!(list_instruments("search=bank+of&pageSize=7&pageToken=A%26B"), Ok(request));
        let request = GetLastPricesRequest {
            symbols: ["M&M", "EUR/USD", "^NSEI", "TCS"].map(str::to_owned).into(),
            ..GetLastPricesRequest::default()
        };
        assert_eq!(get_last_prices("symbols=M%26M,EUR/USD&symbols=%5ENSEI,,TCS,"), Ok(request));
        let request = ListTicksRequest {
            symbol: "TCS".into(),
            start_time: time(1_700_000_000, 500_000_000),
            end_time: time(1_700_000_000, 0),
            start_sequence: 3,
            end_sequence: u64::MAX,
            newest_first: true,
            page_size: 1_000,
            page_token: String::new(),
        };
        let query = "symbol=TCS&startTime=2023-11-14T22:13:20.5Z&end_time=2023-11-15T03:43:20%2B05:30&startSequence=3\
                     &end_sequence=18446744073709551615&newestFirst=true&page_size=5000000000&pageToken=";
        assert_eq!(list_ticks(query), Ok(request));
        let request = ListCandlesRequest {
            symbol: "TCS".into(),
            interval: length(60, 0),
            start_time: time(0, 0),
            ..ListCandlesRequest::default()
        };
        for interval in ["1m", "60s", "60.0s"] {
            let query = format!("symbol=TCS&interval={interval}&startTime=1970-01-01T00:00:00Z");
            assert_eq!(list_candles(&query), Ok(request.clone()));
        }
        assert_eq!(get_tape(""), Ok(GetTapeRequest {}));
        let request = WatchRequest {
            symbols: vec!["*".into()],
            delivery: Delivery::EveryTick.into(),
            min_interval: length(0, 500_000_000),
            start_time: time(0, 1),
            end_time: time(1, 0),
            tape_id: "abc".into(),
            detail: Detail::Quote.into(),
            speed: 0.5,
            ..WatchRequest::default()
        };
        let query = "symbols=*&delivery=every_tick&minInterval=500ms&startTime=1970-01-01T00:00:00.000000001Z\
                     &endTime=1970-01-01T00:00:01Z&tapeId=abc&detail=DETAIL_QUOTE&speed=0.5";
        assert_eq!(watch(query), Ok(request));
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_one_that_was_meant() {
        assert_eq!(told(list_ticks("symbl=TCS")), "unknown parameter \"symbl\"; did you mean symbol?");
        assert_eq!(told(watch("symbols=A&end=1")), "unknown parameter \"end\"; did you mean endTime?");
        assert_eq!(
            told(list_instruments("zzz=1")),
            "unknown parameter \"zzz\"; this path takes search, pageSize, pageToken"
        );
        assert_eq!(told(get_tape("symbol=TCS")), "unknown parameter \"symbol\"; this path takes none");
        assert!(told(get_tape(&"x".repeat(70_000))).len() < 150);
    }

    #[test]
    fn what_is_missing_or_repeated_is_named() {
        let error = told(list_ticks("symbol=&pageSize=2"));
        assert!(error.starts_with("symbol is missing: name one, such as symbol=RELIANCE"), "{error}");
        let error = told(watch("symbols=,"));
        assert!(error.starts_with("symbols is missing:") && error.contains("symbols=*"), "{error}");
        assert!(told(list_candles("symbol=A&interval=1m")).starts_with("startTime is missing"));
        assert!(
            told(list_candles("symbol=A&startTime=1970-01-01T00:00:00Z")).starts_with("interval is missing")
        );
        let error = told(list_ticks("symbol=A&symbol=B"));
        assert_eq!(error, "symbol is given more than once: give it one value");
        assert_eq!(told(list_ticks("symbol=A&page_size=1&pageSize=1")).split(' ').next(), Some("pageSize"));
    }

    #[test]
    fn a_bad_value_is_shown_with_what_is_allowed() {
        for (query, expected) in [
            ("delivery=fast", "delivery: expected LATEST or EVERY_TICK, got \"fast\""),
            ("detail=BOOK", "detail: expected LTP or QUOTE, got \"BOOK\""),
            ("speed=NaN", "speed: expected a number, such as 10 for ten times as fast, got \"NaN\""),
        ] {
            assert_eq!(told(watch(&format!("symbols=A&{query}"))), expected);
        }
        for (query, expected) in [
            ("pageSize=-1", "pageSize: expected a whole number from 0 to 18446744073709551615, got \"-1\""),
            ("newestFirst=yes", "newestFirst: expected true or false, got \"yes\""),
        ] {
            assert_eq!(told(list_ticks(&format!("symbol=A&{query}"))), expected);
        }
        let error = told(watch("symbols=A&minInterval=1"));
        assert!(error.starts_with("minInterval: expected a duration with its unit, such as"), "{error}");
        let error = told(watch("symbols=A&startTime=2023-11-15T03:43:20+05:30"));
        assert!(error.starts_with("startTime: expected a time") && error.ends_with("as %2B"), "{error}");
        let error = told(watch(&format!("symbols=A&startTime={}", "9".repeat(60_000))));
        assert!(error.starts_with("startTime: \"99") && error.len() < 150, "{error}");
        assert!(error.ends_with("is too long: it has 60000 characters"), "{error}");
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "(symbols?|startTime|interval|pageSize|speed|%[0-9A-F]{2}|[=&+%_,*a-zA-Z0-9.:Z-]|.){0,60}") {
            let _ = (list_instruments(&query), get_last_prices(&query), list_ticks(&query));
            let _ = (list_candles(&query), get_tape(&query), watch(&query));
        }
    }
}
