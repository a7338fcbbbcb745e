//! What time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::speed::Speed;
use crate::tick::Time;

/// The clock by which ticks are due.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The system's wall clock, which the replicas share.
    Wall,
    /// The time of a tape that is played: it is `tape` when the wall clock shows `wall`, and runs `speed` times as fast.
    Played {
        /// A point of the tape.
        tape: Time,
        /// The wall clock at that point.
        wall: Time,
        /// The speed, before and after that point.
        speed: Speed,
    },
    /// A clock that showed `time` at `instant` and runs with tokio's time, which tests can pause.
    From {
        /// What the clock showed.
        time: Time,
        /// When it showed it.
        instant: Instant,
    },
}

impl Clock {
    /// The time now, limited to the range from the Unix epoch to [`Time::MAX`].
    pub fn now(&self) -> Time {
        match *self {
            Self::Wall => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Time::from_nanos(since.as_nanos().try_into().unwrap_or(u64::MAX))
            }
            Self::Played { tape, wall, speed } => speed.played(tape, wall, Self::Wall.now()),
            Self::From { time, instant } => time + instant.elapsed(),
        }
    }

    /// How fast the time of this clock passes.
    pub fn speed(&self) -> Speed {
        match *self {
            Self::Wall | Self::From { .. } => Speed::REAL,
            Self::Played { speed, .. } => speed,
        }
    }

    /// How much time of this clock passes in a real duration. Settings and requests are in real time; ticks are in the time
    /// of the clock.
    pub fn span(&self, real: Duration) -> Duration {
        self.speed().of(real)
    }

    /// The real time until this clock shows `time`; zero if it shows that time or a later one.
    pub fn until(&self, time: Time) -> Duration {
        self.speed().takes(Duration::from_nanos(time.nanos().saturating_sub(self.now().nanos())))
    }
}
