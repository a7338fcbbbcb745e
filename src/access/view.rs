//! The part of a tape that a caller may see.

use std::sync::{Arc, Mutex, PoisonError};

use super::Grant;
use crate::{
    tape::{Identity, Instrument, Missing, Series, Tape, nearest},
    tick::Symbol,
};

type Listed = Arc<[Arc<Instrument>]>;

/// A tape without the instruments that a grant does not cover. They are unknown: no answer, and no time that an answer
/// takes, depends on whether the tape has them.
pub struct VisibleTape {
    tape: Arc<dyn Tape>,
    grant: Grant,
    /// The list of the tape, and what is visible of it.
    listed: Mutex<Option<(Listed, Listed)>>,
}

impl VisibleTape {
    /// What `grant` covers of `tape`.
    pub fn new(tape: Arc<dyn Tape>, grant: Grant) -> Self {
        Self { tape, grant, listed: Mutex::new(None) }
    }
}

impl Tape for VisibleTape {
    fn identity(&self) -> &Identity {
        self.tape.identity()
    }

    fn instruments(&self) -> Listed {
        let all = self.tape.instruments();
        let listed = &mut *self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        match listed {
            Some((of, visible)) if Arc::ptr_eq(of, &all) => visible.clone(),
            _ => {
                let may_read = |instrument: &&Arc<Instrument>| self.grant.may_read(&instrument.symbol);
                let visible: Listed = all.iter().filter(may_read).cloned().collect();
                *listed = Some((all, visible.clone()));
                visible
            }
        }
    }

    fn known_instruments(&self) -> Listed {
        let may_read = |instrument: &&Arc<Instrument>| self.grant.may_read(&instrument.symbol);
        self.tape.known_instruments().iter().filter(may_read).cloned().collect()
    }

    fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing> {
        // Before the tape is asked, which may invent an instrument.
        match self.grant.may_read(symbol) {
            true => self.tape.instrument(symbol),
            false => Err(Missing::Unknown),
        }
    }

    fn suggest(&self, text: &str) -> Option<Symbol> {
        nearest(&self.instruments(), text)
    }

    fn series(&self, instrument: &Instrument) -> Arc<dyn Series> {
        self.tape.series(instrument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::Scope,
        tape::{Simulated, Universe},
    };

    fn view(scope: &str, universe: Universe) -> VisibleTape {
        let grant = std::iter::once(&scope.parse::<Scope>().unwrap()).collect();
        VisibleTape::new(Arc::new(Simulated::new(1, universe)), grant)
    }

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_not_covered_is_unknown_not_listed_and_not_suggested() {
        let tape = view("ticker:read:TCS", Universe::builtin().unwrap());
        let listed: Vec<_> =
            tape.instruments().iter().map(|instrument| instrument.symbol.to_string()).collect();
        assert_eq!(listed, ["TCS"]);
        assert!(tape.instrument(&symbol("TCS")).is_ok());
        assert_eq!(tape.instrument(&symbol("RELIANCE")), tape.instrument(&symbol("NOTHING")));
        assert_eq!(tape.suggest("RELIANC"), None);
        assert_eq!(tape.suggest("tcs"), Some(symbol("TCS")));
        assert!(Arc::ptr_eq(&tape.instruments(), &tape.instruments()));
    }

    #[test]
    fn the_symbols_for_tests_have_scopes_like_others() {
        let tape = view("ticker:read:TEST.*", Universe::builtin().unwrap());
        let listed = tape.instruments();
        assert!(!listed.is_empty() && listed.iter().all(|instrument| instrument.is_for_tests()));
        let others = view("ticker:read:T*", Universe::builtin().unwrap());
        assert!(others.instruments().iter().any(|instrument| !instrument.is_for_tests()));
        assert!(view("ticker:read:TCS", Universe::builtin().unwrap()).instrument(&listed[0].symbol).is_err());
    }

    #[test]
    fn no_instrument_is_invented_for_a_symbol_that_is_not_covered() {
        let tape = view("ticker:read:X*", Universe::builtin().unwrap().with_any_symbol(1));
        for hidden in ["A1", "A2", "A3"] {
            assert_eq!(tape.instrument(&symbol(hidden)), Err(Missing::Unknown));
        }
        let held = tape.instrument(&symbol("X1")).unwrap();
        assert_eq!(tape.instrument(&symbol("X2")), Err(Missing::NoRoom { most: 1 }));
        drop(held);
    }
}
