//! One stream of ticks.

use std::{future, time::Duration};

use clap::ValueEnum;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{Client, ClientError, Endpoint, Event, error::said};
use crate::contract::v1::{self, TickerStreamRequest, TickerStreamResponse, ticker_stream_request::Verb};

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

/// What a client is sent while it cannot keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Delivery {
    /// The newest tick of each symbol.
    #[default]
    Latest,
    /// Every tick, in order.
    EveryTick,
}

/// A stream of events. Dropping it ends the stream.
#[derive(Debug)]
pub struct Subscription {
    endpoint: Endpoint,
    responses: Streaming<TickerStreamResponse>,
    /// Held, because the requests end with it.
    _requests: mpsc::Sender<TickerStreamRequest>,
    unanswered: usize,
}

/// The most symbols in one request.
const SYMBOLS: usize = 1000;
/// The most events in one batch.
const BATCH: usize = 1024;

impl Subscription {
    pub(super) async fn open(client: &Client, wanted: &Wanted) -> Result<Self, ClientError> {
        let verbs: Vec<_> = wanted.symbols.chunks(SYMBOLS).map(|symbols| wanted.verb(symbols)).collect();
        let unanswered = verbs.len();
        let (requests, outgoing) = mpsc::channel(unanswered.max(1));
        for (request_id, verb) in (1..).zip(verbs) {
            let request = TickerStreamRequest { request_id, verb: Some(verb) };
            // There is room for each of them, and the other end is in this function.
            let _ = requests.try_send(request);
        }
        let mut service = client.service();
        let responses = client.answered(service.ticker_stream(ReceiverStream::new(outgoing))).await?;
        Ok(Self { endpoint: client.endpoint.clone(), responses, _requests: requests, unanswered })
    }

    /// Waits for an event, and adds it to `events` with those that are there already.
    ///
    /// # Errors
    /// The server ended the stream, the connection broke, or the server broke the contract. The events before
    /// that are in `events`.
    ///
    /// # Cancel safety
    /// No event is lost when the future is dropped.
    pub async fn next_batch(&mut self, events: &mut Vec<Event>) -> Result<(), ClientError> {
        let enough = events.len() + BATCH;
        let waiting = events.len();
        while events.len() < enough {
            let message = tokio::select! {
                biased;
                message = self.responses.message() => message,
                () = future::ready(()), if events.len() > waiting => return Ok(()),
            };
            let ended = |said| ClientError::Ended { endpoint: self.endpoint.clone(), said };
            let message = message
                .map_err(|status| ended(said(&status)))?
                .ok_or_else(|| ended("without a reason".to_owned()))?;
            let event = Event::of(message).map_err(|malformed| ClientError::Malformed {
                endpoint: self.endpoint.clone(),
                what: malformed.0,
            })?;
            if let Some(Event::Answer { .. }) = event {
                self.unanswered = self.unanswered.saturating_sub(1);
            }
            events.extend(event);
        }
        Ok(())
    }

    /// How many requests the server has not answered yet.
    pub fn unanswered(&self) -> usize {
        self.unanswered
    }
}

impl Wanted {
    fn verb(&self, symbols: &[String]) -> Verb {
        let delivery = match self.delivery {
            Delivery::Latest => v1::Delivery::Latest,
            Delivery::EveryTick => v1::Delivery::EveryTick,
        };
        Verb::Subscribe(v1::Subscription {
            symbols: symbols.to_vec(),
            delivery: delivery.into(),
            // More than protobuf can hold is more than any server allows.
            min_interval: self.min_interval.map(|least| least.try_into().unwrap_or(FOREVER)),
            ..Default::default()
        })
    }
}

const FOREVER: prost_types::Duration = prost_types::Duration { seconds: 315_576_000_000, nanos: 0 };
