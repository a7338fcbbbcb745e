//! The `ticker` command.

use std::{
    env,
    io::{self, Write},
    pin::pin,
    process::{self, ExitCode},
};

use anyhow::Context;
use ticker::{
    cli::{Bar, Cli, Command, unknown_variables},
    commands::{bench, certs, health, list, market_report, publish, record, token, verify, watch},
    config::{ExampleFlags, Playback, ServeArgs},
    server::{self, Bound, ServerError},
    shutdown::Signals,
    tape::{Identity, Kind, Tape, all_but_tests},
    telemetry::{self, LogFormat},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

mod memory;

fn main() -> ExitCode {
    let command = Cli::from_env().command;
    if let Command::Serve(args) = &command {
        telemetry::start(args.log_format);
    }
    warn_of_unknown_variables(&command);
    let done = match command {
        Command::Serve(args) => serve(*args),
        Command::Watch(args) => on_this_thread(watch::run(args)),
        Command::Record(args) => {
            on_this_thread(async { record::run(args, signalled(Signals::listen()?)).await })
        }
        Command::Publish(args) => {
            on_this_thread(async { publish::run(args, signalled(Signals::listen()?)).await })
        }
        Command::List(args) => on_this_thread(list::run(args)),
        Command::Verify(args) => on_this_thread(verify::run(args)),
        Command::Bench(args) => {
            on_this_thread(async { bench::run(args, signalled(Signals::listen()?)).await })
        }
        Command::MarketReport(args) => market_report::run(&args),
        Command::Health(args) => on_this_thread(health::run(args)),
        Command::Certs(args) => certs::run(args),
        Command::Token(args) => token::run(args),
    };
    done.unwrap_or_else(|error| {
        // Standard error may be closed. The exit code says enough.
        let _ = io::stderr().write_all(error_lines(&error).as_bytes());
        ExitCode::FAILURE
    })
}

/// Warns of variables of the environment that are most likely misspelt: in the log of the service, as plain lines of the
/// other commands.
fn warn_of_unknown_variables(command: &Command) {
    for unknown in unknown_variables(env::vars_os()) {
        if matches!(command, Command::Serve(_)) {
            warn!("{unknown}");
        } else {
            let _ = writeln!(io::stderr(), "warning: {unknown}");
        }
    }
}

fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    memory::start_purging().context("cannot start the thread that returns memory to the system")?;
    let (log_format, is_admin_given) = (args.log_format, args.admin.is_some());
    let example = args.security.example();
    let (mut config, playback) = {
        let mut bar = Bar::new();
        args.load(&mut |progress| bar.show(progress))?
    };
    config.collect_memory = Some(memory::collect);
    let tape = config.tape.clone();
    on_this_thread(async {
        // Before the banner is printed, because a signal without a handler ends the process at once.
        let mut signals = Signals::listen()?;
        #[cfg(feature = "otel")]
        let traces = telemetry::Traces::start()
            .context("cannot export traces: check the variables OTEL_EXPORTER_OTLP_…")?;
        let missing = missing_protection(&config);
        let has_board = config.web.has_board;
        let bound = bind(config, is_admin_given)?;
        if let Some(missing) = missing.filter(|_| !bound.local_addr().ip().is_loopback()) {
            warn!(address = %bound.local_addr(), "{missing}");
        }
        // With a log in JSON, every line of the output is JSON.
        if log_format == LogFormat::Text {
            // The service runs whether or not anybody reads this.
            let _ = io::stdout().write_all(banner(&*tape, playback, &bound, has_board, example).as_bytes());
        }
        let shutdown = CancellationToken::new();
        let mut serving = pin!(async {
            let ended = bound.serve(shutdown.clone()).await;
            // Here, so that a second signal cuts it short too.
            #[cfg(feature = "otel")]
            if let Some(traces) = traces {
                traces.stop().await;
            }
            ended
        });
        tokio::select! {
            // In this order, so that the log has the start before the stop, however early a signal comes.
            biased;
            // Serving ends by itself only with an error.
            ended = &mut serving => ended?,
            signal = signals.next() => {
                info!(reason = %signal, "stopping");
                shutdown.cancel();
                tokio::select! {
                    ended = serving => ended?,
                    signal = signals.next() => {
                        info!(reason = %signal, "stopped at once");
                        // Returning would wait for the threads of the workers.
                        process::exit(signal.exit_code().into());
                    }
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Takes the addresses. The default address of the admin port may be taken: several servers on one machine share it.
fn bind(config: server::Config, is_admin_given: bool) -> Result<Bound, ServerError> {
    match Bound::bind(config.clone()) {
        Err(ServerError::Admin { address, source }) if !is_admin_given => {
            info!(%address, error = %source, "there is no admin port: its default address is taken; --admin chooses another one");
            Bound::bind(server::Config { admin: None, ..config })
        }
        bound => bound,
    }
}

/// What a server that others can reach is missing.
fn missing_protection(config: &server::Config) -> Option<String> {
    let has_client_ca =
        config.tls.as_ref().is_some_and(|tls| tls.client_ca.as_ref().is_some_and(|ca| ca.is_required));
    let may = if config.intake.is_some() { "read and publish everything" } else { "read everything" };
    match (&config.tls, config.auth.is_some() || has_client_ca) {
        (Some(_), true) => None,
        (None, true) => Some(
            "listens without TLS: tokens and prices can be read on the network; --tls-cert and --tls-key turn TLS on"
                .to_owned(),
        ),
        (Some(_), false) => Some(format!(
            "listens without authentication: everybody who reaches it can {may}; --auth-jwks or --tls-client-ca turns \
             authentication on"
        )),
        (None, false) => Some(format!(
            "listens without TLS and without authentication: everybody who reaches it can {may}; --tls-cert and --tls-key \
             turn TLS on, --auth-jwks or --tls-client-ca authentication"
        )),
    }
}

/// What is served, where, and how to try it.
fn banner(
    tape: &dyn Tape,
    playback: Option<Playback>,
    bound: &Bound,
    has_board: bool,
    example: ExampleFlags,
) -> String {
    let address = bound.local_addr();
    let admin =
        bound.admin_addr().map(|admin| format!("metrics http://{admin}/metrics\n")).unwrap_or_default();
    let Identity { tape_id, kind, seed, engine_version } = tape.identity();
    let listed = tape.instruments();
    let count = all_but_tests(&listed).count();
    let is_feed = *kind == Kind::Feed;
    let origin = match playback {
        Some(playback) => format!("({engine_version})\n{playback}"),
        None if is_feed => format!("({engine_version})"),
        None => format!("(seed {seed}, engine {engine_version})"),
    };
    let first = all_but_tests(&listed).next().map(|instrument| instrument.symbol.to_string());
    let symbol = first.unwrap_or_else(|| "ACME".to_owned());
    let program = env::args().next().unwrap_or_else(|| "ticker".to_owned());
    let ExampleFlags { scheme, grpcurl, watch } = example;
    let publish = if is_feed {
        format!("  echo {symbol} 101.5 10 | {program} publish --endpoint {scheme}://{address}{watch}\n")
    } else {
        String::new()
    };
    let board = if has_board { format!("board {scheme}://{address}/\n") } else { String::new() };
    let grpcurl = grpcurl.map(|flags| {
        format!("  grpcurl {flags} -d '{{\"symbol\":\"{symbol}\"}}' {address} gogen.TickerStreamService/TickerStream\n")
    });
    format!(
        "ticker serves {count} instrument{s} on {address}\n\
         tape {tape_id} {origin}\n{board}{admin}\n\
         {publish}{grpcurl}  \
         {program} watch {symbol} --endpoint {scheme}://{address}{watch}\n",
        grpcurl = grpcurl.unwrap_or_default(),
        s = if count == 1 { "" } else { "s" },
    )
}

/// Completes when a signal asks the process to stop.
async fn signalled(mut signals: Signals) {
    signals.next().await;
}

/// Runs what needs one thread: a client with one connection, or the watch over the workers of the service.
fn on_this_thread(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}

/// An error and its causes, a line each. A cause whose text is already there is left out.
fn error_lines(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!("  caused by: {cause}\n");
        }
    }
    text
}
