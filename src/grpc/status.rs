//! Every error that ends an RPC, and its status.

use std::time::Duration;

use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{
    Limit, MAX_REQUEST_BYTES, MAX_SYMBOLS_PER_MESSAGE, MAX_SYMBOLS_PER_STREAM, MAX_TICKS_PER_REQUEST,
    history_pool::Overload,
    subscribe_error::{SubscribeError, TooFarAhead},
};
use crate::{
    access::Refusal,
    feed::FeedError,
    hub::Full,
    tape::{Missing, Tape},
    tick::{Symbol, SymbolError},
};

/// How long a caller that has met a limit should wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why an RPC ends.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{0:?} is no symbol: {1}")]
    MalformedSymbol(String, SymbolError),
    #[error("unknown symbol {0}; {hint}", hint = Hint(.1))]
    UnknownSymbol(Symbol, Option<Symbol>),
    #[error("a stream holds at most {MAX_SYMBOLS_PER_STREAM} symbols: open another one")]
    TooManySymbols,
    #[error("{0}")]
    NoRoom(Missing),
    #[error(
        "the connection holds as many subscriptions as it may: unsubscribe from some, or open another connection"
    )]
    ConnectionFull,
    #[error("the caller holds as many subscriptions as it may: unsubscribe from some")]
    CallerFull,
    #[error("the caller has {0} streams, which is as many as it may: end some, or put more symbols on each")]
    TooManyStreams(usize),
    #[error("the caller changes too many subscriptions: at most {0} in a second; try again later")]
    TooManyChanges(u64),
    #[error("{0} calls of this caller wait for history, which is the limit: wait for some of their answers")]
    TooMuchHistoryOfCaller(u64),
    #[error("{0}")]
    Unauthenticated(Refusal),
    #[error("too many authentications of this address have failed: try again later, with a valid token")]
    TooManyFailures,
    #[error("this server verifies no tokens")]
    NoTokens,
    #[error("the token does not allow this RPC: it needs the scope {0}")]
    Forbidden(&'static str),
    #[error("the server holds as many subscriptions as it may: try again later, or another replica")]
    ServerFull,
    #[error(transparent)]
    TooFarAhead(TooFarAhead),
    #[error("a day of it has more than 100 million ticks, too many to read for quotes: ask for DETAIL_LTP")]
    NoQuotes,
    #[error(
        "a request names at most {MAX_SYMBOLS_PER_MESSAGE} symbols and this one has {0}: ask in several requests"
    )]
    TooManySymbolsInRequest(usize),
    #[error("not one of the symbols can be subscribed; the first: {0}")]
    NothingToWatch(String),
    #[error("the client half-closed the stream before it asked for anything")]
    NothingAsked,
    #[error(
        "a request has at most {MAX_REQUEST_BYTES} bytes: name at most {MAX_SYMBOLS_PER_MESSAGE} symbols in each"
    )]
    TooLarge,
    #[error("the request cannot be decoded: {0}")]
    Undecodable(String),
    #[error("requests must not be compressed; grpc-encoding was {0:?}")]
    Compressed(String),
    #[error(
        "the page token {0:?} is none that this service issues for this request: pass next_page_token as it came"
    )]
    BadPageToken(String),
    /// A field of the request and what is wrong with it.
    #[error("{0} {1}")]
    Invalid(&'static str, String),
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error(
        "a request has at most {MAX_TICKS_PER_REQUEST} ticks and this one has {count}: send several requests"
    )]
    TooManyTicks { count: usize },
    #[error("the tape of this server is no feed, so that nothing can be published: start it with --feed")]
    NoFeed,
    #[error("the deadline of the call is over")]
    DeadlineExceeded,
    #[error(transparent)]
    TooMuchHistory(#[from] Overload),
    #[error(
        "the stream has asked for nothing for too long: subscribe, or open it when there is something to ask for"
    )]
    Idle,
    #[error(
        "the client has taken nothing of the answers before this one for too long: read them, or ask for fewer at a time"
    )]
    Unread,
    #[error("the server is stopping: reconnect, to another replica if there is one")]
    Stopping,
    #[error("the stream has reached its maximum age: open another one, on another replica if there is one")]
    MaxAge,
}

/// What to do about an unknown symbol: use the symbol that was meant, if there is one, or look it up.
pub(super) struct Hint<'a>(pub(super) &'a Option<Symbol>);

impl std::fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(symbol) => write!(f, "did you mean {symbol}?"),
            None => write!(f, "list the symbols with `ticker list` or the RPC ListInstruments"),
        }
    }
}

impl Failure {
    /// The limit that the client has met, of those that are noted when a call is refused.
    pub(super) fn limit(&self) -> Option<Limit> {
        match self {
            Self::TooManyFailures => Some(Limit::FailedAuthentications),
            Self::TooManyStreams(_) => Some(Limit::StreamsPerCaller),
            Self::TooMuchHistory(overload) => Some((*overload).into()),
            Self::TooMuchHistoryOfCaller(_) => Some(Limit::HistoryCallsPerCaller),
            _ => None,
        }
    }

    /// The refusal of the one symbol of an RPC.
    pub(super) fn of_symbol(tape: &dyn Tape, symbol: &str, error: SubscribeError) -> Self {
        match error {
            SubscribeError::Malformed(error) => Self::MalformedSymbol(cut(symbol), error),
            SubscribeError::Unknown(symbol) => Self::UnknownSymbol(symbol, tape.suggest(symbol.as_str())),
            SubscribeError::TooMany => Self::TooManySymbols,
            SubscribeError::TooManyChanges(limit) => Self::TooManyChanges(limit),
            SubscribeError::Full(full) => full.into(),
            SubscribeError::NoRoom(missing) => Self::NoRoom(missing),
            SubscribeError::NoQuotes => Self::NoQuotes,
            SubscribeError::TooFarAhead(ahead) => Self::TooFarAhead(ahead),
        }
    }
}

impl From<Full> for Failure {
    fn from(full: Full) -> Self {
        match full {
            Full::Caller => Self::CallerFull,
            Full::Connection => Self::ConnectionFull,
            Full::Server => Self::ServerFull,
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        let (code, details) = match &failure {
            Failure::MalformedSymbol(..) => {
                (Code::InvalidArgument, Some(ErrorDetails::with_bad_request_violation("symbol", &message)))
            }
            Failure::UnknownSymbol(symbol, _) => (
                Code::NotFound,
                Some(ErrorDetails::with_resource_info("symbol", symbol.as_str(), "", &message)),
            ),
            Failure::ServerFull
            | Failure::CallerFull
            | Failure::TooManyStreams(_)
            | Failure::TooManyChanges(_)
            | Failure::TooMuchHistoryOfCaller(_)
            | Failure::TooManyFailures => {
                (Code::ResourceExhausted, Some(ErrorDetails::with_retry_info(Some(RETRY_AFTER))))
            }
            Failure::Unauthenticated(_) => (Code::Unauthenticated, None),
            Failure::NoTokens | Failure::NoFeed => (Code::FailedPrecondition, None),
            Failure::Forbidden(_) => (Code::PermissionDenied, None),
            Failure::Feed(FeedError::Stopped | FeedError::Unavailable(_) | FeedError::Unreadable(_)) => {
                (Code::Unavailable, Some(ErrorDetails::with_retry_info(Some(RETRY_AFTER))))
            }
            Failure::Feed(FeedError::Unstored(_) | FeedError::TooManyPublishers { .. }) => {
                (Code::ResourceExhausted, Some(ErrorDetails::with_retry_info(Some(RETRY_AFTER))))
            }
            Failure::TooManySymbols
            | Failure::TooManyTicks { .. }
            | Failure::ConnectionFull
            | Failure::NoRoom(_)
            | Failure::TooManySymbolsInRequest(_)
            | Failure::TooLarge => (
                Code::ResourceExhausted,
                Some(ErrorDetails::with_quota_failure_violation("request", &message)),
            ),
            Failure::NoQuotes
            | Failure::TooFarAhead(_)
            | Failure::NothingToWatch(_)
            | Failure::NothingAsked
            | Failure::Undecodable(_) => (Code::InvalidArgument, None),
            Failure::BadPageToken(_) => (
                Code::InvalidArgument,
                Some(ErrorDetails::with_bad_request_violation("page_token", &message)),
            ),
            Failure::Invalid(field, _) => {
                (Code::InvalidArgument, Some(ErrorDetails::with_bad_request_violation(*field, &message)))
            }
            Failure::Compressed(_) => (Code::Unimplemented, None),
            Failure::DeadlineExceeded => (Code::DeadlineExceeded, None),
            Failure::Idle | Failure::Unread => (Code::ResourceExhausted, None),
            Failure::TooMuchHistory(_) => {
                (Code::ResourceExhausted, Some(ErrorDetails::with_retry_info(Some(Duration::from_secs(1)))))
            }
            Failure::Stopping | Failure::MaxAge => {
                (Code::Unavailable, Some(ErrorDetails::with_retry_info(Some(Duration::from_millis(100)))))
            }
        };
        match details {
            Some(details) => Self::with_error_details(code, message, details),
            None => Self::new(code, message),
        }
    }
}

/// The beginning of a text that a client sent: what is echoed to it travels in headers of limited size.
pub fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// What a request stream's own error is for the client.
pub(super) fn of_request_error(status: &Status) -> Failure {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => Failure::TooLarge,
        _ => Failure::Undecodable(status.message().to_owned()),
    }
}
