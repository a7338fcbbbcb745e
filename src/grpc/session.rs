//! The state of one stream that both packages share: its subscriber, its replay and its answers.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Caller, ConnectionContext, Format, Limit, Notice, Turn, WorkerContext,
    expiry::Expiry,
    replay::{Replay, ReplaySpan, Replayed},
    reply::StreamSummary,
    status::Failure,
    subscribe_error::SubscribeError,
    subscribe_options::{CheckedOptions, StartPoint},
    usage::StreamHold,
};
use crate::{
    hub::{Counters, Full, Interest, Pulled, QuotaHold, Sent, Start, Subscribed, Subscriber},
    tape::{Instrument, Tape, all_but_tests},
    tick::Time,
};

/// The server's side of one stream.
pub(super) struct Session {
    /// With the part of the tape that the caller sees.
    pub(super) worker: WorkerContext,
    pub(super) caller: Caller,
    /// The whole tape.
    tape: Arc<dyn Tape>,
    /// When the token of the caller expires.
    pub(super) expiry: Expiry,
    pub(super) subscriber: Subscriber,
    /// Answers that are not sent yet. They are sent before any tick.
    pub(super) outbox: Vec<u8>,
    /// Set while every instrument is being subscribed.
    subscribing_all: Option<SubscribingAll>,
    /// The replay before live ticks, and what it holds of the quotas of subscriptions.
    replay: Option<(Box<Replay>, Vec<QuotaHold>)>,
    pub(super) context: ConnectionContext,
    /// What was sent by a replay that has become live.
    replayed: Sent,
    counters: Arc<Counters>,
    _open: StreamHold,
}

/// The progress of subscribing to every instrument.
struct SubscribingAll {
    /// The instruments that were listed when all were asked for.
    listed: Arc<[Arc<Instrument>]>,
    /// Number of them that are subscribed.
    done: usize,
    interest: Interest,
    start_point: StartPoint,
}

impl Session {
    /// Number of instruments that are subscribed between two checks whether the turn is over.
    const PIECE: usize = 16;
    /// Number of instruments that are subscribed before ticks are sent, when all are asked for.
    const FIRST: usize = 1_024;
    /// Largest number of symbols of a replay that become live in one step.
    const LIVE_AT_ONCE: usize = 64;

    /// A stream of a caller.
    ///
    /// # Errors
    /// The caller has as many streams as it may.
    pub(super) fn new(
        worker: WorkerContext,
        format: Format,
        context: ConnectionContext,
        caller: Caller,
    ) -> Result<Self, Failure> {
        let open = caller.usage().open_stream();
        let open = open.ok_or_else(|| Failure::TooManyStreams(caller.usage().max_streams()))?;
        let counters = worker.hub.counters();
        Ok(Self {
            subscriber: worker.join(format, &context, &caller),
            tape: worker.tape.clone(),
            worker: worker.visible_to(&caller),
            expiry: Expiry::of(caller.token()),
            caller,
            outbox: Vec::new(),
            subscribing_all: None,
            replay: None,
            context,
            replayed: Sent::default(),
            counters,
            _open: open,
        })
    }

    /// Replaces the token of the caller by a fresh one of the same subject. What it does not allow any more stays subscribed
    /// until the caller of this function removes it.
    ///
    /// # Errors
    /// The token is not accepted, or its subject is another one. Nothing has changed.
    pub(super) fn authenticate(&mut self, token: &str) -> Result<(), Failure> {
        let authentication = self.context.server().authentication();
        let fresh = authentication.renew(&self.caller, token, self.context.origin(), &self.tape);
        let fresh = fresh.inspect_err(|failure| self.context.note_limit_of(failure))?;
        let expires = |caller: &Caller| caller.token().map(|token| token.expires);
        self.expiry.replace(fresh.token(), expires(&fresh) > expires(&self.caller));
        self.caller = fresh;
        self.worker.tape = self.caller.visible(self.tape.clone());
        Ok(())
    }

    /// Counts subscription changes of the caller.
    ///
    /// # Errors
    /// There were too many.
    pub(super) fn change(&self, symbols: usize) -> Result<(), SubscribeError> {
        match self.caller.changes().take(symbols) {
            true => Ok(()),
            false => {
                self.context.note_limit(Limit::ChangesPerCaller);
                Err(SubscribeError::TooManyChanges(self.caller.changes().per_second()))
            }
        }
    }

    /// What is subscribed and what was sent.
    pub(super) fn summary(&self) -> StreamSummary {
        let (live, replay) = (self.subscriber.sent(), self.replay.as_ref().map(|(replay, _)| replay));
        let replayed = replay.map_or(self.replayed, |replay| replay.sent());
        let name = self.caller.name();
        StreamSummary {
            caller: name.is_authenticated().then(|| name.to_string()),
            symbols: self.subscriber.subscriptions() + replay.map_or(0, |replay| replay.symbols()),
            ticks: live.ticks + replayed.ticks,
            conflated: live.conflated + replayed.conflated,
            gaps: live.gaps + replayed.gaps,
        }
    }

    /// Notes a subscription that is refused for want of room.
    fn refused(&self, full: Full) -> Full {
        self.context.note_limit(full.into());
        full
    }

    /// Subscribes to an instrument.
    fn add(
        &self,
        instrument: &Arc<Instrument>,
        interest: Interest,
        start: Start,
        now: Time,
    ) -> Result<Subscribed, Full> {
        match self.subscriber.subscribe(&*self.worker.tape, instrument, interest, start, now) {
            Subscribed::Full(full) => Err(self.refused(full)),
            subscribed => Ok(subscribed),
        }
    }

    /// The instrument that a request names, if it can be subscribed with these options.
    pub(super) fn find(
        &self,
        symbol: &str,
        options: &CheckedOptions,
    ) -> Result<Arc<Instrument>, SubscribeError> {
        let instrument = self.worker.instrument_for(symbol, options.interest)?;
        options.start_point.start(&self.worker, &instrument).map_err(SubscribeError::TooFarAhead)?;
        Ok(instrument)
    }

    /// Subscribes to a symbol by name.
    pub(super) fn subscribe(
        &self,
        symbol: &str,
        interest: Interest,
        start_point: &StartPoint,
    ) -> Result<Subscribed, SubscribeError> {
        self.change(1)?;
        let instrument = self.worker.instrument_for(symbol, interest).inspect_err(|error| {
            if matches!(error, SubscribeError::NoRoom(_)) {
                self.context.note_limit(Limit::InventedSymbols);
            }
        })?;
        let full = self.subscriber.named() >= super::MAX_SYMBOLS_PER_STREAM;
        if full && !self.subscriber.has_named(&instrument.symbol) {
            return Err(SubscribeError::TooMany);
        }
        let start = start_point.start(&self.worker, &instrument).map_err(SubscribeError::TooFarAhead)?;
        self.add(&instrument, interest, start, self.worker.clock.now()).map_err(SubscribeError::Full)
    }

    /// Begins a replay of instruments, which are all different. Each takes as much memory as ten subscriptions.
    ///
    /// # Errors
    /// There is no room for them.
    pub(super) fn begin_replay(
        &mut self,
        span: ReplaySpan,
        options: CheckedOptions,
        instruments: Vec<Arc<Instrument>>,
    ) -> Result<(), Full> {
        const SUBSCRIPTIONS: usize = 10;
        let amount = instruments.len().saturating_mul(SUBSCRIPTIONS);
        let of_connection = self.context.subscriptions().hold(amount);
        let of_connection = of_connection.ok_or_else(|| self.refused(Full::Connection))?;
        let of_caller = self.caller.usage().symbols().hold(amount);
        let of_caller = of_caller.ok_or_else(|| self.refused(Full::Caller))?;
        let of_server = self.worker.hub.quota().hold(amount).ok_or_else(|| self.refused(Full::Server))?;
        self.subscriber.hold(true);
        let replay = Box::new(Replay::new(&self.worker, span, options, instruments));
        self.replay = Some((replay, vec![of_connection, of_caller, of_server]));
        Ok(())
    }

    /// Begins to subscribe to every instrument that `*` stands for; [`Self::advance`] does the work.
    pub(super) fn subscribe_all(&mut self, interest: Interest, start_point: StartPoint) {
        let listed = self.worker.tape.instruments();
        // The request itself was allowed already.
        let _ = self.change(all_but_tests(&listed).count());
        self.subscribing_all = Some(SubscribingAll { listed, done: 0, interest, start_point });
    }

    /// Whether the first instruments of all are being subscribed: the last price of each of them goes before live ticks.
    pub(super) fn is_subscribing_first(&self) -> bool {
        self.subscribing_all.as_ref().is_some_and(|all| all.done < Self::FIRST)
    }

    /// Whether [`Self::advance`] has something to do.
    pub(super) fn is_subscribing_all(&self) -> bool {
        self.subscribing_all.is_some()
    }

    /// Appends ticks of the replay to `out`, until it holds `budget` bytes.
    pub(super) fn poll_replay(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        reads: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<PullProgress, Failure> {
        let Some((replay, held)) = &mut self.replay else { return Ok(PullProgress::Up) };
        let before = replay.sent();
        let replayed = replay.poll(cx, &self.worker, budget, reads, out);
        let sent = replay.sent().since(before);
        self.counters.add(sent, sent.ticks);
        match replayed {
            Replayed::End => return Ok(PullProgress::Ended),
            Replayed::Present if *reads > 0 => {
                // From now on its symbols count as subscriptions.
                held.clear();
                let more = replay.go_live(&self.worker, &self.subscriber, Self::LIVE_AT_ONCE);
                self.replayed = replay.sent();
                if more.map_err(|full| self.refused(full))? {
                    return Ok(PullProgress::Behind);
                }
                self.replay = None;
            }
            Replayed::Present | Replayed::Data | Replayed::More => return Ok(PullProgress::Behind),
            Replayed::Waiting => {}
        }
        Ok(PullProgress::Up)
    }

    /// Appends ticks of the subscribed instruments to `out`, until it holds `budget` bytes.
    ///
    /// # Errors
    /// The stream must end.
    pub(super) fn poll_live(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        reads: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<PullProgress, Failure> {
        match self.subscriber.poll_pull(cx, budget, reads, out) {
            Poll::Ready(Pulled::More | Pulled::Data { is_behind: true }) => Ok(PullProgress::Behind),
            Poll::Ready(Pulled::Data { is_behind: false }) | Poll::Pending => Ok(PullProgress::Up),
            Poll::Ready(Pulled::Draining) => Ok(PullProgress::Draining),
            Poll::Ready(Pulled::Drained) => {
                // So that the client does not open its next stream on the same connection.
                self.context.notify(Notice::Drain);
                Err(Failure::Stopping)
            }
            Poll::Ready(Pulled::MaxAge) => Err(Failure::MaxAge),
            Poll::Ready(Pulled::Idle) => {
                self.context.note_limit(Limit::IdleStreams);
                Err(Failure::Idle)
            }
        }
    }

    /// Subscribes to more of the listed instruments while the turn lasts. True when all are subscribed.
    ///
    /// # Errors
    /// The limit of subscriptions is reached before all are subscribed.
    pub(super) fn advance(&mut self, turn: Turn) -> Result<bool, Failure> {
        let Some(mut all) = self.subscribing_all.take() else { return Ok(true) };
        let now = self.worker.clock.now();
        while let Some(instrument) = all.listed.get(all.done) {
            if all.done.is_multiple_of(Self::PIECE) && turn.is_over() {
                self.subscribing_all = Some(all);
                return Ok(false);
            }
            all.done += 1;
            if instrument.is_for_tests() {
                continue;
            }
            // It is subscribed already, perhaps from where the request said.
            if all.start_point.named.contains(&instrument.symbol) {
                continue;
            }
            let mut interest = all.interest;
            if Format::V1WithQuotes.is_of(&interest) && !self.worker.has_quotes(instrument) {
                interest.format = Format::V1 as u8;
            }
            // Refused: the status of the symbol says why.
            let Ok(start) = all.start_point.start(&self.worker, instrument) else { continue };
            self.add(instrument, interest, start, now)?;
        }
        Ok(true)
    }
}

/// What a stream has left to send.
pub(super) enum PullProgress {
    /// Nothing that is due, or there is no room for more.
    Up,
    /// More has to be read from the tape than was allowed.
    Behind,
    /// Perhaps more. The stream ends soon, and its client is to be told.
    Draining,
    /// Nothing: the replay is over.
    Ended,
}
