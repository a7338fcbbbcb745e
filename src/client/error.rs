//! Errors of a client, its subscriptions and its publishers.

use std::{io, time::Duration};

use thiserror::Error;

use super::{Endpoint, RpcCode, RpcStatus};

/// Errors of [`Client`](super::Client), [`Subscription`](super::Subscription) and [`Publisher`](super::Publisher).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The name of an endpoint has no address.
    #[error("cannot find {endpoint}: is the name right?")]
    Resolve {
        /// The endpoint.
        endpoint: Endpoint,
        /// The cause.
        source: io::Error,
    },
    /// There is no connection.
    #[error("cannot connect to {endpoint}; {}", hint_of(endpoint, source))]
    Connect {
        /// The replica.
        endpoint: Endpoint,
        /// The cause.
        source: io::Error,
    },
    /// There is no token to send.
    #[error("cannot get a token for {endpoint}")]
    Token {
        /// The replica.
        endpoint: Endpoint,
        /// The cause.
        source: io::Error,
    },
    /// The server did not answer in time, or sent nothing on a stream for too long.
    #[error("{endpoint} did not answer within {waited:?}")]
    TimedOut {
        /// The replica.
        endpoint: Endpoint,
        /// The timeout.
        waited: Duration,
    },
    /// The server refused the call.
    #[error("{endpoint} refused the call: {status}")]
    Refused {
        /// The replica.
        endpoint: Endpoint,
        /// The reason.
        status: RpcStatus,
    },
    /// The stream ended although the client had not asked for that.
    #[error("{endpoint} ended the stream: {status}")]
    Ended {
        /// The replica.
        endpoint: Endpoint,
        /// The reason.
        status: RpcStatus,
    },
    /// The server sent something that the contract does not allow.
    #[error("{endpoint} sent {what}; is it a newer `ticker`?")]
    Malformed {
        /// The replica.
        endpoint: Endpoint,
        /// What it sent.
        what: &'static str,
    },
    /// The replica cannot continue a subscription that another replica began, because it plays another tape or refuses
    /// a symbol.
    #[error("{endpoint} {reason}")]
    Unsuitable {
        /// The replica.
        endpoint: Endpoint,
        /// The reason.
        reason: String,
    },
    /// Every replica was tried, and none can be used.
    #[error("not one of {tried} replicas can be used")]
    NoReplica {
        /// Number of replicas.
        tried: usize,
        /// The error of the last one.
        source: Box<ClientError>,
    },
    /// There is no endpoint.
    #[error("there is no endpoint to connect to: name at least one")]
    NoEndpoint,
    /// There is no symbol.
    #[error("there is no symbol to ask for: name at least one")]
    NoSymbol,
}

/// What to look at when there is no connection.
fn hint_of(endpoint: &Endpoint, source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut => "is `ticker serve` running there?",
        _ if endpoint.is_https() => {
            "does the server speak TLS there, with a certificate of this name and CA?"
        }
        _ => "is `ticker serve` running there?",
    }
}

impl ClientError {
    /// Whether another attempt, or another replica, may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Token { .. }
            | Self::TimedOut { .. }
            | Self::Unsuitable { .. } => true,
            Self::Refused { status, .. } | Self::Ended { status, .. } => status.is_retryable(),
            Self::Malformed { .. } | Self::NoReplica { .. } | Self::NoEndpoint | Self::NoSymbol => false,
        }
    }

    /// The status of the server, for an error that has one.
    pub fn status(&self) -> Option<&RpcStatus> {
        match self {
            Self::Refused { status, .. } | Self::Ended { status, .. } => Some(status),
            Self::NoReplica { source, .. } => source.status(),
            _ => None,
        }
    }

    /// Whether a machine answered that nothing listens at the address.
    pub(super) fn is_refused_connection(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Whether the server ended the stream without an error.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Ended { status, .. } if status.code == RpcCode::Ok)
    }

    /// How long the server asks to wait before the next attempt.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.status().and_then(|status| status.retry_after)
    }
}
