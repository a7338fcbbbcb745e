//! One stream's side of the hub: subscribe, unsubscribe, pull. Dropping it leaves nothing behind once it is swept.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{Entry, Hub, Interest, Sent, Start, StreamQuotas, departures::Due, pull::Remaining};
use crate::{
    tape::{Instrument, Tape},
    tick::{Symbol, Time},
};

/// A subscriber of a [`Hub`].
pub struct Subscriber {
    hub: Arc<Hub>,
    id: u32,
}

/// Result of subscribing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribed {
    /// The instrument is new to this subscriber.
    Added,
    /// It was subscribed already, and its options are the new ones.
    Changed,
    /// The limit of subscriptions is reached; nothing has changed.
    Full(Full),
}

/// Which limit of subscriptions is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The limit of the caller.
    Caller,
    /// The limit of the connection.
    Connection,
    /// The limit of the server.
    Server,
}

/// Result of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Something was appended. Unless `out` is full, the subscriber is woken when it lacks something more.
    Data {
        /// There is more to read from the tape than the pull was allowed to.
        is_behind: bool,
    },
    /// Nothing was appended, and there is more to read from the tape than the pull was allowed to. A live tick wakes the
    /// subscriber as well.
    More,
    /// The subscriber has had no subscription and sent no request for too long. A heartbeat may have been appended.
    Idle,
    /// The subscriber must leave soon: its client is to be warned. Call it again.
    Draining,
    /// The hub is draining, and the subscriber must leave now.
    Drained,
    /// The stream has reached its maximum age, and the subscriber must leave now.
    MaxAge,
}

impl Subscriber {
    /// Joins a hub, with heartbeats in the format at this place.
    pub fn join(hub: Arc<Hub>, format: u8, quotas: StreamQuotas, now: Time) -> Self {
        let (id, first) = {
            let state = &mut *hub.lock();
            let id = state.join(Entry::new(format, quotas, now));
            let departs_first = state.plan_departure_of_newcomer(id, now);
            (id, state.joined == 1 || departs_first)
        };
        if first {
            hub.changed.notify_one();
        }
        Self { hub, id }
    }

    /// Notes that the stream has sent a request: its idle timeout begins again.
    pub fn touch(&self, now: Time) {
        let touch = |entry: &mut Entry| (entry.touched, entry.timed_out) = (now.max(entry.touched), false);
        self.hub.lock().update(self.id, touch);
    }

    /// Exempts the stream from the idle timeout while `held` is true: a replay sends ticks without a subscription.
    pub fn hold(&self, held: bool) {
        self.hub.lock().update(self.id, |entry| entry.held = held);
    }

    /// Subscribes to an instrument of `tape`, or changes what is wanted of it. What is subscribed already begins again
    /// only if `start` names a sequence, and a minimum interval that is running goes on.
    pub fn subscribe(
        &self,
        tape: &dyn Tape,
        instrument: &Arc<Instrument>,
        interest: Interest,
        start: Start,
        now: Time,
    ) -> Subscribed {
        let state = &mut *self.hub.lock();
        let watched = state.by_symbol.len();
        let subscribed = state.subscribe(self.id, tape, instrument, interest, start, now);
        if state.by_symbol.len() > watched {
            self.hub.changed.notify_one();
        }
        subscribed
    }

    /// Unsubscribes from a symbol. False when it was not subscribed.
    pub fn unsubscribe(&self, symbol: &Symbol) -> bool {
        self.hub.lock().unsubscribe(self.id, symbol)
    }

    /// Looks at `most` subscriptions at most, from `from` on (zero at first), unsubscribes from every symbol that `keep`
    /// refuses and appends those to `removed`. Returns where to go on, if there are more.
    pub fn retain_some(
        &self,
        from: u32,
        most: usize,
        keep: impl FnMut(&Symbol, &Interest) -> bool,
        removed: &mut Vec<Symbol>,
    ) -> Option<u32> {
        self.hub.lock().retain(self.id, from, most, keep, removed)
    }

    /// Treats every subscribed symbol as one that `*` brought, not as one that was subscribed by name.
    pub fn unname_all(&self) {
        self.hub.lock().unname_all(self.id);
    }

    /// Unsubscribes from every symbol that `keep` refuses, and returns those.
    #[cfg(test)]
    pub(crate) fn retain(&self, keep: impl FnMut(&Symbol, &Interest) -> bool) -> Vec<Symbol> {
        let mut removed = Vec::new();
        self.retain_some(0, usize::MAX, keep, &mut removed);
        removed
    }

    /// What is subscribed, in no particular order. 10,000 subscriptions take about half a millisecond.
    #[cfg(test)]
    pub(crate) fn interests(&self) -> Vec<(Symbol, Interest)> {
        let mut interests = Vec::new();
        self.interests_some(0, usize::MAX, &mut interests);
        interests
    }

    /// Appends what is subscribed in the next `most` places from `from` on (zero at first), in no particular order.
    /// Returns where to go on, if there are more.
    pub fn interests_some(
        &self,
        from: u32,
        most: usize,
        interests: &mut Vec<(Symbol, Interest)>,
    ) -> Option<u32> {
        let state = &*self.hub.lock();
        let all = state.entry(self.id)?.slots.len();
        let end = (from as usize).saturating_add(most).min(all);
        interests.extend((from..end as u32).filter_map(|number| state.interest(self.id, number)));
        (end < all).then_some(end as u32)
    }

    /// Whether nothing is subscribed.
    pub fn is_idle(&self) -> bool {
        self.subscriptions() == 0
    }

    /// How many instruments are subscribed.
    pub fn subscriptions(&self) -> usize {
        self.hub.lock().entry(self.id).map_or(0, |entry| entry.count)
    }

    /// What was sent so far.
    pub fn sent(&self) -> Sent {
        self.hub.lock().entry(self.id).map_or_else(Sent::default, |entry| entry.sent)
    }

    /// How many instruments are subscribed by name.
    pub fn named(&self) -> usize {
        self.hub.lock().entry(self.id).map_or(0, |entry| entry.named)
    }

    /// Whether a symbol is subscribed by name.
    pub fn has_named(&self, symbol: &Symbol) -> bool {
        let state = &*self.hub.lock();
        let Some(number) = state.slot(self.id, symbol) else { return false };
        state.entry(self.id).is_some_and(|entry| !entry.slot_states[number as usize].unnamed)
    }

    /// Appends what the subscriber lacks to `out`, until it holds `budget` bytes and a message more; pending when it
    /// lacks nothing. Call it again when `out` was full, and after `More` and `Draining`.
    ///
    /// At most about `reads` ticks are read from the tape, and their number is subtracted from `reads`. Live ticks are
    /// not counted. When `reads` is zero, only live ticks are sent.
    pub fn poll_pull(
        &self,
        cx: &mut Context<'_>,
        budget: usize,
        reads: &mut usize,
        out: &mut Vec<u8>,
    ) -> Poll<Pulled> {
        let state = &mut *self.hub.lock();
        let before = out.len();
        if state.entry(self.id).is_some_and(|entry| entry.departs) {
            match state.due_departure(self.id) {
                None => {}
                Some(Due::Warning) => return Poll::Ready(Pulled::Draining),
                Some(Due::End) if state.departures.is_draining => return Poll::Ready(Pulled::Drained),
                Some(Due::End) => return Poll::Ready(Pulled::MaxAge),
            }
        }
        let Remaining { is_behind, deferred_sooner } = state.pull(self.id, budget, reads, out);
        if deferred_sooner {
            self.hub.changed.notify_one();
        }
        let Some(entry) = &mut state.subscribers[self.id as usize] else {
            return Poll::Ready(Pulled::Drained);
        };
        if entry.timed_out {
            return Poll::Ready(Pulled::Idle);
        }
        let is_full = out.len() >= budget;
        let has_data = is_full || out.len() > before;
        if !is_full {
            if !entry.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                entry.waker = Some(cx.waker().clone());
            }
            entry.signalled = false;
        }
        match (has_data, is_behind) {
            (true, _) => Poll::Ready(Pulled::Data { is_behind }),
            (false, true) => Poll::Ready(Pulled::More),
            (false, false) => Poll::Pending,
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if self.hub.lock().leave(self.id) {
            self.hub.left.notify_one();
        }
    }
}
