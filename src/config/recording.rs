//! The settings that play a recorded tape: which file, from where, when and how fast.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{
    Args,
    builder::{BoolishValueParser, OsStringValueParser, TypedValueParser},
};

use super::ConfigError;
use crate::{
    pacer::{Clock, Speed},
    tape::{Extent, LoadProgress, Recorded, Universe},
    tick::Time,
    timestamp,
};

/// Options of a service that plays a recording.
#[derive(Args, Clone, Debug)]
pub struct RecordingArgs {
    /// Play recorded ticks: CSV with a header, trades of Binance or DBN of Databento, also as .gz or .zst
    #[arg(long, env = "TICKER_TAPE", value_name = "FILE", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub tape: Option<PathBuf>,
    /// Point of the tape to begin at, such as 2025-01-02T09:15:00Z [default: its first tick]
    #[arg(long, env = "TICKER_TAPE_START", value_name = "TIME", value_parser = timestamp::parse)]
    pub tape_start: Option<Time>,
    /// When that point plays; the same on all replicas [default: now, and with --loop at that very time]
    #[arg(long, env = "TICKER_PLAY_AT", value_name = "TIME", value_parser = timestamp::parse)]
    pub play_at: Option<Time>,
    /// How fast the tape plays, where 10 is ten times as fast as it was recorded
    #[arg(long, env = "TICKER_SPEED", value_name = "NUMBER", default_value_t = Speed::REAL)]
    pub speed: Speed,
    /// Begin again when the tape ends, without end
    #[arg(long = "loop", env = "TICKER_LOOP", value_parser = BoolishValueParser::new())]
    pub looped: bool,
}

/// A recorded tape and how it plays, which prints as what an operator should know of it.
#[derive(Clone, Debug)]
pub struct Playback {
    pub(super) tape: Arc<Recorded>,
    /// A point of the tape, and when it plays.
    start: Time,
    play_at: Time,
    speed: Speed,
    /// Other replicas have to be told when this one began.
    began_now: bool,
}

impl RecordingArgs {
    /// The recording, if there is one: a name of no length, as in a manifest that lists every variable, is none.
    pub(super) fn file(&self) -> Option<&Path> {
        self.tape.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// A flag that only a recording has a use for, and that is not at its default.
    fn of_a_tape(&self) -> Option<&'static str> {
        let flags = [
            ("--tape-start", self.tape_start.is_some()),
            ("--play-at", self.play_at.is_some()),
            ("--speed", self.speed != Speed::REAL),
            ("--loop", self.looped),
        ];
        flags.into_iter().find_map(|(flag, given)| given.then_some(flag))
    }

    /// Reads the recording, if there is one.
    pub(super) fn load(
        &self,
        described: Option<&Universe>,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Option<Playback>, ConfigError> {
        let Some(path) = self.file() else {
            return self.of_a_tape().map_or(Ok(None), |flag| Err(ConfigError::OnlyWithTape(flag)));
        };
        let tape = Arc::new(Recorded::read(path, self.looped, described, progress)?);
        let Extent { first, last, .. } = tape.extent();
        let start = self.tape_start.unwrap_or(first);
        if start > last && !self.looped {
            return Err(ConfigError::StartsAfterEnd { start, last });
        }
        let default = if self.looped { start } else { this_millisecond() };
        let play_at = self.play_at.unwrap_or(default);
        let began_now = self.play_at.is_none() && !self.looped;
        let playback = Playback { tape, start, play_at, speed: self.speed, began_now };
        // A clock whose time has not begun, or is over, stands: it would not even send heartbeats.
        if start.before(playback.left()).is_none() {
            return Err(ConfigError::BeforeTime { start, play_at, speed: self.speed });
        }
        if playback.clock().now() == Time::MAX {
            return Err(ConfigError::AfterTime { start, play_at, speed: self.speed });
        }
        Ok(Some(playback))
    }
}

/// Now, without digits that nobody wants to copy.
fn this_millisecond() -> Time {
    const MILLISECOND: u64 = 1_000_000;
    Time::from_nanos(Clock::Wall.now().nanos() / MILLISECOND * MILLISECOND)
}

impl Playback {
    pub(super) fn clock(&self) -> Clock {
        Clock::Played { tape: self.start, wall: self.play_at, speed: self.speed }
    }

    /// How much time of the tape passes until its point plays; zero when that has played.
    fn left(&self) -> Duration {
        let real = self.play_at.nanos().saturating_sub(Clock::Wall.now().nanos());
        self.speed.of(Duration::from_nanos(real))
    }
}

impl fmt::Display for Playback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Extent { ticks, first, last, period } = self.tape.extent();
        let (first, last) = (timestamp::show(first), timestamp::show(last));
        let (start, play_at) = (timestamp::show(self.start), timestamp::show(self.play_at));
        let s = if ticks == 1 { "" } else { "s" };
        write!(f, "{ticks} tick{s} from {first} to {last}")?;
        if let Some(period) = period {
            write!(f, ", again each {period:?}")?;
        }
        write!(f, "\nplays from {start} at {play_at}, at speed {}", self.speed)?;
        if self.began_now {
            write!(f, "; another replica is at the same tick with --play-at {play_at}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: crate::config::ServeArgs,
    }

    const TICKS: &str = "time,symbol,price\n2025-01-02T09:15:00Z,A,1\n2025-01-02T09:15:10Z,A,2\n";

    /// What is made of a tape with the ticks above and these flags.
    fn load(flags: &str) -> Result<Playback, String> {
        load_of(TICKS, flags)
    }

    fn load_of(ticks: &str, flags: &str) -> Result<Playback, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ticks.csv");
        fs::write(&path, ticks).unwrap();
        let line = format!("ticker --tape {} {flags}", path.display());
        let args = Line::parse_from(line.split_whitespace()).serve.recording;
        let loaded = args.load(None, &mut |_| {});
        loaded.map(Option::unwrap).map_err(|error| error.to_string())
    }

    #[test]
    fn a_tape_begins_now_and_says_how_another_replica_joins() {
        let before = this_millisecond();
        let playback = load("").unwrap();
        assert!((before..=this_millisecond()).contains(&playback.play_at));
        let play_at = timestamp::show(playback.play_at);
        assert_eq!(
            playback.to_string(),
            format!(
                "2 ticks from 2025-01-02T09:15:00Z to 2025-01-02T09:15:10Z\nplays from 2025-01-02T09:15:00Z at {play_at}, \
                 at speed 1; another replica is at the same tick with --play-at {play_at}"
            )
        );
        let other = load(&format!("--play-at {play_at}")).unwrap();
        assert_eq!((other.start, other.play_at), (playback.start, playback.play_at));
    }

    #[test]
    fn one_tick_is_no_ticks() {
        let playback = load_of("time,symbol,price\n1735809300,A,1\n", "").unwrap().to_string();
        assert!(
            playback.starts_with("1 tick from 2025-01-02T09:15:00Z to 2025-01-02T09:15:00Z\n"),
            "{playback}"
        );
    }

    #[test]
    fn a_loop_plays_at_its_own_time_on_every_replica() {
        let playback = load("--loop").unwrap();
        assert_eq!(playback.start, playback.play_at);
        assert!(playback.clock().now() <= Clock::Wall.now());
        assert_eq!(
            playback.to_string(),
            "2 ticks from 2025-01-02T09:15:00Z to 2025-01-02T09:15:10Z, again each 20s\n\
             plays from 2025-01-02T09:15:00Z at 2025-01-02T09:15:00Z, at speed 1"
        );
    }

    #[test]
    fn a_tape_plays_from_where_and_when_and_as_fast_as_it_is_told() {
        let flags = "--tape-start 2025-01-02T09:15:05Z --play-at 2020-01-01T05:30:00+05:30 --speed 0.5";
        let playback = load(flags).unwrap();
        assert_eq!(timestamp::show(playback.start), "2025-01-02T09:15:05Z");
        assert_eq!(timestamp::show(playback.play_at), "2020-01-01T00:00:00Z");
        assert_eq!(playback.clock().speed().to_string(), "0.5");
    }

    #[test]
    fn a_start_behind_the_end_is_refused_unless_the_tape_begins_again() {
        let flags = "--tape-start 2025-01-02T09:15:10.000000001Z";
        assert_eq!(
            load(flags).unwrap_err(),
            "the tape ends at 2025-01-02T09:15:10Z: --tape-start must not be after that, and is \
             2025-01-02T09:15:10.000000001Z"
        );
        assert!(load(&format!("{flags} --loop")).is_ok());
    }

    #[test]
    fn a_tape_that_would_be_at_the_end_of_time_is_refused() {
        assert_eq!(
            load("--loop --speed 1000000").unwrap_err(),
            "a tape that plays from 2025-01-02T09:15:00Z at 2025-01-02T09:15:00Z at speed 1000000 is past the year \
             2554 by now: choose a later --play-at or a lower --speed"
        );
    }

    #[test]
    fn a_tape_whose_time_would_not_have_begun_is_refused() {
        assert_eq!(
            load("--play-at 2500-01-01T00:00:00Z").unwrap_err(),
            "a tape that plays from 2025-01-02T09:15:00Z at 2500-01-01T00:00:00Z at speed 1 is still before the year \
             1970: choose an earlier --play-at or a lower --speed"
        );
        let in_an_hour = timestamp::show(Clock::Wall.now() + Duration::from_secs(3600));
        let flags = format!("--play-at {in_an_hour} --speed");
        assert!(load(&format!("{flags} 1000000")).unwrap_err().contains("is still before the year 1970"));
        assert!(load(&format!("{flags} 1")).is_ok());
        assert!(load("--tape-start 1970-01-01T00:00:00Z").is_ok(), "it plays from now on");
    }
}
