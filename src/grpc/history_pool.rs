//! Threads that read history, shared by all workers of a server, and a fair queue of their work.

use std::{
    any::Any,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use super::status::Failure;
use crate::{history::CandleCache, thread_priority};

mod cpu_time;
mod fair_queue;

use cpu_time::CpuTime;
pub use fair_queue::CallerId;
pub(super) use fair_queue::Overload;
use fair_queue::{Capacity, FairQueue, JobId};

/// Runs history work on as many threads as there are cores, at the lowest priority. Work is done in slices, and
/// [`FairQueue`] decides whose slice is next, so that long work of one caller does not delay short work of another.
///
/// A thread that has nothing else to do helps with work of others, if that can be [shared](Shared).
///
/// Clones share the threads. A thread is started when there is work for it, and ends after [`IDLE_TIMEOUT`] without work.
/// All end when the last clone is dropped.
#[derive(Clone)]
pub struct HistoryPool {
    pool: Arc<Pool>,
    _open: Arc<Open>,
    cache: CandleCache,
}

/// How long a thread waits for work. A thread that ends gives its memory back.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Work of which other threads can do a part.
pub(super) trait Shared: Send + Sync {
    /// Whether there is a part that no thread does.
    fn has_more(&self) -> bool;

    /// Does such a part, which takes less than a slice.
    fn help(&self);
}

/// Ends the threads when it is dropped.
struct Open(Arc<Pool>);

struct Pool {
    state: Mutex<State>,
    /// There is work, or the pool is closed.
    wake: Condvar,
    most_threads: usize,
}

struct State {
    queue: FairQueue<Box<dyn Job>>,
    /// Shared work that is under way.
    shared: Vec<(JobId, CallerId, Arc<dyn Shared>)>,
    threads: usize,
    /// Number of threads that wait for work.
    idle: usize,
    closed: bool,
}

/// Work, with the channel for its result.
trait Job: Send {
    /// Does the next step of the work. True when the work is complete or its caller has gone.
    fn step(&mut self) -> bool;

    /// The work, if other threads can do a part of it now.
    fn shared(&self) -> Option<Arc<dyn Shared>>;

    /// Tells the caller that the work will not be done.
    fn refuse(self: Box<Self>, overload: Overload);
}

struct Task<T, W> {
    work: W,
    shared: Option<Arc<dyn Shared>>,
    /// `None` after the result was sent.
    result: Option<oneshot::Sender<Answer<T>>>,
}

enum Answer<T> {
    Done(Result<T, Failure>),
    Panicked(Box<dyn Any + Send>),
}

/// Takes its job out of the queue when it is dropped, unless the job is done.
struct Waiting<'a> {
    pool: &'a Pool,
    caller: CallerId,
    job: Option<JobId>,
}

impl Default for HistoryPool {
    /// One for all workers of a server.
    fn default() -> Self {
        Self::with_threads(thread::available_parallelism().map_or(1, NonZeroUsize::get))
    }
}

impl HistoryPool {
    /// A connection may have 200 streams; half of them may wait for history. A caller that has shown who it is has no more with
    /// several connections.
    const CAPACITY: Capacity = Capacity { of_caller: 100, of_all: 4_000 };
    /// CPU time of a slice. A short call of another caller waits for a few slices.
    const SLICE: Duration = Duration::from_millis(2);

    fn with_threads(most_threads: usize) -> Self {
        let queue = FairQueue::new(Self::CAPACITY, Self::SLICE.as_nanos() as u64);
        let state = Mutex::new(State { queue, shared: Vec::new(), threads: 0, idle: 0, closed: false });
        let pool = Arc::new(Pool { state, wake: Condvar::new(), most_threads });
        Self { _open: Arc::new(Open(pool.clone())), pool, cache: CandleCache::default() }
    }

    /// The cache of candles, which all workers share.
    pub(super) fn cache(&self) -> &CandleCache {
        &self.cache
    }

    /// How many calls wait.
    pub fn waiting(&self) -> usize {
        self.pool.state().queue.waiting()
    }

    /// Runs work for a caller. `work` is called until it returns the result. Each call should take about 100 µs, a
    /// small part of a slice. Threads without other work help with what is `shared`.
    ///
    /// # Errors
    /// The errors of the work; too much work waits already; the server is stopping.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work: at once when it waits, after the current call of `work` otherwise.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        caller: CallerId,
        work: impl FnMut() -> Option<Result<T, Failure>> + Send + 'static,
        shared: Option<Arc<dyn Shared>>,
    ) -> Result<T, Failure> {
        let (result, answer) = oneshot::channel();
        let job = self.pool.submit(caller, Box::new(Task { work, shared, result: Some(result) }))?;
        let mut waiting = Waiting { pool: &self.pool, caller, job: Some(job) };
        let answer = answer.await;
        waiting.job = None;
        match answer {
            Ok(Answer::Done(result)) => result,
            Ok(Answer::Panicked(panic)) => resume_unwind(panic),
            // No thread could be started. (Running threads end only when there is no work or the pool is dropped.)
            Err(_) => Err(Failure::Stopping),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        let left = state.queue.drain();
        drop(state);
        self.0.wake.notify_all();
        drop(left);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.job {
            let cancelled = self.pool.state().queue.cancel(self.caller, job);
            // The work is dropped after the lock is released.
            drop(cancelled);
        }
    }
}

impl Pool {
    fn submit(self: &Arc<Self>, caller: CallerId, job: Box<dyn Job>) -> Result<JobId, Failure> {
        let mut state = self.state();
        let (id, thrown_out) = state.queue.push(caller, job)?;
        let start = state.queue.waiting() > state.idle && state.threads < self.most_threads;
        if start {
            state.threads += 1;
        }
        drop(state);
        self.wake.notify_one();
        if start {
            self.start_thread();
        }
        if let Some(job) = thrown_out {
            job.refuse(Overload::Server(HistoryPool::CAPACITY.of_all));
        }
        Ok(id)
    }

    fn start_thread(self: &Arc<Self>) {
        let pool = self.clone();
        let started = thread::Builder::new().name("history".to_owned()).spawn(move || pool.work());
        if started.is_err() {
            // The system has no thread left. If no other thread runs, the work is dropped, because nobody would do it.
            let mut state = self.state();
            state.threads -= 1;
            let left = if state.threads == 0 { state.queue.drain() } else { Vec::new() };
            drop(state);
            drop(left);
        }
    }

    /// Runs jobs until the pool is closed or there was none for [`IDLE_TIMEOUT`].
    fn work(self: &Arc<Self>) {
        // Work on every core must not hold up the workers.
        thread_priority::lower(thread_priority::LOWEST);
        let mut state = self.state();
        while !state.closed {
            if let Some((caller, id, job)) = state.queue.pop() {
                state = self.run(state, caller, id, job);
            } else if let Some((caller, shared)) = state.shared_with_more() {
                state.queue.begin_help(caller);
                drop(state);
                let spent = help(&*shared);
                drop(shared);
                state = self.state();
                state.queue.done(caller, spent, None);
            } else {
                state.idle += 1;
                let waited = self.wake.wait_timeout(state, IDLE_TIMEOUT);
                let (held, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                state = held;
                state.idle -= 1;
                if waited.timed_out() && state.queue.waiting() == 0 {
                    break;
                }
            }
        }
        state.threads -= 1;
        let left = if state.closed { state.queue.drain() } else { Vec::new() };
        drop(state);
        drop(left);
    }

    /// Runs a job for one slice.
    fn run<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        caller: CallerId,
        id: JobId,
        mut job: Box<dyn Job>,
    ) -> MutexGuard<'a, State> {
        let shared = job.shared();
        let wake = shared.is_some() && state.idle > 0;
        let start = shared.is_some() && state.idle == 0 && state.threads < self.most_threads;
        if start {
            state.threads += 1;
        }
        state.shared.extend(shared.map(|shared| (id, caller, shared)));
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        if start {
            self.start_thread();
        }
        let (spent, done) = slice(&mut *job);
        let left = if done {
            drop(job);
            None
        } else {
            Some((id, job))
        };
        let mut state = self.state();
        state.shared.retain(|(of, ..)| *of != id);
        state.queue.done(caller, spent, left);
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The shared work of the caller that has used the least time.
    fn shared_with_more(&self) -> Option<(CallerId, Arc<dyn Shared>)> {
        let with_more = self.shared.iter().filter(|(_, _, shared)| shared.has_more());
        let (_, caller, shared) = with_more.min_by_key(|(_, caller, _)| self.queue.used(*caller))?;
        Some((*caller, shared.clone()))
    }
}

/// Helps with shared work. Returns the CPU time, in nanoseconds.
fn help(shared: &dyn Shared) -> u64 {
    let began = CpuTime::now();
    // After a panic the part is not done. Whoever has the work does it, and reports the panic.
    catch_unwind(AssertUnwindSafe(|| shared.help())).ok();
    began.elapsed().as_nanos() as u64
}

/// Runs a job for one slice. Returns the CPU time, in nanoseconds, and whether the job is complete.
fn slice(job: &mut dyn Job) -> (u64, bool) {
    let began = CpuTime::now();
    loop {
        let done = job.step();
        let spent = began.elapsed();
        if done || spent >= HistoryPool::SLICE {
            return (spent.as_nanos() as u64, done);
        }
    }
}

impl<T, W> Job for Task<T, W>
where
    T: Send,
    W: FnMut() -> Option<Result<T, Failure>> + Send,
{
    fn step(&mut self) -> bool {
        if self.result.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return true;
        }
        // The work is not used again after a panic.
        let answer = match catch_unwind(AssertUnwindSafe(&mut self.work)) {
            Ok(None) => return false,
            Ok(Some(result)) => Answer::Done(result),
            Err(panic) => Answer::Panicked(panic),
        };
        if let Some(result) = self.result.take() {
            // Fails when the caller has gone.
            result.send(answer).ok();
        }
        true
    }

    fn shared(&self) -> Option<Arc<dyn Shared>> {
        self.shared.clone().filter(|shared| shared.has_more())
    }

    fn refuse(self: Box<Self>, overload: Overload) {
        if let Some(result) = self.result {
            result.send(Answer::Done(Err(overload.into()))).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::{
            atomic::{AtomicUsize, Ordering::Relaxed},
            mpsc,
        },
        task::{Context, Poll, Waker},
    };

    use tokio::task::yield_now;

    use super::*;

    const CALLER: CallerId = CallerId(1);

    /// Work that reports each step, and is done when the test says so.
    struct Directed {
        steps: mpsc::Receiver<()>,
        done: mpsc::Sender<u32>,
    }

    fn directed() -> (Directed, impl FnMut() -> Option<Result<u32, Failure>> + Send + 'static) {
        let ((step, steps), (done, is_done)) = (mpsc::channel(), mpsc::channel());
        let work = move || {
            step.send(()).ok();
            match is_done.try_recv() {
                Ok(result) => Some(Ok(result)),
                Err(_) => None,
            }
        };
        (Directed { steps, done }, work)
    }

    impl Directed {
        fn has_begun(&self) {
            self.steps.recv().unwrap();
        }

        /// The work was dropped.
        fn has_gone(self) {
            while self.steps.recv().is_ok() {}
        }
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn work_is_done_on_another_thread_and_in_steps() {
        let pool = HistoryPool::with_threads(1);
        let (mut left, own) = (1_000, thread::current().id());
        let work = move || {
            assert_ne!(thread::current().id(), own);
            left -= 1;
            (left == 0).then_some(Ok(left))
        };
        assert_eq!(pool.run(CALLER, work, None).await.unwrap(), 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn work_has_the_lowest_priority_and_this_thread_keeps_its_own() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        let of_work = HistoryPool::with_threads(1).run(CALLER, move || Some(Ok(own())), None).await.unwrap();
        assert_eq!((of_work, own()), (19, before));
    }

    #[tokio::test]
    async fn short_work_is_done_while_long_work_of_others_goes_on() {
        let pool = HistoryPool::with_threads(1);
        let (long, work) = directed();
        let mut running = pin!(pool.run(CALLER, work, None));
        assert!(poll(running.as_mut()).is_pending());
        long.has_begun();
        for caller in 2..50 {
            assert_eq!(pool.run(CallerId(caller), move || Some(Ok(caller)), None).await.unwrap(), caller);
        }
        long.done.send(7).unwrap();
        assert_eq!(running.await.unwrap(), 7);
    }

    #[tokio::test]
    async fn work_whose_caller_has_gone_is_not_begun_and_ends_when_it_was() {
        let pool = HistoryPool::with_threads(1);
        let (begun, work) = directed();
        let mut running = Box::pin(pool.run(CALLER, work, None));
        assert!(poll(running.as_mut()).is_pending());
        begun.has_begun();
        // The same caller's other work waits behind it.
        let (waiting, work) = directed();
        let mut queued = Box::pin(pool.run(CALLER, work, None));
        assert!(poll(queued.as_mut()).is_pending());
        drop(queued);
        assert!(waiting.steps.try_recv().is_err());
        waiting.has_gone();

        drop(running);
        begun.has_gone();
        assert_eq!(pool.run(CALLER, || Some(Ok(1)), None).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_no_other() {
        let pool = HistoryPool::with_threads(1);
        for _ in 0..3 {
            let asking = pool.clone();
            let work = || -> Option<Result<(), Failure>> { panic!("on purpose") };
            let panicked = tokio::spawn(async move { asking.run(CALLER, work, None).await }).await;
            let panic = panicked.unwrap_err().into_panic();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
            assert_eq!(pool.run(CALLER, || Some(Ok(1)), None).await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn too_much_waiting_work_of_one_caller_is_refused() {
        let pool = HistoryPool::with_threads(1);
        let (begun, work) = directed();
        let mut running = Box::pin(pool.run(CALLER, work, None));
        assert!(poll(running.as_mut()).is_pending());
        begun.has_begun();
        let mut queued: Vec<_> =
            (0..101).map(|n| Box::pin(pool.run(CALLER, move || Some(Ok(n)), None))).collect();
        let refused: Vec<_> = queued.iter_mut().map(|queued| poll(queued.as_mut())).collect();
        let Poll::Ready(Err(failure)) = &refused[100] else { panic!("it is one too many") };
        assert!(failure.to_string().contains("100 calls of this caller"), "{failure}");
        assert!(refused[..100].iter().all(Poll::is_pending));
        assert_eq!(pool.run(CallerId(2), || Some(Ok(1)), None).await.unwrap(), 1);
    }

    /// Work with parts, each of which is reported with the thread that does it.
    struct Parts {
        left: AtomicUsize,
        helped: mpsc::Sender<thread::ThreadId>,
        panics: bool,
    }

    impl Parts {
        fn shared(
            parts: usize,
            panics: bool,
        ) -> (mpsc::Receiver<thread::ThreadId>, Arc<Self>, Option<Arc<dyn Shared>>) {
            let (helped, helpers) = mpsc::channel();
            let parts = Arc::new(Self { left: AtomicUsize::new(parts), helped, panics });
            (helpers, parts.clone(), Some(parts))
        }
    }

    impl Shared for Parts {
        fn has_more(&self) -> bool {
            self.left.load(Relaxed) > 0
        }

        fn help(&self) {
            let took = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            if took.is_ok() {
                self.helped.send(thread::current().id()).ok();
                assert!(!self.panics, "on purpose");
            }
        }
    }

    #[tokio::test]
    async fn a_thread_without_work_helps_with_the_work_of_another() {
        for panics in [false, true] {
            let pool = HistoryPool::with_threads(2);
            let (long, work) = directed();
            let (helpers, parts, shared) = Parts::shared(100, panics);
            let mut running = pin!(pool.run(CALLER, work, shared));
            assert!(poll(running.as_mut()).is_pending());
            let helper = helpers.recv().unwrap();
            assert!((1..100).all(|_| helpers.recv().unwrap() == helper));
            assert!(!parts.has_more());
            long.done.send(7).unwrap();
            assert_eq!(running.await.unwrap(), 7);
        }
    }

    #[tokio::test]
    async fn a_single_thread_does_its_work_without_help() {
        let pool = HistoryPool::with_threads(1);
        let (helpers, _, shared) = Parts::shared(100, false);
        assert_eq!(pool.run(CALLER, || Some(Ok(1)), shared).await.unwrap(), 1);
        assert!(helpers.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_thread_that_helps_does_the_work_of_others_first_and_stops_when_the_caller_has_gone() {
        let pool = HistoryPool::with_threads(2);
        let (long, work) = directed();
        let (helpers, parts, shared) = Parts::shared(usize::MAX, false);
        let mut running = Box::pin(pool.run(CALLER, work, shared));
        assert!(poll(running.as_mut()).is_pending());
        helpers.recv().unwrap();
        for caller in 2..50 {
            assert_eq!(pool.run(CallerId(caller), move || Some(Ok(caller)), None).await.unwrap(), caller);
        }
        drop(running);
        long.has_gone();
        while Arc::strong_count(&parts) > 1 {
            thread::yield_now();
        }
    }

    #[test]
    fn the_threads_end_with_the_last_handle() {
        let (pool, clone) = (HistoryPool::with_threads(2), HistoryPool::with_threads(2));
        let inner = Arc::downgrade(&pool.pool);
        drop(clone);
        let (begun, work) = directed();
        let mut running = Box::pin(async move { pool.run(CALLER, work, None).await });
        assert!(poll(running.as_mut()).is_pending());
        begun.has_begun();
        drop(running);
        begun.has_gone();
        // The thread that did the work lets go of it before it lets go of the pool.
        while inner.strong_count() > 0 {
            thread::yield_now();
        }
    }

    #[tokio::test]
    async fn the_worker_goes_on_while_work_is_done() {
        let pool = HistoryPool::with_threads(1);
        let (begun, work) = directed();
        let asking = pool.clone();
        let call = tokio::spawn(async move { asking.run(CALLER, work, None).await });
        while begun.steps.try_recv().is_err() {
            yield_now().await;
        }
        assert!(!call.is_finished());
        begun.done.send(3).unwrap();
        assert_eq!(call.await.unwrap().unwrap(), 3);
    }
}
