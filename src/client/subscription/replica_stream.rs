//! A stream of one replica.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::resume::Requests;
use crate::{
    client::{ClientError, Endpoint, Settings, Task, message::Message, replica::Replica},
    contract::v1::{
        Authenticate, Ping, TickerStreamRequest, TickerStreamResponse, ticker_stream_request::Verb,
    },
};

/// An open stream, and the requests that have no answer yet.
pub(super) struct ReplicaStream {
    replica: Replica,
    responses: Streaming<TickerStreamResponse>,
    /// Sends requests; dropping it ends the stream. A watch takes no requests.
    requests: Option<mpsc::Sender<TickerStreamRequest>>,
    /// The symbols of each request that has no answer yet.
    asked: VecDeque<Vec<String>>,
    opened: Instant,
    silence_timeout: Duration,
    /// Ticks [`Self::CHECKS`] times in each silence timeout.
    watchdog: Interval,
    /// Ticks of the watchdog since the last message.
    missed: u32,
    /// The token of the stream.
    token: Option<String>,
    /// Waits for a fresh token.
    renewal: Option<Task<Option<String>>>,
}

impl ReplicaStream {
    /// Ticks of the watchdog without a message after which the stream is given up.
    const CHECKS: u32 = 4;
    /// Ticks of the watchdog without a message after which the client sends a ping, because the server's heartbeat may be
    /// slower than the silence timeout.
    const CHECKS_BEFORE_PING: u32 = 2;

    /// Opens a stream and waits for its first message.
    pub(super) async fn open(
        replica: Replica,
        requests: Requests,
        settings: &Settings,
    ) -> Result<(Self, Message), ClientError> {
        let token = replica.token().await?;
        let (asked, held, responses) = match requests {
            Requests::TickerStream(subscriptions) => {
                let asked = subscriptions.iter().map(|request| request.symbols.clone()).collect();
                let (held, outgoing) = mpsc::channel(subscriptions.len().max(1));
                for (request_id, request) in (1..).zip(subscriptions) {
                    // The channel has room for each request, and its other end is in this function.
                    let _ = held
                        .try_send(TickerStreamRequest { request_id, verb: Some(Verb::Subscribe(request)) });
                }
                let call = replica.ticker_stream(token.clone(), ReceiverStream::new(outgoing));
                (asked, Some(held), call.await?)
            }
            Requests::Watch(request) => {
                let asked = VecDeque::from([request.symbols.clone()]);
                (asked, None, replica.watch(token.clone(), request).await?)
            }
        };
        // An interval must not be zero.
        let period = (settings.silence_timeout / Self::CHECKS).max(Duration::from_millis(1));
        let mut watchdog = interval_at(Instant::now() + period, period);
        // A caller that does not read for a while must not take that for silence of the server.
        watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stream = Self {
            replica,
            responses,
            requests: held,
            asked,
            opened: Instant::now(),
            silence_timeout: settings.silence_timeout,
            watchdog,
            missed: 0,
            token,
            renewal: None,
        };
        let first = timeout(settings.answer_timeout, stream.next()).await;
        let first = first.map_err(|_| stream.replica.timed_out(settings.answer_timeout))??;
        Ok((stream, first))
    }

    /// The symbols of the request that the next result answers. Results come in the order of the requests.
    pub(super) fn answered(&mut self) -> Vec<String> {
        self.asked.pop_front().unwrap_or_default()
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.replica.endpoint
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.replica.address
    }

    /// Time since the stream was opened.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Waits for the next message. Cancel safe.
    ///
    /// # Errors
    /// The stream is over: it ended, nothing came for the silence timeout, or the replica broke the contract.
    pub(super) async fn next(&mut self) -> Result<Message, ClientError> {
        loop {
            match self.receive().await? {
                Message::TokenExpiring => {
                    let (replica, used) = (self.replica.clone(), self.token.clone());
                    self.renewal = Some(Box::pin(async move { replica.token_other_than(used).await }));
                }
                Message::Authenticated(true) => {}
                message => return Ok(message),
            }
        }
    }

    async fn receive(&mut self) -> Result<Message, ClientError> {
        let received = loop {
            tokio::select! {
                biased;
                received = self.responses.message() => break received,
                token = renewed(&mut self.renewal) => {
                    self.renewal = None;
                    self.token.clone_from(&token);
                    let verb = token.map(|token| Verb::Authenticate(Authenticate { token }));
                    let authenticate = TickerStreamRequest { request_id: 0, verb };
                    // A watch takes no requests, and a stream without room does not take this one: another stream is opened
                    // with the fresh token.
                    if self.requests.as_ref().is_none_or(|requests| requests.try_send(authenticate).is_err()) {
                        return Ok(Message::Authenticated(false));
                    }
                }
                _ = self.watchdog.tick() => {
                    self.missed += 1;
                    if self.missed >= Self::CHECKS {
                        return Err(self.replica.timed_out(self.silence_timeout));
                    }
                    if self.missed >= Self::CHECKS_BEFORE_PING && let Some(requests) = &self.requests {
                        // Without room, an earlier request is still on its way.
                        let _ = requests.try_send(TickerStreamRequest { request_id: 0, verb: Some(Verb::Ping(Ping {})) });
                    }
                }
            }
        };
        self.missed = 0;
        match received {
            Ok(Some(message)) => Message::of(message).map_err(|malformed| self.replica.malformed(malformed)),
            Ok(None) => Err(self.replica.ended(&Status::ok("without a reason"))),
            Err(status) => Err(self.replica.ended(&status)),
        }
    }
}

async fn renewed(renewal: &mut Option<Task<Option<String>>>) -> Option<String> {
    match renewal {
        Some(renewal) => renewal.await,
        None => std::future::pending().await,
    }
}
