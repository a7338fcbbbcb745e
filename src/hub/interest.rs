//! What one subscriber wants of one instrument, and how far it has got.

use std::time::Duration;

use crate::{
    history::DayFold,
    tick::{Sequence, Time},
};

/// What a subscriber wants of an instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// What to send when it falls behind.
    pub delivery: Delivery,
    /// In which wire format, by its place among those of the hub.
    pub format: u8,
    /// It is there because every instrument was asked for, not because it was named.
    pub unnamed: bool,
}

/// What is sent to a subscriber that falls behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The newest tick, which says how many it stands for.
    Latest {
        /// The least time between two ticks; zero for none.
        min_interval: Duration,
    },
    /// Every tick, as fast as it takes them.
    EveryTick,
}

/// With what a subscription begins.
pub enum Start {
    /// With the last price; then live ticks.
    Snapshot,
    /// With the tick of a sequence, however long ago it was; a tick of the future is waited for.
    At {
        /// The sequence.
        next: Sequence,
        /// With a minimum interval: the least time of the tick, those before which it stands for.
        not_before: Time,
        /// With quotes: figures of the day that have not got beyond the sequence, where there are some.
        day: Option<Box<DayFold>>,
    },
}

impl Start {
    /// With the tick of this very sequence.
    pub fn at(next: Sequence) -> Self {
        Self::At { next, not_before: Time::default(), day: None }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self::Latest { min_interval: Duration::ZERO }
    }
}

/// How far a subscriber has got with one instrument. A slot that is not in use is in no list and carries no mark.
///
/// There is one for each symbol of each stream, and every tick that is delivered reads one, so it is kept small:
/// what is rarely needed is in its [`Terms`].
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// The first sequence that it lacks.
    pub(super) next: u64,
    /// The number of the watched instrument.
    pub(super) watched: u32,
    /// The place of its wire format.
    pub(super) format: u8,
    /// It takes whatever a flush publishes: it is live and has no minimum interval.
    pub(super) plain: bool,
}

/// The terms of a slot.
pub(super) struct Terms {
    pub(super) interest: Interest,
    /// Its place among the watchers of the instrument.
    pub(super) place: u32,
    pub(super) phase: Phase,
    /// With a minimum interval: when the next tick may be sent, or how old it may be while it catches up.
    pub(super) not_before: Time,
    /// It has something to send and waits until then, without signals.
    pub(super) muted_until: Option<Time>,
    /// With quotes, while it is behind: the figures of the day that it has got to.
    pub(super) day: Option<Box<DayFold>>,
}

/// Where a slot is in its life.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has had nothing yet: the next tick is the snapshot.
    Fresh,
    /// It reads on from where it was resumed, whatever its delivery is.
    CatchingUp,
    /// It has reached the present.
    Live,
}

impl Interest {
    /// Whether what is sent, and when, is the same.
    pub(super) fn has_options_of(&self, other: &Self) -> bool {
        self.delivery == other.delivery && self.format == other.format
    }

    /// The least time between two ticks; zero for none.
    pub fn min_interval(&self) -> Duration {
        match self.delivery {
            Delivery::Latest { min_interval } => min_interval,
            Delivery::EveryTick => Duration::ZERO,
        }
    }
}
