//! Subscribers that have to leave, because the server stops or because their stream has reached its maximum age. Each one is
//! warned before its stream ends.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::{Hub, State};
use crate::{jitter::Jitter, tick::Time};

/// When a stream that has to leave is warned, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepartureTimes {
    /// When its client is told to move. Never after the end.
    pub warning: Time,
    /// When the stream ends.
    pub end: Time,
}

/// When a subscriber leaves.
struct Departure {
    /// When the next stage begins.
    next: Time,
    end: Time,
    stage: Stage,
    is_warned: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Planned,
    /// The client is to be warned.
    Warning,
    /// The stream is to end.
    Over,
}

/// What a pull has to do about a departure.
pub(super) enum Due {
    Warning,
    End,
}

/// All departures of a hub. They are not with the subscribers, so that a pull has less memory to read.
#[derive(Default)]
pub(super) struct Departures {
    by_subscriber: HashMap<u32, Departure>,
    /// When the next stage of each begins.
    by_time: BTreeSet<(Time, u32)>,
    jitter: Jitter,
    pub(super) is_draining: bool,
}

impl DepartureTimes {
    /// Those of an open stream of a server that drains from `now` on: the end at a random moment of the spread, the warning
    /// when half of the stream's time is over.
    pub fn of_drain(jitter: &mut Jitter, now: Time, spread: Duration) -> Self {
        let stays = jitter.moment_of(spread);
        Self { warning: now + stays / 2, end: now + stays }
    }

    /// Those of a stream that opens `now` and has a maximum age: the end at that age with its jitter, the warning a given
    /// time before.
    pub fn of_age(jitter: &mut Jitter, now: Time, max_age: Duration, warning: Duration) -> Self {
        let end = now + jitter.age(max_age);
        Self { warning: end.before(warning).unwrap_or(now).max(now), end }
    }
}

impl Departure {
    /// What is due: a warning, once, and then the end.
    fn due(&mut self) -> Option<Due> {
        if self.stage >= Stage::Warning && !self.is_warned {
            self.is_warned = true;
            return Some(Due::Warning);
        }
        (self.stage == Stage::Over).then_some(Due::End)
    }

    /// Begins the stage that is due.
    fn advance(&mut self, now: Time) {
        self.stage = if self.end <= now { Stage::Over } else { Stage::Warning };
        self.next = self.end;
    }
}

impl Hub {
    /// Ends every stream within `spread` from `now` on, each at a random moment, so that their clients do not arrive at
    /// another server together. Each is warned when half of its time is over. Who joins later must leave at once.
    pub fn drain(&self, now: Time, spread: Duration) {
        let state = &mut *self.lock();
        state.departures.is_draining = true;
        for id in 0..state.subscribers.len() as u32 {
            let times = DepartureTimes::of_drain(&mut state.departures.jitter, now, spread);
            state.plan_departure(id, times);
        }
        self.changed.notify_one();
    }

    /// Warns and ends the subscribers whose time has come. Returns when to call it again; [`Self::changed`] tells when that
    /// has become earlier.
    pub fn depart(&self, now: Time) -> Option<Time> {
        let state = &mut *self.lock();
        while let Some(&(time, id)) = state.departures.by_time.first() {
            if time > now {
                return Some(time);
            }
            state.departures.by_time.pop_first();
            let Some(departure) = state.departures.by_subscriber.get_mut(&id) else { continue };
            departure.advance(now);
            if departure.stage != Stage::Over {
                state.departures.by_time.insert((departure.next, id));
            }
            if let Some(entry) = &mut state.subscribers[id as usize] {
                entry.departs = true;
                entry.signal();
            }
        }
        None
    }
}

impl State {
    /// Plans when a subscriber that has just joined must leave. True when it is the first of all to have something due.
    pub(super) fn plan_departure_of_newcomer(&mut self, id: u32, now: Time) -> bool {
        let times = match self.limits.max_age {
            _ if self.departures.is_draining => DepartureTimes { warning: now, end: now },
            None => return false,
            Some(age) => DepartureTimes::of_age(&mut self.departures.jitter, now, age, self.limits.warning),
        };
        self.plan_departure(id, times);
        self.departures.by_time.first().is_some_and(|first| *first == (times.warning, id))
    }

    /// Plans a departure in place of the one that was planned. One that has been warned is not warned again.
    fn plan_departure(&mut self, id: u32, DepartureTimes { warning, end }: DepartureTimes) {
        let is_warned = self.cancel_departure(id);
        if self.entry(id).is_some_and(|entry| !entry.leaving) {
            let departure = Departure { next: warning, end, stage: Stage::Planned, is_warned };
            self.departures.by_subscriber.insert(id, departure);
            self.departures.by_time.insert((warning, id));
        }
    }

    /// Cancels what is planned for a subscriber. True when it has been warned.
    pub(super) fn cancel_departure(&mut self, id: u32) -> bool {
        let Some(departure) = self.departures.by_subscriber.remove(&id) else { return false };
        self.departures.by_time.remove(&(departure.next, id));
        departure.is_warned
    }

    /// What a pull has to do about the departure of a subscriber.
    pub(super) fn due_departure(&mut self, id: u32) -> Option<Due> {
        let departure = self.departures.by_subscriber.get_mut(&id)?;
        let due = departure.due();
        let is_over = departure.stage == Stage::Over;
        if let Some(entry) = &mut self.subscribers[id as usize] {
            entry.departs = is_over;
        }
        due
    }
}
