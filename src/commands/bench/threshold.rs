//! Thresholds that make a run fail, such as `p99>50ms`.

use std::{fmt, str::FromStr};

use serde::Serialize;

use super::report::{Percentiles, Report};
use crate::duration;

/// A condition under which a run has failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Threshold {
    /// As the user wrote it.
    text: String,
    metric: Metric,
    operator: Operator,
    /// In milliseconds, if the metric is a time.
    bound: f64,
}

/// A threshold and what was measured.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) fail_if: String,
    /// In milliseconds, if the metric is a time; `None` when it was not measured.
    pub(super) value: Option<f64>,
    pub(super) failed: bool,
    #[serde(skip)]
    metric: Metric,
}

/// What a threshold is about. All but the errors are those of the streams that read as fast as they can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    P50,
    P99,
    P99_9,
    Max,
    FirstTickP99,
    TicksPerSecond,
    Conflated,
    Gaps,
    Errors,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Above,
    AtLeast,
    Below,
    AtMost,
}

const METRICS: [(&str, Metric); 9] = [
    ("p50", Metric::P50),
    ("p99", Metric::P99),
    ("p99.9", Metric::P99_9),
    ("max", Metric::Max),
    ("first-tick-p99", Metric::FirstTickP99),
    ("ticks-per-second", Metric::TicksPerSecond),
    ("conflated", Metric::Conflated),
    ("gaps", Metric::Gaps),
    ("errors", Metric::Errors),
];

/// The longer ones first, because they begin like the others.
const OPERATORS: [(&str, Operator); 4] =
    [(">=", Operator::AtLeast), ("<=", Operator::AtMost), (">", Operator::Above), ("<", Operator::Below)];

impl Threshold {
    /// A metric that was not measured has failed.
    pub(super) fn check(&self, report: &Report) -> Outcome {
        let value = self.metric.value(report);
        let failed = value.is_none_or(|value| match self.operator {
            Operator::Above => value > self.bound,
            Operator::AtLeast => value >= self.bound,
            Operator::Below => value < self.bound,
            Operator::AtMost => value <= self.bound,
        });
        Outcome { fail_if: self.text.clone(), value, failed, metric: self.metric }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(at) = text.find(['<', '>']) else {
            return Err(
                "expected a metric, an operator and a value, such as 'p99>50ms', in quotes because of the shell"
                    .to_owned(),
            );
        };
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let Some((_, metric)) = METRICS.into_iter().find(|(known, _)| *known == name) else {
            return Err(format!(
                "{name:?} is not a metric: use {}",
                METRICS.map(|(name, _)| name).join(", ")
            ));
        };
        let operator =
            OPERATORS.iter().find_map(|(sign, operator)| Some((rest.strip_prefix(sign)?, operator)));
        let Some((bound, operator)) = operator else { return Err("expected >, >=, < or <=".to_owned()) };
        let bound = metric.parse(bound.trim())?;
        Ok(Self { text: text.to_owned(), metric, operator: *operator, bound })
    }
}

impl Metric {
    fn is_time(self) -> bool {
        matches!(self, Self::P50 | Self::P99 | Self::P99_9 | Self::Max | Self::FirstTickP99)
    }

    fn name(self) -> &'static str {
        METRICS.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name)
    }

    fn parse(self, bound: &str) -> Result<f64, String> {
        if self.is_time() {
            let bound = duration::parse(bound).map_err(|error| error.to_string())?;
            return Ok(bound.as_secs_f64() * 1e3);
        }
        let bound = bound.parse().ok().filter(|bound: &f64| bound.is_finite() && *bound >= 0.0);
        bound.ok_or_else(|| format!("{} is a number without a unit, such as {}>0", self.name(), self.name()))
    }

    fn value(self, report: &Report) -> Option<f64> {
        let readers = &report.readers;
        let delay = |of: fn(&Percentiles) -> f64| readers.delay_ms.as_ref().map(of);
        match self {
            Self::P50 => delay(|delay| delay.p50),
            Self::P99 => delay(|delay| delay.p99),
            Self::P99_9 => delay(|delay| delay.p99_9),
            Self::Max => delay(|delay| delay.max),
            Self::FirstTickP99 => readers.first_tick_ms.as_ref().map(|first_tick| first_tick.p99),
            Self::TicksPerSecond => Some(readers.ticks_per_second),
            Self::Conflated => Some(readers.conflated as f64),
            Self::Gaps => Some(readers.gaps as f64),
            Self::Errors => Some(report.error_count as f64),
        }
    }
}

/// What was measured, and the threshold.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric.name();
        match self.value {
            Some(value) if self.metric.is_time() => write!(f, "{name} is {value:.2} ms")?,
            Some(value) => write!(f, "{name} is {value:.0}")?,
            None => write!(f, "{name} was not measured")?,
        }
        write!(f, ": --fail-if {}", self.fail_if)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_a_metric_an_operator_and_a_bound() {
        for (text, metric, operator, bound) in [
            ("p99>50ms", Metric::P99, Operator::Above, 50.0),
            ("p99.9 >= 1s", Metric::P99_9, Operator::AtLeast, 1000.0),
            ("first-tick-p99>250us", Metric::FirstTickP99, Operator::Above, 0.25),
            ("ticks-per-second<1e6", Metric::TicksPerSecond, Operator::Below, 1e6),
            ("errors<=0", Metric::Errors, Operator::AtMost, 0.0),
        ] {
            let threshold = Threshold { text: text.to_owned(), metric, operator, bound };
            assert_eq!(text.parse(), Ok(threshold));
        }
    }

    #[test]
    fn a_malformed_threshold_is_refused_with_what_is_allowed() {
        for (text, hint) in [
            ("p99", "such as 'p99>50ms', in quotes"),
            ("", "a metric, an operator and a value"),
            ("p98>50ms", "\"p98\" is not a metric: use p50, p99, p99.9, max, first-tick-p99,"),
            (">50ms", "is not a metric"),
            ("p99>50", "with its unit"),
            ("p99>", "with its unit"),
            ("p99=>50ms", "is not a metric"),
            ("p99>>50ms", "with its unit"),
            ("errors>1ms", "errors is a number without a unit, such as errors>0"),
            ("gaps>-1", "a number without a unit"),
            ("gaps>inf", "a number without a unit"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn a_metric_that_was_not_measured_has_failed() {
        let told = |text: &str, report: &Report| {
            let outcome = text.parse::<Threshold>().unwrap().check(report);
            (outcome.failed, outcome.to_string())
        };
        let report = Report::of_one_tick(5_000_000, true);
        assert!(!told("max>5.1ms", &report).0 && !told("ticks-per-second<1", &report).0);
        let crossed = told("max>4ms", &report);
        assert_eq!(crossed, (true, "max is 5.00 ms: --fail-if max>4ms".to_owned()));
        let unknown = told("p99>1h", &Report::of_one_tick(0, false));
        assert_eq!(unknown, (true, "p99 was not measured: --fail-if p99>1h".to_owned()));
    }
}
