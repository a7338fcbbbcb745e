//! One HTTP/1.1 connection, which answers one request after the other.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep},
};
use tonic::Status;

use super::{
    activity::Activity,
    log::{Closing, ConnectionEnd, StreamEnd, StreamLog},
    reject,
    request_bytes::RequestBytes,
    timeouts::Timeouts,
};
use crate::{
    grpc::{ConnectionContext, Notice, Reply, Turns},
    web::Web,
};

/// Largest head of a request, and the bytes of a response that may be buffered. Small, because newer ticks wait behind them.
const MAX_BUFFER: usize = 16 * 1024;
/// Timeout for the head of a request, also on a connection that is kept open.
const HEAD: Duration = Duration::from_secs(30);
/// How often a connection is looked at whose client takes nothing.
const BLOCKED_CHECK: Duration = Duration::from_secs(1);

/// Serves a connection of which `opening` was read already. Returns how it ended, and how many requests it had.
pub(super) async fn serve<C>(
    io: C,
    opening: Vec<u8>,
    context: &ConnectionContext,
    web: Web,
    turns: &Turns,
    timeouts: Timeouts,
) -> (ConnectionEnd, u64)
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    turns.ticket(context.turn_share()).turn().await;
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(Io { opening, io, activity: activity.clone() });
    let (requests, cut) = (AtomicU64::new(0), Arc::new(AtomicBool::new(false)));
    let answer = |request: Request<hyper::body::Incoming>| {
        requests.fetch_add(1, Relaxed);
        let rpc = Web::rpc_of(&request);
        let log = RequestLog { log: StreamLog::new(context.open_stream(), rpc, &request), cut: cut.clone() };
        let (web, context, turns) = (web.clone(), context.clone(), turns.clone());
        Box::pin(async move {
            turns.ticket(context.turn_share()).turn().await;
            let response = web.answer(rpc, request.map(RequestBytes::Http1), context).await;
            let end = StreamEnd::of_head(&response);
            let sending =
                response.map(|reply| Sending { reply, rest: Bytes::new(), end, log, is_over: false });
            Ok::<_, Infallible>(sending)
        })
    };
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD.min(timeouts.max_idle))
        .max_buf_size(MAX_BUFFER)
        .serve_connection(io, service_fn(answer));
    // Dropped before the answers are, if the server stops before the connection has ended.
    let mut cutting = Cutting { cut: cut.clone(), has_ended: false };
    let ages_at = timeouts.ages_at(context.accepted());
    let (mut closing, mut blocked) = (None, None);
    let end = loop {
        let pause = if activity.is_blocked() { BLOCKED_CHECK } else { timeouts.stall_timeout / 4 };
        tokio::select! {
            served = &mut http => {
                let end = end_of(served, closing, requests.load(Relaxed));
                reject::close(&mut http.into_parts().io.into_inner()).await;
                break end;
            }
            notice = context.noticed(), if !matches!(closing, Some(Closing::Notice(_))) => {
                if notice == Notice::Evict {
                    break ConnectionEnd::Evicted;
                }
                closing = Some(Closing::Notice(notice));
                Pin::new(&mut http).graceful_shutdown();
            }
            () = sleep(pause) => {
                let now = Instant::now();
                // What hyper holds of an answer or of ticks.
                let is_blocked = activity.is_blocked();
                blocked = is_blocked.then(|| blocked.take().unwrap_or_else(|| context.server().block(MAX_BUFFER)));
                let is_stalled = activity.blocked_since().is_some_and(|since| now >= since + timeouts.stall_timeout);
                if is_stalled || is_blocked && (context.answers().must_give_way() || context.server().is_blocked()) {
                    break ConnectionEnd::Stalled;
                }
                if closing.is_none() && ages_at.is_some_and(|ages_at| now >= ages_at) {
                    closing = Some(Closing::MaxAge);
                    Pin::new(&mut http).graceful_shutdown();
                }
            }
        }
    };
    cutting.has_ended = true;
    (end, requests.load(Relaxed))
}

/// Notes that the answers of a connection are cut, if it is dropped before the connection has ended.
struct Cutting {
    cut: Arc<AtomicBool>,
    has_ended: bool,
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.cut.store(!self.has_ended, Relaxed);
    }
}

/// How a connection ended whose future has ended.
fn end_of(served: hyper::Result<()>, closing: Option<Closing>, requests: u64) -> ConnectionEnd {
    match (served, closing) {
        (_, Some(closing)) => closing.into(),
        (Err(error), None) if error.is_timeout() && requests == 0 => ConnectionEnd::OpeningTimeout,
        (Err(error), None) if error.is_timeout() => ConnectionEnd::IdleTimeout,
        (Err(error), None) if error.is_parse() => ConnectionEnd::Http1(error),
        (_, None) => ConnectionEnd::ClosedByClient,
    }
}

/// The log of a request. Unless the end is known when it is dropped, the client has gone, or the server has cut it.
struct RequestLog {
    log: StreamLog,
    cut: Arc<AtomicBool>,
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        if !self.cut.load(Relaxed) {
            self.log.end.get_or_insert(StreamEnd::ConnectionClosed);
        }
    }
}

/// The body of a response.
struct Sending {
    reply: Reply,
    /// Bytes of the reply that hyper has not taken. It takes a piece at a time, so that the reply counts as unsent until the
    /// last one.
    rest: Bytes,
    /// The status in the head.
    end: Option<StreamEnd>,
    log: RequestLog,
    is_over: bool,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        while this.rest.is_empty() && !this.is_over {
            match ready!(Pin::new(&mut this.reply).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => this.rest = bytes,
                Some(Ok(Err(_))) | None => this.is_over = true,
                Some(Err(status)) => {
                    this.log.log.end = Some(StreamEnd::Failed);
                    return Poll::Ready(Some(Err(status)));
                }
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(MAX_BUFFER));
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.reply.is_end_stream()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.rest.is_empty() && (self.is_over || self.reply.is_end_stream()) {
            let end = self.reply.code().map(StreamEnd::Grpc).or(self.end);
            self.log.log.end.get_or_insert(end.unwrap_or(StreamEnd::Failed));
        }
        if self.log.log.wants_summary() {
            self.log.log.summary = self.reply.summary();
        }
    }
}

/// A connection of which some bytes were read before HTTP/1 began.
struct Io<C> {
    opening: Vec<u8>,
    io: C,
    activity: Arc<Activity>,
}

impl<C: AsyncRead + Unpin> AsyncRead for Io<C> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.opening.is_empty() {
            let length = this.opening.len().min(buf.remaining());
            buf.put_slice(&this.opening[..length]);
            this.opening.drain(..length);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.io).poll_read(cx, buf)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Io<C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write(cx, buf);
        this.activity.note_write(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.activity.note_write(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
