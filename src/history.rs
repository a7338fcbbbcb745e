//! What has been traded: pages of past ticks, candles, digests and the figures of a day, each a fold of ticks.

mod candle;
mod day;
mod day_fold;
mod digest;
mod merge;
#[cfg(test)]
mod tests;
mod tick_pages;

pub use candle::{Candle, CandleError, CandleFold, CandleInterval, CandlePage};
pub use day::Day;
pub use day_fold::DayFold;
pub use digest::{DigestFold, TickDigest};
pub use merge::Merge;
pub use tick_pages::{Order, PastTicks, TickPage};
