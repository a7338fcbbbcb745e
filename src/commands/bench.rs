//! `ticker bench`: loads a server with streams, and measures how fast and how completely ticks arrive.

mod counts;
mod cpu_time;
mod load;
mod output;
mod plan;
mod progress;
mod reader;
mod report;
mod threshold;

use std::{
    io::{self, BufWriter, Write},
    pin::{Pin, pin},
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    task::LocalSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_stream::StreamExt;

pub use self::output::ReportFormat;
use self::{
    cpu_time::CpuTime,
    load::Load,
    plan::Plan,
    progress::Progress,
    report::{ClientUse, Received, Report},
    threshold::{Outcome, Threshold},
};
use super::{DeliveryArg, EndpointArgs, SecurityArgs, output::exit_code, phrases::counted, usage};
use crate::client::{Client, ClientError, TapeInfo, TapeKind};

/// The flags of `ticker bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// The servers.
    #[command(flatten)]
    pub endpoints: EndpointArgs,

    /// TLS and tokens.
    #[command(flatten)]
    pub security: SecurityArgs,

    /// Number of streams, which are all open until the end
    #[arg(long, env = "TICKER_BENCH_STREAMS", value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub streams: u32,

    /// Number of streams to open each second, whether or not earlier ones were answered, instead of --streams [default: none]
    #[arg(long, env = "TICKER_BENCH_ARRIVALS", value_name = "NUMBER", conflicts_with = "streams", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub arrivals: Option<u32>,

    /// Time after which a stream of --arrivals is closed, such as 30s
    #[arg(long, env = "TICKER_BENCH_STREAM_DURATION", value_name = "DURATION", default_value = "5s", requires = "arrivals", value_parser = usage::parse_positive_duration)]
    pub stream_duration: Duration,

    /// Number of connections, over which the streams are spread [default: 10, or one for each stream if there are fewer]
    #[arg(long, env = "TICKER_BENCH_CONNECTIONS", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub connections: Option<u32>,

    /// Number of symbols of each stream; the streams take turns, so that together they have all symbols [default: 10, or all
    /// that the server lists if they are fewer]
    #[arg(long, env = "TICKER_BENCH_SYMBOLS", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub symbols: Option<u32>,

    /// Time to measure, such as 30s, after the streams of --streams are open
    #[arg(long, env = "TICKER_DURATION", value_name = "DURATION", default_value = "10s", value_parser = usage::parse_positive_duration)]
    pub duration: Duration,

    /// What the server sends to a stream that cannot keep up
    #[arg(long, env = "TICKER_DELIVERY", default_value = "latest")]
    pub delivery: DeliveryArg,

    /// How many streams in a hundred read slowly, over connections of their own; the report has them apart
    #[arg(long, env = "TICKER_BENCH_SLOW_READERS", value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub slow_readers: u8,

    /// Condition under which the exit code is 1, such as 'p99>50ms'; repeat the flag or use commas for several. Metrics: p50,
    /// p99, p99.9 and max of the delay, first-tick-p99, ticks-per-second, conflated, gaps, errors; operators: > >= < <=
    #[arg(long, env = "TICKER_BENCH_FAIL_IF", value_name = "CONDITION", value_delimiter = ',')]
    fail_if: Vec<Threshold>,

    /// Format of the report
    #[arg(long, short, env = "TICKER_BENCH_OUTPUT", default_value = "text")]
    pub output: ReportFormat,
}

/// Connections, unless the user says how many.
const CONNECTIONS: u32 = 10;

/// Symbols of a stream, unless the user says how many.
const SYMBOLS: u32 = 10;

/// Streams that are not open after this time are opened while others are measured.
const LONGEST_RAMP: Duration = Duration::from_secs(60);

/// Time between two drawings of the progress.
const FRAME: Duration = Duration::from_millis(100);

/// Time between two looks at how late this process is.
const PULSE: Duration = Duration::from_millis(10);

/// Measures until the time is over or `stop` completes, and prints the report. The exit code is 1 when a threshold was
/// crossed or no tick arrived.
///
/// # Errors
/// The server cannot be reached or refuses to list its instruments, `stop` completes before anything was measured, or the
/// report cannot be written.
pub async fn run(args: BenchArgs, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
    let connections = args.connections().unwrap_or_else(|message| usage::exit_with_error(message));
    raise_file_limit();
    let report = LocalSet::new().run_until(measure(&args, connections, pin!(stop))).await?;
    let outcomes: Vec<_> = args.fail_if.iter().map(|threshold| threshold.check(&report)).collect();
    let stdout = BufWriter::new(io::stdout().lock());
    let written = match args.output {
        ReportFormat::Text => output::write_text(&report, stdout),
        ReportFormat::Json => output::write_json(&report, &outcomes, stdout),
    };
    let written = exit_code(written.map(|()| ExitCode::SUCCESS).map_err(anyhow::Error::new));
    let verdict = verdict(&report, &outcomes);
    written.map(|_| verdict)
}

/// Lets this process have as many connections as the system allows it.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Connections beyond an unchanged limit fail, and are counted.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Prints why the run has failed, if it has.
fn verdict(report: &Report, outcomes: &[Outcome]) -> ExitCode {
    let nothing = report.readers.ticks + report.slow_readers.as_ref().map_or(0, |slow| slow.ticks) == 0;
    let nothing = nothing.then(|| "no tick arrived while it was measured".to_owned());
    let failed = outcomes.iter().filter(|outcome| outcome.failed).map(ToString::to_string);
    let mut code = ExitCode::SUCCESS;
    for error in nothing.into_iter().chain(failed) {
        code = ExitCode::FAILURE;
        // Standard error may be closed. The exit code says enough.
        let _ = writeln!(io::stderr(), "error: {error}");
    }
    code
}

async fn measure(
    args: &BenchArgs,
    connections: u32,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<Report> {
    let (tape, plan) = tokio::select! {
        biased;
        () = &mut stop => bail!("stopped before a stream was opened: nothing was measured"),
        prepared = prepare(args, connections) => prepared?,
    };
    let load = Rc::new(Load::new(plan, args.security.settings()).context("cannot make a histogram")?);
    let progress = Progress::new();
    let ramp = match args.arrivals {
        Some(arrivals) => {
            load.keep_arriving(arrivals, args.stream_duration);
            None
        }
        None => Some(open_all(&load, args.streams as usize, &progress, stop.as_mut()).await?),
    };

    load.measured.borrow_mut().is_measuring = true;
    let (started, cpu) = (Instant::now(), CpuTime::now());
    let longest_lag = watch_the_clock(&load, args.duration, &progress, stop).await;
    let (elapsed, cpu) = (started.elapsed().as_secs_f64(), cpu.elapsed());

    let (measured, plan) = (load.measured.borrow(), &load.plan);
    let received = |counts| Received::of(counts, elapsed, tape.kind != TapeKind::Recorded);
    Ok(Report {
        endpoints: plan.endpoints.iter().map(ToString::to_string).collect(),
        tape_id: tape.id,
        streams: args.arrivals.is_none().then_some(args.streams),
        connections: plan.connections,
        symbols: plan.symbols,
        delivery: args.delivery.name(),
        ramp_seconds: ramp.map(|ramp| ramp.as_secs_f64()),
        seconds: elapsed,
        open_streams: measured.open,
        readers: received(&measured.readers),
        slow_readers: (args.slow_readers > 0).then(|| received(&measured.slow_readers)),
        error_count: measured.error_count(),
        errors: measured.errors.clone(),
        client: ClientUse::of(&measured, cpu, longest_lag, elapsed),
    })
}

/// Opens all streams of a closed load, and returns how long that took.
async fn open_all(
    load: &Rc<Load>,
    streams: usize,
    progress: &Progress,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    load.hold_all(streams);
    let mut time_is_up = pin!(sleep(LONGEST_RAMP));
    while load.measured.borrow().attempted < streams {
        progress.opening(&load.measured.borrow(), streams);
        tokio::select! {
            () = &mut stop => bail!("stopped before every stream was opened: nothing was measured"),
            () = &mut time_is_up => break,
            () = load.attempts.notified() => {}
        }
    }
    Ok(begun.elapsed())
}

/// Shows the progress until the time is up, and returns how late this process was at most.
async fn watch_the_clock(
    load: &Load,
    duration: Duration,
    progress: &Progress,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> Duration {
    let started = Instant::now();
    let mut time_is_up = pin!(sleep(duration));
    let [mut frames, mut pulse] = [FRAME, PULSE].map(interval);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut longest_lag = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return longest_lag,
            () = &mut time_is_up => return longest_lag,
            due = pulse.tick() => longest_lag = longest_lag.max(due.elapsed()),
            _ = frames.tick() => progress.measuring(&load.measured.borrow(), started.elapsed(), duration),
        }
    }
}

/// Asks a server what there is to subscribe to.
async fn prepare(args: &BenchArgs, connections: u32) -> anyhow::Result<(TapeInfo, Plan)> {
    let client = Client::connect(&args.endpoints.clone().into(), args.security.settings()).await?;
    let tape = client.tape().await?;
    let symbols = client.instruments().filter_map(|instrument| match instrument {
        Ok(instrument) if instrument.is_for_tests() => None,
        instrument => Some(instrument.map(|instrument| instrument.symbol.to_string())),
    });
    let listed: Vec<_> = symbols.collect::<Result<_, ClientError>>().await?;
    if listed.is_empty() {
        bail!("{} lists no instruments: there is nothing to subscribe to", client.endpoint());
    }
    let symbols = args.symbols.map_or(listed.len().min(SYMBOLS as usize), |symbols| symbols as usize);
    if symbols > listed.len() {
        bail!(
            "--symbols {symbols} is more than the {} that {} lists: choose fewer, or serve more with --instruments",
            counted(listed.len() as u64, "instrument"),
            client.endpoint()
        );
    }
    let plan = Plan {
        endpoints: args.endpoints.each().to_vec(),
        listed,
        symbols,
        delivery: args.delivery.into(),
        connections: connections as usize,
        slow_percent: args.slow_readers.into(),
    };
    Ok((tape, plan))
}

impl BenchArgs {
    /// The number of connections.
    ///
    /// # Errors
    /// There would be connections without streams, or no streams that read slowly.
    fn connections(&self) -> Result<u32, String> {
        let Self { streams, slow_readers, .. } = *self;
        let is_closed = self.arrivals.is_none();
        let most = if is_closed { streams } else { u32::MAX };
        let connections = self.connections.unwrap_or(CONNECTIONS.min(most));
        if connections > most {
            return Err(format!(
                "--connections {connections} is more than --streams {streams}: some would have no stream; choose fewer"
            ));
        }
        if is_closed && slow_readers > 0 && u64::from(streams) * u64::from(slow_readers) < 100 {
            return Err(format!(
                "--slow-readers {slow_readers} is less than one of --streams {streams}: choose more of either"
            ));
        }
        if (1..100).contains(&slow_readers) && connections < 2 {
            return Err(
                "slow readers have connections of their own: choose at least 2 --connections".to_owned()
            );
        }
        Ok(connections)
    }
}
