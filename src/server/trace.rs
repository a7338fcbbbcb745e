//! One OpenTelemetry span for each RPC, from its request to its end. It is made when the RPC ends, so that a stream holds no span.

use std::time::SystemTime;

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue, global,
    propagation::Extractor,
    trace::{Span, SpanKind, Status, Tracer},
};

use crate::{
    contract::RpcCode,
    grpc::{ConnectionContext, Rpc, StreamSummary},
};

/// An RPC that has begun.
pub(super) struct Trace {
    rpc: Rpc,
    /// The span of the client, if the request names one.
    parent: Context,
    start: SystemTime,
}

/// The headers of a request, in which the client names its span (`traceparent`).
struct Headers<'a>(&'a HeaderMap);

impl Trace {
    /// Begins with the headers of a request. `None` for health checks: probes would be most of what is traced.
    pub(super) fn begin(rpc: Rpc, headers: &HeaderMap) -> Option<Self> {
        let is_probe = matches!(rpc, Rpc::HealthCheck | Rpc::HealthWatch);
        (!is_probe).then(|| Self {
            rpc,
            parent: global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers))),
            start: SystemTime::now(),
        })
    }

    /// Ends the RPC. Names are those of OpenTelemetry's conventions for RPC spans.
    pub(super) fn end(
        self,
        context: &ConnectionContext,
        code: RpcCode,
        reason: String,
        summary: Option<&StreamSummary>,
    ) {
        let mut attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", method(self.rpc)),
            KeyValue::new("rpc.response.status_code", code.as_str()),
            KeyValue::new("ticker.reason", reason),
        ];
        let is_error = is_error_of_server(code);
        if is_error {
            attributes.push(KeyValue::new("error.type", code.as_str()));
        }
        if let Some(peer) = context.peer() {
            attributes.push(KeyValue::new("client.address", peer.ip().to_string()));
            attributes.push(KeyValue::new("client.port", i64::from(peer.port())));
        }
        if let Some(StreamSummary { symbols, ticks, conflated, gaps, .. }) = summary {
            let counts = [
                ("ticker.symbols", *symbols as u64),
                ("ticker.ticks", *ticks),
                ("ticker.conflated", *conflated),
                ("ticker.gaps", *gaps),
            ];
            let count = |(name, count): (&'static str, u64)| KeyValue::new(name, count as i64);
            attributes.extend(counts.map(count));
        }
        let tracer = global::tracer("ticker");
        let builder = tracer
            .span_builder(self.rpc.name())
            .with_kind(SpanKind::Server)
            .with_start_time(self.start)
            .with_attributes(attributes);
        let mut span = builder.start_with_context(&tracer, &self.parent);
        if is_error {
            span.set_status(Status::error(code.as_str()));
        }
        span.end();
    }
}

/// The method by the conventions. Names of unknown methods are the client's, and without bound.
fn method(rpc: Rpc) -> &'static str {
    match rpc {
        Rpc::Other => "_OTHER",
        rpc => rpc.name(),
    }
}

/// The codes that count as errors of the server, by the conventions for gRPC.
fn is_error_of_server(code: RpcCode) -> bool {
    matches!(
        code,
        RpcCode::Unknown
            | RpcCode::DeadlineExceeded
            | RpcCode::Unimplemented
            | RpcCode::Internal
            | RpcCode::Unavailable
            | RpcCode::DataLoss
    )
}

impl Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
