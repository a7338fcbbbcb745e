//! What is measured, and how.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{
    Effort, floor, naive, nats,
    ours::{self, Package},
    redis,
    row::Row,
    sample::{Running, Sample, undisturbed},
};

/// A server that delivers ticks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Floor,
    Gogen,
    V1,
    Naive,
    Redis,
    Nats,
}

impl Subject {
    pub(crate) const ALL: [Subject; 6] =
        [Subject::Floor, Subject::Gogen, Subject::V1, Subject::Naive, Subject::Redis, Subject::Nats];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Subject::Floor => "raw write floor",
            Subject::Gogen => "ticker gogen",
            Subject::V1 => "ticker v1",
            Subject::Naive => "naive tonic",
            Subject::Redis => "redis",
            Subject::Nats => "nats",
        }
    }

    /// True when it promises one frame for each connection and flush interval.
    pub(crate) fn flushes(self) -> bool {
        matches!(self, Subject::Floor | Subject::Gogen | Subject::V1)
    }

    /// True when one of the words is in its name, or when there are no words.
    pub(crate) fn is_one_of(self, words: &[String]) -> bool {
        words.is_empty() || self.name().split(' ').any(|name| words.iter().any(|word| word == name))
    }

    /// Starts it, looks, and stops it; nothing when it is not installed.
    pub(crate) fn measure(self, row: &Row, effort: Effort) -> Result<Option<Sample>> {
        let sample = undisturbed(|| {
            let Some(running) = self.start(row)? else { return Ok((Duration::ZERO, None)) };
            let sample = running.sample(row, effort)?;
            Ok((sample.longest_pause, Some(sample)))
        });
        sample.with_context(|| format!("{}, {row}", self.name()))
    }

    fn start(self, row: &Row) -> Result<Option<Running>> {
        match self {
            Subject::Floor => floor::start(row).map(Some),
            Subject::Gogen => ours::start(row, Package::Gogen).map(Some),
            Subject::V1 => ours::start(row, Package::V1).map(Some),
            Subject::Naive => naive::start(row).map(Some),
            Subject::Redis => redis::start(row),
            Subject::Nats => nats::start(row),
        }
    }
}
