//! Reads the stream without end. When the connection is lost, it goes on after the last message.

use std::time::Duration;

use async_nats::jetstream;
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::consumer::{Consumer, Entry, Start};

/// What a reader tells.
pub(super) enum News {
    /// The stream is being read, and had so many messages to read then.
    Opened {
        /// Number of messages.
        pending: u64,
    },
    /// The next message.
    Entry(Entry),
    /// Nothing waits to be read.
    Idle,
    /// The stream cannot be read now.
    Interrupted(String),
    /// The stream cannot be read any more.
    Over(String),
}

/// Reads a stream.
pub(super) struct Reader {
    context: jetstream::Context,
    losses: watch::Receiver<u64>,
    stream: String,
    /// When the stream was made, in nanoseconds.
    created: i128,
    start: Start,
    /// The sequence of the last message, 0 when there was none.
    last: u64,
    to: mpsc::Sender<News>,
}

/// Why reading ends.
enum End {
    /// It may go on.
    Interrupted(String),
    Over(String),
    /// Nobody hears it.
    Unheard,
}

/// Messages that wait for the feed.
const AHEAD: usize = 256;
const RETRY: Duration = Duration::from_millis(200);

impl Reader {
    /// Begins to read a stream that was made at a time.
    pub(super) fn spawn(
        context: jetstream::Context,
        losses: watch::Receiver<u64>,
        info: &jetstream::stream::Info,
        start: Start,
    ) -> mpsc::Receiver<News> {
        let (to, news) = mpsc::channel(AHEAD);
        let created = info.created.unix_timestamp_nanos();
        let reader = Self { context, losses, stream: info.config.name.clone(), created, start, last: 0, to };
        // It ends when the receiver is dropped.
        tokio::spawn(reader.run());
        news
    }

    async fn run(mut self) {
        loop {
            match self.read().await {
                End::Interrupted(reason) => {
                    if self.to.send(News::Interrupted(reason)).await.is_err() {
                        return;
                    }
                    sleep(RETRY).await;
                }
                End::Over(reason) => {
                    drop(self.to.send(News::Over(reason)).await);
                    return;
                }
                End::Unheard => return,
            }
        }
    }

    /// Reads until the connection is lost or a message is missing.
    async fn read(&mut self) -> End {
        self.losses.mark_unchanged();
        let mut consumer = match self.open().await {
            Ok(consumer) => consumer,
            Err(end) => return end,
        };
        if self.to.send(News::Opened { pending: consumer.pending }).await.is_err() {
            return End::Unheard;
        }
        loop {
            let entry = tokio::select! {
                biased;
                lost = self.losses.changed() => {
                    return lost.map_or(End::Unheard, |()| End::Interrupted("the connection is lost".to_owned()));
                }
                () = self.to.closed() => return End::Unheard,
                entry = consumer.next() => entry,
            };
            let news = match entry {
                Ok(Some(entry)) => {
                    (self.last, self.start) = (entry.sequence, Start::After(entry.sequence));
                    News::Entry(entry)
                }
                Ok(None) => News::Idle,
                Err(reason) => return End::Interrupted(reason.to_owned()),
            };
            if self.to.send(news).await.is_err() {
                return End::Unheard;
            }
        }
    }

    /// Opens the stream, which must have all that was read.
    async fn open(&self) -> Result<Consumer, End> {
        let interrupted = |error: async_nats::Error| End::Interrupted(error.to_string());
        let stream = self.context.get_stream(&self.stream).await;
        let stream = stream.map_err(|error| interrupted(error.into()))?;
        let info = stream.cached_info();
        if info.created.unix_timestamp_nanos() != self.created {
            let stream = &self.stream;
            return Err(End::Over(format!("the stream {stream} was made anew: restart this replica")));
        }
        if info.state.last_sequence < self.last {
            let (stream, last, read) = (&self.stream, info.state.last_sequence, self.last);
            return Err(End::Over(format!(
                "the stream {stream} ends at {last} and {read} was read: it has lost ticks, so restart this replica"
            )));
        }
        Consumer::open(&self.context, &self.stream, self.start).await.map_err(interrupted)
    }
}
