//! What it costs a server to deliver a tick: `ticker`, its peers, and the bare `write` that none can beat.
//!
//! ```text
//! cargo bench --bench fan_out                                    the four rows, every subject
//! cargo bench --bench fan_out -- --row 3 --only ticker,floor     one row, some subjects
//! cargo bench --bench fan_out -- --latency                       from tick to arrival, by flush interval
//! cargo bench --bench fan_out -- --idle                          memory of a stream that is sent nothing
//! cargo bench --bench fan_out -- --universe                      60 instruments against a million
//! ```
//!
//! Every server is a process of its own on one core. The client, which only counts, has another core, so that it
//! never takes time from the server it measures. Linux only.
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

mod client;
mod cpu;
mod floor;
mod http2;
mod idle;
mod latency;
mod naive;
mod nats;
mod ours;
mod pace;
mod process;
mod publisher;
mod redis;
mod report;
mod row;
mod subject;
mod universe;

use std::{env, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use crate::{row::Row, subject::Subject};

/// The core that every server under measurement runs on.
const SERVER_CORE: usize = 0;
/// The core of the client and of whoever feeds a peer.
const CLIENT_CORE: usize = 1;

#[derive(Parser)]
#[command(about = "What it costs a server to deliver a tick", bin_name = "cargo bench --bench fan_out --")]
struct Arguments {
    /// Only these rows, counted from 1.
    #[arg(long, value_delimiter = ',')]
    row: Vec<usize>,
    /// Only these subjects: floor, ticker (or gogen, v1), naive, redis, nats.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Measure this executable of `ticker` and not the one that `cargo bench` has just built.
    #[arg(long, value_name = "FILE")]
    executable: Option<PathBuf>,
    /// One short window each, for a first look.
    #[arg(long)]
    quick: bool,
    /// Report how long a tick is under way, for several flush intervals.
    #[arg(long)]
    latency: bool,
    /// Report the memory of idle streams.
    #[arg(long)]
    idle: bool,
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

fn main() -> Result<()> {
    // `cargo test --all-targets` runs this executable too, and must not wait for it.
    if !env::args().any(|argument| argument == "--bench" || argument == "role") {
        return Ok(());
    }
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Role(Role::Pinned(role))) => role.run(),
        Some(Command::Role(Role::Floor(role))) => role.run(),
        Some(Command::Role(Role::Naive(role))) => role.run(),
        Some(Command::Role(Role::Publisher(role))) => role.run(),
        None if arguments.filter.as_ref().is_some_and(|filter| !"fan_out".contains(filter.as_str())) => {
            Ok(())
        }
        None => measure(&arguments),
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    if let Some(executable) = &arguments.executable {
        ours::measure_instead(executable.clone());
    }
    cpu::raise_file_limit()?;
    cpu::pin(CLIENT_CORE)?;
    let effort = match arguments.quick {
        true => {
            Effort { rounds: 1, warm_up: Duration::from_millis(700), window: Duration::from_millis(1_500) }
        }
        false => Effort { rounds: 3, warm_up: Duration::from_secs(2), window: Duration::from_secs(5) },
    };
    println!("{}\n", report::machine());
    if arguments.latency {
        latency::report(effort)?;
    }
    if arguments.idle {
        idle::report()?;
    }
    if arguments.universe {
        universe::report(effort)?;
    }
    if arguments.latency || arguments.idle || arguments.universe {
        return Ok(());
    }
    let rows: Vec<Row> = Row::ALL
        .into_iter()
        .enumerate()
        .filter(|(at, _)| arguments.row.is_empty() || arguments.row.contains(&(at + 1)))
        .map(|(_, row)| row)
        .collect();
    let subjects: Vec<Subject> =
        Subject::ALL.into_iter().filter(|subject| subject.is_one_of(&arguments.only)).collect();
    ensure!(!rows.is_empty(), "--row takes numbers from 1 to {}", Row::ALL.len());
    ensure!(!subjects.is_empty(), "--only takes floor, ticker, gogen, v1, naive, redis and nats");
    report::fan_out(&rows, &subjects, effort)
}
