//! Candles of ticks that come one after another, where none can be asked for.

use super::candle::{Candle, CandleError, CandleInterval, CandlePage};
use crate::tick::{Tick, Time};

/// Makes a page of candles.
pub struct CandlesInOrder {
    interval: CandleInterval,
    /// The end of the times at which candles may begin.
    until: Time,
    /// Largest number of candles.
    most: usize,
    /// The page may end before the next candle when so many more ticks have come.
    budget: u64,
    page: CandlePage,
}

impl CandlesInOrder {
    /// Ticks after which a page may end. They are read in some seconds.
    const TICKS_OF_A_PAGE: u64 = 1 << 22;

    /// The candles that begin before `until`, at most `most` and fewer when they have many ticks.
    pub fn new(interval: CandleInterval, until: Time, most: usize) -> Self {
        Self { interval, until, most, budget: Self::TICKS_OF_A_PAGE, page: CandlePage::default() }
    }

    /// Takes the next tick. False when the page is complete without it.
    ///
    /// # Errors
    /// A candle would be made of too many ticks.
    pub fn take(&mut self, tick: &Tick) -> Result<bool, CandleError> {
        let open_time = self.interval.open_time(tick.time);
        self.budget = self.budget.saturating_sub(1);
        let is_full = self.budget == 0 || self.page.candles.len() >= self.most;
        match self.page.candles.last_mut() {
            Some(last) if last.open_time == open_time => {
                last.take(tick);
                if last.tick_count > CandleInterval::MOST_TICKS {
                    return Err(self.interval.too_many(last.tick_count));
                }
            }
            _ if open_time >= self.until => return Ok(false),
            Some(_) if is_full => {
                self.page.next = Some(open_time);
                return Ok(false);
            }
            _ => self.page.candles.push(Candle::open(open_time, tick)),
        }
        Ok(true)
    }

    /// The page of the ticks so far.
    pub fn page(self) -> CandlePage {
        self.page
    }
}
