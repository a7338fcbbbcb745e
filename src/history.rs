//! What has been traded: pages of past ticks, candles, digests and the figures of a day, each a fold of ticks.

mod candle;
mod candle_cache;
mod candle_fold;
mod candles_in_order;
mod day;
mod day_fold;
mod digest;
mod merge;
mod parts;
#[cfg(test)]
mod tests;
mod tick_pages;

pub use candle::{Candle, CandleError, CandleInterval, CandlePage};
pub use candle_cache::{CachedCandles, CandleCache};
pub use candle_fold::CandleFold;
pub use candles_in_order::CandlesInOrder;
pub use day::Day;
pub use day_fold::DayFold;
pub use digest::{DigestFold, DigestInOrder, TickDigest};
pub use merge::Merge;
pub use parts::Parts;
pub use tick_pages::{Order, PastTicks, TickPage};
