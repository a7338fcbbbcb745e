//! Responses that are whole when they are sent.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

use crate::{
    contract::RpcCode,
    grpc::{ConnectionContext, Reply},
};

/// A response of a status without a body.
pub(super) fn empty(status: StatusCode, context: &ConnectionContext) -> Response<Reply> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    whole(response, context)
}

/// A response to a request that has succeeded.
pub(super) fn whole(response: Response<Bytes>, context: &ConnectionContext) -> Response<Reply> {
    with_code(response, RpcCode::Ok, context)
}

fn with_code(mut response: Response<Bytes>, code: RpcCode, context: &ConnectionContext) -> Response<Reply> {
    // For the log and the metrics.
    response.extensions_mut().insert(code);
    response.map(|body| Reply::whole(Body::new(Full::new(body)), context))
}

/// A response in JSON, of a call with this status.
pub(super) fn json(text: Vec<u8>, code: RpcCode, context: &ConnectionContext) -> Response<Reply> {
    let length = text.len();
    let mut response = Response::new(Bytes::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    with_code(response, code, context)
}
