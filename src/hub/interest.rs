//! What one subscriber wants of one instrument, and how far it has got.

use std::time::Duration;

use crate::tick::Time;

/// What a subscriber wants of an instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// What to send when it falls behind.
    pub delivery: Delivery,
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

impl Default for Delivery {
    fn default() -> Self {
        Self::Latest { min_interval: Duration::ZERO }
    }
}

/// An interest and how far it has got. A slot that is not in use is in no list and carries no mark.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// The number of the watched instrument.
    pub(super) watched: u32,
    /// Its place among the watchers of that instrument.
    pub(super) place: u32,
    /// The first sequence that it lacks.
    pub(super) next: u64,
    pub(super) interest: Interest,
    /// It has had nothing yet: the next tick is the snapshot.
    pub(super) fresh: bool,
    /// When it was last sent something.
    pub(super) sent: Time,
    /// It has something to send and waits for its minimum interval to pass, until then, without signals.
    pub(super) muted_until: Option<Time>,
}

impl Slot {
    /// When the next tick may be sent.
    pub(super) fn not_before(&self) -> Time {
        self.sent + self.min_interval()
    }

    pub(super) fn min_interval(&self) -> Duration {
        match self.interest.delivery {
            Delivery::Latest { min_interval } => min_interval,
            Delivery::EveryTick => Duration::ZERO,
        }
    }
}
