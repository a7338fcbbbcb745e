//! The tape that a server plays, and the time on it.

use std::time::{Duration, SystemTime};

use super::convert::{self, Malformed};
use crate::{contract::v1, tick::Time};

/// What a server says about its tape.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TapeInfo {
    /// The identity of the tape: two servers with the same id send the same ticks.
    pub id: String,
    /// Where the ticks come from.
    pub kind: TapeKind,
    /// The version of the engine that makes the ticks.
    pub engine_version: String,
    /// The time on the tape when the server answered.
    pub time: Time,
    /// How fast the time on the tape passes: 1 is as fast as real time.
    pub speed: f64,
    answered: SystemTime,
}

/// Where the ticks of a tape come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TapeKind {
    /// They are computed.
    Simulated {
        /// The seed of the prices.
        seed: u64,
    },
    /// They were recorded.
    Recorded,
    /// They are published while the tape is read.
    Feed,
    /// A newer server has a kind that this client does not know.
    Unknown,
}

impl TapeInfo {
    pub(super) fn of(answer: v1::GetTapeResponse) -> Result<Self, Malformed> {
        Ok(Self {
            kind: match answer.kind() {
                v1::TapeKind::Simulated => TapeKind::Simulated { seed: answer.seed },
                v1::TapeKind::Recorded => TapeKind::Recorded,
                v1::TapeKind::Feed => TapeKind::Feed,
                v1::TapeKind::Unspecified => TapeKind::Unknown,
            },
            id: answer.tape_id,
            engine_version: answer.engine_version,
            time: convert::time(answer.time.as_ref())?,
            speed: answer.speed,
            answered: SystemTime::now(),
        })
    }

    /// The time on the tape now: that of the server's answer, and what has passed since by this machine's clock.
    pub fn now(&self) -> Time {
        // The wall clock goes on while a machine sleeps.
        let elapsed = self.answered.elapsed().unwrap_or_default().as_secs_f64() * self.speed;
        self.time + Duration::try_from_secs_f64(elapsed).unwrap_or_default()
    }
}
