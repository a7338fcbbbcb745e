//! What the conversations of both packages share: the subscriber of a stream and its answers.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    ConnectionContext, Feed, Format, Turn,
    replay::{Replay, Replayed, Span},
    status::Failure,
    terms::{Origin, Terms, TooFarAhead},
};
use crate::{
    history::DayFold,
    hub::{Full, Held, Interest, Pulled, Quota, Subscribed, Subscriber},
    tape::{Instrument, Missing},
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
    /// What goes before live ticks, in a watch that asked for it, and what it holds of the quotas of subscriptions.
    replay: Option<(Box<Replay>, Vec<Held>)>,
    /// Counts the subscriptions of the connection.
    quota: Arc<Quota>,
}

/// Why a symbol is refused.
pub(super) enum Refusal {
    Malformed(SymbolError),
    Unknown(Symbol),
    TooMany,
    /// The limit of subscriptions of its connection or of the server is reached.
    Full(Full),
    /// The instrument would have to be invented, and the limit is reached.
    NoRoom(Missing),
    /// Quotes are asked for, and its day is too long to be read for them.
    NoQuotes,
    /// It should resume after a sequence of the far future.
    TooFarAhead(TooFarAhead),
}

impl Feed {
    /// The instrument that a client names.
    pub(super) fn instrument(&self, symbol: &str) -> Result<Arc<Instrument>, Refusal> {
        let symbol = symbol.parse().map_err(Refusal::Malformed)?;
        self.tape.instrument(&symbol).map_err(|missing| match missing {
            Missing::Unknown => Refusal::Unknown(symbol),
            Missing::NoRoom { .. } => Refusal::NoRoom(missing),
        })
    }

    /// Whether a symbol is one of those that `*` stands for.
    pub(super) fn is_listed(&self, symbol: &Symbol) -> bool {
        self.listed(symbol.as_str()).is_some()
    }

    /// The instrument of a symbol that `*` stands for.
    pub(super) fn listed(&self, symbol: &str) -> Option<&Arc<Instrument>> {
        let listed = self.tape.instruments();
        let at = listed.binary_search_by(|instrument| instrument.symbol.as_str().cmp(symbol)).ok()?;
        listed.get(at)
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
    /// Number of instruments that are subscribed between two checks whether the turn is over.
    const PIECE: usize = 16;
    /// How many instruments are subscribed before ticks are sent when all are asked for.
    const FIRST: usize = 1_024;
    /// Largest number of symbols of a replay that become live in one step.
    const LIVE_AT_ONCE: usize = 64;

    pub(super) fn new(feed: Feed, format: Format, context: &ConnectionContext) -> Self {
        let subscriber = feed.join(format, context);
        let quota = context.subscriptions();
        Self { feed, subscriber, outbox: Vec::new(), subscribing_all: None, replay: None, quota }
    }

    /// The instrument that a request names, if it can be subscribed on its terms.
    pub(super) fn find(&self, symbol: &str, terms: &Terms) -> Result<Arc<Instrument>, Refusal> {
        let instrument = self.feed.instrument_for(symbol, terms.interest)?;
        terms.origin.start(&self.feed, &instrument).map_err(Refusal::TooFarAhead)?;
        Ok(instrument)
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
        let start = origin.start(&self.feed, &instrument).map_err(Refusal::TooFarAhead)?;
        let now = self.feed.clock.now();
        match self.subscriber.subscribe(&*self.feed.tape, &instrument, interest, start, now) {
            Subscribed::Full(full) => Err(Refusal::Full(full)),
            subscribed => Ok(subscribed),
        }
    }

    /// Begins a replay of instruments, which are all different. Each takes as much memory as ten subscriptions.
    ///
    /// # Errors
    /// There is no room for them.
    pub(super) fn begin_replay(
        &mut self,
        span: Span,
        terms: Terms,
        instruments: Vec<Arc<Instrument>>,
    ) -> Result<(), Full> {
        const SUBSCRIPTIONS: usize = 10;
        let amount = instruments.len().saturating_mul(SUBSCRIPTIONS);
        let of_connection = self.quota.hold(amount).ok_or(Full::Connection)?;
        let of_server = self.feed.hub.quota().hold(amount).ok_or(Full::Server)?;
        self.subscriber.hold(true);
        let replay = Box::new(Replay::new(&self.feed, span, terms, instruments));
        self.replay = Some((replay, vec![of_connection, of_server]));
        Ok(())
    }

    /// Begins to subscribe to every listed instrument; [`Self::go_on`] does the work.
    pub(super) fn subscribe_all(&mut self, interest: Interest, origin: Origin) {
        self.subscribing_all = Some((0, interest, origin));
    }

    /// Whether the first instruments of all are being subscribed: the last price of each of them goes before live ticks.
    pub(super) fn is_subscribing_first(&self) -> bool {
        self.subscribing_all.as_ref().is_some_and(|(done, ..)| *done < Self::FIRST)
    }

    /// Whether [`Self::go_on`] has something to do.
    pub(super) fn is_subscribing_all(&self) -> bool {
        self.subscribing_all.is_some()
    }

    /// Appends what is to be replayed to `out`, until it holds `budget` bytes.
    pub(super) fn poll_replay(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        reads: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<Caught, Failure> {
        let Some((replay, held)) = &mut self.replay else { return Ok(Caught::Up) };
        match replay.poll(cx, &self.feed, budget, reads, out) {
            Replayed::End => return Ok(Caught::Closed),
            Replayed::Present if *reads > 0 => {
                // From here on its symbols count as subscriptions.
                held.clear();
                if replay.go_live(&self.feed, &self.subscriber, Self::LIVE_AT_ONCE)? {
                    return Ok(Caught::Behind);
                }
                self.replay = None;
            }
            Replayed::Present | Replayed::Data | Replayed::More => return Ok(Caught::Behind),
            Replayed::Waiting => {}
        }
        Ok(Caught::Up)
    }

    /// Appends ticks of what is subscribed to `out`, until it holds `budget` bytes.
    pub(super) fn poll_live(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        reads: &mut usize,
        out: &mut Vec<u8>,
    ) -> Caught {
        match self.subscriber.poll_pull(cx, budget, reads, out) {
            Poll::Ready(Pulled::Closed) => Caught::Closed,
            Poll::Ready(Pulled::Idle) => Caught::Idle,
            Poll::Ready(Pulled::More | Pulled::Data { is_behind: true }) => Caught::Behind,
            Poll::Ready(Pulled::Data { is_behind: false }) | Poll::Pending => Caught::Up,
        }
    }

    /// Subscribes to more of the listed instruments while the turn lasts. True when all are subscribed.
    ///
    /// # Errors
    /// The limit of subscriptions is reached before all are subscribed.
    pub(super) fn go_on(&mut self, turn: Turn) -> Result<bool, Failure> {
        let Some((mut done, interest, origin)) = self.subscribing_all.take() else { return Ok(true) };
        let tape = &*self.feed.tape;
        let now = self.feed.clock.now();
        while let Some(instrument) = tape.instruments().get(done) {
            if done.is_multiple_of(Self::PIECE) && turn.is_over() {
                self.subscribing_all = Some((done, interest, origin));
                return Ok(false);
            }
            done += 1;
            // It is subscribed already, perhaps from where the request said.
            if origin.named.contains(&instrument.symbol) {
                continue;
            }
            let mut interest = interest;
            if Format::V1WithQuotes.is_of(&interest) && !self.feed.has_quotes(instrument) {
                interest.format = Format::V1 as u8;
            }
            // It is refused, which its status has said.
            let Ok(start) = origin.start(&self.feed, instrument) else { continue };
            if let Subscribed::Full(full) = self.subscriber.subscribe(tape, instrument, interest, start, now)
            {
                return Err(full.into());
            }
        }
        Ok(true)
    }
}

/// How far a stream has got with what it has to send.
pub(super) enum Caught {
    /// It has everything that is due, or as much as there is room for.
    Up,
    /// There is more to read than was allowed.
    Behind,
    /// There is nothing more to send, ever.
    Closed,
    /// It has asked for nothing for too long.
    Idle,
}
