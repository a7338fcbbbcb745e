//! What has been traded: the figures of a day, candles and digests, each a fold of ticks.

mod day;
mod day_fold;
#[cfg(test)]
mod tests;

pub use day::Day;
pub use day_fold::DayFold;
