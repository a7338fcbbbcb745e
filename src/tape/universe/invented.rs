//! Instruments for symbols that no file lists: a pure function of the symbol, shared while anyone uses them.

use std::{
    num::NonZeroU64,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::{DashMap, Entry};
use sha2::{Digest, Sha256};

use crate::{
    tape::Instrument,
    tick::{Price, Symbol},
};

/// The invented instruments that are in use, and a bounded number that are not any more.
#[derive(Debug)]
pub(super) struct Invented {
    in_use: DashMap<Symbol, Weak<Instrument>>,
    /// How many may still be added before the dead ones are looked for.
    room: AtomicUsize,
}

impl Invented {
    /// Dead entries that are not worth a search.
    const SLACK: usize = 1024;

    pub(super) fn new() -> Self {
        Self { in_use: DashMap::new(), room: AtomicUsize::new(Self::SLACK) }
    }

    /// The instrument of a symbol: one and the same for all who hold it at the same time.
    pub(super) fn instrument(&self, symbol: &Symbol) -> Arc<Instrument> {
        if let Some(found) = self.in_use.get(symbol).and_then(|held| held.upgrade()) {
            return found;
        }
        let instrument = match self.in_use.entry(*symbol) {
            Entry::Occupied(mut held) => match held.get().upgrade() {
                // Another thread was faster.
                Some(found) => return found,
                None => {
                    let instrument = invent(symbol);
                    held.insert(Arc::downgrade(&instrument));
                    return instrument;
                }
            },
            Entry::Vacant(place) => {
                let instrument = invent(symbol);
                place.insert(Arc::downgrade(&instrument));
                instrument
            }
        };
        // The guard of the map is gone: from here on other shards may be locked.
        self.make_room();
        instrument
    }

    /// Forgets the dead entries once there may be as many of them as live ones, so that each one added costs
    /// a constant time, and clients that invent symbols for ever fill no memory.
    fn make_room(&self) {
        let taken = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1));
        if taken.is_ok() {
            return;
        }
        self.in_use.retain(|_, held| held.strong_count() > 0);
        self.room.store(self.in_use.len().max(Self::SLACK), Ordering::Relaxed);
    }
}

const CENT: Price = Price::from_nanos(10_000_000).unwrap();
const ONE_SHARE: NonZeroU64 = NonZeroU64::new(1_000_000_000).unwrap();

/// Draws an instrument from a digest of its symbol, so that every replica invents the same one.
fn invent(symbol: &Symbol) -> Arc<Instrument> {
    let digest = Sha256::new_with_prefix(b"ticker invented instrument\0").chain_update(symbol.as_str());
    let digest: [u8; 32] = digest.finalize().into();
    let mut bytes = digest.iter();
    // The remainder of four bytes is even enough for ranges this small.
    let mut draw = |from: u32, to: u32| {
        let word = bytes.by_ref().take(4).fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        from + word % (to - from)
    };

    // Three powers of ten, each as likely as the others: from 10.00 to 9999.00.
    let magnitude = 10_i64.pow(draw(0, 3));
    let cents = i64::from(draw(1_000, 10_000)) * magnitude;
    Arc::new(Instrument {
        symbol: *symbol,
        name: symbol.to_string(),
        kind: "equity".to_owned(),
        currency: String::new(),
        reference_price: Price::from_nanos(cents * CENT.nanos()).unwrap_or(CENT),
        price_increment: CENT,
        quantity_increment_nanos: ONE_SHARE,
        annual_volatility: f64::from(draw(15, 61)) / 100.0,
        tick_interval: Duration::from_millis(100),
        day_start: Duration::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    #[test]
    fn an_invented_instrument_is_a_function_of_its_symbol() {
        let (one, other) = (Invented::new(), Invented::new());
        for text in ["ACME", "acme", "X", "FOO-BAR", "^A"] {
            assert_eq!(one.instrument(&symbol(text)), other.instrument(&symbol(text)));
        }
        assert_ne!(
            one.instrument(&symbol("ACME")).reference_price,
            one.instrument(&symbol("acme")).reference_price
        );
        // A change here changes what `--any-symbol` has played so far.
        let acme = one.instrument(&symbol("ACME"));
        assert_eq!((acme.reference_price.to_string().as_str(), acme.annual_volatility), ("856", 0.4));
    }

    #[test]
    fn invented_instruments_are_plausible() {
        let invented = Invented::new();
        let mut prices = HashSet::new();
        for n in 0..1000 {
            let instrument = invented.instrument(&symbol(&format!("S{n}")));
            let price = instrument.reference_price.to_f64();
            assert!((10.0..10_000.0).contains(&price), "{price}");
            assert_eq!(instrument.reference_price.nanos() % instrument.price_increment.nanos(), 0);
            assert!((0.15..=0.60).contains(&instrument.annual_volatility));
            prices.insert(instrument.reference_price);
        }
        assert!(prices.len() > 900, "they differ from one another");
    }

    #[test]
    fn all_threads_share_one_instrument_while_anyone_uses_it() {
        let invented = Invented::new();
        let held: Vec<_> = thread::scope(|scope| {
            let asking: Vec<_> =
                (0..8).map(|_| scope.spawn(|| invented.instrument(&symbol("SHARED")))).collect();
            asking.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(held.iter().all(|instrument| Arc::ptr_eq(instrument, &held[0])));
    }

    #[test]
    fn symbols_that_nobody_uses_any_more_fill_no_memory() {
        let invented = Invented::new();
        let kept: Vec<_> = (0..100).map(|n| invented.instrument(&symbol(&format!("KEPT{n}")))).collect();
        for n in 0..100_000 {
            invented.instrument(&symbol(&format!("GONE{n}")));
        }
        assert!(invented.in_use.len() <= kept.len() + 2 * Invented::SLACK, "{}", invented.in_use.len());
        for instrument in &kept {
            assert!(Arc::ptr_eq(instrument, &invented.instrument(&instrument.symbol)));
        }
    }
}
