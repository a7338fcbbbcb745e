//! Each event as a line of text or as JSON.

use std::{
    error::Error,
    fmt::{self, Display, Formatter},
    io::{self, Write},
    iter,
};

use heck::ToShoutySnakeCase;
use serde::Serialize;
use tonic::Status;

use crate::v1::{Candle, Tick};

#[derive(Clone, Copy, Default)]
pub struct Output {
    pub json: bool,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    Tape { tape_id: &'a str, time: String },
    Candle { symbol: &'a str, open_time: String, open: f64, high: f64, low: f64, close: f64, volume: u64 },
    Connected { endpoint: &'a str, tape_id: &'a str },
    Refused { symbol: &'a str, message: &'a str },
    Tick { symbol: &'a str, sequence: u64, ltp: f64, time: String, bid: f64, ask: f64, snapshot: bool },
    Gap { symbol: &'a str, first_sequence: u64, last_sequence: u64 },
    CaughtUp { symbol: &'a str, sequence: u64 },
    Disconnected { endpoint: &'a str, reason: String },
}

impl Output {
    pub fn print(self, event: &Event) -> io::Result<()> {
        match event {
            _ if self.json => writeln!(io::stdout(), "{}", serde_json::to_string(event)?),
            Event::Refused { .. } | Event::Disconnected { .. } => writeln!(io::stderr(), "{event}"),
            _ => writeln!(io::stdout(), "{event}"),
        }
    }
}

impl<'a> Event<'a> {
    pub fn candle(symbol: &'a str, candle: &Candle) -> Self {
        let open_time = candle.open_time.unwrap_or_default().to_string();
        let &Candle {
            open_price: open, high_price: high, low_price: low, close_price: close, volume, ..
        } = candle;
        Self::Candle { symbol, open_time, open, high, low, close, volume }
    }

    pub fn tick(tick: &'a Tick) -> Self {
        let &Tick { ref symbol, sequence, ltp, snapshot, .. } = tick;
        let time = tick.time.unwrap_or_default().to_string();
        let quote = tick.quote.unwrap_or_default();
        let (bid, ask) = (quote.bid_nanos as f64 / 1e9, quote.ask_nanos as f64 / 1e9);
        Self::Tick { symbol, sequence, ltp, time, bid, ask, snapshot }
    }
}

impl Display for Event<'_> {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::Tape { tape_id, time } => {
                writeln!(f, "tape {tape_id} at {time}")?;
                f.write_str(
                    "SYMBOL      TIME                     OPEN       HIGH        LOW      CLOSE   VOLUME",
                )
            }
            Self::Candle { symbol, open_time, open, high, low, close, volume } => {
                let minute = open_time.trim_end_matches(":00Z");
                write!(f, "{symbol:<12}{minute}Z{open:>12}{high:>11}{low:>11}{close:>11}{volume:>9}")
            }
            Self::Connected { endpoint, .. } => write!(f, "connected to {endpoint}"),
            Self::Refused { symbol, message } => write!(f, "refused {symbol}: {message}"),
            Self::Tick { symbol, sequence, ltp, bid, ask, .. } => {
                write!(f, "{symbol:<12}{sequence:<11}{ltp:>11}{bid:>11}{ask:>11}")
            }
            Self::Gap { symbol, first_sequence, last_sequence } => {
                write!(f, "gap {symbol} {first_sequence} to {last_sequence}")
            }
            Self::CaughtUp { symbol, sequence } => write!(f, "caught up {symbol} {sequence}"),
            Self::Disconnected { endpoint, reason } => write!(f, "disconnected from {endpoint}: {reason}"),
        }
    }
}

/// The code as other languages write it, the message, and what the transport knows beyond it.
pub fn reason(status: &Status) -> String {
    let code = format!("{:?}", status.code()).to_shouty_snake_case();
    let causes = iter::successors(status.source(), |&cause| cause.source());
    let message = status.message();
    match causes.last().map(ToString::to_string) {
        Some(root) if root != message => format!("{code}: {message}: {root}"),
        _ => format!("{code}: {message}"),
    }
}
