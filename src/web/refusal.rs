//! Requests that are refused before they reach an RPC.

use http::{HeaderValue, Response, StatusCode, header};
use thiserror::Error;
use tonic::Status;

use super::{
    event_id::EventIdError,
    origins::ForeignOrigin,
    query::QueryError,
    response::json,
    status::{error_json, http_status, retry_after},
};
use crate::{
    contract::RpcCode,
    grpc::{ConnectionContext, Reply},
};

/// Why a request is refused.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    ForeignOrigin(#[from] ForeignOrigin),
    #[error(
        "there is nothing at this path; there are /v1/instruments, /v1/prices, /v1/ticks, /v1/candles, /v1/tape, /v1/watch, and \
         the RPCs of gRPC-Web"
    )]
    NotFound,
    /// With those that the path takes.
    #[error("this path takes only {0}")]
    Method(&'static str),
    #[error(
        "gRPC needs HTTP/2, and this request came over HTTP/1: use gRPC-Web, or a client that speaks HTTP/2"
    )]
    NeedsHttp2,
    #[error(
        "the content type must be that of gRPC or of gRPC-Web: application/grpc, application/grpc-web+proto, or application/grpc-web-text"
    )]
    ContentType,
    #[error(
        "a request of HTTP/1.1 has one Host header with a name or an address, such as `Host: localhost:50051`"
    )]
    Host,
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    EventId(#[from] EventIdError),
}

impl Refusal {
    fn status(&self) -> (StatusCode, RpcCode) {
        match self {
            Self::ForeignOrigin(_) => (StatusCode::FORBIDDEN, RpcCode::PermissionDenied),
            Self::NotFound => (StatusCode::NOT_FOUND, RpcCode::NotFound),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, RpcCode::Unimplemented),
            Self::NeedsHttp2 => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, RpcCode::Unimplemented),
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, RpcCode::InvalidArgument),
            Self::Host | Self::Query(_) | Self::EventId(_) => {
                (StatusCode::BAD_REQUEST, RpcCode::InvalidArgument)
            }
        }
    }

    /// The response.
    pub(super) fn response(&self, context: &ConnectionContext) -> Response<Reply> {
        let (status, code) = self.status();
        let mut response = error(context, status, code, &self.to_string());
        let header = match self {
            Self::Method(allowed) => Some((header::ALLOW, *allowed)),
            Self::ContentType => Some((
                header::ACCEPT,
                "application/grpc, application/grpc-web+proto, application/grpc-web-text",
            )),
            _ => None,
        };
        response.headers_mut().extend(header.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response
    }
}

/// The response to a call that failed.
pub(super) fn failed(status: &Status, context: &ConnectionContext) -> Response<Reply> {
    let (http, code) = (http_status(status.code()), RpcCode::of(status.code()));
    let mut response = error(context, http, code, status.message());
    let headers = response.headers_mut();
    headers.extend(retry_after(status).map(|seconds| (header::RETRY_AFTER, seconds.into())));
    if http == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn error(context: &ConnectionContext, http: StatusCode, code: RpcCode, message: &str) -> Response<Reply> {
    let mut response = json(error_json(http, code, message).into_bytes(), code, context);
    *response.status_mut() = http;
    response
}
