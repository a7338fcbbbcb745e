//! What the conversations of both packages share: the subscriber of a stream and its answers.

use std::{sync::Arc, task::Context};

use super::{
    Feed, Format,
    replay::{Replay, Replayed},
    terms::Origin,
};
use crate::{
    history::DayFold,
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
    /// What goes before live ticks, in a watch that asked for it.
    pub(super) replay: Option<Box<Replay>>,
}

/// Why a symbol is refused.
pub(super) enum Refusal {
    Malformed(SymbolError),
    Unknown(Symbol, Option<Symbol>),
    TooMany,
    /// Quotes are asked for, and its day is too long to be read for them.
    NoQuotes,
}

impl Feed {
    /// The instrument that a client names.
    pub(super) fn instrument(&self, symbol: &str) -> Result<Arc<Instrument>, Refusal> {
        let symbol = symbol.parse().map_err(Refusal::Malformed)?;
        let found = self.tape.instrument(&symbol);
        found.ok_or_else(|| Refusal::Unknown(symbol, self.tape.suggest(symbol.as_str())))
    }

    /// The instrument that a client wants with an interest.
    pub(super) fn instrument_for(
        &self,
        symbol: &str,
        interest: Interest,
    ) -> Result<Arc<Instrument>, Refusal> {
        let instrument = self.instrument(symbol)?;
        match Format::V1WithQuotes.is_of(&interest) && !self.has_quotes(&instrument) {
            true => Err(Refusal::NoQuotes),
            false => Ok(instrument),
        }
    }

    fn has_quotes(&self, instrument: &Instrument) -> bool {
        let series = self.tape.series(instrument);
        DayFold::is_feasible(&*series, instrument.day_start, self.clock.now())
    }
}

impl Session {
    /// So many instruments are subscribed at a time when all are asked for.
    const AT_A_TIME: usize = 256;

    pub(super) fn new(feed: Feed, format: Format) -> Self {
        let subscriber = feed.join(format);
        Self { feed, subscriber, outbox: Vec::new(), subscribing_all: None, replay: None }
    }

    /// Subscribes to a symbol by name.
    pub(super) fn subscribe(
        &self,
        symbol: &str,
        interest: Interest,
        origin: &Origin,
    ) -> Result<Subscribed, Refusal> {
        let instrument = self.feed.instrument_for(symbol, interest)?;
        let full = self.subscriber.named() >= super::MAX_SYMBOLS_PER_STREAM;
        if full && !self.subscriber.has_named(&instrument.symbol) {
            return Err(Refusal::TooMany);
        }
        let start = origin.start(&self.feed, &instrument);
        let now = self.feed.clock.now();
        match self.subscriber.subscribe(&*self.feed.tape, &instrument, interest, start, now) {
            Subscribed::Full(_) => Err(Refusal::TooMany),
            subscribed => Ok(subscribed),
        }
    }

    /// Subscribes to every listed instrument, some now and the others in [`Self::go_on`].
    pub(super) fn subscribe_all(&mut self, interest: Interest, origin: Origin) {
        self.subscribing_all = Some((0, interest, origin));
        self.go_on();
    }

    /// Appends what is to be replayed to `out`, until it holds `budget` bytes. False when there is nothing to come
    /// after it, ever.
    pub(super) fn poll_replay(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        reads: &mut usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(replay) = &mut self.replay else { return true };
        match replay.poll(cx, &self.feed, budget, reads, out) {
            Replayed::End => return false,
            Replayed::Present => match replay.go_live(&self.feed, &self.subscriber, Self::AT_A_TIME) {
                Ok(true) => cx.waker().wake_by_ref(),
                Ok(false) => self.replay = None,
                Err(_) => return false,
            },
            // Others take their turn first.
            Replayed::More => cx.waker().wake_by_ref(),
            Replayed::Data | Replayed::Waiting => {}
        }
        true
    }

    /// Goes on with what was begun. True when there is more to do, which must be done before the next request is
    /// heard.
    pub(super) fn go_on(&mut self) -> bool {
        let Some((done, interest, origin)) = self.subscribing_all.take() else { return false };
        let tape = &*self.feed.tape;
        let left = tape.instruments().get(done..).unwrap_or_default();
        let now = self.feed.clock.now();
        for instrument in left.iter().take(Self::AT_A_TIME) {
            // It is subscribed already, perhaps from where the request said.
            if origin.named.contains(&instrument.symbol) {
                continue;
            }
            let mut interest = interest;
            if Format::V1WithQuotes.is_of(&interest) && !self.feed.has_quotes(instrument) {
                interest.format = Format::V1 as u8;
            }
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
