//! The `ticker` command.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use ticker::{
    cli::{Cli, Command},
    client::{health, list, watch},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Cli::from_env().command {
        Command::Serve(_) => Err(anyhow::anyhow!("`ticker serve` is not built yet")),
        Command::Watch(args) => on_this_thread(watch::run(args)),
        Command::List(args) => on_this_thread(list::run(args)),
        Command::Health(args) => on_this_thread(health::run(args)),
    };
    done.unwrap_or_else(|error| {
        // Nothing is left to do for an error that cannot be told.
        let _ = io::stderr().write_all(told(&error).as_bytes());
        ExitCode::FAILURE
    })
}

/// Runs a client command: one connection needs one thread.
fn on_this_thread(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(command)
}

/// An error and its causes, a line each. Causes that repeat what was told are left out.
fn told(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!("  caused by: {cause}\n");
        }
    }
    text
}
