//! Spans of RPCs, exported by OTLP over gRPC. All settings are OpenTelemetry's own environment variables.

use std::{env, time::Duration};

use opentelemetry::global;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};

/// Exports spans until it is stopped.
pub struct Traces(SdkTracerProvider);

/// The variables that name a collector. Without one of them nothing is exported.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// Longest wait for the last spans.
const FLUSH: Duration = Duration::from_secs(2);

impl Traces {
    /// Begins to export, if the environment names a collector. Needs a tokio runtime that runs until [`Self::stop`].
    ///
    /// # Errors
    /// A setting cannot be used.
    pub fn start() -> Result<Option<Self>, ExporterBuildError> {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        if !ENDPOINTS.iter().any(|name| is_set(name)) {
            return Ok(None);
        }
        let exporter = SpanExporter::builder().with_tonic().build()?;
        let resource = Resource::builder();
        let resource =
            if is_set("OTEL_SERVICE_NAME") { resource } else { resource.with_service_name("ticker") };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        global::set_tracer_provider(provider.clone());
        global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(Some(Self(provider)))
    }

    /// Exports the spans that are left, and waits two seconds for that at most.
    pub async fn stop(self) {
        // On another thread, because the exporter works on this runtime.
        let stopped = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be exported: is the collector there?");
        }
    }
}
