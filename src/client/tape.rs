//! The tape that a server plays, and what time it is on it.

use std::time::{Duration, SystemTime};

use super::message::{self, Malformed};
use crate::{contract::v1, tick::Time};

/// What a server says of its tape.
#[derive(Clone, Debug)]
pub struct TapeInfo {
    /// Two servers with the same id send the same ticks.
    pub id: String,
    /// The time on the tape when the server answered.
    pub time: Time,
    /// How fast the time on the tape passes: 1 is as fast as real time.
    pub speed: f64,
    /// Whether the ticks were recorded; they are simulated otherwise.
    pub is_recorded: bool,
    answered: SystemTime,
}

impl TapeInfo {
    pub(super) fn of(answer: v1::GetTapeResponse) -> Result<Self, Malformed> {
        let time = answer.time.as_ref().and_then(message::time).ok_or(Malformed("a tape without a time"))?;
        let is_recorded = answer.kind() == v1::TapeKind::Recorded;
        Ok(Self { id: answer.tape_id, time, speed: answer.speed, is_recorded, answered: SystemTime::now() })
    }

    /// The time on the tape now, by this machine's clock since the server's answer.
    pub fn now(&self) -> Time {
        // A machine that sleeps has a wall clock that goes on.
        let elapsed = self.answered.elapsed().unwrap_or_default().as_secs_f64() * self.speed;
        self.time + Duration::try_from_secs_f64(elapsed).unwrap_or_default()
    }
}
