//! Reference data of an instrument.

use std::{num::NonZeroU64, time::Duration};

use super::convert::{self, Malformed};
use crate::{
    contract::v1,
    tick::{Price, Symbol, Time},
};

/// What a server says about an instrument.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InstrumentInfo {
    /// The symbol.
    pub symbol: Symbol,
    /// The full name.
    pub name: String,
    /// The kind of instrument, for example `equity`, `index`, `currency` or `crypto`. `test` for a symbol for tests.
    pub kind: String,
    /// The currency of its prices, for example `INR`; empty when it has none, as an index does.
    pub currency: String,
    /// The price that the prices of a simulated tape stay near.
    pub reference_price: Price,
    /// Every price is a multiple of this.
    pub price_increment: Price,
    /// The size of one unit of quantity, in units of 1e-9 of a share or coin: 1e9 is one share.
    pub quantity_increment_nanos: NonZeroU64,
    /// Annualised standard deviation of the log returns of a day or less: 0.25 is 25 %. Zero on a recorded tape.
    pub annual_volatility: f64,
    /// Mean time between two ticks while it trades. `None` on a recorded tape.
    pub tick_interval: Option<Duration>,
    /// When its trading day begins, after 00:00 UTC.
    pub day_start: Duration,
    /// The hours of its market, for example `09:15-15:30 Asia/Kolkata Mon-Fri`; empty when it never closes.
    pub hours: String,
    /// Whether it trades only within its hours. Its trading days then begin when its market opens, and `day_start` is zero.
    pub closes: bool,
    /// Whether it traded when the server answered. `None` when that is not known.
    pub status: Option<InstrumentStatus>,
    /// When its status changes next. `None` when it never does, or when that is not known.
    pub next_status_change: Option<Time>,
}

/// Whether an instrument trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstrumentStatus {
    /// It trades.
    Open,
    /// Its market is closed.
    Closed,
    /// Its market is open, and its trading is interrupted.
    Halted,
}

impl InstrumentInfo {
    /// Whether it is one of the symbols for tests, which `*` leaves out.
    pub fn is_for_tests(&self) -> bool {
        self.kind == "test"
    }
}

impl InstrumentStatus {
    /// Its name: `open`, `closed` or `halted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Halted => "halted",
        }
    }

    pub(super) fn of(status: v1::InstrumentStatus) -> Option<Self> {
        match status {
            v1::InstrumentStatus::Unspecified => None,
            v1::InstrumentStatus::Open => Some(Self::Open),
            v1::InstrumentStatus::Closed => Some(Self::Closed),
            v1::InstrumentStatus::Halted => Some(Self::Halted),
        }
    }
}

impl InstrumentInfo {
    pub(super) fn of(instrument: &v1::Instrument) -> Result<Self, Malformed> {
        let price =
            |nanos| Price::from_nanos(nanos).ok_or(Malformed("an instrument without a positive price"));
        let quantity_increment = u64::try_from(instrument.quantity_increment_nanos).ok();
        Ok(Self {
            symbol: convert::symbol(&instrument.symbol)?,
            name: instrument.name.clone(),
            kind: instrument.kind.clone(),
            currency: instrument.currency.clone(),
            reference_price: price(instrument.reference_price_nanos)?,
            price_increment: price(instrument.price_increment_nanos)?,
            quantity_increment_nanos: quantity_increment
                .and_then(NonZeroU64::new)
                .ok_or(Malformed("an instrument without a quantity increment"))?,
            annual_volatility: instrument.annual_volatility,
            tick_interval: instrument.tick_interval.as_ref().map(convert::duration).transpose()?,
            day_start: instrument.day_start.as_ref().map_or(Ok(Duration::ZERO), convert::duration)?,
            hours: instrument.hours.clone(),
            closes: instrument.closes,
            status: InstrumentStatus::of(instrument.status()),
            next_status_change: instrument
                .next_status_time
                .as_ref()
                .map(|time| convert::time(Some(time)))
                .transpose()?,
        })
    }
}
