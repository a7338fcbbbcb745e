//! Reference data of the symbols for tests.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use crate::tape::{Instrument, Lease, TestSymbol};
use crate::tick::{Sequence, Symbol};

/// The symbols for tests, ordered by symbol.
pub(super) fn instruments() -> Vec<Arc<Instrument>> {
    let all = TestSymbol::ALL.into_iter();
    all.filter_map(|test| Some(Arc::new(instrument(test, test.as_str().parse().ok()?)))).collect()
}

fn instrument(test: TestSymbol, symbol: Symbol) -> Instrument {
    const UNIT: NonZeroU64 = NonZeroU64::new(1_000_000_000).unwrap();
    let name = match test {
        TestSymbol::Counter => "The price is the sequence, once a second",
        TestSymbol::Square => "101 for five seconds, then 99 for five",
        TestSymbol::Quiet => "One tick a minute",
        TestSymbol::Burst => "1,000 ticks at once, every ten seconds",
        TestSymbol::Halt => "Halted in every odd minute",
        TestSymbol::Limits => "The smallest and the largest price in turn",
        TestSymbol::LongestName => "The longest symbol",
    };
    Instrument {
        symbol,
        name: name.to_owned(),
        kind: TestSymbol::KIND.to_owned(),
        currency: String::new(),
        reference_price: test.price(Sequence(0)),
        price_increment: test.price_increment(),
        quantity_increment_nanos: UNIT,
        annual_volatility: 0.0,
        daily_volume: 0.0,
        annual_drift: 0.0,
        factors: Vec::new(),
        follows: Vec::new(),
        tick_interval: Duration::from_nanos(test.mean_interval()),
        day_start: Duration::ZERO,
        hours: None,
        closes: false,
        lease: Lease::default(),
    }
}
