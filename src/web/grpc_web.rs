//! gRPC-Web, binary and text, for the RPCs that have one request. `tonic-web` translates.

use std::{convert::Infallible, sync::OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full};
use tonic::{Status, body::Body};
use tonic_web::GrpcWebLayer;
use tower::{Layer, ServiceExt, service_fn};

use crate::grpc::{ConnectionContext, MAX_REQUEST_BYTES, Reply, RequestBody, Router, Rpc, SharedReply};

/// The content types of gRPC-Web (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>).
const CONTENT_TYPES: [&str; 4] = [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

/// Whether a request is a call of gRPC-Web, by its content type.
pub(super) fn is_grpc_web(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    CONTENT_TYPES.iter().any(|known| content_type == Some(known.as_bytes()))
}

/// Answers a call, whose body may have failed to come.
pub(super) async fn answer<B: RequestBody>(
    router: Router,
    rpc: Rpc,
    request: Request<Result<Bytes, Status>>,
    context: ConnectionContext,
) -> Response<Reply> {
    let source = OnceLock::new();
    let (head, body) = request.into_parts();
    let (body, failure) = match body {
        Ok(body) => (body, None),
        Err(status) => (Bytes::new(), Some(status)),
    };
    let call = |request: Request<Body>| {
        let (router, context, source, failure) = (router.clone(), context.clone(), &source, failure.clone());
        async move {
            let (head, body) = request.into_parts();
            let request = match (failure, body.collect().await) {
                _ if !takes_one_request(rpc) => Err(without_request_streams()),
                (Some(failure), _) => Err(failure),
                (None, Ok(body)) => {
                    Ok(Request::from_parts(head, B::whole(body.to_bytes(), MAX_REQUEST_BYTES)))
                }
                (None, Err(status)) => Err(Status::invalid_argument(status.message())),
            };
            let response = match request {
                Ok(request) => router.answer(rpc, request, context).await,
                Err(status) => status.into_http().map(|body| Reply::whole(body, &context)),
            };
            Ok::<_, Infallible>(response.map(|reply| source.get_or_init(|| SharedReply::new(reply)).clone()))
        }
    };
    let request = Request::from_parts(head, Full::new(body));
    let Ok(response) = GrpcWebLayer::new().layer(service_fn(call)).oneshot(request).await;
    response.map(|body| match source.get() {
        Some(source) => Reply::translated(body, source.clone()),
        None => Reply::whole(body, &context),
    })
}

/// Whether gRPC-Web has the RPC: it has no streams of requests.
fn takes_one_request(rpc: Rpc) -> bool {
    !matches!(
        rpc,
        Rpc::GogenTickerStream
            | Rpc::TickerStream
            | Rpc::Publish
            | Rpc::PublishStream
            | Rpc::Reflection
            | Rpc::ReflectionAlpha
    )
}

fn without_request_streams() -> Status {
    Status::unimplemented(
        "gRPC-Web has no streams of requests: use ticker.v1.TickerStreamService/Watch, or gRPC over HTTP/2",
    )
}
