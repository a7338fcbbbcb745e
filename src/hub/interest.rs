//! The options of one subscription and its position on the tape.

use std::time::Duration;

use crate::{
    history::DayFold,
    tick::{Sequence, Time},
};

/// Options of one subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// What to send when it falls behind.
    pub delivery: Delivery,
    /// In which wire format, by its place among those of the hub.
    pub format: u8,
    /// It is there because every instrument was asked for, not because it was named.
    pub unnamed: bool,
}

/// Delivery to a subscriber that falls behind.
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

/// Where a subscription starts.
pub enum Start {
    /// At the last price, followed by live ticks.
    Snapshot,
    /// At the tick of a sequence, which may be long ago or still to come.
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

/// The position of a subscriber on the tape of one instrument. A vacant slot has no mark and is only in the list of vacant
/// slots.
///
/// There is one for each symbol of each stream, and every tick that is delivered reads one, so it is kept small:
/// what is rarely needed is in its [`SlotState`].
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

/// The value of `watched` in a vacant slot, whose `next` is the number of the next vacant slot.
pub(super) const VACANT: u32 = u32::MAX;

/// The slot_state of a slot.
pub(super) struct SlotState {
    pub(super) delivery: PackedDelivery,
    /// With a minimum interval: when the next tick may be sent, or how old it may be while it catches up.
    pub(super) not_before: Time,
    /// With quotes, while it is behind: the figures of the day that it has got to.
    pub(super) day: Option<Box<DayFold>>,
    /// Its place among the watchers of the instrument.
    pub(super) place: u32,
    pub(super) phase: Phase,
    /// As in [`Interest`].
    pub(super) unnamed: bool,
    /// A tick waits to be sent until `not_before`. Until then new ticks do not wake the subscriber.
    pub(super) muted: bool,
}

/// A [`Delivery`] in eight bytes: the minimum interval in nanoseconds, or the largest number for every tick.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedDelivery(u64);

impl PackedDelivery {
    const EVERY_TICK: u64 = u64::MAX;

    pub(super) fn is_every_tick(self) -> bool {
        self.0 == Self::EVERY_TICK
    }

    /// The least time between two ticks; zero for none.
    pub(super) fn min_interval(self) -> Duration {
        if self.is_every_tick() { Duration::ZERO } else { Duration::from_nanos(self.0) }
    }
}

impl From<Delivery> for PackedDelivery {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Latest { min_interval } => {
                let nanos = u64::try_from(min_interval.as_nanos()).unwrap_or(u64::MAX);
                Self(nanos.min(Self::EVERY_TICK - 1))
            }
            Delivery::EveryTick => Self(Self::EVERY_TICK),
        }
    }
}

impl From<PackedDelivery> for Delivery {
    fn from(packed: PackedDelivery) -> Self {
        match packed.is_every_tick() {
            true => Self::EveryTick,
            false => Self::Latest { min_interval: packed.min_interval() },
        }
    }
}

impl SlotState {
    /// The interest of a slot in this format.
    pub(super) fn interest(&self, format: u8) -> Interest {
        Interest { delivery: self.delivery.into(), format, unnamed: self.unnamed }
    }
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
    /// The least time between two ticks; zero for none.
    pub fn min_interval(&self) -> Duration {
        match self.delivery {
            Delivery::Latest { min_interval } => min_interval,
            Delivery::EveryTick => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_kept_small() {
        assert_eq!((size_of::<Slot>(), size_of::<SlotState>()), (16, 32));
    }

    #[test]
    fn a_delivery_is_packed_and_unpacked() {
        let latest = |nanos| Delivery::Latest { min_interval: Duration::from_nanos(nanos) };
        for delivery in [Delivery::EveryTick, latest(0), latest(1), latest(u64::MAX - 1)] {
            assert_eq!(Delivery::from(PackedDelivery::from(delivery)), delivery);
        }
        let longest = Delivery::Latest { min_interval: Duration::MAX };
        assert_eq!(Delivery::from(PackedDelivery::from(longest)), latest(u64::MAX - 1));
    }
}
