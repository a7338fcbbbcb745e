//! What a command waits for while no tick comes.

use std::{future, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::phrases::rough_duration;
use crate::{
    client::{Event, ReplayOptions, TapeInfo, TapeKind},
    tick::Time,
    timestamp::show_with_decimals,
};

/// Measures how long no tick has come, and says what the command waits for.
pub(super) struct Silence {
    expected: Expected,
    /// Whether the tape is recorded: a recorded tape ends.
    is_recorded: bool,
    /// How fast the time on the tape passes.
    tape_speed: f64,
    /// Whether the ticks that come are live, not replayed.
    is_live: bool,
    /// Number of ticks that came.
    ticks: u64,
    /// The time of the newest tick, on the tape.
    newest: Option<Time>,
    /// Since when no tick has come; `None` while there is no connection.
    since: Option<Instant>,
    /// How long the next silence lasts before it is reported.
    patience: Duration,
    is_reported: bool,
}

/// The ticks that a command has asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expected {
    /// Number of ticks.
    pub(super) count: Option<u64>,
    pub(super) min_interval: Option<Duration>,
    pub(super) replay: Option<ReplayOptions>,
}

/// How long nothing comes before that is called a silence, in addition to the minimum interval.
const SHORT: Duration = Duration::from_secs(5);

impl Silence {
    pub(super) fn new(expected: Expected, tape: &TapeInfo) -> Self {
        Self::begin(expected, tape.kind == TapeKind::Recorded, tape.speed, tape.now())
    }

    fn begin(expected: Expected, is_recorded: bool, tape_speed: f64, now: Time) -> Self {
        Self {
            expected,
            is_recorded,
            tape_speed,
            is_live: expected.replay.is_none(),
            ticks: 0,
            newest: None,
            since: Some(Instant::now()),
            patience: match expected.replay {
                // What is waited for is known at once.
                Some(replay) if replay.from > now => Duration::ZERO,
                _ => expected.shortest_silence(),
            },
            is_reported: false,
        }
    }

    /// Takes in what came.
    pub(super) fn observe(&mut self, event: &Event) {
        match event {
            Event::Tick(live) => {
                self.ticks += 1;
                self.newest = self.newest.max(Some(live.tick.time));
                self.since = Some(Instant::now());
                if self.is_reported {
                    // A quiet symbol has many silences: fewer and fewer of them are reported.
                    self.is_reported = false;
                    self.patience = (self.patience * 2).max(self.expected.shortest_silence());
                }
            }
            Event::CaughtUp { .. } => self.is_live = true,
            Event::Disconnected { .. } => self.since = None,
            Event::Reconnected { .. } => self.since = Some(Instant::now()),
            _ => {}
        }
    }

    /// Waits until a silence is long enough to be reported, once for each silence.
    ///
    /// Cancel safe.
    pub(super) async fn is_long(&mut self) {
        match self.since {
            Some(since) if !self.is_reported => sleep_until(since + self.patience).await,
            _ => future::pending().await,
        }
        self.is_reported = true;
    }

    /// What the command waits for at this time on the tape; `None` while ticks come, and without a connection.
    pub(super) fn reason(&self, now: Time) -> Option<String> {
        let silent = self.since?.elapsed();
        let Expected { count, replay, .. } = self.expected;
        let count = count.map(|count| format!("{} of {count} ticks", self.ticks));
        let in_time = |time: Time| {
            let left = Duration::from_nanos(time.nanos().saturating_sub(now.nanos()));
            let left =
                Duration::try_from_secs_f64(left.as_secs_f64() / self.tape_speed).unwrap_or(Duration::MAX);
            format!("{}, in {}", show_with_decimals(time, 0), rough_duration(left))
        };
        if let Some(from) = replay.map(|replay| replay.from).filter(|from| *from > now) {
            let count = count.map(|count| format!("{count}: ")).unwrap_or_default();
            return Some(format!("{count}the replay begins at {}", in_time(from)));
        }
        if silent < self.expected.shortest_silence() {
            return None;
        }
        let silent = rough_duration(silent);
        let mut reason = match count {
            Some(count) => format!("{count}, none for {silent}"),
            None => format!("no tick for {silent}"),
        };
        reason += &match self.newest.map(|newest| show_with_decimals(newest, 0)) {
            // The protocol does not say where a tape ends, and a pause of all symbols is rare.
            Some(newest) if self.is_recorded && self.is_live => {
                format!(": the tape may have ended at {newest}")
            }
            Some(newest) => format!(": the last one is of {newest}"),
            None => format!(": the tape is at {}, and none has come yet", show_with_decimals(now, 0)),
        };
        if let Some(to) = replay.and_then(|replay| replay.to).filter(|to| *to > now) {
            reason += &format!("; the replay ends at {}", in_time(to));
        }
        Some(reason)
    }
}

impl Expected {
    fn shortest_silence(&self) -> Duration {
        SHORT.saturating_add(self.min_interval.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;
    use crate::{
        client::LiveTick,
        tick::{Price, Sequence, Tick},
        timestamp,
    };

    fn at(time: &str) -> Time {
        timestamp::parse(&format!("2026-11-20T{time}Z")).unwrap()
    }

    fn tick(time: &str) -> Event {
        let tick =
            Tick { sequence: Sequence(1), time: at(time), price: Price::from_nanos(1).unwrap(), quantity: 1 };
        Event::Tick(LiveTick::new("TCS".parse().unwrap(), tick))
    }

    fn replay(from: &str, to: Option<&str>) -> Expected {
        let replay = ReplayOptions { from: at(from), to: to.map(at), speed: 1.0 };
        Expected { replay: Some(replay), ..Expected::default() }
    }

    async fn is_reported_within(silence: &mut Silence, seconds: u64) -> bool {
        timeout(Duration::from_secs(seconds), silence.is_long()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_is_reported_once_and_the_next_one_when_it_is_twice_as_long() {
        let mut silence = Silence::begin(Expected::default(), false, 1.0, at("09:00:00"));
        for seconds in [5, 10, 20] {
            silence.observe(&tick("09:00:00"));
            assert!(!is_reported_within(&mut silence, seconds - 1).await);
            assert!(is_reported_within(&mut silence, 2).await);
            assert!(!is_reported_within(&mut silence, 1000).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_is_no_silence() {
        let mut silence = Silence::begin(Expected::default(), false, 1.0, at("09:00:00"));
        silence.observe(&Event::Disconnected { cause: String::new(), attempt: 1 });
        assert!(!is_reported_within(&mut silence, 1000).await);
        assert_eq!(silence.reason(at("09:16:40")), None);
        let replica = "localhost:1".parse().unwrap();
        silence.observe(&Event::Reconnected { replica, without: Duration::from_secs(1000) });
        assert!(!is_reported_within(&mut silence, 4).await);
        assert!(is_reported_within(&mut silence, 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_minimum_interval_is_no_silence() {
        let expected = Expected { min_interval: Some(Duration::from_secs(60)), ..Expected::default() };
        let mut silence = Silence::begin(expected, false, 1.0, at("09:00:00"));
        assert!(!is_reported_within(&mut silence, 64).await);
        assert_eq!(silence.reason(at("09:01:04")), None);
        assert!(is_reported_within(&mut silence, 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_of_the_future_says_at_once_when_it_begins() {
        let expected = Expected { count: Some(5), ..replay("11:00:00", None) };
        let mut silence = Silence::begin(expected, false, 2.0, at("10:00:00"));
        assert!(is_reported_within(&mut silence, 1).await);
        let reason = "0 of 5 ticks: the replay begins at 2026-11-20T11:00:00Z, in 30m";
        assert_eq!(silence.reason(at("10:00:00")).as_deref(), Some(reason));
        // Then it waits for a tick like any other.
        advance(Duration::from_secs(1800)).await;
        let reason = "0 of 5 ticks, none for 30m: the tape is at 2026-11-20T11:00:01Z, and none has come yet";
        assert_eq!(silence.reason(at("11:00:01")).as_deref(), Some(reason));
        silence.observe(&tick("11:00:02"));
        assert!(!is_reported_within(&mut silence, 4).await, "not at once again");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_recorded_tape_is_supposed_where_live_ticks_stop() {
        let reason = |expected: Expected, is_recorded| {
            let mut silence = Silence::begin(expected, is_recorded, 1.0, at("12:00:00"));
            silence.observe(&tick("11:59:58"));
            silence
        };
        let live = Expected { count: Some(5), ..Expected::default() };
        let [recorded, simulated, replayed, mut caught_up] = [
            reason(live, true),
            reason(Expected::default(), false),
            reason(replay("11:00:00", Some("12:02:10")), true),
            reason(replay("11:00:00", None), true),
        ];
        caught_up.observe(&Event::CaughtUp { symbol: "TCS".parse().unwrap(), sequence: Sequence(1) });
        assert_eq!(recorded.reason(at("12:00:00")), None);
        advance(Duration::from_secs(10)).await;
        for (silence, reason) in [
            (recorded, "1 of 5 ticks, none for 10s: the tape may have ended at 2026-11-20T11:59:58Z"),
            (simulated, "no tick for 10s: the last one is of 2026-11-20T11:59:58Z"),
            (
                replayed,
                "no tick for 10s: the last one is of 2026-11-20T11:59:58Z; \
                 the replay ends at 2026-11-20T12:02:10Z, in 2m",
            ),
            (caught_up, "no tick for 10s: the tape may have ended at 2026-11-20T11:59:58Z"),
        ] {
            assert_eq!(silence.reason(at("12:00:10")).as_deref(), Some(reason));
        }
    }
}
