//! A stream of ticks to one replica.

use std::{future, net::SocketAddr, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::outbox::Outbox;
use crate::{
    client::{ClientError, Endpoint, Settings, convert::Malformed, replica::Replica},
    contract::v1::{PublishStreamRequest, PublishStreamResponse},
};

/// An open stream, which the replica has answered once.
pub(super) struct PublishStream {
    replica: Replica,
    requests: mpsc::Sender<PublishStreamRequest>,
    answers: Streaming<PublishStreamResponse>,
    opened: Instant,
    has_token: bool,
    answer_timeout: Duration,
    silence_timeout: Duration,
    /// Number of requests without an answer, and when the next answer must be there.
    awaited: usize,
    answer_by: Option<Instant>,
}

impl PublishStream {
    /// Opens a stream and waits until the replica has answered its first request.
    pub(super) async fn open(
        replica: Replica,
        greeting: PublishStreamRequest,
        settings: &Settings,
    ) -> Result<Self, ClientError> {
        let token = replica.token().await?;
        let has_token = token.is_some();
        let (requests, outgoing) = mpsc::channel(Outbox::MOST_REQUESTS + 1);
        // The channel has room, and its other end is in this function.
        let _ = requests.try_send(greeting);
        let answers = replica.publish_stream(token, ReceiverStream::new(outgoing)).await?;
        let mut stream = Self {
            replica,
            requests,
            answers,
            opened: Instant::now(),
            has_token,
            answer_timeout: settings.answer_timeout,
            silence_timeout: settings.silence_timeout,
            awaited: 0,
            answer_by: None,
        };
        let answer = timeout(settings.answer_timeout, stream.next()).await;
        let answer = answer.map_err(|_| stream.replica.timed_out(settings.answer_timeout))??;
        match answer.request_id {
            Outbox::GREETING => Ok(stream),
            _ => Err(stream.malformed(Malformed("an answer to no request"))),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.replica.endpoint
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.replica.address
    }

    /// Whether the stream was opened with a token.
    pub(super) fn has_token(&self) -> bool {
        self.has_token
    }

    /// Time since the stream was opened.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    pub(super) fn malformed(&self, malformed: Malformed) -> ClientError {
        self.replica.malformed(malformed)
    }

    /// Sends a request. At most [`Outbox::MOST_REQUESTS`] have no answer.
    pub(super) fn send(&mut self, request: PublishStreamRequest) {
        // There is room for every request without an answer. When the stream has ended, `next` says why.
        let _ = self.requests.try_send(request);
        self.awaited += 1;
        self.answer_by.get_or_insert_with(|| Instant::now() + self.silence_timeout);
    }

    /// Waits for the next answer. Cancel safe.
    ///
    /// # Errors
    /// The stream is over: it ended, or no answer came for the silence timeout although one is awaited.
    pub(super) async fn next(&mut self) -> Result<PublishStreamResponse, ClientError> {
        let received = tokio::select! {
            // First, so that an answer that waited for its reader does not count as late.
            biased;
            received = self.answers.message() => received,
            () = reached(self.answer_by) => return Err(self.replica.timed_out(self.silence_timeout)),
        };
        self.awaited = self.awaited.saturating_sub(1);
        self.answer_by = (self.awaited > 0).then(|| Instant::now() + self.silence_timeout);
        match received {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.replica.ended(&Status::ok("without a reason"))),
            Err(status) => Err(self.replica.ended(&status)),
        }
    }

    /// Half-closes the stream, all of whose requests are answered, and waits for its end.
    pub(super) async fn close(self) {
        let Self { requests, mut answers, answer_timeout, .. } = self;
        drop(requests);
        // Everything is stored, however the stream ends.
        let _ = timeout(answer_timeout, answers.message()).await;
    }
}

/// Waits until a time; without one for ever.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => future::pending().await,
    }
}
