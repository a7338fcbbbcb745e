//! Messages of a stream, decoded into domain types.

use std::{num::NonZeroU64, time::Duration};

use super::{LiveTick, Quote};
use crate::{
    contract::v1::{self, ticker_stream_response as response},
    tick::{Price, Sequence, Symbol, Tick, Time},
};

/// One message of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    Tick(LiveTick),
    Result(v1::SubscriptionResult),
    Gap {
        symbol: Symbol,
        first: Sequence,
        last: Sequence,
    },
    CaughtUp {
        symbol: Symbol,
        sequence: Sequence,
    },
    Draining,
    /// A sign of life, or a message that only a newer client understands.
    Alive,
}

/// What a message has that the contract does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl Message {
    pub(super) fn of(response: v1::TickerStreamResponse) -> Result<Self, Malformed> {
        Ok(match response.event {
            Some(response::Event::Tick(tick)) => Self::Tick(live_tick(&tick)?),
            Some(response::Event::SubscriptionResult(result)) => Self::Result(result),
            Some(response::Event::Gap(gap)) if gap.first_sequence > gap.last_sequence => {
                return Err(Malformed("a gap that ends before it begins"));
            }
            Some(response::Event::Gap(gap)) => Self::Gap {
                symbol: symbol(&gap.symbol)?,
                first: Sequence(gap.first_sequence),
                last: Sequence(gap.last_sequence),
            },
            Some(response::Event::CaughtUp(caught_up)) => {
                Self::CaughtUp { symbol: symbol(&caught_up.symbol)?, sequence: Sequence(caught_up.sequence) }
            }
            Some(response::Event::Draining(_)) => Self::Draining,
            Some(response::Event::Heartbeat(_) | response::Event::Pong(_)) | None => Self::Alive,
        })
    }
}

fn live_tick(tick: &v1::Tick) -> Result<LiveTick, Malformed> {
    Ok(LiveTick {
        symbol: symbol(&tick.symbol)?,
        tick: self::tick(tick)?,
        conflated: tick.conflated,
        snapshot: tick.snapshot,
        quote: tick.quote.as_ref().map(Quote::of).transpose()?,
    })
}

pub(super) fn tick(tick: &v1::Tick) -> Result<Tick, Malformed> {
    Ok(Tick {
        sequence: Sequence(tick.sequence),
        time: time(tick.time.as_ref())?,
        price: Price::from_nanos(tick.ltp_nanos).ok_or(Malformed("a tick without a positive price"))?,
        quantity: NonZeroU64::new(tick.last_quantity).ok_or(Malformed("a tick without a quantity"))?,
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

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn message(event: response::Event) -> Result<Message, Malformed> {
        Message::of(v1::TickerStreamResponse { event: Some(event) })
    }

    fn tick() -> v1::Tick {
        v1::Tick {
            symbol: "RELIANCE".to_owned(),
            ltp: 2930.55,
            time: Some(Timestamp { seconds: 1_700_000_000, nanos: 123_456_789 }),
            sequence: 7,
            ltp_nanos: 2_930_550_000_000,
            last_quantity: 3,
            conflated: 2,
            snapshot: true,
            quote: None,
        }
    }

    #[test]
    fn a_tick_is_taken_over_exactly() {
        let Ok(Message::Tick(live)) = message(response::Event::Tick(tick())) else { panic!("a tick") };
        assert_eq!(live.symbol.as_str(), "RELIANCE");
        assert_eq!(live.tick.price.to_string(), "2930.55");
        assert_eq!(live.tick.time.nanos(), 1_700_000_000_123_456_789);
        assert_eq!((live.tick.sequence, live.tick.quantity.get()), (Sequence(7), 3));
        assert_eq!((live.conflated, live.snapshot), (2, true));
    }

    #[test]
    fn what_the_contract_does_not_allow_is_refused() {
        let old = Some(Timestamp { seconds: -1, nanos: 0 });
        for broken in [
            v1::Tick { symbol: "NIFTY 50".to_owned(), ..tick() },
            v1::Tick { time: None, ..tick() },
            v1::Tick { time: old, ..tick() },
            v1::Tick { ltp_nanos: 0, ..tick() },
            v1::Tick { last_quantity: 0, ..tick() },
        ] {
            assert!(message(response::Event::Tick(broken)).is_err());
        }
        let backwards = v1::Gap { symbol: "TCS".to_owned(), first_sequence: 9, last_sequence: 8 };
        assert!(message(response::Event::Gap(backwards)).is_err());
        assert!(message(response::Event::CaughtUp(v1::CaughtUp::default())).is_err());
    }

    #[test]
    fn heartbeats_and_messages_of_the_future_are_signs_of_life() {
        assert_eq!(message(response::Event::Heartbeat(v1::Heartbeat::default())), Ok(Message::Alive));
        assert_eq!(Message::of(v1::TickerStreamResponse { event: None }), Ok(Message::Alive));
    }
}
