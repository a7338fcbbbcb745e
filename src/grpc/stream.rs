//! The body of a streaming response: one state machine that reads requests, pulls ticks and ends in trailers.
//!
//! It is polled when the transport has room or a signal arrives, and has no other task and no queue. While the client does
//! not read, requests are only taken from the transport and ticks are not pulled. Due ticks are pulled at any time;
//! everything else is done in a turn of the worker ([`Turns`](super::Turns)).

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use prost::Message;
use tokio::time::Sleep;
use tonic::{Code, Status};

use super::{
    BusyStream, Ticket, Turn,
    reply::{Part, StreamSummary, Ticks},
    requests::{NextRequest, RequestBody, Requests},
    session::{PullProgress, Session},
    status::Failure,
    unsent::Unsent,
};
use crate::access::Refusal;

/// Handles the requests of one streaming RPC.
pub(super) trait StreamHandler: Send + 'static {
    type Request: Message + Default + 'static;

    /// Whether only the first request is read.
    const ONE_REQUEST: bool = false;

    /// Begins a request. An error ends the stream.
    fn on_request(&mut self, session: &mut Session, request: Self::Request) -> Result<(), Status>;

    /// Continues the last request while the turn lasts; its answer goes to the session's outbox. True when all is done.
    /// An error ends the stream.
    fn advance(&mut self, session: &mut Session, turn: Turn) -> Result<bool, Status>;

    /// Whether a request is in progress.
    fn has_request(&self) -> bool;

    /// Appends the message that the stream ends soon, if the package has one.
    fn write_draining(&self, out: &mut Vec<u8>);

    /// Answers that the token of the stream expires soon, if the package has a message for that.
    fn write_expiring(&self, session: &mut Session);
}

/// A live stream of ticks as a response body.
pub(super) struct TickStream<C: StreamHandler, B> {
    handler: C,
    session: Session,
    /// `None` once the client has half-closed.
    requests: Option<Requests<C::Request, B>>,
    /// Marks the connection as busy; `Some` from the first request on.
    busy: Option<BusyStream>,
    ticket: Ticket,
    /// More of the tape has to be read than is allowed without a turn.
    is_behind: bool,
    /// Answers that are being sent.
    answers: Bytes,
    unsent: Unsent,
    /// Bytes of memory that the last request may take while it is under way.
    request_size: usize,
    deadline: Option<Pin<Box<Sleep>>>,
    state: State,
}

enum State {
    Live,
    Ending(Status),
    Over,
}

impl<C: StreamHandler, B: RequestBody> TickStream<C, B> {
    /// Bytes after which a frame is sent; with the last message they fit one HTTP/2 frame of 16 KiB.
    const BUDGET: usize = 15 * 1024;
    /// Bytes of unsent answers of a stream. While there are more, no further request is read.
    const OUTBOX: usize = 64 * 1024;
    /// Most bytes of memory that one byte of a request takes: a symbol without characters is two bytes there, and a `String`
    /// in memory.
    const DECODED: usize = size_of::<String>() / 2;
    /// Largest number of ticks that are read from the tape at once without a turn.
    const READS: usize = 256;
    /// The same with a turn.
    const READS_OF_A_TURN: usize = 4096;

    pub(super) fn new(
        handler: C,
        session: Session,
        requests: Requests<C::Request, B>,
        deadline: Option<Sleep>,
    ) -> Self {
        Self {
            ticket: session.worker.turns.ticket(session.context.turn_share()),
            unsent: session.context.answers().unsent(),
            handler,
            session,
            requests: Some(requests),
            busy: None,
            is_behind: false,
            answers: Bytes::new(),
            request_size: 0,
            deadline: deadline.map(Box::pin),
            state: State::Live,
        }
    }

    /// Whether the deadline of the call is over.
    fn is_past_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
    }

    /// Whether there is something to do that needs a turn.
    fn wants_turn(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_behind || self.has_request() || self.may_read_request(cx)
    }

    /// Whether a request is under way.
    fn has_request(&self) -> bool {
        self.handler.has_request() || self.session.is_subscribing_all()
    }

    /// Whether there is a request, and room for its answer.
    fn may_read_request(&mut self, cx: &mut Context<'_>) -> bool {
        self.requests.as_ref().is_some_and(Requests::is_ready)
            && self.session.outbox.len() + self.answers.len() < Self::OUTBOX
            && self.unsent.poll_room(cx).is_ready()
    }

    /// Reads requests and handles them while the turn lasts.
    fn work(&mut self, cx: &mut Context<'_>, turn: Turn) -> Result<(), Status> {
        loop {
            if !self.handler.advance(&mut self.session, turn)? || !self.session.advance(turn)? {
                return Ok(());
            }
            if turn.is_over() || !self.may_read_request(cx) {
                return Ok(());
            }
            self.read_request()?;
            self.count_unsent(0);
        }
    }

    /// Counts the answers that wait, with a piece that is being sent, and the memory of the request that is under way, so that
    /// the streams of a connection do not all begin a request at the same time.
    fn count_unsent(&mut self, piece: usize) {
        let bytes = piece + self.answers.len() + self.session.outbox.len();
        let reserved = if self.handler.has_request() { self.request_size } else { 0 };
        self.unsent.set_and_reserve(bytes, reserved);
    }

    fn read_request(&mut self) -> Result<(), Status> {
        let Some(requests) = &mut self.requests else { return Ok(()) };
        self.request_size = requests.message_len().unwrap_or(0) * Self::DECODED;
        match requests.next()? {
            None => Ok(()),
            Some(NextRequest::Request(request)) => {
                if C::ONE_REQUEST {
                    self.requests = None;
                }
                self.busy.get_or_insert_with(|| self.session.context.work());
                self.session.subscriber.touch(self.session.worker.clock.now());
                self.handler.on_request(&mut self.session, request)
            }
            Some(NextRequest::End) => {
                self.requests = None;
                // Without a subscription there is nothing left to send.
                match self.session.subscriber.is_idle() {
                    true if self.busy.is_some() => Err(Status::ok("")),
                    true => Err(Failure::NothingAsked.into()),
                    false => Ok(()),
                }
            }
        }
    }

    /// Appends answers, then ticks, to `out`. Pending when there are none. Returns whether more may follow at once; if not, the task
    /// is woken when there is more.
    fn live(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Result<bool, Status>> {
        let before = out.len();
        if self.is_past_deadline(cx) {
            return Poll::Ready(Err(Failure::DeadlineExceeded.into()));
        }
        if self.session.expiry.is_over(cx) {
            return Poll::Ready(Err(Failure::Unauthenticated(Refusal::Expired).into()));
        }
        if let Some(requests) = &mut self.requests {
            requests.read_requests(cx);
        }
        let turn = match self.wants_turn(cx) {
            true => self.ticket.poll_turn(cx),
            false => {
                self.ticket.give_up();
                Poll::Pending
            }
        };
        let mut has_more = true;
        let mut done = match turn {
            Poll::Ready(turn) => self.work(cx, turn),
            Poll::Pending => Ok(()),
        };
        self.write_notice();
        self.write_answers(out);
        // Answers to requests that have been read go before ticks.
        let is_held = self.handler.has_request() || self.session.is_subscribing_first();
        if done.is_ok() && self.answers.is_empty() && !is_held {
            let reads = match turn {
                Poll::Ready(turn) if !turn.is_over() => Self::READS_OF_A_TURN,
                _ if self.is_behind => 0,
                _ => Self::READS,
            };
            done = self.pull(cx, reads, out);
            // Answers count as sent when the next part is asked for.
            has_more = self.is_behind || out.len() >= Self::BUDGET || !self.unsent.is_empty();
        }
        if turn.is_ready() {
            self.ticket.give_up();
        }
        match done {
            Err(status) => Poll::Ready(Err(status)),
            Ok(()) => {
                if self.wants_turn(cx) && self.ticket.poll_turn(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                if out.len() == before { Poll::Pending } else { Poll::Ready(Ok(has_more)) }
            }
        }
    }

    /// Appends the notice that the token expires to the answers, of which a part may have been sent. The first message of a
    /// stream with one request is the answer to it.
    fn write_notice(&mut self) {
        let is_answered = !C::ONE_REQUEST || self.requests.is_none() && !self.handler.has_request();
        if is_answered && self.session.expiry.take_warning() {
            self.handler.write_expiring(&mut self.session);
        }
    }

    /// Appends answers to `out`, at most a frame of them.
    fn write_answers(&mut self, out: &mut Vec<u8>) {
        if self.answers.is_empty() {
            if self.session.outbox.is_empty() && self.unsent.is_empty() {
                return;
            }
            self.answers = std::mem::take(&mut self.session.outbox).into();
        }
        let piece = self.answers.split_to(self.answers.len().min(Self::BUDGET));
        out.extend_from_slice(&piece);
        // The piece is sent when the next one is asked for, and counts until then.
        self.count_unsent(piece.len());
    }

    /// Appends ticks to `out`. At most `reads` of them are read from the tape.
    fn pull(&mut self, cx: &mut Context<'_>, mut reads: usize, out: &mut Vec<u8>) -> Result<(), Status> {
        let replayed = self.session.poll_replay(cx, Self::BUDGET, &mut reads, out)?;
        let mut live = self.session.poll_live(cx, Self::BUDGET, &mut reads, out)?;
        if let PullProgress::Draining = live {
            self.handler.write_draining(out);
            live = self.session.poll_live(cx, Self::BUDGET, &mut reads, out)?;
        }
        self.is_behind = !matches!(live, PullProgress::Up);
        match replayed {
            PullProgress::Ended => return Err(Status::ok("")),
            PullProgress::Behind => self.is_behind = true,
            PullProgress::Up | PullProgress::Draining => {}
        }
        Ok(())
    }
}

// Nothing in it is pinned in place.
impl<C: StreamHandler, B> Unpin for TickStream<C, B> {}

impl<C: StreamHandler, B: RequestBody> Body for TickStream<C, B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut out = Vec::new();
        Poll::Ready(match ready!(self.get_mut().poll_part(cx, &mut out)) {
            Part::Data { .. } => Some(Ok(Frame::data(out.into()))),
            Part::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Part::End | Part::Failed => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over)
    }
}

impl<C: StreamHandler, B: RequestBody> Ticks for TickStream<C, B> {
    fn poll_part(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<Part> {
        let before = out.len();
        let mut has_more = true;
        if matches!(self.state, State::Live) {
            match ready!(self.live(cx, out)) {
                Ok(more) => has_more = more,
                Err(status) => {
                    // Only the answers and the trailers are left to send.
                    self.ticket.give_up();
                    self.requests = None;
                    self.state = State::Ending(status);
                }
            }
        }
        if out.len() == before {
            self.write_answers(out);
        }
        if out.len() > before {
            return Poll::Ready(Part::Data { has_more });
        }
        Poll::Ready(match std::mem::replace(&mut self.state, State::Over) {
            State::Ending(status) => Part::Trailers(trailers(&status)),
            State::Live | State::Over => Part::End,
        })
    }

    fn read_requests(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(requests) = &mut self.requests {
            requests.read_requests(cx);
        }
        self.is_past_deadline(cx) || self.session.expiry.is_over(cx)
    }

    fn has_answers(&self) -> bool {
        self.unsent.bytes() > 0
    }

    fn summary(&self) -> StreamSummary {
        self.session.summary()
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
