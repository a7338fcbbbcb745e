//! What the conversations of both packages share: the subscriber of a stream and its answers.

use std::sync::Arc;

use super::{Feed, Format, terms::Origin};
use crate::{
    hub::{Interest, Subscribed, Subscriber},
    tape::Instrument,
    tick::{Symbol, SymbolError},
};

/// The server's side of one stream.
pub(super) struct Session {
    pub(super) feed: Feed,
    pub(super) subscriber: Subscriber,
    /// Answers that are not sent yet: they go before any tick.
    pub(super) outbox: Vec<u8>,
    /// Every instrument was asked for: how many are subscribed already, and what is wanted of them.
    subscribing_all: Option<(usize, Interest, Origin)>,
}

/// Why a symbol is refused.
pub(super) enum Refusal {
    Malformed(SymbolError),
    Unknown(Symbol, Option<Symbol>),
    TooMany,
}

impl Feed {
    /// The instrument that a client names.
    pub(super) fn instrument(&self, symbol: &str) -> Result<Arc<Instrument>, Refusal> {
        let symbol = symbol.parse().map_err(Refusal::Malformed)?;
        let found = self.tape.instrument(&symbol);
        found.ok_or_else(|| Refusal::Unknown(symbol, self.tape.suggest(symbol.as_str())))
    }
}

impl Session {
    /// So many instruments are subscribed at a time when all are asked for.
    const AT_A_TIME: usize = 256;

    pub(super) fn new(feed: Feed, format: Format) -> Self {
        let subscriber = feed.join(format);
        Self { feed, subscriber, outbox: Vec::new(), subscribing_all: None }
    }

    /// Subscribes to a symbol by name.
    pub(super) fn subscribe(
        &self,
        symbol: &str,
        interest: Interest,
        origin: &Origin,
    ) -> Result<Subscribed, Refusal> {
        let instrument = self.feed.instrument(symbol)?;
        let full = self.subscriber.named() >= super::MAX_SYMBOLS_PER_STREAM;
        if full && !self.subscriber.has_named(&instrument.symbol) {
            return Err(Refusal::TooMany);
        }
        let start = origin.start(&self.feed, &instrument);
        Ok(self.subscriber.subscribe(&*self.feed.tape, &instrument, interest, start, self.feed.clock.now()))
    }

    /// Subscribes to every listed instrument, some now and the others in [`Self::go_on`].
    pub(super) fn subscribe_all(&mut self, interest: Interest, origin: Origin) {
        self.subscribing_all = Some((0, interest, origin));
        self.go_on();
    }

    /// Goes on with what was begun. True when there is more to do, which must be done before the next request is
    /// heard.
    pub(super) fn go_on(&mut self) -> bool {
        let Some((done, interest, origin)) = self.subscribing_all.take() else { return false };
        let tape = &*self.feed.tape;
        let left = tape.instruments().get(done..).unwrap_or_default();
        let now = self.feed.clock.now();
        for instrument in left.iter().take(Self::AT_A_TIME) {
            let start = origin.start(&self.feed, instrument);
            self.subscriber.subscribe(tape, instrument, interest, start, now);
        }
        let more = left.len() > Self::AT_A_TIME;
        if more {
            self.subscribing_all = Some((done + Self::AT_A_TIME, interest, origin));
        }
        more
    }
}
