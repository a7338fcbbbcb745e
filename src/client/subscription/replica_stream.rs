//! One stream of one replica.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::resume::Requests;
use crate::{
    client::{ClientError, Endpoint, Settings, message::Message, replica::Replica},
    contract::v1::{Ping, TickerStreamRequest, TickerStreamResponse, ticker_stream_request::Verb},
};

/// A stream that is open, and what it was asked for.
pub(super) struct ReplicaStream {
    replica: Replica,
    responses: Streaming<TickerStreamResponse>,
    /// The requests end with it, and the stream, and the connection. A watch has none.
    requests: Option<mpsc::Sender<TickerStreamRequest>>,
    /// The symbols of each request that has no answer yet.
    asked: VecDeque<Vec<String>>,
    opened: Instant,
    silence: Duration,
    /// Looks for signs of life, a few times in each silence.
    watchdog: Interval,
    /// How often it has looked in vain.
    quiet: u32,
}

impl ReplicaStream {
    /// The watchdog looks so often before it takes a stream for dead.
    const LOOKS: u32 = 4;
    /// After so many it asks for a sign of life: not every server has a heartbeat that is fast enough.
    const PATIENT: u32 = 2;
    /// A stream that has lived for so long was a good one.
    const LIVED: Duration = Duration::from_secs(1);

    /// Opens a stream and waits for its first message.
    pub(super) async fn open(
        replica: Replica,
        requests: Requests,
        settings: &Settings,
    ) -> Result<(Self, Message), ClientError> {
        let (asked, held, responses) = match requests {
            Requests::TickerStream(subscriptions) => {
                let asked = subscriptions.iter().map(|request| request.symbols.clone()).collect();
                let (held, outgoing) = mpsc::channel(subscriptions.len().max(1));
                for (request_id, request) in (1..).zip(subscriptions) {
                    // There is room for each of them, and the other end is in this function.
                    let _ = held
                        .try_send(TickerStreamRequest { request_id, verb: Some(Verb::Subscribe(request)) });
                }
                let call = replica.ticker_stream(ReceiverStream::new(outgoing));
                (asked, Some(held), call.await?)
            }
            Requests::Watch(request) => {
                (VecDeque::from([request.symbols.clone()]), None, replica.watch(request).await?)
            }
        };
        // An interval of nothing is none.
        let looks = (settings.silence / Self::LOOKS).max(Duration::from_millis(1));
        let mut watchdog = interval_at(Instant::now() + looks, looks);
        // Who does not listen for a while must not take that for silence.
        watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stream = Self {
            replica,
            responses,
            requests: held,
            asked,
            opened: Instant::now(),
            silence: settings.silence,
            watchdog,
            quiet: 0,
        };
        let first = timeout(settings.answer, stream.next()).await;
        let first = first.map_err(|_| stream.replica.silent(settings.answer))??;
        Ok((stream, first))
    }

    /// The symbols of the request that the next result answers: results come in the order of the requests.
    pub(super) fn answered(&mut self) -> Vec<String> {
        self.asked.pop_front().unwrap_or_default()
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.replica.endpoint
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.replica.address
    }

    /// Whether it was worth opening.
    pub(super) fn has_lived(&self) -> bool {
        self.opened.elapsed() >= Self::LIVED
    }

    /// Waits for the next message. Cancel safe.
    ///
    /// # Errors
    /// The stream is over: it ended, broke, went silent, or the replica broke the contract.
    pub(super) async fn next(&mut self) -> Result<Message, ClientError> {
        let received = loop {
            tokio::select! {
                biased;
                received = self.responses.message() => break received,
                _ = self.watchdog.tick() => {
                    self.quiet += 1;
                    if self.quiet >= Self::LOOKS {
                        return Err(self.replica.silent(self.silence));
                    }
                    if self.quiet >= Self::PATIENT && let Some(requests) = &self.requests {
                        // When there is no room, the one before is still on its way.
                        let _ = requests.try_send(TickerStreamRequest { request_id: 0, verb: Some(Verb::Ping(Ping {})) });
                    }
                }
            }
        };
        self.quiet = 0;
        let ended =
            |status| ClientError::Ended { endpoint: self.replica.endpoint.clone(), status: Box::new(status) };
        match received {
            Ok(Some(message)) => {
                Message::of(message).map_err(|malformed| self.replica.malformed(malformed.0))
            }
            Ok(None) => Err(ended(tonic::Status::ok("without a reason"))),
            Err(status) => Err(ended(status)),
        }
    }
}
