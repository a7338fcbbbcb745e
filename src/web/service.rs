//! Finds out what a request is, and answers it.

use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header, uri::Authority};
use tonic::{Status, body::Body};

use super::{
    board::File,
    call::Call,
    events, grpc_web,
    json::Resource,
    origins::{self, Origins},
    protocol::{Protocol, WebRequests},
    refusal::Refusal,
    request_body,
    response::whole,
};
use crate::grpc::{ConnectionContext, Reply, RequestBody, Router, Rpc, is_grpc};

/// Answers all requests of a worker: calls of gRPC by its router, the others by calls of gRPC that it makes of them.
#[derive(Clone)]
pub struct Web {
    router: Router,
    settings: WebSettings,
}

/// What browsers get. Clones share the counts.
#[derive(Clone, Default)]
pub struct WebSettings {
    /// The origins of other pages that may use the service.
    pub origins: Origins,
    /// Whether the board is served at `/`.
    pub has_board: bool,
    /// Counts the requests.
    pub requests: WebRequests,
}

/// An answer to a request that is being made. On the heap: otherwise the task of a stream would have its size as long as the
/// stream lives.
pub type Answering = Pin<Box<dyn Future<Output = Response<Reply>> + Send>>;

/// What a request asks for.
#[derive(Clone, Copy)]
enum Target {
    Preflight,
    GrpcWeb,
    Events,
    Json(Resource),
    Board(&'static File),
}

/// The path of event streams.
const EVENTS: &str = "/v1/watch";

impl Web {
    /// Answers with the calls of a router.
    pub fn new(router: Router, settings: WebSettings) -> Self {
        Self { router, settings }
    }

    /// The RPC that answers a request.
    pub fn rpc_of<B>(request: &Request<B>) -> Rpc {
        match request.uri().path() {
            _ if request.method() == Method::OPTIONS => Rpc::Other,
            EVENTS => Rpc::Watch,
            path => Resource::of_path(path).map_or_else(|| Rpc::of_path(path), Resource::rpc),
        }
    }

    /// Answers a request of a connection, for which [`Self::rpc_of`] has found the RPC.
    pub fn answer<B: RequestBody>(
        self,
        rpc: Rpc,
        request: Request<B>,
        context: ConnectionContext,
    ) -> Answering {
        let is_call = request.method() == Method::POST && is_grpc(request.headers());
        match is_call && request.version() == Version::HTTP_2 {
            true => Box::pin(self.router.answer(rpc, request, context)),
            false => Box::pin(self.answer_web(rpc, request, context)),
        }
    }

    async fn answer_web<B: RequestBody>(
        self,
        rpc: Rpc,
        request: Request<B>,
        context: ConnectionContext,
    ) -> Response<Reply> {
        let requests = self.settings.requests.clone();
        let (origin, target) = match self.settings.origins.check(&request) {
            Ok(origin) => (origin, self.target(rpc, &request)),
            Err(foreign) => (None, Err(foreign.into())),
        };
        requests.add(target.as_ref().map_or(Protocol::Refused, |target| target.protocol()));
        let answered = match target {
            Ok(target) => self.respond(target, rpc, request, context.clone()).await,
            Err(refusal) => Err(refusal),
        };
        let mut response = answered.unwrap_or_else(|refusal| refusal.response(&context));
        if let Some(origin) = origin {
            origins::allow(origin, &mut response);
        }
        response
    }

    /// What a request asks for.
    fn target<B>(&self, rpc: Rpc, request: &Request<B>) -> Result<Target, Refusal> {
        let (method, headers) = (request.method(), request.headers());
        if request.version() == Version::HTTP_11 && !has_one_host(headers) {
            return Err(Refusal::Host);
        }
        if method == Method::OPTIONS && origins::is_preflight(headers) {
            return Ok(Target::Preflight);
        }
        let path = request.uri().path();
        let file = File::of_path(path).filter(|_| self.settings.has_board);
        let is_get = method == Method::GET;
        let is_get_or_head = is_get || method == Method::HEAD;
        match (path, Resource::of_path(path), file) {
            (EVENTS, ..) if is_get => Ok(Target::Events),
            (EVENTS, ..) => Err(Refusal::Method("GET")),
            (_, Some(resource), _) if is_get_or_head => Ok(Target::Json(resource)),
            (_, _, Some(file)) if is_get_or_head => Ok(Target::Board(file)),
            (_, Some(_), _) | (_, _, Some(_)) => Err(Refusal::Method("GET, HEAD")),
            _ if method == Method::POST && grpc_web::is_grpc_web(headers) => Ok(Target::GrpcWeb),
            _ if rpc != Rpc::Other && method != Method::POST => Err(Refusal::Method("POST")),
            _ if is_grpc(headers) && request.version() != Version::HTTP_2 => Err(Refusal::NeedsHttp2),
            _ if rpc == Rpc::Other => Err(Refusal::NotFound),
            _ => Err(Refusal::ContentType),
        }
    }

    async fn respond<B: RequestBody>(
        self,
        target: Target,
        rpc: Rpc,
        request: Request<B>,
        context: ConnectionContext,
    ) -> Result<Response<Reply>, Refusal> {
        let is_head = request.method() == Method::HEAD;
        let (head, body) = request.into_parts();
        let response = match target {
            Target::Preflight => whole(origins::preflight().map(|()| Bytes::new()), &context),
            Target::GrpcWeb => {
                let body = request_body::read(body).await.map_err(Status::from);
                let request = Request::from_parts(head, body);
                grpc_web::answer::<B>(self.router, rpc, request, context.clone()).await
            }
            Target::Events => events::answer::<B>(&head, Call::new(self.router, &head, &context)).await?,
            Target::Json(resource) => {
                let query = head.uri.query().unwrap_or_default();
                resource.answer::<B>(query, Call::new(self.router, &head, &context)).await?
            }
            Target::Board(file) => whole(file.response(&head.headers), &context),
        };
        Ok(if is_head { response.map(|_| Reply::whole(Body::empty(), &context)) } else { response })
    }
}

/// Whether a request names one host. Servers that disagree about it could be played off against each other. (RFC 9112,
/// section 3.2)
fn has_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let is_host = |host: &HeaderValue| {
        host.is_empty() || Authority::try_from(host.as_bytes()).is_ok_and(|host| !host.as_str().contains('@'))
    };
    hosts.next().is_some_and(is_host) && hosts.next().is_none()
}

impl Target {
    fn protocol(self) -> Protocol {
        match self {
            Self::Preflight => Protocol::Preflight,
            Self::GrpcWeb => Protocol::GrpcWeb,
            Self::Events => Protocol::Events,
            Self::Json(_) => Protocol::Json,
            Self::Board(_) => Protocol::Board,
        }
    }
}
