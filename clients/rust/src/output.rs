//! Events as JSON or as columns, and errors in one line.

use std::{
    collections::HashSet,
    error::Error,
    io::{self, Write},
    iter,
};

use prost_types::Timestamp;
use serde_json::{Value, json};
use tonic::Status;

use crate::{
    v1::{CaughtUp, SymbolStatusCode, watch_response::Event},
    watch::Received,
};

pub struct Printer {
    json: bool,
    /// Headers that have been printed.
    headers: HashSet<String>,
}

impl Printer {
    pub fn new(json: bool) -> Self {
        Self { json, headers: HashSet::new() }
    }

    /// Prints an object as JSON, or its values in columns, the first time below the names.
    pub fn print(&mut self, event: Value) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            return writeln!(stdout, "{event}");
        }
        let (mut header, mut row) = (String::new(), String::new());
        for (key, value) in event.as_object().into_iter().flatten() {
            // A blank ends each column, however long its value is.
            let width = if key.ends_with("time") { 30 } else { 11 };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            header += &format!("{key:width$} ");
            row += &format!("{text:width$} ");
        }
        if self.headers.insert(header.clone()) {
            writeln!(stdout, "{}", header.trim_end())?;
        }
        writeln!(stdout, "{}", row.trim_end())
    }

    /// Prints an event of a stream, or why it has ended.
    pub fn received(&mut self, endpoint: &str, received: Received<'_>) -> io::Result<()> {
        match received {
            Ok(Event::SubscriptionResult(result)) => {
                self.print(json!({ "event": "connected", "endpoint": endpoint, "tape_id": result.tape_id }))?;
                for status in result.statuses {
                    if status.code() != SymbolStatusCode::Subscribed {
                        let (symbol, message) = (status.symbol, status.message);
                        self.print(json!({ "event": "refused", "symbol": symbol, "message": message }))?;
                    }
                }
                Ok(())
            }
            Ok(Event::Tick(tick)) => {
                let quote = tick.quote.unwrap_or_default();
                self.print(json!({
                    "event": "tick",
                    "symbol": tick.symbol,
                    "sequence": tick.sequence,
                    "ltp": tick.ltp,
                    "time": time(tick.time),
                    "bid": quote.bid_nanos as f64 / 1e9,
                    "ask": quote.ask_nanos as f64 / 1e9,
                    "snapshot": tick.snapshot,
                }))
            }
            Ok(Event::Gap(gap)) => self.print(json!({
                "event": "gap",
                "symbol": gap.symbol,
                "first_sequence": gap.first_sequence,
                "last_sequence": gap.last_sequence,
            })),
            Ok(Event::CaughtUp(CaughtUp { symbol, sequence, .. })) => {
                self.print(json!({ "event": "caught_up", "symbol": symbol, "sequence": sequence }))
            }
            Ok(Event::Draining(_) | Event::Heartbeat(_) | Event::TokenExpiring(_)) => Ok(()),
            Err(status) => {
                let reason = reason(status);
                self.print(json!({ "event": "disconnected", "endpoint": endpoint, "reason": reason }))
            }
        }
    }
}

/// RFC 3339 with nine digits after the second.
pub fn time(at: Option<Timestamp>) -> String {
    let Timestamp { seconds, nanos } = at.unwrap_or_default();
    let whole = Timestamp { seconds, nanos: 0 }.to_string();
    format!("{}.{nanos:09}Z", whole.trim_end_matches('Z'))
}

/// The code, the message, and what the transport knows beyond it.
pub fn reason(status: &Status) -> String {
    let text = format!("{:?}: {}", status.code(), status.message());
    let causes = iter::successors(status.source(), |&cause| cause.source());
    causes.last().map_or(text.clone(), |root| format!("{text}: {root}"))
}
