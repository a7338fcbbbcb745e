//! Messages of the stream in their order, once each.

use std::time::Duration;

use async_nats::{
    Client, StatusCode, Subscriber,
    datetime::from_nanos,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, push},
    },
};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::subject;
use crate::tick::Time;

/// A message.
pub(super) struct Entry {
    pub(super) subject: String,
    /// Its sequence in the stream.
    pub(super) sequence: u64,
    /// When the stream got it.
    pub(super) stored: Time,
    /// Number of messages that the stream has after it.
    pub(super) pending: u64,
    pub(super) payload: bytes::Bytes,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// With the first message of this time or later.
    Time(Time),
    /// With the first message after this one.
    After(u64),
    /// With the last message of each subject, and no other one before the end.
    LastOfEach,
}

/// Gives messages in their order until one is missing.
pub(super) struct Consumer {
    context: jetstream::Context,
    client: Client,
    messages: Subscriber,
    /// Number of messages so far.
    count: u64,
    /// Number of messages that waited when it began.
    pub(super) pending: u64,
}

const HEARTBEAT: Duration = Duration::from_secs(2);
/// Without any message for this time, the consumer is lost.
const SILENCE: Duration = Duration::from_secs(6);

impl Consumer {
    /// Begins to read a stream.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub(super) async fn open(
        context: &jetstream::Context,
        stream: &str,
        start: Start,
    ) -> Result<Self, async_nats::Error> {
        let client = context.client();
        let deliver_subject = client.new_inbox();
        let messages = client.subscribe(deliver_subject.clone()).await?;
        let deliver_policy = match start {
            Start::Time(time) => DeliverPolicy::ByStartTime { start_time: from_nanos(time.nanos().into())? },
            Start::After(sequence) => DeliverPolicy::ByStartSequence { start_sequence: sequence + 1 },
            Start::LastOfEach => DeliverPolicy::LastPerSubject,
        };
        let config = push::Config {
            deliver_subject,
            deliver_policy,
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            filter_subject: subject::all(stream),
            flow_control: true,
            idle_heartbeat: HEARTBEAT,
            memory_storage: true,
            num_replicas: 1,
            ..push::Config::default()
        };
        let made = context.create_consumer_on_stream(config, stream).await?;
        let pending = made.cached_info().num_pending;
        // What was delivered before the answer was given is not counted as pending.
        let pending = pending + made.cached_info().delivered.consumer_sequence;
        Ok(Self { context: context.clone(), client, messages, count: 0, pending })
    }

    /// Waits for the next message; `None` when nothing has waited to be read for some time.
    ///
    /// # Errors
    /// Messages may be missing from now on, for the reason that is returned.
    ///
    /// # Cancel safety
    /// Cancel safe, except that an answer to the server may be left out, which then waits for a heartbeat.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, &'static str> {
        loop {
            let message = timeout(SILENCE, self.messages.next()).await.map_err(|_| "the server is silent")?;
            let message = message.ok_or("the subscription has ended")?;
            match message.status {
                None => return self.entry(message).map(Some),
                Some(StatusCode::IDLE_HEARTBEAT) => {
                    if !self.heed(&message).await? {
                        return Ok(None);
                    }
                }
                Some(_) => return Err("the consumer has ended"),
            }
        }
    }

    /// Reads a message, which must be the next one.
    fn entry(&mut self, message: async_nats::Message) -> Result<Entry, &'static str> {
        let message = jetstream::Message { message, context: self.context.clone() };
        let info = message.info().map_err(|_| "a message has no metadata")?;
        if info.consumer_sequence != self.count + 1 {
            return Err("messages are missing");
        }
        self.count += 1;
        let stored = u64::try_from(info.published.unix_timestamp_nanos()).unwrap_or_default();
        let (sequence, stored, pending) = (info.stream_sequence, Time::from_nanos(stored), info.pending);
        let async_nats::Message { subject, payload, .. } = message.message;
        Ok(Entry { subject: subject.to_string(), sequence, stored, pending, payload })
    }

    /// Looks whether a message is missing, and answers a question of flow control. Returns whether there was one.
    async fn heed(&mut self, message: &async_nats::Message) -> Result<bool, &'static str> {
        let headers = message.headers.as_ref();
        let header = |name| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str());
        let asks = message.reply.as_ref().map(|reply| reply.to_string());
        let to = asks.or_else(|| header("Nats-Consumer-Stalled").map(str::to_owned));
        let was_asked = to.is_some();
        if let Some(to) = to {
            let answered = self.client.publish(to, bytes::Bytes::new()).await;
            answered.map_err(|_| "the connection has ended")?;
        }
        match header("Nats-Last-Consumer").and_then(|last| last.parse::<u64>().ok()) {
            Some(last) if last != self.count => Err("messages are missing"),
            _ => Ok(was_asked),
        }
    }
}
