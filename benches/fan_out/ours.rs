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
    http2::{self, CountOnly, Http2, Observer},
    process::{self, Process},
    row::{self, Row, UNIVERSE},
    sample::Running,
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

/// The executable to measure, when it is not the one that was built with this benchmark.
static OTHER: OnceLock<PathBuf> = OnceLock::new();

/// Measures another executable of `ticker` from now on.
pub(crate) fn measure_instead(executable: PathBuf) {
    OTHER.get_or_init(|| executable);
}

/// The server on an instruments file, with TLS or in plain text.
pub(crate) fn serve(instruments: &Path, flush: Duration, tls: Option<&Tls>) -> Result<Process> {
    let (flush, seed) = (format!("{}ms", flush.as_millis()), seed(instruments)?.to_string());
    let executable = OTHER.get().map_or(Path::new(env!("CARGO_BIN_EXE_ticker")), PathBuf::as_path);
    let mut command: Vec<OsString> = vec![executable.into(), "serve".into()];
    command.extend(["--listen", "127.0.0.1:0", "--seed", &seed, "--workers", "1"].map(OsString::from));
    command.extend(["--flush-interval".into(), flush.into(), "--instruments".into(), instruments.into()]);
    if let Some(tls) = tls {
        command.extend(["--tls-cert".into(), tls.certificate().into()]);
        command.extend(["--tls-key".into(), tls.key().into()]);
    }
    // While another server has the admin port, a line says so before the address comes.
    let is_notice = |line: &str| line.contains("there is no admin port");
    Process::start(SERVER_CORE, command, PATIENCE, move |line| {
        if is_notice(line) { None } else { process::address_in(line) }
    })
}

/// The first seed with which the instruments have as many ticks in the next minute as their intervals ask for, within 2 %. A market has
/// calm and busy times, and a peer is fed at the mean rate.
fn seed(instruments: &Path) -> Result<u64> {
    const MINUTE: Duration = Duration::from_secs(60);
    const SAMPLE: usize = 100;
    let universe = Universe::read(instruments)?;
    let start =
        Time::from_nanos(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos().try_into()?);
    let is_as_asked = |seed: &u64| {
        let (mut ticks, mut asked) = (0.0, 0.0);
        for instrument in universe.listed().iter().take(SAMPLE) {
            let series = SimulatedSeries::new(*seed, instrument);
            let [from, to] = [start, start + MINUTE].map(|time| series.sequence_from(time).0);
            ticks += (to - from) as f64;
            asked += MINUTE.as_secs_f64() / instrument.tick_interval.as_secs_f64();
        }
        (ticks / asked - 1.0).abs() < 0.02
    };
    (1..10_000).find(is_as_asked).context("no seed has a minute of the mean rate")
}

/// The server and the clients of a row.
pub(crate) fn start(row: &Row, package: Package, tls: Option<&Tls>) -> Result<Running> {
    let instruments = row::instruments((0..UNIVERSE).map(row::symbol), row.interval())?;
    let server = serve(instruments.path(), row.flush, tls)?;
    let endpoint = Endpoint { address: server.address(), tls };
    let client = subscribe(endpoint, row, package, Attention::Pauses, || CountOnly)?;
    Ok(Running { server, client, publisher: None })
}

/// The clients of a row, with an observer of each one's messages.
pub(crate) fn subscribe<'a, O: Observer + 'static>(
    server: impl Into<Endpoint<'a>>,
    row: &Row,
    package: Package,
    attention: Attention,
    observer: impl Fn() -> O,
) -> Result<Client> {
    Client::connect(server, row.connections, attention, |connection| {
        let mut hello = http2::preface();
        package.call(1, row.symbols_of(connection), &mut hello);
        (Http2::new(1, observer()), hello)
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
