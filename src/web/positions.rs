//! What an event stream has sent of each symbol, which makes the ids of its events ([`super::event_id`]).
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

use super::event_id::{EventId, series_of, time, time_from};
use crate::{
    contract::v1::WatchRequest,
    tape::{Series, Tape},
    tick::{Sequence, Symbol, Time},
};

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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::{prelude::*, sample::Index};

    use super::{
        super::event_id::{MAX_ID, Resumed},
        *,
    };
    use crate::{
        grpc::convert::timestamp,
        tape::{Cursor, Identity, Instrument, Kind, Missing, Simulated, Universe},
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
        let least = Price::from_nanos(1).unwrap();
        Instrument::not_simulated(symbol, "", least, least, NonZeroU64::MIN)
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
                quantity: 1,
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
        let newest = |symbol: &str| {
            let instrument = tape.instrument(&symbol.parse().unwrap()).unwrap();
            tape.series(&instrument).sequence_at(now).unwrap()
        };
        let mut positions = Positions::new(tape.clone(), now, &request, None);
        positions.subscribed("*");
        let lengths: Vec<_> = (0..1_000)
            .map(|n| {
                let symbol = format!("S{n}");
                positions.sent(&symbol, newest(&symbol));
                positions.id(MAX_ID).map(|id| id.len())
            })
            .collect();
        assert_eq!((lengths[0], lengths[100]), (None, None));
        assert!(lengths.iter().flatten().all(|length| *length <= MAX_ID));
        assert!(lengths[900].is_some() && lengths[999].unwrap() < MAX_ID);
    }
}
