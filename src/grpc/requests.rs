//! The requests of one stream: gRPC messages in the body of its request.
//!
//! Bytes are taken from the transport as soon as they arrive, so that small frames do not pile up there. They are released to
//! the client's flow-control window only when the request is read, so at most one window of requests waits here.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame};
use prost::Message;

use super::{MAX_REQUEST_BYTES, Ticket, status::Failure};

/// The body of a request whose bytes count against the client's flow-control window until they are released.
pub trait RequestBody:
    Body<Data = Bytes, Error: std::error::Error + Send + Sync + Unpin + 'static> + Send + Unpin + 'static
{
    /// Lets the client send this many bytes more.
    fn release(&mut self, bytes: usize);

    /// A body that is there, with the largest message that it may have.
    fn whole(body: Bytes, max_message: usize) -> Self;

    /// Largest message that it may have, in bytes.
    fn max_message(&self) -> usize {
        MAX_REQUEST_BYTES
    }
}

/// Decodes the requests of a stream.
pub(super) struct Requests<M, B> {
    body: B,
    /// Bytes that have arrived and are not read.
    buffer: BytesMut,
    /// The client has half-closed, or its stream has broken.
    end: Option<Result<(), String>>,
    message: PhantomData<fn() -> M>,
}

/// The next item of a stream of requests.
pub(super) enum NextRequest<M> {
    Request(M),
    /// The client has half-closed.
    End,
}

/// Length of the prefix of a message: a flag for compression, and the length of the message.
const PREFIX: usize = 5;

impl<M: Message + Default, B: RequestBody> Requests<M, B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, buffer: BytesMut::new(), end: None, message: PhantomData }
    }

    /// Takes the bytes that have arrived from the transport. The task is woken when more arrive.
    pub(super) fn read_requests(&mut self, cx: &mut Context<'_>) {
        while self.end.is_none() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Poll::Ready(Some(Err(error))) => self.end = Some(Err(error.to_string())),
                Poll::Ready(None) => self.end = Some(Ok(())),
            }
        }
    }

    /// Whether [`Self::next`] has a result.
    pub(super) fn is_ready(&self) -> bool {
        self.end.is_some()
            || self
                .message_len()
                .is_some_and(|len| len > self.body.max_message() || self.buffer.len() >= PREFIX + len)
    }

    /// The next request that has arrived whole; `None` when there is none yet.
    ///
    /// # Errors
    /// It is too large, compressed, cannot be decoded, or the stream ended within it.
    pub(super) fn next(&mut self) -> Result<Option<NextRequest<M>>, Failure> {
        if let Some(flag) = self.buffer.first().filter(|flag| **flag != 0) {
            let problem =
                format!("its compression flag is {flag}: requests must not be compressed, so it must be 0");
            return Err(Failure::Undecodable(problem));
        }
        let len = match (self.message_len(), &self.end) {
            (Some(len), _) if len > self.body.max_message() => return Err(Failure::TooLarge),
            (Some(len), _) if self.buffer.len() >= PREFIX + len => len,
            (_, None) => return Ok(None),
            (_, Some(Ok(()))) if self.buffer.is_empty() => return Ok(Some(NextRequest::End)),
            (_, Some(Ok(()))) => {
                return Err(Failure::Undecodable("the stream ended within a message".to_owned()));
            }
            (_, Some(Err(error))) => return Err(Failure::Undecodable(error.clone())),
        };
        let mut message = self.buffer.split_to(PREFIX + len);
        self.body.release(message.len());
        if self.buffer.is_empty() {
            // Requests are rare: an idle stream holds no buffer.
            self.buffer = BytesMut::new();
        }
        message.advance(PREFIX);
        match M::decode(message) {
            Ok(request) => Ok(Some(NextRequest::Request(request))),
            Err(error) => Err(Failure::Undecodable(error.to_string())),
        }
    }

    /// Length of the next request, once its prefix has arrived.
    pub(super) fn message_len(&self) -> Option<usize> {
        let length = self.buffer.get(1..PREFIX)?.try_into().ok()?;
        Some(u32::from_be_bytes(length) as usize)
    }
}

/// A request body for tonic's handlers. It hands out each frame in a turn of the worker, so that the handler's work is done in
/// that turn, and releases its flow-control window.
pub(super) struct Released<B: Body> {
    body: B,
    ticket: Ticket,
    /// What has arrived and waits for a turn: a frame, or the end.
    arrived: Option<Arrival<B>>,
}

type Arrival<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

impl<B: RequestBody> Released<B> {
    pub(super) fn new(body: B, ticket: Ticket) -> Self {
        Self { body, ticket, arrived: None }
    }
}

impl<B: RequestBody> Body for Released<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if this.arrived.is_none() {
            this.arrived = Some(ready!(Pin::new(&mut this.body).poll_frame(cx)));
        }
        ready!(this.ticket.poll_turn(cx));
        // The next turn is granted only after this task has run.
        this.ticket.give_up();
        let frame = this.arrived.take().flatten();
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.body.release(data.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.arrived.is_none() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::contract::gogen::TickerRequest;

    /// A body of which some pieces have arrived.
    #[derive(Default)]
    struct Pieces {
        arrived: VecDeque<Vec<u8>>,
        is_whole: bool,
        released: usize,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            match self.arrived.pop_front() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece.into())))),
                None if self.is_whole => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    impl RequestBody for Pieces {
        fn release(&mut self, bytes: usize) {
            self.released += bytes;
        }

        fn whole(body: Bytes, _: usize) -> Self {
            Self { arrived: [body.to_vec()].into(), is_whole: true, released: 0 }
        }
    }

    fn framed(symbol: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        super::super::wire::put_message(&TickerRequest { symbol: symbol.to_owned() }, &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn requests_come_whole_and_in_order_however_they_are_cut(
            symbols in prop::collection::vec("[A-Z]{0,40}", 0..20), cuts in prop::collection::vec(0usize..400, 0..20),
        ) {
            let bytes: Vec<u8> = symbols.iter().flat_map(|symbol| framed(symbol)).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let mut requests: Requests<TickerRequest, Pieces> = Requests::new(Pieces::default());
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let (mut heard, mut sent) = (Vec::new(), 0);
            for piece in cuts.windows(2) {
                requests.body.arrived.push_back(bytes[piece[0]..piece[1]].to_vec());
                sent += piece[1] - piece[0];
                requests.read_requests(&mut cx);
                prop_assert!(requests.body.arrived.is_empty(), "nothing waits in the transport");
                while requests.is_ready() {
                    match requests.next().unwrap() {
                        Some(NextRequest::Request(request)) => heard.push(request.symbol),
                        _ => prop_assert!(false, "the stream has not ended"),
                    }
                }
                prop_assert_eq!(requests.body.released + requests.buffer.len(), sent);
            }
            prop_assert_eq!(heard, symbols);
            requests.body.is_whole = true;
            requests.read_requests(&mut cx);
            prop_assert!(matches!(requests.next(), Ok(Some(NextRequest::End))));
        }
    }

    #[test]
    fn a_message_that_is_too_large_is_refused_by_its_prefix() {
        let mut requests: Requests<TickerRequest, Pieces> = Requests::new(Pieces::default());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        requests.body.arrived.push_back(vec![0, 0, 2, 0, 1]);
        requests.read_requests(&mut cx);
        assert!(requests.is_ready());
        assert!(matches!(requests.next(), Err(Failure::TooLarge)));
    }
}
