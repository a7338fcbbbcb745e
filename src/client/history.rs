//! Past ticks, candles and digests: what to ask for, and the answers.

use std::{
    ops::{Bound, Range, RangeBounds},
    time::Duration,
};

use super::convert::{self, Malformed};
use crate::{
    contract::v1,
    tick::{Price, Sequence, Time},
};

/// Which past ticks of a symbol to list: those of some times, or those with some sequences. Ticks of the future are not
/// listed, so a range without an end ends now.
///
/// ```
/// use std::time::Duration;
///
/// use ticker::{client::TickRange, tick::{Sequence, Time}};
///
/// let start = Time::from_nanos(1_764_000_000_000_000_000);
/// let ten_seconds = TickRange::times(start..start + Duration::from_secs(10));
/// let newest = TickRange::sequences(..).newest_first().with_page_size(1);
/// let hundred = TickRange::sequences(Sequence(1)..=Sequence(100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct TickRange {
    span: Span,
    newest_first: bool,
    page_size: u32,
}

/// A half-open range; `None` is the beginning of the tape or now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    Times(Option<Time>, Option<Time>),
    Sequences(Option<Sequence>, Option<Sequence>),
}

/// The trades of one symbol in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candle {
    /// The start of the interval.
    pub open_time: Time,
    /// The first price.
    pub open: Price,
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// The last price.
    pub close: Price,
    /// How much was traded, in the instrument's quantity increments; 0 for an index.
    pub volume: u64,
    /// Number of trades.
    pub tick_count: u64,
    /// False when the interval is not over yet.
    pub complete: bool,
}

/// A digest of some ticks of a symbol, by which replicas can be compared without sending the ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangeDigest {
    /// The tape that the replica plays.
    pub tape_id: String,
    /// The ticks that were digested: the first 1,048,576 of the range that was asked for, without those of the future.
    pub sequences: Range<Sequence>,
    /// SHA-256 of sequence, time in nanoseconds since the Unix epoch, price in units of 1e-9 and quantity of each tick,
    /// as 64-bit integers, little endian.
    pub sha256: [u8; 32],
}

impl TickRange {
    /// Most ticks of a page.
    const PAGE: u32 = 10_000;

    /// The ticks of some times.
    pub fn times(times: impl RangeBounds<Time>) -> Self {
        let (start, end) = half_open_times(&times);
        Self { span: Span::Times(start, end), newest_first: false, page_size: Self::PAGE }
    }

    /// The ticks with some sequences.
    pub fn sequences(sequences: impl RangeBounds<Sequence>) -> Self {
        let (start, end) = half_open(&sequences, Sequence::next);
        Self { span: Span::Sequences(start, end), newest_first: false, page_size: Self::PAGE }
    }

    /// Lists the newest tick first.
    pub fn newest_first(self) -> Self {
        Self { newest_first: true, ..self }
    }

    /// Sets how many ticks the server sends at a time, at most 10,000, which is the default.
    pub fn with_page_size(self, page_size: u32) -> Self {
        Self { page_size, ..self }
    }

    pub(super) fn request(&self, symbol: String, page_token: String) -> v1::ListTicksRequest {
        let mut request = v1::ListTicksRequest {
            symbol,
            newest_first: self.newest_first,
            page_size: self.page_size,
            page_token,
            ..Default::default()
        };
        match self.span {
            Span::Times(start, end) => {
                request.start_time = start.map(convert::timestamp);
                request.end_time = end.map(convert::timestamp);
            }
            Span::Sequences(start, end) => {
                (request.start_sequence, request.end_sequence) = wire_sequences(start, end);
            }
        }
        request
    }
}

impl Candle {
    pub(super) fn of(candle: &v1::Candle) -> Result<Self, Malformed> {
        let price = |nanos| Price::from_nanos(nanos).ok_or(Malformed("a candle without a positive price"));
        Ok(Self {
            open_time: convert::time(candle.open_time.as_ref())?,
            open: price(candle.open_nanos)?,
            high: price(candle.high_nanos)?,
            low: price(candle.low_nanos)?,
            close: price(candle.close_nanos)?,
            volume: candle.volume,
            tick_count: candle.tick_count,
            complete: !candle.open,
        })
    }
}

impl RangeDigest {
    pub(super) fn of(answer: v1::DigestTicksResponse) -> Result<Self, Malformed> {
        Ok(Self {
            tape_id: answer.tape_id,
            sequences: Sequence(answer.start_sequence)..Sequence(answer.end_sequence),
            sha256: answer.digest.try_into().map_err(|_| Malformed("a digest that is not 32 bytes long"))?,
        })
    }
}

/// A range as inclusive start and exclusive end; `next` gives the value after another.
pub(super) fn half_open<T: Copy>(
    range: &impl RangeBounds<T>,
    next: impl Fn(T) -> T,
) -> (Option<T>, Option<T>) {
    let start = match range.start_bound() {
        Bound::Included(start) => Some(*start),
        Bound::Excluded(before) => Some(next(*before)),
        Bound::Unbounded => None,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => Some(next(*last)),
        Bound::Excluded(end) => Some(*end),
        Bound::Unbounded => None,
    };
    (start, end)
}

/// A range of times as inclusive start and exclusive end.
pub(super) fn half_open_times(times: &impl RangeBounds<Time>) -> (Option<Time>, Option<Time>) {
    half_open(times, |time| time + Duration::from_nanos(1))
}

/// Sequences as requests have them, in which an end of zero means now.
pub(super) fn wire_sequences(start: Option<Sequence>, end: Option<Sequence>) -> (u64, u64) {
    let start = start.map_or(0, |start| start.0);
    match end {
        // No tick is before the sequence zero: the same as the empty range before one.
        Some(Sequence(0)) => (start.max(1), 1),
        end => (start, end.map_or(0, |end| end.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequences(range: impl RangeBounds<Sequence>) -> (u64, u64) {
        let request = TickRange::sequences(range).request(String::new(), String::new());
        assert_eq!((request.start_time, request.end_time), (None, None));
        (request.start_sequence, request.end_sequence)
    }

    #[test]
    fn every_form_of_a_range_is_asked_for_with_an_exclusive_end() {
        assert_eq!(sequences(Sequence(5)..Sequence(9)), (5, 9));
        assert_eq!(sequences(Sequence(5)..=Sequence(9)), (5, 10));
        assert_eq!(sequences(Sequence(5)..), (5, 0));
        assert_eq!(sequences(..), (0, 0));
        let before_and_after = (Bound::Excluded(Sequence(4)), Bound::Unbounded);
        assert_eq!(sequences(before_and_after), (5, 0));
        let times = TickRange::times(Time::from_nanos(3)..=Time::from_nanos(1_000_000_000));
        let request = times.request("TCS".to_owned(), "token".to_owned());
        assert_eq!(request.start_time, Some(prost_types::Timestamp { seconds: 0, nanos: 3 }));
        assert_eq!(request.end_time, Some(prost_types::Timestamp { seconds: 1, nanos: 1 }));
        assert_eq!((request.start_sequence, request.end_sequence), (0, 0));
        assert_eq!((request.symbol.as_str(), request.page_token.as_str()), ("TCS", "token"));
    }

    #[test]
    fn an_empty_range_of_sequences_is_not_taken_for_one_that_ends_now() {
        for empty in [Sequence(0)..Sequence(0), Sequence(7)..Sequence(7)] {
            let (start, end) = sequences(empty);
            assert!(start == end && end > 0);
        }
    }

    #[test]
    fn a_digest_of_the_wrong_length_is_refused() {
        let answer = |digest| v1::DigestTicksResponse {
            tape_id: "tape".to_owned(),
            start_sequence: 5,
            end_sequence: 9,
            digest,
        };
        let digest = RangeDigest::of(answer(vec![7; 32])).unwrap();
        assert_eq!((digest.sequences, digest.sha256), (Sequence(5)..Sequence(9), [7; 32]));
        assert!(RangeDigest::of(answer(vec![7; 31])).is_err());
    }
}
