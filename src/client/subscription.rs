//! Ticks of a service, whichever of its replicas they come from.

mod replica_stream;
mod resume;

use std::{future, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};

use self::{
    replica_stream::ReplicaStream,
    resume::{ResumeState, Unsuitable},
};
use super::{
    Client, ClientError, Event, Settings, TapeInfo, error::told, message::Message, network::Task,
    reconnect::Reconnector, replica::Replica,
};
use crate::tick::Time;

/// What to subscribe to.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Symbols; `*` stands for every instrument.
    pub symbols: Vec<String>,
    /// What to send to a client that falls behind.
    pub delivery: Delivery,
    /// The least time between two ticks of one symbol.
    pub min_interval: Option<Duration>,
}

/// Which past to replay, and how fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReplayOptions {
    /// The first time.
    pub from: Time,
    /// The first time that is not wanted any more; without it the replay goes on into live ticks.
    pub to: Option<Time>,
    /// 1 is as it took place, 10 is ten times as fast, 0 is as fast as this program takes it.
    pub speed: f64,
}

/// What a client is sent while it cannot keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// The newest tick of each symbol.
    #[default]
    Latest,
    /// Every tick, in order.
    EveryTick,
}

/// A stream of events that outlives its connections. Dropping it ends the stream.
///
/// When its replica goes away it goes on at another one, after the last tick of each symbol. With
/// [`Delivery::EveryTick`] every tick of a symbol comes exactly once and in order, or [`Event::Gap`] says which did
/// not; with [`Delivery::Latest`] the ticks that come and their `conflated` add up to the difference in sequence.
pub struct Subscription {
    resume: ResumeState,
    tape: TapeInfo,
    /// The stream that is read.
    live: Option<ReplicaStream>,
    /// Since when there is none.
    lost: Option<Instant>,
    /// Knows where to go next; while an attempt is being made it is there. At the end there is neither.
    reconnector: Option<Reconnector>,
    attempt: Option<Task<(Reconnector, Opened)>>,
    /// Ends the wait of the attempt.
    retry_now: Arc<Notify>,
    /// The first message of the first stream, until it is asked for.
    first: Option<Message>,
}

/// A stream and its first message.
type Opened = Result<(ReplicaStream, Message), ClientError>;

/// The most events in one batch.
const BATCH: usize = 1024;

impl Subscription {
    /// Opens the first stream: at the replica that the client is connected to, or at the first other one that will do.
    pub(super) async fn open(
        client: &Client,
        wanted: &Wanted,
        replay: Option<ReplayOptions>,
    ) -> Result<Self, ClientError> {
        if wanted.symbols.is_empty() {
            return Err(ClientError::Nothing("subscribe to"));
        }
        let mut resume = ResumeState::new(wanted.clone(), replay);
        let mut reconnector = Reconnector::new(client.endpoints.clone(), client.settings.clone());
        let mut opened = begin(client.replica.clone(), &resume, &client.settings).await;
        while let Err(error) = opened {
            if !error.is_retryable() {
                return Err(error);
            }
            opened = match reconnector.connect().await {
                Ok(replica) => begin(replica, &resume, &client.settings).await,
                Err(error) => Err(error),
            };
            opened = match opened {
                Err(error) => Err(reconnector.failed(error)?),
                opened => opened,
            };
        }
        let (tape, (stream, first)) = opened?;
        resume.since(tape.time);
        reconnector.found();
        Ok(Self {
            resume,
            tape,
            live: Some(stream),
            lost: None,
            retry_now: reconnector.retry_now(),
            reconnector: Some(reconnector),
            attempt: None,
            first: Some(first),
        })
    }

    /// Waits for an event, and adds it to `events` with those that are there already. After [`Event::End`] there is
    /// none, however long one waits.
    ///
    /// # Errors
    /// No replica can go on, or the service has a reason that is not retryable, or it broke the contract. The events
    /// before that are in `events`. To call it again is to try again.
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    pub async fn next_batch(&mut self, events: &mut Vec<Event>) -> Result<(), ClientError> {
        let waiting = events.len();
        if let Some(first) = self.first.take() {
            self.heard(first, events)?;
        }
        while events.len() < waiting + BATCH {
            if self.live.is_none()
                && let Some(reconnector) = self.reconnector.take()
            {
                self.seek(reconnector);
            }
            tokio::select! {
                biased;
                // A stream that never pauses must not keep the next one waiting.
                (reconnector, opened) = attempted(&mut self.attempt) => self.opened(reconnector, opened, events)?,
                message = next_of(&mut self.live) => match message {
                    Ok(message) => self.heard(message, events)?,
                    Err(error) => self.lose(error, events)?,
                },
                () = future::ready(()), if events.len() > waiting => return Ok(()),
            }
        }
        Ok(())
    }

    /// How many symbols have not been part of an [`Event::Answer`] yet.
    pub fn unanswered(&self) -> usize {
        self.resume.unanswered()
    }

    /// Makes the attempt to reconnect that is waiting for its backoff now. Without one, it does nothing.
    ///
    /// The attempt itself is made by [`Self::next_batch`].
    pub fn retry_now(&self) {
        self.retry_now.notify_waiters();
    }

    /// The tape that is played, as the first replica has told of it.
    pub fn tape(&self) -> &TapeInfo {
        &self.tape
    }

    fn heard(&mut self, message: Message, events: &mut Vec<Event>) -> Result<(), ClientError> {
        let Some(stream) = &mut self.live else { return Ok(()) };
        let draining = message == Message::Draining;
        if let Err(unsuitable) = self.resume.take(message, || stream.answered(), events) {
            let error = unsuitable.of(stream);
            return self.lose(error, events);
        }
        if draining
            && let Some(mut reconnector) =
                self.reconnector.take_if(|reconnector| reconnector.settings().make_before_break)
        {
            reconnector.leave(stream.address(), None, stream.has_lived());
            self.seek(reconnector);
        }
        Ok(())
    }

    /// The stream that was read is over.
    fn lose(&mut self, error: ClientError, events: &mut Vec<Event>) -> Result<(), ClientError> {
        let Some(stream) = self.live.take() else { return Ok(()) };
        if self.resume.has_end() && error.is_end() {
            (self.reconnector, self.attempt) = (None, None);
            events.push(Event::End);
            return Ok(());
        }
        self.lost = Some(Instant::now());
        let mut attempt = 1;
        // Without it, the search for another stream is on already.
        if let Some(reconnector) = &mut self.reconnector {
            reconnector.leave(stream.address(), error.retry_after(), stream.has_lived());
            attempt = reconnector.next_attempt();
            if !error.is_retryable() {
                return Err(error);
            }
        }
        events.push(Event::Disconnected { cause: told(&error), attempt });
        Ok(())
    }

    fn seek(&mut self, mut reconnector: Reconnector) {
        let requests = self.resume.requests();
        self.attempt = Some(Box::pin(async move {
            let opened = match reconnector.connect().await {
                Ok(replica) => ReplicaStream::open(replica, requests, reconnector.settings()).await,
                Err(error) => Err(error),
            };
            (reconnector, opened)
        }));
    }

    /// An attempt is over.
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
                // The one before, if it is open still, has said what there was to say.
                self.live = Some(stream);
                self.lost = None;
            }
            Err(Ok(error)) => {
                if self.live.is_none() {
                    events.push(Event::Disconnected {
                        cause: told(&error),
                        attempt: reconnector.next_attempt(),
                    });
                }
                self.seek(reconnector);
            }
            Err(Err(error)) => {
                self.reconnector = Some(reconnector);
                // A replica that is about to stop is still better than none.
                if self.live.is_none() {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Unsuitable {
    fn of(self, stream: &ReplicaStream) -> ClientError {
        ClientError::Unsuitable { endpoint: stream.endpoint().clone(), said: self.0 }
    }
}

/// The first stream, at this replica, and the tape that it played before.
async fn begin(
    replica: Replica,
    resume: &ResumeState,
    settings: &Settings,
) -> Result<(TapeInfo, (ReplicaStream, Message)), ClientError> {
    let tape = replica.tape().await?;
    Ok((tape, ReplicaStream::open(replica, resume.requests(), settings).await?))
}

async fn attempted(attempt: &mut Option<Task<(Reconnector, Opened)>>) -> (Reconnector, Opened) {
    match attempt {
        Some(attempt) => attempt.await,
        None => future::pending().await,
    }
}

async fn next_of(live: &mut Option<ReplicaStream>) -> Result<Message, ClientError> {
    match live {
        Some(stream) => stream.next().await,
        None => future::pending().await,
    }
}
