//! Ticks of a service, whichever of its replicas they come from.

mod progress;
mod stream;

use std::{future, time::Duration};

use clap::ValueEnum;
use tokio::time::Instant;

use self::{
    progress::{Progress, Unfit},
    stream::Stream,
};
use super::{
    Client, ClientError, Event, Settings, Tape, error::told, message::Message, network::Task,
    replica::Replica, seeker::Seeker,
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
pub struct Replay {
    /// The first time.
    pub from: Time,
    /// The first time that is not wanted any more; without it the replay goes on into live ticks.
    pub to: Option<Time>,
    /// 1 is as it took place, 10 is ten times as fast, 0 is as fast as this program takes it.
    pub speed: f64,
}

/// What a client is sent while it cannot keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
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
    progress: Progress,
    tape: Tape,
    /// The stream that is read.
    live: Option<Stream>,
    /// Since when there is none.
    lost: Option<Instant>,
    /// Knows where to go next; while an attempt is being made it is there.
    seeker: Option<Seeker>,
    attempt: Option<Task<(Seeker, Opened)>>,
    /// The first message of the first stream, until it is asked for.
    first: Option<Message>,
    /// Nothing will come any more.
    over: bool,
}

/// A stream and its first message.
type Opened = Result<(Stream, Message), ClientError>;

/// The most events in one batch.
const BATCH: usize = 1024;

impl Subscription {
    /// Opens the first stream: at the replica that the client is connected to, or at the first other one that will do.
    pub(super) async fn open(
        client: &Client,
        wanted: &Wanted,
        replay: Option<Replay>,
    ) -> Result<Self, ClientError> {
        if wanted.symbols.is_empty() {
            return Err(ClientError::Nothing("subscribe to"));
        }
        let mut progress = Progress::new(wanted.clone(), replay);
        let mut seeker = Seeker::new(client.endpoints.clone(), client.settings.clone());
        let mut opened = begin(client.replica.clone(), &progress, &client.settings).await;
        while let Err(error) = opened {
            if !error.heals() {
                return Err(error);
            }
            opened = match seeker.connect().await {
                Ok(replica) => begin(replica, &progress, &client.settings).await,
                Err(error) => Err(error),
            };
            opened = match opened {
                Err(error) => Err(seeker.failed(error)?),
                opened => opened,
            };
        }
        let (tape, (stream, first)) = opened?;
        progress.since(tape.time);
        seeker.found();
        Ok(Self {
            progress,
            tape,
            live: Some(stream),
            lost: None,
            seeker: Some(seeker),
            attempt: None,
            first: Some(first),
            over: false,
        })
    }

    /// Waits for an event, and adds it to `events` with those that are there already. After [`Event::End`] there is
    /// none, however long one waits.
    ///
    /// # Errors
    /// No replica can go on, or the service has a reason that will not heal, or it broke the contract. The events
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
                && let Some(seeker) = self.seeker.take()
            {
                self.seek(seeker);
            }
            tokio::select! {
                biased;
                // A stream that never pauses must not keep the next one waiting.
                (seeker, opened) = attempted(&mut self.attempt) => self.opened(seeker, opened, events)?,
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
        self.progress.unanswered()
    }

    /// The tape that is played, as the first replica has told of it.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    fn heard(&mut self, message: Message, events: &mut Vec<Event>) -> Result<(), ClientError> {
        let Some(stream) = &mut self.live else { return Ok(()) };
        let draining = message == Message::Draining;
        if let Err(unfit) = self.progress.take(message, || stream.answered(), events) {
            let error = unfit.of(stream);
            return self.lose(error, events);
        }
        if draining
            && let Some(mut seeker) = self.seeker.take_if(|seeker| seeker.settings().make_before_break)
        {
            seeker.leave(stream.address(), None, stream.has_lived());
            self.seek(seeker);
        }
        Ok(())
    }

    /// The stream that was read is over.
    fn lose(&mut self, error: ClientError, events: &mut Vec<Event>) -> Result<(), ClientError> {
        let Some(stream) = self.live.take() else { return Ok(()) };
        if self.progress.has_end() && error.is_end() {
            self.over = true;
            self.attempt = None;
            events.push(Event::End);
            return Ok(());
        }
        self.lost = Some(Instant::now());
        let mut attempt = 1;
        // Without it, the search for another stream is on already.
        if let Some(seeker) = &mut self.seeker {
            seeker.leave(stream.address(), error.retry_after(), stream.has_lived());
            attempt = seeker.next_attempt();
            if !error.heals() {
                return Err(error);
            }
        }
        events.push(Event::Disconnected { cause: told(&error), attempt });
        Ok(())
    }

    fn seek(&mut self, mut seeker: Seeker) {
        let requests = self.progress.requests();
        self.attempt = Some(Box::pin(async move {
            let opened = match seeker.connect().await {
                Ok(replica) => Stream::open(replica, requests, seeker.settings()).await,
                Err(error) => Err(error),
            };
            (seeker, opened)
        }));
    }

    /// An attempt is over.
    fn opened(
        &mut self,
        mut seeker: Seeker,
        opened: Opened,
        events: &mut Vec<Event>,
    ) -> Result<(), ClientError> {
        self.attempt = None;
        let accepted = opened.and_then(|(mut stream, first)| {
            let without = self.lost.map_or(Duration::ZERO, |lost| lost.elapsed());
            let mut news = vec![Event::Reconnected { replica: stream.endpoint().clone(), without }];
            let taken = self.progress.take(first, || stream.answered(), &mut news);
            taken.map_err(|unfit| unfit.of(&stream))?;
            events.append(&mut news);
            Ok(stream)
        });
        match accepted.map_err(|error| seeker.failed(error)) {
            Ok(stream) => {
                seeker.found();
                self.seeker = Some(seeker);
                // The one before, if it is open still, has said what there was to say.
                self.live = Some(stream);
                self.lost = None;
            }
            Err(Ok(error)) => {
                if self.live.is_none() {
                    events.push(Event::Disconnected { cause: told(&error), attempt: seeker.next_attempt() });
                }
                self.seek(seeker);
            }
            Err(Err(error)) => {
                self.seeker = Some(seeker);
                // A replica that is about to stop is still better than none.
                if self.live.is_none() {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl Unfit {
    fn of(self, stream: &Stream) -> ClientError {
        ClientError::Unfit { endpoint: stream.endpoint().clone(), said: self.0 }
    }
}

/// The first stream, at this replica, and the tape that it played before.
async fn begin(
    replica: Replica,
    progress: &Progress,
    settings: &Settings,
) -> Result<(Tape, (Stream, Message)), ClientError> {
    let tape = replica.tape().await?;
    Ok((tape, Stream::open(replica, progress.requests(), settings).await?))
}

async fn attempted(attempt: &mut Option<Task<(Seeker, Opened)>>) -> (Seeker, Opened) {
    match attempt {
        Some(attempt) => attempt.await,
        None => future::pending().await,
    }
}

async fn next_of(live: &mut Option<Stream>) -> Result<Message, ClientError> {
    match live {
        Some(stream) => stream.next().await,
        None => future::pending().await,
    }
}
