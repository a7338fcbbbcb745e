//! The admin port: `/livez`, `/readyz` and `/metrics` over HTTP/1.1, for the operator and not for clients.

mod collector;
mod process;

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use http::{Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{encoding::prometheus_text, registry::Registry};
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet, time::timeout};
use tracing::{debug, warn};

use super::listener;
use crate::{feed::Intake, grpc::ServerContext};
pub(super) use collector::Collector;
use process::Process;

/// A listener that is bound.
pub(super) struct Admin {
    socket: TcpListener,
    address: SocketAddr,
}

/// What is served.
struct Pages {
    registry: Registry,
    context: ServerContext,
    /// Takes published ticks, if the tape is that of a feed.
    intake: Option<Intake>,
}

/// Connections at the same time. Each kind of scraper has one or two.
const MAX_CONNECTIONS: usize = 64;
/// Timeout for the head of a request, also on a connection that is kept open.
const HEAD: Duration = Duration::from_secs(60);
/// Longest life of a connection.
const LIFE: Duration = Duration::from_secs(60 * 60);
/// Wait after a failed accept, most likely for want of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

impl Admin {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = listener::bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub(super) async fn serve(self, collector: Collector, intake: Option<Intake>) -> io::Result<Infallible> {
        let socket = tokio::net::TcpListener::from_std(self.socket)?;
        let context = collector.context.clone();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(collector));
        registry.register_collector(Box::new(Process::new()));
        let pages = Arc::new(Pages { registry, context, intake });
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = socket.accept().await;
            match (accepted, places.clone().try_acquire_owned()) {
                (Ok((stream, _)), Ok(place)) => {
                    let pages = pages.clone();
                    connections.spawn(async move {
                        let _place = place;
                        let _ = timeout(LIFE, serve_connection(stream, pages)).await;
                    });
                }
                (Ok((_, peer)), Err(_)) => debug!(%peer, "the admin port has too many connections"),
                (Err(error), _) => {
                    warn!(%error, "cannot accept connections on the admin port");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, pages: Arc<Pages>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = pages.answer(request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    let http = http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(16 * 1024);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        debug!(%error, "a connection of the admin port failed");
    }
}

impl Pages {
    fn answer(&self, method: &Method, path: &str) -> Response<String> {
        const TEXT: &str = "text/plain; charset=utf-8";
        let (status, content_type, body) = match path {
            "/livez" | "/readyz" | "/metrics" if !matches!(*method, Method::GET | Method::HEAD) => {
                (StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET\n".to_owned())
            }
            "/livez" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => match self.problem() {
                Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{problem}\n")),
                None => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            },
            "/metrics" => match self.metrics() {
                Ok(metrics) => (StatusCode::OK, prometheus_text::CONTENT_TYPE, metrics),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
            },
            _ => (StatusCode::NOT_FOUND, TEXT, "this port serves /livez, /readyz and /metrics\n".to_owned()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    /// Why clients should choose another replica.
    fn problem(&self) -> Option<String> {
        if self.context.is_draining() {
            return Some("the server is stopping".to_owned());
        }
        let problem = self.intake.as_ref()?.problem()?;
        Some(format!("the feed cannot reach its log: {problem}"))
    }

    fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(32 * 1024);
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
