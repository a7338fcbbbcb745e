//! The subject: `ticker` itself, with both of its packages.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use prost::Message;
use ticker::{
    contract::{gogen, v1},
    tape::{Series, SimulatedSeries, Universe},
    tick::Time,
};

use crate::{
    SERVER_CORE,
    client::{Attention, Client, Endpoint},
    http2::{self, Http2},
    look::Look,
    observer::CountOnly,
    process::{self, Process, free_address},
    row::{self, Row, UNIVERSE},
    sample::Running,
    stopwatch::{time_of_naive, time_of_v1},
    tls::Tls,
};

/// Which package a client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    Gogen,
    V1,
}

/// Long enough to load a million instruments.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is chosen once for all servers.
static SETUP: OnceLock<Setup> = OnceLock::new();

/// How `ticker` is started.
pub(crate) struct Setup {
    /// The executable to measure, when it is not the one that was built with this benchmark.
    pub(crate) executable: Option<PathBuf>,
    /// The workers, each on a core of its own. With more than one the last shares its core with the client.
    pub(crate) workers: usize,
}

/// Starts every server from now on like this.
pub(crate) fn set_up(setup: Setup) {
    SETUP.get_or_init(|| setup);
}

/// The server on an instruments file, with TLS or in plain text.
pub(crate) fn serve(instruments: &Path, flush: Duration, tls: Option<&Tls>) -> Result<Process> {
    let seed = seed(instruments)?.to_string();
    let mut options: Vec<OsString> = vec!["--seed".into(), seed.into()];
    options.extend(["--instruments".into(), instruments.into()]);
    if let Some(tls) = tls {
        options.extend(["--tls-cert".into(), tls.certificate().into()]);
        options.extend(["--tls-key".into(), tls.key().into()]);
    }
    serve_with(flush, options)
}

/// The server of a feed in plain text, with what `--feed` takes.
pub(crate) fn serve_feed(flush: Duration, feed: &str) -> Result<Process> {
    serve_with(flush, ["--feed", feed].map(OsString::from).into())
}

fn serve_with(flush: Duration, options: Vec<OsString>) -> Result<Process> {
    let executable = SETUP.get().and_then(|setup| setup.executable.as_deref());
    let executable = executable.unwrap_or(Path::new(env!("CARGO_BIN_EXE_ticker")));
    let cores: Vec<_> = (SERVER_CORE..).take(SETUP.get().map_or(1, |setup| setup.workers)).collect();
    let (flush, workers, metrics) =
        (format!("{}ms", flush.as_millis()), cores.len().to_string(), free_address()?);
    let mut command: Vec<OsString> = vec![executable.into(), "serve".into()];
    command.extend(["--listen", "127.0.0.1:0", "--workers", &workers].map(OsString::from));
    command.extend(["--admin".into(), metrics.to_string().into()]);
    command.extend(["--flush-interval".into(), flush.into()]);
    command.extend(options);
    let mut process = Process::start(&cores, command, PATIENCE, process::address_in)?;
    process.metrics = Some(metrics);
    Ok(process)
}

/// The first seed with which the instruments have as many ticks in the next minute as their intervals ask for, within 2 %. A market has
/// calm and busy times, and a peer is fed at the mean rate. Any seed will do for instruments that hardly tick.
fn seed(instruments: &Path) -> Result<u64> {
    const MINUTE: Duration = Duration::from_secs(60);
    const SAMPLE: usize = 100;
    const HARDLY_ANY: f64 = 100.0;
    let universe = Universe::read(instruments)?;
    let sample = universe.listed().iter().take(SAMPLE);
    let asked: f64 =
        sample.clone().map(|listed| MINUTE.as_secs_f64() / listed.tick_interval.as_secs_f64()).sum();
    let start =
        Time::from_nanos(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos().try_into()?);
    let is_as_asked = |seed: &u64| {
        let ticks: f64 = sample
            .clone()
            .map(|instrument| {
                let series = SimulatedSeries::new(*seed, instrument);
                let [from, to] = [start, start + MINUTE].map(|time| series.sequence_from(time).0);
                (to - from) as f64
            })
            .sum();
        asked < HARDLY_ANY || (ticks / asked - 1.0).abs() < 0.02
    };
    (1..10_000).find(is_as_asked).context("no seed has a minute of the mean rate")
}

/// The server and the clients of a row.
pub(crate) fn start(row: &Row, package: Package, tls: Option<&Tls>, look: &Look) -> Result<Running> {
    let instruments = row::instruments((0..UNIVERSE).map(row::symbol), row.interval())?;
    let server = serve(instruments.path(), row.flush, tls)?;
    let endpoint = Endpoint { address: server.address(), tls };
    let client = subscribe(endpoint, row, package, look)?;
    Ok(Running { server, client, publisher: None })
}

/// The clients of a row. Only the naive servers have times in `gogen` that can be read.
pub(crate) fn subscribe<'a>(
    server: impl Into<Endpoint<'a>>,
    row: &Row,
    package: Package,
    look: &Look,
) -> Result<Client> {
    let time_of = match package {
        Package::Gogen => time_of_naive,
        Package::V1 => time_of_v1,
    };
    Client::connect(server, row.connections, look.attention, |connection| {
        let mut hello = http2::preface();
        package.call(1, row.symbols_of(connection), &mut hello);
        (Http2::new(1, look.stopwatch(time_of)), hello)
    })
}

/// The length of one tick on the wire, without the frame that it shares with others.
pub(crate) fn bytes_per_tick() -> usize {
    let tick = gogen::TickerResponse {
        symbol: row::symbol(0),
        ltp: 1_000.05,
        timestamp: "2026-11-20T09:15:00.123Z".into(),
    };
    let mut bytes = Vec::new();
    http2::message(&tick.encode_to_vec(), &mut bytes);
    bytes.len()
}

/// A client of one stream that resumes one symbol as long ago as the tape goes, and reads as fast as it can.
pub(crate) fn catch_up(server: SocketAddr, detail: v1::Detail) -> Result<Client> {
    Client::connect(server, 1, Attention::Pauses, |_| {
        let subscription = v1::Subscription {
            symbols: vec![row::symbol(0)],
            start_time: Some(prost_types::Timestamp::default()),
            delivery: v1::Delivery::EveryTick.into(),
            detail: detail.into(),
            ..Default::default()
        };
        let mut hello = http2::preface();
        subscribe_v1(1, subscription, &mut hello);
        (Http2::new(1, CountOnly), hello)
    })
}

fn subscribe_v1(stream: u32, subscription: v1::Subscription, bytes: &mut Vec<u8>) {
    let verb = Some(v1::ticker_stream_request::Verb::Subscribe(subscription));
    let request = v1::TickerStreamRequest { request_id: 1, verb };
    http2::call(stream, "/ticker.v1.TickerStreamService/TickerStream", &[request], bytes);
}

impl Package {
    /// Appends the call that subscribes to symbols.
    pub(crate) fn call(self, stream: u32, symbols: impl Iterator<Item = String>, bytes: &mut Vec<u8>) {
        match self {
            Package::Gogen => {
                let requests: Vec<_> = symbols.map(|symbol| gogen::TickerRequest { symbol }).collect();
                http2::call(stream, "/gogen.TickerStreamService/TickerStream", &requests, bytes);
            }
            Package::V1 => {
                let subscription = v1::Subscription { symbols: symbols.collect(), ..Default::default() };
                subscribe_v1(stream, subscription, bytes);
            }
        }
    }
}
