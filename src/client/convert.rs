//! Converts the fields that several messages share to domain types and back.

use std::time::Duration;

use crate::{
    contract::v1,
    tick::{Price, Sequence, Symbol, Tick, Time},
};

/// What a message has that the contract does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

pub(super) fn tick(tick: &v1::Tick) -> Result<Tick, Malformed> {
    Ok(Tick {
        sequence: Sequence(tick.sequence),
        time: time(tick.time.as_ref())?,
        price: Price::from_nanos(tick.ltp_nanos).ok_or(Malformed("a tick without a positive price"))?,
        quantity: tick.last_quantity,
    })
}

/// # Errors
/// There is no time, or it is before 1970 or after 2554.
pub(super) fn time(time: Option<&prost_types::Timestamp>) -> Result<Time, Malformed> {
    let time = time.ok_or(Malformed("a message without a time"))?;
    let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let nanos = u64::try_from(nanos).map_err(|_| Malformed("a time before 1970 or after 2554"))?;
    Ok(Time::from_nanos(nanos))
}

pub(super) fn duration(duration: &prost_types::Duration) -> Result<Duration, Malformed> {
    (*duration).try_into().map_err(|_| Malformed("a negative duration"))
}

pub(super) fn timestamp(time: Time) -> prost_types::Timestamp {
    let (seconds, nanos) = time.parts();
    prost_types::Timestamp { seconds, nanos }
}

pub(super) fn symbol(text: &str) -> Result<Symbol, Malformed> {
    text.parse().map_err(|_| Malformed("a malformed symbol"))
}
