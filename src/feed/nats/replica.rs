//! The thread of a feed whose log is a stream: publishes what is submitted, and appends what the stream delivers to the tape.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use async_nats::{
    connection::State as ConnectionState,
    jetstream::{self, context::PublishErrorKind, message::PublishMessage},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{error, info, warn};

use super::{
    NatsError, Parts,
    batches::Batches,
    catch_up::{LastMessage, last_messages},
    connection::{Connection, MOST_IN_FLIGHT},
    consumer::{Entry, Start},
    message,
    reader::{News, Reader},
    stream, subject,
    symbol_queue::{Outgoing, SymbolQueue},
};
use crate::{
    feed::{Counts, FeedError, Health, NatsSettings, Submission, numbering::Numbering, row::Row},
    pacer::Clock,
    tape::{Feed, LoadProgress},
    tick::{Symbol, Time},
};

/// One of the servers that share a stream.
pub(super) struct Replica {
    context: jetstream::Context,
    stream: String,
    /// How long the stream keeps messages; zero for ever.
    retention: Duration,
    tape: Arc<Feed>,
    numbering: Numbering,
    queues: HashMap<Symbol, SymbolQueue>,
    batches: Batches,
    /// Symbols that may have a message to publish.
    ready: VecDeque<Symbol>,
    in_flight: JoinSet<(Symbol, Published)>,
    submissions: mpsc::Receiver<Submission>,
    news: mpsc::Receiver<News>,
    health: Health,
    counts: Arc<Counts>,
    /// Number of messages that could not be read.
    unread: u64,
    most_bytes: usize,
}

/// What has become of a message.
enum Published {
    /// It has this sequence in the stream.
    Stored(u64),
    /// The last message of its subject is another one.
    After(u64),
    /// The stream refuses it.
    Refused(String),
    /// It may be stored or not.
    Unknown(String),
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

impl Replica {
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
        let last = last_messages(&context, &settings.stream).await.map_err(|source| NatsError::Request {
            action: "read",
            stream: settings.stream.clone(),
            source,
        })?;
        let since = Numbering::since(Clock::Wall.now(), window);
        let news = Reader::spawn(context.clone(), connection.losses.clone(), &info, Start::Time(since));
        let mut replica = Self {
            stream: settings.stream,
            retention: info.config.max_age,
            tape,
            numbering,
            queues: HashMap::new(),
            batches: Batches::new(counts.clone()),
            counts,
            ready: VecDeque::new(),
            in_flight: JoinSet::new(),
            submissions,
            news,
            health: Health::default(),
            unread: 0,
            most_bytes: MOST_BYTES.min(connection.client().max_payload() / 2),
            context,
        };
        replica.catch_up(last, info.state.bytes, progress).await?;
        Ok(replica)
    }

    pub(super) fn tape(&self) -> Arc<Feed> {
        self.tape.clone()
    }

    pub(super) fn health(&self) -> Health {
        self.health.clone()
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
                    self.restore_older(last.take(), entry.sequence);
                    read += entry.payload.len() as u64;
                    let pending = entry.pending;
                    self.apply(&entry);
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
                self.restore_older(last.take(), u64::MAX);
                self.tape.move_window(Clock::Wall.now());
                return Ok(());
            }
        }
    }

    fn unfit(&self, problem: String) -> NatsError {
        NatsError::Unfit { stream: self.stream.clone(), problem }
    }

    /// Appends the last ticks of the messages before this one.
    fn restore_older(&mut self, messages: Option<Vec<LastMessage>>, before: u64) {
        let is_older = |message: &LastMessage| message.sequence < before;
        for LastMessage { symbol, sequence, stored, tick } in messages.into_iter().flatten().filter(is_older)
        {
            let restored = tick.and_then(|row| self.numbering.restore(row));
            self.note_unread(symbol.as_str(), sequence, restored);
            self.queues.entry(symbol).or_default().apply(sequence, stored, &mut self.batches);
        }
    }

    /// Publishes and appends until nobody submits any more and all batches are answered.
    pub(super) async fn run(mut self) {
        let mut taken = Vec::new();
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A message of another replica, whose clock is ahead, and when it will be applied.
        let mut early: Option<(Entry, Instant)> = None;
        let mut is_stopping = false;
        while !is_stopping || !self.batches.is_empty() {
            let has_room = self.batches.ticks() < MOST_TICKS && !is_stopping;
            let at = early.as_ref().map_or_else(Instant::now, |(_, at)| *at);
            tokio::select! {
                news = self.news.recv(), if early.is_none() => match news {
                    Some(News::Entry(entry)) => match until_due(&entry) {
                        Some(wait) => early = Some((entry, Instant::now() + wait)),
                        None => self.apply(&entry),
                    },
                    Some(News::Opened { .. }) => self.resume(),
                    Some(News::Idle) => {}
                    Some(News::Interrupted(reason)) => self.interrupt(&reason),
                    Some(News::Over(problem)) => return self.refuse_for_ever(problem).await,
                    None => return self.refuse_for_ever("the reader has ended".to_owned()).await,
                },
                () = sleep_until(at), if early.is_some() => {
                    if let Some((entry, _)) = early.take() {
                        self.apply(&entry);
                    }
                }
                count = self.submissions.recv_many(&mut taken, TOGETHER), if has_room => {
                    is_stopping = count == 0;
                    taken.drain(..).for_each(|submission| self.take(submission));
                }
                Some(published) = self.in_flight.join_next() => {
                    if let Ok((symbol, published)) = published {
                        self.end(symbol, published);
                    }
                }
                _ = housekeeping.tick() => self.keep_house(),
            }
            self.publish();
        }
    }

    /// Takes a batch.
    fn take(&mut self, submission: Submission) {
        let Submission { batch, reply } = submission;
        let Some(reply) = reply.unless_call_has_failed() else { return };
        if let Some(problem) = self.problem() {
            return reply.refuse(FeedError::Unavailable(problem));
        }
        let known = self.numbering.note_publisher(batch.numbers.as_ref(), Clock::Wall.now());
        if let Err(error) = known {
            return reply.refuse(error);
        }
        for queued in self.batches.add(Submission { batch, reply }) {
            let symbol = queued.tick.symbol;
            let queue = self.queues.entry(symbol).or_default();
            queue.push(queued);
            if self.ready.back() != Some(&symbol) && queue.is_ready() {
                self.ready.push_back(symbol);
            }
        }
    }

    /// Why nothing can be published now.
    fn problem(&self) -> Option<String> {
        let is_connected = self.context.client().connection_state() == ConnectionState::Connected;
        self.health.problem().or_else(|| (!is_connected).then(|| "there is no connection to NATS".to_owned()))
    }

    /// Publishes what is ready.
    fn publish(&mut self) {
        let now = Clock::Wall.now();
        while self.in_flight.len() < MOST_IN_FLIGHT
            && let Some(symbol) = self.ready.pop_front()
        {
            let Some(queue) = self.queues.get_mut(&symbol) else { continue };
            match queue.next(&mut self.numbering, &mut self.batches, now, self.most_bytes) {
                Some(outgoing) => self.send(symbol, outgoing),
                None if queue.is_unused() => drop(self.queues.remove(&symbol)),
                None => {}
            }
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

    /// Notes what has become of a message.
    fn end(&mut self, symbol: Symbol, published: Published) {
        let Some(queue) = self.queues.get_mut(&symbol) else { return };
        let error = match published {
            Published::Stored(sequence) => return queue.acknowledged(sequence, &mut self.batches),
            Published::After(last) => {
                queue.refused(last);
                return self.ready.push_back(symbol);
            }
            Published::Refused(reason) => FeedError::Unstored(reason),
            Published::Unknown(reason) => FeedError::Unavailable(reason),
        };
        queue.failed().into_iter().for_each(|batch| self.batches.refuse(batch, &error));
        self.ready.push_back(symbol);
    }

    /// Appends the ticks of a message to the tape.
    fn apply(&mut self, entry: &Entry) {
        let Entry { subject, sequence, stored, payload, .. } = entry;
        let Some(symbol) = subject::symbol(&self.stream, subject) else {
            return self.note_unread(subject, *sequence, Err("its subject is no symbol".to_owned()));
        };
        let restored = message::read(payload, &symbol)
            .and_then(|rows| rows.into_iter().try_for_each(|row| self.numbering.restore(row)));
        self.note_unread(subject, *sequence, restored);
        let queue = self.queues.entry(symbol).or_default();
        queue.apply(*sequence, *stored, &mut self.batches);
        if queue.is_ready() {
            self.ready.push_back(symbol);
        }
    }

    /// Logs a message that cannot be read, and the 2nd, 4th, 8th and so on.
    fn note_unread(&mut self, subject: &str, sequence: u64, restored: Result<(), String>) {
        let Err(problem) = restored else { return };
        self.unread += 1;
        if self.unread.is_power_of_two() {
            let unread = self.unread;
            error!(
                subject,
                sequence, problem, unread, "a message of the stream cannot be read, and is left out"
            );
        }
    }

    /// Refuses all batches, of which it is not known whether they are stored.
    fn interrupt(&mut self, reason: &str) {
        if self.health.problem().is_none() {
            warn!(reason, "the stream cannot be read: nothing can be published until it can");
        }
        self.health.set(Some(format!("there is no connection to NATS ({reason})")));
        self.counts.is_failing.store(true, Relaxed);
        self.in_flight = JoinSet::new();
        self.ready.clear();
        self.queues.values_mut().for_each(|queue| queue.interrupt(&mut self.batches));
        self.batches.refuse_all(&FeedError::Unavailable(reason.to_owned()));
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
        self.tape.move_window(Clock::Wall.now());
        let error = FeedError::Unavailable("NATS has not answered in time".to_owned());
        self.batches.refuse_older(MOST_WAIT, &error);
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
        let is_old = |queue: &SymbolQueue| queue.stored() < old && queue.stored() > Time::default();
        let symbols = self.queues.iter().filter(|(_, queue)| is_old(queue)).map(|(symbol, _)| *symbol);
        for symbol in symbols.take(room).collect::<Vec<_>>() {
            let Some(row) = self.numbering.newest_of(&symbol) else { continue };
            let mut lines = Vec::new();
            row.write(&mut lines);
            let outgoing = self.queues.get_mut(&symbol).and_then(|queue| queue.again(lines));
            if let Some(outgoing) = outgoing {
                self.send(symbol, outgoing);
            }
        }
    }
}

impl Published {
    fn of(error: &jetstream::context::PublishError) -> Self {
        let reason =
            || std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        match error.kind() {
            PublishErrorKind::WrongLastSequence => match last_sequence(&reason()) {
                Some(last) => Self::After(last),
                None => Self::Unknown(reason()),
            },
            // It was answered, or not sent at all.
            PublishErrorKind::Other | PublishErrorKind::MaxPayloadExceeded => Self::Refused(reason()),
            PublishErrorKind::StreamNotFound
            | PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::MaxAckPending => Self::Unknown(error.to_string()),
        }
    }
}

/// The sequence in `wrong last sequence: 17 (code 400, error code 10071)`.
fn last_sequence(text: &str) -> Option<u64> {
    let number = text.strip_prefix("wrong last sequence: ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// How long a message has to wait until its ticks are not in the future of this replica's clock.
fn until_due(entry: &Entry) -> Option<Duration> {
    let last = entry.payload.strip_suffix(b"\n")?.rsplit(|byte| *byte == b'\n').next()?;
    let time = Row::read(last).ok()?.time();
    let ahead = time.nanos().checked_sub(Clock::Wall.now().nanos()).filter(|ahead| *ahead > 0)?;
    Some(Duration::from_nanos(ahead).min(MOST_AHEAD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sequence_is_read_from_the_error_of_the_server() {
        assert_eq!(last_sequence("wrong last sequence: 17 (code 400, error code 10071)"), Some(17));
        assert_eq!(last_sequence("wrong last sequence: 0"), Some(0));
        assert_eq!(last_sequence("wrong last sequence"), None);
    }
}
