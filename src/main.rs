//! The `ticker` command.

use std::{
    env,
    io::{self, Write},
    pin::pin,
    process::ExitCode,
};

use anyhow::Context;
use ticker::{
    cli::{Bar, Cli, Command},
    commands::{health, list, record, verify, watch},
    config::ServeArgs,
    server::Bound,
    shutdown,
    tape::Identity,
    telemetry,
};
use tokio_util::sync::CancellationToken;

mod memory;

fn main() -> ExitCode {
    let done = match Cli::from_env().command {
        Command::Serve(args) => serve(args),
        Command::Watch(args) => on_this_thread(watch::run(args)),
        Command::Record(args) => on_this_thread(async { record::run(args, shutdown::signals()?).await }),
        Command::List(args) => on_this_thread(list::run(args)),
        Command::Verify(args) => on_this_thread(verify::run(args)),
        Command::Health(args) => on_this_thread(health::run(args)),
    };
    done.unwrap_or_else(|error| {
        // Standard error may be closed; then there is nobody to tell.
        let _ = io::stderr().write_all(told(&error).as_bytes());
        ExitCode::FAILURE
    })
}

fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    telemetry::start();
    memory::start_purging().context("cannot start the thread that returns memory to the system")?;
    let (mut config, playback) = {
        let bar = Bar::new();
        args.load(&mut |progress| bar.show(progress))?
    };
    config.collect_memory = Some(memory::collect);
    let tape = config.tape.clone();
    on_this_thread(async {
        // Before anybody is told that it serves: a signal that nobody listens for kills at once.
        let stop = shutdown::signals()?;
        let bound = Bound::bind(config)?;
        let address = bound.local_addr();
        let Identity { tape_id, seed, engine_version, .. } = tape.identity();
        let count = tape.instruments().len();
        let origin = match playback {
            Some(playback) => format!("({engine_version})\n{playback}"),
            None => format!("(seed {seed}, engine {engine_version})"),
        };
        let example =
            tape.instruments().first().map(|instrument| instrument.symbol.to_string()).unwrap_or_default();
        // The service runs whether or not anybody reads this.
        let _ = writeln!(
            io::stdout(),
            "ticker serves {count} instrument{s} on {address}\n\
             tape {tape_id} {origin}\n\n  \
             grpcurl -plaintext -d '{{\"symbol\":\"{example}\"}}' {address} gogen.TickerStreamService/TickerStream\n  \
             {program} watch {example} --endpoint http://{address}",
            program = env::args().next().unwrap_or_else(|| "ticker".to_owned()),
            s = if count == 1 { "" } else { "s" },
        );
        let shutdown = CancellationToken::new();
        let mut serving = pin!(bound.serve(shutdown.clone()));
        tokio::select! {
            // Serving ends by itself only with an error.
            ended = &mut serving => ended?,
            () = stop => {
                shutdown.cancel();
                serving.await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs what needs one thread: a client with one connection, or the watch over the workers of the service.
fn on_this_thread(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
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
