//! The body of a response, as the connection sends it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tonic::{Status, body::Body as TonicBody};

use super::{BusyStream, ConnectionContext, unsent::UnsentAnswer};
use crate::contract::RpcCode;

/// A stream of ticks: a response body that also reads requests.
pub trait Ticks: Body<Data = Bytes, Error = Status> + Send + Unpin {
    /// Appends ticks and answers to `out`, as the next data frame of the body.
    fn poll_part(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Part>;

    /// Takes the requests that have arrived from the transport, while the transport has no room to send anything. True when
    /// the deadline of the call is over or its token has expired, so that nothing but trailers is to be sent.
    fn read_requests(&mut self, cx: &mut Context<'_>) -> bool;

    /// Whether answers to requests wait to be sent.
    fn has_answers(&self) -> bool;

    /// What is subscribed and what was sent so far.
    fn summary(&self) -> StreamSummary;
}

/// A part of a body.
pub enum Part {
    /// Data.
    Data {
        /// More may follow at once. If not, the task is woken when there is more.
        has_more: bool,
    },
    /// The trailers, after which there is nothing.
    Trailers(HeaderMap),
    /// The end of a body without trailers.
    End,
    /// The body cannot be made.
    Failed,
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
    /// A reply in another protocol than gRPC.
    Translated(Translated),
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

/// A reply in another protocol than gRPC, and the reply of gRPC that it is made of.
pub struct Translated {
    body: TonicBody,
    source: SharedReply,
}

/// A reply of gRPC that is translated while it is made. Clones are the same reply.
#[derive(Clone)]
pub struct SharedReply(Arc<Mutex<Source>>);

struct Source {
    reply: Reply,
    /// The status in its trailers.
    code: Option<RpcCode>,
}

/// The status in the trailers of a reply, or in the head of one that has nothing else.
pub fn code_in(headers: &HeaderMap) -> Option<RpcCode> {
    let code = headers.get(Status::GRPC_STATUS)?;
    Some(RpcCode::of(tonic::Code::from_bytes(code.as_bytes())))
}

impl SharedReply {
    /// A reply that is to be translated.
    pub fn new(reply: Reply) -> Self {
        Self(Arc::new(Mutex::new(Source { reply, code: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reply {
    /// A translation, which reads `source` as it is sent.
    pub fn translated(body: TonicBody, source: SharedReply) -> Self {
        Self::Translated(Translated { body, source })
    }

    /// A body that is whole. It counts as an answer of the connection until it is sent.
    pub fn whole(body: TonicBody, context: &ConnectionContext) -> Self {
        Self::answer(body, UnsentAnswer::new(context.answers()), context.work())
    }

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
            Self::Translated(translated) => translated.source.lock().reply.read_requests(cx),
        }
    }

    /// Whether the bytes that wait to be sent are answers, which are held in memory. (Ticks are not: they are read again from
    /// the tape.)
    pub fn has_answers(&self) -> bool {
        match self {
            Self::Ticks(ticks) => ticks.has_answers(),
            Self::Answer(_) => true,
            Self::Translated(translated) => translated.source.lock().reply.has_answers(),
        }
    }

    /// Whether it is an answer that is made before it is sent.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Ticks(_) => false,
            Self::Answer(_) => true,
            Self::Translated(translated) => translated.source.lock().reply.is_answer(),
        }
    }

    /// Whether it is in another protocol than gRPC.
    pub fn is_translated(&self) -> bool {
        matches!(self, Self::Translated(_))
    }

    /// The status at the end of a translated reply, which has no trailers of its own.
    pub fn code(&self) -> Option<RpcCode> {
        match self {
            Self::Ticks(_) | Self::Answer(_) => None,
            Self::Translated(translated) => translated.source.lock().code,
        }
    }

    /// What a stream of ticks came to so far.
    pub fn summary(&self) -> Option<StreamSummary> {
        match self {
            Self::Ticks(ticks) => Some(ticks.summary()),
            Self::Answer(_) => None,
            Self::Translated(translated) => translated.source.lock().reply.summary(),
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
            Self::Translated(translated) => Pin::new(&mut translated.body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ticks(ticks) => ticks.is_end_stream(),
            Self::Answer(answer) => answer.body.is_end_stream(),
            Self::Translated(translated) => translated.body.is_end_stream(),
        }
    }
}

impl Body for SharedReply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let source = &mut *self.lock();
        let frame = ready!(Pin::new(&mut source.reply).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            source.code = code_in(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().reply.is_end_stream()
    }
}
