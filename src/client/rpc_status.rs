//! The status with which a call ended.

use std::{error::Error as _, fmt, time::Duration};

use tonic_types::StatusExt;

use crate::contract::RpcCode;

/// Why a call ended, as the server says or as the transport found out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RpcStatus {
    /// The code.
    pub code: RpcCode,
    /// The message, in one line and without control characters.
    pub message: String,
    /// How long the server asks to wait before the next attempt: its `google.rpc.RetryInfo`.
    pub retry_after: Option<Duration>,
    /// Whether the transport made this status, rather than the server.
    of_transport: bool,
}

impl RpcStatus {
    pub(super) fn of(status: &tonic::Status) -> Self {
        Self {
            code: RpcCode::of(status.code()),
            message: message(status),
            retry_after: status.get_details_retry_info().and_then(|info| info.retry_delay),
            of_transport: status.source().is_some() || status.message().starts_with("h2 protocol error"),
        }
    }

    /// Whether another attempt may succeed: the transport failed, or the server is unavailable for a while.
    pub fn is_retryable(&self) -> bool {
        match self.code {
            RpcCode::Ok
            | RpcCode::Cancelled
            | RpcCode::Unknown
            | RpcCode::DeadlineExceeded
            | RpcCode::Aborted
            | RpcCode::Internal
            | RpcCode::Unavailable => true,
            // A limit of the server, unless it says when to come back.
            RpcCode::ResourceExhausted => self.of_transport || self.retry_after.is_some(),
            _ => self.of_transport,
        }
    }
}

impl fmt::Display for RpcStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// The message of a status and the causes that the transport knows, in one line.
fn message(status: &tonic::Status) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = status.source();
    let mut part = status.message().to_owned();
    loop {
        // Transports repeat the text of a cause.
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
    let mut message = parts.join(": ");
    // The text comes from the server, and control characters could change the state of a terminal.
    message.retain(|letter| !letter.is_control());
    message
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn only_what_another_attempt_may_change_is_retryable() {
        let of = |code| RpcStatus::of(&Status::new(code, ""));
        for code in [Code::Unavailable, Code::Cancelled, Code::Unknown, Code::Internal, Code::Aborted] {
            assert!(of(code).is_retryable(), "{code:?}");
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
            assert!(!of(code).is_retryable(), "{code:?}");
        }
        let calm = Status::resource_exhausted("h2 protocol error: error reading a body from connection");
        assert!(RpcStatus::of(&calm).is_retryable(), "it comes from the transport");
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(100)));
        let later = RpcStatus::of(&Status::with_error_details(Code::ResourceExhausted, "full", details));
        assert!(later.is_retryable());
        assert_eq!(later.retry_after, Some(Duration::from_millis(100)));
    }

    #[test]
    fn a_status_prints_in_one_line_with_the_name_of_its_code() {
        let show = |status| RpcStatus::of(&status).to_string();
        assert_eq!(show(Status::unavailable("the server stops")), "the server stops (UNAVAILABLE)");
        assert_eq!(show(Status::unavailable("\u{1b}[2Jgone\r\n")), "[2Jgone (UNAVAILABLE)");
        assert_eq!(
            show(Status::new(Code::DeadlineExceeded, "")),
            "Deadline expired before operation could complete (DEADLINE_EXCEEDED)"
        );
    }
}
