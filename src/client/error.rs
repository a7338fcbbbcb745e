//! What goes wrong between a client and its server.

use std::{error::Error as _, time::Duration};

use thiserror::Error;

use super::Endpoint;

/// Why there are no ticks.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is no connection.
    #[error("cannot connect to {endpoint}; is `ticker serve` running there?")]
    Connect {
        /// The server.
        endpoint: Endpoint,
        /// Why.
        source: tonic::transport::Error,
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
    #[error("{endpoint} refused the call: {said}")]
    Refused {
        /// The server.
        endpoint: Endpoint,
        /// Its reason.
        said: String,
    },
    /// The stream is over, and the client had not asked for that.
    #[error("{endpoint} ended the stream: {said}")]
    Ended {
        /// The server.
        endpoint: Endpoint,
        /// Its reason.
        said: String,
    },
    /// The server breaks the contract.
    #[error("{endpoint} sent {what}; is it a newer `ticker`?")]
    Malformed {
        /// The server.
        endpoint: Endpoint,
        /// What it sent.
        what: &'static str,
    },
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
    format!("{} ({})", parts.join(": "), code_name(status.code()))
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

    use super::*;

    #[test]
    fn a_status_is_told_in_one_line_with_the_name_of_its_code() {
        assert_eq!(said(&Status::unavailable("the server stops")), "the server stops (UNAVAILABLE)");
        assert_eq!(
            said(&Status::new(Code::DeadlineExceeded, "")),
            "Deadline expired before operation could complete (DEADLINE_EXCEEDED)"
        );
        assert_eq!(code_name(Code::Ok), "OK");
    }
}
