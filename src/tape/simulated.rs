//! The tape of a simulated market: a pure function of seed, symbol and sequence.

mod keys;
mod market;
mod path;
mod series;
mod slots;

pub use series::SimulatedSeries;

/// The version of the construction. It moves whenever any tick of any tape does, and the golden vectors with it.
pub const ENGINE_VERSION: &str = "1";
