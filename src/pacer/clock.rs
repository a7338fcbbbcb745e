//! What time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::speed::Speed;
use crate::tick::Time;

/// The source of the time that ticks are due by.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The system's wall clock, which the replicas share.
    Wall,
    /// The time on a tape that is played: `tape` when the wall clock shows `wall`, and `speed` times as fast.
    Played {
        /// A point of the tape.
        tape: Time,
        /// When it plays.
        wall: Time,
        /// How fast it plays, before and after.
        speed: Speed,
    },
    /// A clock of its own, which showed `time` at `instant` and goes on with tokio's time: tests pause it.
    From {
        /// What the clock showed.
        time: Time,
        /// When it showed it.
        instant: Instant,
    },
}

impl Clock {
    /// The time now; the epoch on a machine whose clock shows an earlier one, and [`Time::MAX`] for ever after that.
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

    /// How fast its time passes.
    pub fn speed(&self) -> Speed {
        match *self {
            Self::Wall | Self::From { .. } => Speed::REAL,
            Self::Played { speed, .. } => speed,
        }
    }

    /// How much of its time passes in a real duration: settings and requests count in real time, ticks in this one.
    pub fn span(&self, real: Duration) -> Duration {
        self.speed().of(real)
    }

    /// How long it takes in real time until it shows `time`; zero when it does.
    pub fn until(&self, time: Time) -> Duration {
        self.speed().takes(Duration::from_nanos(time.nanos().saturating_sub(self.now().nanos())))
    }
}
