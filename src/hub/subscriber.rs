//! One stream's side of the hub: subscribe, unsubscribe, pull. Dropping it leaves no trace.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Change, Dirty, Entry, Hub, Interest, Published, Start, State, Watched, Watcher,
    interest::{Phase, Slot, Terms},
};
use crate::{
    tape::{Instrument, Tape},
    tick::{Sequence, Symbol, Time},
};

/// A subscriber of a [`Hub`].
pub struct Subscriber {
    hub: Arc<Hub>,
    id: u32,
}

/// What subscribing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribed {
    /// The instrument is new to this subscriber.
    Added,
    /// It was subscribed already, and its options are the new ones.
    Changed,
}

/// What a pull came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Something was appended.
    Data,
    /// The hub is closed.
    Closed,
}

impl Subscriber {
    /// Joins a hub, with heartbeats in the format at this place.
    pub fn join(hub: Arc<Hub>, format: u8, now: Time) -> Self {
        let entry = Entry {
            format,
            waker: None,
            signalled: true,
            dirty: Dirty::default(),
            slots: Vec::new(),
            terms: Vec::new(),
            free_slots: Vec::new(),
            by_watched: HashMap::new(),
            named: 0,
            heard: now,
            heartbeat: false,
        };
        let id = {
            let state = &mut *hub.lock();
            match state.free_subscribers.pop() {
                Some(id) => {
                    state.subscribers[id as usize] = Some(entry);
                    id
                }
                None => {
                    state.subscribers.push(Some(entry));
                    (state.subscribers.len() - 1) as u32
                }
            }
        };
        Self { hub, id }
    }

    /// Subscribes to an instrument of `tape`, or changes what is wanted of it. What is subscribed already begins again
    /// only if `start` names a sequence.
    pub fn subscribe(
        &self,
        tape: &dyn Tape,
        instrument: &Arc<Instrument>,
        interest: Interest,
        start: Start,
        now: Time,
    ) -> Subscribed {
        let state = &mut *self.hub.lock();
        let known = state.by_symbol.get(&instrument.symbol).copied();
        let watched = known.unwrap_or_else(|| state.watch(tape, instrument, now));
        if known.is_none() {
            self.hub.watched.notify_one();
        }
        state.add_interest(self.id, watched, interest, start)
    }

    /// Unsubscribes from a symbol. False when it was not subscribed.
    pub fn unsubscribe(&self, symbol: &Symbol) -> bool {
        let state = &mut *self.hub.lock();
        let Some(watched) = state.by_symbol.get(symbol).copied() else { return false };
        state.drop_interest(self.id, watched)
    }

    /// Unsubscribes from every symbol that `keep` refuses, and returns those.
    pub fn retain(&self, mut keep: impl FnMut(&Symbol, &Interest) -> bool) -> Vec<Symbol> {
        let state = &mut *self.hub.lock();
        let dropped: Vec<(u32, Symbol)> = state
            .interests(self.id)
            .filter(|(_, symbol, interest)| !keep(symbol, interest))
            .map(|(watched, symbol, _)| (watched, symbol))
            .collect();
        for (watched, _) in &dropped {
            state.drop_interest(self.id, *watched);
        }
        dropped.into_iter().map(|(_, symbol)| symbol).collect()
    }

    /// What is subscribed, in no particular order.
    pub fn interests(&self) -> Vec<(Symbol, Interest)> {
        let state = &*self.hub.lock();
        state.interests(self.id).map(|(_, symbol, interest)| (symbol, interest)).collect()
    }

    /// Whether nothing is subscribed.
    pub fn is_idle(&self) -> bool {
        let state = &*self.hub.lock();
        state.subscribers[self.id as usize].as_ref().is_none_or(|entry| entry.by_watched.is_empty())
    }

    /// How many instruments are subscribed by name.
    pub fn named(&self) -> usize {
        let state = &*self.hub.lock();
        state.subscribers[self.id as usize].as_ref().map_or(0, |entry| entry.named)
    }

    /// Whether a symbol is subscribed by name.
    pub fn has_named(&self, symbol: &Symbol) -> bool {
        let state = &*self.hub.lock();
        let Some(watched) = state.by_symbol.get(symbol) else { return false };
        let Some(entry) = &state.subscribers[self.id as usize] else { return false };
        entry.by_watched.get(watched).is_some_and(|slot| !entry.terms[*slot as usize].interest.unnamed)
    }

    /// Appends what the subscriber lacks to `out`, until it holds `budget` bytes and a message more; pending when it
    /// lacks nothing. Call it again after `Data`.
    pub fn poll_pull(&self, cx: &mut Context<'_>, budget: usize, out: &mut Vec<u8>) -> Poll<Pulled> {
        let state = &mut *self.hub.lock();
        let before = out.len();
        if state.closed {
            return Poll::Ready(Pulled::Closed);
        }
        let unfinished = state.pull(self.id, budget, out);
        let Some(entry) = &mut state.subscribers[self.id as usize] else {
            return Poll::Ready(Pulled::Closed);
        };
        if out.len() > before || out.len() >= budget {
            return Poll::Ready(Pulled::Data);
        }
        if unfinished {
            // Others take their turn first.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !entry.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            entry.waker = Some(cx.waker().clone());
        }
        entry.signalled = false;
        Poll::Pending
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.retain(|_, _| false);
        let state = &mut *self.hub.lock();
        state.subscribers[self.id as usize] = None;
        state.free_subscribers.push(self.id);
    }
}

impl State {
    /// Begins to watch an instrument.
    fn watch(&mut self, tape: &dyn Tape, instrument: &Arc<Instrument>, now: Time) -> u32 {
        let series = tape.series(instrument);
        // The hub's own time stands still while nothing is watched.
        self.now = self.now.max(now);
        let newest = series.sequence_at(self.now);
        let latest = newest.map(|newest| series.tick(newest));
        let from = newest.map_or_else(|| series.first(), Sequence::next);
        let id = self.free_watched.pop().unwrap_or(self.watched.len() as u32);
        if id as usize == self.watched.len() {
            self.watched.push(None);
            self.published.push(Published::default());
        }
        self.published[id as usize] = Published::default();
        self.changes.push(Change::Watch { id, series: series.clone(), from });
        self.watched[id as usize] = Some(Watched {
            instrument: instrument.clone(),
            series,
            latest,
            figures: None,
            watchers: Vec::new(),
            readers: Default::default(),
        });
        self.by_symbol.insert(instrument.symbol, id);
        id
    }

    fn add_interest(
        &mut self,
        subscriber: u32,
        watched: u32,
        interest: Interest,
        start: Start,
    ) -> Subscribed {
        let (Some(entry), Some(found)) =
            (&mut self.subscribers[subscriber as usize], &mut self.watched[watched as usize])
        else {
            return Subscribed::Changed;
        };
        if let Some(number) = entry.by_watched.get(&watched).copied() {
            let (slot, terms) = (&mut entry.slots[number as usize], &mut entry.terms[number as usize]);
            // What was named once stays named, whatever else asks for it.
            let unnamed = terms.interest.unnamed && interest.unnamed;
            entry.named += usize::from(terms.interest.unnamed && !unnamed);
            let before = std::mem::replace(&mut terms.interest, Interest { unnamed, ..interest });
            match start {
                Start::At { next, not_before, day } => {
                    slot.next = next.0;
                    terms.phase = Phase::CatchingUp;
                    terms.not_before = not_before;
                    terms.day = day;
                }
                // A request that changes no option must not restart the wait for the minimum interval.
                Start::Snapshot if before.has_options_of(&interest) => return Subscribed::Changed,
                Start::Snapshot => {
                    let last_sent = last_sent(slot, terms.not_before, &before, found, self.now);
                    terms.not_before = last_sent + interest.min_interval();
                }
            }
            found.readers[usize::from(before.format)] -= 1;
            found.readers[usize::from(interest.format)] += 1;
            slot.format = interest.format;
            slot.plain = terms.phase == Phase::Live && interest.min_interval().is_zero();
            if terms.phase == Phase::CatchingUp {
                entry.mark(number);
            }
            self.unmute(subscriber, number);
            self.forget_unread_day(watched);
            return Subscribed::Changed;
        }
        let (phase, next, not_before, day) = match (start, found.latest) {
            (Start::At { next, not_before, day }, _) => (Phase::CatchingUp, next, not_before, day),
            (Start::Snapshot, Some(latest)) => (Phase::Fresh, latest.sequence, Time::default(), None),
            // Nothing was traded yet: the first tick of all will be a live one.
            (Start::Snapshot, None) => (Phase::Live, found.series.first(), Time::default(), None),
        };
        let plain = phase == Phase::Live && interest.min_interval().is_zero();
        let slot = Slot { next: next.0, watched, format: interest.format, plain };
        let place = found.watchers.len() as u32;
        let terms = Terms { interest, place, phase, not_before, muted_until: None, day };
        let number = entry.free_slots.pop().unwrap_or(entry.slots.len() as u32);
        if number as usize == entry.slots.len() {
            entry.slots.push(slot);
            entry.terms.push(terms);
        } else {
            entry.slots[number as usize] = slot;
            entry.terms[number as usize] = terms;
        }
        entry.named += usize::from(!interest.unnamed);
        entry.by_watched.insert(watched, number);
        found.watchers.push(Watcher { subscriber, slot: number, muted: false });
        found.readers[usize::from(interest.format)] += 1;
        entry.mark(number);
        Subscribed::Added
    }

    fn drop_interest(&mut self, subscriber: u32, watched: u32) -> bool {
        let (Some(entry), Some(found)) =
            (&mut self.subscribers[subscriber as usize], &mut self.watched[watched as usize])
        else {
            return false;
        };
        let Some(number) = entry.by_watched.remove(&watched) else { return false };
        let terms = &mut entry.terms[number as usize];
        terms.day = None;
        let place = terms.place;
        if let Some(until) = terms.muted_until {
            self.deferred.remove(&(until, subscriber, number));
        }
        entry.free_slots.push(number);
        entry.dirty.clear(number);
        entry.named -= usize::from(!terms.interest.unnamed);
        found.readers[usize::from(terms.interest.format)] -= 1;
        found.watchers.swap_remove(place as usize);
        let moved = found.watchers.get(place as usize).copied();
        if found.watchers.is_empty() {
            self.by_symbol.remove(&found.instrument.symbol);
            self.watched[watched as usize] = None;
            self.free_watched.push(watched);
            self.changes.push(Change::Unwatch { id: watched });
        }
        if let Some(moved) = moved
            && let Some(entry) = &mut self.subscribers[moved.subscriber as usize]
        {
            entry.terms[moved.slot as usize].place = place;
        }
        self.forget_unread_day(watched);
        true
    }

    /// Follows the day of an instrument no longer when nobody reads its quotes.
    fn forget_unread_day(&mut self, watched: u32) {
        let Some(found) = &mut self.watched[watched as usize] else { return };
        let mut readers = found.readers.iter().zip(&self.quotes);
        if !readers.any(|(readers, quotes)| *readers > 0 && *quotes) {
            found.figures = None;
        }
    }

    fn interests(&self, subscriber: u32) -> impl Iterator<Item = (u32, Symbol, Interest)> {
        let entry = self.subscribers[subscriber as usize].as_ref();
        entry.into_iter().flat_map(|entry| {
            entry.by_watched.iter().filter_map(|(watched, slot)| {
                let found = self.watched[*watched as usize].as_ref()?;
                Some((*watched, found.instrument.symbol, entry.terms[*slot as usize].interest))
            })
        })
    }
}

/// When a slot was last sent a tick, for the interest that it had. What was sent without a minimum interval leaves no
/// time behind: it counts from the time of the tick.
fn last_sent(slot: &Slot, not_before: Time, interest: &Interest, watched: &Watched, now: Time) -> Time {
    let interval = interest.min_interval();
    if !interval.is_zero() {
        return not_before.before(interval).unwrap_or_default();
    }
    let last = Sequence(slot.next).previous();
    match slot.next > watched.series.first().0 {
        true => not_before.max(watched.series.tick(last).time.min(now)),
        false => not_before,
    }
}
