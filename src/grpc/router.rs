//! Routes calls to the handlers of their RPCs.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Request, Response, header};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{Status, body::Body};

use super::{
    Caller, ConnectionContext, Format, MAX_REQUEST_BYTES, Reply, Rpc, WorkerContext,
    authentication::Claimed,
    call::Call,
    gogen::Gogen,
    requests::{Released, RequestBody, Requests},
    services::Services,
    session::Session,
    status::{self, Failure},
    stream::{StreamHandler, TickStream},
    unary::Unary,
    v1::V1,
    watch::Watch,
};
use crate::{
    contract::v1::server::ticker_stream_service_server::TickerStreamServiceServer, tape::Tape, tick::Time,
};

/// Serves the RPCs of one worker: the streams of ticks itself, the others through generated code.
#[derive(Clone)]
pub struct Router {
    worker: WorkerContext,
    services: Arc<Services>,
}

impl Router {
    /// A router to `worker` that also serves `others`, which are the same for all workers: health and reflection.
    pub fn new(worker: WorkerContext, others: Services) -> Self {
        let unary = TickerStreamServiceServer::new(Unary);
        let services = others.with(unary.max_decoding_message_size(MAX_REQUEST_BYTES));
        Self { worker, services: Arc::new(services) }
    }

    /// The time on the tape.
    pub fn now(&self) -> Time {
        self.worker.clock.now()
    }

    /// Waits for a turn of the worker, for work on a call that it does not know of.
    pub async fn turn(&self, context: &ConnectionContext) {
        self.worker.turns.ticket(context.turn_share()).turn().await;
    }

    /// The part of the tape that the caller of an RPC sees.
    ///
    /// # Errors
    /// The caller may not call it.
    pub async fn visible_tape(
        &self,
        rpc: Rpc,
        headers: &HeaderMap,
        context: &ConnectionContext,
    ) -> Result<Arc<dyn Tape>, Status> {
        let caller =
            self.caller(rpc, headers, context).await.inspect_err(|failure| context.note_limit_of(failure));
        Ok(caller?.visible(self.worker.tape.clone()))
    }

    /// Answers a call of gRPC on a connection, which is for `rpc`.
    pub async fn answer<B: RequestBody>(
        self,
        rpc: Rpc,
        request: Request<B>,
        context: ConnectionContext,
    ) -> Response<Reply> {
        let caller = match self.caller(rpc, request.headers(), &context).await {
            Ok(caller) => caller,
            Err(failure) => return refused(&context, failure),
        };
        // On the heap, so that a call that waits does not take the memory of a stream that is begun.
        match rpc {
            Rpc::GogenTickerStream => {
                Box::pin(self.stream(Gogen, Format::Gogen, request, context, caller)).await
            }
            Rpc::TickerStream => {
                Box::pin(self.stream(V1::default(), Format::V1, request, context, caller)).await
            }
            Rpc::Watch => Box::pin(self.stream(Watch::default(), Format::V1, request, context, caller)).await,
            _ => self.unary(request, context, caller).await,
        }
    }

    /// Who makes a request. Cryptography is done in a turn.
    async fn caller(
        &self,
        rpc: Rpc,
        headers: &HeaderMap,
        context: &ConnectionContext,
    ) -> Result<Caller, Failure> {
        let authentication = context.server().authentication();
        match authentication.claimed(rpc, headers, context.origin())? {
            Claimed::WithoutToken => Ok(context.caller_without_token()),
            Claimed::Known(caller) => Ok(caller),
            Claimed::Unverified(token) => {
                self.worker.turns.ticket(context.turn_share()).turn().await;
                authentication.verify(rpc, token, context.origin(), &self.worker.tape)
            }
        }
    }

    /// Thousands of calls may wait to begin, so the future is small until then.
    fn unary<B: RequestBody>(
        self,
        mut request: Request<B>,
        context: ConnectionContext,
        caller: Caller,
    ) -> impl Future<Output = Response<Reply>> + Send {
        let deadline = deadline(request.headers());
        let busy = context.work();
        let call = Call::new(context.clone(), self.worker.clone(), caller, deadline);
        request.extensions_mut().insert(call.clone());
        let ticket = self.worker.turns.ticket(context.turn_share());
        let request = request.map(|body| Body::new(Released::new(body, ticket)));
        let unsent = call.unsent().clone();
        let answered = Box::pin(async move {
            call.begin().await?;
            Ok(Box::pin(self.services.answer(request)).await)
        });
        async move {
            let mut response = match within(deadline, answered).await.flatten() {
                Ok(response) => with_plain_status(response),
                Err(failure) => Status::from(failure).into_http(),
            };
            response.extensions_mut().clear();
            response.map(|body| Reply::answer(body, unsent, busy))
        }
    }

    async fn stream<C, B>(
        self,
        handler: C,
        format: Format,
        request: Request<B>,
        context: ConnectionContext,
        caller: Caller,
    ) -> Response<Reply>
    where
        C: StreamHandler,
        B: RequestBody,
    {
        let headers = request.headers();
        let encoding = headers.get("grpc-encoding").map(|value| String::from_utf8_lossy(value.as_bytes()));
        if let Some(encoding) = encoding.filter(|encoding| encoding != "identity") {
            let failure = Failure::Compressed(status::cut(&encoding));
            return refused(&context, failure);
        }
        let deadline = deadline(headers).map(sleep_until);
        self.worker.turns.ticket(context.turn_share()).turn().await;
        let session = match Session::new(self.worker, format, context.clone(), caller) {
            Ok(session) => session,
            Err(failure) => return refused(&context, failure),
        };
        let requests = Requests::new(request.into_body());
        let stream = TickStream::new(handler, session, requests, deadline);
        let mut response = Response::new(Reply::Ticks(Box::new(stream)));
        response.headers_mut().insert(header::CONTENT_TYPE, tonic::metadata::GRPC_CONTENT_TYPE);
        response
    }
}

/// tonic calls a request that is too large OUT_OF_RANGE and one that cannot be decoded INTERNAL. Nothing that generated
/// code serves has another reason to fail with either.
fn with_plain_status(response: Response<Body>) -> Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    match status.code() {
        tonic::Code::OutOfRange | tonic::Code::Internal => {
            Status::from(status::of_request_error(&status)).into_http()
        }
        _ => response,
    }
}

/// The response to a call that fails before it is begun.
fn refused(context: &ConnectionContext, failure: Failure) -> Response<Reply> {
    context.note_limit_of(&failure);
    Status::from(failure).into_http().map(|body| Reply::whole(body, context))
}

/// Whether a request is a call of gRPC, by its content type.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The deadline of a call; `None` without one, and when it is too far away for an `Instant`.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    Instant::now().checked_add(headers.get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?))?)
}

/// Waits for work, but not beyond the deadline of its call.
async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T> + Unpin) -> Result<T, Failure> {
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
