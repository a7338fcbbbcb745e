//! What goes wrong between a client and its server.

use std::{error::Error as _, io, time::Duration};

use thiserror::Error;
use tonic_types::StatusExt;

use super::Endpoint;

/// Why there are no ticks.
#[derive(Debug, Error)]
pub enum ClientError {
    /// A name has no address.
    #[error("cannot find {endpoint}: is the name right?")]
    Resolve {
        /// The name.
        endpoint: Endpoint,
        /// Why.
        source: io::Error,
    },
    /// There is no connection.
    #[error("cannot connect to {endpoint}; is `ticker serve` running there?")]
    Connect {
        /// The server.
        endpoint: Endpoint,
        /// Why.
        source: io::Error,
    },
    /// The server takes too long to answer.
    #[error("{endpoint} did not answer within {waited:?}")]
    Silent {
        /// The server.
        endpoint: Endpoint,
        /// For how long.
        waited: Duration,
    },
    /// The server refuses the call.
    #[error("{endpoint} refused the call: {}", said(.status))]
    Refused {
        /// The server.
        endpoint: Endpoint,
        /// Its reason.
        status: Box<tonic::Status>,
    },
    /// The stream is over, and the client had not asked for that.
    #[error("{endpoint} ended the stream: {}", said(.status))]
    Ended {
        /// The server.
        endpoint: Endpoint,
        /// Its reason.
        status: Box<tonic::Status>,
    },
    /// The server breaks the contract.
    #[error("{endpoint} sent {what}; is it a newer `ticker`?")]
    Malformed {
        /// The server.
        endpoint: Endpoint,
        /// What it sent.
        what: &'static str,
    },
    /// A replica cannot go on where another one has stopped. To begin anew is up to the caller.
    #[error("{endpoint} {said}")]
    Unsuitable {
        /// The replica.
        endpoint: Endpoint,
        /// Why.
        said: String,
    },
    /// Every replica was tried.
    #[error("not one of {tried} replicas can be used")]
    NoReplica {
        /// How many there are.
        tried: usize,
        /// What was wrong with the last one.
        source: Box<ClientError>,
    },
    /// There is nothing to do.
    #[error("there is nothing to {0}: name at least one")]
    Nothing(&'static str),
}

impl ClientError {
    /// Whether another attempt, or another replica, may do better.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::Silent { .. } | Self::Unsuitable { .. } => {
                true
            }
            Self::Refused { status, .. } | Self::Ended { status, .. } => is_retryable_status(status),
            Self::Malformed { .. } | Self::NoReplica { .. } | Self::Nothing(_) => false,
        }
    }

    /// Whether a machine answered that nothing listens at the address.
    pub(super) fn is_refused_connection(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Whether the stream ended as it should, for one that should.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Ended { status, .. } if status.code() == tonic::Code::Ok)
    }

    /// How long the server asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { status, .. } | Self::Ended { status, .. } => {
                status.get_details_retry_info().and_then(|info| info.retry_delay)
            }
            _ => None,
        }
    }
}

/// Whether a status comes from the transport, or from a server that is only out of order for a while.
fn is_retryable_status(status: &tonic::Status) -> bool {
    use tonic::Code;
    let of_transport = status.source().is_some() || status.message().starts_with("h2 protocol error");
    match status.code() {
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable => true,
        // A limit of the server, unless it says when to come back.
        Code::ResourceExhausted => of_transport || status.get_details_retry_info().is_some(),
        _ => of_transport,
    }
}

/// An error and its causes in one line.
pub(super) fn told(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

/// A status in one line: its message, what the transport knows of it, and its code.
pub(super) fn said(status: &tonic::Status) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = status.source();
    let mut part = status.message().to_owned();
    loop {
        // Transports repeat themselves on the way up.
        if !part.is_empty() && !parts.iter().any(|earlier| earlier.contains(&part)) {
            parts.push(part);
        }
        let Some(next) = cause else { break };
        part = next.to_string();
        cause = next.source();
    }
    if parts.is_empty() {
        parts.push(status.code().description().to_owned())
    }
    let mut said = format!("{} ({})", parts.join(": "), code_name(status.code()));
    // The text is the server's: it must not steer the terminal.
    said.retain(|letter| !letter.is_control());
    said
}

/// The name that the gRPC specification gives to a code.
fn code_name(code: tonic::Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn only_retryable_errors_are_tried_again() {
        let ended = |status: Status| {
            let endpoint = "localhost:50051".parse().unwrap();
            ClientError::Ended { endpoint, status: Box::new(status) }
        };
        for code in [Code::Unavailable, Code::Cancelled, Code::Unknown, Code::Internal, Code::Aborted] {
            assert!(ended(Status::new(code, "")).is_retryable(), "{code:?}");
        }
        for code in [
            Code::InvalidArgument,
            Code::Unimplemented,
            Code::PermissionDenied,
            Code::Unauthenticated,
            Code::FailedPrecondition,
            Code::NotFound,
            Code::ResourceExhausted,
        ] {
            assert!(!ended(Status::new(code, "")).is_retryable(), "{code:?}");
        }
        let calm = Status::resource_exhausted("h2 protocol error: error reading a body from connection");
        assert!(ended(calm).is_retryable(), "it comes from the transport");
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(100)));
        let later = ended(Status::with_error_details(Code::ResourceExhausted, "full", details));
        assert!(later.is_retryable());
        assert_eq!(later.retry_after(), Some(Duration::from_millis(100)));
    }

    #[test]
    fn a_status_is_told_in_one_line_with_the_name_of_its_code() {
        assert_eq!(said(&Status::unavailable("the server stops")), "the server stops (UNAVAILABLE)");
        assert_eq!(said(&Status::unavailable("\u{1b}[2Jgone\r\n")), "[2Jgone (UNAVAILABLE)");
        assert_eq!(
            said(&Status::new(Code::DeadlineExceeded, "")),
            "Deadline expired before operation could complete (DEADLINE_EXCEEDED)"
        );
        assert_eq!(code_name(Code::Ok), "OK");
    }
}
