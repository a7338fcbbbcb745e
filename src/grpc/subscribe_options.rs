//! What a request wants of its symbols: how they are delivered and from where on. Checked before anything is changed.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use super::{Format, WorkerContext, convert, subscribe_error::TooFarAhead};
use crate::{
    contract::v1::{self, Subscription, SymbolStatusCode as Code},
    hub::{Delivery, Interest, Start},
    pacer::Clock,
    tape::{Instrument, Series},
    tick::{Sequence, Symbol, Time},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST_MIN_INTERVAL: Duration = DAY;
/// How far ahead a subscription may begin, in real time. A client that names a later tick would wait in silence.
const LONGEST_WAIT: Duration = DAY;

/// The options of one request, the same for all of its symbols.
pub(super) struct CheckedOptions {
    pub(super) interest: Interest,
    pub(super) start_point: StartPoint,
}

/// From where on symbols are wanted: from now, unless it says something else.
#[derive(Default)]
pub(super) struct StartPoint {
    /// After the last sequence that the client has seen.
    pub(super) after: BTreeMap<String, u64>,
    /// From a point in time, for the others.
    pub(super) time: Option<Time>,
    /// The symbols that the request names; a `*` beside them leaves them as they are.
    pub(super) named: HashSet<Symbol>,
}

/// Why every symbol of a request is refused.
pub(super) struct InvalidOptions {
    pub(super) code: Code,
    pub(super) message: String,
}

impl CheckedOptions {
    pub(super) fn of(
        worker: &WorkerContext,
        subscription: &mut Subscription,
    ) -> Result<Self, InvalidOptions> {
        let own = &worker.tape.identity().tape_id;
        if !subscription.tape_id.is_empty() && subscription.tape_id != *own {
            let message = format!("this replica plays the tape {own}, so its sequences mean other ticks");
            return Err(InvalidOptions { code: Code::ForeignTape, message });
        }
        let time = match subscription.start_time {
            Some(time) => Some(convert::time(time).ok_or_else(|| malformed_time("start_time"))?),
            None => None,
        };
        if time.is_some_and(|time| time > latest_start(worker.clock)) {
            return Err(start_too_far_ahead(worker.clock));
        }
        let delivery = delivery(subscription, worker.clock)?;
        let interest = Interest { delivery, format: format(subscription)? as u8, unnamed: false };
        let after = std::mem::take(&mut subscription.after_sequence);
        let named = subscription.symbols.iter().filter_map(|symbol| symbol.parse().ok()).collect();
        Ok(Self { interest, start_point: StartPoint { after, time, named } })
    }
}

impl StartPoint {
    /// The start of an instrument's subscription.
    ///
    /// # Errors
    /// The sequence to resume after is due in more than a day, or never.
    pub(super) fn start(
        &self,
        worker: &WorkerContext,
        instrument: &Instrument,
    ) -> Result<Start, TooFarAhead> {
        match (self.after.get(instrument.symbol.as_str()), self.time) {
            (Some(after), _) => {
                is_near(*after, &*worker.tape.series(instrument), worker.clock)?;
                Ok(Start::at(Sequence(*after).next()))
            }
            (None, Some(time)) => Ok(Start::at(worker.tape.series(instrument).sequence_from(time))),
            (None, None) => Ok(Start::Snapshot),
        }
    }

    /// Whether the request names a symbol, well formed or not. `symbols` are its own.
    pub(super) fn names(&self, symbol: &str, symbols: &[String]) -> bool {
        match symbol.parse() {
            Ok(symbol) => self.named.contains(&symbol),
            Err(_) => symbols.iter().any(|named| named == symbol),
        }
    }
}

/// The last time at which a subscription may begin.
fn latest_start(clock: Clock) -> Time {
    clock.now() + clock.span(LONGEST_WAIT)
}

fn start_too_far_ahead(clock: Clock) -> InvalidOptions {
    let now = convert::rfc3339_to_the_second(clock.now().parts().0);
    InvalidOptions::invalid(format!("start_time is more than a day ahead: the time on the tape is {now}Z"))
}

/// Checks that a tick is due within [`LONGEST_WAIT`]. Sequences before the first tick are never too far ahead.
fn is_near(after: u64, series: &dyn Series, clock: Clock) -> Result<(), TooFarAhead> {
    let furthest = series.sequence_at(latest_start(clock)).unwrap_or_else(|| series.first().previous());
    if after <= furthest.0 {
        return Ok(());
    }
    Err(match series.sequence_at(clock.now()) {
        Some(newest) => TooFarAhead::OfNewest { after, newest },
        None => TooFarAhead::OfFirst { after, first: series.first() },
    })
}

impl InvalidOptions {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { code: Code::InvalidArgument, message: message.into() }
    }
}

pub(super) fn malformed_time(field: &str) -> InvalidOptions {
    InvalidOptions::invalid(format!("{field} {}", convert::NO_TIMESTAMP))
}

fn delivery(subscription: &Subscription, clock: Clock) -> Result<Delivery, InvalidOptions> {
    let asked = subscription.min_interval.unwrap_or_default();
    let min_interval = convert::positive_duration(asked)
        .filter(|interval| *interval <= LONGEST_MIN_INTERVAL)
        .ok_or_else(|| InvalidOptions::invalid("min_interval must be from 0 to one day"))?;
    let unknown = subscription.delivery;
    match v1::Delivery::try_from(unknown) {
        Ok(v1::Delivery::Unspecified | v1::Delivery::Latest) => {
            // The request is in real time; the hub counts in the time of the tape.
            Ok(Delivery::Latest { min_interval: clock.span(min_interval) })
        }
        Ok(v1::Delivery::EveryTick) if min_interval.is_zero() => Ok(Delivery::EveryTick),
        Ok(v1::Delivery::EveryTick) => {
            Err(InvalidOptions::invalid("min_interval goes only with DELIVERY_LATEST: it leaves ticks out"))
        }
        Err(_) => Err(InvalidOptions::invalid(format!(
            "delivery {unknown} is unknown: use DELIVERY_LATEST or DELIVERY_EVERY_TICK"
        ))),
    }
}

fn format(subscription: &Subscription) -> Result<Format, InvalidOptions> {
    match v1::Detail::try_from(subscription.detail) {
        Ok(v1::Detail::Unspecified | v1::Detail::Ltp) => Ok(Format::V1),
        Ok(v1::Detail::Quote) => Ok(Format::V1WithQuotes),
        Err(_) => {
            let unknown = subscription.detail;
            Err(InvalidOptions::invalid(format!(
                "detail {unknown} is unknown: use DETAIL_LTP or DETAIL_QUOTE"
            )))
        }
    }
}
