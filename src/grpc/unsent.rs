//! Answers that are made and not sent: how many bytes of them a connection and the server hold, and whether the client takes
//! them.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    ServerContext,
    budget::{Budget, BudgetWaiter},
};

/// Counts the unsent answers of one connection.
pub struct AnswerBudget {
    /// Times are in milliseconds since then.
    began: Instant,
    stall_timeout: Duration,
    /// Bytes of answers that are made and not sent.
    made: AtomicUsize,
    /// The same with what is reserved for answers that are yet to be made, and for requests that are under way.
    of_connection: Arc<Budget>,
    of_server: Arc<Budget>,
    /// When the client last took some of an answer.
    taken: AtomicU64,
}

/// Bytes of answers of one stream or call that wait to be sent. They count against the connection and the server.
pub(super) struct Unsent {
    answers: Arc<AnswerBudget>,
    bytes: usize,
    /// Bytes of an answer that is yet to be made, or of a request that is under way. They count against the connection alone.
    reserved: usize,
    place: BudgetWaiter,
    place_of_all: BudgetWaiter,
}

/// The unsent bytes of the answer of one call. Clones count the same answer.
#[derive(Clone)]
pub(super) struct UnsentAnswer(Arc<Mutex<Unsent>>);

impl AnswerBudget {
    /// Bytes of answers that may wait to be sent on a connection before no further answer is made for it.
    pub const MAX_UNSENT: usize = 256 * 1024;
    /// A connection with at most this many unsent bytes never has to give way.
    const SMALL: usize = 64 * 1024;

    /// A connection without unsent answers. They count against the budget of the server as well.
    pub(super) fn new(server: &ServerContext) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            stall_timeout: server.stall_timeout(),
            made: AtomicUsize::new(0),
            of_connection: Arc::new(Budget::new(Self::MAX_UNSENT)),
            of_server: server.unsent().clone(),
            taken: AtomicU64::new(0),
        })
    }

    /// Counts the answers of one stream or call, none so far.
    pub(super) fn unsent(self: &Arc<Self>) -> Unsent {
        let (place, place_of_all) = (self.of_connection.place(), self.of_server.place());
        Unsent { answers: self.clone(), bytes: 0, reserved: 0, place, place_of_all }
    }

    /// How long an answer may wait for the client to take some of it.
    pub fn stall_timeout(&self) -> Duration {
        self.stall_timeout
    }

    /// Notes that the client has taken some of an answer.
    pub fn note_taken(&self) {
        self.taken.store(self.millis(), Relaxed);
    }

    /// Whether answers that stall have to give way: the server holds as many unsent bytes as it may, and this connection
    /// more than a few of them.
    pub fn must_give_way(&self) -> bool {
        self.made.load(Relaxed) > Self::SMALL && !self.of_server.has_room()
    }

    /// Whether answers wait, the stall timeout is over since a call began to wait for them, and the client has taken nothing
    /// of any answer meanwhile.
    pub(super) fn has_stalled(&self, since_millis: u64) -> bool {
        let waited = Duration::from_millis(self.millis().saturating_sub(since_millis));
        self.made.load(Relaxed) > 0
            && waited >= self.stall_timeout
            && self.taken.load(Relaxed) <= since_millis
    }

    /// Milliseconds since the connection began.
    pub(super) fn millis(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

impl UnsentAnswer {
    /// An answer that is not made yet.
    pub(super) fn new(answers: &Arc<AnswerBudget>) -> Self {
        Self(Arc::new(Mutex::new(answers.unsent())))
    }

    /// Sets the number of unsent bytes.
    pub(super) fn set(&self, bytes: usize) {
        self.lock().set(bytes);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Unsent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unsent {
    /// Sets the number of unsent bytes; what was reserved is given back.
    pub(super) fn set(&mut self, bytes: usize) {
        self.set_and_reserve(bytes, 0);
    }

    /// Sets the number of unsent bytes, and what is reserved for an answer that is yet to be made or a request that is under
    /// way.
    pub(super) fn set_and_reserve(&mut self, bytes: usize, reserved: usize) {
        let (answers, before) = (&*self.answers, self.bytes);
        answers.made.fetch_add(bytes, Relaxed);
        answers.made.fetch_sub(before, Relaxed);
        answers.of_connection.change(before + self.reserved, bytes + reserved);
        answers.of_server.change(before, bytes);
        (self.bytes, self.reserved) = (bytes, reserved);
    }

    /// Waits until another answer may be made, that is until enough earlier answers are sent. A connection without unsent
    /// answers does not wait, even if the server has reached its limit.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.answers.of_connection.used() == 0 {
            return Poll::Ready(());
        }
        match self.place.poll_room(cx) {
            Poll::Ready(()) => {
                let room_of_all = self.place_of_all.poll_room(cx);
                if room_of_all.is_pending() {
                    // There is room for it also when the connection holds nothing any more.
                    self.place.wait(cx);
                }
                room_of_all
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether nothing is unsent or reserved.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes + self.reserved == 0
    }

    /// Number of unsent bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How long to wait between two checks whether the client takes its answers. Calls that wait together check at different
    /// times.
    pub(super) fn check_interval(&self) -> Duration {
        let interval = self.answers.stall_timeout().min(Duration::from_secs(1));
        interval * (128 + (self.place.number() % 128) as u32) / 128
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.set(0);
    }
}
