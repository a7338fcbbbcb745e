//! Spans of RPCs, exported by OTLP over gRPC. All settings are OpenTelemetry's own environment variables.

mod exporter;

use std::{env, time::Duration};

use opentelemetry::global;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::SdkTracerProvider,
};

use exporter::Exporter;

/// Exports spans until it is stopped.
pub struct Traces(SdkTracerProvider);

/// The variables that name a collector. Without one of them nothing is exported.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// The variables that choose a protocol, the more specific one first.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
/// Longest wait for the last spans. A stop ends within a second of the deadline of its drain.
const FLUSH: Duration = Duration::from_millis(800);

impl Traces {
    /// Begins to export, if the environment names a collector and does not turn traces off. Needs a tokio runtime that runs
    /// until [`Self::stop`].
    ///
    /// # Errors
    /// A setting cannot be used.
    pub fn start() -> Result<Option<Self>, ExporterBuildError> {
        if !ENDPOINTS.iter().any(|name| variable(name).is_some()) || is_off() {
            return Ok(None);
        }
        warn_of_other_protocols();
        let exporter = SpanExporter::builder().with_tonic().build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Exporter::new(exporter))
            .with_resource(resource())
            .build();
        global::set_tracer_provider(provider.clone());
        global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(Some(Self(provider)))
    }

    /// Exports the spans that are left, and waits 800 ms for that at most.
    pub async fn stop(self) {
        // On another thread, because the exporter works on this runtime.
        let stopped = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be exported in time: is the collector there?");
        }
    }
}

/// The value of an environment variable. By OpenTelemetry's specification an empty one is not set.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the environment turns traces off.
fn is_off() -> bool {
    let is = |name, expected| variable(name).is_some_and(|value| value.eq_ignore_ascii_case(expected));
    is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none")
}

/// By OpenTelemetry's specification a value that is not supported is warned of and ignored.
fn warn_of_other_protocols() {
    let chosen = PROTOCOLS.iter().find_map(|name| Some((name, variable(name)?)));
    if let Some((name, protocol)) = chosen.filter(|(_, protocol)| protocol != "grpc") {
        tracing::warn!(
            "{name} is {protocol:?}, which is not supported: spans are exported by \"grpc\", for which collectors have port 4317"
        );
    }
}

/// What describes this service. `OTEL_SERVICE_NAME` goes before `OTEL_RESOURCE_ATTRIBUTES`.
fn resource() -> Resource {
    let resource = Resource::builder_empty()
        .with_service_name("ticker")
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match variable("OTEL_SERVICE_NAME") {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}
