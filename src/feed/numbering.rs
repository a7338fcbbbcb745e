//! Checks the ticks that are pushed, and gives them sequences.
//!
//! What a batch changes is tentative until it is stored: [`Numbering::commit`] appends its ticks to the tape, and
//! [`Numbering::roll_back_to`] forgets them.

use std::{collections::HashMap, hint::black_box, num::NonZeroU64, sync::Arc, time::Duration};

use super::{Batch, FeedError, NewTick, Numbers, Receipt, Rejection, publishers::Publishers, row::Row};
use crate::{
    tape::{Feed, FeedSeries, Instrument, Series, TestSymbol, TopOfBook, Universe, WindowLimits},
    tick::{Price, Sequence, Symbol, Tick, Time},
};

/// The only instruments that may be published, ordered by symbol.
pub(super) type FixedInstruments = Arc<[Arc<Instrument>]>;

/// The next tick of each symbol, and what is stored of each publisher.
pub(super) struct Numbering {
    tape: Arc<Feed>,
    instruments: Option<FixedInstruments>,
    places: HashMap<Symbol, usize>,
    symbols: Vec<OneSymbol>,
    publishers: Publishers,
    /// Ticks that are not committed.
    tentative: Vec<Tentative>,
}

struct OneSymbol {
    instrument: Arc<Instrument>,
    increments: Increments,
    /// `None` until its first tick is on the tape.
    series: Option<FeedSeries>,
    last: Position,
}

/// What prices and quantities are checked against. A copy, because the instrument is far away in memory.
#[derive(Clone, Copy)]
struct Increments {
    price: Price,
    /// The largest quantity, in quantity increments.
    most: u64,
}

/// The last tick of a symbol. The default is before the first one.
#[derive(Clone, Copy, Default)]
struct Position {
    sequence: Sequence,
    time: Time,
}

/// A tick that is numbered and not on the tape, and what to restore if it is not stored.
struct Tentative {
    place: usize,
    tick: Tick,
    book: Option<TopOfBook>,
    number: Option<(Arc<str>, u64)>,
    before: Position,
    number_before: u64,
}

impl Numbering {
    /// The numbers of a publisher are remembered for this time after its last tick.
    const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
    /// Largest number of instruments.
    const MOST_INSTRUMENTS: usize = Universe::MAX_INVENTED;
    /// How far before the time of the server a tick may have taken place.
    const MOST_AGE: Duration = Duration::from_secs(60);
    /// How far after the time of the server a tick may have taken place, by a clock that is ahead.
    const MOST_AHEAD: Duration = Duration::from_secs(1);
    /// How far before the last tick of its symbol a tick may have taken place.
    const MOST_BACK: Duration = Duration::from_secs(1);
    /// Number of ticks whose memory is read ahead together.
    const AHEAD: usize = 16;

    /// Of a tape without ticks. Without `instruments`, one is made for each symbol that is published.
    pub(super) fn new(tape: Arc<Feed>, instruments: Option<FixedInstruments>) -> Self {
        Self {
            tape,
            instruments,
            places: HashMap::new(),
            symbols: Vec::new(),
            publishers: Publishers::default(),
            tentative: Vec::new(),
        }
    }

    /// From when on the log has to be read at a time, so that the window and the numbers of publishers are known.
    pub(super) fn since(now: Time, window: WindowLimits) -> Time {
        now.before(window.time.max(Self::REMEMBERED)).unwrap_or_default()
    }

    /// Checks and numbers a batch at a time. Its ticks are tentative.
    ///
    /// # Errors
    /// There are too many publishers; nothing has changed.
    pub(super) fn number(&mut self, batch: Batch, now: Time) -> Result<Receipt, FeedError> {
        let Batch { numbers, ticks, rejected } = batch;
        self.note_publisher(numbers.as_ref(), now)?;
        let mut receipt = Receipt { rejected, ..Receipt::default() };
        for ticks in ticks.chunks(Self::AHEAD) {
            self.read_ahead(ticks);
            for tick in ticks {
                let number = numbers.as_ref().map(|numbers| numbers.of(tick));
                receipt.note(tick, self.number_tick(tick, number, now));
            }
        }
        receipt.rejected.sort_by_key(|rejected| rejected.index);
        Ok(receipt)
    }

    /// Reads from memory what numbering these ticks reads. Of thousands of symbols, nothing is in the processor's caches; reads that do
    /// not depend on each other wait for memory at the same time.
    fn read_ahead(&self, ticks: &[NewTick]) {
        for tick in ticks {
            let one = self.places.get(&tick.symbol).and_then(|place| self.symbols.get(*place));
            black_box(one.map(|one| one.last.sequence));
        }
    }

    /// Notes that a publisher sends ticks, which must be before they are numbered.
    ///
    /// # Errors
    /// There are too many publishers.
    pub(super) fn note_publisher(&mut self, numbers: Option<&Numbers>, now: Time) -> Result<(), FeedError> {
        let Some(numbers) = numbers else { return Ok(()) };
        let seen = self.publishers.seen(&numbers.publisher, now, Self::REMEMBERED);
        seen.map(|_| ()).ok_or(FeedError::TooManyPublishers { most: Publishers::MOST })
    }

    /// Checks and numbers one tick, which is then tentative. False when it is stored already.
    ///
    /// # Errors
    /// It is rejected.
    pub(super) fn number_tick(
        &mut self,
        new: &NewTick,
        number: Option<(Arc<str>, u64)>,
        now: Time,
    ) -> Result<bool, Rejection> {
        let place = self.place(new.symbol, new.price)?;
        let mut publisher = number.as_ref().and_then(|(name, _)| self.publishers.get_mut(name));
        let number_before = publisher.as_ref().map_or(0, |publisher| publisher.last(place));
        if number.as_ref().is_some_and(|(_, number)| *number <= number_before) {
            return Ok(false);
        }
        let one = &mut self.symbols[place];
        one.increments.check(new)?;
        let time = tape_time(new.time, one.last.time, now)?;
        let before = one.last;
        one.last = Position { sequence: before.sequence.next(), time };
        if let (Some(publisher), Some((_, number))) = (&mut publisher, &number) {
            publisher.set_last(place, *number);
        }
        let tick = Tick { sequence: one.last.sequence, time, price: new.price, quantity: new.quantity };
        self.tentative.push(Tentative { place, tick, book: new.book, number, before, number_before });
        Ok(true)
    }

    /// The place of a symbol. A new one has no tick yet; its first tick has this price.
    fn place(&mut self, symbol: Symbol, first_price: Price) -> Result<usize, Rejection> {
        if let Some(place) = self.places.get(&symbol) {
            return Ok(*place);
        }
        let instrument = match self.fixed(&symbol) {
            Some(instrument) => instrument,
            None if self.instruments.is_some() => return Err(Rejection::Unknown(symbol)),
            None if symbol.as_str().starts_with(TestSymbol::PREFIX) => return Err(Rejection::ForTests),
            None if self.symbols.len() >= Self::MOST_INSTRUMENTS => {
                return Err(Rejection::TooManyInstruments { most: Self::MOST_INSTRUMENTS });
            }
            None => made_for(symbol, first_price),
        };
        Ok(self.insert(instrument))
    }

    fn insert(&mut self, instrument: Arc<Instrument>) -> usize {
        let place = self.symbols.len();
        self.places.insert(instrument.symbol, place);
        self.symbols.push(OneSymbol::new(instrument));
        place
    }

    /// The instrument of a symbol, if it is one of those that are fixed.
    fn fixed(&self, symbol: &Symbol) -> Option<Arc<Instrument>> {
        let instruments = self.instruments.as_ref()?;
        let place = instruments.binary_search_by_key(symbol, |instrument| instrument.symbol).ok()?;
        instruments.get(place).cloned()
    }

    /// The instrument of a symbol whose first tick this is.
    fn instrument_of(&self, first: &Row) -> Arc<Instrument> {
        self.fixed(&first.symbol).unwrap_or_else(|| made_for(first.symbol, first.price()))
    }

    /// The tentative ticks from an index on, as lines of the log.
    pub(super) fn tentative_from(&self, index: usize) -> impl Iterator<Item = Row> {
        self.tentative.iter().skip(index).filter_map(|tentative| {
            let instrument = &self.symbols.get(tentative.place)?.instrument;
            let Tentative { tick, book, number, .. } = tentative;
            Some(Row::of(instrument, tick, *book, number.clone()))
        })
    }

    /// Number of tentative ticks.
    pub(super) fn tentative(&self) -> usize {
        self.tentative.len()
    }

    /// The newest tick on the tape of each symbol, as lines of the log.
    pub(super) fn newest(&self) -> impl Iterator<Item = Row> {
        self.symbols.iter().filter_map(OneSymbol::newest)
    }

    /// The newest tick on the tape of a symbol, as a line of the log.
    #[cfg(feature = "nats")]
    pub(super) fn newest_of(&self, symbol: &Symbol) -> Option<Row> {
        self.symbols.get(*self.places.get(symbol)?)?.newest()
    }

    /// Appends the tentative ticks to the tape, at a time.
    pub(super) fn commit(&mut self, now: Time) {
        for ticks in self.tentative.chunks(Self::AHEAD) {
            Feed::read_ahead(ticks.iter().filter_map(|tick| self.symbols[tick.place].series.as_ref()));
            for Tentative { place, tick, book, .. } in ticks {
                self.symbols[*place].append(&self.tape, *tick, *book);
            }
        }
        self.tentative.clear();
        self.tape.move_window(now);
    }

    /// Forgets the tentative ticks from an index on.
    pub(super) fn roll_back_to(&mut self, index: usize) {
        for Tentative { place, number, before, number_before, .. } in self.tentative.drain(index..).rev() {
            self.symbols[place].last = before;
            if let Some((name, _)) = number
                && let Some(publisher) = self.publishers.get_mut(&name)
            {
                publisher.set_last(place, number_before);
            }
        }
    }

    /// Takes a line of the log. The newest tick of a symbol may come again.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(super) fn restore(&mut self, row: Row) -> Result<(), String> {
        let place = match self.places.get(&row.symbol).copied() {
            Some(place) if self.symbols[place].series.is_some() => place,
            Some(place) => {
                // It may have been made for another first tick, which was not stored.
                let last = self.symbols[place].last;
                self.symbols[place] = OneSymbol { last, ..OneSymbol::new(self.instrument_of(&row)) };
                place
            }
            None => self.insert(self.instrument_of(&row)),
        };
        let one = &mut self.symbols[place];
        let (tick, book) = row.in_increments(&one.instrument)?;
        let next = one.last.sequence.next();
        if let Some((name, number)) = row.number
            && let Some(publisher) = self.publishers.seen(&name, tick.time, Self::REMEMBERED)
        {
            publisher.set_last(place, number);
        }
        if one.series.is_some() && tick.sequence == one.last.sequence {
            return Ok(());
        }
        if one.series.is_some() && (tick.sequence != next || tick.time < one.last.time) {
            return Err(format!(
                "sequence: {} has {} after {}: lines are missing or out of order",
                row.symbol, tick.sequence, one.last.sequence
            ));
        }
        one.last = Position { sequence: tick.sequence, time: tick.time };
        one.append(&self.tape, tick, book);
        if next.0.is_multiple_of(WINDOW_CHECK) {
            self.tape.move_window(tick.time);
        }
        Ok(())
    }
}

/// While the log is read, the window moves after so many ticks of a symbol.
const WINDOW_CHECK: u64 = 1_024;

impl OneSymbol {
    /// Without a tick so far.
    fn new(instrument: Arc<Instrument>) -> Self {
        let increments = Increments::of(&instrument);
        Self { instrument, increments, series: None, last: Position::default() }
    }

    fn newest(&self) -> Option<Row> {
        let series = self.series.as_ref()?;
        let tick = series.tick(series.last());
        Some(Row::of(&self.instrument, &tick, series.top_of_book(&tick), None))
    }

    fn append(&mut self, tape: &Feed, tick: Tick, book: Option<TopOfBook>) {
        match &self.series {
            Some(series) => tape.append(series, tick, book),
            None => self.series = Some(tape.list(self.instrument.clone(), tick, book)),
        }
    }
}

impl Increments {
    fn of(instrument: &Instrument) -> Self {
        let most = i64::MAX.unsigned_abs() / instrument.quantity_increment_nanos;
        Self { price: instrument.price_increment, most }
    }

    /// Checks the prices and quantities of a tick.
    fn check(self, new: &NewTick) -> Result<(), Rejection> {
        let Self { price: increment, most } = self;
        let is_off = |price: Price| price.nanos() % increment.nanos() != 0;
        if is_off(new.price) {
            return Err(Rejection::OffIncrement { price: new.price, increment });
        }
        let mut largest = new.quantity;
        if let Some(TopOfBook { bid, bid_quantity, ask, ask_quantity }) = new.book {
            if is_off(bid) || is_off(ask) {
                return Err(Rejection::QuoteOffIncrement { bid, ask, increment });
            }
            if bid >= ask {
                return Err(Rejection::Crossed { bid, ask });
            }
            largest = largest.max(bid_quantity).max(ask_quantity);
        }
        match largest > most {
            true => Err(Rejection::TooLarge { quantity: largest, most }),
            false => Ok(()),
        }
    }
}

/// The time on the tape of a tick: neither before the last tick of its symbol nor in the future.
fn tape_time(given: Option<Time>, last: Time, now: Time) -> Result<Time, Rejection> {
    let Some(time) = given else {
        // Whole microseconds take less memory.
        const MICROSECOND: u64 = 1_000;
        return Ok(Time::from_nanos(now.nanos() / MICROSECOND * MICROSECOND).max(last));
    };
    let since =
        |later: Time, earlier: Time| Duration::from_nanos(later.nanos().saturating_sub(earlier.nanos()));
    let (ahead, ago, back) = (since(time, now), since(now, time), since(last, time));
    if ahead > Numbering::MOST_AHEAD {
        return Err(Rejection::Ahead { time, ahead, most: Numbering::MOST_AHEAD });
    }
    if ago > Numbering::MOST_AGE {
        return Err(Rejection::TooOld { time, ago, most: Numbering::MOST_AGE });
    }
    if back > Numbering::MOST_BACK {
        return Err(Rejection::GoesBack { time, back, most: Numbering::MOST_BACK });
    }
    Ok(time.min(now).max(last))
}

/// The instruments of a file as they are published.
pub(super) fn fixed_instruments(described: &Universe) -> FixedInstruments {
    described.listed().iter().map(|instrument| Arc::new(as_published(instrument))).collect()
}

/// An instrument of a file, without what only a simulation has.
fn as_published(described: &Instrument) -> Instrument {
    Instrument {
        annual_volatility: 0.0,
        daily_volume: 0.0,
        annual_drift: 0.0,
        factors: Vec::new(),
        follows: Vec::new(),
        tick_interval: Duration::ZERO,
        ..described.clone()
    }
}

/// The instrument of a symbol of which nothing else is known.
fn made_for(symbol: Symbol, first_price: Price) -> Arc<Instrument> {
    const KIND: &str = "published";
    const ONE: NonZeroU64 = NonZeroU64::new(1_000_000_000).unwrap();
    const LEAST: Price = Price::from_nanos(1).unwrap();
    Arc::new(Instrument::not_simulated(symbol, KIND, first_price, LEAST, ONE))
}
