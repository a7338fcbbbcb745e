//! What has been traded: pages of past ticks, candles, digests and the figures of a day, each a fold of ticks.

mod candle;
mod day;
mod day_fold;
mod digest;
mod merge;
mod past;
#[cfg(test)]
mod tests;

pub use candle::{Candle, CandleFold, CandleInterval, CandlePage};
pub use day::Day;
pub use day_fold::DayFold;
pub use digest::{DigestFold, TickDigest};
pub use merge::Merge;
pub use past::{HistoryError, Order, Past, TickPage};
