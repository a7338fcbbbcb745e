//! Pulling: the bytes of what one subscriber still lacks.

use std::time::Duration;

use super::{
    DayTracker, Quote, State, TickMeta, Watched, WireFormat,
    day_tracker::Figures,
    dirty::Visit,
    interest::{Phase, Slot, SlotState},
};
use crate::{
    history::{CandleCache, DayFold},
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

/// What is left to do after a pull.
#[derive(Default)]
pub(super) struct Remaining {
    /// The pull stopped because it may read no more of the tape, and more has to be read. A pull that stopped because its
    /// output is full does not set it.
    pub(super) is_behind: bool,
    /// The subscriber waits for a minimum interval that ends before all others, so the pacer has to wake earlier.
    pub(super) deferred_sooner: bool,
}

impl Sent {
    /// What two subscribers were sent together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            ticks: self.ticks + other.ticks,
            conflated: self.conflated + other.conflated,
            gaps: self.gaps + other.gaps,
        }
    }

    /// What was sent since less was.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            ticks: self.ticks - before.ticks,
            conflated: self.conflated - before.conflated,
            gaps: self.gaps - before.gaps,
        }
    }

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
    ) -> Remaining {
        let Self {
            subscribers,
            watched,
            published,
            formats,
            pages,
            deferred,
            flush,
            now,
            limits,
            counters,
            cached,
            ..
        } = self;
        let Some(entry) = subscribers.get_mut(subscriber as usize).and_then(Option::as_mut) else {
            return Remaining::default();
        };
        let (start, before, mut from_tape) = (out.len(), entry.sent, 0);
        let mut remaining = Remaining::default();
        let mut sent_from_page = 0;
        let mut postponed = 0;
        let mut run = Run::default();
        entry.dirty.drain(|number| {
            if out.len() + run.len() >= budget {
                return Visit::Stop;
            }
            let slot = &mut entry.slots[number as usize];
            let published = &published[slot.watched as usize];
            let at = usize::from(slot.format);
            if slot.plain && published.flush == *flush && published.first == slot.next {
                let (from, to) = published.span[at];
                // A page is empty for a format whose quotes are still being worked out.
                if from < to {
                    if !run.extend(at, from, to) {
                        run.copy(pages, out);
                        run = Run { format: at, from, to };
                    }
                    slot.next = published.last.saturating_add(1);
                    sent_from_page += slot.next - published.first;
                    return Visit::Done;
                }
            }
            std::mem::take(&mut run).copy(pages, out);
            let Some(watched) = &mut watched[slot.watched as usize] else { return Visit::Done };
            let state = &mut entry.slot_states[number as usize];
            let format = &mut *formats[at];
            let may_read = *reads > 0;
            let (sent, from_tape) = (&mut entry.sent, &mut from_tape);
            let now = *now;
            match (SlotWriter { slot, state, watched, format, now, cached, reads, out, sent, from_tape })
                .write(limits.max_lag)
            {
                Written::All => Visit::Done,
                Written::AllUntil(end) => {
                    let wait = (end, subscriber, number);
                    remaining.deferred_sooner |= deferred.first().is_none_or(|first| wait < *first);
                    deferred.insert(wait);
                    Visit::Done
                }
                Written::Part => {
                    remaining.is_behind = true;
                    postponed += usize::from(!may_read);
                    match may_read {
                        true => Visit::More,
                        false if postponed == POSTPONED => Visit::Stop,
                        false => Visit::Later,
                    }
                }
            }
        });
        run.copy(pages, out);
        entry.sent.ticks += sent_from_page;
        counters.add(entry.sent.since(before), from_tape);
        if out.len() > start || entry.heartbeat {
            entry.heard = *now;
        }
        if std::mem::take(&mut entry.heartbeat) && out.len() == start {
            formats[usize::from(entry.format)].heartbeat(*now, out);
        }
        remaining
    }
}

/// Ticks that follow one another on the page of a format. They are copied at once.
#[derive(Default)]
struct Run {
    format: usize,
    from: u32,
    to: u32,
}

impl Run {
    fn len(&self) -> usize {
        (self.to - self.from) as usize
    }

    /// Adds ticks of a page. False when they do not follow.
    fn extend(&mut self, format: usize, from: u32, to: u32) -> bool {
        let follows = from == self.to && format == self.format;
        if follows {
            self.to = to;
        }
        follows
    }

    fn copy(&self, pages: &[Vec<u8>], out: &mut Vec<u8>) {
        out.extend_from_slice(&pages[self.format][self.from as usize..self.to as usize]);
    }
}

/// Writes to the output of one subscriber what it lacks of one instrument.
struct SlotWriter<'a> {
    slot: &'a mut Slot,
    state: &'a mut SlotState,
    watched: &'a mut Watched,
    format: &'a mut dyn WireFormat,
    now: Time,
    cached: &'a CandleCache,
    /// Number of ticks that may still be read from the tape.
    reads: &'a mut usize,
    out: &'a mut Vec<u8>,
    sent: &'a mut Sent,
    /// Number of ticks that were read from the tape, because the reader resumes or lags.
    from_tape: &'a mut u64,
}

/// How much of what a slot lacks was written.
enum Written {
    /// All of it.
    All,
    /// All that may be sent before this end of a minimum interval. The slot gets no signals until then.
    AllUntil(Time),
    /// A part of it: the pull may not read enough of the tape for the rest.
    Part,
}

impl From<bool> for Written {
    fn from(all: bool) -> Self {
        if all { Self::All } else { Self::Part }
    }
}

impl SlotWriter<'_> {
    /// Writes what the slot lacks, as its phase and its delivery say.
    fn write(mut self, max_lag: Duration) -> Written {
        let written = match self.state.phase {
            Phase::Fresh => self.snapshot().into(),
            Phase::CatchingUp => self.resumed().into(),
            Phase::Live if self.lacks_nothing() => Written::All,
            Phase::Live if self.state.delivery.is_every_tick() => self.every_tick(max_lag).into(),
            Phase::Live if self.state.not_before > self.now => self.mute(),
            Phase::Live => self.latest(false).into(),
        };
        self.slot.plain = self.state.phase == Phase::Live && self.state.delivery.min_interval().is_zero();
        written
    }

    /// Writes the last price. From then on the slot is live.
    fn snapshot(&mut self) -> bool {
        let written = self.latest(true);
        if written {
            self.state.phase = Phase::Live;
        }
        written
    }

    /// Writes ticks from where the client resumes up to the newest. From then on the slot is live.
    fn resumed(&mut self) -> bool {
        if *self.reads == 0 {
            return false;
        }
        self.skip_before_first();
        let caught_up = match self.state.delivery.min_interval() {
            Duration::ZERO => self.catch_up(),
            interval => self.catch_up_thinned(interval),
        };
        if caught_up {
            self.caught_up();
            self.state.phase = Phase::Live;
        }
        // What a minimum interval still holds back has to be waited for.
        caught_up && self.lacks_nothing()
    }

    /// Writes every tick that a live slot lacks, except those that are older than the largest lag.
    fn every_tick(&mut self, max_lag: Duration) -> bool {
        if *self.reads == 0 {
            return false;
        }
        self.skip_too_old(self.now.before(max_lag));
        self.catch_up()
    }

    /// Writes nothing: the slot gets no signals until its minimum interval ends. The newest tick is sent then, even if no
    /// other follows.
    fn mute(&mut self) -> Written {
        if *self.reads == 0 {
            return Written::Part;
        }
        *self.reads = self.reads.saturating_sub(MUTE);
        self.watched.watchers[self.state.place as usize].mute();
        self.state.muted = true;
        Written::AllUntil(self.state.not_before)
    }

    fn lacks_nothing(&self) -> bool {
        self.watched.latest.is_none_or(|latest| self.slot.next > latest.sequence.0)
    }

    /// Writes the newest tick: as the snapshot, or in place of all that are lacking. False when its quote is not worked
    /// out yet.
    fn latest(&mut self, snapshot: bool) -> bool {
        if let Some(latest) = self.watched.latest {
            let conflated = if snapshot { 0 } else { latest.sequence.0.saturating_sub(self.slot.next) };
            if !self.tick(&latest, TickMeta { conflated, snapshot }) {
                return false;
            }
        }
        self.state.not_before = self.now + self.state.delivery.min_interval();
        true
    }

    /// Sends a tick, unless the figures for its quote have to be worked out before.
    fn tick(&mut self, tick: &Tick, meta: TickMeta) -> bool {
        let mut quote = None;
        if self.format.quotes() {
            let Some(figures) = self.figures(tick.sequence) else { return false };
            let instrument = &self.watched.instrument;
            let mut after = Quote::after(tick, instrument, figures);
            if meta.snapshot {
                after.status = instrument.status_at(self.now);
            }
            quote = Some(after);
        }
        self.format.tick(&self.watched.instrument, tick, meta, quote.as_ref(), self.out);
        self.slot.next = tick.sequence.next().0;
        self.sent.note(meta);
        true
    }

    /// The figures of a quote as of a tick: those that all share for the newest ones, the slot's own while it is behind.
    /// `None` when that takes more work than is left for this pull.
    fn figures(&mut self, sequence: Sequence) -> Option<Figures> {
        let newest = self.watched.latest.is_some_and(|latest| latest.sequence == sequence);
        let Watched { series, instrument, figures: shared, .. } = &mut *self.watched;
        if let Some(figures) = shared.as_ref().and_then(|shared| shared.recall(sequence)) {
            self.state.day = None;
            return Some(figures);
        }
        if *self.reads == 0 {
            return None;
        }
        let begin = || {
            let cached = self.cached.of(instrument.symbol, &**series);
            DayFold::new(series.clone(), instrument.trading_days(), sequence, cached)
        };
        let has_fold = self.state.day.is_some() || newest && shared.is_some();
        if !has_fold {
            open(self.reads);
        }
        if newest && self.state.day.is_none() {
            let shared = shared.get_or_insert_with(|| Box::new(DayTracker::new(begin())));
            return shared.reach(sequence, self.reads);
        }
        // It has gone too far when ticks were to be left out before, and are wanted now.
        self.state.day.take_if(|own| own.sequence() > sequence);
        let nearby = || shared.as_ref().and_then(|shared| shared.fold_at(sequence)).unwrap_or_else(begin);
        let own = self.state.day.get_or_insert_with(|| Box::new(nearby()));
        let figures = (own.reach(sequence, self.reads)?, own.top_of_book());
        if newest && let Some(own) = self.state.day.take() {
            // The first reader at the newest tick has done the work for all.
            if shared.as_ref().is_none_or(|shared| shared.sequence() < sequence) {
                *shared = Some(Box::new(DayTracker::new(*own)));
            }
        }
        Some(figures)
    }

    /// Announces the ticks before `next` as a gap.
    fn skip_to(&mut self, next: Sequence) {
        let symbol = &self.watched.instrument.symbol;
        self.format.gap(symbol, Sequence(self.slot.next), next.previous(), self.out);
        self.sent.gaps += 1;
        self.slot.next = next.0;
    }

    /// Announces what was asked for and is not on the tape, or not any more.
    fn skip_before_first(&mut self) {
        self.skip_unavailable(self.watched.series.first());
    }

    /// Announces the ticks before `next` that are lacking and cannot be read.
    fn skip_unavailable(&mut self, next: Sequence) {
        if self.slot.next < next.0 {
            self.skip_to(next);
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
        while self.out.len() < enough && *self.reads > 0 {
            let tick = cursor.tick();
            // The window of a growing tape may have moved past what is lacking.
            self.skip_unavailable(tick.sequence);
            if !self.tick(&tick, TickMeta::default()) {
                break;
            }
            *self.from_tape += 1;
            *self.reads = self.reads.saturating_sub(1);
            if self.lacks_nothing() {
                return true;
            }
            cursor.advance();
        }
        false
    }

    /// Reads ticks that are at least `interval` apart from the tape. True when the next one is yet to come.
    fn catch_up_thinned(&mut self, interval: Duration) -> bool {
        let Some(latest) = self.watched.latest else { return true };
        let enough = self.out.len() + CATCH_UP;
        while self.out.len() < enough && *self.reads > 0 {
            open(self.reads);
            let due = self.watched.series.sequence_from(self.state.not_before).0.max(self.slot.next);
            if due > latest.sequence.0 {
                return true;
            }
            let tick = self.watched.series.tick(Sequence(due));
            let conflated = tick.sequence.0.saturating_sub(self.slot.next);
            if !self.tick(&tick, TickMeta { conflated, snapshot: false }) {
                return false;
            }
            *self.from_tape += 1;
            *self.reads = self.reads.saturating_sub(1);
            self.state.not_before = tick.time + interval;
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
