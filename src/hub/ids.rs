//! The numbers of watched instruments, and the changes that the pacer has yet to learn.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

/// Free places of a table, by number. The lowest is used first, so that the end of the table becomes free and can be cut
/// off.
#[derive(Default)]
pub(super) struct FreeList(BinaryHeap<Reverse<u32>>);

impl FreeList {
    /// The lowest free number below `len`, the table's length; `None` when the table is full.
    pub(super) fn take(&mut self, len: usize) -> Option<u32> {
        let Reverse(lowest) = self.0.pop()?;
        if (lowest as usize) < len {
            return Some(lowest);
        }
        // All free numbers are beyond the end: the table has been cut off since.
        self.0 = BinaryHeap::new();
        None
    }

    pub(super) fn give_back(&mut self, number: u32) {
        self.0.push(Reverse(number));
    }

    /// Forgets the numbers beyond the end of a table that was cut short, once most of them are, and gives their memory
    /// back.
    pub(super) fn trim(&mut self, len: usize) {
        if self.0.len() <= 1_024 || self.0.len() / 2 <= len {
            return;
        }
        self.0.retain(|Reverse(number)| (*number as usize) < len);
        self.0.shrink_to(self.0.len() * 2);
    }
}

/// The numbers under which the pacer publishes instruments, and the changes that it has yet to learn.
///
/// A number is used again only after the pacer has learned that it is free. An instrument that is watched and unwatched
/// before the pacer asks for changes is not reported.
#[derive(Default)]
pub(super) struct Ids {
    free: FreeList,
    states: Vec<IdState>,
    /// Ids that may have changed since the pacer last asked for changes.
    queue: VecDeque<u32>,
}

#[derive(Clone, Copy, Default)]
struct IdState {
    /// The pacer publishes under this number.
    paced: bool,
    /// The number is in the queue.
    queued: bool,
}

/// A change of a number, as the pacer has to learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdChange {
    /// Publish under this number.
    Watched(u32),
    /// Stop publishing under this number.
    Free(u32),
    /// Nothing to do: the change was undone.
    Nothing,
}

impl Ids {
    /// The length that a table indexed by number needs.
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// A number for an instrument that becomes watched.
    pub(super) fn take(&mut self) -> u32 {
        let number = self.free.take(self.states.len()).unwrap_or(self.states.len() as u32);
        if number as usize == self.states.len() {
            self.states.push(IdState::default());
        }
        self.enqueue(number);
        number
    }

    /// Takes back a number whose instrument nobody watches any more.
    pub(super) fn give_back(&mut self, number: u32) {
        match self.states[number as usize].paced {
            true => self.enqueue(number),
            false => self.free.give_back(number),
        }
    }

    /// The next change for the pacer; `None` when it knows all of them.
    pub(super) fn next_change(&mut self, is_watched: impl FnOnce(u32) -> bool) -> Option<IdChange> {
        let number = self.queue.pop_front()?;
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        let state = &mut self.states[number as usize];
        state.queued = false;
        Some(match (state.paced, is_watched(number)) {
            (false, true) => {
                state.paced = true;
                IdChange::Watched(number)
            }
            (true, false) => {
                state.paced = false;
                self.free.give_back(number);
                IdChange::Free(number)
            }
            _ => IdChange::Nothing,
        })
    }

    /// Whether there are changes that the pacer does not know.
    pub(super) fn has_changes(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Cuts the free numbers at the end off.
    pub(super) fn trim(&mut self, is_watched: impl Fn(u32) -> bool) {
        while let Some(last) = self.states.last()
            && !last.paced
            && !last.queued
            && !is_watched(self.states.len() as u32 - 1)
        {
            self.states.pop();
        }
        self.free.trim(self.states.len());
        shrink(&mut self.states);
    }

    fn enqueue(&mut self, number: u32) {
        if !std::mem::replace(&mut self.states[number as usize].queued, true) {
            self.queue.push_back(number);
        }
    }
}

/// Whether a table is large and at most a sixteenth of it is used. Few items have to be moved then.
pub(super) fn is_mostly_empty(len: usize, capacity: usize) -> bool {
    capacity > 1_024 && len <= capacity / 16
}

/// Shrinks the capacity of a table that is mostly empty.
pub(super) fn shrink<T>(table: &mut Vec<T>) {
    if is_mostly_empty(table.len(), table.capacity()) {
        table.shrink_to(table.len() * 2);
    }
}

/// Appends to a table and grows its capacity by a quarter, not by half: there are many tables, and unused capacity adds
/// up.
pub(super) fn push<T>(table: &mut Vec<T>, item: T) {
    if table.len() == table.capacity() {
        table.reserve_exact((table.len() / 4).max(4));
    }
    table.push(item);
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Watch,
        Unwatch(prop::sample::Index),
        Hear,
    }

    proptest! {
        #[test]
        fn the_pacer_hears_of_each_number_what_is_true_in_the_end(
            steps in prop::collection::vec(
                prop_oneof![
                    3 => Just(Step::Watch),
                    3 => any::<prop::sample::Index>().prop_map(Step::Unwatch),
                    2 => Just(Step::Hear),
                ],
                0..300,
            ),
        ) {
            let mut numbers = Ids::default();
            // By number: which instrument has it, and which one the pacer publishes under it.
            let (mut watched, mut paced) = (BTreeMap::new(), BTreeMap::new());
            let mut instrument = 0;
            let hear = |numbers: &mut Ids, watched: &BTreeMap<u32, u32>, paced: &mut BTreeMap<u32, u32>| {
                let news = numbers.next_change(|number| watched.contains_key(&number));
                match news {
                    Some(IdChange::Watched(number)) => assert!(paced.insert(number, watched[&number]).is_none()),
                    Some(IdChange::Free(number)) => assert!(paced.remove(&number).is_some()),
                    Some(IdChange::Nothing) | None => {}
                }
                numbers.trim(|number| watched.contains_key(&number));
                news.is_some()
            };
            for step in steps {
                match step {
                    Step::Watch => {
                        instrument += 1;
                        prop_assert!(watched.insert(numbers.take(), instrument).is_none(), "it is in use");
                    }
                    Step::Unwatch(which) if !watched.is_empty() => {
                        let number = *which.get(&watched.keys().collect::<Vec<_>>()).to_owned();
                        watched.remove(&number);
                        numbers.give_back(number);
                        numbers.trim(|number| watched.contains_key(&number));
                    }
                    Step::Unwatch(_) => {}
                    Step::Hear => { hear(&mut numbers, &watched, &mut paced); }
                }
                for (number, instrument) in &paced {
                    prop_assert!(watched.get(number).is_none_or(|now| now == instrument), "ticks of another");
                }
                prop_assert!(numbers.queue.len() <= numbers.len(), "one entry a number");
            }
            while hear(&mut numbers, &watched, &mut paced) {}
            prop_assert_eq!(&watched, &paced);
            let used: BTreeSet<u32> = watched.keys().copied().collect();
            prop_assert_eq!(numbers.len(), used.last().map_or(0, |last| *last as usize + 1));
        }
    }

    #[test]
    fn free_numbers_beyond_the_end_take_no_memory() {
        let mut numbers = Ids::default();
        for number in 0..100_000 {
            assert_eq!(numbers.take(), number);
        }
        for number in 10..100_000 {
            numbers.give_back(number);
        }
        while numbers.next_change(|number| number < 10).is_some() {}
        numbers.trim(|number| number < 10);
        assert_eq!(numbers.len(), 10);
        assert!(numbers.free.0.capacity() <= 2_048, "{}", numbers.free.0.capacity());
        assert_eq!(numbers.take(), 10);
    }

    #[test]
    fn an_instrument_that_comes_and_goes_is_one_entry() {
        let mut numbers = Ids::default();
        for _ in 0..1_000 {
            let number = numbers.take();
            numbers.give_back(number);
        }
        assert_eq!(numbers.next_change(|_| false), Some(IdChange::Nothing));
        assert_eq!(numbers.next_change(|_| false), None);
    }
}
