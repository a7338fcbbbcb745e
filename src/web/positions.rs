//! What an event stream has sent, as the `id` of its events, and how to continue after one.
//!
//! An id is `TAPE@TIME`: every symbol has been sent up to its newest tick before the time, in nanoseconds since the Unix
//! epoch. Symbols for which that does not hold follow, each as `,SYMBOL~SEQUENCE`: it has been sent up to that sequence. So an
//! id has about 50 bytes, however many symbols the stream has. It is exact, because the times of the ticks that follow are
//! known. That is so on a *complete* tape only (see [`crate::tape`]).
//!
//! A live stream begins with the id `TAPE@TIME~`: of each symbol the newest tick before the time is still to be sent.
//!
//! An event has no id when that would be longer than 4 KiB, or than 2 KiB if other events follow at once. A client that
//! resumes after an older event is sent some ticks twice, and misses none. This happens while the first ticks of many symbols
//! are sent, and with a minimum interval for many symbols, which holds each of them back from another time on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write,
    sync::Arc,
    time::Duration,
};

use prost_types::Timestamp;
use thiserror::Error;

use crate::{
    contract::v1::{ALL_INSTRUMENTS, WatchRequest},
    grpc::MAX_SYMBOLS_PER_MESSAGE,
    tape::{Series, Tape},
    tick::{Sequence, Symbol, Time},
};

/// Largest id, in bytes.
pub(super) const MAX_ID: usize = 4096;

/// The id of an event: what its stream had sent when it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    /// Every tick before this time has been sent.
    before: Time,
    /// The newest tick of each symbol before this time, its first price, is still to be sent.
    lacks_first_prices: bool,
    /// The last sequence that was sent of each symbol for which that does not hold.
    others: BTreeMap<Symbol, Sequence>,
}

/// Why a stream cannot continue after an id.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum EventIdError {
    /// It belongs to another tape.
    #[error(
        "Last-Event-ID belongs to the tape {theirs:?}, and this replica plays the tape {own}: open a new event stream"
    )]
    ForeignTape {
        /// The tape of the id.
        theirs: String,
        /// The tape of this replica.
        own: String,
    },
    /// It is longer than any id.
    #[error(
        "Last-Event-ID has {0} bytes, and an id has at most {MAX_ID}: pass the id of an event as it came"
    )]
    TooLong(usize),
    /// It is something else.
    #[error(
        "Last-Event-ID is {0:?}, and an id looks like TAPE@NANOSECONDS,SYMBOL~SEQUENCE: pass the id of an event as it came"
    )]
    Malformed(String),
}

/// How a stream continues.
#[derive(Debug, PartialEq)]
pub(super) enum Resumed {
    /// With the answer to this request.
    Request(WatchRequest),
    /// Not at all: it is a replay of which every tick has been sent.
    Finished,
}

/// What a stream has sent of each symbol.
pub(super) struct Positions {
    tape: Arc<dyn Tape>,
    /// What the client had when the stream began.
    began: EventId,
    /// The time before which a replay ends.
    end: Option<Time>,
    /// The time of the id: after every tick that was sent.
    before: Time,
    symbols: HashMap<Symbol, Position>,
    /// The symbols that have a next tick, by its time.
    next_times: BTreeSet<(Time, Symbol)>,
}

struct Position {
    series: Arc<dyn Series>,
    /// The sequence that is sent next.
    next: Sequence,
    /// When that tick takes place; `None` when there is none.
    next_time: Option<Time>,
}

impl EventId {
    /// Reads the id of an event of any replica with the same tape.
    ///
    /// # Errors
    /// See [`EventIdError`].
    pub(super) fn parse(text: &str, tape_id: &str) -> Result<Self, EventIdError> {
        if text.len() > MAX_ID {
            return Err(EventIdError::TooLong(text.len()));
        }
        let malformed = || EventIdError::Malformed(cut(text));
        let (theirs, positions) = text.split_once('@').ok_or_else(malformed)?;
        let mut positions = positions.split(',');
        let nanos = positions.next().unwrap_or_default();
        let (nanos, lacks_first_prices) = match nanos.strip_suffix('~') {
            Some(nanos) => (nanos, true),
            None => (nanos, false),
        };
        let before = Time::from_nanos(nanos.parse().map_err(|_| malformed())?);
        let others = positions.map(symbol_and_sequence).collect::<Option<_>>().ok_or_else(malformed)?;
        match theirs == tape_id {
            true => Ok(Self { before, lacks_first_prices, others }),
            false => Err(EventIdError::ForeignTape { theirs: cut(theirs), own: tape_id.to_owned() }),
        }
    }

    /// The request that continues after this id a stream that began with `request`.
    ///
    /// Each symbol is resumed after its own sequence.
    /// A replay begins at the time of the id, where its pace continues, so only the symbols for which that time does not
    /// hold need a sequence.
    ///
    /// `tape` is the tape as the caller sees it. The request for `*` may be larger than gRPC clients may send.
    pub(super) fn resume(&self, tape: &dyn Tape, mut request: WatchRequest) -> Resumed {
        let symbols = series_of(tape, &request.symbols);
        let entry = |(symbol, sequence): (&Symbol, Sequence)| (symbol.to_string(), sequence.0);
        request.after_sequence = match request.start_time {
            None => {
                let after =
                    symbols.iter().filter_map(|(symbol, series)| Some((symbol, self.sent(symbol, series)?)));
                after.map(entry).collect()
            }
            Some(start) => {
                let of_replay = self.within_replay(time(start));
                let is_over =
                    |end| symbols.iter().all(|(symbol, series)| of_replay.is_over(symbol, series, end));
                if !symbols.is_empty() && request.end_time.map(time).is_some_and(is_over) {
                    return Resumed::Finished;
                }
                request.start_time = Some(timestamp(of_replay.before));
                let after = symbols.keys().filter_map(|symbol| Some((symbol, *self.others.get(symbol)?)));
                after.map(entry).collect()
            }
        };
        request.tape_id.clone_from(&tape.identity().tape_id);
        Resumed::Request(request)
    }

    /// The same for a replay, which sends nothing from before its start.
    fn within_replay(&self, start: Time) -> Self {
        Self { before: self.before.max(start), lacks_first_prices: false, others: self.others.clone() }
    }

    /// The sequence that a symbol is sent next.
    fn next(&self, symbol: &Symbol, series: &Arc<dyn Series>) -> Sequence {
        match self.others.get(symbol) {
            Some(sent) => sent.next(),
            None => {
                let next = series.sequence_from(self.before);
                let first_price = Sequence(next.0.saturating_sub(1)).max(series.first());
                if self.lacks_first_prices { first_price } else { next }
            }
        }
    }

    /// The last sequence that was sent of a symbol; `None` before its first tick if that has the sequence zero.
    fn sent(&self, symbol: &Symbol, series: &Arc<dyn Series>) -> Option<Sequence> {
        self.next(symbol, series).0.checked_sub(1).map(Sequence)
    }

    fn is_over(&self, symbol: &Symbol, series: &Arc<dyn Series>, end: Time) -> bool {
        time_from(&**series, self.next(symbol, series)).is_none_or(|time| time >= end)
    }
}

impl Positions {
    /// The positions of a stream that answers `request` and begins now. It continues after `resumed` if there is such an id.
    ///
    /// `tape` is the tape as the caller sees it.
    pub(super) fn new(
        tape: Arc<dyn Tape>,
        now: Time,
        request: &WatchRequest,
        resumed: Option<EventId>,
    ) -> Self {
        let fresh =
            |before, lacks_first_prices| EventId { before, lacks_first_prices, others: BTreeMap::new() };
        let began = match (request.start_time.map(time), resumed) {
            (Some(start), Some(id)) => id.within_replay(start),
            (Some(start), None) => fresh(start, false),
            (None, Some(id)) => id,
            (None, None) => fresh(now, true),
        };
        Self {
            tape,
            before: began.before,
            began,
            end: request.end_time.map(time),
            symbols: HashMap::new(),
            next_times: BTreeSet::new(),
        }
    }

    /// Adds a symbol that is subscribed, or all listed ones for `*`.
    pub(super) fn subscribed(&mut self, symbol: &str) {
        for (symbol, series) in series_of(&*self.tape, [symbol]) {
            let next = self.began.next(&symbol, &series);
            self.set(symbol, series, next);
        }
    }

    /// Notes that a symbol has been sent up to a sequence: a tick, or a gap that ends there. False when that changes nothing.
    pub(super) fn sent(&mut self, symbol: &str, sequence: Sequence) -> bool {
        let Ok(symbol) = symbol.parse() else { return false };
        if !self.symbols.contains_key(&symbol) {
            self.subscribed(symbol.as_str());
        }
        let Some(Position { series, next, next_time }) = self.symbols.remove(&symbol) else { return false };
        self.next_times.remove(&(next_time.unwrap_or_default(), symbol));
        let tick = series.tick(sequence);
        if tick.sequence <= sequence {
            self.before = self.before.max(tick.time + Duration::from_nanos(1));
        }
        self.set(symbol, series, sequence.next());
        sequence.next() != next
    }

    /// The id of an event that is sent now; `None` when it would have more than `longest` bytes.
    pub(super) fn id(&self, longest: usize) -> Option<String> {
        let mut id = String::with_capacity(64);
        write!(id, "{}@{}", self.tape.identity().tape_id, self.before.nanos()).ok()?;
        for (_, symbol) in self.next_times.iter().take_while(|(time, _)| *time < self.before) {
            // Nothing comes before the sequence zero, and there is no text for that.
            let sent = self.symbols.get(symbol)?.next.0.checked_sub(1)?;
            write!(id, ",{symbol}~{sent}").ok()?;
            if id.len() > longest {
                return None;
            }
        }
        Some(id)
    }

    /// The id with which a live stream begins; `None` for a stream whose client has an id, and for a replay.
    pub(super) fn id_at_start(&self) -> Option<String> {
        let nanos = self.began.before.nanos();
        self.began.lacks_first_prices.then(|| format!("{}@{nanos}~", self.tape.identity().tape_id))
    }

    /// The id after the last tick of a replay that has ended as it was asked to; `None` for a stream without such an end.
    pub(super) fn id_at_end(&self) -> Option<String> {
        let end = self.end?;
        Some(format!("{}@{}", self.tape.identity().tape_id, end.nanos()))
    }

    /// Sets the position of a symbol that is not in `next_times`.
    fn set(&mut self, symbol: Symbol, series: Arc<dyn Series>, next: Sequence) {
        let next_time = time_from(&*series, next);
        self.next_times.extend(next_time.map(|time| (time, symbol)));
        self.symbols.insert(symbol, Position { series, next, next_time });
    }
}

/// The series of the instruments that a request names and the tape has.
fn series_of<S: AsRef<str>>(
    tape: &dyn Tape,
    symbols: impl IntoIterator<Item = S>,
) -> BTreeMap<Symbol, Arc<dyn Series>> {
    let mut series = BTreeMap::new();
    for symbol in symbols.into_iter().take(MAX_SYMBOLS_PER_MESSAGE) {
        if symbol.as_ref() == ALL_INSTRUMENTS {
            let listed = tape.instruments();
            series.extend(listed.iter().map(|instrument| (instrument.symbol, tape.series(instrument))));
        } else if let Ok(symbol) = symbol.as_ref().parse()
            && let Ok(instrument) = tape.instrument(&symbol)
        {
            series.insert(symbol, tape.series(&instrument));
        }
    }
    series
}

/// The time of the first tick with this sequence or a later one; `None` when there is none.
fn time_from(series: &dyn Series, sequence: Sequence) -> Option<Time> {
    let tick = series.tick(sequence);
    (tick.sequence >= sequence).then_some(tick.time)
}

/// Reads `SYMBOL~SEQUENCE`.
fn symbol_and_sequence(text: &str) -> Option<(Symbol, Sequence)> {
    let (symbol, sequence) = text.split_once('~')?;
    Some((symbol.parse().ok()?, Sequence(sequence.parse().ok()?)))
}

fn timestamp(time: Time) -> Timestamp {
    let (seconds, nanos) = time.parts();
    Timestamp { seconds, nanos }
}

/// The time of a timestamp that `timestamp` or a query made.
fn time(timestamp: Timestamp) -> Time {
    let seconds = u64::try_from(timestamp.seconds).unwrap_or_default();
    Time::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(timestamp.nanos.max(0) as u64))
}

/// The beginning of a text that a client sent.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::{
        tape::{Cursor, Identity, Instrument, Kind, Lease, Missing, Simulated, Universe},
        tick::{Price, Tick},
    };

    /// A tape of a few ticks, many of them at the same time.
    #[derive(Debug)]
    struct FewTicks {
        identity: Identity,
        instruments: Arc<[Arc<Instrument>]>,
        series: BTreeMap<Symbol, Arc<FewTicksOfOne>>,
    }

    #[derive(Debug)]
    struct FewTicksOfOne {
        first: u64,
        times: Vec<u64>,
    }

    impl FewTicks {
        fn new(series: Vec<FewTicksOfOne>) -> Self {
            let identity =
                Identity { tape_id: "few".to_owned(), kind: Kind::Recorded, seed: 0, engine_version: "" };
            let symbols = ["^A&B", "C.D-E", "F/G:H", "I_J=K"].map(|symbol| symbol.parse().unwrap());
            let series: BTreeMap<_, _> = symbols.into_iter().zip(series.into_iter().map(Arc::new)).collect();
            let instruments = series.keys().map(|symbol| Arc::new(instrument(*symbol))).collect();
            Self { identity, instruments, series }
        }
    }

    fn instrument(symbol: Symbol) -> Instrument {
        Instrument {
            symbol,
            name: String::new(),
            kind: String::new(),
            currency: String::new(),
            reference_price: Price::from_nanos(1).unwrap(),
            price_increment: Price::from_nanos(1).unwrap(),
            quantity_increment_nanos: NonZeroU64::MIN,
            annual_volatility: 0.0,
            tick_interval: Duration::ZERO,
            day_start: Duration::ZERO,
            lease: Lease::default(),
        }
    }

    impl Tape for FewTicks {
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
            self.series[&instrument.symbol].clone()
        }
    }

    impl Series for FewTicksOfOne {
        fn first(&self) -> Sequence {
            Sequence(self.first)
        }

        fn last(&self) -> Sequence {
            Sequence(self.first + self.times.len() as u64 - 1)
        }

        fn sequence_at(&self, time: Time) -> Option<Sequence> {
            let count = self.times.partition_point(|of_tick| *of_tick <= time.nanos()) as u64;
            (self.first + count).checked_sub(1).filter(|_| count > 0).map(Sequence)
        }

        fn tick(&self, sequence: Sequence) -> Tick {
            let sequence = sequence.clamp(self.first(), self.last());
            Tick {
                sequence,
                time: Time::from_nanos(self.times[(sequence.0 - self.first) as usize]),
                price: Price::from_nanos(1).unwrap(),
                quantity: NonZeroU64::MIN,
            }
        }

        fn cursor(&self, _: Sequence) -> Box<dyn Cursor> {
            unimplemented!("positions read single ticks")
        }
    }

    /// The symbols of a stream with the sequence that each is sent next.
    type Model = BTreeMap<Symbol, u64>;

    /// What the server sends next of each symbol of a request at a time.
    fn served(tape: &dyn Tape, request: &WatchRequest, now: Time) -> Model {
        let next = |(symbol, series): (Symbol, Arc<dyn Series>)| {
            let next = match (request.after_sequence.get(symbol.as_str()), request.start_time) {
                (Some(after), _) => after + 1,
                (None, Some(start)) => series.sequence_from(time(start)).0,
                (None, None) => series.sequence_at(now).unwrap_or(series.first()).0,
            };
            (symbol, next)
        };
        series_of(tape, &request.symbols).into_iter().map(next).collect()
    }

    fn tapes(firsts: std::ops::Range<u64>) -> impl Strategy<Value = FewTicks> {
        let times = prop::collection::vec(0..30u64, 1..20).prop_map(|mut times| {
            times.sort_unstable();
            times
        });
        let one = (firsts, times).prop_map(|(first, times)| FewTicksOfOne { first, times });
        prop::collection::vec(one, 1..=4).prop_map(FewTicks::new)
    }

    /// What happens in a stream: which symbol is sent how much, and whether the connection is cut after it.
    fn steps() -> impl Strategy<Value = Vec<(Index, u64, bool)>> {
        let skipped = prop_oneof![5 => Just(0), 1 => 1..4u64];
        prop::collection::vec((any::<Index>(), skipped, prop::bool::weighted(0.2)), 0..80)
    }

    /// Runs a stream, and resumes it after each cut from the last id that it had.
    fn check(
        tape: FewTicks,
        request: WatchRequest,
        now: Time,
        steps: Vec<(Index, u64, bool)>,
    ) -> Result<(), TestCaseError> {
        let tape: Arc<dyn Tape> = Arc::new(tape);
        let tape_id = tape.identity().tape_id.clone();
        let end = request.end_time.map_or(Time::MAX, time);
        let all = series_of(&*tape, &request.symbols);
        let subscribe = |request: &WatchRequest, id| {
            let mut positions = Positions::new(tape.clone(), now, request, id);
            request.symbols.iter().for_each(|symbol| positions.subscribed(symbol));
            positions
        };
        let mut positions = subscribe(&request, None);
        // The first prices may be those of a moment after that at which the stream began.
        let mut model = served(&*tape, &request, now.before(Duration::from_nanos(1)).unwrap_or_default());
        let symbols: Vec<_> = all.iter().collect();
        let mut last = positions.id_at_start().map(|id| (id, model.clone()));
        for (choice, skipped, is_cut) in steps {
            let (symbol, series) = *choice.get(&symbols);
            // What is skipped is conflated, or left out by a gap.
            let sent = Sequence(model[symbol].max(series.first().0) + skipped);
            if sent <= series.last() && series.tick(sent).time < end {
                prop_assert!(positions.sent(symbol.as_str(), sent));
                prop_assert!(!positions.sent(symbol.as_str(), sent));
                model.insert(*symbol, sent.0 + 1);
                last = positions.id(MAX_ID).map(|id| (id, model.clone())).or(last);
            }
            let Some((id, had)) = last.clone().filter(|_| is_cut) else { continue };
            let id = EventId::parse(&id, &tape_id).unwrap();
            let left = |(symbol, next): (&Symbol, &u64)| {
                time_from(&*all[symbol], Sequence(*next)).is_some_and(|time| time < end)
            };
            match id.resume(&*tape, request.clone()) {
                Resumed::Finished => {
                    prop_assert!(request.end_time.is_some() && !had.iter().any(left));
                    return Ok(());
                }
                Resumed::Request(resumed) => {
                    prop_assert!(request.end_time.is_none() || had.iter().any(left));
                    prop_assert_eq!(&resumed.tape_id, &tape_id);
                    prop_assert_eq!(&served(&*tape, &resumed, Time::MAX), &had, "{:?}", id);
                    positions = subscribe(&resumed, Some(id));
                    model = had;
                }
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_live_stream_continues_with_exactly_what_it_has_not_sent(
            tape in tapes(1..4), now in 1..30u64, steps in steps(),
        ) {
            let request = WatchRequest { symbols: vec!["*".to_owned()], ..WatchRequest::default() };
            check(tape, request, Time::from_nanos(now), steps)?;
        }

        #[test]
        fn a_replay_continues_with_exactly_what_it_has_not_sent(
            tape in tapes(0..4), start in 0..30u64, end in prop::option::of(0..40u64), steps in steps(),
        ) {
            let request = WatchRequest {
                symbols: tape.series.keys().map(ToString::to_string).collect(),
                start_time: Some(timestamp(Time::from_nanos(start))),
                end_time: end.map(|end| timestamp(Time::from_nanos(start + end))),
                ..WatchRequest::default()
            };
            check(tape, request, Time::MAX, steps)?;
        }

        #[test]
        fn an_id_that_was_made_up_is_refused_or_resumes(
            text in "few@[0-9]{0,21}~?(,[A^&B.~,0-9]{0,9}){0,4}|.{0,40}", tape in tapes(0..4), start in prop::option::of(0..30u64),
        ) {
            if let Ok(id) = EventId::parse(&text, "few") {
                let start_time = start.map(|start| timestamp(Time::from_nanos(start)));
                let request = WatchRequest { symbols: vec!["*".to_owned()], start_time, ..WatchRequest::default() };
                let Resumed::Request(resumed) = id.resume(&tape, request) else { panic!("it has no end") };
                let mut positions = Positions::new(Arc::new(tape), Time::MAX, &resumed, Some(id));
                positions.subscribed("*");
                prop_assert!(positions.id(MAX_ID).is_none_or(|id| EventId::parse(&id, "few").is_ok()));
            }
        }
    }

    fn simulated() -> Arc<dyn Tape> {
        Arc::new(Simulated::new(7, Universe::builtin().unwrap()))
    }

    #[test]
    fn an_id_of_another_tape_names_both_and_garbage_is_shown_an_example() {
        let error = |text: &str| EventId::parse(text, "mine").unwrap_err().to_string();
        let foreign = error("theirs@1,A~2");
        assert!(foreign.contains("\"theirs\"") && foreign.contains("mine"), "{foreign}");
        for garbage in [
            "",
            "17",
            "mine",
            "mine@",
            "mine@x",
            "mine@-1",
            "mine@1,",
            "mine@1,A",
            "mine@1,A~x",
            "mine@1, ~1",
            "mine@1~~",
            "mine@1,A~",
        ] {
            assert!(error(garbage).contains("TAPE@NANOSECONDS"), "{garbage}");
        }
        assert!(error(&"x".repeat(5_000)).contains("5000 bytes"));
        assert!(EventId::parse("mine@1~,A~2,B~3", "mine").is_ok());
    }

    #[test]
    fn a_live_stream_has_short_ids_once_every_symbol_was_sent() {
        let tape = simulated();
        let request = WatchRequest { symbols: vec!["*".to_owned()], ..WatchRequest::default() };
        let now = Time::from_nanos(1_700_000_000_000_000_000);
        let mut positions = Positions::new(tape.clone(), now, &request, None);
        positions.subscribed("*");
        let all = series_of(&*tape, ["*"]);
        for (symbol, series) in &all {
            positions.sent(symbol.as_str(), series.sequence_at(now).unwrap());
        }
        assert_eq!(positions.id(MAX_ID).unwrap().len(), tape.identity().tape_id.len() + 1 + 19);
    }

    #[test]
    fn an_id_that_would_be_too_long_is_left_out() {
        let universe: String = (0..1_000)
            .map(|n| {
                format!(
                    "[[instrument]]\nsymbol = \"S{n}\"\nreference_price = \"100\"\ntick_interval = \"1s\"\n"
                )
            })
            .collect();
        let tape: Arc<dyn Tape> = Arc::new(Simulated::new(7, Universe::parse(&universe, "test").unwrap()));
        let request = WatchRequest { symbols: vec!["*".to_owned()], ..WatchRequest::default() };
        let now = Time::from_nanos(1_700_000_000_000_000_000);
        let mut positions = Positions::new(tape, now, &request, None);
        positions.subscribed("*");
        let lengths: Vec<_> = (0..1_000)
            .map(|n| {
                positions.sent(&format!("S{n}"), Sequence(1_700_000_000));
                positions.id(MAX_ID).map(|id| id.len())
            })
            .collect();
        assert_eq!((lengths[0], lengths[100]), (None, None));
        assert!(lengths.iter().flatten().all(|length| *length <= MAX_ID));
        assert!(lengths[900].is_some() && lengths[999].unwrap() < MAX_ID);
    }
}
