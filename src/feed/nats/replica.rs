//! The ticks of one replica: those that wait to be published, those on their way, and those on the tape. It knows nothing of the
//! connection.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tracing::error;

use super::{
    batches::Batches,
    catch_up::LastMessage,
    consumer::Entry,
    message,
    published::Published,
    subject,
    symbol_queue::{Outgoing, SymbolQueue},
};
use crate::{
    feed::{Counts, FeedError, Submission, numbering::Numbering},
    tape::Feed,
    tick::{Symbol, Time},
};

/// The ticks of one replica.
pub(super) struct Replica {
    stream: String,
    tape: Arc<Feed>,
    numbering: Numbering,
    queues: HashMap<Symbol, SymbolQueue>,
    /// Symbols that may have a message to publish.
    ready: VecDeque<Symbol>,
    batches: Batches,
    most_bytes: usize,
    /// Number of messages that could not be read.
    unread: u64,
}

impl Replica {
    /// A replica of a stream, of which nothing is read yet. Its messages have at most so many bytes.
    pub(super) fn new(
        stream: String,
        tape: Arc<Feed>,
        numbering: Numbering,
        counts: Arc<Counts>,
        most_bytes: usize,
    ) -> Self {
        Self {
            stream,
            tape,
            numbering,
            queues: HashMap::new(),
            ready: VecDeque::new(),
            batches: Batches::new(counts),
            most_bytes,
            unread: 0,
        }
    }

    pub(super) fn tape(&self) -> &Arc<Feed> {
        &self.tape
    }

    /// Number of ticks whose receipts are due.
    pub(super) fn due_ticks(&self) -> usize {
        self.batches.ticks()
    }

    /// Whether the receipt of a batch is due.
    pub(super) fn has_batches(&self) -> bool {
        !self.batches.is_empty()
    }

    /// Takes a batch.
    pub(super) fn take(&mut self, Submission { batch, reply }: Submission, now: Time) {
        if let Err(error) = self.numbering.note_publisher(batch.numbers.as_ref(), now) {
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

    /// The next message to publish; `None` when every symbol has none or one on its way.
    pub(super) fn next(&mut self, now: Time) -> Option<(Symbol, Outgoing)> {
        while let Some(symbol) = self.ready.pop_front() {
            let Some(queue) = self.queues.get_mut(&symbol) else { continue };
            match queue.next(&mut self.numbering, &mut self.batches, now, self.most_bytes) {
                Some(outgoing) => return Some((symbol, outgoing)),
                None if queue.is_unused() => drop(self.queues.remove(&symbol)),
                None => {}
            }
        }
        None
    }

    /// Notes what has become of a message.
    pub(super) fn end(&mut self, symbol: Symbol, published: Published) {
        let Some(queue) = self.queues.get_mut(&symbol) else { return };
        let batches = &mut self.batches;
        match published {
            Published::Stored(sequence) => queue.acknowledged(sequence, batches),
            Published::After(last) => queue.refused(last),
            Published::Refused(reason) => queue.failed(&FeedError::Unstored(reason), batches),
            Published::Unknown(reason) => queue.failed(&FeedError::Unavailable(reason), batches),
        }
        self.ready.push_back(symbol);
    }

    /// Appends the ticks of a message of the stream to the tape.
    pub(super) fn apply(&mut self, entry: &Entry) {
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

    /// Appends the last tick of a symbol whose messages are all before those that are read.
    pub(super) fn apply_last(&mut self, LastMessage { symbol, sequence, stored, tick }: LastMessage) {
        let restored = tick.and_then(|row| self.numbering.restore(row));
        self.note_unread(symbol.as_str(), sequence, restored);
        self.queues.entry(symbol).or_default().apply(sequence, stored, &mut self.batches);
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

    /// Forgets what is on its way, and refuses all batches: it is not known whether they are stored.
    pub(super) fn interrupt(&mut self, reason: &str) {
        self.ready.clear();
        self.queues.values_mut().for_each(|queue| queue.interrupt(&mut self.batches));
        self.batches.refuse_all(&FeedError::Unavailable(reason.to_owned()));
    }

    /// Refuses the batches that have waited for longer than this.
    pub(super) fn refuse_older(&mut self, age: Duration, reason: &str) {
        self.batches.refuse_older(age, &FeedError::Unavailable(reason.to_owned()));
    }

    /// The last tick, as a message, of at most so many symbols whose last message the stream got before a time.
    pub(super) fn last_again(&mut self, before: Time, most: usize) -> Vec<(Symbol, Outgoing)> {
        let is_old = |queue: &SymbolQueue| queue.stored() < before && queue.stored() > Time::default();
        let old = self.queues.iter_mut().filter(|(_, queue)| is_old(queue));
        let again = old.filter_map(|(symbol, queue)| {
            let mut lines = Vec::new();
            self.numbering.newest_of(symbol)?.write(&mut lines);
            Some((*symbol, queue.again(lines)?))
        });
        again.take(most).collect()
    }
}

#[cfg(test)]
mod tests;
