//! Between our types and the contract's.

use std::time::Duration;

use crate::{
    contract::v1,
    history::Candle,
    hub::Quote,
    tape::{Instrument, InstrumentStatus, Kind},
    tick::{Price, Tick, Time},
};

/// A time as a protobuf timestamp.
pub fn timestamp(time: Time) -> prost_types::Timestamp {
    let (seconds, nanos) = time.parts();
    prost_types::Timestamp { seconds, nanos }
}

/// What is wrong with a time that [`time`] refuses, after the name of its field.
pub(super) const NO_TIMESTAMP: &str =
    "is no timestamp: its seconds are from the year 1 to 9999, its nanos from 0 to 999999999";

/// `None` when it is malformed. What is before 1970 becomes the first time, what is after 2554 the last.
pub fn time(timestamp: prost_types::Timestamp) -> Option<Time> {
    /// The first second of the year 1 and the last of the year 9999.
    const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    let nanos = u64::try_from(timestamp.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let seconds = SECONDS.contains(&timestamp.seconds).then_some(timestamp.seconds)?;
    let Ok(seconds) = u64::try_from(seconds) else { return Some(Time::default()) };
    Some(Time::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos)))
}

pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    // Durations here are at most a day.
    prost_types::Duration { seconds: duration.as_secs() as i64, nanos: duration.subsec_nanos() as i32 }
}

/// Unset when it is zero.
fn some_duration(of: Duration) -> Option<prost_types::Duration> {
    (!of.is_zero()).then(|| duration(of))
}

/// `None` when it is negative or malformed. (`prost_types`' own conversion overflows on the least of all durations.)
pub(super) fn positive_duration(duration: prost_types::Duration) -> Option<Duration> {
    let nanos = u32::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(duration.seconds).ok()?, nanos))
}

/// `2026-11-20T09:15:00`, in UTC.
pub(super) fn rfc3339_to_the_second(second: i64) -> String {
    let mut text = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX).to_string();
    text.truncate(19);
    text
}

pub(super) fn tick(symbol: &str, tick: &Tick) -> v1::Tick {
    v1::Tick {
        symbol: symbol.to_owned(),
        ltp: tick.price.to_f64(),
        time: Some(timestamp(tick.time)),
        sequence: tick.sequence.0,
        ltp_nanos: tick.price.nanos(),
        last_quantity: tick.quantity,
        conflated: 0,
        snapshot: false,
        quote: None,
    }
}

pub(super) fn quote(quote: &Quote) -> v1::Quote {
    let Quote { book, day, status: trades } = quote;
    let mut of = v1::Quote {
        day_start_time: Some(timestamp(day.start)),
        open_nanos: day.open.nanos(),
        high_nanos: day.high.nanos(),
        low_nanos: day.low.nanos(),
        volume: day.volume,
        previous_close_nanos: day.previous_close.map_or(0, Price::nanos),
        change_percent: day.change_percent(),
        status: status(*trades).into(),
        ..v1::Quote::default()
    };
    if let Some(book) = book {
        (of.bid_nanos, of.bid_quantity) = (book.bid.nanos(), book.bid_quantity);
        (of.ask_nanos, of.ask_quantity) = (book.ask.nanos(), book.ask_quantity);
    }
    of
}

pub(super) fn instrument(instrument: &Instrument, now: Time) -> v1::Instrument {
    v1::Instrument {
        symbol: instrument.symbol.to_string(),
        name: instrument.name.clone(),
        reference_price_nanos: instrument.reference_price.nanos(),
        price_increment_nanos: instrument.price_increment.nanos(),
        quantity_increment_nanos: instrument.quantity_increment_nanos.get() as i64,
        annual_volatility: instrument.annual_volatility,
        tick_interval: some_duration(instrument.tick_interval),
        currency: instrument.currency.clone(),
        kind: instrument.kind.clone(),
        day_start: some_duration(instrument.day_start).filter(|_| !instrument.closes),
        hours: instrument.hours.as_ref().map(ToString::to_string).unwrap_or_default(),
        closes: instrument.closes,
        status: status(instrument.status_at(now)).into(),
        next_status_time: instrument.next_status_change(now).map(timestamp),
    }
}

fn status(status: Option<InstrumentStatus>) -> v1::InstrumentStatus {
    match status {
        None => v1::InstrumentStatus::Unspecified,
        Some(InstrumentStatus::Open) => v1::InstrumentStatus::Open,
        Some(InstrumentStatus::Closed) => v1::InstrumentStatus::Closed,
        Some(InstrumentStatus::Halted) => v1::InstrumentStatus::Halted,
    }
}

/// `open` says that the interval is not over yet.
pub(super) fn candle(candle: &Candle, open: bool) -> v1::Candle {
    v1::Candle {
        open_time: Some(timestamp(candle.open_time)),
        open_nanos: candle.open.nanos(),
        high_nanos: candle.high.nanos(),
        low_nanos: candle.low.nanos(),
        close_nanos: candle.close.nanos(),
        volume: candle.volume,
        tick_count: candle.tick_count,
        open,
        open_price: candle.open.to_f64(),
        high_price: candle.high.to_f64(),
        low_price: candle.low.to_f64(),
        close_price: candle.close.to_f64(),
    }
}

/// How many things a page may have: 1,000 unless the request says otherwise, and no more than `most`.
pub(super) fn page_size(asked: u32, most: usize) -> usize {
    if asked == 0 { 1_000 } else { most.min(asked as usize) }
}

pub(super) fn kind(kind: Kind) -> v1::TapeKind {
    match kind {
        Kind::Simulated => v1::TapeKind::Simulated,
        Kind::Recorded => v1::TapeKind::Recorded,
        Kind::Feed => v1::TapeKind::Feed,
    }
}
