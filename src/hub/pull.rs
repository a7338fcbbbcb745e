//! Pulling: the bytes of what one subscriber still lacks.

use super::{Delivery, Mark, State, Watched, WireFormat, dirty::Visit, interest::Slot};
use crate::tick::{Sequence, Time};

/// At most so many bytes of one symbol's missed ticks at once, so that one that lags holds up no other.
const CATCH_UP: usize = 4 * 1024;

impl State {
    /// Appends what the subscriber lacks to `out` until it holds `budget` bytes.
    pub(super) fn pull(&mut self, subscriber: u32, budget: usize, out: &mut Vec<u8>) {
        let Self { subscribers, watched, published, formats, pages, deferred, flush, now, limits, .. } = self;
        let Some(entry) = subscribers.get_mut(subscriber as usize).and_then(Option::as_mut) else { return };
        let (page, at) = (&pages[entry.format], entry.format);
        let before = out.len();
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
            let mut send = Send { slot, watched, format: &mut *formats[at], out };
            match terms.interest.delivery {
                _ if terms.fresh => {
                    send.snapshot();
                    terms.fresh = false;
                    terms.not_before = *now + terms.interest.min_interval();
                    send.slot.plain = terms.interest.min_interval().is_zero();
                }
                Delivery::EveryTick => {
                    send.skip_too_old(now.before(limits.max_lag));
                    return send.catch_up();
                }
                Delivery::Latest { .. } if send.lacks_nothing() => {}
                Delivery::Latest { .. } if terms.not_before > *now => {
                    // The end of the interval sends what there is, even if no tick follows.
                    send.watched.watchers[terms.place as usize].muted = true;
                    terms.muted_until = Some(terms.not_before);
                    deferred.insert((terms.not_before, subscriber, number));
                }
                Delivery::Latest { min_interval } => {
                    send.newest();
                    terms.not_before = *now + min_interval;
                }
            }
            Visit::Done
        });
        if out.len() > before || entry.heartbeat {
            entry.heard = *now;
        }
        if std::mem::take(&mut entry.heartbeat) && out.len() == before {
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
        self.slot.next > self.watched.latest.sequence.0
    }

    /// The last price, to begin with.
    fn snapshot(&mut self) {
        self.latest(Mark { conflated: 0, snapshot: true });
    }

    /// The newest tick, which stands for those that are lacking besides.
    fn newest(&mut self) {
        let conflated = self.watched.latest.sequence.0 - self.slot.next;
        self.latest(Mark { conflated, snapshot: false });
    }

    fn latest(&mut self, mark: Mark) {
        self.format.tick(&self.watched.instrument, &self.watched.latest, mark, self.out);
        self.slot.next = self.watched.latest.sequence.next().0;
    }

    /// Announces the ticks up to the newest as a gap, if the first that is lacking took place by `too_old`.
    fn skip_too_old(&mut self, too_old: Option<Time>) {
        let newest = self.watched.latest.sequence.0;
        let last_too_old = too_old.and_then(|time| self.watched.series.sequence_at(time));
        if last_too_old.is_some_and(|last| self.slot.next <= last.0) && self.slot.next < newest {
            let symbol = &self.watched.instrument.symbol;
            self.format.gap(symbol, Sequence(self.slot.next), Sequence(newest - 1), self.out);
            self.slot.next = newest;
        }
    }

    /// Reads what is lacking from the tape.
    fn catch_up(&mut self) -> Visit {
        if self.lacks_nothing() {
            return Visit::Done;
        }
        let mut cursor = self.watched.series.cursor(Sequence(self.slot.next));
        let enough = self.out.len() + CATCH_UP;
        while self.out.len() < enough {
            self.format.tick(&self.watched.instrument, &cursor.tick(), Mark::default(), self.out);
            self.slot.next = self.slot.next.saturating_add(1);
            if self.lacks_nothing() {
                return Visit::Done;
            }
            cursor.advance();
        }
        Visit::More
    }
}
