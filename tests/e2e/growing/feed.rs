//! A tape that is still being written, as a live feed is: ticks are pushed into it while it is read.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard},
    task::Waker,
};

use ticker::{
    tape::{Cursor, Identity, Instrument, Kind, Missing, Series, Tape},
    tick::{Price, Sequence, Symbol, Tick, Time},
};

pub(crate) struct Feed {
    identity: Identity,
    /// Number of ticks that each instrument keeps.
    window: usize,
    listed: Mutex<Listed>,
}

struct Listed {
    instruments: Arc<[Arc<Instrument>]>,
    series: BTreeMap<Symbol, FeedSeries>,
}

#[derive(Clone)]
struct FeedSeries(Arc<Mutex<Window>>);

#[derive(Default)]
struct Window {
    /// The ticks that are kept; at least one.
    ticks: VecDeque<Tick>,
    /// The wakers of cursors that wait for a tick, by the number of the cursor.
    waiting: BTreeMap<u64, Waker>,
    cursors: u64,
}

struct FeedCursor {
    series: FeedSeries,
    number: u64,
    tick: Tick,
}

impl Feed {
    pub(crate) fn new(window: usize) -> Arc<Self> {
        let identity = Identity {
            tape_id: "feed-1".to_owned(),
            kind: Kind::Recorded,
            seed: 0,
            engine_version: "feed/1",
        };
        let listed = Listed { instruments: Arc::default(), series: BTreeMap::new() };
        Arc::new(Self { identity, window, listed: Mutex::new(listed) })
    }

    /// Appends a tick, whose price is its sequence. The first tick of a symbol, with the sequence 1, lists its instrument.
    pub(crate) fn push(&self, symbol: &str, time: Time) {
        let symbol = symbol.parse().unwrap();
        let listed = &mut *self.listed.lock().unwrap();
        if let Some(series) = listed.series.get(&symbol) {
            return series.append(time, self.window);
        }
        let series = FeedSeries(Arc::default());
        series.append(time, self.window);
        listed.series.insert(symbol, series);
        listed.instruments = listed.series.keys().map(|symbol| Arc::new(instrument(*symbol))).collect();
    }

    /// Number of cursors that wait for a tick of a symbol.
    pub(crate) fn waiting(&self, symbol: &str) -> usize {
        self.listed.lock().unwrap().series[&symbol.parse().unwrap()].lock().waiting.len()
    }
}

impl Tape for Feed {
    fn identity(&self) -> &Identity {
        &self.identity
    }
    fn instruments(&self) -> Arc<[Arc<Instrument>]> {
        self.listed.lock().unwrap().instruments.clone()
    }
    fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing> {
        let instruments = self.instruments();
        let found = instruments.iter().find(|instrument| instrument.symbol == *symbol);
        found.cloned().ok_or(Missing::Unknown)
    }
    fn suggest(&self, _: &str) -> Option<Symbol> {
        None
    }
    fn series(&self, instrument: &Instrument) -> Arc<dyn Series> {
        Arc::new(self.listed.lock().unwrap().series[&instrument.symbol].clone())
    }
}

impl FeedSeries {
    fn lock(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap()
    }

    fn append(&self, time: Time, window: usize) {
        let waiting = {
            let kept = &mut *self.lock();
            let sequence = kept.ticks.back().map_or(Sequence(1), |last| last.sequence.next());
            kept.ticks.push_back(Tick {
                sequence,
                time: kept.ticks.back().map_or(time, |last| last.time.max(time)),
                price: Price::from_nanos(sequence.0 as i64).unwrap(),
                quantity: 1,
            });
            if kept.ticks.len() > window {
                kept.ticks.pop_front();
            }
            std::mem::take(&mut kept.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

impl Window {
    fn first(&self) -> u64 {
        self.ticks[0].sequence.0
    }

    fn get(&self, sequence: u64) -> Tick {
        let at = sequence.saturating_sub(self.first()).min(self.ticks.len() as u64 - 1);
        self.ticks[at as usize]
    }
}

impl Series for FeedSeries {
    fn first(&self) -> Sequence {
        Sequence(self.lock().first())
    }
    fn last(&self) -> Sequence {
        self.lock().get(u64::MAX).sequence
    }
    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        let kept = self.lock();
        let after = kept.ticks.partition_point(|tick| tick.time <= time);
        after.checked_sub(1).map(|at| kept.ticks[at].sequence)
    }
    fn tick(&self, sequence: Sequence) -> Tick {
        self.lock().get(sequence.0)
    }
    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        let kept = &mut *self.lock();
        kept.cursors += 1;
        Box::new(FeedCursor { series: self.clone(), number: kept.cursors, tick: kept.get(from.0) })
    }
}

impl Cursor for FeedCursor {
    fn tick(&self) -> Tick {
        self.tick
    }
    fn advance(&mut self) {
        self.tick = self.series.lock().get(self.tick.sequence.next().0);
    }
    fn wake_on_arrival(&mut self, waker: &Waker) {
        let kept = &mut *self.series.lock();
        match kept.get(u64::MAX).sequence > self.tick.sequence {
            true => waker.wake_by_ref(),
            false => {
                kept.waiting.insert(self.number, waker.clone());
            }
        }
    }
}

impl Drop for FeedCursor {
    fn drop(&mut self) {
        self.series.lock().waiting.remove(&self.number);
    }
}

fn instrument(symbol: Symbol) -> Instrument {
    let least = Price::from_nanos(1).unwrap();
    Instrument::not_simulated(symbol, "equity", least, least, NonZeroU64::MIN)
}
