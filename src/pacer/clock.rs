//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::tick::Time;

/// The source of the time that ticks are due by.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The system's wall clock, which the replicas share.
    Wall,
    /// A clock of its own, which showed `time` at `instant` and goes on with tokio's time: tests pause it.
    From {
        /// What the clock showed.
        time: Time,
        /// When it showed it.
        instant: Instant,
    },
}

impl Clock {
    /// The time now; the epoch on a machine whose clock shows an earlier one.
    pub fn now(&self) -> Time {
        match *self {
            Self::Wall => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Time::from_nanos(since.as_nanos().try_into().unwrap_or(u64::MAX))
            }
            Self::From { time, instant } => time + instant.elapsed(),
        }
    }
}
