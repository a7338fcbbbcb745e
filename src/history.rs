//! What has been traded: the figures of a day, candles and digests, each a fold of ticks.

mod day;

pub use day::Day;
