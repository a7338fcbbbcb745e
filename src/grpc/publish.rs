//! The RPCs that take ticks: `Publish` and `PublishStream`.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::{Sleep, sleep_until};
use tokio_stream::Stream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Status, Streaming};

use super::{
    MAX_TICKS_PER_REQUEST,
    call::Call,
    caller_name::CallerName,
    convert,
    expiry::Expiry,
    status::{Failure, cut, of_request_error},
    usage::StreamHold,
};
use crate::{
    access::{Grant, Refusal},
    contract::v1::{
        PublishRequest, PublishResponse, PublishStreamRequest, PublishStreamResponse, PublishedTick,
        RejectedTick, RejectionCode,
    },
    feed::{Batch, FeedError, NewTick, Numbers, Receipt, Rejected, Rejection, Submitted, Submitting},
    tape::TopOfBook,
    tick::{Price, Symbol},
};

/// Most rejected ticks that an answer lists.
const MOST_REJECTED: usize = 1_000;
/// Longest `publisher_id`, in bytes.
const LONGEST_ID: usize = 64;

/// A request of either RPC.
trait Pushed: prost::Message + Default + 'static {
    /// Its ticks, and the other fields.
    fn into_parts(self) -> (Vec<PublishedTick>, Head);
}

/// What a request has besides its ticks.
struct Head {
    request_id: u64,
    publisher_id: String,
    first_number: u64,
}

/// What has become of a request.
struct Outcome {
    request_id: u64,
    /// Number of its ticks.
    ticks: usize,
    receipt: Receipt,
}

/// A call that pushes ticks. Its requests are given to the feed as they arrive, and their outcomes come in the same order when
/// their ticks are stored.
struct Publishing<R> {
    /// `None` when no further request is read.
    requests: Option<Streaming<R>>,
    /// A request that the feed had no room for so far.
    read: Option<ReadRequest>,
    submitting: Submitting,
    waiting: VecDeque<Waiting>,
    /// Number of ticks of the requests that wait.
    waiting_ticks: usize,
    /// The status at the end, after the outcomes.
    end: Result<(), Failure>,
    caller: Publisher,
    expiry: Expiry,
    deadline: Option<Pin<Box<Sleep>>>,
    drained: Pin<Box<WaitForCancellationFutureOwned>>,
    _open: StreamHold,
}

/// A request that was read.
struct ReadRequest {
    request_id: u64,
    /// Number of its ticks.
    ticks: usize,
    batch: Batch,
}

/// A request that the feed has got.
struct Waiting {
    request_id: u64,
    ticks: usize,
    submitted: Submitted,
}

/// Who pushes ticks.
struct Publisher {
    /// What goes before its `publisher_id`, so that callers never share a name.
    prefix: String,
    grant: Grant,
}

/// Answers `Publish`.
///
/// # Errors
/// The call ends. Ticks that were accepted before stay.
pub(super) async fn publish(
    call: &Call,
    requests: Streaming<PublishRequest>,
) -> Result<PublishResponse, Failure> {
    let mut publishing = Publishing::new(call, requests)?;
    let (mut response, mut index) = (PublishResponse::default(), 0);
    while let Some(outcome) = poll_fn(|cx| publishing.poll_outcome(cx)).await {
        let Outcome { ticks, receipt, .. } = outcome?;
        response.accepted += receipt.accepted;
        response.duplicates += receipt.duplicates;
        response.rejected += receipt.rejected.len() as u64;
        let room = MOST_REJECTED.saturating_sub(response.rejected_ticks.len());
        response
            .rejected_ticks
            .extend(receipt.rejected.into_iter().take(room).map(|tick| rejected(tick, index)));
        index += ticks as u64;
    }
    Ok(response)
}

/// The answers of `PublishStream`.
pub(super) struct PublishStream(Publishing<PublishStreamRequest>);

impl PublishStream {
    /// A stream without answers so far.
    ///
    /// # Errors
    /// The tape is no feed, or the caller has as many streams as it may.
    pub(super) fn new(call: &Call, requests: Streaming<PublishStreamRequest>) -> Result<Self, Failure> {
        Publishing::new(call, requests).map(Self)
    }
}

impl Stream for PublishStream {
    type Item = Result<PublishStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let outcome = ready!(self.0.poll_outcome(cx));
        Poll::Ready(outcome.map(|outcome| {
            let Outcome { request_id, receipt, .. } = outcome?;
            Ok(PublishStreamResponse {
                request_id,
                accepted: receipt.accepted,
                rejected: receipt.rejected.len() as u64,
                duplicates: receipt.duplicates,
                rejected_ticks: receipt.rejected.into_iter().map(|tick| rejected(tick, 0)).collect(),
            })
        }))
    }
}

impl<R: Pushed> Publishing<R> {
    /// Most requests of a call that are not stored yet. While there are so many, no further one is read.
    const MOST_REQUESTS: usize = 1_024;
    /// Most ticks of these requests. A log that takes long for each message has several ticks of a symbol in one.
    const MOST_TICKS: usize = 64_000;

    fn new(call: &Call, requests: Streaming<R>) -> Result<Self, Failure> {
        let (worker, caller) = (call.worker(), call.caller());
        let intake = worker.intake.as_ref().ok_or(Failure::NoFeed)?;
        let open = caller.usage().open_stream();
        let open = open.ok_or_else(|| Failure::TooManyStreams(caller.usage().max_streams()));
        let open = open.inspect_err(|failure| call.context().note_limit_of(failure))?;
        Ok(Self {
            requests: Some(requests),
            read: None,
            submitting: intake.submitting(),
            waiting: VecDeque::new(),
            waiting_ticks: 0,
            end: Ok(()),
            caller: Publisher { prefix: prefix_of(caller.name()), grant: caller.grant().clone() },
            expiry: Expiry::of(caller.token()),
            deadline: call.deadline().map(|deadline| Box::pin(sleep_until(deadline))),
            drained: Box::pin(call.context().server().drained()),
            _open: open,
        })
    }

    /// The next outcome; `None` when all requests are answered and the call ends well.
    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Outcome, Failure>>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            self.deadline = None;
            return Poll::Ready(Some(Err(self.give_up(Failure::DeadlineExceeded))));
        }
        if self.requests.is_some() {
            if self.expiry.is_over(cx) {
                self.stop_reading(Failure::Unauthenticated(Refusal::Expired));
            } else if self.drained.as_mut().poll(cx).is_ready() {
                self.stop_reading(Failure::Stopping);
            }
        }
        self.poll_requests(cx);
        let Some(first) = self.waiting.front_mut() else {
            if self.requests.is_some() || self.read.is_some() {
                return Poll::Pending;
            }
            return Poll::Ready(match std::mem::replace(&mut self.end, Ok(())) {
                Ok(()) => None,
                Err(failure) => Some(Err(failure)),
            });
        };
        let stored = ready!(Pin::new(&mut first.submitted).poll(cx));
        let Some(Waiting { request_id, ticks, .. }) = self.waiting.pop_front() else {
            return Poll::Pending;
        };
        self.waiting_ticks -= ticks;
        // Room for another request.
        self.poll_requests(cx);
        Poll::Ready(Some(match stored {
            Ok(receipt) => Ok(Outcome { request_id, ticks, receipt }),
            Err(error) => Err(self.give_up(error.into())),
        }))
    }

    /// Reads requests and gives them to the feed, while it has room.
    fn poll_requests(&mut self, cx: &mut Context<'_>) {
        while self.waiting.len() < Self::MOST_REQUESTS && self.waiting_ticks < Self::MOST_TICKS {
            if self.read.is_none() {
                let Some(requests) = &mut self.requests else { return };
                match Pin::new(requests).poll_next(cx) {
                    Poll::Pending => return,
                    Poll::Ready(None) => self.requests = None,
                    Poll::Ready(Some(Err(status))) => self.stop_reading(of_request_error(&status)),
                    Poll::Ready(Some(Ok(request))) => match self.caller.read(request) {
                        Ok(read) => self.read = Some(read),
                        Err(failure) => self.stop_reading(failure),
                    },
                }
            }
            // Room is only taken for a request that is there: others need it.
            let Some(read) = self.read.take() else { return };
            let submitted = match self.submitting.poll_room(cx) {
                Poll::Pending => {
                    self.read = Some(read);
                    return;
                }
                Poll::Ready(room) => room.and_then(|()| self.submit(read)),
            };
            if let Err(error) = submitted {
                self.stop_reading(error.into());
            }
        }
    }

    fn submit(&mut self, ReadRequest { request_id, ticks, batch }: ReadRequest) -> Result<(), FeedError> {
        let submitted = self.submitting.submit(batch)?;
        self.waiting_ticks += ticks;
        self.waiting.push_back(Waiting { request_id, ticks, submitted });
        Ok(())
    }

    /// Ends at once.
    fn give_up(&mut self, failure: Failure) -> Failure {
        (self.requests, self.read) = (None, None);
        self.waiting.clear();
        self.waiting_ticks = 0;
        failure
    }

    /// Reads no further request, and ends with a failure when those before are answered.
    fn stop_reading(&mut self, failure: Failure) {
        self.requests = None;
        self.end = Err(failure);
    }
}

impl Publisher {
    fn numbers(&self, publisher_id: String, first: u64) -> Result<Option<Numbers>, Failure> {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        match (publisher_id.as_str(), first) {
            ("", 0) => Ok(None),
            ("", _) => Err(invalid("publisher_id", "must be set when first_number is")),
            (id, _) if id.len() > LONGEST_ID || !id.bytes().all(is_valid) => {
                Err(invalid("publisher_id", "must be 1 to 64 letters, digits, dots, underscores and hyphens"))
            }
            (_, 0) => Err(invalid("first_number", "must be at least 1 when publisher_id is set")),
            (id, first) => {
                let publisher: Arc<str> = format!("{}{id}", self.prefix).into();
                Ok(Some(Numbers { publisher, first }))
            }
        }
    }

    /// Reads a request.
    fn read(&self, request: impl Pushed) -> Result<ReadRequest, Failure> {
        let (pushed, Head { request_id, publisher_id, first_number }) = request.into_parts();
        let count = pushed.len();
        if count > MAX_TICKS_PER_REQUEST {
            return Err(Failure::TooManyTicks { count });
        }
        let numbers = self.numbers(publisher_id, first_number)?;
        let (mut ticks, mut rejected) = (Vec::with_capacity(count), Vec::new());
        for (index, tick) in (0..).zip(pushed) {
            match self.tick(index, &tick) {
                Ok(tick) => ticks.push(tick),
                Err(rejection) => rejected.push(Rejected { index, symbol: cut(&tick.symbol), rejection }),
            }
        }
        Ok(ReadRequest { request_id, ticks: count, batch: Batch { numbers, ticks, rejected } })
    }

    /// Reads one tick.
    fn tick(&self, index: u64, pushed: &PublishedTick) -> Result<NewTick, Rejection> {
        let symbol: Symbol = pushed.symbol.parse().map_err(Rejection::Symbol)?;
        if !self.grant.may_publish(&symbol) {
            return Err(Rejection::Forbidden(symbol));
        }
        let price = Price::from_nanos(pushed.price_nanos).ok_or(Rejection::NoPrice(pushed.price_nanos))?;
        let time = match &pushed.time {
            Some(time) => Some(convert::time(*time).ok_or(Rejection::NoTime)?),
            None => None,
        };
        let (bid, ask) = (pushed.bid_nanos, pushed.ask_nanos);
        let book = match (Price::from_nanos(bid), Price::from_nanos(ask)) {
            (Some(bid), Some(ask)) => Some(TopOfBook {
                bid,
                bid_quantity: pushed.bid_quantity,
                ask,
                ask_quantity: pushed.ask_quantity,
            }),
            (None, None) if bid == 0 && ask == 0 => None,
            _ => return Err(Rejection::HalfQuote { bid, ask }),
        };
        Ok(NewTick { index, symbol, time, price, quantity: pushed.quantity, book })
    }
}

/// Names of callers become parts of lines of the log, so they are written without spaces and commas.
fn prefix_of(name: &CallerName) -> String {
    match name {
        CallerName::Subject(text) | CallerName::Certificate(text) => {
            form_urlencoded::byte_serialize(text.as_bytes()).chain(["/"]).collect()
        }
        CallerName::Address(_) | CallerName::Unknown => String::new(),
    }
}

fn invalid(field: &'static str, problem: &str) -> Failure {
    Failure::Invalid(field, problem.to_owned())
}

/// A rejected tick of a request that begins at an index of its call.
fn rejected(tick: Rejected, first_index: u64) -> RejectedTick {
    let code = match &tick.rejection {
        Rejection::Symbol(_) | Rejection::ForTests => RejectionCode::InvalidSymbol,
        Rejection::Unknown(_) => RejectionCode::UnknownSymbol,
        Rejection::TooManyInstruments { .. } => RejectionCode::LimitExceeded,
        Rejection::Forbidden(_) => RejectionCode::PermissionDenied,
        Rejection::NoPrice(_) | Rejection::OffIncrement { .. } => RejectionCode::InvalidPrice,
        Rejection::TooLarge { .. } => RejectionCode::InvalidQuantity,
        Rejection::NoTime
        | Rejection::TooOld { .. }
        | Rejection::Ahead { .. }
        | Rejection::GoesBack { .. } => RejectionCode::InvalidTime,
        Rejection::HalfQuote { .. } | Rejection::QuoteOffIncrement { .. } | Rejection::Crossed { .. } => {
            RejectionCode::InvalidQuote
        }
    };
    RejectedTick {
        index: first_index + tick.index,
        message: tick.rejection.to_string(),
        symbol: tick.symbol,
        code: code.into(),
    }
}

impl Pushed for PublishRequest {
    fn into_parts(self) -> (Vec<PublishedTick>, Head) {
        let Self { symbol, time, price_nanos, quantity, mut ticks, publisher_id, first_number } = self;
        if !symbol.is_empty() || price_nanos != 0 || quantity != 0 || time.is_some() {
            let single = PublishedTick { symbol, time, price_nanos, quantity, ..PublishedTick::default() };
            ticks.insert(0, single);
        }
        (ticks, Head { request_id: 0, publisher_id, first_number })
    }
}

impl Pushed for PublishStreamRequest {
    fn into_parts(self) -> (Vec<PublishedTick>, Head) {
        let Self { request_id, ticks, publisher_id, first_number } = self;
        (ticks, Head { request_id, publisher_id, first_number })
    }
}
