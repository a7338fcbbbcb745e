//! How many symbols were refused, and why.

use crate::{contract::v1::SymbolStatusCode as Code, metrics::Counter};

/// Counts refused symbols by the code of their status.
#[derive(Default)]
pub struct SymbolRefusals([Counter; REFUSALS.len()]);

/// The codes of symbols that are refused.
const REFUSALS: [Code; 5] =
    [Code::UnknownSymbol, Code::InvalidArgument, Code::LimitExceeded, Code::ForeignTape, Code::Unimplemented];

impl SymbolRefusals {
    /// Counts symbols whose status has this code, if it is a refusal.
    pub(super) fn add(&self, code: Code, symbols: u64) {
        if let Some(place) = REFUSALS.iter().position(|refusal| *refusal == code) {
            self.0[place].add(symbols);
        }
    }

    /// The name of each code, without the prefix of its enum, and how many symbols were refused with it.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let name = |code: Code| code.as_str_name().trim_start_matches("SYMBOL_STATUS_CODE_");
        REFUSALS.into_iter().zip(&self.0).map(move |(code, count)| (name(code), count.get()))
    }
}
