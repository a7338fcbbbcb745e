//! A timing wheel: finds the ids that are due at a cost that does not depend on the others.

use std::time::Duration;

use crate::tick::Time;

const BUCKETS: u64 = 1024;
const WORDS: usize = (BUCKETS / 64) as usize;

const NONE: u32 = u32::MAX;

/// Ids by the flush in which they are due. A bucket holds the ids of every flush that is a multiple of [`BUCKETS`] apart;
/// an id stays until its flush comes. The buckets are linked lists in `links`, so that inserting and removing are O(1).
pub(super) struct Wheel {
    /// Nanoseconds between two flushes.
    interval: u64,
    /// The last flush that was handed out.
    flushed: u64,
    /// The first id of each bucket.
    heads: Vec<u32>,
    /// One bit for each bucket that is not empty.
    filled: [u64; WORDS],
    /// By id.
    links: Vec<Link>,
}

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    flush: u64,
}

impl Wheel {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1),
            flushed: 0,
            heads: vec![NONE; BUCKETS as usize],
            filled: [0; WORDS],
            links: Vec::new(),
        }
    }

    /// Inserts `id`, which is not in the wheel, at the first flush at or after `time` that is not over.
    pub(super) fn insert(&mut self, id: u32, time: Time) {
        let flush = self.flush_of(time);
        let bucket = (flush % BUCKETS) as usize;
        let at = id as usize;
        if self.links.len() <= at {
            self.links.resize(at + 1, Link { previous: NONE, next: NONE, flush: 0 });
        }
        let next = self.heads[bucket];
        self.links[at] = Link { previous: NONE, next, flush };
        if next != NONE {
            self.links[next as usize].previous = id;
        }
        self.heads[bucket] = id;
        self.filled[bucket / 64] |= 1 << (bucket % 64);
    }

    /// The time of the last flush.
    pub(super) fn flushed(&self) -> Time {
        self.time_of(self.flushed)
    }

    /// The time of the first flush at or after `time` that is not over.
    pub(super) fn flush_at(&self, time: Time) -> Time {
        self.time_of(self.flush_of(time))
    }

    /// Frees the memory of the ids from `len` on, none of which is in the wheel.
    pub(super) fn shrink_to(&mut self, len: usize) {
        self.links.truncate(len);
        self.links.shrink_to(len * 2);
    }

    fn flush_of(&self, time: Time) -> u64 {
        time.nanos().div_ceil(self.interval).max(self.flushed + 1)
    }

    fn time_of(&self, flush: u64) -> Time {
        Time::from_nanos(flush.saturating_mul(self.interval))
    }

    /// Removes `id`, which is in the wheel.
    pub(super) fn remove(&mut self, id: u32) {
        let Link { previous, next, flush } = self.links[id as usize];
        let bucket = (flush % BUCKETS) as usize;
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        if previous != NONE {
            self.links[previous as usize].next = next;
        } else {
            self.heads[bucket] = next;
            if next == NONE {
                self.filled[bucket / 64] &= !(1 << (bucket % 64));
            }
        }
    }

    /// Moves the ids that are due by the last flush before `now` to `due`. Returns the time at which the first of them was due; the
    /// time of that flush if there is none.
    pub(super) fn advance(&mut self, now: Time, due: &mut Vec<u32>) -> Time {
        let flush = (now.nanos() / self.interval).max(self.flushed);
        let mut first_due = flush;
        let first = (self.flushed + 1).max(flush.saturating_sub(BUCKETS - 1));
        for at in first..=flush {
            let mut id = self.heads[(at % BUCKETS) as usize];
            while id != NONE {
                let link = self.links[id as usize];
                if link.flush <= flush {
                    first_due = first_due.min(link.flush);
                    self.remove(id);
                    due.push(id);
                }
                id = link.next;
            }
        }
        self.flushed = flush;
        self.time_of(first_due)
    }

    /// The time of the next flush whose bucket is not empty.
    pub(super) fn next_due(&self) -> Option<Time> {
        let start = ((self.flushed + 1) % BUCKETS) as usize;
        let ahead = (0..=WORDS).find_map(|step| {
            let word = (start / 64 + step) % WORDS;
            let mut bits = self.filled[word];
            if step == 0 {
                bits &= u64::MAX << (start % 64);
            }
            (bits != 0).then(|| {
                (word * 64 + bits.trailing_zeros() as usize + BUCKETS as usize - start) % BUCKETS as usize
            })
        })?;
        Some(self.time_of(self.flushed + 1 + ahead as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const START: u64 = 1_700_000_000_000_000_000;

    fn at(nanos: u64) -> Time {
        Time::from_nanos(START + nanos)
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert { id: u32, ahead: u64 },
        Remove { id: u32 },
        Advance { by: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        let ahead = prop_oneof![0..50_000_000u64, 0..60_000_000_000u64];
        prop_oneof![
            (0..40u32, ahead).prop_map(|(id, ahead)| Step::Insert { id, ahead }),
            (0..40u32).prop_map(|id| Step::Remove { id }),
            prop_oneof![0..30_000_000u64, 0..20_000_000_000u64].prop_map(|by| Step::Advance { by }),
        ]
    }

    proptest! {
        #[test]
        fn the_wheel_hands_out_what_a_sorted_list_would(steps in prop::collection::vec(step(), 1..200)) {
            let interval = 10_000_000;
            let mut wheel = Wheel::new(Duration::from_nanos(interval));
            let mut due = Vec::new();
            let mut now = 0;
            wheel.advance(at(0), &mut due);
            let mut model = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Insert { id, ahead } => {
                        if model.insert(id, at(now + ahead)).is_some() {
                            wheel.remove(id);
                        }
                        wheel.insert(id, at(now + ahead));
                    }
                    Step::Remove { id } => {
                        if model.remove(&id).is_some() {
                            wheel.remove(id);
                        }
                    }
                    Step::Advance { by } => {
                        let over = (START + now) / interval + 1;
                        now += by;
                        let first_due = wheel.advance(at(now), &mut due);
                        let boundary = wheel.flushed();
                        prop_assert_eq!(boundary.nanos(), (START + now) / interval * interval);
                        let flush_of = |time: &Time| time.nanos().div_ceil(interval).max(over) * interval;
                        let is_due = |(_, time): &(&u32, &Time)| flush_of(time) <= boundary.nanos();
                        let expected: Vec<u32> = model.iter().filter(is_due).map(|(id, _)| *id).collect();
                        let soonest = expected.iter().map(|id| flush_of(&model[id])).min();
                        prop_assert_eq!(first_due.nanos(), soonest.unwrap_or(boundary.nanos()));
                        for id in &expected {
                            prop_assert!(due.contains(id), "{id} is due and was not handed out");
                        }
                        for id in due.drain(..) {
                            prop_assert!(model.remove(&id).is_some_and(|time| time <= boundary), "{id} is not due");
                        }
                    }
                }
                if let Some(next) = wheel.next_due() {
                    let soonest = model.values().min().copied();
                    prop_assert!(soonest.is_some_and(|time| next.nanos() < time.nanos() + 2 * interval));
                } else {
                    prop_assert!(model.is_empty());
                }
            }
        }
    }
}
