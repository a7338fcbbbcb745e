//! What a subscription asks for.

use std::time::Duration;

use crate::tick::Time;

/// What to subscribe to, and how.
///
/// ```
/// use std::time::Duration;
///
/// use ticker::client::{Detail, SubscribeOptions};
///
/// let options = SubscribeOptions::new(["RELIANCE", "TCS"])
///     .with_detail(Detail::Quote)
///     .with_min_interval(Duration::from_secs(1));
/// assert_eq!(options.symbols, ["RELIANCE", "TCS"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscribeOptions {
    /// Symbols; `*` stands for every listed instrument.
    pub symbols: Vec<String>,
    /// What the server sends to a client that falls behind. The default is [`Delivery::Latest`].
    pub delivery: Delivery,
    /// What comes with each tick. The default is [`Detail::Ltp`].
    pub detail: Detail,
    /// Least time between two ticks of one symbol. Only with [`Delivery::Latest`].
    pub min_interval: Option<Duration>,
}

/// Which past to replay, and how fast.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReplayOptions {
    /// The time to begin at.
    pub from: Time,
    /// The time to end before. Without it the replay goes on with live ticks.
    pub to: Option<Time>,
    /// 1 is as fast as the ticks took place, 10 is ten times as fast, 0 is as fast as this program reads them.
    pub speed: f64,
}

/// What a client that falls behind is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// The newest tick of each symbol: those in between are conflated, and counted in
    /// [`LiveTick::conflated`](super::LiveTick::conflated).
    #[default]
    Latest,
    /// Every tick, in order. A client that falls behind by more than the server's maximum lag gets an
    /// [`Event::Gap`](super::Event::Gap).
    EveryTick,
}

/// What comes with each tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// The last traded price alone.
    #[default]
    Ltp,
    /// The best bid and ask, and the figures of the day: [`LiveTick::quote`](super::LiveTick::quote) is set. An
    /// instrument with more than 100 million ticks a day has no quotes: it is refused, and under `*` it comes without.
    Quote,
}

impl SubscribeOptions {
    /// Asks for symbols, with the defaults of everything else.
    pub fn new(symbols: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { symbols: symbols.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Sets what the server sends to a client that falls behind.
    pub fn with_delivery(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }

    /// Sets what comes with each tick.
    pub fn with_detail(self, detail: Detail) -> Self {
        Self { detail, ..self }
    }

    /// Sets the least time between two ticks of one symbol.
    pub fn with_min_interval(self, min_interval: impl Into<Option<Duration>>) -> Self {
        Self { min_interval: min_interval.into(), ..self }
    }
}

impl ReplayOptions {
    /// Replays from a time on, as fast as the ticks took place, and goes on with live ticks.
    pub fn new(from: Time) -> Self {
        Self { from, to: None, speed: 1.0 }
    }

    /// Ends the replay before a time.
    pub fn with_to(self, to: impl Into<Option<Time>>) -> Self {
        Self { to: to.into(), ..self }
    }

    /// Sets the speed.
    pub fn with_speed(self, speed: f64) -> Self {
        Self { speed, ..self }
    }
}
