//! Heartbeats and the idle timeout of streams. Each call looks at one slice of the subscribers.

use super::{Entry, Hub, State};
use crate::tick::Time;

/// Smallest number of subscribers in a slice.
const SLICE: usize = 64;
/// Largest number of slices in a round over all subscribers.
const SLICES: usize = 256;

impl Hub {
    /// Looks at the next slice of subscribers. Signals a heartbeat to each one that was sent nothing for the heartbeat
    /// interval, and ends streams whose idle timeout is over.
    ///
    /// Returns the time of the next call: a round over all subscribers takes a quarter of the heartbeat interval. `None`
    /// when there are no subscribers; then call it again after [`Self::changed`].
    pub fn beat(&self, now: Time) -> Option<Time> {
        let state = &mut *self.lock();
        state.now = state.now.max(now);
        if state.joined == 0 {
            return None;
        }
        let all = state.subscribers.len();
        let slice = all.div_ceil(SLICES).max(SLICE);
        for _ in 0..slice.min(all) {
            state.beat_from = if state.beat_from + 1 < all { state.beat_from + 1 } else { 0 };
            let Some(entry) = &mut state.subscribers[state.beat_from] else { continue };
            if !entry.leaving && entry.heard + state.limits.heartbeat_interval <= now {
                entry.heartbeat = true;
                entry.signal();
            }
        }
        state.end_idle(slice);
        Some(now + state.limits.heartbeat_interval / 4 / all.div_ceil(slice) as u32)
    }
}

impl State {
    /// Ends at most `most` streams whose idle timeout is over, starting with the one that is idle longest.
    fn end_idle(&mut self, most: usize) {
        for _ in 0..most {
            let Some(&(touched, id)) = self.idle.first() else { return };
            let max_idle = match self.idle.len() > self.limits.max_idle_streams {
                true => self.limits.crowded_max_idle.min(self.limits.max_idle),
                false => self.limits.max_idle,
            };
            if touched + max_idle > self.now {
                return;
            }
            self.idle.pop_first();
            if let Some(entry) = &mut self.subscribers[id as usize] {
                entry.timed_out = true;
                entry.signal();
            }
        }
    }

    /// Applies `change` to a subscriber, and keeps the list of idle subscribers up to date.
    pub(super) fn update(&mut self, id: u32, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.subscribers.get_mut(id as usize).and_then(Option::as_mut) else { return };
        self.idle.remove(&(entry.touched, id));
        change(entry);
        if entry.count == 0 && !entry.held && !entry.leaving && !entry.timed_out {
            self.idle.insert((entry.touched, id));
        }
    }
}
