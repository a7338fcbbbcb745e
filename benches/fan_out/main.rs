//! What it costs a server to deliver a tick: `ticker`, its peers, and the bare `write` that none can beat.
//!
//! ```text
//! cargo bench --bench fan_out                                    the five rows, every subject
//! cargo bench --bench fan_out -- --row 3 --only ticker,floor     one row, some subjects
//! cargo bench --bench fan_out -- --row 4 --only v1 --workers 2   `ticker` on both cores
//! cargo bench --bench fan_out -- --connections                   cost by number of connections, up to 10,000
//! cargo bench --bench fan_out -- --load                          from tick to arrival, by load, beside the peers
//! cargo bench --bench fan_out -- --feed                          from a publisher to its subscribers, by load, beside the peers
//! cargo bench --bench fan_out -- --latency                       from tick to arrival, by flush interval
//! cargo bench --bench fan_out -- --catch-up                      reading the past, and what it does to live ticks
//! cargo bench --bench fan_out -- --memory                        memory of streams and of connections
//! cargo bench --bench fan_out -- --universe                      60 instruments against a million
//! cargo bench --bench fan_out -- --pictures DIR                  --connections and --load, drawn as cost.svg and latency.svg
//! ```
//!
//! All take `--quick` and most take `--only`.
//!
//! Every server is a process of its own on one core. The client, which only counts, has another core, so that it
//! never takes time from the server it measures. Linux only.
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

mod catch_up;
mod client;
mod connections;
mod cpu;
mod feed;
mod feed_load;
mod floor;
mod grpc_go;
mod http2;
mod jetstream;
mod latency;
mod lateness;
mod load;
mod look;
mod memory;
mod naive;
mod nats;
mod nats_messages;
mod numbered;
mod observer;
mod ours;
mod pace;
mod pending;
#[path = "../picture/mod.rs"]
mod picture;
mod process;
mod publisher;
mod redis;
mod redis_streams;
mod report;
mod row;
mod sample;
mod stopwatch;
mod subject;
mod tls;
mod universe;

use std::{
    env, fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, builder::RangedU64ValueParser};

use crate::{ours::Setup, publisher::Peer, row::Row, subject::Subject};

/// The core that every server under measurement runs on.
const SERVER_CORE: usize = 0;
/// The core of the client and of whoever feeds a peer.
const CLIENT_CORE: usize = 1;

#[derive(Parser)]
#[command(about = "What it costs a server to deliver a tick", bin_name = "cargo bench --bench fan_out --")]
struct Arguments {
    /// Only these rows of the table, of --connections or of --feed, counted from 1.
    #[arg(long, value_delimiter = ',')]
    row: Vec<usize>,
    /// Only these subjects: floor, ticker (or gogen, v1, v1-tls, feed), naive, grpc-go, redis, redis-tls, nats, nats-tls;
    /// of --feed: feed, feed-nats, jetstream, jetstream-split, redis-streams.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Measure this executable of `ticker` and not the one that `cargo bench` has just built.
    #[arg(long, value_name = "FILE")]
    executable: Option<PathBuf>,
    /// Run `ticker` with so many workers, each on a core of its own. The last of two shares its core with the client,
    /// and only the CPU time of the server counts.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = RangedU64ValueParser::<usize>::new().range(1..=2))]
    workers: usize,
    /// One short window each, for a first look.
    #[arg(long)]
    quick: bool,
    /// Report how long a tick is under way, for several flush intervals.
    #[arg(long)]
    latency: bool,
    /// Report how fast a stream catches up with the tape, and how live ticks fare beside it.
    #[arg(long)]
    catch_up: bool,
    /// Report the memory of streams, idle and live, and of connections.
    #[arg(long, alias = "idle")]
    memory: bool,
    /// Report what a tick costs with 100 to 10,000 connections.
    #[arg(long)]
    connections: bool,
    /// Report how long a tick is under way at growing load, beside the peers.
    #[arg(long)]
    load: bool,
    /// Draw what --connections and --load report as pictures in this folder; without either, report and draw both.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Report how long a published tick is under way to its subscriber, at growing load, beside JetStream and Redis
    /// streams.
    #[arg(long)]
    feed: bool,
    /// Report what instruments cost that nobody watches.
    #[arg(long)]
    universe: bool,
    /// Set by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
    /// Set by `cargo bench NAME`: run only when this benchmark's name contains it.
    #[arg(hide = true)]
    filter: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Be one of the processes that the benchmark starts.
    #[command(subcommand, hide = true)]
    Role(Role),
}

/// What this executable is when the benchmark starts it again.
#[derive(Subcommand)]
enum Role {
    /// Pins itself to a core, then becomes the command.
    Pinned(process::Pinned),
    Floor(floor::Floor),
    Naive(naive::Naive),
    Publisher(publisher::Publisher),
}

/// How long to look.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    warm_up: Duration,
    window: Duration,
}

impl Effort {
    /// True for a first look.
    fn is_quick(self) -> bool {
        self.rounds == 1
    }
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs this executable too, and must not wait for it.
    if !env::args().any(|argument| argument == "--bench" || argument == "role") {
        return ExitCode::SUCCESS;
    }
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Some(Command::Role(Role::Pinned(role))) => role.run(),
        Some(Command::Role(Role::Floor(role))) => role.run(),
        Some(Command::Role(Role::Naive(role))) => role.run(),
        Some(Command::Role(Role::Publisher(role))) => match role.peer() {
            Peer::Redis => role.run(redis::PUBLISHER_HELLO, redis::publish),
            Peer::Nats => role.run(nats::HELLO, nats::publish),
            Peer::Ticker => feed::publish(&role),
            Peer::JetStream => jetstream::publish(&role),
            Peer::RedisStreams => redis_streams::publish(&role),
        },
        None if arguments.filter.as_ref().is_some_and(|filter| !"fan_out".contains(filter.as_str())) => {
            Ok(())
        }
        None => measure(&arguments),
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    ours::set_up(Setup { executable: arguments.executable.clone(), workers: arguments.workers });
    let pictures = arguments.pictures.as_deref();
    let both = pictures.is_some() && !arguments.connections && !arguments.load;
    if let Some(folder) = pictures {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let effort = arguments.effort();
    cpu::raise_file_limit()?;
    cpu::pin(&[CLIENT_CORE])?;
    println!("{}\n", report::machine());
    if arguments.latency {
        latency::report(effort)?;
    }
    if arguments.catch_up {
        catch_up::report(effort)?;
    }
    if arguments.memory {
        memory::report(&arguments.subjects(&Subject::ALL)?, effort)?;
    }
    if arguments.connections || both {
        let rows = arguments.rows(&Row::BY_CONNECTIONS)?;
        let all = if arguments.only.is_empty() { &connections::SUBJECTS[..] } else { &Subject::ALL };
        connections::report(rows, &arguments.subjects(all)?, effort, pictures)?;
    }
    if arguments.load || both {
        load::report(&arguments.subjects(&Subject::ALL)?, effort, pictures)?;
    }
    if arguments.feed {
        let subjects = arguments.subjects(&feed_load::SUBJECTS)?;
        feed_load::report(&arguments.rows(&feed_load::LOADS)?, &subjects, effort)?;
    }
    if arguments.universe {
        universe::report(effort)?;
    }
    if !arguments.has_report() && !both {
        report::fan_out(&arguments.rows(&Row::ALL)?, &arguments.subjects(&Subject::ALL)?, effort)?;
    }
    Ok(())
}

impl Arguments {
    /// True when a report is asked for and not the table.
    fn has_report(&self) -> bool {
        let Self { latency, catch_up, memory, universe, connections, load, feed, .. } = *self;
        latency || catch_up || memory || universe || connections || load || feed
    }

    /// The rows that are asked for.
    fn rows(&self, all: &[Row]) -> Result<Vec<Row>> {
        let wanted = |at: usize| self.row.is_empty() || self.row.contains(&(at + 1));
        let rows: Vec<_> =
            all.iter().enumerate().filter(|(at, _)| wanted(*at)).map(|(_, row)| *row).collect();
        ensure!(!rows.is_empty(), "--row takes numbers from 1 to {}", all.len());
        Ok(rows)
    }

    /// The subjects that are asked for.
    fn subjects(&self, all: &[Subject]) -> Result<Vec<Subject>> {
        let subjects: Vec<_> = all.iter().copied().filter(|subject| subject.is_one_of(&self.only)).collect();
        let names: Vec<_> = all.iter().map(Subject::to_string).collect();
        ensure!(!subjects.is_empty(), "here --only takes the words of these names: {}", names.join(", "));
        Ok(subjects)
    }

    fn effort(&self) -> Effort {
        let (rounds, warm_up, window) = if self.quick { (1, 700, 1_500) } else { (3, 2_000, 5_000) };
        Effort { rounds, warm_up: Duration::from_millis(warm_up), window: Duration::from_millis(window) }
    }
}
