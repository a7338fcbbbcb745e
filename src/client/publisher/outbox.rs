//! Which requests have no answer, and thus what the next replica is sent again. A state machine without I/O.

use std::collections::VecDeque;

use super::{NewTick, PublisherOptions, Receipt, Rejection};
use crate::{
    client::convert::Malformed,
    contract::v1::{PublishStreamRequest, PublishStreamResponse},
};

/// The requests of a publisher that have no answer, in their order.
pub(super) struct Outbox {
    publisher_id: String,
    /// The number of the next tick.
    next_number: u64,
    /// The id of the next request.
    next_id: u64,
    unanswered: VecDeque<PublishStreamRequest>,
    /// How many of the requests in `unanswered`, from the front, the stream was given.
    sent: usize,
}

impl Outbox {
    /// Largest number of ticks of a request: the limit of the server. They fit into the 128 KiB of a request, because a tick has at
    /// most 113 bytes.
    pub(super) const MOST_TICKS: usize = 1000;
    /// Largest number of requests without an answer.
    pub(super) const MOST_REQUESTS: usize = 32;
    /// The id of the request that opens a stream.
    pub(super) const GREETING: u64 = 0;

    pub(super) fn new(options: PublisherOptions) -> Self {
        Self {
            publisher_id: options.publisher_id,
            next_number: options.first_number.get(),
            next_id: Self::GREETING + 1,
            unanswered: VecDeque::new(),
            sent: 0,
        }
    }

    pub(super) fn publisher_id(&self) -> &str {
        &self.publisher_id
    }

    /// Whether there is room for one more request.
    pub(super) fn has_room(&self) -> bool {
        self.unanswered.len() < Self::MOST_REQUESTS
    }

    /// Number of ticks without an answer.
    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered.iter().map(|request| request.ticks.len() as u64).sum()
    }

    /// The first request of a stream. It has no ticks, so its answer only shows that the server takes ticks of this
    /// publisher.
    pub(super) fn greeting(&self) -> PublishStreamRequest {
        let oldest = self.unanswered.front();
        PublishStreamRequest {
            request_id: Self::GREETING,
            ticks: Vec::new(),
            publisher_id: self.publisher_id.clone(),
            first_number: oldest.map_or(self.next_number, |request| request.first_number),
        }
    }

    /// Adds a request with at most [`Self::MOST_TICKS`] ticks.
    pub(super) fn push(&mut self, ticks: &[NewTick]) {
        self.unanswered.push_back(PublishStreamRequest {
            request_id: self.next_id,
            ticks: ticks.iter().map(|tick| tick.to_message()).collect(),
            publisher_id: self.publisher_id.clone(),
            first_number: self.next_number,
        });
        self.next_id += 1;
        // What would go beyond the largest number has the largest number, and is reported as a duplicate.
        self.next_number = self.next_number.saturating_add(ticks.len() as u64);
    }

    /// The next request that the stream was not given yet.
    pub(super) fn next_to_send(&mut self) -> Option<PublishStreamRequest> {
        let request = self.unanswered.get(self.sent)?.clone();
        self.sent += 1;
        Some(request)
    }

    /// Takes in an answer, which is always to the oldest request.
    ///
    /// # Errors
    /// It is not the answer to that request.
    pub(super) fn answered(&mut self, answer: PublishStreamResponse) -> Result<Receipt, Malformed> {
        let asked = self.unanswered.front().filter(|_| self.sent > 0);
        let asked = asked.filter(|request| request.request_id == answer.request_id);
        let request = asked.ok_or(Malformed("an answer to no request"))?;
        let (ticks, first_number) = (request.ticks.len() as u64, request.first_number);
        let PublishStreamResponse { accepted, rejected, duplicates, rejected_ticks, .. } = answer;
        let counted = [rejected, duplicates].into_iter().try_fold(accepted, u64::checked_add);
        if counted != Some(ticks)
            || rejected != rejected_ticks.len() as u64
            || rejected_ticks.iter().any(|tick| tick.index >= ticks)
        {
            return Err(Malformed("an answer with other counts than those of its request"));
        }
        self.unanswered.pop_front();
        self.sent -= 1;
        let rejected = rejected_ticks.into_iter().map(|tick| Rejection::of(tick, first_number)).collect();
        Ok(Receipt { first_number, ticks, accepted, duplicates, rejected })
    }

    /// The stream is lost: the next one is given every request without an answer.
    pub(super) fn lost(&mut self) {
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests;
