//! What waits to be published of one symbol. One message of it is on its way at a time.

use std::collections::VecDeque;

use super::batches::{Batches, Queued};
use crate::{
    feed::{FeedError, Rejection, numbering::Numbering},
    tick::Time,
};

/// What waits to be published of one symbol.
#[derive(Default)]
pub(super) struct SymbolQueue {
    /// The sequence in the stream of the last message of the subject that is applied; 0 when there is none.
    applied: u64,
    /// When the stream got it.
    stored: Time,
    waiting: VecDeque<Queued>,
    state: State,
}

/// What is on its way.
#[derive(Default)]
enum State {
    #[default]
    Nothing,
    /// A message was sent.
    Sent(Sent),
    /// The next message waits until this one of the stream is applied, which has these ticks.
    Until(u64, Vec<Numbered>),
}

struct Sent {
    ticks: Vec<Numbered>,
    /// The sequence in the stream that the last message of the subject must have.
    after: u64,
}

/// A tick that was numbered for a message, and what becomes of it if that is stored.
struct Numbered {
    queued: Queued,
    stored: Result<bool, Rejection>,
}

/// A message to be published.
pub(super) struct Outgoing {
    pub(super) lines: Vec<u8>,
    /// The sequence in the stream that the last message of the subject must have.
    pub(super) after: u64,
}

impl SymbolQueue {
    /// Most ticks of a message.
    const MOST_TICKS: usize = 1_000;
    /// Most bytes of a line.
    const LONGEST_LINE: usize = 512;

    pub(super) fn push(&mut self, queued: Queued) {
        self.waiting.push_back(queued);
    }

    /// Makes the next message if none is on its way, of at most so many bytes. Ticks of a message that has none to store are
    /// noted at once.
    pub(super) fn next(
        &mut self,
        numbering: &mut Numbering,
        batches: &mut Batches,
        now: Time,
        most_bytes: usize,
    ) -> Option<Outgoing> {
        while self.is_ready() {
            let (mut ticks, mut lines) = (Vec::new(), Vec::new());
            while ticks.len() < Self::MOST_TICKS
                && lines.len() + Self::LONGEST_LINE <= most_bytes
                && let Some(queued) = self.waiting.pop_front()
            {
                if !batches.is_waiting(&queued) {
                    continue;
                }
                let before = numbering.tentative();
                let stored = numbering.number_tick(&queued.tick, queued.number.clone(), now);
                numbering.tentative_from(before).for_each(|row| row.write(&mut lines));
                ticks.push(Numbered { queued, stored });
            }
            // They count when the stream delivers them.
            numbering.roll_back_to(0);
            if !lines.is_empty() {
                return Some(self.send(lines, ticks));
            }
            note(ticks, batches);
        }
        None
    }

    /// A message without new ticks, if nothing is on its way.
    pub(super) fn again(&mut self, lines: Vec<u8>) -> Option<Outgoing> {
        matches!(self.state, State::Nothing).then(|| self.send(lines, Vec::new()))
    }

    fn send(&mut self, lines: Vec<u8>, ticks: Vec<Numbered>) -> Outgoing {
        let after = self.applied;
        self.state = State::Sent(Sent { ticks, after });
        Outgoing { lines, after }
    }

    /// Whether a message can be made.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Nothing) && !self.waiting.is_empty()
    }

    /// Whether nothing waits, is on its way, or was stored.
    pub(super) fn is_unused(&self) -> bool {
        self.applied == 0 && self.waiting.is_empty() && matches!(self.state, State::Nothing)
    }

    /// When the stream got the last message.
    pub(super) fn stored(&self) -> Time {
        self.stored
    }

    /// The message was stored with this sequence.
    pub(super) fn acknowledged(&mut self, sequence: u64, batches: &mut Batches) {
        if let State::Sent(Sent { ticks, .. }) = std::mem::take(&mut self.state) {
            match sequence <= self.applied {
                true => note(ticks, batches),
                false => self.state = State::Until(sequence, ticks),
            }
        }
    }

    /// The message was not stored, because the last message of the subject is another one.
    pub(super) fn refused(&mut self, last: u64) {
        let State::Sent(Sent { ticks, after }) = std::mem::take(&mut self.state) else { return };
        ticks.into_iter().rev().for_each(|tick| self.waiting.push_front(tick.queued));
        if last > self.applied {
            self.state = State::Until(last, Vec::new());
        } else if last < after && after == self.applied {
            // The stream has dropped old messages.
            self.applied = last;
        }
    }

    /// The message was not stored, or it is not known whether it was: refuses the batches that it has ticks of.
    pub(super) fn failed(&mut self, error: &FeedError, batches: &mut Batches) {
        if let State::Sent(Sent { ticks, .. }) = std::mem::take(&mut self.state) {
            ticks.into_iter().for_each(|tick| batches.refuse(tick.queued.batch, error));
        }
    }

    /// Notes that a message of the stream is applied.
    pub(super) fn apply(&mut self, sequence: u64, stored: Time, batches: &mut Batches) {
        (self.applied, self.stored) = (sequence, stored);
        match std::mem::take(&mut self.state) {
            State::Until(last, ticks) if last <= sequence => note(ticks, batches),
            state => self.state = state,
        }
    }

    /// Forgets what waits and what is on its way, except what is known to be stored.
    pub(super) fn interrupt(&mut self, batches: &mut Batches) {
        self.waiting = VecDeque::new();
        if let State::Until(sequence, ticks) = std::mem::take(&mut self.state) {
            note(ticks, batches);
            self.state = State::Until(sequence, Vec::new());
        }
    }
}

fn note(ticks: Vec<Numbered>, batches: &mut Batches) {
    ticks.into_iter().for_each(|Numbered { queued, stored }| batches.note(&queued, stored));
}
