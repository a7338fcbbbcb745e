//! One connection as its streams and calls see it: peer, quotas, unsent answers, and whether it should close.

use std::{
    future::poll_fn,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    CallerId, TurnShare, Turns,
    budget::{Budget, BudgetWaiter},
    status::Failure,
};
use crate::hub::Quota;

/// One connection, as it is known to the server, to its streams and to its calls. Clones are the same connection.
#[derive(Clone)]
pub struct ConnectionContext(Arc<Shared>);

struct Shared {
    id: u64,
    peer: Option<IpAddr>,
    /// When it began; `idle_since` counts from here.
    began: Instant,
    /// Milliseconds, or [`BUSY`].
    idle_since: AtomicU64,
    streams: AtomicUsize,
    /// Streams that have sent a request.
    busy: AtomicUsize,
    subscriptions: Arc<Quota>,
    turn_share: TurnShare,
    /// Bytes of answers that are made and not sent. Those of [`Shared::unsent`] include what is reserved.
    waiting: AtomicUsize,
    /// Bytes of answers that are not sent, of this connection.
    unsent: Arc<Budget>,
    /// When the client last took some of an answer, in milliseconds since the connection began.
    took_answer: AtomicU64,
    stall_timeout: Duration,
    of_server: ServerBudgets,
    notice: AtomicU8,
    task: Mutex<Option<Waker>>,
}

/// What all connections of a server may hold together. Clones are the same.
#[derive(Clone)]
pub struct ServerBudgets {
    /// Bytes of answers that are not sent.
    unsent: Arc<Budget>,
    /// Bytes of ticks that wait for flow control.
    blocked: Arc<Budget>,
}

impl ServerBudgets {
    /// Budgets of this many bytes of answers that are not sent, and of ticks that wait for flow control.
    pub fn new(max_unsent: usize, max_blocked: usize) -> Self {
        Self { unsent: Arc::new(Budget::new(max_unsent)), blocked: Arc::new(Budget::new(max_blocked)) }
    }
}

/// What a connection is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Take no new streams, and close when those that are open have ended.
    Drain = 1,
    /// Close now, to make room for others.
    Evict = 2,
}

const BUSY: u64 = u64::MAX;

impl Shared {
    fn idle_from_now(&self) {
        self.idle_since.store(self.millis(), Relaxed);
    }

    /// Milliseconds since the connection began.
    fn millis(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

impl ConnectionContext {
    /// Bytes of answers that may wait to be sent on a connection before no further answer is made for it.
    pub const MAX_UNSENT: usize = 256 * 1024;

    /// A connection of a peer that has no streams. Its answers count among those of the whole server.
    pub fn new(
        id: u64,
        peer: Option<IpAddr>,
        max_subscriptions: usize,
        stall_timeout: Duration,
        of_server: ServerBudgets,
    ) -> Self {
        Self(Arc::new(Shared {
            id,
            peer,
            began: Instant::now(),
            idle_since: AtomicU64::new(0),
            streams: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            subscriptions: Quota::new(max_subscriptions),
            turn_share: TurnShare::default(),
            waiting: AtomicUsize::new(0),
            unsent: Arc::new(Budget::new(Self::MAX_UNSENT)),
            took_answer: AtomicU64::new(0),
            stall_timeout,
            of_server,
            notice: AtomicU8::new(0),
            task: Mutex::new(None),
        }))
    }

    /// A number that no other connection of this server has had.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The address of the peer; `None` on a network that has none.
    pub fn peer(&self) -> Option<IpAddr> {
        self.0.peer
    }

    /// Counts the subscriptions of its streams.
    pub fn subscriptions(&self) -> Arc<Quota> {
        self.0.subscriptions.clone()
    }

    /// Its share of the turns of its worker.
    pub fn turn_share(&self) -> &TurnShare {
        &self.0.turn_share
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.0.streams.load(Relaxed)
    }

    /// Since when the connection is idle; `None` while a stream has sent a request or a call is being answered.
    pub fn idle_since(&self) -> Option<Instant> {
        match self.0.idle_since.load(Relaxed) {
            BUSY => None,
            millis => Some(self.0.began + Duration::from_millis(millis)),
        }
    }

    /// Counts a stream until the returned guard is dropped.
    pub fn open_stream(&self) -> OpenStream {
        self.0.streams.fetch_add(1, Relaxed);
        OpenStream(self.clone())
    }

    /// Counts a stream that has asked for something until the returned guard is dropped.
    pub fn work(&self) -> BusyStream {
        if self.0.busy.fetch_add(1, Relaxed) == 0 {
            self.0.idle_since.store(BUSY, Relaxed);
        }
        BusyStream(self.clone())
    }

    /// How long an answer may wait for the client to take some of it.
    pub fn stall_timeout(&self) -> Duration {
        self.0.stall_timeout
    }

    /// Notes that the client has taken some of an answer.
    pub fn note_taken(&self) {
        self.0.took_answer.store(self.0.millis(), Relaxed);
    }

    /// Whether answers wait, the stall timeout is over since a call began to wait for them, and the client has taken nothing
    /// of any answer meanwhile.
    fn has_stalled(&self, since_millis: u64) -> bool {
        let waited = Duration::from_millis(self.0.millis().saturating_sub(since_millis));
        self.0.waiting.load(Relaxed) > 0
            && waited >= self.0.stall_timeout
            && self.0.took_answer.load(Relaxed) <= since_millis
    }

    /// Bytes of answers of one stream or call, none so far.
    pub fn unsent(&self) -> Unsent {
        let place = self.0.unsent.place();
        let place_of_all = self.0.of_server.unsent.place();
        Unsent { context: self.clone(), bytes: 0, reserved: 0, place, place_of_all }
    }

    /// Whether answers of this connection that stall have to give way: the server holds as many unsent bytes as it may, and
    /// this connection more than a little of them.
    pub fn must_give_way(&self) -> bool {
        const LITTLE: usize = 64 * 1024;
        self.0.waiting.load(Relaxed) > LITTLE && !self.0.of_server.unsent.has_room()
    }

    /// Counts ticks that wait for flow control, until the returned guard is dropped.
    pub fn block(&self, bytes: usize) -> Blocked {
        let room = self.0.of_server.blocked.clone();
        room.take(bytes);
        Blocked { room, bytes }
    }

    /// Whether the limit of blocked ticks of the server is reached. Then streams that are blocked are reset.
    pub fn is_server_blocked(&self) -> bool {
        !self.0.of_server.blocked.has_room()
    }

    /// Tells the connection's task.
    pub fn notify(&self, notice: Notice) {
        self.0.notice.fetch_max(notice as u8, Relaxed);
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// The notice that the connection got, the strongest if there were several.
    pub fn notice(&self) -> Option<Notice> {
        match self.0.notice.load(Relaxed) {
            0 => None,
            1 => Some(Notice::Drain),
            _ => Some(Notice::Evict),
        }
    }

    /// Sets the task that the next [`Self::notify`] wakes.
    pub fn listen(&self, task: &Waker) {
        *self.0.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
    }
}

/// Bytes of ticks of one stream that wait for flow control.
pub struct Blocked {
    room: Arc<Budget>,
    bytes: usize,
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.room.give_back(self.bytes);
    }
}

/// An open stream of a connection.
pub struct OpenStream(ConnectionContext);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let shared = &*self.0.0;
        if shared.streams.fetch_sub(1, Relaxed) == 1 && shared.busy.load(Relaxed) == 0 {
            shared.idle_from_now();
        }
    }
}

/// A stream of a connection that has asked for something.
pub struct BusyStream(ConnectionContext);

impl Drop for BusyStream {
    fn drop(&mut self) {
        let shared = &*self.0.0;
        if shared.busy.fetch_sub(1, Relaxed) == 1 {
            shared.idle_from_now();
        }
    }
}

/// Bytes of answers of one stream or call that wait to be sent. They count against the connection and the server.
pub struct Unsent {
    context: ConnectionContext,
    bytes: usize,
    /// Bytes of an answer that is yet to be made. They count against the connection alone.
    reserved: usize,
    place: BudgetWaiter,
    place_of_all: BudgetWaiter,
}

impl Unsent {
    /// Sets the number of unsent bytes; what was reserved is given back.
    pub(super) fn set(&mut self, bytes: usize) {
        let (shared, before) = (&*self.context.0, self.bytes);
        shared.waiting.fetch_add(bytes, Relaxed);
        shared.waiting.fetch_sub(before, Relaxed);
        shared.unsent.change(before + std::mem::take(&mut self.reserved), bytes);
        shared.of_server.unsent.change(before, bytes);
        self.bytes = bytes;
    }

    /// How long to wait between two looks whether the client takes its answers. Calls that wait together look at different
    /// times.
    fn look(&self) -> Duration {
        let look = self.context.stall_timeout().min(Duration::from_secs(1));
        look * (128 + (self.place.number() % 128) as u32) / 128
    }

    /// Reserves room for an answer that is yet to be made.
    fn reserve(&mut self, bytes: usize) {
        self.set(0);
        self.context.0.unsent.change(0, bytes);
        self.reserved = bytes;
    }

    /// Waits until another answer may be made, that is until enough earlier answers are sent. A connection without unsent
    /// answers does not wait, even if the server has reached its limit.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.context.0.unsent.used() == 0 {
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

    /// How many there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// One call that is answered once, as its handler knows it. Clones are the same call.
#[derive(Clone)]
pub(super) struct Call {
    caller: CallerId,
    unsent: Arc<Mutex<Unsent>>,
    turns: Turns,
}

impl Call {
    /// Most bytes that are reserved for one answer, so that one large answer does not block all other calls.
    const MOST_RESERVED: usize = ConnectionContext::MAX_UNSENT / 2;
    /// Bytes reserved for an answer until its handler knows the size.
    const USUAL_ANSWER: usize = 64 * 1024;

    /// A call on a connection.
    pub(super) fn new(context: &ConnectionContext, turns: Turns) -> Self {
        Self { caller: CallerId(context.id()), unsent: Arc::new(Mutex::new(context.unsent())), turns }
    }

    /// Who asks.
    pub(super) fn caller(&self) -> CallerId {
        self.caller
    }

    /// Waits until an answer of any size may be made.
    ///
    /// # Errors
    /// The client takes nothing of the answers that wait.
    pub(super) async fn begin(&self) -> Result<(), Failure> {
        self.reserve(Self::USUAL_ANSWER).await
    }

    /// Waits until an answer of about so many bytes may be made, in place of what was reserved before.
    ///
    /// # Errors
    /// The client takes nothing of the answers that wait.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<(), Failure> {
        let (look, context) = {
            let unsent = self.unsent();
            (unsent.look(), unsent.context.clone())
        };
        let since = context.0.millis();
        let room = || {
            poll_fn(|cx| {
                let mut unsent = self.unsent();
                unsent.set(0);
                ready!(unsent.poll_room(cx));
                unsent.reserve(bytes.min(Self::MOST_RESERVED));
                Poll::Ready(())
            })
        };
        loop {
            let has_room = timeout(look, room()).await.is_ok();
            if context.has_stalled(since) {
                // Thousands of calls may wait, and end, at the same time.
                self.turns.ticket(context.turn_share()).turn().await;
                self.set_unsent(0);
                return Err(Failure::Unread);
            }
            if has_room {
                return Ok(());
            }
        }
    }

    /// Says how many bytes of the answer wait to be sent.
    pub(super) fn set_unsent(&self, bytes: usize) {
        self.unsent().set(bytes);
    }

    fn unsent(&self) -> MutexGuard<'_, Unsent> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.set(0);
    }
}
