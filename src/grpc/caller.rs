//! Who makes a call: its name, what it may do, which part of the tape it sees, and what it holds.

use std::sync::Arc;

use super::{
    caller_name::CallerName,
    usage::{Changes, Usage},
};
use crate::{
    access::{Grant, Token},
    tape::Tape,
};

/// The caller of an RPC. Clones are the same caller.
#[derive(Clone)]
pub struct Caller(Arc<CallerParts>);

/// What a [`Caller`] is made of.
pub(super) struct CallerParts {
    pub(super) name: CallerName,
    pub(super) grant: Grant,
    /// The part of the tape that it sees; `None` when it sees the whole tape.
    pub(super) visible: Option<Arc<dyn Tape>>,
    /// `None` when callers do not have to authenticate.
    pub(super) token: Option<Token>,
    pub(super) usage: Arc<Usage>,
    /// Limits its subscription changes.
    pub(super) changes: Arc<Changes>,
}

impl From<CallerParts> for Caller {
    fn from(parts: CallerParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Caller {
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

    /// Limits its subscription changes.
    pub(super) fn changes(&self) -> &Changes {
        &self.0.changes
    }

    /// What it holds.
    pub(super) fn usage(&self) -> &Arc<Usage> {
        &self.0.usage
    }
}
