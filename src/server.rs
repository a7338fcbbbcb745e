//! Starts and stops a server: a listener, a worker per core, health and reflection.

mod activity;
mod admin;
mod admission;
mod auth;
mod connection;
mod drain;
mod flush_metrics;
mod frames;
mod handshakes;
mod http1;
mod http2;
mod lane;
mod listener;
mod log;
mod opening;
mod quiet;
mod reject;
mod reply;
mod request_bytes;
mod timeouts;
mod tls;
#[cfg(feature = "otel")]
mod trace;
mod transport;
mod worker;

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout_at,
};
use tokio_util::sync::CancellationToken;
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};
use tracing::info;

use crate::{
    access::Tokens,
    contract::DESCRIPTORS,
    feed::Intake,
    grpc::{
        Authentication, HistoryPool, MAX_SYMBOLS_PER_STREAM, Router, SERVICES, ServerContext, Services,
        WorkerContext,
    },
    hub::{Limits, Quota},
    pacer::Clock,
    tape::{Tape, all_but_tests},
    watched_files::WatchedFiles,
    web::Web,
};
pub use crate::{
    grpc::CallerLimits,
    web::{Origin, OriginError, Origins, WebSettings},
};
use admin::{Admin, Collector};
use admission::Admission;
pub use auth::{AuthError, AuthFiles};
pub use drain::Drain;
use flush_metrics::FlushMetrics;
use handshakes::Handshakes;
use listener::Listener;
pub use timeouts::Timeouts;
use tls::Tls;
pub use tls::{ClientCa, TlsError, TlsFiles};
use worker::Worker;

/// What a server needs to know.
#[derive(Clone)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of the admin port, which serves `/livez`, `/readyz` and `/metrics` over HTTP/1.1.
    pub admin: Option<SocketAddr>,
    /// Encrypts connections with these certificates.
    pub tls: Option<TlsFiles>,
    /// Callers have to send a token that is verified with these keys.
    pub auth: Option<AuthFiles>,
    /// Whether there is server reflection.
    pub has_reflection: bool,
    /// Limits of one caller.
    pub caller_limits: CallerLimits,
    /// What browsers get.
    pub web: WebSettings,
    /// The tape to serve.
    pub tape: Arc<dyn Tape>,
    /// Takes published ticks, if the tape is that of a feed.
    pub intake: Option<Intake>,
    /// The time on the tape.
    pub clock: Clock,
    /// Batching interval: ticks that are due within it are sent in one write.
    pub flush_interval: Duration,
    /// Largest lag of a reader of every tick. One that is further behind gets a gap.
    pub max_lag: Duration,
    /// Time without a message after which a stream gets a heartbeat.
    pub heartbeat_interval: Duration,
    /// Number of threads that serve connections.
    pub workers: NonZeroUsize,
    /// Largest number of connections at the same time.
    pub max_connections: NonZeroUsize,
    /// Largest number of subscriptions. A connection may have a tenth of them, and at least as many as one stream.
    pub max_subscriptions: usize,
    /// Timeouts of connections.
    pub timeouts: Timeouts,
    /// Maximum age of a stream of ticks, ±10 % jitter. Its client is warned a second before, if the package has a message for
    /// that, and the stream ends with UNAVAILABLE.
    pub max_stream_age: Option<Duration>,
    /// How it stops.
    pub drain: Drain,
    /// Called about once a second on the thread of each worker: makes memory that the thread has freed ready to be returned
    /// to the system, if the allocator needs that. With `true` it may take up to a millisecond; that is once, some seconds
    /// after clients have left. With `false` it must return within microseconds.
    pub collect_memory: Option<fn(bool)>,
}

impl Config {
    /// What all connections share.
    fn context(&self, tokens: Option<Arc<Tokens>>) -> ServerContext {
        let max_subscriptions_per_connection = (self.max_subscriptions / 10).max(MAX_SYMBOLS_PER_STREAM);
        let authentication = Authentication::new(tokens, self.caller_limits);
        ServerContext::new(max_subscriptions_per_connection, self.timeouts.stall_timeout, authentication)
    }
}

/// Bound, but not yet accepting: clients that connect wait.
pub struct Bound {
    config: Config,
    listener: Listener,
    admin: Option<Admin>,
    tls: Option<(Tls, WatchedFiles)>,
    auth: Option<(Arc<Tokens>, WatchedFiles)>,
}

/// Why a server does not run.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: is another server there? --listen chooses the address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address of the admin port cannot be listened on.
    #[error(
        "cannot listen on {address} for the admin port: is another server there? --admin chooses the address"
    )]
    Admin {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The files of TLS cannot be used.
    #[error("cannot use the files of --tls-cert, --tls-key and --tls-client-ca")]
    Tls(#[from] TlsError),
    /// The files of authentication cannot be used.
    #[error("cannot use the files of --auth-jwks and --auth-roles")]
    Auth(#[from] AuthError),
    /// A part of the server could not be started.
    #[error("cannot start {0}")]
    Start(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// A worker ended although nobody asked it to.
    #[error("a worker thread ended unexpectedly")]
    WorkerLost,
}

impl Bound {
    /// Connections that the kernel keeps until they are accepted. It drops further ones, and TCP tries again after a second.
    pub const BACKLOG: i32 = 1024;
    /// After the deadline of its drain, a server stops within this time.
    pub const GRACE: Duration = Duration::from_secs(1);

    /// Loads the certificates and keys, and takes the addresses.
    ///
    /// # Errors
    /// The certificates or keys cannot be used, or an address cannot be listened on.
    pub fn bind(config: Config) -> Result<Self, ServerError> {
        let tls = config.tls.clone().map(Tls::load).transpose()?;
        let auth = config.auth.as_ref().map(AuthFiles::load).transpose()?;
        let bind = |address| Admin::bind(address).map_err(|source| ServerError::Admin { address, source });
        let admin = config.admin.map(bind).transpose()?;
        let address = config.listen;
        let listener = Listener::bind(address).map_err(|source| ServerError::Listen { address, source })?;
        Ok(Self { config, listener, admin, tls, auth })
    }

    /// The address that is bound, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// The address of the admin port, with the real port.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::local_addr)
    }

    /// Serves until `shutdown` is cancelled. Then it drains: the named services are NOT_SERVING, no connections are accepted, and
    /// new streams of ticks are refused. The open ones end with UNAVAILABLE, spread over [`Drain::spread`], and their
    /// connections get GOAWAY. It returns when all have closed, or [`Self::GRACE`] after [`Drain::deadline`] at the latest.
    /// Needs a tokio runtime with its drivers enabled.
    ///
    /// # Errors
    /// A part of the server could not be started, or a worker was lost.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), ServerError> {
        let Self { config, listener, admin, tls, auth } = self;
        let health = serving().await;
        let history = HistoryPool::default();
        // They stop when this returns.
        let mut following = JoinSet::new();
        let tokens = config.auth.clone().zip(auth).map(|(files, (tokens, watched))| {
            following.spawn(files.follow(watched, tokens.clone()));
            tokens
        });
        let context = config.context(tokens);
        let admission = Admission::new(config.max_connections.get(), context.clone());
        let subscriptions = Quota::new(config.max_subscriptions);
        let mut threads = JoinSet::new();
        let (mut workers, mut sent) = (Vec::new(), Vec::new());
        for _ in 0..config.workers.get() {
            let (worker, web) = context_and_web(&config, &context, &health, &history, &subscriptions)?;
            sent.push(worker.hub.counters());
            let (worker, run) = Worker::start(worker, web, config.clone())
                .map_err(|error| ServerError::Start("a worker", error.into()))?;
            workers.push(worker);
            threads.spawn_blocking(run);
        }
        info!(
            address = %listener.local_addr(),
            admin = admin.as_ref().map(|admin| display(admin.local_addr())),
            tape_id = config.tape.identity().tape_id,
            instruments = all_but_tests(&config.tape.instruments()).count(),
            workers = config.workers,
            max_connections = config.max_connections,
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );

        let collector = Collector {
            context: context.clone(),
            admission: admission.clone(),
            subscriptions,
            history,
            tape: config.tape.clone(),
            web_requests: config.web.requests.clone(),
            sent,
            intake: config.intake.clone(),
            flushes: workers.iter().map(Worker::flushes).cloned().collect(),
        };
        let handshakes = match tls {
            Some((tls, files)) => {
                following.spawn(tls.clone().follow(files));
                let started = Handshakes::start(tls);
                Some(started.map_err(|error| ServerError::Start("TLS handshakes", error.into()))?)
            }
            None => None,
        };
        let mut admin_task = JoinSet::new();
        if let Some(admin) = admin {
            admin_task.spawn(admin.serve(collector, config.intake.clone()));
        }

        let ended = tokio::select! {
            dealt = listener.deal_to(&workers, &admission, handshakes.as_ref()) => dealt.map_err(|error| ServerError::Start("the listener", error.into())),
            () = shutdown.cancelled() => Ok(()),
            _ = threads.join_next() => Err(ServerError::WorkerLost),
            Some(Ok(Err(error))) = admin_task.join_next() => Err(ServerError::Start("the admin port", error.into())),
        };

        let draining = config.drain.begin(&health, &context).await;
        for worker in workers {
            worker.drain(draining);
        }
        draining.close_connections(health, &admission, &context).await;
        while let Ok(Some(_)) = timeout_at(draining.deadline + Self::GRACE / 2, threads.join_next()).await {}
        info!(streams_cut = context.cut_streams(), "stopped");
        ended
    }
}

/// Serves connections that the caller accepts, as one worker on the caller's runtime: for a network of the caller's
/// own, such as a simulated one. `listen`, `tls` and `workers` of the settings have no meaning here. Ends as
/// [`Bound::serve`] does.
///
/// # Errors
/// A part of the server could not be started.
pub async fn serve_accepted<C>(
    config: Config,
    mut accepted: mpsc::Receiver<C>,
    shutdown: CancellationToken,
) -> Result<(), ServerError>
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let health = serving().await;
    let subscriptions = Quota::new(config.max_subscriptions);
    let auth = config.auth.as_ref().map(AuthFiles::load).transpose()?;
    let context = config.context(auth.map(|(tokens, _)| tokens));
    let (worker, web) = context_and_web(&config, &context, &health, &HistoryPool::default(), &subscriptions)?;
    let admission = Admission::new(usize::MAX, context.clone());
    let (stop, stopped) = oneshot::channel();
    let draining = {
        let (admission, drain) = (admission.clone(), config.drain);
        async move {
            shutdown.cancelled().await;
            let draining = drain.begin(&health, &context).await;
            // Fails when the worker has ended already.
            let _ = stop.send(draining);
            draining.close_connections(health, &admission, &context).await;
            std::future::pending::<()>().await;
        }
    };
    let (admit, admitted) = mpsc::channel(1);
    let admitting = async {
        while let Some(stream) = accepted.recv().await {
            let Ok(admitted) = admission.admit(None, Arc::default()) else { break };
            if admit.send((stream, admitted)).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let flushes = Arc::new(FlushMetrics::new());
    let run = worker::run(worker, web, config, admitted, Ok, stopped, flushes);
    tokio::select! {
        () = run => {}
        () = admitting => {}
        () = draining => {}
    }
    Ok(())
}

/// The health of a server that serves.
async fn serving() -> HealthReporter {
    let health = HealthReporter::new();
    for service in SERVICES {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
    health
}

/// The context of a worker, and what answers its requests.
fn context_and_web(
    config: &Config,
    context: &ServerContext,
    health: &HealthReporter,
    history: &HistoryPool,
    subscriptions: &Arc<Quota>,
) -> Result<(WorkerContext, Web), ServerError> {
    let limits = Limits::default();
    let limits = Limits {
        max_lag: config.clock.span(config.max_lag),
        heartbeat_interval: config.clock.span(config.heartbeat_interval),
        max_idle: config.clock.span(limits.max_idle),
        crowded_max_idle: config.clock.span(limits.crowded_max_idle),
        max_age: config.max_stream_age.map(|age| config.clock.span(age)),
        warning: config.clock.span(limits.warning),
        ..limits
    };
    let worker = WorkerContext::new(
        config.tape.clone(),
        config.clock,
        limits,
        subscriptions.clone(),
        history.clone(),
        context.refusals().clone(),
    );
    let worker = worker.with_intake(config.intake.clone());
    let router = Router::new(worker.clone(), shared_services(health, config.has_reflection)?);
    Ok((worker, Web::new(router, config.web.clone())))
}

/// Health and reflection, which are the same for all workers.
fn shared_services(health: &HealthReporter, has_reflection: bool) -> Result<Services, ServerError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
    };
    let failed = |error: tonic_reflection::server::Error| ServerError::Start("reflection", error.into());
    let services =
        Services::default().with(HealthServer::new(HealthService::from_health_reporter(health.clone())));
    if !has_reflection {
        return Ok(services);
    }
    Ok(services
        .with(reflection().build_v1().map_err(failed)?)
        .with(reflection().build_v1alpha().map_err(failed)?))
}
