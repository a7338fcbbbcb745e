//! One HTTP/2 connection, with the limits of an open service.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{PingPong, Reason, server};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    frames::Frames,
    lane::Lane,
    log::{Closing, ConnectionEnd},
    quiet::Quiet,
    reply,
    timeouts::Timeouts,
};
use crate::{
    grpc::{ConnectionContext, Notice, Turns},
    web::Web,
};

/// Largest number of streams of a connection. A client that wants more opens another connection.
const MAX_CONCURRENT_STREAMS: u32 = 200;
/// Number of streams that a client may make the server reset in the life of a connection (MadeYouReset, CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 1024;
/// Number of streams that a client may reset before the server has accepted them (rapid reset, CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
const MAX_HEADERS: u32 = 16 * 1024;
/// Flow-control window of a stream and of a connection, in bytes: what a client may send before the server reads it.
const RECEIVE_WINDOW: u32 = 256 * 1024;
/// Budget of h2 for small DATA frames that are not read, at 256 bytes less the payload for each. Streams of ticks take their
/// frames from h2 before more is read from the socket, so only unary calls that wait for a turn use it.
const DATA_FRAME_BUDGET: usize = 1024 * 1024;
/// A peer that has sent nothing for this time gets a PING.
const QUIET: Duration = Duration::from_secs(60);
/// Timeout for the answer to the PING.
const PONG: Duration = Duration::from_secs(20);

/// A connection without streams that was sent GOAWAY is cut after this time, if the peer has not closed it.
const CLOSING: Duration = Duration::from_secs(1);

/// Serves a connection of HTTP/2, which begins with `opening`. Returns how it ended, and how many streams it had.
pub(super) async fn serve<C>(
    io: C,
    opening: Vec<u8>,
    context: &ConnectionContext,
    web: Web,
    turns: Turns,
    timeouts: Timeouts,
) -> (ConnectionEnd, u64)
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // On the heap, so that the handshake takes no memory once the connection is open.
    let opened = Box::pin(async {
        // HTTP/2 takes tens of kilobytes, so connections begin one after the other.
        turns.ticket(context.turn_share()).turn().await;
        let lane = Lane::new(io, MAX_CONCURRENT_STREAMS as usize);
        let frames = Frames::new(lane.clone(), &opening, turns.ticket(context.turn_share()));
        let handshake = server::Builder::new()
            .initial_window_size(RECEIVE_WINDOW)
            .initial_connection_window_size(RECEIVE_WINDOW)
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .max_local_error_reset_streams(Some(MAX_LOCAL_RESETS))
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_header_list_size(MAX_HEADERS)
            .data_frame_budget(DATA_FRAME_BUDGET)
            .handshake::<_, Bytes>(frames);
        let http = handshake.await?;
        Ok::<_, h2::Error>(Box::new(Connection::new(http, lane, context.clone(), web, turns, timeouts)))
    });
    match opened.await {
        Ok(mut connection) => {
            let end = (&mut connection).await;
            (end, connection.accepted)
        }
        Err(error) => (error.into(), 0),
    }
}

/// An open connection. The future ends when it is closed.
struct Connection<C> {
    http: server::Connection<Frames<C>, Bytes>,
    /// Polls of `http`.
    quiet: Quiet,
    lane: Lane<C>,
    context: ConnectionContext,
    web: Web,
    turns: Turns,
    timeouts: Timeouts,
    /// When it reaches its maximum age.
    ages_at: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
    ping: Option<PingPong>,
    /// When the PING was sent that is not answered yet.
    pinged: Option<Instant>,
    is_listening: bool,
    /// How many streams the client has opened.
    accepted: u64,
    /// Why it was sent GOAWAY, and when.
    closing: Option<(Closing, Instant)>,
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection<C> {
    fn new(
        mut http: server::Connection<Frames<C>, Bytes>,
        lane: Lane<C>,
        context: ConnectionContext,
        web: Web,
        turns: Turns,
        timeouts: Timeouts,
    ) -> Self {
        let ping = http.ping_pong();
        let ages_at = timeouts.ages_at(context.accepted());
        let now = Instant::now();
        let alarm = Box::pin(sleep_until(ages_at.unwrap_or(now + QUIET).min(now + QUIET)));
        Self {
            http,
            quiet: Quiet::new(),
            lane,
            context,
            web,
            turns,
            timeouts,
            ages_at,
            alarm,
            ping,
            pinged: None,
            is_listening: false,
            accepted: 0,
            closing: None,
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

    /// Sends GOAWAY, once for each connection. Only an eviction follows another reason to close.
    fn begin_to_close(&mut self, closing: Closing) {
        let evicts = closing == Closing::Notice(Notice::Evict);
        if self.closing.is_some_and(|(before, _)| before == closing || !evicts) {
            return;
        }
        self.closing = Some((closing, Instant::now()));
        match evicts {
            false => self.http.graceful_shutdown(),
            true => self.http.abrupt_shutdown(Reason::NO_ERROR),
        }
        self.quiet.note_woken();
    }

    /// Accepts streams until the connection has ended.
    fn accept(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionEnd> {
        loop {
            match self.quiet.poll(cx, |cx| self.http.poll_accept(cx)) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.accepted += 1;
                    let (lane, web) = (self.lane.clone(), self.web.clone());
                    let (context, turns) = (self.context.clone(), self.turns.clone());
                    tokio::spawn(reply::answer(request, respond, lane, web, context, turns));
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(
                        self.closing.map_or_else(|| error.into(), |(closing, _)| closing.into()),
                    );
                }
                Poll::Ready(None) => return Poll::Ready(self.closed()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// How a connection ended that was closed in order.
    fn closed(&self) -> ConnectionEnd {
        self.closing.map_or(ConnectionEnd::ClosedByClient, |(closing, _)| closing.into())
    }

    /// Whether a timeout may end before the alarm that is set. None does while streams are open and bytes are read and
    /// written.
    fn may_time_out_soon(&self) -> bool {
        self.context.streams() == 0 || self.pinged.is_some() || self.lane.activity().is_blocked()
    }

    /// When the next timeout may be over.
    fn next_timeout(&self) -> Instant {
        let quiet = self.pinged.map_or(self.lane.activity().last_read() + QUIET, |pinged| pinged + PONG);
        let idle = self.idle_since().map(|since| since + self.timeouts.max_idle);
        let stalled = self.lane.activity().blocked_since().map(|since| since + self.timeouts.stall_timeout);
        let age = self.ages_at.filter(|_| self.closing.is_none());
        [idle, stalled, self.cut_at(), age].into_iter().flatten().fold(quiet, Instant::min)
    }

    /// Since when it has no streams; `None` while it has some, or is closing anyway.
    fn idle_since(&self) -> Option<Instant> {
        match self.context.streams() == 0 && self.closing.is_none() {
            true => self.context.idle_since(),
            false => None,
        }
    }

    /// When it is cut, because it was sent GOAWAY and has no streams, if the peer has not closed it by then.
    fn cut_at(&self) -> Option<Instant> {
        let (_, since) = self.closing.filter(|_| self.context.streams() == 0)?;
        Some(self.context.idle_since().map_or(since, |idle| idle.max(since)) + CLOSING)
    }

    /// Acts on the timeouts that are over.
    ///
    /// # Errors
    /// The connection must be cut.
    fn check_timeouts(&mut self, now: Instant) -> Result<(), ConnectionEnd> {
        let is_over = |since: Option<Instant>, limit| since.is_some_and(|since| now >= since + limit);
        if is_over(self.lane.activity().blocked_since(), self.timeouts.stall_timeout) {
            return Err(ConnectionEnd::Stalled);
        }
        if is_over(self.cut_at(), Duration::ZERO) {
            return Err(self.closed());
        }
        if is_over(self.pinged, PONG) {
            return Err(ConnectionEnd::PingTimeout);
        }
        if self.pinged.is_none() && now >= self.lane.activity().last_read() + QUIET {
            self.pinged = Some(now);
            if let Some(ping) = &mut self.ping {
                // Fails only while the ping before is not answered.
                let _ = ping.send_ping(h2::Ping::opaque());
            }
        }
        if is_over(self.idle_since(), self.timeouts.max_idle) {
            self.begin_to_close(Closing::IdleTimeout);
        }
        if is_over(self.ages_at, Duration::ZERO) {
            self.begin_to_close(Closing::MaxAge);
        }
        Ok(())
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> Future for Connection<C> {
    type Output = ConnectionEnd;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.is_listening, true) {
            this.context.listen(cx.waker());
            this.lane.set_flusher(cx.waker());
        }
        if let Some(notice) = this.context.notice() {
            this.begin_to_close(Closing::Notice(notice));
        }
        loop {
            if let Poll::Ready(end) = this.accept(cx) {
                return Poll::Ready(end);
            }
            if let Poll::Ready(Err(_)) = this.lane.poll_flush(cx) {
                // It finds the error as well, and ends.
                this.quiet.note_woken();
                if let Poll::Ready(end) = this.accept(cx) {
                    return Poll::Ready(end);
                }
            }
            this.take_pong(cx);
            if this.may_time_out_soon() {
                let next_timeout = this.next_timeout();
                if next_timeout < this.alarm.deadline() {
                    this.alarm.as_mut().reset(next_timeout);
                }
            }
            if this.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if let Err(end) = this.check_timeouts(now) {
                return Poll::Ready(end);
            }
            // At least 1 ms later, so that this loop ends.
            let next_timeout = this.next_timeout().max(now + Duration::from_millis(1));
            this.alarm.as_mut().reset(next_timeout);
        }
    }
}
