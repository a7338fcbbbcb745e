//! One stream of a connection: answers its request, and sends the answer as flow control allows.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{Request, Response};
use http_body::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep},
};

use super::{
    lane::{HEAD, Lane},
    log::{StreamEnd, StreamLog},
    quiet::Quiet,
    request_bytes::RequestBytes,
};
use crate::{
    grpc::{ConnectionContext, Held, Limit, Part, Reply, Ticket, Turns},
    web::{Answering, Web},
};

/// Answers a request. Ends when the answer is sent, and early when the client resets the stream, closes the connection or
/// takes nothing of an answer for the stall timeout.
///
/// The future keeps nothing of the request, since it lives as long as the stream.
pub(super) fn answer<C>(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    lane: Lane<C>,
    web: Web,
    context: ConnectionContext,
    turns: Turns,
) -> impl Future<Output = ()> + Send
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let rpc = Web::rpc_of(&request);
    let log = StreamLog::new(context.open_stream(), rpc, &request);
    let quiet = Quiet::new();
    let request = request.map(|body| RequestBytes::of_http2(body, quiet.beside()));
    let answering = web.answer(rpc, request, context.clone());
    send(answering, respond, quiet, lane, context, turns, log)
}

async fn send<C>(
    mut answering: Answering,
    mut respond: SendResponse<Bytes>,
    quiet: Quiet,
    lane: Lane<C>,
    context: ConnectionContext,
    turns: Turns,
    mut log: StreamLog,
) where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let answered = poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Ok(response)),
        Poll::Pending => respond.poll_reset(cx).map(|reset| Err(StreamEnd::of_reset(&reset))),
    });
    let answered = answered.await;
    drop(answering);
    match answered {
        Ok(response) => {
            if let Some(sending) = Sending::begin(response, respond, quiet, lane, context, turns, log) {
                sending.await;
            }
        }
        Err(end) => log.end = Some(end),
    }
}

thread_local! {
    /// The frame of ticks that is being made. Most are written at once, so the streams of a thread share the memory.
    static FRAME: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The body of a response on its way to the client.
struct Sending<C> {
    stream: SendStream<Bytes>,
    /// Its number. To ask `h2` for it takes a lock.
    id: u32,
    /// Polls of `stream` for a reset.
    quiet: Quiet,
    lane: Lane<C>,
    body: Reply,
    /// The status in the head of the response.
    end: Option<StreamEnd>,
    /// Bytes of the body that wait for flow control.
    data: Bytes,
    stall: Option<Stall>,
    context: ConnectionContext,
    turns: Turns,
    log: StreamLog,
}

/// An answer that waits for flow control.
struct Stall {
    since: Instant,
    /// Bytes sent since then.
    sent: usize,
    next_check: Pin<Box<Sleep>>,
    /// Waits for a turn to reset the stream: thousands of streams may stall at the same time.
    ticket: Option<Ticket>,
    /// Counts ticks that wait. (Answers are counted from when they were made.)
    _blocked: Option<Held>,
}

impl Stall {
    /// Fewer bytes than this do not count as progress.
    const PROGRESS: usize = 1024;
    const CHECK_INTERVAL: Duration = Duration::from_secs(1);

    /// The checks of streams that stall together are spread over time.
    fn new(stream: u32, check_interval: Duration, blocked: Option<Held>) -> Self {
        let spread = check_interval * (stream / 2 % 128) / 128;
        let next_check = Box::pin(sleep(check_interval + spread));
        Self { since: Instant::now(), sent: 0, next_check, ticket: None, _blocked: blocked }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Sending<C> {
    /// Sends the head of a response. `None` if there is no more to send.
    fn begin(
        response: Response<Reply>,
        mut respond: SendResponse<Bytes>,
        quiet: Quiet,
        lane: Lane<C>,
        context: ConnectionContext,
        turns: Turns,
        mut log: StreamLog,
    ) -> Option<Self> {
        let end = StreamEnd::of_head(&response);
        let (parts, body) = response.into_parts();
        let is_over = body.is_end_stream();
        match respond.send_response(Response::from_parts(parts, ()), is_over) {
            Ok(_) if is_over => log.end = end.or(Some(StreamEnd::Failed)),
            Ok(stream) => {
                return Some(Self {
                    id: stream.stream_id().into(),
                    stream,
                    quiet,
                    lane,
                    body,
                    end,
                    data: Bytes::new(),
                    stall: None,
                    context,
                    turns,
                    log,
                });
            }
            // The stream was reset, or the connection is gone.
            Err(error) if error.is_io() => log.end = Some(StreamEnd::ConnectionClosed),
            Err(_) => log.end = Some(StreamEnd::ResetByClient),
        }
        None
    }

    /// Waits until the data is handed to the connection. Ready with false when nothing can be sent any more.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while !self.data.is_empty() {
            match self.lane.poll_send(cx, self.id, &self.data) {
                Poll::Ready(Some(sent)) => {
                    self.data.advance(sent);
                    self.note_sent(sent);
                }
                Poll::Ready(None) => return Poll::Ready(false),
                Poll::Pending => return self.poll_stall(cx),
            }
        }
        Poll::Ready(true)
    }

    fn note_sent(&mut self, sent: usize) {
        if let Some(stall) = &mut self.stall {
            stall.sent += sent;
            if stall.sent < Stall::PROGRESS && !self.data.is_empty() {
                return;
            }
            self.stall = None;
            self.note_taken();
        } else if self.data.is_empty() {
            self.note_taken();
        }
    }

    /// Makes the next part of the body. What of it cannot be sent now is kept in [`Self::data`].
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        if let Reply::Ticks(ticks) = &mut self.body {
            let mut frame = FRAME.take();
            frame.clear();
            frame.resize(HEAD, 0);
            let part = ticks.poll_part(cx, &mut frame);
            if let Poll::Ready(Part::Data { .. }) = part {
                self.send_frame(cx, &mut frame);
            }
            FRAME.set(frame);
            return part;
        }
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.data = data;
                    Part::Data { has_more: true }
                }
                Err(frame) => frame.into_trailers().map_or(Part::Failed, Part::Trailers),
            },
            Some(Err(_)) => Part::Failed,
            None => Part::End,
        })
    }

    /// Sends ticks, which follow [`HEAD`] bytes without a meaning.
    fn send_frame(&mut self, cx: &Context<'_>, frame: &mut [u8]) {
        let sent = match self.lane.poll_send_now(cx, self.id, frame) {
            Poll::Ready(Some(sent)) => sent,
            Poll::Ready(None) | Poll::Pending => 0,
        };
        self.data = Bytes::copy_from_slice(&frame[HEAD + sent..]);
    }

    fn note_taken(&self) {
        if self.body.is_answer() {
            self.context.answers().note_taken();
        }
    }

    /// Waits for flow control. Ready when an answer has waited for the stall timeout; ticks wait without a limit, unless the
    /// server has too many of them that wait.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.body.read_requests(cx) {
            if self.body.is_translated() {
                // What is left of it needs flow control.
                self.stream.send_reset(Reason::CANCEL);
                self.log.end = Some(StreamEnd::Blocked);
                return Poll::Ready(false);
            }
            // Only trailers are left to send, which need no flow control.
            self.data = Bytes::new();
            return Poll::Ready(true);
        }
        let (has_answers, timeout) = (self.body.has_answers(), self.context.answers().stall_timeout());
        let check_interval = timeout.min(Stall::CHECK_INTERVAL);
        let stall = self.stall.get_or_insert_with(|| {
            let blocked = (!has_answers).then(|| self.context.server().block(self.data.len()));
            Stall::new(self.id, check_interval, blocked)
        });
        loop {
            if let Some(ticket) = &mut stall.ticket {
                ready!(ticket.poll_turn(cx));
                self.stream.send_reset(Reason::ENHANCE_YOUR_CALM);
                let (end, limit) = match has_answers {
                    true => (StreamEnd::Stalled, Limit::UnreadAnswers),
                    false => (StreamEnd::Blocked, Limit::BlockedTicks),
                };
                self.context.note_limit(limit);
                self.log.end = Some(end);
                return Poll::Ready(false);
            }
            ready!(stall.next_check.as_mut().poll(cx));
            let is_over = match has_answers {
                // A connection that has to give way does not have the whole timeout.
                true => stall.since.elapsed() >= timeout || self.context.answers().must_give_way(),
                false => self.context.server().is_blocked(),
            };
            if is_over {
                stall.ticket = Some(self.turns.ticket(self.context.turn_share()));
                continue;
            }
            let left = timeout.saturating_sub(stall.since.elapsed());
            let next = if has_answers { left.min(check_interval) } else { Stall::CHECK_INTERVAL * 4 };
            stall.next_check.as_mut().reset(Instant::now() + next);
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Future for Sending<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Poll::Ready(reset) = this.quiet.poll(cx, |cx| this.stream.poll_reset(cx)) {
            this.log.end = Some(StreamEnd::of_reset(&reset));
            return Poll::Ready(());
        }
        loop {
            if !this.data.is_empty() && !ready!(this.poll_data(cx)) {
                if this.log.end.is_none() {
                    this.log.end = Some(match this.stream.poll_reset(cx) {
                        Poll::Ready(reset) => StreamEnd::of_reset(&reset),
                        Poll::Pending => StreamEnd::ConnectionClosed,
                    });
                    this.stream.send_reset(Reason::INTERNAL_ERROR);
                }
                return Poll::Ready(());
            }
            let end = match ready!(this.poll_part(cx)) {
                Part::Data { has_more } if has_more || !this.data.is_empty() => continue,
                Part::Data { .. } => return Poll::Pending,
                Part::Trailers(trailers) => {
                    let end = StreamEnd::of_status(&trailers);
                    // Fails only when there is nobody to send them to.
                    let _ = this.stream.send_trailers(trailers);
                    end
                }
                Part::End => {
                    let _ = this.stream.send_data(Bytes::new(), true);
                    this.body.code().map(StreamEnd::Grpc).or(this.end)
                }
                Part::Failed => {
                    this.stream.send_reset(Reason::INTERNAL_ERROR);
                    None
                }
            };
            this.log.end = end.or(Some(StreamEnd::Failed));
            return Poll::Ready(());
        }
    }
}

impl<C> Drop for Sending<C> {
    fn drop(&mut self) {
        if self.log.wants_summary() {
            self.log.summary = self.body.summary();
        }
    }
}
