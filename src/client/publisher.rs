//! Publishes ticks to a service that has a feed, whichever of its replicas takes them.

mod event;
mod new_tick;
mod options;
mod outbox;
mod publish_stream;

use std::{collections::VecDeque, fmt, future, time::Duration};

use tokio::time::Instant;

pub use self::{
    event::{PublishTotals, PublisherEvent, Receipt, Rejection, RejectionCode},
    new_tick::{BidAsk, NewTick},
    options::PublisherOptions,
};
use self::{outbox::Outbox, publish_stream::PublishStream};
use super::{
    Client, ClientError, RpcCode,
    reconnect::{Attempt, Reconnector, attempted},
};
use crate::{causes::in_one_line, contract::v1::PublishStreamResponse};

/// Sends ticks to a service, and outlives its connections: [`Client::publisher`] opens it.
///
/// Every tick has a number. When a connection is lost, the publisher connects to the next replica and sends all ticks without
/// an answer again, in order and with the same numbers. The server drops those that it has stored already, so no tick is lost
/// or stored twice.
///
/// # Receipts
/// The server answers when ticks are stored, and may reject single ticks: [`Self::next_event`] yields a [`Receipt`] for each
/// request of at most 1,000 ticks. At most 1,024 events wait to be read, and a newer one takes the place of the oldest;
/// [`Self::totals`] counts all.
///
/// # Reconnects
/// As those of a [`Subscription`](super::Subscription). Attempts are made, and answers are taken, only while a method of the
/// publisher is awaited. Ticks that are queued are sent all the same.
///
/// # Errors
/// [`Self::publish`], [`Self::next_event`] and [`Self::finish`] return an error when no replica can continue, or when the error is
/// not retryable, such as a server without a feed. The ticks that have no answer stay queued. To call a method again is to
/// try again.
pub struct Publisher {
    outbox: Outbox,
    totals: PublishTotals,
    events: VecDeque<PublisherEvent>,
    live: Option<PublishStream>,
    /// Since when there is no stream.
    lost: Option<Instant>,
    /// Chooses the next replica. While an attempt is made, the attempt has it.
    reconnector: Option<Reconnector>,
    attempt: Option<Attempt<PublishStream>>,
}

/// Largest number of events that wait to be read.
const MOST_EVENTS: usize = 1024;

impl Client {
    /// Opens a stream to publish ticks.
    ///
    /// # Errors
    /// The server has no feed, or does not let this client publish; or every replica was tried once, and refuses the stream or
    /// does not answer in time.
    pub async fn publisher(&self, options: PublisherOptions) -> Result<Publisher, ClientError> {
        let outbox = Outbox::new(options);
        let mut reconnector = Reconnector::new(self.endpoints.clone(), self.settings.clone());
        let open = |replica| PublishStream::open(replica, outbox.greeting(), &self.settings);
        let live = reconnector.open_first(self.replica.clone(), open).await?;
        Ok(Publisher {
            outbox,
            totals: PublishTotals::default(),
            events: VecDeque::new(),
            live: Some(live),
            lost: None,
            reconnector: Some(reconnector),
            attempt: None,
        })
    }
}

impl Publisher {
    /// Queues ticks. Waits while 32 requests of at most 1,000 ticks have no answer.
    ///
    /// # Cancel safety
    /// When the future is dropped, a part of the ticks may be queued: whole requests of 1,000 ticks. Up to 1,000 ticks are
    /// queued together or not at all.
    ///
    /// # Errors
    /// Those of a [`Publisher`]. The rest of the ticks is not queued.
    pub async fn publish(&mut self, ticks: Vec<NewTick>) -> Result<(), ClientError> {
        for ticks in ticks.chunks(Outbox::MOST_TICKS) {
            self.has_room().await?;
            self.outbox.push(ticks);
            self.send();
        }
        Ok(())
    }

    /// Waits for the next event. Without ticks that wait for an answer it may wait for ever.
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    ///
    /// # Errors
    /// Those of a [`Publisher`].
    pub async fn next_event(&mut self) -> Result<PublisherEvent, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.advance().await?;
        }
    }

    /// Waits until every tick has its answer, and ends the stream. Receipts that were not read are counted in the totals.
    ///
    /// # Errors
    /// Those of a [`Publisher`].
    pub async fn finish(mut self) -> Result<PublishTotals, ClientError> {
        while self.outbox.unanswered() > 0 {
            self.advance().await?;
        }
        if let Some(stream) = self.live.take() {
            stream.close().await;
        }
        Ok(self.totals)
    }

    /// Number of ticks that have no answer, or whose receipt was not read.
    pub fn pending(&self) -> u64 {
        let unread = self.events.iter().map(|event| match event {
            PublisherEvent::Receipt(receipt) => receipt.ticks,
            _ => 0,
        });
        self.outbox.unanswered() + unread.sum::<u64>()
    }

    /// What became of all ticks that have an answer.
    pub fn totals(&self) -> PublishTotals {
        self.totals
    }

    /// The name of this publisher, under which the server remembers the numbers of its ticks.
    pub fn id(&self) -> &str {
        self.outbox.publisher_id()
    }

    /// Waits until there is room for a request, and takes what has arrived. Cancel safe.
    async fn has_room(&mut self) -> Result<(), ClientError> {
        loop {
            tokio::select! {
                biased;
                advanced = self.advance() => advanced?,
                () = future::ready(()), if self.outbox.has_room() => return Ok(()),
            }
        }
    }

    /// Waits for an answer, the end of the stream or the end of an attempt to open another one. Cancel safe.
    async fn advance(&mut self) -> Result<(), ClientError> {
        if self.live.is_none()
            && let Some(reconnector) = self.reconnector.take()
        {
            self.reconnect(reconnector);
        }
        tokio::select! {
            biased;
            (reconnector, opened) = attempted(&mut self.attempt) => self.opened(reconnector, opened)?,
            answer = next_of(&mut self.live) => match answer {
                Ok(answer) => self.answered(answer)?,
                Err(error) => self.lose(error)?,
            },
        }
        self.send();
        Ok(())
    }

    /// Gives the stream what it has not been given yet.
    fn send(&mut self) {
        let Some(stream) = &mut self.live else { return };
        while let Some(request) = self.outbox.next_to_send() {
            stream.send(request);
        }
    }

    fn answered(&mut self, answer: PublishStreamResponse) -> Result<(), ClientError> {
        match self.outbox.answered(answer) {
            Ok(receipt) => {
                self.totals.add(&receipt);
                self.push(PublisherEvent::Receipt(receipt));
                Ok(())
            }
            Err(malformed) => {
                let error = self.live.as_ref().map(|stream| stream.malformed(malformed));
                error.map_or(Ok(()), |error| self.lose(error))
            }
        }
    }

    /// Handles the end of the stream.
    fn lose(&mut self, error: ClientError) -> Result<(), ClientError> {
        let Some(stream) = self.live.take() else { return Ok(()) };
        self.outbox.lost();
        self.lost = Some(Instant::now());
        let mut attempt = 1;
        if let Some(reconnector) = &mut self.reconnector {
            reconnector.leave(stream.address(), error.retry_after(), stream.age());
            attempt = reconnector.next_attempt();
        }
        // The next stream is opened with a fresh token, if there is one.
        let has_expired = stream.has_token()
            && error.status().is_some_and(|status| status.code == RpcCode::Unauthenticated);
        if !error.is_retryable() && !has_expired {
            return Err(error);
        }
        self.push(PublisherEvent::Disconnected { cause: in_one_line(&error), attempt });
        Ok(())
    }

    /// Begins an attempt to open another stream.
    fn reconnect(&mut self, mut reconnector: Reconnector) {
        let greeting = self.outbox.greeting();
        self.attempt = Some(Box::pin(async move {
            let opened = match reconnector.connect().await {
                Ok(replica) => PublishStream::open(replica, greeting, reconnector.settings()).await,
                Err(error) => Err(error),
            };
            (reconnector, opened)
        }));
    }

    /// Handles the end of an attempt.
    fn opened(
        &mut self,
        mut reconnector: Reconnector,
        opened: Result<PublishStream, ClientError>,
    ) -> Result<(), ClientError> {
        self.attempt = None;
        let failed = match opened {
            Ok(stream) => {
                reconnector.found();
                let without = self.lost.take().map_or(Duration::ZERO, |lost| lost.elapsed());
                self.push(PublisherEvent::Reconnected { replica: stream.endpoint().clone(), without });
                self.live = Some(stream);
                Ok(())
            }
            Err(error) => reconnector.failed(error).map(|error| {
                let attempt = reconnector.next_attempt();
                self.push(PublisherEvent::Disconnected { cause: in_one_line(&error), attempt });
            }),
        };
        self.reconnector = Some(reconnector);
        failed
    }

    fn push(&mut self, event: PublisherEvent) {
        if self.events.len() == MOST_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("id", &self.id())
            .field("pending", &self.pending())
            .field("totals", &self.totals)
            .field("replica", &self.live.as_ref().map(PublishStream::endpoint))
            .finish_non_exhaustive()
    }
}

async fn next_of(live: &mut Option<PublishStream>) -> Result<PublishStreamResponse, ClientError> {
    match live {
        Some(stream) => stream.next().await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests;
