//! A batch on its way to the thread of the feed, and the way back of its receipt.

use std::sync::{
    Arc,
    atomic::{
        AtomicBool,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use tokio::sync::oneshot;

use super::{Batch, Counts, FeedError, Receipt};

/// A batch, and where its receipt goes.
pub(super) struct Submission {
    pub(super) batch: Batch,
    pub(super) reply: Reply,
}

/// Where the receipt of a batch goes.
pub(super) struct Reply {
    to: oneshot::Sender<Result<Receipt, FeedError>>,
    call: CallState,
}

/// Whether a batch of a call was refused. Then no later one of the same call is stored: the numbers of its ticks are higher, so
/// that the refused ticks would count as duplicates when they are sent again.
#[derive(Clone, Default)]
pub(super) struct CallState(Arc<AtomicBool>);

/// Why a batch is refused after an earlier one of its call.
pub(super) const EARLIER: &str = "an earlier batch of the same call was not stored";

impl Reply {
    pub(super) fn new(to: oneshot::Sender<Result<Receipt, FeedError>>, call: CallState) -> Self {
        Self { to, call }
    }

    /// `None` when an earlier batch of the call was refused. Then this one is refused as well.
    pub(super) fn unless_call_has_failed(self) -> Option<Self> {
        if !self.has_call_failed() {
            return Some(self);
        }
        self.refuse(FeedError::Unstored(EARLIER.to_owned()));
        None
    }

    /// Whether an earlier batch of the call was refused.
    pub(super) fn has_call_failed(&self) -> bool {
        self.call.0.load(Acquire)
    }

    /// Gives the receipt, and counts it.
    pub(super) fn give(self, receipt: Receipt, counts: &Counts) {
        counts.accepted.fetch_add(receipt.accepted, Relaxed);
        counts.duplicates.fetch_add(receipt.duplicates, Relaxed);
        counts.rejected.fetch_add(receipt.rejected.len() as u64, Relaxed);
        // Nobody waits for it when the call has ended.
        drop(self.to.send(Ok(receipt)));
    }

    /// Refuses the batch.
    pub(super) fn refuse(self, error: FeedError) {
        self.call.0.store(true, Release);
        drop(self.to.send(Err(error)));
    }
}
