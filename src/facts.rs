//! Statistics of a tape, as they are published of real markets, beside what the simulation is held to.
//!
//! Prices are read at every minute of the span at random access. Where only every tick shows something, the ticks of some
//! hours are read.

mod fact;
mod minutes;
mod quoted;
mod single;
mod sources;
pub mod statistics;
#[cfg(test)]
mod tests;
mod ticks;
mod together;

use std::{sync::Arc, time::Duration};

pub use fact::{Bound, Fact, Section};
pub use sources::cited;

use self::{
    minutes::{DAY_MINUTES, MINUTE, Minutes},
    single::Years,
    ticks::Ticks,
    together::Member,
};
use crate::{
    tape::{Instrument, Kind, Series, Tape},
    tick::Time,
};

/// Which part of a tape is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub from: Time,
    /// Its length.
    pub minutes: usize,
}

/// The facts of one instrument.
#[derive(Debug)]
pub struct Report {
    /// The facts by subject.
    pub sections: Vec<Section>,
    /// The number of ticks of the span.
    pub ticks: f64,
    /// The number of ticks that were read one by one.
    pub read: f64,
}

impl Span {
    /// A number of whole days.
    pub fn days(from: Time, days: u32) -> Self {
        Self { from, minutes: days as usize * DAY_MINUTES }
    }

    /// The minutes from the one with `first` to the one with `last`, at most this many days.
    pub fn between(first: Time, last: Time, days: u32) -> Self {
        let from = first.nanos() - first.nanos() % MINUTE.as_nanos() as u64;
        let minutes = 1 + (last.nanos().saturating_sub(from) / MINUTE.as_nanos() as u64) as usize;
        Self { from: Time::from_nanos(from), minutes: minutes.min(days as usize * DAY_MINUTES) }
    }
}

/// Measures one instrument of a tape.
pub fn of_instrument(tape: &dyn Tape, instrument: &Instrument, span: Span) -> Report {
    let series = tape.series(instrument);
    let series = series.as_ref();
    let kind = tape.identity().kind;
    let minutes = Minutes::read(series, instrument, span.from, span.minutes);
    let mut ticks = Ticks::read(series, instrument, &minutes);
    let years = if kind == Kind::Simulated { years(series, instrument) } else { Years::default() };
    Report {
        ticks: minutes.ticks(),
        read: ticks.count,
        sections: vec![
            single::arrivals(instrument, &minutes, &ticks),
            single::day(&minutes),
            single::returns(instrument, kind, &minutes, &years),
            single::book(&minutes, &ticks),
            single::sizes(instrument, &minutes, &mut ticks),
        ],
    }
}

/// Measures several instruments of a tape against each other.
pub fn of_instruments(tape: &dyn Tape, instruments: &[Arc<Instrument>], span: Span) -> Vec<Section> {
    let members: Vec<Member> =
        instruments.iter().map(|instrument| Member::read(tape, instrument, span)).collect();
    let sections =
        [together::correlations(&members), together::indices(&members), together::relations(&members)];
    sections.into_iter().filter(|section| !section.facts.is_empty() || !section.notes.is_empty()).collect()
}

/// Reads a price for each quarter of all years that time has.
fn years(series: &dyn Series, instrument: &Instrument) -> Years {
    const QUARTER: Duration = Duration::from_secs(365 * 24 * 60 * 60 / 4);
    let reference = libm::log(instrument.reference_price.to_f64());
    let quarters = (Time::MAX.nanos() / QUARTER.as_nanos() as u64) as u32;
    let times = (1..quarters).map(|quarter| Time::default() + QUARTER * quarter);
    let logs: Vec<f64> = times
        .filter_map(|time| series.sequence_at(time))
        .map(|sequence| libm::log(series.tick(sequence).price.to_f64()) - reference)
        .collect();
    Years {
        returns: logs.windows(5).map(|five| five[4] - five[0]).collect(),
        highest: logs.iter().copied().reduce(f64::max).map(libm::exp),
        lowest: logs.iter().copied().reduce(f64::min).map(libm::exp),
    }
}
