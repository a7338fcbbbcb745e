//! The same with real servers and real clients, in one process: a network of pipes and tokio's time, which passes as fast as
//! nothing happens. It shows whether the model is right, with some thousand streams.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Result;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use ticker::{
    client::{self, Connection, Endpoints, Event, Network, Settings, SubscribeOptions, Task},
    pacer::Clock,
    server::{CallerLimits, Config, Timeouts, WebSettings, serve_accepted},
    tape::{Simulated, Tape, Universe},
    tick::Time,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    runtime,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, Sleep, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    fleet::{Address, Fleet, Pod},
    measures::Measures,
    model::{Scenario, since},
};

/// One instrument that hardly trades: what is measured is where streams are, not what they carry.
const INSTRUMENTS: &str = r#"
    [[instrument]]
    symbol = "SLOW"
    reference_price = "100.00"
    tick_interval = "1h"
"#;

/// Interval of heartbeats. Long, because they take most of the time of the simulation.
const HEARTBEATS: Duration = Duration::from_secs(60);
/// When the simulation begins.
const BEGIN: Time = Time::from_nanos(0);
/// Bytes that a pipe holds.
const PIPE: usize = 64 * 1024;

/// What all servers and clients share.
#[derive(Clone)]
struct Shared {
    begun: Instant,
    fleet: Arc<Fleet>,
    /// Where each pod takes its connections.
    accept: Arc<[mpsc::Sender<DuplexStream>]>,
    measures: Arc<Mutex<Measures>>,
    rng: Arc<Mutex<ChaCha8Rng>>,
    handshake: Duration,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Runs a scenario with real servers and clients, as far as it can: [`Scenario::client`], [`Scenario::is_aged`] and
/// [`Scenario::opening`] have no meaning here. The jitter of the servers is not that of the seed.
///
/// # Errors
/// A server or client could not be started, or a client gave up.
pub(crate) fn run(scenario: &Scenario) -> Result<(Arc<Fleet>, Measures)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(simulate(scenario))
}

async fn simulate(scenario: &Scenario) -> Result<(Arc<Fleet>, Measures)> {
    let mut rng = ChaCha8Rng::seed_from_u64(scenario.seed);
    let fleet = Arc::new(Fleet::new(scenario.replicas, scenario.change, &mut rng));
    let until = scenario.end_of_change(&fleet) + scenario.after;
    let begun = Instant::now();
    let tape: Arc<dyn Tape> =
        Arc::new(Simulated::new(scenario.seed, Universe::parse(INSTRUMENTS, "instruments")?));
    let mut tasks = JoinSet::new();
    let serve = |pod: &Pod| {
        let (accept, accepted) = mpsc::channel(1_024);
        tasks.spawn(serve(config(scenario, tape.clone(), begun), accepted, *pod, begun));
        accept
    };
    let accept = fleet.pods.iter().map(serve).collect();
    let measures = Arc::new(Mutex::new(Measures::new(fleet.pods.len())));
    let seeds: Vec<u64> = (0..scenario.streams).map(|_| rng.random()).collect();
    let rng = Arc::new(Mutex::new(rng));
    let shared = Shared {
        begun,
        fleet: fleet.clone(),
        accept,
        measures: measures.clone(),
        rng,
        handshake: scenario.handshake,
    };
    for seed in seeds {
        tasks.spawn(follow(shared.clone(), seed));
    }
    let mut next = Time::from_nanos(1_000_000_000);
    while next <= until {
        tokio::select! {
            biased;
            Some(ended) = tasks.join_next() => ended??,
            () = sleep_until(shared.instant(next)) => {
                locked(&measures).second(next, &fleet);
                next = next + Duration::from_secs(1);
            }
        }
    }
    tasks.shutdown().await;
    drop(shared);
    let measures = std::mem::replace(&mut *locked(&measures), Measures::new(0));
    Ok((fleet, measures.finished()))
}

fn config(scenario: &Scenario, tape: Arc<dyn Tape>, begun: Instant) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        admin: None,
        tls: None,
        auth: None,
        has_reflection: false,
        caller_limits: CallerLimits::default(),
        web: WebSettings::default(),
        tape,
        intake: None,
        clock: Clock::From { time: Time::from_nanos(1_700_000_000_000_000_000), instant: begun },
        flush_interval: Duration::from_millis(10),
        max_lag: Duration::from_secs(300),
        heartbeat_interval: HEARTBEATS,
        workers: NonZeroUsize::MIN,
        max_connections: NonZeroUsize::MAX,
        max_subscriptions: 1_000_000,
        timeouts: Timeouts::default(),
        max_stream_age: scenario.max_stream_age,
        drain: scenario.drain,
        collect_memory: None,
    }
}

/// Serves from the time at which a pod is ready until it has drained.
async fn serve(
    config: Config,
    accepted: mpsc::Receiver<DuplexStream>,
    pod: Pod,
    begun: Instant,
) -> Result<()> {
    sleep_until(begun + since(BEGIN, pod.ready)).await;
    let shutdown = CancellationToken::new();
    let served = serve_accepted(config, accepted, shutdown.clone());
    tokio::pin!(served);
    if pod.stops < Time::MAX {
        tokio::select! {
            ended = &mut served => return Ok(ended?),
            () = sleep_until(begun + since(BEGIN, pod.stops)) => {}
        }
        if pod.is_killed {
            return Ok(());
        }
        shutdown.cancel();
    }
    Ok(served.await?)
}

/// A client with one stream, which is counted wherever it goes.
async fn follow(shared: Shared, seed: u64) -> Result<()> {
    let settings =
        Settings::default().with_silence_timeout(HEARTBEATS * 4).with_seed(seed).with_network(shared.clone());
    let endpoints: Endpoints = "ticker:1".parse()?;
    // Not all in one instant.
    let pause = Duration::from_secs(1).mul_f64(locked(&shared.rng).random_range(0.0..=1.0));
    sleep(pause).await;
    let client = client::Client::connect(&endpoints, settings).await?;
    let mut subscription = client.subscribe(SubscribeOptions::new(["SLOW"])).await?;
    let mut at = Some(Address::of(client.address()));
    drop(client);
    at.iter().for_each(|at| locked(&shared.measures).begins(*at));
    let mut events = Vec::new();
    loop {
        subscription.next_batch(&mut events).await?;
        let measures = &mut *locked(&shared.measures);
        for event in events.drain(..) {
            match event {
                Event::Disconnected { .. } => match at.take() {
                    Some(at) => measures.ended(at),
                    None => measures.failed += 1,
                },
                Event::Reconnected { replica, without } => {
                    at.take().into_iter().for_each(|at| measures.ended(at));
                    let address = Address(replica.port() - 1);
                    measures.moved(address, without, shared.now());
                    at = Some(address);
                }
                _ => {}
            }
        }
    }
}

impl Shared {
    fn now(&self) -> Time {
        BEGIN + self.begun.elapsed()
    }

    fn instant(&self, time: Time) -> Instant {
        self.begun + since(BEGIN, time)
    }
}

impl Network for Shared {
    fn resolve(&self, _: &str, _: u16) -> Task<io::Result<Vec<SocketAddr>>> {
        let addresses = self.fleet.resolve(self.now(), &mut locked(&self.rng));
        let addresses = addresses.iter().map(|address| address.socket()).collect();
        Box::pin(async { Ok(addresses) })
    }

    fn connect(&self, address: SocketAddr) -> Task<io::Result<Box<dyn Connection>>> {
        let (shared, number) = (self.clone(), usize::from(Address::of(address).0));
        Box::pin(async move {
            let pod = shared.fleet.pods[number];
            if !pod.accepts(shared.now()) {
                sleep(shared.handshake / 3).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            sleep(shared.handshake).await;
            if !pod.accepts(shared.now()) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let (client, server) = duplex(PIPE);
            shared.accept[number].send(server).await.map_err(|_| io::ErrorKind::ConnectionReset)?;
            Ok(match pod.is_killed {
                true => Box::new(Cut { io: client, at: Box::pin(sleep_until(shared.instant(pod.stops))) }),
                false => Box::new(client) as Box<dyn Connection>,
            })
        })
    }
}

/// A connection to a process that is killed.
struct Cut {
    io: DuplexStream,
    at: Pin<Box<Sleep>>,
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.at.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.io).poll_read(cx, to)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
