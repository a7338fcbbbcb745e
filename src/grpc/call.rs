//! One call that is answered once, as its handler knows it.
//!
//! tonic makes the handler of a call, so the call reaches it in the extensions of its request.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, ready},
};

use tokio::time::{Instant, timeout};

use super::{
    Caller, ConnectionContext, Limit, WorkerContext,
    history_pool::Shared,
    status::Failure,
    unsent::{AnswerBudget, UnsentAnswer},
    usage::Usage,
};

/// One call on a connection. Clones are the same call.
#[derive(Clone)]
pub(super) struct Call {
    context: ConnectionContext,
    unsent: UnsentAnswer,
    /// With the part of the tape that the caller sees.
    worker: WorkerContext,
    caller: Caller,
    deadline: Option<Instant>,
}

impl Call {
    /// Most bytes that are reserved for one answer, so that one large answer does not block all other calls.
    const MOST_RESERVED: usize = AnswerBudget::MAX_UNSENT / 2;
    /// Bytes reserved for an answer until its handler knows the size.
    const USUAL_ANSWER: usize = 64 * 1024;

    /// A call that is answered by a worker.
    pub(super) fn new(
        context: ConnectionContext,
        worker: WorkerContext,
        caller: Caller,
        deadline: Option<Instant>,
    ) -> Self {
        let unsent = UnsentAnswer::new(context.answers());
        Self { context, unsent, worker: worker.visible_to(&caller), caller, deadline }
    }

    /// The connection.
    pub(super) fn context(&self) -> &ConnectionContext {
        &self.context
    }

    /// Who makes the call.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// When the call ends, if it is not over by then.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Counts the unsent bytes of its answer.
    pub(super) fn unsent(&self) -> &UnsentAnswer {
        &self.unsent
    }

    /// The worker, with the part of the tape that the caller sees.
    pub(super) fn worker(&self) -> &WorkerContext {
        &self.worker
    }

    /// Whether the caller may see what is for operators only.
    pub(super) fn is_admin(&self) -> bool {
        self.caller.grant().is_admin()
    }

    /// Runs work of the call in the history pool, as [`HistoryPool::run`](super::HistoryPool::run) does.
    ///
    /// # Errors
    /// Those of the work; too much work waits already; the server is stopping.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut() -> Option<Result<T, Failure>> + Send + 'static,
        shared: Option<Arc<dyn Shared>>,
    ) -> Result<T, Failure> {
        let usage = self.caller.usage();
        let caller = usage.history_caller(self.context.id());
        let done = match usage.wait_for_history() {
            Some(_held) => self.worker.history.run(caller, work, shared).await,
            None => Err(Failure::TooMuchHistoryOfCaller(Usage::MAX_HISTORY)),
        };
        done.inspect_err(|failure| self.context.note_limit_of(failure))
    }

    /// Waits until an answer of any size may be made.
    ///
    /// # Errors
    /// The client takes nothing of the answers that wait.
    pub(super) async fn begin(&self) -> Result<(), Failure> {
        self.reserve(Self::USUAL_ANSWER).await
    }

    /// Waits until an answer of about this many bytes may be made, in place of what was reserved before.
    ///
    /// # Errors
    /// The client takes nothing of the answers that wait.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<(), Failure> {
        let check_interval = self.unsent.lock().check_interval();
        let answers = self.context.answers();
        let since = answers.millis();
        let room = || {
            poll_fn(|cx| {
                let mut unsent = self.unsent.lock();
                unsent.set(0);
                ready!(unsent.poll_room(cx));
                unsent.set_and_reserve(0, bytes.min(Self::MOST_RESERVED));
                Poll::Ready(())
            })
        };
        loop {
            let has_room = timeout(check_interval, room()).await.is_ok();
            if answers.has_stalled(since) {
                // Thousands of calls may wait, and end, at the same time.
                self.worker.turns.ticket(self.context.turn_share()).turn().await;
                self.unsent.set(0);
                self.context.note_limit(Limit::UnreadAnswers);
                return Err(Failure::Unread);
            }
            if has_room {
                return Ok(());
            }
        }
    }
}
