//! Batches whose receipts are due.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::feed::{
    Batch, Counts, FeedError, NewTick, Receipt, Rejection, Submission,
    submission::{EARLIER, Reply},
};

/// Batches whose receipts are due.
pub(super) struct Batches {
    counts: Arc<Counts>,
    waiting: HashMap<u64, Waiting>,
    /// Number of batches so far.
    count: u64,
    /// Number of ticks of which it is not known what becomes of them.
    ticks: usize,
}

/// A tick of a batch.
pub(super) struct Queued {
    /// The number of its batch.
    pub(super) batch: u64,
    pub(super) tick: NewTick,
    /// Its publisher and number.
    pub(super) number: Option<(Arc<str>, u64)>,
}

struct Waiting {
    receipt: Receipt,
    /// Number of ticks that the receipt does not have yet.
    left: usize,
    reply: Reply,
    since: Instant,
}

impl Batches {
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        Self { counts, waiting: HashMap::new(), count: 0, ticks: 0 }
    }

    /// Adds a batch. Returns its ticks.
    pub(super) fn add(&mut self, Submission { batch, reply }: Submission) -> impl Iterator<Item = Queued> {
        let Batch { numbers, ticks, rejected } = batch;
        let receipt = Receipt { rejected, ..Receipt::default() };
        self.count += 1;
        let (batch, left) = (self.count, ticks.len());
        if left == 0 {
            reply.give(receipt, &self.counts);
        } else {
            self.ticks += left;
            self.waiting.insert(batch, Waiting { receipt, left, reply, since: Instant::now() });
        }
        ticks.into_iter().map(move |tick| {
            let number = numbers.as_ref().map(|numbers| numbers.of(&tick));
            Queued { batch, tick, number }
        })
    }

    /// Whether a tick still has to be stored. If an earlier batch of its call was refused, so is its own.
    pub(super) fn is_waiting(&mut self, queued: &Queued) -> bool {
        match self.waiting.get(&queued.batch) {
            Some(waiting) if waiting.reply.has_call_failed() => {
                self.refuse(queued.batch, &FeedError::Unavailable(EARLIER.to_owned()));
                false
            }
            waiting => waiting.is_some(),
        }
    }

    /// Notes what has become of a tick, and gives the receipt after the last one of its batch.
    pub(super) fn note(&mut self, queued: &Queued, stored: Result<bool, Rejection>) {
        let Some(waiting) = self.waiting.get_mut(&queued.batch) else { return };
        waiting.receipt.note(&queued.tick, stored);
        waiting.left -= 1;
        self.ticks -= 1;
        if waiting.left == 0
            && let Some(Waiting { mut receipt, reply, .. }) = self.waiting.remove(&queued.batch)
        {
            receipt.rejected.sort_by_key(|rejected| rejected.index);
            reply.give(receipt, &self.counts);
        }
    }

    /// Refuses a batch, of which some ticks may be stored.
    pub(super) fn refuse(&mut self, batch: u64, error: &FeedError) {
        if let Some(Waiting { left, reply, .. }) = self.waiting.remove(&batch) {
            self.ticks -= left;
            reply.refuse(error.clone());
        }
    }

    /// Refuses all batches.
    pub(super) fn refuse_all(&mut self, error: &FeedError) {
        self.ticks = 0;
        self.waiting.drain().for_each(|(_, waiting)| waiting.reply.refuse(error.clone()));
    }

    /// Refuses the batches that have waited for longer than this.
    pub(super) fn refuse_older(&mut self, age: Duration, error: &FeedError) {
        let is_old = |waiting: &Waiting| waiting.since.elapsed() > age;
        let old: Vec<_> =
            self.waiting.iter().filter(|(_, waiting)| is_old(waiting)).map(|(batch, _)| *batch).collect();
        old.into_iter().for_each(|batch| self.refuse(batch, error));
    }

    /// Number of ticks of which it is not known what becomes of them.
    pub(super) fn ticks(&self) -> usize {
        self.ticks
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
