//! Takes the ticks that publishers push: checks them, numbers them, stores them, and appends them to the tape of the feed.
//!
//! One thread does this for the whole server (`writer`). Workers give it batches of ticks and wait for receipts:
//!
//! - `batch`: what publishers push, and what becomes of it;
//! - `numbering`: which tick is next of each symbol, and which numbers of each publisher are stored (`publishers`);
//! - `row`: a tick as a line of the log; `day_files`: the log, a file for each day;
//! - `writer`: the thread; `stored`: what only the log has, for those who ask for older ticks;
//! - `nats`: a log that many replicas share, and the thread that goes with it; `health`: whether the log can be reached.

mod batch;
mod day_files;
mod health;
#[cfg(feature = "nats")]
mod nats;
mod nats_settings;
mod numbering;
mod publishers;
mod row;
mod stored;
mod submission;
mod writer;

use std::{
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use rand::{TryRng, rngs::SysRng};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;

pub use batch::{Batch, NewTick, Numbers, Receipt, Rejected, Rejection};
use day_files::DayFiles;
pub use day_files::LogError;
use health::Health;
#[cfg(feature = "nats")]
pub use nats::NatsError;
pub use nats_settings::NatsSettings;
use numbering::{Numbering, fixed_instruments};
pub use stored::{StoredPart, StoredTicks};
use submission::{CallState, Reply, Submission};
use writer::Writer;

use crate::{
    pacer::Clock,
    tape::{Feed, LoadProgress, Universe, WindowLimits, WindowSize},
};

/// How a feed works.
#[derive(Clone, Debug)]
pub struct FeedSettings {
    /// Where ticks are stored.
    pub store: Store,
    /// How many ticks are kept in memory.
    pub window: WindowLimits,
    /// The only instruments that may be published. `None`: an instrument is made for each symbol that is published.
    pub instruments: Option<Arc<Universe>>,
}

/// Where the ticks of a feed are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// Nowhere but in memory.
    Memory,
    /// In a file for each day.
    Files {
        /// The directory of the files.
        directory: PathBuf,
        /// When they are synced.
        sync: SyncPolicy,
    },
    /// In a stream of NATS JetStream, which replicas share.
    Nats(NatsSettings),
}

/// When files are synced, so that a receipt may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before the ticks of a batch are on the tape.
    Always,
    /// At this interval.
    Every(Duration),
}

/// Takes the ticks of publishers. Clones are the same feed.
#[derive(Clone)]
pub struct Intake {
    submissions: mpsc::Sender<Submission>,
    tape: Arc<Feed>,
    counts: Arc<Counts>,
    health: Health,
    stored: Option<Arc<dyn StoredTicks>>,
}

/// What has become of the ticks that were pushed so far.
#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    duplicates: AtomicU64,
    rejected: AtomicU64,
    is_failing: AtomicBool,
}

/// Numbers of a feed for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedStatistics {
    /// Ticks that were accepted and stored.
    pub accepted: u64,
    /// Ticks that were stored before.
    pub duplicates: u64,
    /// Ticks that were rejected.
    pub rejected: u64,
    /// What is in memory.
    pub window: WindowSize,
    /// Whether ticks cannot be stored now.
    pub is_failing: bool,
}

/// Submits the batches of one call. After one of them was refused, all later ones are.
pub struct Submitting {
    to: PollSender<Submission>,
    call: CallState,
}

/// A batch that the feed has taken, and whose receipt is on its way.
pub struct Submitted(oneshot::Receiver<Result<Receipt, FeedError>>);

/// Why a batch is not stored. None of its ticks is, or all those that are may be sent again with their numbers.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FeedError {
    /// The log cannot be written.
    #[error("the feed cannot store ticks now ({0}): send them again later")]
    Unstored(String),
    /// The log cannot be reached, or has not answered. Whether the ticks are stored is unknown.
    #[error("the feed cannot reach its log ({0}): send the ticks again later, or to another replica")]
    Unavailable(String),
    /// The log cannot be read.
    #[error("the feed cannot read its log ({0}): ask for these ticks again later, or ask another replica")]
    Unreadable(String),
    /// Too many publishers are remembered.
    #[error(
        "{most} publishers have sent ticks in the last day, which is the limit: use a publisher_id again"
    )]
    TooManyPublishers {
        /// The limit.
        most: usize,
    },
    /// The server stops.
    #[error("the feed has stopped: publish to another replica, or later")]
    Stopped,
}

/// Why a feed does not start.
#[derive(Debug, Error)]
pub enum FeedStartError {
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The stream cannot be used.
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The program was built without NATS.
    #[cfg(not(feature = "nats"))]
    #[error("this program was built without NATS: build it with the feature `nats`, which is on by default")]
    WithoutNats,
    /// The thread cannot be started.
    #[error("cannot start the thread of the feed")]
    Thread(#[from] std::io::Error),
}

impl Intake {
    /// Batches that wait for the thread of the feed. Publishers wait while there are more.
    const WAITING: usize = 64;

    /// Starts a feed: reads what is stored and was not older than the window, and starts its thread. `progress` is called
    /// while files are read.
    ///
    /// # Errors
    /// The log cannot be read or written, or is in use; or the thread cannot be started.
    pub fn start(
        settings: FeedSettings,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self, FeedStartError> {
        let FeedSettings { store, window, instruments } = settings;
        let instruments = instruments.as_deref().map(fixed_instruments);
        let (submissions, waiting) = mpsc::channel(Self::WAITING);
        let counts = Arc::<Counts>::default();
        let (mut files, tape_id, sync) = match store {
            Store::Memory => (None, new_tape_id(), SyncPolicy::Always),
            Store::Files { directory, sync } => {
                let (files, tape_id) = DayFiles::open(&directory, new_tape_id)?;
                (Some(files), tape_id, sync)
            }
            #[cfg(not(feature = "nats"))]
            Store::Nats(_) => return Err(FeedStartError::WithoutNats),
            #[cfg(feature = "nats")]
            Store::Nats(settings) => {
                let parts = nats::Parts { window, instruments, submissions: waiting, counts: counts.clone() };
                let nats::Started { tape, health, stored } = nats::start(settings, parts, progress)?;
                return Ok(Self { submissions, tape, counts, health, stored: Some(stored) });
            }
        };
        let tape = Arc::new(Feed::new(tape_id, window, instruments.clone().unwrap_or_default()));
        let mut numbering = Numbering::new(tape.clone(), instruments);
        if let Some(files) = &mut files {
            let now = Clock::Wall.now();
            files.read(Numbering::since(now, window), progress, &mut |row| numbering.restore(row))?;
            tape.move_window(now);
        }
        Writer::new(numbering, files, sync, waiting, counts.clone()).start()?;
        Ok(Self { submissions, tape, counts, health: Health::default(), stored: None })
    }

    /// The tape of the feed.
    pub fn tape(&self) -> Arc<Feed> {
        self.tape.clone()
    }

    /// Reads ticks that have left the window; `None` where they cannot be read any more.
    pub fn stored(&self) -> Option<&Arc<dyn StoredTicks>> {
        self.stored.as_ref()
    }

    /// Begins to submit batches.
    pub fn submitting(&self) -> Submitting {
        Submitting { to: PollSender::new(self.submissions.clone()), call: CallState::default() }
    }

    /// Why nothing can be published or received now; `None` when all is well.
    pub fn problem(&self) -> Option<String> {
        self.health.problem()
    }

    /// Numbers for metrics.
    pub fn statistics(&self) -> FeedStatistics {
        FeedStatistics {
            accepted: self.counts.accepted.load(Relaxed),
            duplicates: self.counts.duplicates.load(Relaxed),
            rejected: self.counts.rejected.load(Relaxed),
            window: self.tape.size(),
            is_failing: self.counts.is_failing.load(Relaxed),
        }
    }
}

impl Submitting {
    /// Waits until the feed has room for a batch. The room is kept until a batch is submitted.
    ///
    /// # Errors
    /// The feed has stopped.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FeedError>> {
        self.to.poll_reserve(cx).map_err(|_| FeedError::Stopped)
    }

    /// Gives a batch to the feed, which must have had room. Batches are stored in the order in which they are submitted.
    ///
    /// # Errors
    /// The feed has stopped.
    pub fn submit(&mut self, batch: Batch) -> Result<Submitted, FeedError> {
        let (receipt, submitted) = oneshot::channel();
        let reply = Reply::new(receipt, self.call.clone());
        self.to.send_item(Submission { batch, reply }).map_err(|_| FeedError::Stopped)?;
        Ok(Submitted(submitted))
    }
}

/// Completes when the ticks of the batch are stored, or cannot be.
impl Future for Submitted {
    type Output = Result<Receipt, FeedError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|received| received.unwrap_or(Err(FeedError::Stopped)))
    }
}

/// A name that no other feed has.
fn new_tape_id() -> String {
    let mut bytes = [0; 16];
    // Without random numbers the time tells feeds apart.
    if SysRng.try_fill_bytes(&mut bytes).is_err() {
        bytes[..8].copy_from_slice(&Clock::Wall.now().nanos().to_be_bytes());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
