//! How long ticks are under way, from the time at which they were due to their arrival.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, ensure};
use prost::Message;
use ticker::contract::{
    gogen::TickerResponse,
    v1::{TickerStreamResponse, ticker_stream_response::Event},
};

use crate::observer::Observer;

/// One message in so many is decoded. It has no common factor with the ticks of a flush, so that no place in a
/// flush is preferred.
const ONE_IN: usize = 17;

/// What a stamp begins with. No peer sends it otherwise before digits.
const MARK: u8 = b'T';
/// The digits of a stamp: microseconds, which start again after 27 hours.
const DIGITS: usize = 11;
const MODULUS: i64 = 100_000_000_000;

/// The length of a stamp.
pub(crate) const STAMP: usize = 1 + DIGITS;

/// Nanoseconds from the time at which a tick was due to its arrival.
pub(crate) type Latencies = Rc<RefCell<Vec<i64>>>;

/// At least one, in ascending order.
pub(crate) struct Sorted(Vec<i64>);

/// Reads the time of a message, in nanoseconds since 1970.
pub(crate) type TimeOf = fn(&[u8]) -> Option<i64>;

/// Takes the time of one message in so many.
pub(crate) struct Stopwatch {
    seen: usize,
    time_of: TimeOf,
    latencies: Latencies,
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64
}

/// Writes the time at which a tick was due, in nanoseconds since 1970, over the [`STAMP`] bytes of a peer's message.
pub(crate) fn write_stamp(due: i64, stamp: &mut [u8]) {
    let mut micros = due / 1_000 % MODULUS;
    stamp[0] = MARK;
    for digit in stamp[1..].iter_mut().rev() {
        *digit = b'0' + (micros % 10) as u8;
        micros /= 10;
    }
}

/// The time of a message of `ticker.v1`.
pub(crate) fn time_of_v1(message: &[u8]) -> Option<i64> {
    match TickerStreamResponse::decode(message).ok()?.event? {
        Event::Tick(tick) => tick.time.map(|time| time.seconds * 1_000_000_000 + i64::from(time.nanos)),
        _ => None,
    }
}

/// The time of a message of the naive servers, whose price it is: `timestamp` has milliseconds only.
pub(crate) fn time_of_naive(message: &[u8]) -> Option<i64> {
    Some(TickerResponse::decode(message).ok()?.ltp as i64 * 1_000)
}

/// The time of a stamp.
pub(crate) fn time_of_stamp(stamp: &[u8]) -> Option<i64> {
    let digits = stamp.get(1..STAMP).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let micros = digits.iter().fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'));
    // The newest time with these last digits.
    let now = now() / 1_000;
    Some((now - (now - micros).rem_euclid(MODULUS)) * 1_000)
}

impl Sorted {
    pub(crate) fn new(latencies: &Latencies) -> Result<Self> {
        let mut latencies = latencies.take();
        latencies.sort_unstable();
        ensure!(!latencies.is_empty(), "no tick arrived");
        Ok(Sorted(latencies))
    }

    /// In milliseconds: 0.5 is the median, 1 the longest.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len() - 1;
        self.0[(last as f64 * share) as usize] as f64 / 1e6
    }
}

impl Stopwatch {
    pub(crate) fn new(time_of: TimeOf, latencies: Latencies) -> Self {
        Stopwatch { seen: 0, time_of, latencies }
    }

    /// Finds a stamp in what arrived, then jumps over so many messages of one length. A stamp that a read cut is left
    /// out, and hardly any is.
    pub(crate) fn read_stamps(&mut self, mut bytes: &[u8], length: usize) {
        while let Some(at) = memchr::memchr(MARK, bytes) {
            bytes = &bytes[at..];
            let step = if self.note(bytes) { ONE_IN * length } else { 1 };
            bytes = bytes.get(step..).unwrap_or_default();
        }
    }

    /// False when the message has no time.
    fn note(&mut self, message: &[u8]) -> bool {
        let time = (self.time_of)(message);
        self.latencies.borrow_mut().extend(time.map(|time| now() - time));
        time.is_some()
    }
}

impl Observer for Stopwatch {
    fn message(&mut self, message: &[u8]) {
        self.seen += 1;
        if self.seen.is_multiple_of(ONE_IN) {
            self.note(message);
        }
    }
}
