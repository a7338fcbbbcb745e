//! Which numbers of each publisher are stored.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::tick::Time;

/// The publishers of the last day.
#[derive(Default)]
pub(super) struct Publishers {
    by_name: HashMap<Arc<str>, Publisher>,
    /// When there are so many, those that have not been seen for long are forgotten.
    sweep_at: usize,
}

/// One publisher.
pub(super) struct Publisher {
    last_seen: Time,
    /// The last number of each symbol, by the place of the symbol.
    last: HashMap<usize, u64>,
}

impl Publishers {
    /// Largest number of publishers that are remembered.
    pub(super) const MOST: usize = 100_000;
    const FEW: usize = 1_024;

    /// A publisher that sends something at this time; `None` when too many are remembered. One that was not seen for `forget`
    /// may have been forgotten.
    pub(super) fn seen(&mut self, name: &Arc<str>, now: Time, forget: Duration) -> Option<&mut Publisher> {
        if !self.by_name.contains_key(name) {
            if self.by_name.len() >= self.sweep_at.clamp(Self::FEW, Self::MOST) {
                let too_old = now.before(forget).unwrap_or_default();
                self.by_name.retain(|_, publisher| publisher.last_seen >= too_old);
                self.sweep_at = 2 * self.by_name.len();
            }
            if self.by_name.len() >= Self::MOST {
                return None;
            }
        }
        let new = || Publisher { last_seen: now, last: HashMap::new() };
        let publisher = self.by_name.entry(name.clone()).or_insert_with(new);
        publisher.last_seen = publisher.last_seen.max(now);
        Some(publisher)
    }

    /// A publisher that is remembered.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Publisher> {
        self.by_name.get_mut(name)
    }
}

impl Publisher {
    /// The last number that is stored of the symbol at a place; 0 when there is none.
    pub(super) fn last(&self, place: usize) -> u64 {
        self.last.get(&place).copied().unwrap_or(0)
    }

    /// Sets the last number of the symbol at a place.
    pub(super) fn set_last(&mut self, place: usize, number: u64) {
        self.last.insert(place, number);
    }
}
