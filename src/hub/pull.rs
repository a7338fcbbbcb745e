//! Pulling: the bytes of what one subscriber still lacks.

use std::time::Duration;

use super::{
    Delivery, Mark, State, Watched, WireFormat,
    dirty::Visit,
    interest::{Phase, Slot},
};
use crate::tick::{Sequence, Tick, Time};

/// At most so many bytes of one symbol's missed ticks at once, so that one that lags holds up no other.
const CATCH_UP: usize = 4 * 1024;

impl State {
    /// Appends what the subscriber lacks to `out` until it holds `budget` bytes.
    pub(super) fn pull(&mut self, subscriber: u32, budget: usize, out: &mut Vec<u8>) {
        let Self { subscribers, watched, published, formats, pages, deferred, flush, now, limits, .. } = self;
        let Some(entry) = subscribers.get_mut(subscriber as usize).and_then(Option::as_mut) else { return };
        let (page, at) = (&pages[entry.format], entry.format);
        entry.dirty.drain(|number| {
            if out.len() >= budget {
                return Visit::Stop;
            }
            let slot = &mut entry.slots[number as usize];
            let news = &published[slot.watched as usize];
            if slot.plain && news.flush == *flush && news.first == slot.next {
                let (from, to) = news.span[at];
                out.extend_from_slice(&page[from as usize..to as usize]);
                slot.next = news.last.saturating_add(1);
                return Visit::Done;
            }
            let Some(watched) = &mut watched[slot.watched as usize] else { return Visit::Done };
            let terms = &mut entry.terms[number as usize];
            let min_interval = terms.interest.min_interval();
            let mut send = Send { slot, watched, format: &mut *formats[at], out };
            match (terms.phase, terms.interest.delivery) {
                (Phase::Fresh, _) => {
                    send.snapshot();
                    terms.not_before = *now + min_interval;
                    terms.phase = Phase::Live;
                    send.slot.plain = min_interval.is_zero();
                }
                (Phase::CatchingUp, _) => {
                    send.skip_before_first();
                    let caught_up = match min_interval.is_zero() {
                        true => send.catch_up(),
                        false => send.catch_up_thinned(min_interval, &mut terms.not_before),
                    };
                    if caught_up {
                        send.caught_up();
                        terms.phase = Phase::Live;
                        send.slot.plain = min_interval.is_zero();
                    }
                    // What a minimum interval still holds back has to be waited for.
                    return if caught_up && send.lacks_nothing() { Visit::Done } else { Visit::More };
                }
                (Phase::Live, Delivery::EveryTick) => {
                    send.skip_too_old(now.before(limits.max_lag));
                    return if send.catch_up() { Visit::Done } else { Visit::More };
                }
                (Phase::Live, Delivery::Latest { .. }) if send.lacks_nothing() => {}
                (Phase::Live, Delivery::Latest { .. }) if terms.not_before > *now => {
                    // The end of the interval sends what there is, even if no tick follows.
                    send.watched.watchers[terms.place as usize].muted = true;
                    terms.muted_until = Some(terms.not_before);
                    deferred.insert((terms.not_before, subscriber, number));
                }
                (Phase::Live, Delivery::Latest { .. }) => {
                    send.newest();
                    terms.not_before = *now + min_interval;
                }
            }
            Visit::Done
        });
        if !out.is_empty() || entry.heartbeat {
            entry.heard = *now;
        }
        if std::mem::take(&mut entry.heartbeat) && out.is_empty() {
            formats[at].heartbeat(*now, out);
        }
    }
}

/// Sends to one slot what it lacks of one instrument.
struct Send<'a> {
    slot: &'a mut Slot,
    watched: &'a mut Watched,
    format: &'a mut dyn WireFormat,
    out: &'a mut Vec<u8>,
}

impl Send<'_> {
    fn lacks_nothing(&self) -> bool {
        self.watched.latest.is_none_or(|latest| self.slot.next > latest.sequence.0)
    }

    /// The last price, to begin with.
    fn snapshot(&mut self) {
        if let Some(latest) = self.watched.latest {
            self.tick(&latest, Mark { conflated: 0, snapshot: true });
        }
    }

    /// The newest tick, which stands for those that are lacking besides.
    fn newest(&mut self) {
        if let Some(latest) = self.watched.latest {
            let conflated = latest.sequence.0.saturating_sub(self.slot.next);
            self.tick(&latest, Mark { conflated, snapshot: false });
        }
    }

    fn tick(&mut self, tick: &Tick, mark: Mark) {
        self.format.tick(&self.watched.instrument, tick, mark, self.out);
        self.slot.next = tick.sequence.next().0;
    }

    /// Announces the ticks before `next` as a gap.
    fn skip_to(&mut self, next: Sequence) {
        let last = Sequence(next.0.saturating_sub(1));
        self.format.gap(&self.watched.instrument.symbol, Sequence(self.slot.next), last, self.out);
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
        let mut cursor = self.watched.series.cursor(Sequence(self.slot.next));
        let enough = self.out.len() + CATCH_UP;
        while self.out.len() < enough {
            self.tick(&cursor.tick(), Mark::default());
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
        while self.out.len() < enough {
            let due = self.watched.series.sequence_from(*not_before).0.max(self.slot.next);
            if due > latest.sequence.0 {
                return true;
            }
            let tick = self.watched.series.tick(Sequence(due));
            self.tick(&tick, Mark { conflated: due - self.slot.next, snapshot: false });
            *not_before = tick.time + interval;
        }
        false
    }

    /// Says that what follows is live.
    fn caught_up(&mut self) {
        let last = Sequence(self.slot.next.saturating_sub(1));
        self.format.caught_up(&self.watched.instrument.symbol, last, self.out);
    }
}
