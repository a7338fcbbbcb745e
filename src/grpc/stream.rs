//! The body of a streaming response: one state machine that hears requests, pulls ticks and ends in trailers.
//!
//! It runs when the transport has room or a signal arrives. There is no task and no queue besides: when the reader
//! does not read, requests are not heard and ticks are not pulled.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use prost::Message;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::{Code, Status, Streaming};

use super::{
    session::Session,
    status::{self, Failure},
};
use crate::hub::Pulled;

/// What one kind of stream understands and answers.
pub(super) trait Conversation {
    type Request: Message + Default;

    /// Acts on a request; answers go to the session's outbox. An error ends the stream.
    fn hear(&mut self, session: &mut Session, request: Self::Request) -> Result<(), Status>;

    /// Says that the server is about to stop, if there is a word for it.
    fn say_draining(&self, out: &mut Vec<u8>);
}

/// A live stream of ticks as a response body.
pub(super) struct TickStream<C: Conversation> {
    conversation: C,
    session: Session,
    /// `None` once the client has half-closed.
    requests: Option<Streaming<C::Request>>,
    /// The client has said something.
    heard: bool,
    deadline: Option<Pin<Box<Sleep>>>,
    state: State,
    /// How many bytes the last frame had: the next one is likely to have as many.
    usual: usize,
}

enum State {
    Live,
    Ending(Status),
    Over,
}

impl<C: Conversation> TickStream<C> {
    /// At most so many bytes leave at once; with the last message they fit one HTTP/2 frame of 16 KiB.
    const BUDGET: usize = 15 * 1024;
    /// While answers of so many bytes wait to be sent, no further request is heard.
    const OUTBOX: usize = 64 * 1024;
    /// So many ticks are read from the tape at once.
    const READS: usize = 2_048;

    pub(super) fn new(
        conversation: C,
        session: Session,
        requests: Option<Streaming<C::Request>>,
        deadline: Option<Sleep>,
    ) -> Self {
        let deadline = deadline.map(Box::pin);
        Self { conversation, session, requests, heard: false, deadline, state: State::Live, usual: 0 }
    }

    /// The same stream, ending with `status` once the answers that wait are sent.
    pub(super) fn ending(mut self, status: Option<Status>) -> Self {
        if let Some(status) = status {
            self.state = State::Ending(status);
        }
        self
    }

    fn hear_requests(&mut self, cx: &mut Context<'_>) -> Result<(), Status> {
        while self.session.outbox.len() < Self::OUTBOX {
            if self.session.go_on() {
                cx.waker().wake_by_ref();
                return Ok(());
            }
            let Some(requests) = &mut self.requests else { return Ok(()) };
            match Pin::new(requests).poll_next(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(request))) => {
                    self.heard = true;
                    self.session.subscriber.touch(self.session.feed.clock.now());
                    self.conversation.hear(&mut self.session, request)?;
                }
                Poll::Ready(Some(Err(error))) => return Err(status::of_request_error(&error).into()),
                Poll::Ready(None) => {
                    self.requests = None;
                    // Without a subscription there is nothing more to say, ever.
                    match self.session.subscriber.is_idle() {
                        true if self.heard => return Err(Status::ok("")),
                        true => return Err(Failure::NothingAsked.into()),
                        false => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Appends what there is to send; pending when there is nothing.
    fn live(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<(), Status>> {
        if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(Failure::DeadlineExceeded.into()));
        }
        let heard = self.hear_requests(cx);
        out.append(&mut self.session.outbox);
        if let Err(status) = heard {
            return Poll::Ready(Err(status));
        }
        let mut reads = Self::READS;
        if !self.session.poll_replay(cx, Self::BUDGET, &mut reads, out) {
            return Poll::Ready(Err(Status::ok("")));
        }
        match self.session.subscriber.poll_pull(cx, Self::BUDGET, &mut reads, out) {
            Poll::Ready(Pulled::Closed) => {
                self.conversation.say_draining(out);
                Poll::Ready(Err(Failure::Stopping.into()))
            }
            Poll::Ready(Pulled::Idle) => Poll::Ready(Err(Failure::NothingAsked.into())),
            Poll::Ready(Pulled::More) if out.is_empty() => {
                // Others take their turn first.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending if out.is_empty() => Poll::Pending,
            Poll::Ready(Pulled::Data | Pulled::More) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }
}

// Nothing in it is pinned in place.
impl<C: Conversation> Unpin for TickStream<C> {}

impl<C: Conversation> Body for TickStream<C> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let mut out = Vec::new();
        if matches!(this.state, State::Live) {
            out.reserve_exact(this.usual);
            match this.live(cx, &mut out) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(status)) => this.state = State::Ending(status),
            }
        } else {
            out = std::mem::take(&mut this.session.outbox);
        }
        if !out.is_empty() {
            this.usual = out.len();
            return Poll::Ready(Some(Ok(Frame::data(out.into()))));
        }
        match std::mem::replace(&mut this.state, State::Over) {
            State::Ending(status) => Poll::Ready(Some(Ok(Frame::trailers(trailers(&status))))),
            State::Live | State::Over => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over)
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        // The details did not fit a header; the code always does.
        trailers.clear();
        trailers.insert(Status::GRPC_STATUS, (Code::Internal as i32).into());
    }
    trailers
}
