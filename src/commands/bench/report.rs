//! The figures of a run.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::counts::{Counts, Failures, Measured};

/// What a run has measured. Times are in milliseconds where a name ends in `_ms`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) endpoints: Vec<String>,
    pub(super) tape_id: String,
    /// Streams that were to be open; `None` when they keep arriving.
    pub(super) streams: Option<u32>,
    pub(super) connections: usize,
    /// Number of symbols of each stream.
    pub(super) symbols: usize,
    pub(super) delivery: &'static str,
    /// How long it took to open the streams; `None` when they keep arriving.
    pub(super) ramp_seconds: Option<f64>,
    /// How long was measured.
    pub(super) seconds: f64,
    /// Streams that were open at the end.
    pub(super) open_streams: usize,
    pub(super) readers: Received,
    /// `None` when there are none.
    pub(super) slow_readers: Option<Received>,
    /// Number of all errors.
    pub(super) error_count: u64,
    /// Errors by status.
    pub(super) errors: BTreeMap<&'static str, Failures>,
    pub(super) client: ClientUse,
}

/// What the streams of one kind received.
#[derive(Debug, Serialize)]
pub(super) struct Received {
    /// Streams that the server has accepted, each time they were opened.
    pub(super) opened_streams: u64,
    pub(super) ticks: u64,
    pub(super) ticks_per_second: f64,
    /// `None` when no stream has received a tick.
    pub(super) first_tick_ms: Option<Percentiles>,
    /// `None` when no tick was measured.
    pub(super) delay_ms: Option<Percentiles>,
    pub(super) conflated: u64,
    pub(super) gaps: u64,
    pub(super) gap_ticks: u64,
}

/// A distribution of times, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) count: u64,
    pub(super) min: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    #[serde(rename = "p99.9")]
    pub(super) p99_9: f64,
    pub(super) max: f64,
}

/// What this process itself used and suffered while it measured.
#[derive(Debug, Serialize)]
pub(super) struct ClientUse {
    /// CPU time, of one core, which is all that this process can use.
    pub(super) cpu_percent: f64,
    /// CPU time; `None` without a tick.
    pub(super) nanos_per_tick: Option<f64>,
    /// How late its own timer was at most. Ticks may have been read as late.
    pub(super) longest_lag_ms: f64,
}

impl Received {
    pub(super) fn of(counts: &Counts, seconds: f64, has_delays: bool) -> Self {
        let delays = Percentiles::of(&counts.delays).filter(|_| has_delays);
        Self {
            opened_streams: counts.opened,
            ticks: counts.ticks,
            ticks_per_second: counts.ticks as f64 / seconds,
            first_tick_ms: Percentiles::of(&counts.first_ticks),
            delay_ms: delays.map(|delays| Percentiles { min: counts.smallest_delay as f64 / 1e6, ..delays }),
            conflated: counts.conflated,
            gaps: counts.gaps,
            gap_ticks: counts.gap_ticks,
        }
    }
}

impl Percentiles {
    /// `None` if nothing was recorded. The values of the histogram are in nanoseconds.
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            min: histogram.min() as f64 / 1e6,
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            max: histogram.max() as f64 / 1e6,
        })
    }
}

impl ClientUse {
    pub(super) fn of(measured: &Measured, used: Duration, longest_lag: Duration, seconds: f64) -> Self {
        let ticks = measured.ticks();
        Self {
            cpu_percent: used.as_secs_f64() / seconds * 100.0,
            nanos_per_tick: (ticks > 0).then(|| used.as_secs_f64() * 1e9 / ticks as f64),
            longest_lag_ms: longest_lag.as_secs_f64() * 1e3,
        }
    }
}

#[cfg(test)]
impl Report {
    /// A run of one second in which one tick arrived after this delay, in nanoseconds.
    pub(super) fn of_one_tick(delay: i64, has_delays: bool) -> Self {
        let mut measured = Measured::new().unwrap();
        measured.readers.ticks = 1;
        measured.readers.delay(delay);
        Self {
            endpoints: vec!["http://a:1".to_owned()],
            tape_id: "1714e9fc0bb090af".to_owned(),
            streams: Some(1),
            connections: 1,
            symbols: 1,
            delivery: "latest",
            ramp_seconds: Some(0.5),
            seconds: 1.0,
            open_streams: 1,
            readers: Received::of(&measured.readers, 1.0, has_delays),
            slow_readers: None,
            error_count: 0,
            errors: BTreeMap::new(),
            client: ClientUse::of(&measured, Duration::from_millis(10), Duration::ZERO, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_may_be_negative_and_its_smallest_is_exact() {
        let mut measured = Measured::new().unwrap();
        let counts = measured.of(false);
        (1..=1000).for_each(|millis| counts.delay(millis * 1_000_000));
        counts.ticks = 1000;
        let delays = |counts: &Counts| Received::of(counts, 2.0, true).delay_ms.unwrap();
        let about = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.001;
        let found = delays(counts);
        assert_eq!((found.count, found.min), (1000, 1.0));
        assert!(about(found.p50, 500.0) && about(found.p99, 990.0) && about(found.max, 1000.0), "{found:?}");
        counts.delay(-3_200_000);
        assert_eq!(delays(counts).min, -3.2);
        assert_eq!(Received::of(counts, 2.0, true).ticks_per_second, 500.0);
        assert_eq!(
            Received::of(counts, 2.0, false).delay_ms,
            None,
            "the ticks of a recording are of the past"
        );
    }

    #[test]
    fn what_was_not_measured_is_not_zero() {
        let measured = Measured::new().unwrap();
        let received = Received::of(&measured.slow_readers, 1.0, true);
        assert_eq!((received.ticks, received.delay_ms, received.first_tick_ms), (0, None, None));
        assert_eq!(
            ClientUse::of(&measured, Duration::from_millis(50), Duration::ZERO, 1.0).nanos_per_tick,
            None
        );
    }
}
