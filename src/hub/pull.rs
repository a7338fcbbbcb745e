//! Pulling: the bytes of what one subscriber still lacks.

use std::time::Duration;

use super::{
    DayTracker, Quote, State, TickMeta, Watched, WireFormat,
    dirty::Visit,
    interest::{Phase, Slot},
};
use crate::{
    history::{Day, DayFold},
    tick::{Sequence, Tick, Time},
};

/// Largest number of bytes of one symbol's missed ticks per pull, so that a symbol that lags cannot delay others.
const CATCH_UP: usize = 4 * 1024;

/// Cost of opening a cursor or looking up a sequence, in ticks read.
const OPEN: usize = 8;
/// Cost of muting a slot, in ticks read.
const MUTE: usize = 2;
/// Largest number of slots per pull that are skipped because the pull may read no more of the tape. Small in tests, which
/// have few slots.
const POSTPONED: usize = if cfg!(test) { 2 } else { 512 };

/// What a subscriber was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Number of ticks.
    pub ticks: u64,
    /// Number of ticks that were left out, and that a tick which was sent stands for.
    pub conflated: u64,
    /// Number of gaps.
    pub gaps: u64,
}

/// What a pull has left to do.
#[derive(Default)]
pub(super) struct Left {
    /// The pull stopped because it may read no more of the tape, and more has to be read. A pull that stopped because its
    /// output is full does not set it.
    pub(super) is_behind: bool,
    /// The subscriber waits for a minimum interval that ends before all others, so the pacer has to wake earlier.
    pub(super) deferred_sooner: bool,
}

impl Sent {
    /// Counts one tick.
    pub fn note(&mut self, tick: TickMeta) {
        self.ticks += 1;
        self.conflated += tick.conflated;
    }
}

impl State {
    /// Appends what the subscriber lacks to `out` until it holds `budget` bytes. What it reads from the tape is
    /// subtracted from `reads`.
    pub(super) fn pull(
        &mut self,
        subscriber: u32,
        budget: usize,
        reads: &mut usize,
        out: &mut Vec<u8>,
    ) -> Left {
        let Self { subscribers, watched, published, formats, pages, deferred, flush, now, limits, .. } = self;
        let Some(entry) = subscribers.get_mut(subscriber as usize).and_then(Option::as_mut) else {
            return Left::default();
        };
        let mut left = Left::default();
        let mut sent_from_page = 0;
        let mut postponed = 0;
        entry.dirty.drain(|number| {
            if out.len() >= budget {
                return Visit::Stop;
            }
            let slot = &mut entry.slots[number as usize];
            let news = &published[slot.watched as usize];
            let at = usize::from(slot.format);
            if slot.plain && news.flush == *flush && news.first == slot.next {
                let (from, to) = news.span[at];
                // A page is empty for a format whose quotes are still being worked out.
                if from < to {
                    out.extend_from_slice(&pages[at][from as usize..to as usize]);
                    slot.next = news.last.saturating_add(1);
                    sent_from_page += slot.next - news.first;
                    return Visit::Done;
                }
            }
            let Some(watched) = &mut watched[slot.watched as usize] else { return Visit::Done };
            let slot_states = &mut entry.slot_states[number as usize];
            let format = &mut *formats[at];
            let min_interval = slot_states.delivery.min_interval();
            let nothing_left = *reads == 0;
            let mut send =
                Send { slot, watched, day: &mut slot_states.day, format, reads, out, total: &mut entry.sent };
            let sent = match slot_states.phase {
                Phase::Fresh => {
                    let sent = send.latest(true);
                    if sent {
                        slot_states.not_before = *now + min_interval;
                        slot_states.phase = Phase::Live;
                    }
                    sent
                }
                Phase::CatchingUp if nothing_left => false,
                Phase::CatchingUp => {
                    send.skip_before_first();
                    let caught_up = match min_interval.is_zero() {
                        true => send.catch_up(),
                        false => send.catch_up_thinned(min_interval, &mut slot_states.not_before),
                    };
                    if caught_up {
                        send.caught_up();
                        slot_states.phase = Phase::Live;
                    }
                    // What a minimum interval still holds back has to be waited for.
                    caught_up && send.lacks_nothing()
                }
                Phase::Live if send.lacks_nothing() => true,
                Phase::Live if slot_states.delivery.is_every_tick() && nothing_left => false,
                Phase::Live if slot_states.delivery.is_every_tick() => {
                    send.skip_too_old(now.before(limits.max_lag));
                    send.catch_up()
                }
                Phase::Live if slot_states.not_before > *now => {
                    // The end of the interval sends what there is, even if no tick follows.
                    if !nothing_left {
                        *send.reads = send.reads.saturating_sub(MUTE);
                        send.watched.watchers[slot_states.place as usize].mute();
                        slot_states.muted = true;
                        let wait = (slot_states.not_before, subscriber, number);
                        left.deferred_sooner |= deferred.first().is_none_or(|first| wait < *first);
                        deferred.insert(wait);
                    }
                    !nothing_left
                }
                Phase::Live => {
                    let sent = send.latest(false);
                    if sent {
                        slot_states.not_before = *now + min_interval;
                    }
                    sent
                }
            };
            slot.plain = slot_states.phase == Phase::Live && min_interval.is_zero();
            left.is_behind |= !sent;
            match sent {
                true => Visit::Done,
                false if nothing_left => {
                    postponed += 1;
                    if postponed == POSTPONED { Visit::Stop } else { Visit::Later }
                }
                false => Visit::More,
            }
        });
        entry.sent.ticks += sent_from_page;
        if !out.is_empty() || entry.heartbeat {
            entry.heard = *now;
        }
        if std::mem::take(&mut entry.heartbeat) && out.is_empty() {
            formats[usize::from(entry.format)].heartbeat(*now, out);
        }
        left
    }
}

/// Sends to one slot what it lacks of one instrument.
struct Send<'a> {
    slot: &'a mut Slot,
    watched: &'a mut Watched,
    /// The figures of the day that the slot itself has got to, while it is behind.
    day: &'a mut Option<Box<DayFold>>,
    format: &'a mut dyn WireFormat,
    /// How many ticks may still be read from the tape.
    reads: &'a mut usize,
    out: &'a mut Vec<u8>,
    total: &'a mut Sent,
}

impl Send<'_> {
    fn lacks_nothing(&self) -> bool {
        self.watched.latest.is_none_or(|latest| self.slot.next > latest.sequence.0)
    }

    /// The newest tick: to begin with, or in place of those that are lacking besides. False when it has to wait.
    fn latest(&mut self, snapshot: bool) -> bool {
        let Some(latest) = self.watched.latest else { return true };
        let conflated = if snapshot { 0 } else { latest.sequence.0.saturating_sub(self.slot.next) };
        self.tick(&latest, TickMeta { conflated, snapshot })
    }

    /// Sends a tick, unless the figures for its quote have to be worked out before.
    fn tick(&mut self, tick: &Tick, mark: TickMeta) -> bool {
        let mut quote = None;
        if self.format.quotes() {
            let Some(day) = self.figures(tick.sequence) else { return false };
            quote = Some(Quote::after(tick, day, &*self.watched.series));
        }
        self.format.tick(&self.watched.instrument, tick, mark, quote.as_ref(), self.out);
        self.slot.next = tick.sequence.next().0;
        self.total.note(mark);
        true
    }

    /// The figures of the day as of a tick: those that all share for the newest ones, the slot's own while it is behind.
    /// `None` when that takes more work than is left for this pull.
    fn figures(&mut self, sequence: Sequence) -> Option<Day> {
        let newest = self.watched.latest.is_some_and(|latest| latest.sequence == sequence);
        let Watched { series, instrument, figures: shared, .. } = &mut *self.watched;
        if let Some(day) = shared.as_ref().and_then(|shared| shared.recall(sequence)) {
            *self.day = None;
            return Some(day);
        }
        if *self.reads == 0 {
            return None;
        }
        let begin = || DayFold::new(series.clone(), instrument.day_start, sequence);
        let has_fold = self.day.is_some() || newest && shared.is_some();
        if !has_fold {
            open(self.reads);
        }
        if newest && self.day.is_none() {
            let shared = shared.get_or_insert_with(|| Box::new(DayTracker::new(begin())));
            return shared.reach(sequence, self.reads);
        }
        // It has gone too far when ticks were to be left out before, and are wanted now.
        self.day.take_if(|own| own.sequence() > sequence);
        let nearby = || shared.as_ref().and_then(|shared| shared.fold_at(sequence)).unwrap_or_else(begin);
        let own = self.day.get_or_insert_with(|| Box::new(nearby()));
        let day = own.reach(sequence, self.reads)?;
        if newest && let Some(own) = self.day.take() {
            // Whoever is first at the newest tick has done the work for all.
            if shared.as_ref().is_none_or(|shared| shared.sequence() < sequence) {
                *shared = Some(Box::new(DayTracker::new(*own)));
            }
        }
        Some(day)
    }

    /// Announces the ticks before `next` as a gap.
    fn skip_to(&mut self, next: Sequence) {
        let symbol = &self.watched.instrument.symbol;
        self.format.gap(symbol, Sequence(self.slot.next), next.previous(), self.out);
        self.total.gaps += 1;
        self.slot.next = next.0;
    }

    /// Announces what was asked for and was never on the tape.
    fn skip_before_first(&mut self) {
        let first = self.watched.series.first();
        if self.slot.next < first.0 {
            self.skip_to(first);
        }
    }

    /// Announces the ticks up to the newest as a gap, if the first that is lacking took place by `too_old`.
    fn skip_too_old(&mut self, too_old: Option<Time>) {
        let Some(latest) = self.watched.latest else { return };
        let last_too_old = too_old.and_then(|time| self.watched.series.sequence_at(time));
        if last_too_old.is_some_and(|last| self.slot.next <= last.0) && self.slot.next < latest.sequence.0 {
            self.skip_to(latest.sequence);
        }
    }

    /// Reads what is lacking from the tape, a piece of it at least; true when nothing is lacking any more.
    fn catch_up(&mut self) -> bool {
        if self.lacks_nothing() {
            return true;
        }
        if *self.reads == 0 {
            return false;
        }
        let mut cursor = self.watched.series.cursor(Sequence(self.slot.next));
        open(self.reads);
        let enough = self.out.len() + CATCH_UP;
        while self.out.len() < enough && *self.reads > 0 && self.tick(&cursor.tick(), TickMeta::default()) {
            *self.reads = self.reads.saturating_sub(1);
            if self.lacks_nothing() {
                return true;
            }
            cursor.advance();
        }
        false
    }

    /// Reads from the tape ticks that are at least `interval` apart, the next one not before `not_before`; true when
    /// the next one is yet to come.
    fn catch_up_thinned(&mut self, interval: Duration, not_before: &mut Time) -> bool {
        let Some(latest) = self.watched.latest else { return true };
        let enough = self.out.len() + CATCH_UP;
        while self.out.len() < enough && *self.reads > 0 {
            open(self.reads);
            let due = self.watched.series.sequence_from(*not_before).0.max(self.slot.next);
            if due > latest.sequence.0 {
                return true;
            }
            let tick = self.watched.series.tick(Sequence(due));
            let conflated = due - self.slot.next;
            if !self.tick(&tick, TickMeta { conflated, snapshot: false }) {
                return false;
            }
            *self.reads = self.reads.saturating_sub(1);
            *not_before = tick.time + interval;
        }
        false
    }

    /// Says that what follows is live.
    fn caught_up(&mut self) {
        let last = Sequence(self.slot.next).previous();
        self.format.caught_up(&self.watched.instrument.symbol, last, self.out);
    }
}

/// Counts the cost of opening a cursor. At least one tick may be read after it, so that there is always progress.
fn open(reads: &mut usize) {
    *reads = reads.saturating_sub(OPEN).max(1);
}
