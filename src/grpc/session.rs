//! What the conversations of both packages share: the subscriber of a stream and its answers.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    ConnectionContext, Format, Turn, WorkerContext,
    replay::{Replay, Replayed, Span},
    status::Failure,
    subscribe_error::SubscribeError,
    subscribe_options::{CheckedOptions, StartPoint},
};
use crate::{
    hub::{Full, Interest, Pulled, Quota, QuotaHold, Subscribed, Subscriber},
    tape::Instrument,
};

/// The server's side of one stream.
pub(super) struct Session {
    pub(super) worker: WorkerContext,
    pub(super) subscriber: Subscriber,
    /// Answers that are not sent yet: they go before any tick.
    pub(super) outbox: Vec<u8>,
    /// Set while every instrument is being subscribed.
    subscribing_all: Option<SubscribingAll>,
    /// What goes before live ticks, in a watch that asked for it, and what it holds of the quotas of subscriptions.
    replay: Option<(Box<Replay>, Vec<QuotaHold>)>,
    /// Counts the subscriptions of the connection.
    quota: Arc<Quota>,
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
    /// How many instruments are subscribed before ticks are sent when all are asked for.
    const FIRST: usize = 1_024;
    /// Largest number of symbols of a replay that become live in one step.
    const LIVE_AT_ONCE: usize = 64;

    pub(super) fn new(worker: WorkerContext, format: Format, context: &ConnectionContext) -> Self {
        let subscriber = worker.join(format, context);
        let quota = context.subscriptions();
        Self { worker, subscriber, outbox: Vec::new(), subscribing_all: None, replay: None, quota }
    }

    /// The instrument that a request names, if it can be subscribed on its options.
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
        let instrument = self.worker.instrument_for(symbol, interest)?;
        let full = self.subscriber.named() >= super::MAX_SYMBOLS_PER_STREAM;
        if full && !self.subscriber.has_named(&instrument.symbol) {
            return Err(SubscribeError::TooMany);
        }
        let start = start_point.start(&self.worker, &instrument).map_err(SubscribeError::TooFarAhead)?;
        let now = self.worker.clock.now();
        match self.subscriber.subscribe(&*self.worker.tape, &instrument, interest, start, now) {
            Subscribed::Full(full) => Err(SubscribeError::Full(full)),
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
        options: CheckedOptions,
        instruments: Vec<Arc<Instrument>>,
    ) -> Result<(), Full> {
        const SUBSCRIPTIONS: usize = 10;
        let amount = instruments.len().saturating_mul(SUBSCRIPTIONS);
        let of_connection = self.quota.hold(amount).ok_or(Full::Connection)?;
        let of_server = self.worker.hub.quota().hold(amount).ok_or(Full::Server)?;
        self.subscriber.hold(true);
        let replay = Box::new(Replay::new(&self.worker, span, options, instruments));
        self.replay = Some((replay, vec![of_connection, of_server]));
        Ok(())
    }

    /// Begins to subscribe to every listed instrument; [`Self::advance`] does the work.
    pub(super) fn subscribe_all(&mut self, interest: Interest, start_point: StartPoint) {
        let listed = self.worker.tape.instruments();
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

    /// Appends what is to be replayed to `out`, until it holds `budget` bytes.
    pub(super) fn poll_replay(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        reads: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<PullProgress, Failure> {
        let Some((replay, held)) = &mut self.replay else { return Ok(PullProgress::Up) };
        match replay.poll(cx, &self.worker, budget, reads, out) {
            Replayed::End => return Ok(PullProgress::Closed),
            Replayed::Present if *reads > 0 => {
                // From here on its symbols count as subscriptions.
                held.clear();
                if replay.go_live(&self.worker, &self.subscriber, Self::LIVE_AT_ONCE)? {
                    return Ok(PullProgress::Behind);
                }
                self.replay = None;
            }
            Replayed::Present | Replayed::Data | Replayed::More => return Ok(PullProgress::Behind),
            Replayed::Waiting => {}
        }
        Ok(PullProgress::Up)
    }

    /// Appends ticks of what is subscribed to `out`, until it holds `budget` bytes.
    pub(super) fn poll_live(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        reads: &mut usize,
        out: &mut Vec<u8>,
    ) -> PullProgress {
        match self.subscriber.poll_pull(cx, budget, reads, out) {
            Poll::Ready(Pulled::Closed) => PullProgress::Closed,
            Poll::Ready(Pulled::Idle) => PullProgress::Idle,
            Poll::Ready(Pulled::More | Pulled::Data { is_behind: true }) => PullProgress::Behind,
            Poll::Ready(Pulled::Data { is_behind: false }) | Poll::Pending => PullProgress::Up,
        }
    }

    /// Subscribes to more of the listed instruments while the turn lasts. True when all are subscribed.
    ///
    /// # Errors
    /// The limit of subscriptions is reached before all are subscribed.
    pub(super) fn advance(&mut self, turn: Turn) -> Result<bool, Failure> {
        let Some(mut all) = self.subscribing_all.take() else { return Ok(true) };
        let tape = &*self.worker.tape;
        let now = self.worker.clock.now();
        while let Some(instrument) = all.listed.get(all.done) {
            if all.done.is_multiple_of(Self::PIECE) && turn.is_over() {
                self.subscribing_all = Some(all);
                return Ok(false);
            }
            all.done += 1;
            // It is subscribed already, perhaps from where the request said.
            if all.start_point.named.contains(&instrument.symbol) {
                continue;
            }
            let mut interest = all.interest;
            if Format::V1WithQuotes.is_of(&interest) && !self.worker.has_quotes(instrument) {
                interest.format = Format::V1 as u8;
            }
            // It is refused, which its status has said.
            let Ok(start) = all.start_point.start(&self.worker, instrument) else { continue };
            if let Subscribed::Full(full) = self.subscriber.subscribe(tape, instrument, interest, start, now)
            {
                return Err(full.into());
            }
        }
        Ok(true)
    }
}

/// How far a stream has got with what it has to send.
pub(super) enum PullProgress {
    /// It has everything that is due, or as much as there is room for.
    Up,
    /// There is more to read than was allowed.
    Behind,
    /// There is nothing more to send, ever.
    Closed,
    /// It has asked for nothing for too long.
    Idle,
}
