//! Moments, correlations and tails of lists of numbers.
//!
//! Every function returns `None` where the list is too short, or where a deviation or a mean by which it divides is zero.

use std::collections::VecDeque;

/// The arithmetic mean.
pub fn mean(values: &[f64]) -> Option<f64> {
    finite(values.iter().sum::<f64>() / values.len() as f64)
}

/// The variance, divided by the number of values.
pub fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    finite(values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64)
}

/// The standard deviation.
pub fn deviation(values: &[f64]) -> Option<f64> {
    variance(values).map(f64::sqrt)
}

/// The coefficient of variation: the standard deviation over the mean.
pub fn variation(values: &[f64]) -> Option<f64> {
    finite(deviation(values)? / mean(values)?)
}

/// The excess kurtosis, which is zero for a normal distribution.
pub fn excess_kurtosis(values: &[f64]) -> Option<f64> {
    let (mean, variance) = (mean(values)?, variance(values)?);
    let fourth = values.iter().map(|value| {
        let square = (value - mean) * (value - mean);
        square * square
    });
    finite(fourth.sum::<f64>() / values.len() as f64 / (variance * variance) - 3.0)
}

/// Pearson's correlation of two lists of the same length.
pub fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mean_a, mean_b) = (mean(a)?, mean(b)?);
    let products = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b));
    finite(products.sum::<f64>() / a.len() as f64 / (variance(a)? * variance(b)?).sqrt())
}

/// The correlation of a list with itself, `lag` values later.
pub fn autocorrelation(values: &[f64], lag: usize) -> Option<f64> {
    correlation(values.get(..values.len().checked_sub(lag)?)?, values.get(lag..)?)
}

/// The exponent of the power law that the largest hundredth of the values follows (Hill, 1975). The values are put in
/// another order.
pub fn tail_exponent(values: &mut [f64]) -> Option<f64> {
    let count = values.len() / 100;
    let from = values.len().checked_sub(count + 1)?;
    let (_, threshold, tail) = values.select_nth_unstable_by(from, f64::total_cmp);
    let threshold = libm::log(*threshold);
    finite(tail.len() as f64 / tail.iter().map(|value| libm::log(*value) - threshold).sum::<f64>())
}

/// The autocorrelation of a list that is too long to keep.
#[derive(Debug)]
pub struct Autocorrelation {
    lag: usize,
    recent: VecDeque<f64>,
    pairs: f64,
    sum_early: f64,
    sum_late: f64,
    squares_early: f64,
    squares_late: f64,
    products: f64,
}

impl Autocorrelation {
    /// No value yet.
    pub fn new(lag: usize) -> Self {
        Self {
            lag,
            recent: VecDeque::with_capacity(lag + 1),
            pairs: 0.0,
            sum_early: 0.0,
            sum_late: 0.0,
            squares_early: 0.0,
            squares_late: 0.0,
            products: 0.0,
        }
    }

    /// Adds the next value.
    pub fn push(&mut self, late: f64) {
        self.recent.push_back(late);
        if self.recent.len() <= self.lag {
            return;
        }
        let Some(early) = self.recent.pop_front() else { return };
        self.pairs += 1.0;
        self.sum_early += early;
        self.sum_late += late;
        self.squares_early += early * early;
        self.squares_late += late * late;
        self.products += early * late;
    }

    /// Begins another stretch: values before and after are no pairs.
    pub fn interrupt(&mut self) {
        self.recent.clear();
    }

    /// The autocorrelation of all values so far.
    pub fn value(&self) -> Option<f64> {
        let (early, late) = (self.sum_early / self.pairs, self.sum_late / self.pairs);
        let early_variance = self.squares_early / self.pairs - early * early;
        let late_variance = self.squares_late / self.pairs - late * late;
        finite((self.products / self.pairs - early * late) / (early_variance * late_variance).sqrt())
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uniform numbers from 0 to 1, the same ones each time.
    fn uniform(count: usize) -> Vec<f64> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..count).map(|_| next()).collect()
    }

    fn assert_near(found: Option<f64>, expected: f64, by: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() <= by, "{found} is not {expected}");
    }

    #[test]
    fn moments_are_those_of_a_textbook() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert_eq!((mean(&values), variance(&values), deviation(&values)), (Some(5.0), Some(4.0), Some(2.0)));
        assert_eq!(variation(&values), Some(0.4));
        // (81 + 3 + 0 + 16 + 256) / 8 / 16 - 3
        assert_near(excess_kurtosis(&values), 356.0 / 128.0 - 3.0, 1e-12);
    }

    #[test]
    fn kurtosis_tells_thin_tails_from_fat_ones() {
        assert_near(excess_kurtosis(&[-1.0, 1.0]), -2.0, 1e-12);
        assert_near(excess_kurtosis(&uniform(100_000)), -1.2, 0.02);
        let laplace: Vec<f64> = uniform(400_000)
            .chunks(2)
            .map(|pair| libm::log(pair[0].max(1e-300)) * if pair[1] < 0.5 { 1.0 } else { -1.0 })
            .collect();
        assert_near(excess_kurtosis(&laplace), 3.0, 0.3);
    }

    #[test]
    fn correlation_is_one_of_a_line_and_none_of_a_constant() {
        let (line, falling) = ([1.0, 2.0, 3.0], [6.0, 4.0, 2.0]);
        assert_near(correlation(&line, &line), 1.0, 1e-12);
        assert_near(correlation(&line, &falling), -1.0, 1e-12);
        assert_eq!(correlation(&line, &[5.0; 3]), None);
        assert_near(autocorrelation(&[1.0, -1.0, 1.0, -1.0, 1.0], 1), -1.0, 1e-12);
        assert_near(autocorrelation(&[1.0, -1.0, 1.0, -1.0, 1.0], 2), 1.0, 1e-12);
    }

    #[test]
    fn an_autoregression_has_the_autocorrelation_it_was_made_with() {
        let mut value = 0.0;
        let values: Vec<f64> = uniform(200_000)
            .into_iter()
            .map(|noise| {
                value = 0.5 * value + noise;
                value
            })
            .collect();
        for (lag, expected) in [(1, 0.5), (2, 0.25), (5, 0.031)] {
            assert_near(autocorrelation(&values, lag), expected, 0.01);
            let mut kept = Autocorrelation::new(lag);
            values.iter().for_each(|value| kept.push(*value));
            assert_near(kept.value(), autocorrelation(&values, lag).unwrap(), 1e-9);
        }
    }

    #[test]
    fn pairs_across_an_interruption_do_not_count() {
        let mut kept = Autocorrelation::new(1);
        for value in [1.0, 1.0, -1.0, -1.0] {
            kept.push(value);
            kept.push(value);
            kept.interrupt();
        }
        assert_near(kept.value(), 1.0, 1e-12);
        let mut alternating = Autocorrelation::new(1);
        for value in [1.0, -1.0] {
            alternating.push(value);
            alternating.interrupt();
        }
        assert_eq!(alternating.value(), None);
    }

    #[test]
    fn the_tail_of_a_power_law_shows_its_exponent() {
        let mut values: Vec<f64> =
            uniform(200_000).into_iter().map(|u| libm::pow(1.0 - u, -1.0 / 1.5)).collect();
        assert_near(tail_exponent(&mut values), 1.5, 0.1);
    }

    #[test]
    fn what_is_too_short_has_no_statistics() {
        assert_eq!((mean(&[]), variance(&[]), excess_kurtosis(&[1.0])), (None, None, None));
        assert_eq!(
            (autocorrelation(&[1.0], 5), tail_exponent(&mut []), variation(&[0.0])),
            (None, None, None)
        );
    }
}
