//! One HTTP/2 connection, with the limits of an open service.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{PingPong, Reason, server};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tracing::debug;

use super::{
    admission::Admitted,
    frames::{Activity, Frames, HEAD, PREFACE},
    reply,
};
use crate::grpc::{ConnectionContext, Notice, Router, Turns};

/// Timeouts after which a connection is closed.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Time without a stream.
    pub max_idle: Duration,
    /// Time in which the peer takes no byte of what there is to send. A stream whose answer stalls for this time is reset.
    pub stall_timeout: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { max_idle: Duration::from_secs(5 * 60), stall_timeout: Duration::from_secs(30) }
    }
}

/// Largest number of streams of a connection. A client that wants more opens another connection.
const MAX_CONCURRENT_STREAMS: u32 = 200;
/// Number of streams that a client may make the server reset in the life of a connection (MadeYouReset, CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 1024;
/// Number of streams that a client may reset before the server has accepted them (rapid reset, CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Bytes of a stream that h2 may buffer. Small, because a newer tick waits behind them.
const MAX_SEND_BUFFER: usize = 16 * 1024;
const MAX_HEADERS: u32 = 16 * 1024;
/// Flow-control window of a stream and of a connection, in bytes: what a client may send before the server reads it.
const RECEIVE_WINDOW: u32 = 256 * 1024;
/// Budget of h2 for small DATA frames that are not read, at 256 bytes less the payload for each. Streams of ticks take their
/// frames from h2 before more is read from the socket, so only unary calls that wait for a turn use it.
const DATA_FRAME_BUDGET: usize = 1024 * 1024;
/// Timeout for the HTTP/2 preface and SETTINGS.
const OPENING: Duration = Duration::from_secs(5);
/// A peer that has sent nothing for this time gets a PING.
const QUIET: Duration = Duration::from_secs(60);
/// Timeout for the answer to the PING.
const PONG: Duration = Duration::from_secs(20);

/// A connection without streams that was sent GOAWAY is cut after this time, if the peer has not closed it.
const CLOSING: Duration = Duration::from_secs(2);

/// Serves a connection until it closes. Once it is told to drain it takes no new streams, and closes when those that are
/// open have ended.
pub(super) async fn serve<C>(mut io: C, admitted: Admitted, router: Router, turns: Turns, timeouts: Timeouts)
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let context = &admitted.context;
    let opening = tokio::select! {
        opening = timeout(OPENING, opening(&mut io)) => opening,
        () = noticed(context) => return,
    };
    let opening = match opening {
        Ok(Ok(opening)) => opening,
        Ok(Err(error)) => return debug!(%error, "a connection did not begin with HTTP/2"),
        Err(_) => return debug!("closing a connection that sent no preface and SETTINGS in time"),
    };
    // HTTP/2 takes tens of kilobytes, so connections begin one after the other.
    turns.ticket(context.turn_share()).turn().await;
    let frames = Frames::new(io, opening, turns.ticket(context.turn_share()));
    let activity = frames.activity();
    let handshake = server::Builder::new()
        .initial_window_size(RECEIVE_WINDOW)
        .initial_connection_window_size(RECEIVE_WINDOW)
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_local_error_reset_streams(Some(MAX_LOCAL_RESETS))
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .max_header_list_size(MAX_HEADERS)
        .data_frame_budget(DATA_FRAME_BUDGET)
        .handshake::<_, Bytes>(frames);
    let http = match handshake.await {
        Ok(http) => http,
        Err(error) => return debug!(%error, "a connection ended in its handshake"),
    };
    let ended = Connection::new(http, activity, context.clone(), router, turns, timeouts).await;
    if let Err(error) = ended {
        debug!(%error, "a connection ended with an error");
    }
}

/// Reads the preface and the head of the first frame, which is SETTINGS.
async fn opening(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    const SETTINGS: u8 = 4;
    let mut opening = vec![0; PREFACE.len() + HEAD];
    io.read_exact(&mut opening).await?;
    let begins = opening.starts_with(PREFACE) && opening.get(PREFACE.len() + 3) == Some(&SETTINGS);
    begins
        .then_some(opening)
        .ok_or_else(|| io::Error::other("its first bytes are not the preface and SETTINGS"))
}

/// Waits for a notice.
async fn noticed(context: &ConnectionContext) {
    std::future::poll_fn(|cx| {
        context.listen(cx.waker());
        if context.notice().is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// An open connection. The future ends when it is closed.
struct Connection<C> {
    http: server::Connection<Frames<C>, Bytes>,
    activity: Arc<Activity>,
    context: ConnectionContext,
    router: Router,
    turns: Turns,
    timeouts: Timeouts,
    alarm: Pin<Box<Sleep>>,
    ping: Option<PingPong>,
    /// When the PING that is not answered yet was sent.
    pinged: Option<Instant>,
    is_listening: bool,
    /// The notice that it follows already.
    heeded: Option<Notice>,
    /// When it is cut, if it has no streams then and the peer has not closed it.
    cut: Option<Instant>,
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection<C> {
    fn new(
        mut http: server::Connection<Frames<C>, Bytes>,
        activity: Arc<Activity>,
        context: ConnectionContext,
        router: Router,
        turns: Turns,
        timeouts: Timeouts,
    ) -> Self {
        let ping = http.ping_pong();
        let alarm = Box::pin(sleep_until(Instant::now() + QUIET));
        Self {
            http,
            activity,
            context,
            router,
            turns,
            timeouts,
            alarm,
            ping,
            pinged: None,
            is_listening: false,
            heeded: None,
            cut: None,
        }
    }

    /// Clears [`Self::pinged`] when the PING was answered.
    fn take_pong(&mut self, cx: &mut Context<'_>) {
        if self.pinged.is_some()
            && let Some(ping) = &mut self.ping
            && ping.poll_pong(cx).is_ready()
        {
            self.pinged = None;
        }
    }

    fn heed(&mut self, notice: Notice) {
        if self.heeded == Some(notice) {
            return;
        }
        self.heeded = Some(notice);
        self.cut = Some(Instant::now() + CLOSING);
        match notice {
            Notice::Drain => self.http.graceful_shutdown(),
            Notice::Evict => self.http.abrupt_shutdown(Reason::NO_ERROR),
        }
    }

    fn accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            match self.http.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let (router, context, turns) =
                        (self.router.clone(), self.context.clone(), self.turns.clone());
                    tokio::spawn(reply::answer(request, respond, router, context, turns));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether something may have to be done before the alarm that is set. For a connection with streams that is read and
    /// written, nothing is.
    fn may_look_soon(&self) -> bool {
        self.context.streams() == 0 || self.pinged.is_some() || self.activity.is_blocked()
    }

    /// When the next timeout is over.
    fn next_look(&self) -> Instant {
        let quiet = self.pinged.map_or(self.activity.last_read() + QUIET, |pinged| pinged + PONG);
        let idle = self.idle_since().map(|since| since + self.timeouts.max_idle);
        let stalled = self.activity.blocked_since().map(|since| since + self.timeouts.stall_timeout);
        let cut = self.cut.filter(|_| self.context.streams() == 0);
        [idle, stalled, cut].into_iter().flatten().fold(quiet, Instant::min)
    }

    /// Since when it has no streams; `None` while it has some, or is closing anyway.
    fn idle_since(&self) -> Option<Instant> {
        match self.context.streams() == 0 && self.heeded.is_none() {
            true => self.context.idle_since(),
            false => None,
        }
    }

    /// Acts on the timeouts that are over. False when the connection must be cut.
    fn look(&mut self, now: Instant) -> bool {
        let is_over = |since: Option<Instant>, limit| since.is_some_and(|since| now >= since + limit);
        if is_over(self.activity.blocked_since(), self.timeouts.stall_timeout) {
            debug!(peer = ?self.context.peer(), "closing a connection that takes no data");
            return false;
        }
        if self.context.streams() == 0 && self.cut.is_some_and(|cut| now >= cut) {
            return false;
        }
        if is_over(self.pinged, PONG) {
            debug!(peer = ?self.context.peer(), "closing a connection whose peer does not answer a PING");
            return false;
        }
        if self.pinged.is_none() && now >= self.activity.last_read() + QUIET {
            self.pinged = Some(now);
            if let Some(ping) = &mut self.ping {
                // Fails only while the ping before is not answered.
                let _ = ping.send_ping(h2::Ping::opaque());
            }
        }
        if is_over(self.idle_since(), self.timeouts.max_idle) {
            self.heed(Notice::Drain);
        }
        true
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> Future for Connection<C> {
    type Output = Result<(), h2::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.is_listening, true) {
            this.context.listen(cx.waker());
        }
        if let Some(notice) = this.context.notice() {
            this.heed(notice);
        }
        loop {
            if let Poll::Ready(ended) = this.accept(cx) {
                return Poll::Ready(ended);
            }
            this.take_pong(cx);
            if this.may_look_soon() {
                let next_look = this.next_look();
                if next_look < this.alarm.deadline() {
                    this.alarm.as_mut().reset(next_look);
                }
            }
            if this.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if !this.look(now) {
                return Poll::Ready(Ok(()));
            }
            // At least 1 ms later, so that this loop ends.
            let next_look = this.next_look().max(now + Duration::from_millis(1));
            this.alarm.as_mut().reset(next_look);
        }
    }
}
