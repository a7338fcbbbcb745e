//! What callers are told apart by.

use std::{fmt, net::IpAddr, sync::Arc};

/// What a caller is told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum CallerName {
    /// The subject of its token.
    Subject(Arc<str>),
    /// The name in its certificate.
    Certificate(Arc<str>),
    /// Its address.
    Address(IpAddr),
    /// A network without addresses.
    Unknown,
}

impl CallerName {
    /// Whether the caller has shown who it is. Many clients may share an address, such as that of a proxy.
    pub(super) fn is_authenticated(&self) -> bool {
        matches!(self, Self::Subject(_) | Self::Certificate(_))
    }
}

impl fmt::Display for CallerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => f.write_str(subject),
            Self::Certificate(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
