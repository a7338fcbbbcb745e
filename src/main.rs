//! The `ticker` command.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use ticker::{config::ServeArgs, server::Bound, shutdown, telemetry};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command line.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Serve
    Serve(ServeArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start();
    let done = match cli.command {
        Some(Command::Serve(args)) => serve(args),
        None => serve(cli.serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {error}");
            for cause in error.chain().skip(1) {
                let _ = writeln!(io::stderr(), "  caused by: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let config = args.load()?;
    let tape = config.tape.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let bound = Bound::bind(config)?;
        let address = bound.local_addr();
        let identity = tape.identity();
        let example = tape.instruments().first().map(|instrument| instrument.symbol.to_string()).unwrap_or_default();
        // The service runs whether or not anybody reads this.
        let _ = writeln!(
            io::stdout(),
            "ticker serves {count} instruments on {address}\n\
             tape {tape_id} (seed {seed}, engine {engine})\n\n  \
             grpcurl -plaintext -d '{{\"symbol\":\"{example}\"}}' {address} gogen.TickerStreamService/TickerStream\n  \
             ticker watch {example} --endpoint http://{address}",
            count = tape.instruments().len(),
            tape_id = identity.tape_id,
            seed = identity.seed,
            engine = identity.engine_version,
        );
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(bound.serve(shutdown.clone()));
        shutdown::signalled().await?;
        shutdown.cancel();
        serving.await??;
        Ok(())
    })
}
