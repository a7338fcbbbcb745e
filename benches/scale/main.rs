//! What a million streams do when a hundred replicas are replaced: how many reconnect, how long they are silent, and where
//! they are afterwards. In virtual time, and with the same result for the same seed.
//!
//! ```text
//! cargo bench --bench scale                                      the table
//! cargo bench --bench scale -- --pictures docs/pictures          the pictures, too
//! cargo bench --bench scale -- --check                           the model beside real servers and clients
//! ```
#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

mod fleet;
mod measures;
mod model;
#[path = "../picture/mod.rs"]
mod picture;
mod pictures;
mod real;
mod report;
mod scenarios;

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(about = "A million streams under a rolling update", bin_name = "cargo bench --bench scale --")]
struct Arguments {
    /// Seed of all that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compare the model with real servers and clients.
    #[arg(long)]
    check: bool,
    /// Draw the pictures into this folder.
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,
    /// Set by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
    /// Set by `cargo bench NAME`: run only when this benchmark's name contains it.
    #[arg(hide = true)]
    filter: Option<String>,
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs this executable too, and must not wait for it.
    if !env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if arguments.filter.as_ref().is_some_and(|filter| !"scale".contains(filter.as_str())) {
        return Ok(());
    }
    println!("seed {}\n", arguments.seed);
    if arguments.check {
        return report::check(&scenarios::small(arguments.seed));
    }
    let scenarios = scenarios::million(arguments.seed);
    let measured = report::table(&scenarios);
    match &arguments.pictures {
        Some(folder) => pictures::draw(&measured, folder),
        None => Ok(()),
    }
}
