//! What is logged, at the level `debug`, and counted about a connection and about a stream when they end.

use std::{fmt, io};

use http::{HeaderMap, Request, Response, StatusCode};
use tokio::time::Instant;
use tracing::{Level, debug, enabled};

#[cfg(feature = "otel")]
use super::trace::Trace;
use crate::{
    contract::RpcCode,
    grpc::{ConnectionContext, Limit, Notice, OpenStream, Rpc, StreamSummary, code_in},
};

/// Logs and counts the end of a connection when it is dropped.
pub(super) struct ConnectionLog {
    context: ConnectionContext,
    /// How many streams the client has opened.
    pub(super) streams: u64,
    /// `None` when the server stopped before the connection had ended.
    pub(super) end: Option<ConnectionEnd>,
}

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum ConnectionEnd {
    ClosedByClient,
    /// The server stopped, and the streams of the connection have ended.
    Drained,
    IdleTimeout,
    MaxAge,
    /// It was idle, and made room for another connection.
    Evicted,
    /// The client took no data for the stall timeout.
    Stalled,
    /// The client did not answer a PING.
    PingTimeout,
    /// The client did not begin HTTP in time.
    OpeningTimeout,
    /// The client began a TLS handshake, and the port is without TLS.
    Tls,
    /// The TLS handshake failed.
    Handshake(io::Error),
    /// The client did not begin a TLS handshake, and the port is with TLS.
    Plaintext,
    /// The certificate of the client has neither a SPIFFE ID nor a DNS name.
    NamelessCertificate,
    /// The client speaks something else.
    NotHttp,
    Http2(h2::Error),
    Http1(hyper::Error),
    Io(io::Error),
}

/// Why a connection takes no new requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    IdleTimeout,
    MaxAge,
    Notice(Notice),
}

/// Logs and counts the end of a stream when it is dropped.
pub(super) struct StreamLog {
    open: OpenStream,
    rpc: Rpc,
    /// `None` unless the end is logged.
    path: Option<Box<str>>,
    began: Instant,
    #[cfg(feature = "otel")]
    trace: Option<Trace>,
    /// `None` when the server stopped before the stream had ended.
    pub(super) end: Option<StreamEnd>,
    /// What a stream of ticks has sent; `None` for other calls.
    pub(super) summary: Option<StreamSummary>,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// The server sent this status.
    Grpc(RpcCode),
    /// The request was of HTTP and not of gRPC, and the server sent this status.
    Http(StatusCode),
    ResetByClient,
    ConnectionClosed,
    /// The client did not read its answers in time.
    Stalled,
    /// The client did not read its ticks, and the server held too many of them.
    Blocked,
    Failed,
}

/// The reason in the log and in the metrics when the server stopped before a connection or stream had ended.
pub(super) const CUT: &str = "cut";

impl ConnectionLog {
    pub(super) fn new(context: ConnectionContext) -> Self {
        Self { context, streams: 0, end: None }
    }

    /// The log of a connection that ended before it had begun.
    pub(super) fn of_end(context: ConnectionContext, end: ConnectionEnd) -> Self {
        Self { context, streams: 0, end: Some(end) }
    }
}

impl ConnectionEnd {
    /// The names of all reasons.
    pub(super) const NAMES: [&str; 16] = [
        "closed_by_client",
        CUT,
        "drained",
        "evicted",
        "idle_timeout",
        "io_error",
        "max_age",
        "nameless_certificate",
        "not_http",
        "opening_timeout",
        "ping_timeout",
        "plaintext",
        "protocol_error",
        "stalled",
        "tls",
        "tls_handshake",
    ];

    /// The reason in the log and in the metrics. Names are stable.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::ClosedByClient => "closed_by_client",
            Self::Drained => "drained",
            Self::IdleTimeout => "idle_timeout",
            Self::MaxAge => "max_age",
            Self::Evicted => "evicted",
            Self::Stalled => "stalled",
            Self::PingTimeout => "ping_timeout",
            Self::OpeningTimeout => "opening_timeout",
            Self::Tls => "tls",
            Self::Handshake(_) => "tls_handshake",
            Self::Plaintext => "plaintext",
            Self::NamelessCertificate => "nameless_certificate",
            Self::NotHttp => "not_http",
            Self::Http2(_) | Self::Http1(_) => "protocol_error",
            Self::Io(_) => "io_error",
        }
    }

    fn error(&self) -> Option<&dyn fmt::Display> {
        match self {
            Self::Http2(error) => Some(error),
            Self::Http1(error) => Some(error),
            Self::Io(error) | Self::Handshake(error) => Some(error),
            _ => None,
        }
    }

    /// The end of a connection whose TLS handshake failed.
    pub(super) fn of_handshake(error: io::Error) -> Self {
        match Self::from(error) {
            Self::Io(error) => Self::Handshake(error),
            end => end,
        }
    }

    /// The limit that the connection has met.
    fn limit(&self) -> Option<Limit> {
        match self {
            Self::Stalled => Some(Limit::StalledConnections),
            Self::Http2(error)
                if !error.is_remote() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) =>
            {
                Some(Limit::Http2)
            }
            _ => None,
        }
    }
}

impl From<Notice> for ConnectionEnd {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Drain => Self::Drained,
            Notice::Evict => Self::Evicted,
        }
    }
}

impl From<Closing> for ConnectionEnd {
    fn from(closing: Closing) -> Self {
        match closing {
            Closing::IdleTimeout => Self::IdleTimeout,
            Closing::MaxAge => Self::MaxAge,
            Closing::Notice(notice) => notice.into(),
        }
    }
}

impl From<io::Error> for ConnectionEnd {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match error.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => Self::ClosedByClient,
            _ => Self::Io(error),
        }
    }
}

impl From<h2::Error> for ConnectionEnd {
    fn from(error: h2::Error) -> Self {
        match error.is_io() {
            true => error.into_io().map_or(Self::ClosedByClient, Self::from),
            false if error.is_remote() => Self::ClosedByClient,
            false => Self::Http2(error),
        }
    }
}

impl Drop for ConnectionLog {
    fn drop(&mut self) {
        let Self { context, streams, end } = self;
        if let Some(limit) = end.as_ref().and_then(ConnectionEnd::limit) {
            context.note_limit(limit);
        }
        debug!(
            peer = context.peer().map(display),
            certificate = context.certificate(),
            duration_ms = context.accepted().elapsed().as_millis() as u64,
            streams,
            reason = end.as_ref().map_or(CUT, ConnectionEnd::name),
            error = end.as_ref().and_then(ConnectionEnd::error).map(display),
            "connection ended"
        );
    }
}

impl StreamLog {
    /// Longest path in the log, in bytes. Those of our RPCs are shorter.
    const LONGEST_PATH: usize = 100;

    /// The log of a stream that begins with a request for `rpc`.
    pub(super) fn new<B>(open: OpenStream, rpc: Rpc, request: &Request<B>) -> Self {
        let path = request.uri().path();
        open.context().server().rpcs().begin(rpc);
        let path = enabled!(Level::DEBUG).then(|| {
            let end = path.floor_char_boundary(Self::LONGEST_PATH);
            path.get(..end).unwrap_or_default().into()
        });
        Self {
            open,
            rpc,
            path,
            began: Instant::now(),
            #[cfg(feature = "otel")]
            trace: Trace::begin(rpc, request.headers()),
            end: None,
            summary: None,
        }
    }

    /// Whether the summary is of use.
    pub(super) fn wants_summary(&self) -> bool {
        self.path.is_some() || cfg!(feature = "otel")
    }
}

impl StreamEnd {
    /// The status in the head of a response or in its trailers; `None` when it is yet to come.
    pub(super) fn of_status(headers: &HeaderMap) -> Option<Self> {
        code_in(headers).map(Self::Grpc)
    }

    /// The status in the head of a response, if it has one: of gRPC, or of HTTP.
    pub(super) fn of_head<B>(response: &Response<B>) -> Option<Self> {
        let code = response.extensions().get::<RpcCode>().copied();
        match response.status() {
            StatusCode::OK => code.map(Self::Grpc).or_else(|| Self::of_status(response.headers())),
            status => code.map(Self::Grpc).or(Some(Self::Http(status))),
        }
    }

    /// The status that the client has of it, or would have if it were still there.
    fn code(self) -> RpcCode {
        match self {
            Self::Grpc(code) => code,
            Self::Http(_) => RpcCode::Unknown,
            Self::ResetByClient | Self::ConnectionClosed => RpcCode::Cancelled,
            Self::Stalled | Self::Blocked => RpcCode::ResourceExhausted,
            Self::Failed => RpcCode::Internal,
        }
    }

    /// The result of [`h2::SendStream::poll_reset`].
    pub(super) fn of_reset(reset: &Result<h2::Reason, h2::Error>) -> Self {
        match reset {
            Ok(_) => Self::ResetByClient,
            Err(_) => Self::ConnectionClosed,
        }
    }
}

impl fmt::Display for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grpc(code) => code.fmt(f),
            Self::Http(status) => write!(f, "http_{}", status.as_str()),
            Self::ResetByClient => f.write_str("reset_by_client"),
            Self::ConnectionClosed => f.write_str("connection_closed"),
            Self::Stalled => f.write_str("stalled"),
            Self::Blocked => f.write_str("blocked"),
            Self::Failed => f.write_str("failed"),
        }
    }
}

impl Drop for StreamLog {
    fn drop(&mut self) {
        #[cfg(feature = "otel")]
        let trace = self.trace.take();
        let context = self.open.context();
        let code = match self.end {
            Some(end) => end.code(),
            None => {
                context.server().count_cut_stream();
                RpcCode::Unavailable
            }
        };
        context.server().rpcs().end(self.rpc, code, self.began.elapsed());
        let reason = || self.end.map_or(CUT.to_owned(), |end| end.to_string());
        #[cfg(feature = "otel")]
        if let Some(trace) = trace {
            trace.end(context, code, reason(), self.summary.as_ref());
        }
        let Some(path) = &self.path else { return };
        let summary = self.summary.as_ref();
        debug!(
            peer = context.peer().map(display),
            caller = summary.and_then(|summary| summary.caller.as_deref()),
            rpc = path.trim_start_matches('/'),
            symbols = summary.map(|summary| summary.symbols),
            ticks = summary.map(|summary| summary.ticks),
            conflated = summary.map(|summary| summary.conflated),
            gaps = summary.map(|summary| summary.gaps),
            duration_ms = self.began.elapsed().as_millis() as u64,
            reason = reason(),
            "stream ended"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_every_end_is_in_the_list() {
        let io = || io::Error::other("no");
        let ends = [
            ConnectionEnd::ClosedByClient,
            ConnectionEnd::Drained,
            ConnectionEnd::IdleTimeout,
            ConnectionEnd::MaxAge,
            ConnectionEnd::Evicted,
            ConnectionEnd::Stalled,
            ConnectionEnd::PingTimeout,
            ConnectionEnd::OpeningTimeout,
            ConnectionEnd::Tls,
            ConnectionEnd::Handshake(io()),
            ConnectionEnd::Plaintext,
            ConnectionEnd::NamelessCertificate,
            ConnectionEnd::NotHttp,
            ConnectionEnd::Http2(h2::Reason::PROTOCOL_ERROR.into()),
            ConnectionEnd::Io(io()),
        ];
        assert!(ends.iter().all(|end| ConnectionEnd::NAMES.contains(&end.name())));
        assert_eq!(ends.len() + 1, ConnectionEnd::NAMES.len());
    }
}
