//! The last tick of each symbol, which a replica reads before it reads the window.

use async_nats::jetstream;

use super::{
    consumer::{Consumer, Entry, Start},
    message, subject,
};
use crate::{
    feed::row::Row,
    tick::{Symbol, Time},
};

/// The last message of a symbol.
pub(super) struct LastMessage {
    pub(super) symbol: Symbol,
    /// Its sequence in the stream.
    pub(super) sequence: u64,
    /// When the stream got it.
    pub(super) stored: Time,
    /// Its last tick, or what is wrong with it.
    pub(super) tick: Result<Row, String>,
}

/// Reads the last message of each symbol, in the order of the stream.
///
/// # Errors
/// The stream cannot be read now.
pub(super) async fn last_messages(
    context: &jetstream::Context,
    stream: &str,
) -> Result<Vec<LastMessage>, async_nats::Error> {
    let mut consumer = Consumer::open(context, stream, Start::LastOfEach).await?;
    let (mut left, mut found) = (consumer.pending, Vec::new());
    while left > 0
        && let Some(Entry { subject, sequence, stored, pending, payload }) = consumer.next().await?
    {
        left = pending;
        if let Some(symbol) = subject::symbol(stream, &subject) {
            let tick = message::read(&payload, &symbol)
                .and_then(|mut rows| rows.pop().ok_or_else(|| "it is empty".to_owned()));
            found.push(LastMessage { symbol, sequence, stored, tick });
        }
    }
    Ok(found)
}
