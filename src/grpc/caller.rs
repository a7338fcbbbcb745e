//! Who makes a call: its name, what it may do, which part of the tape it sees, and what it holds.

use std::{fmt, net::IpAddr, sync::Arc};

use super::usage::Usage;
use crate::{
    access::{Grant, Token},
    tape::Tape,
};

/// The caller of an RPC. Clones are the same caller.
#[derive(Clone)]
pub struct Caller(Arc<Parts>);

struct Parts {
    name: CallerName,
    grant: Grant,
    /// `None` when it sees the whole tape.
    visible: Option<Arc<dyn Tape>>,
    token: Option<Token>,
    usage: Arc<Usage>,
}

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

impl Caller {
    pub(super) fn new(
        name: CallerName,
        grant: Grant,
        visible: Option<Arc<dyn Tape>>,
        token: Option<Token>,
        usage: Arc<Usage>,
    ) -> Self {
        Self(Arc::new(Parts { name, grant, visible, token, usage }))
    }

    /// What it is told apart by.
    pub(super) fn name(&self) -> &CallerName {
        &self.0.name
    }

    pub(super) fn grant(&self) -> &Grant {
        &self.0.grant
    }

    /// The part of `tape` that it sees.
    pub(super) fn visible(&self, tape: Arc<dyn Tape>) -> Arc<dyn Tape> {
        self.0.visible.clone().unwrap_or(tape)
    }

    /// Its token, if callers have to authenticate.
    pub(super) fn token(&self) -> Option<&Token> {
        self.0.token.as_ref()
    }

    /// What it holds.
    pub(super) fn usage(&self) -> &Arc<Usage> {
        &self.0.usage
    }
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
