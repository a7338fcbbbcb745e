//! The body of a request. It is one type for all protocols, so that the code that reads it is there once.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame};

use super::quiet::Quiet;
use crate::grpc::{MAX_REQUEST_BYTES, RequestBody};

pub(super) enum RequestBytes {
    Http2(RecvStream, Quiet),
    /// hyper reads no more of it from the socket than is asked for.
    Http1(hyper::body::Incoming),
    /// A body that is there; `None` once it is read.
    Whole {
        body: Option<Bytes>,
        max_message: usize,
    },
}

impl RequestBytes {
    /// The body of a request of HTTP/2. `quiet` is for polls of it.
    pub(super) fn of_http2(body: RecvStream, quiet: Quiet) -> Self {
        Self::Http2(body, quiet)
    }
}

impl Body for RequestBytes {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        // Trailers of a request mean nothing in gRPC.
        Poll::Ready(match self.get_mut() {
            Self::Http2(body, quiet) => {
                let data = ready!(quiet.poll(cx, |cx| body.poll_data(cx)));
                data.map(|data| data.map(Frame::data).map_err(io::Error::other))
            }
            Self::Http1(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                frame.map(|frame| frame.map_err(io::Error::other))
            }
            Self::Whole { body, .. } => body.take().map(|body| Ok(Frame::data(body))),
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http2(body, _) => body.is_end_stream(),
            Self::Http1(body) => body.is_end_stream(),
            Self::Whole { body, .. } => body.is_none(),
        }
    }
}

impl RequestBody for RequestBytes {
    fn release(&mut self, bytes: usize) {
        if let Self::Http2(body, _) = self {
            // Fails only for more than was received.
            let _ = body.flow_control().release_capacity(bytes);
        }
    }

    fn whole(body: Bytes, max_message: usize) -> Self {
        Self::Whole { body: Some(body), max_message }
    }

    fn max_message(&self) -> usize {
        match self {
            Self::Http2(..) | Self::Http1(_) => MAX_REQUEST_BYTES,
            Self::Whole { max_message, .. } => *max_message,
        }
    }
}
