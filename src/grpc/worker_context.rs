//! What every session and unary call of one worker works with.

use std::sync::Arc;

use super::{
    Caller, ConnectionContext, Format, HistoryPool, SymbolRefusals, Turns, subscribe_error::SubscribeError,
    wire,
};
use crate::{
    feed::Intake,
    history::DayFold,
    hub::{Hub, Interest, Limits, Quota, StreamQuotas, Subscriber},
    pacer::Clock,
    tape::{Instrument, Missing, Tape},
    tick::Symbol,
};

/// What every session and unary call of one worker works with. Clones share it.
#[derive(Clone)]
pub struct WorkerContext {
    /// The ticks.
    pub tape: Arc<dyn Tape>,
    /// The worker's subscribers.
    pub hub: Arc<Hub>,
    /// The time.
    pub clock: Clock,
    /// Threads that read history.
    pub history: HistoryPool,
    /// The turns of the worker: all its work except live ticks is done in them.
    pub turns: Turns,
    /// Counts the symbols that are refused.
    pub refusals: Arc<SymbolRefusals>,
    /// Takes published ticks, if the tape is a feed.
    pub intake: Option<Intake>,
}

impl WorkerContext {
    /// A worker with a hub that speaks both packages' formats.
    ///
    /// `subscriptions` is the limit of subscriptions of the server.
    pub fn new(
        tape: Arc<dyn Tape>,
        clock: Clock,
        limits: Limits,
        subscriptions: Arc<Quota>,
        history: HistoryPool,
        refusals: Arc<SymbolRefusals>,
    ) -> Self {
        let tape_id = &tape.identity().tape_id;
        let hub = Hub::new(
            limits,
            vec![
                Box::new(wire::GogenFormat::default()),
                Box::new(wire::V1Format::new(tape_id)),
                Box::new(wire::V1Format::with_quotes(tape_id)),
            ],
            subscriptions,
        );
        let hub = Arc::new(hub.with_cache(history.cache().clone()));
        Self { tape, hub, clock, history, turns: Turns::default(), refusals, intake: None }
    }

    /// The same worker, whose tape is that of a feed.
    #[must_use]
    pub fn with_intake(self, intake: Option<Intake>) -> Self {
        Self { intake, ..self }
    }

    /// The same worker, with the part of the tape that a caller sees.
    pub(super) fn visible_to(self, caller: &Caller) -> Self {
        Self { tape: caller.visible(self.tape), ..self }
    }

    pub(super) fn join(&self, format: Format, context: &ConnectionContext, caller: &Caller) -> Subscriber {
        let quotas =
            StreamQuotas { caller: caller.usage().symbols().clone(), connection: context.subscriptions() };
        Subscriber::join(self.hub.clone(), format as u8, quotas, self.clock.now())
    }

    /// The instrument that a client names.
    pub(super) fn instrument(&self, symbol: &str) -> Result<Arc<Instrument>, SubscribeError> {
        let symbol = symbol.parse().map_err(SubscribeError::Malformed)?;
        self.tape.instrument(&symbol).map_err(|missing| match missing {
            Missing::Unknown => SubscribeError::Unknown(symbol),
            Missing::NoRoom { .. } => SubscribeError::NoRoom(missing),
        })
    }

    /// Whether a symbol is one of those that `*` stands for.
    pub(super) fn is_listed(&self, symbol: &Symbol) -> bool {
        self.listed(symbol.as_str()).is_some()
    }

    /// The instrument of a symbol that `*` stands for.
    pub(super) fn listed(&self, symbol: &str) -> Option<Arc<Instrument>> {
        let listed = self.tape.instruments();
        let at = listed.binary_search_by(|instrument| instrument.symbol.as_str().cmp(symbol)).ok()?;
        listed.get(at).filter(|instrument| !instrument.is_for_tests()).cloned()
    }

    /// The instrument that a client wants with an interest.
    pub(super) fn instrument_for(
        &self,
        symbol: &str,
        interest: Interest,
    ) -> Result<Arc<Instrument>, SubscribeError> {
        let instrument = self.instrument(symbol)?;
        match Format::V1WithQuotes.is_of(&interest) && !self.has_quotes(&instrument) {
            true => Err(SubscribeError::NoQuotes),
            false => Ok(instrument),
        }
    }

    pub(super) fn has_quotes(&self, instrument: &Instrument) -> bool {
        let series = self.tape.series(instrument);
        DayFold::is_feasible(&*series, &instrument.trading_days(), self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use tokio::time::Instant;

    use super::*;
    use crate::{
        hub::{Delivery, Start},
        tape::{Simulated, Universe},
        tick::Time,
    };

    const HOUR: u64 = 3_600_000_000_000;
    const MIDNIGHT: u64 = 20_000 * 24 * HOUR;

    /// A worker at 20:00 UTC of a day with one tick a second on average.
    fn worker(history: &HistoryPool) -> WorkerContext {
        let instruments = "[[instrument]]\nsymbol = \"A\"\nreference_price = 10\ntick_interval = \"1s\"";
        let tape = Arc::new(Simulated::new(7, Universe::parse(instruments, "test").unwrap()));
        let time = Time::from_nanos(MIDNIGHT + 20 * HOUR);
        let clock = Clock::From { time, instant: Instant::now() };
        let quota = Quota::unlimited();
        let worker =
            WorkerContext::new(tape, clock, Limits::default(), quota, history.clone(), Arc::default());
        worker.hub.begin_flush().finish(time);
        worker
    }

    /// How many ticks are read for the first quote of a reader.
    fn reads_for_a_quote(worker: &WorkerContext) -> usize {
        let format = Format::V1WithQuotes as u8;
        let now = worker.clock.now();
        let reader = Subscriber::join(worker.hub.clone(), format, Quota::unlimited().into(), now);
        let interest = Interest { delivery: Delivery::default(), format, unnamed: false };
        let instrument = worker.listed("A").unwrap();
        reader.subscribe(&*worker.tape, &instrument, interest, Start::Snapshot, now);
        let (mut left, mut out) = (usize::MAX, Vec::new());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(reader.poll_pull(&mut cx, 10_000, &mut left, &mut out).is_ready() && !out.is_empty());
        usize::MAX - left
    }

    #[tokio::test]
    async fn the_first_quote_on_a_worker_needs_only_a_part_of_the_day_that_another_worker_has_read() {
        let history = HistoryPool::default();
        let first = worker(&history);
        let series = first.tape.series(&first.listed("A").unwrap());
        let before = |hour: u64| series.sequence_from(Time::from_nanos(MIDNIGHT + hour * HOUR)).0 as usize;
        assert!(reads_for_a_quote(&first) >= before(20) - before(0) - 1);
        let reads = reads_for_a_quote(&worker(&history));
        assert!(reads <= before(20) - before(19) + 20 * 16, "{reads}");
    }
}
