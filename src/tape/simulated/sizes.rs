//! How much is traded: the quantity of each tick, and the volume of many.
//!
//! Sizes have a power-law tail (Gopikrishnan, Plerou, Gabaix and Stanley, *Statistical properties of share volume traded in financial
//! markets*, 2000): here the Lomax distribution `1/√u − 1`, whose mean is 1. People prefer round sizes: every second is cut to its
//! first digit.
//!
//! A group of [`GROUP`] ticks has one size of each rank, in an order that is drawn. So each group has the same volume, and the volume
//! of a range is known without reading its ticks.

use std::{ops::Range, sync::OnceLock};

use super::keys::{Draw, Key};

/// Number of ticks of a group. The first begins with tick 0.
pub(super) const GROUP: u64 = 1 << 12;

/// The sizes of the ticks of one instrument.
#[derive(Debug)]
pub(super) struct Sizes {
    /// The mean size, in quantity increments; 0 for an index.
    mean: f64,
    /// The least one: 0 for an index, else 1.
    least: u64,
    order: Key,
    /// The volume of a group, added up when it is first needed.
    group: OnceLock<u64>,
}

/// The order in which a group has its sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order(Draw);

impl Sizes {
    /// Sizes with a mean, in quantity increments. `None` is for what has no quantity.
    pub(super) fn new(mean: Option<f64>, order: Key) -> Self {
        Self { mean: mean.unwrap_or(0.0), least: u64::from(mean.is_some()), order, group: OnceLock::new() }
    }

    /// The order of the group of a tick.
    #[inline]
    pub(super) fn order(&self, tick: u64) -> Order {
        Order(self.order.draw(tick / GROUP))
    }

    /// The quantity of a tick of a group.
    #[inline]
    pub(super) fn of(&self, tick: u64, Order(drawn): Order) -> u64 {
        let drawn = drawn.bits();
        self.ranked(shuffled(tick ^ drawn >> 52, drawn), 1.0)
    }

    /// A quantity from the low bits of a draw, with so many times the mean.
    #[inline]
    pub(super) fn ranked(&self, bits: u64, times: f64) -> u64 {
        let rank = (bits % GROUP) as i32;
        let uniform = f64::from(2 * rank + 1) * (0.5 / GROUP as f64);
        let quantity = (self.mean * times * (1.0 / uniform.sqrt() - 1.0) + 0.5) as i64 as u64;
        let quantity = quantity.max(self.least);
        if rank & 1 == 0 { quantity } else { first_digit(quantity) }
    }

    /// The sum of the quantities of some ticks, at most `u64::MAX`.
    pub(super) fn volume(&self, ticks: Range<u64>) -> u64 {
        let groups = ticks.start.div_ceil(GROUP)..ticks.end / GROUP;
        if groups.is_empty() {
            return self.sum(ticks);
        }
        let group = *self.group.get_or_init(|| self.sum(0..GROUP));
        let edges = [ticks.start..groups.start * GROUP, groups.end * GROUP..ticks.end];
        let whole = (groups.end - groups.start).saturating_mul(group);
        edges.into_iter().fold(whole, |volume, edge| volume.saturating_add(self.sum(edge)))
    }

    fn sum(&self, ticks: Range<u64>) -> u64 {
        ticks.fold(0, |volume: u64, tick| volume.saturating_add(self.of(tick, self.order(tick))))
    }
}

/// The low bits of a number, mixed one to one by the bits of a draw.
#[inline]
fn shuffled(number: u64, drawn: u64) -> u64 {
    // A product with an odd number is one to one, and so is a shift that is added.
    [drawn, drawn >> 13, drawn >> 26].into_iter().fold(number % GROUP, |number, factor| {
        let product = number.wrapping_mul(factor | 1) % GROUP;
        product ^ product >> 6
    })
}

/// Cuts a number to its first digit.
#[inline]
fn first_digit(number: u64) -> u64 {
    const POWERS: [u64; 20] = {
        let mut powers = [1; 20];
        let mut at = 1;
        while at < 20 {
            powers[at] = powers[at - 1] * 10;
            at += 1;
        }
        powers
    };
    let power = POWERS[number.checked_ilog10().unwrap_or(0) as usize];
    number - number % power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tape::simulated::keys::Keys;

    fn sizes(seed: u64, mean: f64) -> Sizes {
        Sizes::new(Some(mean), Keys::new(seed, &"A".parse().unwrap()).sizes)
    }

    #[test]
    fn each_group_has_one_size_of_each_rank_in_an_order_of_its_own() {
        let sizes = sizes(7, 1e9);
        let group = |number: u64| -> Vec<u64> {
            (number * GROUP..(number + 1) * GROUP).map(|tick| sizes.of(tick, sizes.order(tick))).collect()
        };
        let sorted = |mut group: Vec<u64>| {
            group.sort_unstable();
            group
        };
        assert_eq!(sorted(group(0)), sorted(group(123_456)));
        let same = group(5).iter().zip(group(6)).filter(|(one, other)| **one == *other).count();
        // Sizes of one digit are often the same.
        assert!(same < 200, "{same}");
    }

    #[test]
    fn neighbours_have_sizes_that_do_not_depend_on_each_other() {
        let sizes = sizes(7, 1e9);
        let rank = |tick: u64| {
            let drawn = sizes.order.draw(tick / GROUP).bits();
            shuffled(tick ^ drawn >> 52, drawn) as f64 / GROUP as f64 - 0.5
        };
        let count = 400_000;
        for lag in [1, 2, 3, 4, 7, 8, 16, 64, 1_000] {
            let together: f64 =
                (0..count).map(|tick| rank(tick) * rank(tick + lag) * 12.0 / count as f64).sum();
            // Four deviations, a little more as the order of a group is drawn at once.
            assert!(together.abs() < 0.015, "{together} at {lag}");
        }
    }

    proptest! {
        #[test]
        fn the_volume_of_a_range_is_that_of_its_ticks(
            seed: u64,
            start in 0..3 * GROUP,
            length in 0..3 * GROUP,
            far in prop_oneof![Just(0), Just(u64::MAX / 2)],
            mean in prop_oneof![0.0..10.0, 1e3..1e6, 1e15..1e30],
        ) {
            let sizes = sizes(seed, mean);
            let ticks = far + start..far + start + length;
            prop_assert_eq!(sizes.volume(ticks.clone()), sizes.sum(ticks));
        }
    }

    #[test]
    fn the_mean_is_what_was_asked_for_less_what_is_cut_off() {
        let mean = sizes(7, 1_000.0).volume(0..GROUP) as f64 / GROUP as f64;
        assert!((0.85..1.0).contains(&(mean / 1_000.0)), "{mean}");
        assert_eq!(Sizes::new(None, Key::default()).volume(0..100_000), 0);
    }

    #[test]
    fn a_round_size_is_the_first_digit() {
        assert_eq!([0, 7, 10, 19, 987, 12_345].map(first_digit), [0, 7, 10, 10, 900, 10_000]);
        assert_eq!(first_digit(u64::MAX), 10_000_000_000_000_000_000);
    }
}
