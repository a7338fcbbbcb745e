//! Subscriptions: how they begin, change and end.

use std::{collections::HashMap, sync::Arc};

use super::{
    Dirty, Entry, IdChange, Interest, Published, Sent, Start, State, Watched, Watcher,
    ids::{is_mostly_empty, push, shrink},
    interest::{PackedDelivery, Phase, Slot, SlotState, VACANT},
    subscriber::{Full, Subscribed},
};
use crate::{
    tape::{Instrument, Tape},
    tick::{Sequence, Symbol, Time},
};

impl State {
    pub(super) fn entry(&self, subscriber: u32) -> Option<&Entry> {
        self.subscribers.get(subscriber as usize)?.as_ref()
    }

    fn entry_mut(&mut self, subscriber: u32) -> Option<&mut Entry> {
        self.subscribers.get_mut(subscriber as usize)?.as_mut()
    }

    /// The slot of a symbol.
    pub(super) fn slot(&self, subscriber: u32, symbol: &Symbol) -> Option<u32> {
        let watched = self.by_symbol.get(symbol)?;
        self.entry(subscriber)?.by_watched.get(watched).copied()
    }

    pub(super) fn subscribe(
        &mut self,
        subscriber: u32,
        tape: &dyn Tape,
        instrument: &Arc<Instrument>,
        interest: Interest,
        start: Start,
        now: Time,
    ) -> Subscribed {
        // A request restarts the idle timeout, even if it is over and the stream was not told yet.
        self.update(subscriber, |entry| (entry.touched, entry.timed_out) = (now.max(entry.touched), false));
        if let Some(number) = self.slot(subscriber, &instrument.symbol) {
            self.change_interest(subscriber, number, interest, start);
            return Subscribed::Changed;
        }
        if let Some(full) = self.take_quota(subscriber) {
            return Subscribed::Full(full);
        }
        let known = self.by_symbol.get(&instrument.symbol).copied();
        let watched = known.unwrap_or_else(|| self.watch(tape, instrument, now));
        self.add_interest(subscriber, watched, interest, start);
        Subscribed::Added
    }

    /// Counts one subscription more, unless there is no room for it.
    fn take_quota(&self, subscriber: u32) -> Option<Full> {
        let quotas = &self.entry(subscriber)?.quotas;
        if !quotas.caller.take() {
            return Some(Full::Caller);
        }
        if !quotas.connection.take() {
            quotas.caller.give_back();
            return Some(Full::Connection);
        }
        if !self.quota.take() {
            quotas.give_back();
            return Some(Full::Server);
        }
        None
    }

    /// Begins to watch an instrument.
    fn watch(&mut self, tape: &dyn Tape, instrument: &Arc<Instrument>, now: Time) -> u32 {
        let series = tape.series(instrument);
        // The hub's time does not advance while nothing is watched.
        self.now = self.now.max(now);
        let latest = series.sequence_at(self.now).map(|newest| series.tick(newest));
        let id = self.ids.take();
        while self.watched.len() < self.ids.len() {
            self.watched.push(None);
            self.published.push(Published::default());
        }
        self.published[id as usize] = Published::default();
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

    /// The next change for the pacer; `None` when it knows all of them.
    pub(super) fn next_change(&mut self) -> Option<IdChange> {
        let news = self.ids.next_change(|id| self.watched[id as usize].is_some());
        if let Some(IdChange::Free(_) | IdChange::Nothing) = news {
            self.trim_watched();
        }
        news
    }

    fn change_interest(&mut self, subscriber: u32, number: u32, interest: Interest, start: Start) {
        let Some(entry) = self.subscribers[subscriber as usize].as_mut() else { return };
        let (slot, slot_state) = (&mut entry.slots[number as usize], &mut entry.slot_states[number as usize]);
        // A symbol that was subscribed by name counts as named, even if `*` covers it later.
        entry.named += usize::from(slot_state.unnamed && !interest.unnamed);
        slot_state.unnamed &= interest.unnamed;
        // A request that changes no option must not restart the wait for the minimum interval.
        let same = slot_state.delivery == interest.delivery.into() && slot.format == interest.format;
        if same && matches!(start, Start::Snapshot) {
            return;
        }
        self.unmute(subscriber, number);
        let Some(entry) = self.subscribers[subscriber as usize].as_mut() else { return };
        let (slot, slot_state) = (&mut entry.slots[number as usize], &mut entry.slot_states[number as usize]);
        let Some(found) = &mut self.watched[slot.watched as usize] else { return };
        match start {
            Start::At { next, not_before, day } => {
                slot.next = next.0;
                slot_state.phase = Phase::CatchingUp;
                slot_state.not_before = not_before;
                slot_state.day = day;
            }
            Start::Snapshot => {
                slot_state.not_before =
                    last_sent(slot, slot_state, found, self.now) + interest.min_interval();
            }
        }
        slot_state.delivery = interest.delivery.into();
        found.readers[usize::from(slot.format)] -= 1;
        found.readers[usize::from(interest.format)] += 1;
        slot.format = interest.format;
        slot.plain = slot_state.phase == Phase::Live && interest.min_interval().is_zero();
        let watched = slot.watched;
        if slot_state.phase == Phase::CatchingUp {
            entry.mark(number);
        }
        self.forget_unread_day(watched);
    }

    fn add_interest(&mut self, subscriber: u32, watched: u32, interest: Interest, start: Start) {
        let (Some(entry), Some(found)) =
            (&mut self.subscribers[subscriber as usize], &mut self.watched[watched as usize])
        else {
            return;
        };
        let (slot, state) = begin(interest, start, watched, found);
        self.idle.remove(&(entry.touched, subscriber));
        let number = entry.put(slot, state);
        push(&mut found.watchers, Watcher { subscriber, slot: number });
        found.readers[usize::from(interest.format)] += 1;
    }

    /// Unsubscribes from a symbol. False when it was not subscribed.
    pub(super) fn unsubscribe(&mut self, subscriber: u32, symbol: &Symbol) -> bool {
        let Some(number) = self.slot(subscriber, symbol) else { return false };
        self.release(subscriber, number);
        true
    }

    /// Looks at most at `most` slots from `from` on, and unsubscribes from what `keep` refuses. Returns where to go on,
    /// if there are more.
    pub(super) fn retain(
        &mut self,
        subscriber: u32,
        from: u32,
        most: usize,
        mut keep: impl FnMut(&Symbol, &Interest) -> bool,
        removed: &mut Vec<Symbol>,
    ) -> Option<u32> {
        let end = (from as usize).saturating_add(most);
        for number in from..end.min(self.entry(subscriber)?.slots.len()) as u32 {
            if let Some((symbol, interest)) = self.interest(subscriber, number)
                && !keep(&symbol, &interest)
            {
                self.release(subscriber, number);
                removed.push(symbol);
            }
        }
        (end < self.entry(subscriber)?.slots.len()).then_some(end as u32)
    }

    /// Treats every symbol of a subscriber as one that `*` brought, not as one that was subscribed by name.
    pub(super) fn unname_all(&mut self, subscriber: u32) {
        let Some(entry) = &mut self.subscribers[subscriber as usize] else { return };
        entry.slot_states.iter_mut().for_each(|slot_state| slot_state.unnamed = true);
        entry.named = 0;
    }

    /// What is subscribed in a slot; `None` in a vacant one.
    pub(super) fn interest(&self, subscriber: u32, number: u32) -> Option<(Symbol, Interest)> {
        let entry = self.entry(subscriber)?;
        let slot = entry.slots.get(number as usize)?;
        let watched = self.watched.get(slot.watched as usize)?.as_ref()?;
        Some((watched.instrument.symbol, entry.slot_states[number as usize].interest(slot.format)))
    }

    /// Ends the subscription of a slot that is in use.
    fn release(&mut self, subscriber: u32, number: u32) {
        let Some(entry) = &mut self.subscribers[subscriber as usize] else { return };
        let (slot, slot_state) = (entry.slots[number as usize], &mut entry.slot_states[number as usize]);
        if std::mem::take(&mut slot_state.muted) {
            self.deferred.remove(&(slot_state.not_before, subscriber, number));
        }
        let place = slot_state.place as usize;
        entry.vacate(number);
        entry.quotas.give_back();
        self.quota.give_back();
        if entry.count == 0 {
            let now = self.now;
            self.update(subscriber, |entry| entry.touched = now.max(entry.touched));
        }
        let watched = slot.watched;
        let Some(found) = &mut self.watched[watched as usize] else { return };
        found.readers[usize::from(slot.format)] -= 1;
        found.watchers.swap_remove(place);
        shrink(&mut found.watchers);
        let moved = found.watchers.get(place).copied();
        if found.watchers.is_empty() {
            self.unwatch(watched);
            return;
        }
        if let Some(moved) = moved
            && let Some(entry) = &mut self.subscribers[moved.subscriber as usize]
        {
            entry.slot_states[moved.number() as usize].place = place as u32;
        }
        self.forget_unread_day(watched);
    }

    /// Nobody watches an instrument any more.
    fn unwatch(&mut self, watched: u32) {
        if let Some(found) = self.watched[watched as usize].take() {
            self.by_symbol.remove(&found.instrument.symbol);
        }
        if is_mostly_empty(self.by_symbol.len(), self.by_symbol.capacity()) {
            self.by_symbol.shrink_to(self.by_symbol.len() * 2);
        }
        self.drop_unread_pages();
        self.ids.give_back(watched);
        self.trim_watched();
    }

    /// Shrinks the tables that are indexed by number.
    fn trim_watched(&mut self) {
        self.ids.trim(|id| self.watched[id as usize].is_some());
        self.watched.truncate(self.ids.len());
        self.published.truncate(self.ids.len());
        shrink(&mut self.watched);
        shrink(&mut self.published);
    }

    /// Drops the figures of an instrument's day when nobody reads its quotes.
    fn forget_unread_day(&mut self, watched: u32) {
        let Some(found) = &mut self.watched[watched as usize] else { return };
        let mut readers = found.readers.iter().zip(&self.quotes);
        if !readers.any(|(readers, quotes)| *readers > 0 && *quotes) {
            found.figures = None;
        }
    }

    pub(super) fn join(&mut self, entry: Entry) -> u32 {
        let touched = entry.touched;
        let id = match self.free_subscribers.take(self.subscribers.len()) {
            Some(id) => {
                self.subscribers[id as usize] = Some(entry);
                id
            }
            None => {
                self.subscribers.push(Some(entry));
                (self.subscribers.len() - 1) as u32
            }
        };
        self.idle.insert((touched, id));
        self.joined += 1;
        id
    }

    /// Unlinks a subscriber that leaves: it gets no signal and no heartbeat any more. True when it has slots that must be
    /// swept.
    pub(super) fn leave(&mut self, id: u32) -> bool {
        self.update(id, |entry| entry.leaving = true);
        self.cancel_departure(id);
        self.joined -= 1;
        let Some(entry) = self.entry_mut(id) else { return false };
        entry.signalled = true;
        entry.waker = None;
        entry.by_watched = HashMap::new();
        if entry.count == 0 {
            self.forget(id);
            return false;
        }
        self.leaving.push_back(id);
        true
    }

    pub(super) fn has_leaving(&self) -> bool {
        !self.leaving.is_empty() || !self.discarded.is_empty()
    }

    /// Removes at most `most` slots of subscribers that have left, or parts of what is discarded. True when there are
    /// more.
    pub(super) fn sweep(&mut self, most: usize) -> bool {
        if self.leaving.is_empty() {
            let more = self.discarded.front_mut().is_some_and(|large| large.discard(most));
            if !more {
                self.discarded.pop_front();
            }
        }
        for _ in 0..most {
            let Some(&id) = self.leaving.front() else { break };
            let last = self.entry(id).and_then(|entry| entry.slots.last()).map(|slot| slot.watched != VACANT);
            match last {
                Some(in_use) => {
                    if in_use && let Some(number) = self.entry(id).map(|entry| entry.slots.len() as u32 - 1) {
                        self.release(id, number);
                    }
                    if let Some(entry) = self.entry_mut(id) {
                        // Releasing the last slot in use has freed all of them already.
                        entry.slots.pop();
                        entry.slot_states.pop();
                    }
                }
                None => {
                    self.leaving.pop_front();
                    self.forget(id);
                }
            }
        }
        self.has_leaving()
    }

    fn forget(&mut self, id: u32) {
        self.subscribers[id as usize] = None;
        self.free_subscribers.give_back(id);
        while self.subscribers.last().is_some_and(Option::is_none) {
            self.subscribers.pop();
        }
        self.free_subscribers.trim(self.subscribers.len());
        shrink(&mut self.subscribers);
    }
}

impl Entry {
    const NONE: u32 = u32::MAX;

    pub(super) fn new(format: u8, quotas: super::StreamQuotas, now: Time) -> Self {
        Self {
            format,
            waker: None,
            signalled: true,
            dirty: Dirty::default(),
            slots: Vec::new(),
            slot_states: Vec::new(),
            vacant: Self::NONE,
            by_watched: HashMap::new(),
            count: 0,
            named: 0,
            heard: now,
            heartbeat: false,
            touched: now,
            held: false,
            timed_out: false,
            departs: false,
            leaving: false,
            quotas,
            sent: Sent::default(),
        }
    }

    /// Puts a subscription into a vacant slot, and marks it.
    fn put(&mut self, slot: Slot, slot_state: SlotState) -> u32 {
        self.count += 1;
        self.named += usize::from(!slot_state.unnamed);
        let number = match self.slots.get(self.vacant as usize).map(|vacant| vacant.next as u32) {
            Some(next) => std::mem::replace(&mut self.vacant, next),
            None => self.slots.len() as u32,
        };
        self.by_watched.insert(slot.watched, number);
        if number as usize == self.slots.len() {
            push(&mut self.slots, slot);
            push(&mut self.slot_states, slot_state);
        } else {
            self.slots[number as usize] = slot;
            self.slot_states[number as usize] = slot_state;
        }
        self.mark(number);
        number
    }

    /// Makes a slot vacant. When it was the last one in use, the memory of all slots is freed.
    fn vacate(&mut self, number: u32) {
        let (slot, slot_state) = (&mut self.slots[number as usize], &mut self.slot_states[number as usize]);
        self.by_watched.remove(&slot.watched);
        slot_state.day = None;
        slot.watched = VACANT;
        slot.next = self.vacant.into();
        self.vacant = number;
        self.dirty.clear(number);
        self.count -= 1;
        self.named -= usize::from(!slot_state.unnamed);
        if self.count == 0 {
            (self.slots, self.slot_states, self.vacant) = (Vec::new(), Vec::new(), Self::NONE);
            (self.dirty, self.by_watched) = (Dirty::default(), HashMap::new());
        }
    }
}

/// The slot of a new subscription of an instrument, whose number is `id`.
fn begin(interest: Interest, start: Start, id: u32, watched: &Watched) -> (Slot, SlotState) {
    let (phase, next, not_before, day) = match (start, watched.latest) {
        (Start::At { next, not_before, day }, _) => (Phase::CatchingUp, next, not_before, day),
        (Start::Snapshot, Some(latest)) => (Phase::Fresh, latest.sequence, Time::default(), None),
        // Nothing was traded yet, so there is no snapshot: the first tick is a live one.
        (Start::Snapshot, None) => (Phase::Live, watched.series.first(), Time::default(), None),
    };
    let Interest { delivery, format, unnamed } = interest;
    let delivery = PackedDelivery::from(delivery);
    let plain = phase == Phase::Live && delivery.min_interval().is_zero();
    let place = watched.watchers.len() as u32;
    let slot = Slot { next: next.0, watched: id, format, plain };
    (slot, SlotState { delivery, not_before, day, place, phase, unnamed, muted: false })
}

/// When a slot was last sent a tick. Without a minimum interval the time of sending is not kept; then it is the time of
/// the tick itself, or of the last tick of a gap.
fn last_sent(slot: &Slot, slot_state: &SlotState, watched: &Watched, now: Time) -> Time {
    let interval = slot_state.delivery.min_interval();
    if !interval.is_zero() {
        return slot_state.not_before.before(interval).unwrap_or_default();
    }
    match slot.next > watched.series.first().0 {
        true => {
            let last = Sequence(slot.next).previous();
            slot_state.not_before.max(watched.series.tick(last).time.min(now))
        }
        false => slot_state.not_before,
    }
}
