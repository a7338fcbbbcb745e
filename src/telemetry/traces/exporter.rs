//! An exporter whose failures are logged once a minute at most. While a collector is away every batch fails.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{self, SpanData},
};

/// Exports batches of spans, and drops those that the collector does not take.
#[derive(Debug)]
pub(super) struct Exporter {
    inner: SpanExporter,
    failures: Mutex<Failures>,
}

/// Spans that were lost.
#[derive(Debug, Default)]
struct Failures {
    /// How many have been lost since the last line of the log.
    spans: usize,
    /// When the last line of the log was due.
    logged: Option<Instant>,
}

/// Shortest time between two lines of the log.
const INTERVAL: Duration = Duration::from_secs(60);

impl Exporter {
    pub(super) fn new(inner: SpanExporter) -> Self {
        Self { inner, failures: Mutex::default() }
    }

    fn note_failure(&self, spans: usize, error: &OTelSdkError) {
        let Ok(mut failures) = self.failures.lock() else { return };
        if let Some(lost) = failures.add(spans, Instant::now()) {
            tracing::warn!(%error, lost, "spans could not be exported; the next line about this comes in a minute at the earliest");
        }
    }
}

impl Failures {
    /// Adds lost spans. Returns how many to log, if a line is due.
    fn add(&mut self, spans: usize, now: Instant) -> Option<usize> {
        self.spans += spans;
        let is_due = self.logged.is_none_or(|logged| now.duration_since(logged) >= INTERVAL);
        is_due.then(|| {
            self.logged = Some(now);
            std::mem::take(&mut self.spans)
        })
    }
}

impl trace::SpanExporter for Exporter {
    /// Always `Ok`: the SDK logs every error.
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        if let Err(error) = self.inner.export(batch).await {
            self.note_failure(spans, &error);
        }
        Ok(())
    }

    /// Logs the lost spans that no line has counted yet.
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        if let Ok(failures) = self.failures.lock()
            && failures.spans > 0
        {
            tracing::warn!(lost = failures.spans, "spans could not be exported");
        }
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_spans_are_all_counted_in_one_line_a_minute() {
        let mut failures = Failures::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(failures.add(5, start), Some(5));
        assert_eq!(failures.add(512, after(1)), None);
        assert_eq!(failures.add(512, after(59)), None);
        assert_eq!(failures.add(1, after(60)), Some(1025));
        assert_eq!(failures.add(3, after(119)), None);
        assert_eq!(failures.spans, 3);
    }
}
