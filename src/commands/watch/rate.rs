//! How many ticks come per second, over the last few seconds.

use std::time::Duration;

/// Counts ticks in whole seconds of a clock that began at zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate {
    /// Counts by second, the second modulo the length.
    counts: [u64; Rate::SECONDS + 1],
    /// The latest second with a place in `counts`.
    second: u64,
}

impl Rate {
    /// Seconds over which the mean is taken.
    const SECONDS: usize = 4;

    pub(super) fn count(&mut self, ticks: u64, elapsed: Duration) {
        self.move_to(elapsed);
        let place = self.place(self.second);
        self.counts[place] += ticks;
    }

    /// The mean over the last seconds that are over; `None` in the first one.
    pub(super) fn per_second(&self, elapsed: Duration) -> Option<f64> {
        let mut now = self.clone();
        now.move_to(elapsed);
        let over = now.second.min(Self::SECONDS as u64);
        let ticks: u64 = (now.second - over..now.second).map(|second| now.counts[now.place(second)]).sum();
        (over > 0).then(|| ticks as f64 / over as f64)
    }

    fn move_to(&mut self, elapsed: Duration) {
        let second = elapsed.as_secs().max(self.second);
        for skipped in (self.second + 1..=second).rev().take(self.counts.len()) {
            let place = self.place(skipped);
            self.counts[place] = 0;
        }
        self.second = second;
    }

    fn place(&self, second: u64) -> usize {
        (second % self.counts.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_steady_stream_has_its_rate_after_one_second() {
        let mut rate = Rate::default();
        for tenth in 0..80 {
            rate.count(1, at(tenth * 100));
            let expected = (tenth >= 10).then_some(10.0);
            assert_eq!(rate.per_second(at(tenth * 100)), expected, "after {tenth} tenths");
        }
    }

    #[test]
    fn a_stream_that_stops_falls_to_zero() {
        let mut rate = Rate::default();
        rate.count(8, at(500));
        assert_eq!(rate.per_second(at(1000)), Some(8.0));
        assert_eq!(rate.per_second(at(4000)), Some(2.0));
        assert_eq!(rate.per_second(at(5000)), Some(0.0));
        assert_eq!(rate.per_second(at(1_000_000)), Some(0.0));
    }
}
