//! The set of slots that have ticks to be sent.

/// A set of slots that is read round-robin, so that a slot that is marked all the time starves no other.
#[derive(Default)]
pub(super) struct Dirty {
    words: Vec<u64>,
    /// The slot from which to read on.
    from: u32,
}

impl Dirty {
    pub(super) fn set(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (slot % 64);
    }

    pub(super) fn clear(&mut self, slot: u32) {
        if let Some(word) = self.words.get_mut(slot as usize / 64) {
            *word &= !(1 << (slot % 64));
        }
    }

    /// Takes the marks one by one, each slot at most once, until `visit` returns `Visit::Stop`; the next call goes on
    /// after the last slot visited.
    pub(super) fn drain(&mut self, mut visit: impl FnMut(u32) -> Visit) {
        let start = self.from as usize / 64;
        let split = u64::MAX << (self.from % 64);
        let words = self.words.len();
        let mut postponed = None;
        // The first word is read twice: from the starting slot on at first, and up to it at last.
        for step in 0..=words {
            let at = if start + step < words { start + step } else { (start + step).saturating_sub(words) };
            let Some(&word) = self.words.get(at) else { continue };
            let mut bits = match step {
                0 => word & split,
                _ if step == words => word & !split,
                _ => word,
            };
            while bits != 0 {
                let bit = bits.trailing_zeros();
                bits &= bits - 1;
                let slot = at as u32 * 64 + bit;
                match visit(slot) {
                    Visit::Done => self.words[at] &= !(1 << bit),
                    Visit::More => {}
                    Visit::Later => postponed = postponed.or(Some(slot)),
                    Visit::Stop => {
                        self.from = slot;
                        return;
                    }
                }
            }
        }
        self.from = postponed.unwrap_or(self.from);
    }
}

/// Result of a visit to a slot.
pub(super) enum Visit {
    /// The slot lacks nothing any more.
    Done,
    /// The slot still lacks something.
    More,
    /// There was no work left for the slot: begin with it next time, unless a slot stops the visits.
    Later,
    /// There is no room for what the slot lacks: begin with it next time.
    Stop,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_mark_is_visited_once_in_turn(slots in prop::collection::btree_set(0..300u32, 0..100), stop in 0..120usize) {
            let mut dirty = Dirty::default();
            for slot in &slots {
                dirty.set(*slot);
            }
            let mut first = Vec::new();
            dirty.drain(|slot| {
                if first.len() == stop {
                    return Visit::Stop;
                }
                first.push(slot);
                Visit::Done
            });
            // Slots that are marked again do not come before those that wait.
            for slot in &first {
                dirty.set(*slot);
            }
            let mut second = Vec::new();
            dirty.drain(|slot| { second.push(slot); Visit::Done });
            let waiting = slots.len() - first.len();
            prop_assert!(second.iter().take(waiting).all(|slot| !first.contains(slot)));
            prop_assert_eq!(second.iter().copied().collect::<BTreeSet<_>>(), slots.clone());
            prop_assert_eq!(second.len(), slots.len());
            prop_assert!(dirty.words.iter().all(|word| *word == 0));
        }
    }

    #[test]
    fn a_cleared_mark_is_not_visited() {
        let mut dirty = Dirty::default();
        dirty.set(70);
        dirty.set(3);
        dirty.clear(70);
        dirty.clear(1_000);
        let mut seen = Vec::new();
        dirty.drain(|slot| {
            seen.push(slot);
            Visit::More
        });
        assert_eq!(seen, [3]);
        assert_eq!(dirty.words[0], 1 << 3);
    }
}
