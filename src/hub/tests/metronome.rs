//! A tape whose every tick is known without looking.

use std::{sync::Arc, time::Duration};

use crate::{
    tape::{Cursor, Identity, Instrument, Kind, Missing, Series, Tape},
    tick::{Price, Sequence, Symbol, Tick, Time},
};

pub(super) const START: Time = Time::from_nanos(1_700_000_000_000_000_000);
/// When a day begins, soon after [`START`].
pub(super) const DAY: Time = Time::from_nanos(1_700_000_001_000_000_000);

/// A tape whose tick *n* takes place at n × interval. The symbols `A` to `F` begin a minute before [`START`]; `G` begins two
/// seconds after it, and ends again. Their days begin at [`DAY`].
pub(super) struct Metronome {
    pub(super) instruments: Arc<[Arc<Instrument>]>,
    identity: Identity,
}

#[derive(Clone, Copy)]
struct Beat {
    interval: u64,
    first: u64,
    last: u64,
    at: u64,
}

impl Metronome {
    pub(super) fn new() -> Self {
        let instrument = |(symbol, millis)| {
            let day_start = Duration::from_nanos(DAY.nanos() % (24 * 60 * 60 * 1_000_000_000));
            let named = Instrument::named(symbol, Duration::from_millis(millis));
            Arc::new(Instrument { day_start, ..named })
        };
        let symbols = [("A", 2), ("B", 7), ("C", 10), ("D", 100), ("E", 333), ("F", 20_000), ("G", 9)];
        let identity =
            Identity { tape_id: String::new(), kind: Kind::Simulated, seed: 0, engine_version: "" };
        Self { instruments: symbols.into_iter().map(instrument).collect(), identity }
    }
}

impl Tape for Metronome {
    fn identity(&self) -> &Identity {
        &self.identity
    }
    fn instruments(&self) -> Arc<[Arc<Instrument>]> {
        self.instruments.clone()
    }
    fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing> {
        let found = self.instruments.iter().find(|instrument| instrument.symbol == *symbol);
        found.cloned().ok_or(Missing::Unknown)
    }
    fn suggest(&self, _: &str) -> Option<Symbol> {
        None
    }
    fn series(&self, instrument: &Instrument) -> Arc<dyn Series> {
        let interval = instrument.tick_interval.as_nanos() as u64;
        let first_at = |time: Time| time.nanos().div_ceil(interval);
        let (first, last) = match instrument.symbol.as_str() {
            "G" => (first_at(START + Duration::from_secs(2)), first_at(START + Duration::from_secs(9))),
            _ => (first_at(START.before(Duration::from_secs(60)).unwrap()), u64::MAX),
        };
        Arc::new(Beat { interval, first, last, at: first })
    }
}

impl Series for Beat {
    fn first(&self) -> Sequence {
        Sequence(self.first)
    }
    fn last(&self) -> Sequence {
        Sequence(self.last)
    }
    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        let newest = time.nanos() / self.interval;
        (newest >= self.first).then_some(Sequence(newest.min(self.last)))
    }
    fn tick(&self, sequence: Sequence) -> Tick {
        Beat { at: sequence.0.clamp(self.first, self.last), ..*self }.into()
    }
    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(Beat { at: from.0.clamp(self.first, self.last), ..*self })
    }
}

impl From<Beat> for Tick {
    fn from(beat: Beat) -> Self {
        Tick {
            sequence: Sequence(beat.at),
            time: Time::from_nanos(beat.at * beat.interval),
            price: Price::from_nanos(beat.at as i64 + 1).unwrap(),
            quantity: 1,
        }
    }
}

impl Cursor for Beat {
    fn tick(&self) -> Tick {
        (*self).into()
    }
    fn advance(&mut self) {
        self.at = self.last.min(self.at + 1);
    }
}
