//! One connection: HTTP/2 with the limits that a service in the open needs.

use std::{net, pin::pin, time::Duration};

use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::grpc::Gate;

/// Streams of one connection. A client that wants more opens another connection.
const MAX_CONCURRENT_STREAMS: u32 = 200;
/// Streams that a client may make the server reset before the connection is closed (CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 1024;
/// Streams that a client may reset before they are accepted (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Bytes of a stream that may wait in front of its newest tick.
const MAX_SEND_BUFFER: usize = 16 * 1024;
const MAX_HEADERS: u32 = 16 * 1024;
/// What a client may send before it is read: requests are small.
const RECEIVE_WINDOW: u32 = 256 * 1024;
/// A connection on which nothing was said for so long is closed.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// Serves a connection of the listener until it closes, if the client says anything on it.
pub(super) async fn serve_tcp(stream: net::TcpStream, gate: Gate, stopping: CancellationToken) {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return debug!(%error, "a connection cannot be served"),
    };
    // hyper waits for the client's preface as long as it takes.
    if !matches!(timeout(FIRST_WORD, stream.readable()).await, Ok(Ok(()))) {
        return debug!("a connection said nothing");
    }
    serve(stream, gate, stopping).await;
}

/// Serves a connection until it closes. Once `stopping` is cancelled it takes no new streams, and closes when those
/// that are open have ended.
pub(super) async fn serve<C>(stream: C, gate: Gate, stopping: CancellationToken)
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: http::Request<Incoming>| gate.clone().answer(request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_header_list_size(MAX_HEADERS)
        .initial_stream_window_size(RECEIVE_WINDOW)
        .initial_connection_window_size(RECEIVE_WINDOW)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended with an error");
    }
}
