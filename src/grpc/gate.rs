//! Where requests come in: what is gRPC and what is not, and which RPC it is.

use std::{convert::Infallible, time::Duration};

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use prost::Message;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_stream::StreamExt;
use tonic::{
    Status, Streaming,
    body::Body,
    codec::BufferSettings,
    service::{Routes, RoutesBuilder},
};
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::{
    Feed, Format, MAX_REQUEST_BYTES,
    gogen::Gogen,
    reference::Reference,
    session::Session,
    status::{self, Failure},
    stream::{Conversation, TickStream},
    v1::V1,
};
use crate::contract::v1::{WatchRequest, server::ticker_stream_service_server::TickerStreamServiceServer};

/// Serves the RPCs of one worker: the streams of ticks itself, the others through tonic's router.
#[derive(Clone)]
pub struct Gate {
    feed: Feed,
    routes: Routes,
}

impl Gate {
    /// A gate to `feed` that also serves `others`, which are the same for all workers: health and reflection.
    pub fn new(feed: Feed, mut others: RoutesBuilder) -> Self {
        let reference = TickerStreamServiceServer::new(Reference { feed: feed.clone() });
        others.add_service(reference.max_decoding_message_size(MAX_REQUEST_BYTES));
        Self { feed, routes: others.routes().prepare() }
    }

    /// Answers a request.
    pub async fn answer<B>(self, request: Request<B>) -> Result<Response<Body>, Infallible>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        if request.method() != Method::POST {
            return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, Some((header::ALLOW, "POST"))));
        }
        if !is_grpc(request.headers()) {
            return Ok(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, Some((header::ACCEPT, "application/grpc"))));
        }
        match request.uri().path() {
            "/gogen.TickerStreamService/TickerStream" => Ok(self.converse(Gogen, Format::Gogen, request)),
            "/ticker.v1.TickerStreamService/TickerStream" => {
                Ok(self.converse(V1::new(), Format::V1, request))
            }
            "/ticker.v1.TickerStreamService/Watch" => Ok(self.watch(request).await),
            _ => self.answer_once(request).await,
        }
    }

    async fn answer_once<B>(mut self, request: Request<B>) -> Result<Response<Body>, Infallible>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        let deadline = deadline(request.headers());
        match within(deadline, self.routes.call(request)).await {
            Ok(Ok(response)) => Ok(plainly(response)),
            Ok(Err(never)) => match never {},
            Err(late) => Ok(Status::from(late).into_http()),
        }
    }

    fn converse<C, B>(self, conversation: C, format: Format, request: Request<B>) -> Response<Body>
    where
        C: Conversation + Send + 'static,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        let (deadline, requests) = match accept(request) {
            Ok(accepted) => accepted,
            Err(failure) => return Status::from(failure).into_http(),
        };
        let session = Session::new(self.feed, format);
        let deadline = deadline.map(sleep_until);
        respond(TickStream::new(conversation, session, Some(requests), deadline))
    }

    async fn watch<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        let (deadline, mut requests) = match accept::<WatchRequest, B>(request) {
            Ok(accepted) => accepted,
            Err(failure) => return Status::from(failure).into_http(),
        };
        let request = match within(deadline, requests.next()).await {
            Ok(Some(Ok(request))) => request,
            Ok(Some(Err(error))) => return Status::from(status::of_request_error(&error)).into_http(),
            Ok(None) => {
                return Status::from(Failure::Undecodable("there is no message".to_owned())).into_http();
            }
            Err(late) => return Status::from(late).into_http(),
        };
        let deadline = deadline.map(sleep_until);
        let mut session = Session::new(self.feed, Format::V1);
        let mut conversation = V1::new();
        let refusal = conversation.watch(&mut session, request);
        respond(TickStream::new(conversation, session, None, deadline).ending(refusal))
    }
}

/// The deadline of a call and the stream of its requests.
fn accept<M, B>(request: Request<B>) -> Result<(Option<Instant>, Streaming<M>), Failure>
where
    M: Message + Default + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    let headers = request.headers();
    let encoding = headers.get("grpc-encoding").map(|value| String::from_utf8_lossy(value.as_bytes()));
    if let Some(encoding) = encoding.filter(|encoding| encoding != "identity") {
        return Err(Failure::Compressed(status::cut(&encoding)));
    }
    let deadline = deadline(headers);
    // Requests are small and rare, and there may be ten thousand streams: no buffer of 8 KiB for each.
    let decoder = ProstCodec::<(), M>::raw_decoder(BufferSettings::new(512, 1024));
    Ok((deadline, Streaming::new_request(decoder, request.into_body(), None, Some(MAX_REQUEST_BYTES))))
}

/// tonic calls a request that is too large OUT_OF_RANGE and one that cannot be decoded INTERNAL. Nothing that is served
/// through its router has another reason to fail with either.
fn plainly(response: Response<Body>) -> Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    match status.code() {
        tonic::Code::OutOfRange | tonic::Code::Internal => {
            Status::from(status::of_request_error(&status)).into_http()
        }
        _ => response,
    }
}

fn respond<C: Conversation + Send + 'static>(stream: TickStream<C>) -> Response<Body> {
    let mut response = Response::new(Body::new(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, tonic::metadata::GRPC_CONTENT_TYPE);
    response
}

fn plain(status: StatusCode, header: Option<(header::HeaderName, &'static str)>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    response
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Until when the client waits for the end of the call; `None` for as long as it takes, and for longer than time lasts.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    Instant::now().checked_add(headers.get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?))?)
}

/// Waits for work, but not beyond the deadline of its call.
async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Result<T, Failure> {
    match deadline {
        Some(deadline) => timeout_at(deadline, work).await.map_err(|_| Failure::DeadlineExceeded),
        None => Ok(work.await),
    }
}

/// Reads `grpc-timeout`: at most eight digits and a unit, as the gRPC protocol over HTTP/2 defines it.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 60 * 60)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_defines_them() {
        assert_eq!(timeout("1S"), Some(Duration::from_secs(1)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("7u"), Some(Duration::from_micros(7)));
        for bad in ["", "S", "1", "1s", "-1S", "123456789S", "1 S", "é"] {
            assert_eq!(timeout(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        let with = |value: &'static str| {
            is_grpc(&HeaderMap::from_iter([(header::CONTENT_TYPE, header::HeaderValue::from_static(value))]))
        };
        assert!(with("application/grpc") && with("application/grpc+proto") && with("application/grpc;x=y"));
        assert!(!with("application/grpc-web") && !with("application/json") && !is_grpc(&HeaderMap::new()));
    }
}
