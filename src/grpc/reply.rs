//! The body of a response, as the connection sends it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tonic::{Status, body::Body as TonicBody};

use super::{BusyStream, unsent::UnsentAnswer};

/// A stream of ticks: a response body that also reads requests.
pub trait Ticks: Body<Data = Bytes, Error = Status> + Send + Unpin {
    /// Takes the requests that have arrived from the transport, while the transport has no room to send anything. True when
    /// the deadline of the call is over or its token has expired, so that nothing but trailers is to be sent.
    fn read_requests(&mut self, cx: &mut Context<'_>) -> bool;

    /// Whether answers to requests wait to be sent.
    fn has_answers(&self) -> bool;

    /// What is subscribed and what was sent so far.
    fn summary(&self) -> StreamSummary;
}

/// What a stream of ticks came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// Who opened it, if it has shown who it is.
    pub caller: Option<String>,
    /// Number of symbols that are subscribed or replayed.
    pub symbols: usize,
    /// Number of ticks that were sent.
    pub ticks: u64,
    /// Number of ticks that were left out, and that a tick which was sent stands for.
    pub conflated: u64,
    /// Number of gaps that were sent.
    pub gaps: u64,
}

/// The body of a response.
pub enum Reply {
    /// A stream of ticks, which is made as it is sent.
    Ticks(Box<dyn Ticks>),
    /// An answer that is made before it is sent.
    Answer(Answer),
}

/// An answer that is made before it is sent.
pub struct Answer {
    body: TonicBody,
    unsent: UnsentAnswer,
    /// Whether a part of it was handed out. It is sent when the next one is asked for.
    is_begun: bool,
    /// Marks the connection as busy until it is sent.
    _busy: BusyStream,
}

impl Reply {
    /// The answer of a call.
    pub(super) fn answer(body: TonicBody, unsent: UnsentAnswer, busy: BusyStream) -> Self {
        Self::Answer(Answer { body, unsent, is_begun: false, _busy: busy })
    }

    /// Takes the requests that have arrived from the transport, while the transport has no room to send anything. True when
    /// the deadline of the call is over or its token has expired, so that nothing but trailers is to be sent.
    pub fn read_requests(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Ticks(ticks) => ticks.read_requests(cx),
            Self::Answer(_) => false,
        }
    }

    /// Whether the bytes that wait to be sent are answers, which are held in memory. (Ticks are not: they are read again from
    /// the tape.)
    pub fn has_answers(&self) -> bool {
        match self {
            Self::Ticks(ticks) => ticks.has_answers(),
            Self::Answer(_) => true,
        }
    }

    /// What a stream of ticks came to so far.
    pub fn summary(&self) -> Option<StreamSummary> {
        match self {
            Self::Ticks(ticks) => Some(ticks.summary()),
            Self::Answer(_) => None,
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Ticks(ticks) => Pin::new(ticks).poll_frame(cx),
            Self::Answer(Answer { body, unsent, is_begun, .. }) => {
                if *is_begun {
                    unsent.set(0);
                }
                let frame = ready!(Pin::new(body).poll_frame(cx));
                *is_begun = true;
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                unsent.set(data.map_or(0, Bytes::len));
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ticks(ticks) => ticks.is_end_stream(),
            Self::Answer(answer) => answer.body.is_end_stream(),
        }
    }
}
