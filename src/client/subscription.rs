//! Ticks of a service, whichever of its replicas they come from.

mod replica_stream;
mod resume;

use std::{
    fmt, future, mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_stream::Stream;

use self::{
    replica_stream::ReplicaStream,
    resume::{ResumeState, Unsuitable},
};
use super::{
    Client, ClientError, Event, ReplayOptions, Settings, SubscribeOptions, TapeInfo,
    message::Message,
    reconnect::{Attempt, Reconnector, attempted},
    replica::Replica,
};
use crate::causes::in_one_line;

/// A stream of events that outlives its connections. Dropping it ends the stream.
///
/// When its replica fails, it continues at another one after the last tick of each symbol. With
/// [`Delivery::EveryTick`](super::Delivery::EveryTick) every tick of a symbol comes exactly once and in order, or
/// [`Event::Gap`] names those that do not; with [`Delivery::Latest`](super::Delivery::Latest) the received ticks and their
/// `conflated` add up to the difference in sequence.
///
/// There are two ways to read it: [`Self::next_batch`], which is the fast one, and [`Stream`], which yields the same
/// events one by one. They can be mixed.
///
/// # Reconnects
/// The first attempt is made at once, at another replica if there is one. Later attempts wait for a random time up to a
/// backoff, which doubles from [`Settings::first_backoff`] to [`Settings::longest_backoff`], but is one second at most
/// while connections are refused at once. [`Self::retry_now`] skips the wait. Attempts are made only while the
/// subscription is read.
///
/// # Stream
/// The stream yields an error when no replica can continue, or when the error is not retryable. To poll it again is to try
/// again, with the backoff above. After [`Event::End`] the stream ends.
pub struct Subscription {
    resume: ResumeState,
    tape: TapeInfo,
    /// The stream that is read.
    live: Option<ReplicaStream>,
    /// Since when there is no stream.
    lost: Option<Instant>,
    /// Chooses the next replica. While an attempt is made, the attempt has it. At the end there is neither.
    reconnector: Option<Reconnector>,
    attempt: Option<Attempt<(ReplicaStream, Message)>>,
    /// Ends the wait of the attempt.
    retry_now: Arc<Notify>,
    /// The first message of the first stream, until the subscription is read.
    first: Option<Message>,
    /// The events that the `Stream` yields next, the last one first, and the error after them.
    buffered: Vec<Event>,
    failed: Option<ClientError>,
}

/// A stream and its first message.
type Opened = Result<(ReplicaStream, Message), ClientError>;

/// Most events of a batch.
const BATCH: usize = 1024;

impl Subscription {
    /// Opens the first stream: at the replica that the client is connected to, or else at another one.
    pub(super) async fn open(
        client: &Client,
        options: SubscribeOptions,
        replay: Option<ReplayOptions>,
    ) -> Result<Self, ClientError> {
        if options.symbols.is_empty() {
            return Err(ClientError::NoSymbol);
        }
        let mut resume = ResumeState::new(options, replay);
        let mut reconnector = Reconnector::new(client.endpoints.clone(), client.settings.clone());
        let open = |replica| begin(replica, &resume, &client.settings);
        let (tape, (stream, first)) = reconnector.open_first(client.replica.clone(), open).await?;
        resume.since(tape.time);
        Ok(Self {
            resume,
            tape,
            live: Some(stream),
            lost: None,
            retry_now: reconnector.retry_now(),
            reconnector: Some(reconnector),
            attempt: None,
            first: Some(first),
            buffered: Vec::new(),
            failed: None,
        })
    }

    /// Waits for an event, and adds it to `events` with those that have arrived with it. After [`Event::End`] it waits for
    /// ever.
    ///
    /// # Errors
    /// No replica can continue, or the error is not retryable, or the server broke the contract. The events before the
    /// error are in `events`. To call it again is to try again.
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    pub async fn next_batch(&mut self, events: &mut Vec<Event>) -> Result<(), ClientError> {
        if !self.buffered.is_empty() || self.failed.is_some() {
            events.extend(self.buffered.drain(..).rev());
            return self.failed.take().map_or(Ok(()), Err);
        }
        self.receive(events).await
    }

    /// Number of symbols that have not been part of an [`Event::Answer`] yet.
    pub fn unanswered(&self) -> usize {
        self.resume.unanswered()
    }

    /// Skips the rest of the wait before the next attempt to reconnect, even if the server asked for that wait. Without a
    /// wait it does nothing.
    ///
    /// The attempt is made when the subscription is read again.
    pub fn retry_now(&self) {
        self.retry_now.notify_waiters();
    }

    /// The tape that is played, as the first replica described it.
    pub fn tape(&self) -> &TapeInfo {
        &self.tape
    }

    /// As [`Self::next_batch`], without the buffer of the `Stream`.
    async fn receive(&mut self, events: &mut Vec<Event>) -> Result<(), ClientError> {
        let waiting = events.len();
        if let Some(first) = self.first.take() {
            self.handle(first, events)?;
        }
        while events.len() < waiting + BATCH {
            if self.live.is_none()
                && let Some(reconnector) = self.reconnector.take()
            {
                self.reconnect(reconnector);
            }
            tokio::select! {
                biased;
                // First, so that a stream that never pauses does not delay the move to another replica.
                (reconnector, opened) = attempted(&mut self.attempt) => self.opened(reconnector, opened, events)?,
                message = next_of(&mut self.live) => match message {
                    Ok(message) => self.handle(message, events)?,
                    Err(error) => self.lose(error, events)?,
                },
                () = future::ready(()), if events.len() > waiting => return Ok(()),
            }
        }
        Ok(())
    }

    /// The subscription has yielded [`Event::End`].
    fn has_ended(&self) -> bool {
        self.live.is_none() && self.reconnector.is_none() && self.attempt.is_none()
    }

    fn handle(&mut self, message: Message, events: &mut Vec<Event>) -> Result<(), ClientError> {
        let Some(stream) = &mut self.live else { return Ok(()) };
        // A fresh token is for the next stream, if this one cannot take it.
        let leaves = matches!(message, Message::Draining | Message::Authenticated(false));
        if let Err(unsuitable) = self.resume.take(message, || stream.answered(), events) {
            let error = unsuitable.of(stream);
            return self.lose(error, events);
        }
        if leaves
            && let Some(mut reconnector) =
                self.reconnector.take_if(|reconnector| reconnector.settings().make_before_break)
        {
            reconnector.leave(stream.address(), None, stream.age());
            self.reconnect(reconnector);
        }
        Ok(())
    }

    /// Handles the end of the stream that is read.
    fn lose(&mut self, error: ClientError, events: &mut Vec<Event>) -> Result<(), ClientError> {
        let Some(stream) = self.live.take() else { return Ok(()) };
        if self.resume.has_end() && error.is_end() {
            (self.reconnector, self.attempt) = (None, None);
            events.push(Event::End);
            return Ok(());
        }
        self.lost = Some(Instant::now());
        let mut attempt = 1;
        // Without a reconnector, an attempt is being made already.
        if let Some(reconnector) = &mut self.reconnector {
            reconnector.leave(stream.address(), error.retry_after(), stream.age());
            attempt = reconnector.next_attempt();
            if !error.is_retryable() {
                return Err(error);
            }
        }
        events.push(Event::Disconnected { cause: in_one_line(&error), attempt });
        Ok(())
    }

    /// Begins an attempt to open another stream.
    fn reconnect(&mut self, mut reconnector: Reconnector) {
        let requests = self.resume.requests();
        self.attempt = Some(Box::pin(async move {
            let opened = match reconnector.connect().await {
                Ok(replica) => ReplicaStream::open(replica, requests, reconnector.settings()).await,
                Err(error) => Err(error),
            };
            (reconnector, opened)
        }));
    }

    /// Handles the end of an attempt.
    fn opened(
        &mut self,
        mut reconnector: Reconnector,
        opened: Opened,
        events: &mut Vec<Event>,
    ) -> Result<(), ClientError> {
        self.attempt = None;
        let accepted = opened.and_then(|(mut stream, first)| {
            let without = self.lost.map_or(Duration::ZERO, |lost| lost.elapsed());
            let mut news = vec![Event::Reconnected { replica: stream.endpoint().clone(), without }];
            let taken = self.resume.take(first, || stream.answered(), &mut news);
            taken.map_err(|unsuitable| unsuitable.of(&stream))?;
            events.append(&mut news);
            Ok(stream)
        });
        match accepted.map_err(|error| reconnector.failed(error)) {
            Ok(stream) => {
                reconnector.found();
                self.reconnector = Some(reconnector);
                // The previous stream, if it is still open, has no tick that the new one lacks.
                self.live = Some(stream);
                self.lost = None;
            }
            Err(Ok(error)) => {
                if self.live.is_none() {
                    events.push(Event::Disconnected {
                        cause: in_one_line(&error),
                        attempt: reconnector.next_attempt(),
                    });
                }
                self.reconnect(reconnector);
            }
            Err(Err(error)) => {
                self.reconnector = Some(reconnector);
                // The stream of a replica that is about to stop is still read.
                if self.live.is_none() {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Cancel safe: an event that was not polled is yielded by the next poll.
impl Stream for Subscription {
    type Item = Result<Event, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.buffered.is_empty() && this.failed.is_none() {
            if this.has_ended() {
                return Poll::Ready(None);
            }
            let mut events = mem::take(&mut this.buffered);
            // A batch is cancel safe, so the future of this poll need not be kept for the next one.
            let received = pin!(this.receive(&mut events)).poll(context);
            events.reverse();
            this.buffered = events;
            match received {
                Poll::Ready(received) => this.failed = received.err(),
                // Some events may have come before the wait.
                Poll::Pending if this.buffered.is_empty() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        Poll::Ready(match this.buffered.pop() {
            Some(event) => Some(Ok(event)),
            None => this.failed.take().map(Err),
        })
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("tape", &self.tape)
            .field("replica", &self.live.as_ref().map(ReplicaStream::endpoint))
            .finish_non_exhaustive()
    }
}

impl Unsuitable {
    fn of(self, stream: &ReplicaStream) -> ClientError {
        ClientError::Unsuitable { endpoint: stream.endpoint().clone(), reason: self.0 }
    }
}

/// Opens the first stream at a replica, and asks for its tape before.
async fn begin(
    replica: Replica,
    resume: &ResumeState,
    settings: &Settings,
) -> Result<(TapeInfo, (ReplicaStream, Message)), ClientError> {
    let tape = replica.tape().await?;
    Ok((tape, ReplicaStream::open(replica, resume.requests(), settings).await?))
}

async fn next_of(live: &mut Option<ReplicaStream>) -> Result<Message, ClientError> {
    match live {
        Some(stream) => stream.next().await,
        None => future::pending().await,
    }
}
