//! The thread of a feed whose log is a stream: publishes what its replica has, and gives it what the stream delivers.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use async_nats::{
    connection::State as ConnectionState,
    jetstream::{self, message::PublishMessage},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{error, info, warn};

use super::{
    NatsError, Parts,
    catch_up::{LastMessage, last_messages},
    connection::{Connection, MOST_IN_FLIGHT},
    consumer::{Entry, Start},
    message,
    published::Published,
    reader::{News, Reader},
    replica::Replica,
    stored::StoredInStream,
    stream, subject,
    symbol_queue::Outgoing,
};
use crate::{
    feed::{Counts, FeedError, Health, NatsSettings, Submission, numbering::Numbering, stored::StoredTicks},
    pacer::Clock,
    tape::{Feed, LoadProgress},
    tick::Symbol,
};

/// Runs one of the replicas that share a stream.
pub(super) struct Driver {
    replica: Replica,
    context: jetstream::Context,
    stream: String,
    /// How long the stream keeps messages; zero for ever.
    retention: Duration,
    in_flight: JoinSet<(Symbol, Published)>,
    submissions: mpsc::Receiver<Submission>,
    news: mpsc::Receiver<News>,
    stored: StoredInStream,
    health: Health,
    counts: Arc<Counts>,
}

/// Most ticks whose receipts are due. Publishers wait while there are more.
const MOST_TICKS: usize = 100_000;
/// Most batches that are taken together.
const TOGETHER: usize = 16;
/// Most bytes of a message.
const MOST_BYTES: usize = 512 * 1024;
/// How long a batch waits, at most, to be stored.
const MOST_WAIT: Duration = Duration::from_secs(10);
/// How long an appended tick waits, at most, for the clock of this replica to reach its time.
const MOST_AHEAD: Duration = Duration::from_secs(1);
/// How often the window moves, and old batches are refused.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Most messages in one housekeeping that keep the last ticks of symbols in the stream.
const KEPT_TOGETHER: usize = 256;

impl Driver {
    /// Connects, makes or checks the stream, and reads it to its end.
    ///
    /// # Errors
    /// No server can be reached, or the stream cannot be used.
    pub(super) async fn open(
        settings: NatsSettings,
        parts: Parts,
        progress: &mut (dyn FnMut(LoadProgress) + Send),
    ) -> Result<Self, NatsError> {
        let Parts { window, instruments, submissions, counts } = parts;
        let connection = Connection::open(&settings).await?;
        let context = connection.context.clone();
        let info = stream::open(&context, &settings).await?;
        let known = instruments.clone().unwrap_or_default();
        let tape = Arc::new(Feed::new(stream::tape_id(&info), window, known));
        let numbering = Numbering::new(tape.clone(), instruments);
        let unreadable =
            |source| NatsError::Request { action: "read", stream: settings.stream.clone(), source };
        let last = last_messages(&context, &settings.stream).await.map_err(unreadable)?;
        let stored = StoredInStream::new(&context, &info).await.map_err(unreadable)?;
        let since = Numbering::since(Clock::Wall.now(), window);
        let news = Reader::spawn(context.clone(), connection.losses.clone(), &info, Start::Time(since));
        let most_bytes = MOST_BYTES.min(connection.client().max_payload() / 2);
        let mut driver = Self {
            replica: Replica::new(settings.stream.clone(), tape, numbering, counts.clone(), most_bytes),
            stream: settings.stream,
            retention: info.config.max_age,
            counts,
            in_flight: JoinSet::new(),
            submissions,
            news,
            stored,
            health: Health::default(),
            context,
        };
        driver.catch_up(last, info.state.bytes, progress).await?;
        Ok(driver)
    }

    pub(super) fn tape(&self) -> Arc<Feed> {
        self.replica.tape().clone()
    }

    pub(super) fn health(&self) -> Health {
        self.health.clone()
    }

    pub(super) fn stored(&self) -> Arc<dyn StoredTicks> {
        Arc::new(self.stored.clone())
    }

    /// Reads from the start of the window to the end of the stream. Symbols that have not traded since get their last tick.
    async fn catch_up(
        &mut self,
        last: Vec<LastMessage>,
        size: u64,
        progress: &mut (dyn FnMut(LoadProgress) + Send),
    ) -> Result<(), NatsError> {
        const STEP: u64 = 1 << 20;
        let (mut last, mut read, mut told) = (Some(last), 0, 0);
        loop {
            let pending = match self.news.recv().await {
                Some(News::Opened { pending }) => pending,
                Some(News::Idle) => 0,
                Some(News::Entry(entry)) => {
                    self.apply_older(last.take(), entry.sequence);
                    read += entry.payload.len() as u64;
                    let pending = entry.pending;
                    self.replica.apply(&entry);
                    pending
                }
                Some(News::Interrupted(reason)) => {
                    warn!(reason, "the stream cannot be read now");
                    continue;
                }
                Some(News::Over(problem)) => return Err(self.unfit(problem)),
                None => return Err(self.unfit("it cannot be read".to_owned())),
            };
            if read - told >= STEP || pending == 0 {
                progress(LoadProgress { read, size: size.max(read) });
                told = read;
            }
            if pending == 0 {
                self.apply_older(last.take(), u64::MAX);
                self.replica.tape().move_window(Clock::Wall.now());
                return Ok(());
            }
        }
    }

    fn unfit(&self, problem: String) -> NatsError {
        NatsError::Unfit { stream: self.stream.clone(), problem }
    }

    /// Appends the last ticks of the messages before this one.
    fn apply_older(&mut self, messages: Option<Vec<LastMessage>>, before: u64) {
        let older = messages.into_iter().flatten().filter(|message| message.sequence < before);
        older.for_each(|message| self.replica.apply_last(message));
    }

    /// Publishes and appends until nobody submits any more and all batches are answered.
    pub(super) async fn run(mut self) {
        let mut taken = Vec::new();
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A message of another replica, whose clock is ahead, and when it will be applied.
        let mut early: Option<(Entry, Instant)> = None;
        let mut is_stopping = false;
        while !is_stopping || self.replica.has_batches() {
            let has_room = self.replica.due_ticks() < MOST_TICKS && !is_stopping;
            let at = early.as_ref().map_or_else(Instant::now, |(_, at)| *at);
            tokio::select! {
                news = self.news.recv(), if early.is_none() => match news {
                    Some(News::Entry(entry)) => match until_due(&entry) {
                        Some(wait) => early = Some((entry, Instant::now() + wait)),
                        None => self.replica.apply(&entry),
                    },
                    Some(News::Opened { .. }) => self.resume(),
                    Some(News::Idle) => {}
                    Some(News::Interrupted(reason)) => self.interrupt(&reason),
                    Some(News::Over(problem)) => return self.refuse_for_ever(problem).await,
                    None => return self.refuse_for_ever("the reader has ended".to_owned()).await,
                },
                () = sleep_until(at), if early.is_some() => {
                    if let Some((entry, _)) = early.take() {
                        self.replica.apply(&entry);
                    }
                }
                count = self.submissions.recv_many(&mut taken, TOGETHER), if has_room => {
                    is_stopping = count == 0;
                    taken.drain(..).for_each(|submission| self.take(submission));
                }
                Some(published) = self.in_flight.join_next() => {
                    if let Ok((symbol, published)) = published {
                        self.replica.end(symbol, published);
                    }
                }
                _ = housekeeping.tick() => self.keep_house(),
            }
            self.publish();
        }
    }

    fn take(&mut self, submission: Submission) {
        let Submission { batch, reply } = submission;
        let Some(reply) = reply.unless_call_has_failed() else { return };
        match self.problem() {
            Some(problem) => reply.refuse(FeedError::Unavailable(problem)),
            None => self.replica.take(Submission { batch, reply }, Clock::Wall.now()),
        }
    }

    /// Why nothing can be published now.
    fn problem(&self) -> Option<String> {
        let is_connected = self.context.client().connection_state() == ConnectionState::Connected;
        self.health.problem().or_else(|| (!is_connected).then(|| "there is no connection to NATS".to_owned()))
    }

    fn publish(&mut self) {
        let now = Clock::Wall.now();
        while self.in_flight.len() < MOST_IN_FLIGHT
            && let Some((symbol, outgoing)) = self.replica.next(now)
        {
            self.send(symbol, outgoing);
        }
    }

    fn send(&mut self, symbol: Symbol, Outgoing { lines, after }: Outgoing) {
        let message = PublishMessage::build()
            .payload(lines.into())
            .expected_last_subject_sequence(after)
            .expected_stream(&self.stream);
        let (context, subject) = (self.context.clone(), subject::of(&self.stream, &symbol));
        self.in_flight.spawn(async move {
            let acknowledged = async { context.send_publish(subject, message).await?.await }.await;
            (
                symbol,
                acknowledged
                    .map_or_else(|error| Published::of(&error), |ack| Published::Stored(ack.sequence)),
            )
        });
    }

    /// Refuses all batches, of which it is not known whether they are stored.
    fn interrupt(&mut self, reason: &str) {
        if self.health.problem().is_none() {
            warn!(reason, "the stream cannot be read: nothing can be published until it can");
        }
        self.health.set(Some(format!("there is no connection to NATS ({reason})")));
        self.counts.is_failing.store(true, Relaxed);
        self.in_flight = JoinSet::new();
        self.replica.interrupt(reason);
    }

    fn resume(&mut self) {
        if self.health.problem().is_some() {
            info!("the stream can be read again");
        }
        self.health.set(None);
        self.counts.is_failing.store(false, Relaxed);
    }

    /// Publishes nothing any more.
    async fn refuse_for_ever(mut self, problem: String) {
        error!(problem, "the stream cannot be used any more: nothing is published or received");
        self.interrupt(&problem);
        self.health.set(Some(problem.clone()));
        while let Some(Submission { reply, .. }) = self.submissions.recv().await {
            reply.refuse(FeedError::Unavailable(problem.clone()));
        }
    }

    fn keep_house(&mut self) {
        self.replica.tape().move_window(Clock::Wall.now());
        self.replica.refuse_older(MOST_WAIT, "NATS has not answered in time");
        if self.problem().is_none() {
            self.keep_last_ticks();
        }
    }

    /// Publishes the last tick again of symbols that have not traded for half of the time that the stream keeps messages.
    /// So their sequences go on after any pause.
    fn keep_last_ticks(&mut self) {
        let Some(old) = Clock::Wall.now().before(self.retention / 2).filter(|_| !self.retention.is_zero())
        else {
            return;
        };
        let room = KEPT_TOGETHER.min(MOST_IN_FLIGHT.saturating_sub(self.in_flight.len()));
        for (symbol, outgoing) in self.replica.last_again(old, room) {
            self.send(symbol, outgoing);
        }
    }
}

/// How long a message has to wait until its ticks are not in the future of this replica's clock.
fn until_due(entry: &Entry) -> Option<Duration> {
    let time = message::last_row(&entry.payload)?.time();
    let ahead = time.nanos().checked_sub(Clock::Wall.now().nanos()).filter(|ahead| *ahead > 0)?;
    Some(Duration::from_nanos(ahead).min(MOST_AHEAD))
}
