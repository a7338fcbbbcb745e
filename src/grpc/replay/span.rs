//! What a watch asks of a replay: the range of times, and the speed.

use std::time::Duration;

use prost_types::Timestamp;

use crate::{
    contract::v1::WatchRequest,
    grpc::{
        convert,
        subscribe_options::{InvalidOptions, malformed_time},
    },
    pacer::Speed,
    tick::Time,
};

/// What a watch asks of a replay.
pub(in crate::grpc) struct ReplaySpan {
    /// The first time of the replay.
    pub(super) start: Time,
    /// The time before which the replay ends; `None` for a replay that continues with live ticks.
    pub(super) end: Option<Time>,
    /// How fast its time passes; `None` for as fast as the reader takes it.
    pub(super) speed: Option<Speed>,
}

impl ReplaySpan {
    /// The span of a watch; `None` when it is no replay.
    pub(in crate::grpc) fn of(request: &WatchRequest) -> Result<Option<Self>, InvalidOptions> {
        let start = time("start_time", request.start_time)?;
        let end = time("end_time", request.end_time)?;
        let speed = match request.speed {
            0.0 => None,
            speed => Some(Speed::try_from(speed).map_err(|error| {
                InvalidOptions::invalid(format!("speed: {error}; 0 is as fast as the reader takes it"))
            })?),
        };
        match (start, end) {
            (None, None) if speed.is_none() => Ok(None),
            (None, _) => {
                Err(InvalidOptions::invalid("end_time and speed go only with start_time: set it too"))
            }
            (Some(start), Some(end)) if end < start => {
                Err(InvalidOptions::invalid("end_time must not be before start_time"))
            }
            (Some(start), end) => Ok(Some(Self { start, end, speed })),
        }
    }

    pub(super) fn is_over(&self, time: Time) -> bool {
        self.end.is_some_and(|end| time >= end)
    }

    /// Ticks up to this time can be read now.
    pub(super) fn limit(&self, now: Time) -> Time {
        let last = self.end.and_then(|end| end.before(Duration::from_nanos(1)));
        last.map_or(now, |last| last.min(now))
    }

    /// Up to which time ticks are due after this duration since it began.
    pub(super) fn position(&self, elapsed: Duration) -> Time {
        self.speed.map_or(Time::MAX, |speed| self.start + speed.of(elapsed))
    }

    /// How long it takes in real time from a position to a time after it.
    pub(super) fn until(&self, time: Time, position: Time) -> Duration {
        let ahead = Duration::from_nanos(time.nanos().saturating_sub(position.nanos()));
        self.speed.map_or(Duration::ZERO, |speed| speed.takes(ahead))
    }
}

fn time(field: &str, value: Option<Timestamp>) -> Result<Option<Time>, InvalidOptions> {
    value.map(|value| convert::time(value).ok_or_else(|| malformed_time(field))).transpose()
}
