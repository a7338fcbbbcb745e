//! Whether a server serves.

use std::fmt;

/// The health of a server or of one of its services, as `grpc.health.v1` defines it. It prints as `SERVING` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// The server does not know.
    Unknown,
    /// It serves.
    Serving,
    /// It does not serve: it starts or stops.
    NotServing,
    /// The server has no service of that name.
    ServiceUnknown,
}

impl Health {
    pub(super) fn of(status: i32) -> Self {
        match status {
            1 => Self::Serving,
            2 => Self::NotServing,
            3 => Self::ServiceUnknown,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "UNKNOWN",
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        })
    }
}
