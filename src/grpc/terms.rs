//! What a request wants of its symbols: how they are delivered and from where on. Checked before anything is changed.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use super::{Feed, Format, convert};
use crate::{
    contract::v1::{self, Subscription, SymbolStatusCode as Code},
    hub::{Delivery, Interest, Start},
    pacer::Clock,
    tape::Instrument,
    tick::{Sequence, Symbol, Time},
};

const LONGEST_MIN_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The terms of one request, the same for all of its symbols.
pub(super) struct Terms {
    pub(super) interest: Interest,
    pub(super) origin: Origin,
}

/// From where on symbols are wanted: from now, unless it says something else.
#[derive(Default)]
pub(super) struct Origin {
    /// After the last sequence that the client has seen.
    pub(super) after: BTreeMap<String, u64>,
    /// From a point in time, for the others.
    pub(super) time: Option<Time>,
    /// The symbols that the request names; a `*` beside them leaves them as they are.
    pub(super) named: HashSet<Symbol>,
}

/// Why every symbol of a request is refused.
pub(super) struct Objection {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Terms {
    pub(super) fn of(feed: &Feed, subscription: &mut Subscription) -> Result<Self, Objection> {
        let own = &feed.tape.identity().tape_id;
        if !subscription.tape_id.is_empty() && subscription.tape_id != *own {
            let message = format!("this replica plays the tape {own}, so its sequences mean other ticks");
            return Err(Objection { code: Code::ForeignTape, message });
        }
        let time = match subscription.start_time {
            Some(time) => Some(convert::time(time).ok_or_else(|| malformed_time("start_time"))?),
            None => None,
        };
        let delivery = delivery(subscription, feed.clock)?;
        let interest = Interest { delivery, format: format(subscription)? as u8, unnamed: false };
        let after = std::mem::take(&mut subscription.after_sequence);
        let named = subscription.symbols.iter().filter_map(|symbol| symbol.parse().ok()).collect();
        Ok(Self { interest, origin: Origin { after, time, named } })
    }
}

impl Origin {
    /// The start of an instrument's subscription.
    pub(super) fn start(&self, feed: &Feed, instrument: &Instrument) -> Start {
        match (self.after.get(instrument.symbol.as_str()), self.time) {
            (Some(after), _) => Start::at(Sequence(*after).next()),
            (None, Some(time)) => Start::at(feed.tape.series(instrument).sequence_from(time)),
            (None, None) => Start::Snapshot,
        }
    }
}

impl Objection {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { code: Code::InvalidArgument, message: message.into() }
    }
}

pub(super) fn malformed_time(field: &str) -> Objection {
    Objection::invalid(format!("{field} {}", convert::NO_TIMESTAMP))
}

fn delivery(subscription: &Subscription, clock: Clock) -> Result<Delivery, Objection> {
    let asked = subscription.min_interval.unwrap_or_default();
    let min_interval = convert::positive_duration(asked)
        .filter(|interval| *interval <= LONGEST_MIN_INTERVAL)
        .ok_or_else(|| Objection::invalid("min_interval must be from 0 to one day"))?;
    let unknown = subscription.delivery;
    match v1::Delivery::try_from(unknown) {
        Ok(v1::Delivery::Unspecified | v1::Delivery::Latest) => {
            // The request is in real time; the hub counts in the time of the tape.
            Ok(Delivery::Latest { min_interval: clock.span(min_interval) })
        }
        Ok(v1::Delivery::EveryTick) if min_interval.is_zero() => Ok(Delivery::EveryTick),
        Ok(v1::Delivery::EveryTick) => {
            Err(Objection::invalid("min_interval goes only with DELIVERY_LATEST: it leaves ticks out"))
        }
        Err(_) => Err(Objection::invalid(format!(
            "delivery {unknown} is unknown: use DELIVERY_LATEST or DELIVERY_EVERY_TICK"
        ))),
    }
}

fn format(subscription: &Subscription) -> Result<Format, Objection> {
    match v1::Detail::try_from(subscription.detail) {
        Ok(v1::Detail::Unspecified | v1::Detail::Ltp) => Ok(Format::V1),
        Ok(v1::Detail::Quote) => Ok(Format::V1WithQuotes),
        Err(_) => {
            let unknown = subscription.detail;
            Err(Objection::invalid(format!("detail {unknown} is unknown: use DETAIL_LTP or DETAIL_QUOTE")))
        }
    }
}
