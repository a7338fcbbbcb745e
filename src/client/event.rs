//! What a stream brings, in the vocabulary of ticks.

use std::num::NonZeroU64;

use crate::{
    contract::v1::{self, SymbolStatusCode, ticker_stream_response as response},
    tick::{Price, Sequence, Symbol, Tick, Time},
};

/// What happened on a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The server answered a request that carried symbols.
    Answer {
        /// The tape that the server plays.
        tape_id: String,
        /// The symbols that are subscribed, `*` among them, in the order of the request.
        subscribed: Vec<String>,
        /// The symbols that are not.
        refused: Vec<Refusal>,
    },
    /// A trade.
    Tick(LiveTick),
    /// Ticks were left out although every one was asked for.
    Gap {
        /// The symbol.
        symbol: String,
        /// The first sequence that was left out.
        first: Sequence,
        /// The last sequence that was left out.
        last: Sequence,
    },
    /// The server is about to stop.
    Draining,
}

/// A tick and how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveTick {
    /// The symbol that traded.
    pub symbol: Symbol,
    /// The trade.
    pub tick: Tick,
    /// How many ticks of the symbol were left out before this one.
    pub conflated: u64,
    /// True for the last price from before the subscription.
    pub snapshot: bool,
}

/// A symbol that was not subscribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The symbol; empty when the request as a whole was refused.
    pub symbol: String,
    /// What was wrong and what to do.
    pub message: String,
}

/// A message that the contract does not allow.
pub(super) struct Malformed(pub(super) &'static str);

impl Event {
    /// The event of a message; `None` for signs of life, and for what a newer server may send.
    pub(super) fn of(message: v1::TickerStreamResponse) -> Result<Option<Self>, Malformed> {
        Ok(match message.event {
            Some(response::Event::Tick(tick)) => Some(Self::Tick(LiveTick::of(&tick)?)),
            Some(response::Event::SubscriptionResult(result)) => Some(Self::answer(result)),
            Some(response::Event::Gap(gap)) => Some(Self::Gap {
                symbol: gap.symbol,
                first: Sequence(gap.first_sequence),
                last: Sequence(gap.last_sequence),
            }),
            Some(response::Event::Draining(_)) => Some(Self::Draining),
            Some(response::Event::Heartbeat(_) | response::Event::CaughtUp(_) | response::Event::Pong(_))
            | None => None,
        })
    }

    fn answer(result: v1::SubscriptionResult) -> Self {
        let (mut subscribed, mut refused) = (Vec::new(), Vec::new());
        for status in result.statuses {
            match status.code() {
                SymbolStatusCode::Subscribed => subscribed.push(status.symbol),
                code => {
                    let message = match status.message {
                        message if message.is_empty() => format!("refused ({})", code.as_str_name()),
                        message => message,
                    };
                    refused.push(Refusal { symbol: status.symbol, message });
                }
            }
        }
        Self::Answer { tape_id: result.tape_id, subscribed, refused }
    }
}

impl LiveTick {
    fn of(tick: &v1::Tick) -> Result<Self, Malformed> {
        let time = tick.time.as_ref().ok_or(Malformed("a tick without a time"))?;
        let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
        Ok(Self {
            symbol: tick.symbol.parse().map_err(|_| Malformed("a tick with a malformed symbol"))?,
            tick: Tick {
                sequence: Sequence(tick.sequence),
                time: u64::try_from(nanos)
                    .map(Time::from_nanos)
                    .map_err(|_| Malformed("a tick with a time before 1970 or after 2554"))?,
                price: Price::from_nanos(tick.ltp_nanos)
                    .ok_or(Malformed("a tick without a positive price"))?,
                quantity: NonZeroU64::new(tick.last_quantity)
                    .ok_or(Malformed("a tick without a quantity"))?,
            },
            conflated: tick.conflated,
            snapshot: tick.snapshot,
        })
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn message(event: response::Event) -> v1::TickerStreamResponse {
        v1::TickerStreamResponse { event: Some(event) }
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
        let Ok(Some(Event::Tick(live))) = Event::of(message(response::Event::Tick(tick()))) else {
            panic!("a tick");
        };
        assert_eq!(live.symbol.as_str(), "RELIANCE");
        assert_eq!(live.tick.price.to_string(), "2930.55");
        assert_eq!(live.tick.time.nanos(), 1_700_000_000_123_456_789);
        assert_eq!((live.tick.sequence, live.tick.quantity.get()), (Sequence(7), 3));
        assert_eq!((live.conflated, live.snapshot), (2, true));
    }

    #[test]
    fn a_tick_that_the_contract_does_not_allow_is_refused() {
        let old = Some(Timestamp { seconds: -1, nanos: 0 });
        for broken in [
            v1::Tick { symbol: "NIFTY 50".to_owned(), ..tick() },
            v1::Tick { time: None, ..tick() },
            v1::Tick { time: old, ..tick() },
            v1::Tick { ltp_nanos: 0, ..tick() },
            v1::Tick { last_quantity: 0, ..tick() },
        ] {
            assert!(Event::of(message(response::Event::Tick(broken))).is_err());
        }
    }

    #[test]
    fn an_answer_tells_the_good_symbols_from_the_bad_ones() {
        let status = |symbol: &str, code: SymbolStatusCode, message: &str| v1::SymbolStatus {
            symbol: symbol.to_owned(),
            code: code.into(),
            message: message.to_owned(),
            ..Default::default()
        };
        let result = v1::SubscriptionResult {
            request_id: 1,
            tape_id: "abc".to_owned(),
            statuses: vec![
                status("TCS", SymbolStatusCode::Subscribed, ""),
                status("TSC", SymbolStatusCode::UnknownSymbol, "no such instrument; did you mean TCS?"),
                status("X", SymbolStatusCode::LimitExceeded, ""),
            ],
        };
        let refusal =
            |symbol: &str, message: &str| Refusal { symbol: symbol.to_owned(), message: message.to_owned() };
        assert_eq!(
            Event::answer(result),
            Event::Answer {
                tape_id: "abc".to_owned(),
                subscribed: vec!["TCS".to_owned()],
                refused: vec![
                    refusal("TSC", "no such instrument; did you mean TCS?"),
                    refusal("X", "refused (SYMBOL_STATUS_CODE_LIMIT_EXCEEDED)"),
                ],
            }
        );
    }

    #[test]
    fn signs_of_life_and_messages_of_the_future_are_no_events() {
        assert!(matches!(Event::of(message(response::Event::Heartbeat(v1::Heartbeat::default()))), Ok(None)));
        assert!(matches!(Event::of(v1::TickerStreamResponse { event: None }), Ok(None)));
    }
}
