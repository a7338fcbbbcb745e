//! Ticks of the stream that have left the window.

use std::{sync::Arc, time::Duration};

use async_nats::{
    Client,
    connection::State as ConnectionState,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        stream::{Info, RawMessageErrorKind, Stream},
    },
};
use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_stream::StreamExt;

use super::{message, subject};
use crate::{
    feed::{
        FeedError,
        row::Row,
        stored::{StoredPart, StoredTicks},
    },
    tape::Instrument,
    tick::{Sequence, Symbol, Tick, Time},
};

/// Reads a stream. Clones are the same reader.
#[derive(Clone)]
pub(super) struct StoredInStream {
    client: Client,
    stream: Stream<()>,
    name: String,
    /// When the stream was made, in nanoseconds.
    created: i128,
    /// That of the thread of the feed.
    runtime: Handle,
    /// Parts that may be on their way. They share the connection with what is live.
    parts: Arc<Semaphore>,
}

/// A message of a symbol.
struct Found {
    /// Its sequence in the stream.
    message: u64,
    last: Row,
}

/// Why nothing can be read.
type Problem = async_nats::Error;

/// How long a part may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// When the server forgets a consumer that is not used.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// About how many bytes a part has.
const PART: usize = 1024 * 1024;
/// Most messages of a part.
const MOST_MESSAGES: usize = 1_000;
/// Most messages of the first part, and how many times as many each part may have as the one before: it is not known how many are
/// wanted, and how long they are.
const FIRST_MESSAGES: usize = 8;
const GROWTH: usize = 8;
/// Parts that may be on their way to all readers.
const MOST_PARTS: usize = 2;

impl StoredInStream {
    /// Of the stream that is described. Must be called on the runtime of the feed.
    ///
    /// # Errors
    /// The name is none of a stream.
    pub(super) async fn new(context: &jetstream::Context, info: &Info) -> Result<Self, Problem> {
        let name = info.config.name.clone();
        let stream = context.get_stream_no_info(&name).await?;
        let created = info.created.unix_timestamp_nanos();
        let parts = Arc::new(Semaphore::new(MOST_PARTS));
        Ok(Self { client: context.client(), stream, name, created, runtime: Handle::current(), parts })
    }

    /// The first message of a symbol whose last tick is late enough. All ticks after one that is late enough are so too.
    async fn first_message(
        &self,
        symbol: &Symbol,
        is_late_enough: impl Fn(&Row) -> bool,
    ) -> Result<Option<Found>, Problem> {
        if self.client.connection_state() != ConnectionState::Connected {
            return Err("there is no connection to NATS".into());
        }
        let Info { state, created, .. } = self.stream.get_info().await?;
        if created.unix_timestamp_nanos() != self.created {
            return Err("the stream was made anew: restart this replica".into());
        }
        let (mut low, mut high) = (state.first_sequence, state.last_sequence + 1);
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.message_from(symbol, middle).await? {
                Some(early) if !is_late_enough(&early.last) => low = early.message + 1,
                Some(late) => (high, found) = (middle, Some(late)),
                None => high = middle,
            }
        }
        Ok(found)
    }

    /// The first message of a symbol that can be read, at or after a sequence of the stream.
    async fn message_from(&self, symbol: &Symbol, mut sequence: u64) -> Result<Option<Found>, Problem> {
        let subject = subject::of(&self.name, symbol);
        loop {
            match self.stream.get_first_raw_message_by_subject(&subject, sequence).await {
                Ok(raw) => match message::last_row(&raw.payload).filter(|last| last.symbol == *symbol) {
                    Some(last) => return Ok(Some(Found { message: raw.sequence, last })),
                    None => sequence = raw.sequence + 1,
                },
                Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn find(&self, symbol: Symbol, time: Time) -> Result<Option<Sequence>, Problem> {
        let Some(found) = self.first_message(&symbol, |last| last.time() >= time).await? else {
            return Ok(None);
        };
        let raw = self.stream.get_raw_message(found.message).await?;
        let rows = message::read(&raw.payload, &symbol).unwrap_or_default();
        Ok(rows.iter().find(|row| row.time() >= time).map(Row::sequence))
    }

    /// Sends parts until the newest message is read, or nobody wants more.
    async fn send_parts(
        &self,
        symbol: Symbol,
        from: Sequence,
        to: &mpsc::Sender<Result<StoredPart, FeedError>>,
    ) -> Result<(), Problem> {
        let found = tokio::select! {
            found = self.first_message(&symbol, |last| last.sequence() >= from) => found?,
            () = to.closed() => return Ok(()),
        };
        let Some(Found { message: start_sequence, .. }) = found else {
            drop(to.send(Ok(StoredPart { groups: Vec::new(), is_last: true })).await);
            return Ok(());
        };
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            filter_subject: subject::of(&self.name, &symbol),
            ack_policy: AckPolicy::None,
            inactive_threshold: FORGOTTEN,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = self.stream.create_consumer(config).await?;
        let sent = send_all(&consumer, &self.parts, to).await;
        // Otherwise the server forgets it later.
        drop(self.stream.delete_consumer(&consumer.cached_info().name).await);
        sent
    }
}

impl StoredTicks for StoredInStream {
    fn sequence_from(
        &self,
        symbol: Symbol,
        time: Time,
    ) -> oneshot::Receiver<Result<Option<Sequence>, FeedError>> {
        let (mut answer, answered) = oneshot::channel();
        let this = self.clone();
        self.runtime.spawn(async move {
            tokio::select! {
                found = this.find(symbol, time) => drop(answer.send(found.map_err(|problem| unreadable(&problem)))),
                () = answer.closed() => {}
            }
        });
        answered
    }

    fn read(&self, symbol: Symbol, from: Sequence) -> mpsc::Receiver<Result<StoredPart, FeedError>> {
        let (to, parts) = mpsc::channel(1);
        let this = self.clone();
        self.runtime.spawn(async move {
            if let Err(problem) = this.send_parts(symbol, from, &to).await {
                drop(to.send(Err(unreadable(&problem))).await);
            }
        });
        parts
    }

    fn ticks(&self, group: &Bytes, instrument: &Instrument) -> Vec<Tick> {
        let in_increments = |row: Row| Ok(row.in_increments(instrument)?.0);
        let rows = message::read(group, &instrument.symbol);
        rows.and_then(|rows| rows.into_iter().map(in_increments).collect()).unwrap_or_default()
    }
}

/// Sends the messages of a consumer.
async fn send_all(
    consumer: &PullConsumer,
    parts: &Semaphore,
    to: &mpsc::Sender<Result<StoredPart, FeedError>>,
) -> Result<(), Problem> {
    let (mut most, mut count) = (FIRST_MESSAGES, 0);
    loop {
        let room = to.reserve().await;
        let permit = parts.acquire().await?;
        let Ok(room) = room else { return Ok(()) };
        let (groups, pending) = timeout(PATIENCE, fetch(consumer, most, count)).await??;
        drop(permit);
        count += groups.len() as u64;
        let bytes: usize = groups.iter().map(Bytes::len).sum();
        most = (PART / (bytes / groups.len()).max(1)).min(GROWTH * most).clamp(1, MOST_MESSAGES);
        let is_last = pending == 0;
        room.send(Ok(StoredPart { groups, is_last }));
        if is_last {
            return Ok(());
        }
    }
}

/// At least one and at most so many messages of a consumer, which has given `before` so far, and the number of messages after them.
async fn fetch(consumer: &PullConsumer, most: usize, before: u64) -> Result<(Vec<Bytes>, u64), Problem> {
    let mut messages = consumer.fetch().max_messages(most).messages().await?;
    let (mut groups, mut pending) = (Vec::with_capacity(most), 0);
    while let Some(message) = messages.next().await {
        let message = message?;
        let info = message.info()?;
        if info.consumer_sequence != before + groups.len() as u64 + 1 {
            return Err("messages are missing".into());
        }
        pending = info.pending;
        groups.push(message.payload.clone());
    }
    match groups.is_empty() {
        true => Err("the server has sent nothing".into()),
        false => Ok((groups, pending)),
    }
}

fn unreadable(problem: &Problem) -> FeedError {
    FeedError::Unreadable(problem.to_string())
}
