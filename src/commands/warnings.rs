//! Warnings on standard error, and which events of a subscription or a publisher are worth one.

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::client::{Endpoint, Event, PublisherEvent, RefusedSymbol};

/// Prints a warning.
pub(super) fn print(warning: &str) {
    // Standard error may be closed, and the ticks matter more.
    let _ = writeln!(io::stderr(), "warning: {warning}");
}

/// The warnings that an event is worth, without control characters.
pub(super) fn of_event(event: &Event) -> Vec<String> {
    let mut warnings = match event {
        Event::Tick(_) | Event::CaughtUp { .. } | Event::End => Vec::new(),
        Event::Answer { refused, .. } => refused
            .iter()
            .map(|RefusedSymbol { symbol, message }| match message.contains(symbol.as_str()) {
                true => message.clone(),
                false => format!("{symbol}: {message}"),
            })
            .collect(),
        Event::Gap { symbol, first, last } => {
            vec![format!("{symbol}: too slow, the server left out the ticks {first} to {last}")]
        }
        Event::Draining => vec!["the server is about to stop".to_owned()],
        Event::Disconnected { cause, attempt } => disconnected(cause, *attempt),
        Event::Reconnected { replica, without } => reconnected(replica, *without),
    };
    // The text is the server's: it must not steer the terminal.
    warnings.iter_mut().for_each(|warning| warning.retain(|letter| !letter.is_control()));
    warnings
}

/// The warnings that an event of a publisher is worth. A receipt is worth none.
pub(super) fn of_publisher(event: &PublisherEvent) -> Vec<String> {
    match event {
        PublisherEvent::Receipt(_) => Vec::new(),
        PublisherEvent::Disconnected { cause, attempt } => disconnected(cause, *attempt),
        PublisherEvent::Reconnected { replica, without } => reconnected(replica, *without),
    }
}

fn disconnected(cause: &str, attempt: u32) -> Vec<String> {
    // An outage may be long, so fewer and fewer of its attempts are reported.
    match attempt.is_power_of_two() {
        true => vec![format!("{cause}; reconnecting (attempt {attempt})")],
        false => Vec::new(),
    }
}

fn reconnected(replica: &Endpoint, without: Duration) -> Vec<String> {
    vec![format!("connected to {replica} after {} ms without a connection", without.as_millis())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::Sequence;

    #[test]
    fn refused_symbols_and_gaps_are_worth_a_warning() {
        let refusal = |symbol: &str, message: &str| RefusedSymbol {
            symbol: symbol.to_owned(),
            message: message.to_owned(),
        };
        let answer = Event::Answer {
            tape_id: String::new(),
            subscribed: Vec::new(),
            refused: vec![
                refusal("TSC", "did you mean \u{1b}[31mTCS?"),
                refusal("TC", "there is no TC"),
                refusal("", "too many symbols"),
            ],
        };
        let expected = ["TSC: did you mean [31mTCS?", "there is no TC", "too many symbols"];
        assert_eq!(of_event(&answer), expected);
        let gap = Event::Gap { symbol: "TCS".parse().unwrap(), first: Sequence(5), last: Sequence(9) };
        assert_eq!(of_event(&gap), ["TCS: too slow, the server left out the ticks 5 to 9"]);
    }
}
