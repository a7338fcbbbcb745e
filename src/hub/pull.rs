//! Pulling: the bytes of what one subscriber still lacks.

use super::{Delivery, Mark, Published, State, Watched, WireFormat, dirty::Visit, interest::Slot};
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
            if slot.is_up_to(news, *flush) {
                let (from, to) = news.span[at];
                out.extend_from_slice(&page[from as usize..to as usize]);
                slot.next = news.last.saturating_add(1);
                slot.sent = *now;
                return Visit::Done;
            }
            let Some(watched) = &mut watched[slot.watched as usize] else { return Visit::Done };
            let format = &mut *formats[at];
            let held_until = slot.not_before();
            let before = out.len();
            match slot.interest.delivery {
                _ if slot.fresh => slot.send_latest(watched, format, out),
                Delivery::EveryTick => {
                    let too_old =
                        now.nanos().checked_sub(limits.max_lag.as_nanos().try_into().unwrap_or(u64::MAX));
                    slot.skip_too_old(watched, format, too_old.map(Time::from_nanos), out);
                    slot.catch_up(watched, format, out);
                }
                Delivery::Latest { .. } if held_until > *now => {
                    // Once there is something to send, the end of the interval sends it, even if no tick follows.
                    if slot.next <= watched.latest.sequence.0 {
                        watched.watchers[slot.place as usize].muted = true;
                        slot.muted_until = Some(held_until);
                        deferred.insert((held_until, subscriber, number));
                    }
                }
                Delivery::Latest { .. } => slot.send_latest(watched, format, out),
            }
            if out.len() > before {
                slot.sent = *now;
            }
            match slot.interest.delivery {
                Delivery::EveryTick if slot.next <= watched.latest.sequence.0 => Visit::More,
                _ => Visit::Done,
            }
        });
        if out.len() > before || entry.heartbeat {
            entry.heard = *now;
        }
        if std::mem::take(&mut entry.heartbeat) && out.len() == before {
            formats[at].heartbeat(*now, out);
        }
    }
}

impl Slot {
    /// It lacks just what the last flush published, and wants it all.
    fn is_up_to(&self, news: &Published, flush: u64) -> bool {
        news.flush == flush && self.next == news.first && !self.fresh && self.min_interval().is_zero()
    }

    /// Sends the newest tick, which stands for those that the subscriber lacks besides.
    fn send_latest(&mut self, watched: &Watched, format: &mut dyn WireFormat, out: &mut Vec<u8>) {
        let newest = watched.latest.sequence.0;
        if !self.fresh && self.next > newest {
            return;
        }
        let mark = Mark { conflated: if self.fresh { 0 } else { newest - self.next }, snapshot: self.fresh };
        format.tick(&watched.instrument, &watched.latest, mark, out);
        self.fresh = false;
        self.next = newest.saturating_add(1);
    }

    /// Announces the ticks that it lacks as a gap, up to the newest, if the first of them is older than allowed.
    fn skip_too_old(
        &mut self,
        watched: &Watched,
        format: &mut dyn WireFormat,
        too_old: Option<Time>,
        out: &mut Vec<u8>,
    ) {
        let newest = watched.latest.sequence.0;
        let oldest_allowed = too_old.and_then(|time| watched.series.sequence_at(time));
        if oldest_allowed.is_some_and(|allowed| self.next <= allowed.0) && self.next < newest {
            let symbol = &watched.instrument.symbol;
            format.gap(symbol, Sequence(self.next), Sequence(newest - 1), out);
            self.next = newest;
        }
    }

    /// Reads what it lacks from the tape.
    fn catch_up(&mut self, watched: &Watched, format: &mut dyn WireFormat, out: &mut Vec<u8>) {
        let newest = watched.latest.sequence.0;
        if self.next > newest {
            return;
        }
        let mut cursor = watched.series.cursor(Sequence(self.next));
        let enough = out.len() + CATCH_UP;
        while self.next <= newest && out.len() < enough {
            format.tick(&watched.instrument, &cursor.tick(), Mark::default(), out);
            self.next = self.next.saturating_add(1);
            cursor.advance();
        }
    }
}
