//! The thread that numbers, stores and appends what publishers push.

use std::{
    future::pending,
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use tokio::{
    runtime,
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until},
};
use tracing::{error, info};

use super::{
    Counts, FeedError, Receipt, SyncPolicy,
    day_files::{DayFiles, FinishedSync},
    numbering::Numbering,
    submission::{Reply, Submission},
};
use crate::{pacer::Clock, tick::Time};

/// Numbers, stores and appends batches in the order in which they come.
pub(super) struct Writer {
    numbering: Numbering,
    /// `None` when ticks are stored in memory only.
    files: Option<DayFiles>,
    sync: SyncPolicy,
    submissions: mpsc::Receiver<Submission>,
    counts: Arc<Counts>,
    /// Receipts for lines that are written and not synced.
    unsynced: Vec<Pending>,
    /// A sync that another thread makes.
    syncing: Option<Syncing>,
    next_sync: Instant,
    /// Number of ticks that were written since the last sync began.
    since_sync: u64,
}

/// A sync that another thread makes.
struct Syncing {
    task: JoinHandle<FinishedSync>,
    /// Number of receipts that wait for it.
    waiting: usize,
}

/// A receipt that waits for a sync.
struct Pending {
    receipt: Receipt,
    reply: Reply,
}

/// Most batches that are taken together.
const TOGETHER: usize = 16;
/// After so many ticks a sync begins before it is due: half of those that a publisher of ours sends before it waits.
const MANY: u64 = 16_000;

impl Writer {
    pub(super) fn new(
        numbering: Numbering,
        files: Option<DayFiles>,
        sync: SyncPolicy,
        submissions: mpsc::Receiver<Submission>,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            numbering,
            files,
            sync,
            submissions,
            counts,
            unsynced: Vec::new(),
            syncing: None,
            next_sync: Instant::now(),
            since_sync: 0,
        }
    }

    /// Starts the thread. It ends when nobody can submit any more and all is synced.
    pub(super) fn start(self) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build()?;
        thread::Builder::new().name("feed".to_owned()).spawn(move || runtime.block_on(self.run()))?;
        Ok(())
    }

    async fn run(mut self) {
        let mut taken = Vec::new();
        loop {
            let may_sync = self.syncing.is_none() && !self.is_synced();
            let sync_at = if self.since_sync < MANY { self.next_sync } else { Instant::now() };
            tokio::select! {
                count = self.submissions.recv_many(&mut taken, TOGETHER) => match count {
                    0 => break,
                    _ => self.take(&mut taken),
                },
                (finished, waiting) = ended(&mut self.syncing) => self.end_sync(finished, waiting),
                () = sleep_until(sync_at), if may_sync => self.sync(),
            }
        }
        if self.syncing.is_some() {
            let (finished, waiting) = ended(&mut self.syncing).await;
            self.end_sync(finished, waiting);
        }
        self.sync_now();
    }

    /// Takes batches. If every batch is synced before it is on the tape, they share one sync.
    fn take(&mut self, taken: &mut Vec<Submission>) {
        let now = Clock::Wall.now();
        for Submission { batch, reply } in taken.drain(..) {
            let Some(reply) = reply.unless_call_has_failed() else { continue };
            let before = self.numbering.tentative();
            let numbered = self.numbering.number(batch, now).and_then(|receipt| {
                self.store(before, now)?;
                Ok(receipt)
            });
            match numbered {
                Ok(receipt) => {
                    self.since_sync += receipt.accepted;
                    self.unsynced.push(Pending { receipt, reply });
                }
                Err(error) => reply.refuse(error),
            }
            if !self.syncs_first() {
                self.numbering.commit(now);
            }
        }
        if self.syncs_first() {
            self.sync_now();
        } else if self.is_synced() {
            self.give_receipts(self.unsynced.len());
        }
    }

    /// Whether nothing waits for a sync: ticks are stored in memory only, or all of a batch were duplicates.
    fn is_synced(&self) -> bool {
        self.files.as_ref().is_none_or(DayFiles::is_synced)
    }

    /// Whether ticks are on the tape only after they are synced.
    fn syncs_first(&self) -> bool {
        self.files.is_some() && self.sync == SyncPolicy::Always
    }

    /// Writes the tentative ticks from an index on.
    fn store(&mut self, from: usize, now: Time) -> Result<(), FeedError> {
        let Some(files) = &mut self.files else { return Ok(()) };
        let numbering = &self.numbering;
        let stored = files.append(numbering.tentative_from(from), now, || numbering.newest().collect());
        stored.map_err(|error| {
            self.note_failure(&error);
            self.numbering.roll_back_to(from);
            FeedError::Unstored(error.to_string())
        })
    }

    /// Syncs, and then gives the receipts and appends the ticks that wait for it.
    fn sync_now(&mut self) {
        let Some(files) = &mut self.files else { return };
        self.since_sync = 0;
        match files.sync() {
            Ok(()) => {
                self.recover();
                self.numbering.commit(Clock::Wall.now());
                self.give_receipts(self.unsynced.len());
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Syncs what is written. If ticks are on the tape only after a sync, an earlier sync has failed.
    fn sync(&mut self) {
        const RETRY: Duration = Duration::from_secs(1);
        match self.sync {
            SyncPolicy::Every(interval) => {
                self.next_sync = Instant::now() + interval;
                self.begin_sync();
            }
            SyncPolicy::Always => {
                self.next_sync = Instant::now() + RETRY;
                self.sync_now();
            }
        }
    }

    /// Begins a sync on another thread, so that ticks that arrive meanwhile do not wait for it.
    fn begin_sync(&mut self) {
        let Some(files) = &mut self.files else { return };
        self.since_sync = 0;
        match files.begin_sync() {
            Ok(None) => self.give_receipts(self.unsynced.len()),
            Ok(Some(job)) => {
                let task = spawn_blocking(move || job.run());
                self.syncing = Some(Syncing { task, waiting: self.unsynced.len() });
            }
            Err(error) => self.fail(&error),
        }
    }

    fn end_sync(&mut self, finished: FinishedSync, waiting: usize) {
        let Some(files) = &mut self.files else { return };
        match files.end_sync(finished) {
            Ok(is_durable) => {
                self.recover();
                if is_durable {
                    self.give_receipts(waiting);
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Gives the oldest receipts.
    fn give_receipts(&mut self, count: usize) {
        for Pending { receipt, reply } in self.unsynced.drain(..count.min(self.unsynced.len())) {
            reply.give(receipt, &self.counts);
        }
    }

    /// Refuses all receipts that wait. Their ticks are written, and will be synced when that is possible. If they are sent again with
    /// their numbers, they are duplicates, whose receipt waits for a sync like any other.
    fn fail(&mut self, error: &io::Error) {
        self.note_failure(error);
        for Pending { reply, .. } in self.unsynced.drain(..) {
            reply.refuse(FeedError::Unstored(error.to_string()));
        }
    }

    /// Logs the first of several failures.
    fn note_failure(&mut self, error: &io::Error) {
        if !self.counts.is_failing.swap(true, Relaxed) {
            error!(%error, "the log of the feed cannot be written: nothing is accepted until it can");
        }
    }

    /// Logs that failures are over.
    fn recover(&mut self) {
        if self.counts.is_failing.swap(false, Relaxed) {
            info!("the log of the feed can be written again");
        }
    }
}

/// Waits for the end of a sync, and returns the number of receipts that wait for it. Pending while there is none.
async fn ended(syncing: &mut Option<Syncing>) -> (FinishedSync, usize) {
    loop {
        let Some(Syncing { task, waiting }) = syncing else { return pending().await };
        let (finished, waiting) = (task.await, *waiting);
        *syncing = None;
        // It never panics.
        if let Ok(finished) = finished {
            return (finished, waiting);
        }
    }
}
