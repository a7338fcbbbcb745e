//! Counts that the threads of the server keep, and that a scrape reads without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A count that one thread at a time adds to, and any thread reads. Adding takes no locked instruction, so it is as cheap as
/// adding to a plain number.
#[derive(Debug, Default)]
pub struct LocalCounter(AtomicU64);

/// A count that any thread adds to.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// How often values were in each of several ranges. Any thread adds to it.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bounds of the ranges, ascending. A last range has no bound.
    bounds: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a [`Histogram`] has counted. The unit is that of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramCounts {
    /// The upper bound of each range, `None` for the last one, and the number of values in it.
    pub ranges: Vec<(Option<u64>, u64)>,
    /// The sum of all values.
    pub sum: u64,
}

impl LocalCounter {
    /// Adds to the count. Only one thread at a time may do so, or counts are lost.
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds to the count.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Subtracts one, and returns what is left.
    pub fn decrement(&self) -> u64 {
        self.0.fetch_sub(1, Relaxed) - 1
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Histogram {
    /// A histogram of no values.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let range = self.bounds.partition_point(|bound| *bound < value);
        self.counts[range].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// What was counted.
    pub fn counts(&self) -> HistogramCounts {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        HistogramCounts { ranges: bounds.zip(counts).collect(), sum: self.sum.load(Relaxed) }
    }
}

impl HistogramCounts {
    /// Adds what another histogram with the same bounds has counted.
    pub fn add(&mut self, other: &Self) {
        for ((_, count), (_, more)) in self.ranges.iter_mut().zip(&other.ranges) {
            *count += more;
        }
        self.sum += other.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_range_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1_000] {
            histogram.observe(value);
        }
        let mut counts = histogram.counts();
        assert_eq!(counts.ranges, [(Some(10), 2), (Some(20), 2), (None, 2)]);
        assert_eq!(counts.sum, 1_062);
        counts.add(&histogram.counts());
        assert_eq!((counts.ranges[2], counts.sum), ((None, 4), 2_124));
    }
}
