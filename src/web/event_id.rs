//! The `id` of an event: what its stream had sent, and how to continue after it.
//!
//! An id is `TAPE@TIME`: every symbol has been sent up to its newest tick before the time, in nanoseconds since the Unix
//! epoch. Symbols for which that does not hold follow, each as `,SYMBOL~SEQUENCE`: it has been sent up to that sequence. So an
//! id has about 50 bytes, however many symbols the stream has. It is exact, because the times of the ticks that follow are
//! known. That is so on a *complete* tape only (see [`crate::tape`]).
//!
//! A live stream begins with the id `TAPE@TIME~`: of each symbol the newest tick before the time is still to be sent.

use std::{collections::BTreeMap, sync::Arc};

use prost_types::Timestamp;
use thiserror::Error;

use crate::{
    contract::v1::{ALL_INSTRUMENTS, WatchRequest},
    grpc::{MAX_SYMBOLS_PER_MESSAGE, convert, cut},
    tape::{Series, Tape, all_but_tests},
    tick::{Sequence, Symbol, Time},
};

/// Largest id, in bytes.
pub(super) const MAX_ID: usize = 4096;

/// The id of an event: what its stream had sent when it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    /// Every tick before this time has been sent.
    pub(super) before: Time,
    /// The newest tick of each symbol before this time, its first price, is still to be sent.
    pub(super) lacks_first_prices: bool,
    /// The last sequence that was sent of each symbol for which that does not hold.
    pub(super) others: BTreeMap<Symbol, Sequence>,
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
    /// Each symbol is resumed after its own sequence. A replay begins at the time of the id, where its pace continues, so only the symbols for which that time does not
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
                request.start_time = Some(convert::timestamp(of_replay.before));
                let after = symbols.keys().filter_map(|symbol| Some((symbol, *self.others.get(symbol)?)));
                after.map(entry).collect()
            }
        };
        request.tape_id.clone_from(&tape.identity().tape_id);
        Resumed::Request(request)
    }

    /// The same for a replay, which sends nothing from before its start.
    pub(super) fn within_replay(&self, start: Time) -> Self {
        Self { before: self.before.max(start), lacks_first_prices: false, others: self.others.clone() }
    }

    /// The sequence that a symbol is sent next.
    pub(super) fn next(&self, symbol: &Symbol, series: &Arc<dyn Series>) -> Sequence {
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

/// The series of the instruments that a request names and the tape has.
pub(super) fn series_of<S: AsRef<str>>(
    tape: &dyn Tape,
    symbols: impl IntoIterator<Item = S>,
) -> BTreeMap<Symbol, Arc<dyn Series>> {
    let mut series = BTreeMap::new();
    for symbol in symbols.into_iter().take(MAX_SYMBOLS_PER_MESSAGE) {
        if symbol.as_ref() == ALL_INSTRUMENTS {
            let listed = tape.instruments();
            series.extend(
                all_but_tests(&listed).map(|instrument| (instrument.symbol, tape.series(instrument))),
            );
        } else if let Ok(symbol) = symbol.as_ref().parse()
            && let Ok(instrument) = tape.instrument(&symbol)
        {
            series.insert(symbol, tape.series(&instrument));
        }
    }
    series
}

/// The time of the first tick with this sequence or a later one; `None` when there is none.
pub(super) fn time_from(series: &dyn Series, sequence: Sequence) -> Option<Time> {
    let tick = series.tick(sequence);
    (tick.sequence >= sequence).then_some(tick.time)
}

/// Reads `SYMBOL~SEQUENCE`.
fn symbol_and_sequence(text: &str) -> Option<(Symbol, Sequence)> {
    let (symbol, sequence) = text.split_once('~')?;
    Some((symbol.parse().ok()?, Sequence(sequence.parse().ok()?)))
}

/// The time of a timestamp that [`convert::timestamp`] has made.
pub(super) fn time(timestamp: Timestamp) -> Time {
    convert::time(timestamp).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
