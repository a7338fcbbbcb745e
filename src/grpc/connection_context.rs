//! What is known of one connection: its peer, what its streams and calls hold, and whether it should close.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Caller, Limit, ServerContext, TurnShare, authentication::Origin, status::Failure, unsent::AnswerBudget,
};
use crate::hub::Quota;

/// One connection. It is made when the connection is accepted, and goes with each of its streams and calls. Clones are the
/// same connection.
#[derive(Clone)]
pub struct ConnectionContext(Arc<Shared>);

struct Shared {
    id: u64,
    peer: Option<SocketAddr>,
    /// The name in the certificate of the client, if it has shown one.
    certificate: OnceLock<String>,
    /// The caller of requests without a token.
    caller: OnceLock<Caller>,
    /// `idle_since` counts from here.
    accepted: Instant,
    /// Milliseconds, or [`BUSY`].
    idle_since: AtomicU64,
    /// Open streams.
    streams: AtomicUsize,
    /// Streams that have sent a request.
    busy: AtomicUsize,
    subscriptions: Arc<Quota>,
    turn_share: TurnShare,
    answers: Arc<AnswerBudget>,
    server: ServerContext,
    notice: AtomicU8,
    task: Mutex<Option<Waker>>,
}

/// What a connection has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Take no new streams, and close when those that are open have ended.
    Drain = 1,
    /// Close now, to make room for others.
    Evict = 2,
}

/// An open stream of a connection.
pub struct OpenStream(ConnectionContext);

/// A stream of a connection that has asked for something.
pub struct BusyStream(ConnectionContext);

const BUSY: u64 = u64::MAX;

impl ConnectionContext {
    /// A connection without streams, accepted now. `peer` is `None` on a network without addresses.
    pub fn new(id: u64, peer: Option<SocketAddr>, server: ServerContext) -> Self {
        Self(Arc::new(Shared {
            id,
            peer,
            certificate: OnceLock::new(),
            caller: OnceLock::new(),
            accepted: Instant::now(),
            idle_since: AtomicU64::new(0),
            streams: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            subscriptions: Quota::new(server.max_subscriptions_per_connection()),
            turn_share: TurnShare::default(),
            answers: AnswerBudget::new(&server),
            server,
            notice: AtomicU8::new(0),
            task: Mutex::new(None),
        }))
    }

    /// A number that no other connection of this server has had.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The address of the peer; `None` on a network without addresses.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.peer
    }

    /// Sets the name in the certificate of the client, once.
    pub fn set_certificate(&self, name: String) {
        let _ = self.0.certificate.set(name);
    }

    /// The name in the certificate of the client, if it has shown one.
    pub fn certificate(&self) -> Option<&str> {
        self.0.certificate.get().map(String::as_str)
    }

    /// The caller of requests without a token.
    pub(super) fn caller_without_token(&self) -> Caller {
        let make = || self.0.server.authentication().without_token(self.origin());
        self.0.caller.get_or_init(make).clone()
    }

    /// Where its requests come from.
    pub(super) fn origin(&self) -> Origin<'_> {
        Origin { peer: self.peer(), certificate: self.certificate() }
    }

    /// When the connection was accepted.
    pub fn accepted(&self) -> Instant {
        self.0.accepted
    }

    /// What all connections of the server share.
    pub fn server(&self) -> &ServerContext {
        &self.0.server
    }

    /// Counts and logs that the client has met a limit.
    pub fn note_limit(&self, limit: Limit) {
        self.0.server.note_limit(limit, self.0.peer);
    }

    /// Counts and logs the limit that a failure is about, if it is about one.
    pub(super) fn note_limit_of(&self, failure: &Failure) {
        if let Some(limit) = failure.limit() {
            self.note_limit(limit);
        }
    }

    /// Counts the subscriptions of its streams.
    pub fn subscriptions(&self) -> Arc<Quota> {
        self.0.subscriptions.clone()
    }

    /// Its share of the turns of its worker.
    pub fn turn_share(&self) -> &TurnShare {
        &self.0.turn_share
    }

    /// Its answers that are made and not sent.
    pub fn answers(&self) -> &Arc<AnswerBudget> {
        &self.0.answers
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.0.streams.load(Relaxed)
    }

    /// Since when the connection is idle; `None` while a stream has sent a request or a call is being answered.
    pub fn idle_since(&self) -> Option<Instant> {
        match self.0.idle_since.load(Relaxed) {
            BUSY => None,
            millis => Some(self.0.accepted + Duration::from_millis(millis)),
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

    /// Waits for a notice.
    pub async fn noticed(&self) -> Notice {
        poll_fn(|cx| {
            self.listen(cx.waker());
            self.notice().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Sets the task that the next [`Self::notify`] wakes.
    pub fn listen(&self, task: &Waker) {
        *self.0.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
    }
}

impl Shared {
    fn idle_from_now(&self) {
        self.idle_since.store(self.accepted.elapsed().as_millis() as u64, Relaxed);
    }
}

impl OpenStream {
    /// The connection of the stream.
    pub fn context(&self) -> &ConnectionContext {
        &self.0
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let shared = &*self.0.0;
        if shared.streams.fetch_sub(1, Relaxed) == 1 && shared.busy.load(Relaxed) == 0 {
            shared.idle_from_now();
        }
    }
}

impl Drop for BusyStream {
    fn drop(&mut self) {
        let shared = &*self.0.0;
        if shared.busy.fetch_sub(1, Relaxed) == 1 {
            shared.idle_from_now();
        }
    }
}
