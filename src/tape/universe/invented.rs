//! Instruments for symbols that no file lists: a pure function of the symbol, shared while anyone uses them.

use std::{
    num::NonZeroU64,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use dashmap::{DashMap, Entry};
use sha2::{Digest, Sha256};

use crate::{
    tape::{Instrument, Lease, Missing},
    tick::{Price, Symbol},
};

/// The invented instruments that are in use, up to a limit.
#[derive(Debug)]
pub(super) struct Invented {
    table: Arc<Table>,
}

#[derive(Debug)]
struct Table {
    most: usize,
    /// An instrument is removed when its last holder drops it, in constant time.
    in_use: DashMap<Symbol, Weak<Instrument>>,
    /// Number of instruments that exist, including those that are being dropped.
    count: AtomicUsize,
    /// Largest count since memory was last given back.
    peak: AtomicUsize,
}

/// The place of one instrument in the table. Dropped with the instrument.
struct TableEntry {
    table: Arc<Table>,
    symbol: Symbol,
}

impl Invented {
    /// An empty table for at most `most` instruments at a time.
    pub(super) fn new(most: usize) -> Self {
        let (count, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { table: Arc::new(Table { most, in_use: DashMap::new(), count, peak }) }
    }

    /// The instrument of a symbol: one and the same for all who hold it at the same time.
    ///
    /// # Errors
    /// The limit is reached, and this instrument is not in use yet.
    pub(super) fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing> {
        let in_use = &self.table.in_use;
        if let Some(found) = in_use.get(symbol).and_then(|held| held.upgrade()) {
            return Ok(found);
        }
        let place = || Table::place(&self.table, *symbol);
        // The entry stays locked while its instrument is made, so that two threads cannot make the same one.
        match in_use.entry(*symbol) {
            Entry::Occupied(mut held) => match held.get().upgrade() {
                // Another thread was faster.
                Some(found) => Ok(found),
                // Its last holder is about to remove it from the table, and will find that it is in use again.
                None => {
                    let lease = place()?;
                    let instrument = invent(symbol, lease);
                    held.insert(Arc::downgrade(&instrument));
                    Ok(instrument)
                }
            },
            Entry::Vacant(vacant) => {
                let lease = place()?;
                let instrument = invent(symbol, lease);
                vacant.insert(Arc::downgrade(&instrument));
                Ok(instrument)
            }
        }
    }
}

impl Table {
    /// A table whose peak was at most this many entries is not shrunk.
    const FEW: usize = 1_024;

    /// Takes a place, if there is one.
    fn place(self: &Arc<Self>, symbol: Symbol) -> Result<Lease, Missing> {
        let one_more = |count| (count < self.most).then_some(count + 1);
        let before = self.count.fetch_update(Relaxed, Relaxed, one_more);
        let before = before.map_err(|_| Missing::NoRoom { most: self.most })?;
        self.peak.fetch_max(before + 1, Relaxed);
        Ok(Lease::new(TableEntry { table: self.clone(), symbol }))
    }

    /// Gives memory back once less than a sixteenth of the peak is in use, since all entries that are left have to be
    /// moved.
    fn shrink(&self, count: usize) {
        let peak = self.peak.load(Relaxed);
        let is_worth_it = peak > Self::FEW && count < peak / 16;
        if is_worth_it && self.peak.compare_exchange(peak, count, Relaxed, Relaxed).is_ok() {
            self.in_use.shrink_to_fit();
        }
    }
}

impl Drop for TableEntry {
    fn drop(&mut self) {
        // It stays if it has been invented again since its last holder dropped it.
        self.table.in_use.remove_if(&self.symbol, |_, held| held.strong_count() == 0);
        let count = self.table.count.fetch_sub(1, Relaxed) - 1;
        self.table.shrink(count);
    }
}

const CENT: Price = Price::from_nanos(10_000_000).unwrap();
const ONE_SHARE: NonZeroU64 = NonZeroU64::new(1_000_000_000).unwrap();

/// Draws an instrument from a digest of its symbol, so that every replica invents the same one.
fn invent(symbol: &Symbol, lease: Lease) -> Arc<Instrument> {
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
        daily_volume: 0.0,
        annual_drift: 0.0,
        factors: Vec::new(),
        follows: Vec::new(),
        tick_interval: Duration::from_millis(100),
        day_start: Duration::ZERO,
        hours: None,
        closes: false,
        lease,
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
        let (one, other) = (Invented::new(1_000), Invented::new(1_000));
        for text in ["ACME", "acme", "X", "FOO-BAR", "^A"] {
            assert_eq!(one.instrument(&symbol(text)).unwrap(), other.instrument(&symbol(text)).unwrap());
        }
        assert_ne!(
            one.instrument(&symbol("ACME")).unwrap().reference_price,
            one.instrument(&symbol("acme")).unwrap().reference_price
        );
        // A change here changes what `--any-symbol` has played so far.
        let acme = one.instrument(&symbol("ACME")).unwrap();
        assert_eq!((acme.reference_price.to_string().as_str(), acme.annual_volatility), ("856", 0.4));
    }

    #[test]
    fn invented_instruments_are_plausible() {
        let invented = Invented::new(1_000);
        let mut prices = HashSet::new();
        for n in 0..1000 {
            let instrument = invented.instrument(&symbol(&format!("S{n}"))).unwrap();
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
        let invented = Invented::new(1_000);
        let held: Vec<_> = thread::scope(|scope| {
            let asking: Vec<_> =
                (0..8).map(|_| scope.spawn(|| invented.instrument(&symbol("SHARED")).unwrap())).collect();
            asking.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(held.iter().all(|instrument| Arc::ptr_eq(instrument, &held[0])));
    }

    fn numbered(invented: &Invented, numbers: std::ops::Range<usize>) -> Vec<Arc<Instrument>> {
        numbers.map(|n| invented.instrument(&symbol(&format!("N{n}"))).unwrap()).collect()
    }

    #[test]
    fn symbols_that_nobody_uses_any_more_take_no_room() {
        let invented = Invented::new(100);
        let mut kept = numbered(&invented, 0..100);
        let no_room = Err(Missing::NoRoom { most: 100 });
        for _ in 0..2 {
            assert_eq!(invented.instrument(&symbol("NEW")), no_room);
            for instrument in &kept {
                assert!(Arc::ptr_eq(instrument, &invented.instrument(&instrument.symbol).unwrap()));
            }
            assert_eq!((invented.table.in_use.len(), invented.table.count.load(Relaxed)), (100, 100));
            // One that is held twice is let go when nobody holds it.
            let last = kept.pop().unwrap();
            drop(last.clone());
            assert_eq!(invented.instrument(&symbol("NEW")), no_room);
            drop(last);
            kept.push(invented.instrument(&symbol("NEWER")).unwrap());
        }
        for n in 0..10_000 {
            drop(kept.pop());
            kept.push(invented.instrument(&symbol(&format!("OTHER{n}"))).unwrap());
        }
        assert_eq!((invented.table.in_use.len(), invented.table.count.load(Relaxed)), (100, 100));
        kept.clear();
        assert_eq!((invented.table.in_use.len(), invented.table.count.load(Relaxed)), (0, 0));
    }

    #[test]
    fn the_table_gives_its_memory_back() {
        let invented = Invented::new(100_000);
        let mut held = numbered(&invented, 0..50_000);
        let full = invented.table.in_use.capacity();
        held.truncate(1_000);
        assert!(invented.table.in_use.capacity() < full / 4, "{}", invented.table.in_use.capacity());
        for instrument in &held {
            assert!(Arc::ptr_eq(instrument, &invented.instrument(&instrument.symbol).unwrap()));
        }
    }

    #[test]
    fn threads_that_take_and_let_go_at_once_lose_no_room_and_share_what_they_hold() {
        let invented = Invented::new(3);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..20_000 {
                        let Ok(held) = invented.instrument(&symbol(&format!("S{}", n % 5))) else { continue };
                        // While it is held there is no other.
                        let again = invented.instrument(&held.symbol).unwrap();
                        assert!(Arc::ptr_eq(&held, &again));
                        assert!(invented.table.count.load(Relaxed) <= 3);
                    }
                });
            }
        });
        assert_eq!((invented.table.in_use.len(), invented.table.count.load(Relaxed)), (0, 0));
        assert_eq!(numbered(&invented, 0..3).len(), 3);
    }
}
