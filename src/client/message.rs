//! Messages of a stream, decoded into domain types.

use super::{
    LiveTick, Quote,
    convert::{self, Malformed, symbol},
};
use crate::{
    contract::v1::{self, ticker_stream_response as response},
    tick::{Sequence, Symbol},
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
    /// The token expires soon.
    TokenExpiring,
    /// Whether the stream goes on with a fresh token.
    Authenticated(bool),
    /// A message that only shows that the stream is alive, or that only a newer client understands.
    Alive,
}

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
            Some(response::Event::TokenExpiring(_)) => Self::TokenExpiring,
            Some(response::Event::AuthenticationResult(result)) => Self::Authenticated(result.authenticated),
            Some(response::Event::Heartbeat(_) | response::Event::Pong(_)) | None => Self::Alive,
        })
    }
}

fn live_tick(tick: &v1::Tick) -> Result<LiveTick, Malformed> {
    Ok(LiveTick {
        symbol: symbol(&tick.symbol)?,
        tick: convert::tick(tick)?,
        conflated: tick.conflated,
        snapshot: tick.snapshot,
        quote: tick.quote.as_ref().map(Quote::of).transpose()?,
    })
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
        assert_eq!((live.tick.sequence, live.tick.quantity), (Sequence(7), 3));
        assert_eq!((live.conflated, live.snapshot), (2, true));
    }

    #[test]
    fn a_tick_of_an_index_has_no_quantity() {
        let index = v1::Tick { last_quantity: 0, ..tick() };
        let Ok(Message::Tick(live)) = message(response::Event::Tick(index)) else { panic!("a tick") };
        assert_eq!(live.tick.quantity, 0);
    }

    #[test]
    fn what_the_contract_does_not_allow_is_refused() {
        let old = Some(Timestamp { seconds: -1, nanos: 0 });
        for broken in [
            v1::Tick { symbol: "NIFTY 50".to_owned(), ..tick() },
            v1::Tick { time: None, ..tick() },
            v1::Tick { time: old, ..tick() },
            v1::Tick { ltp_nanos: 0, ..tick() },
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
