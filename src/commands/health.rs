//! `ticker health`: exit 0 when every server is serving, 1 when not, for container health checks.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::time::timeout;

use super::{SecurityArgs, output, usage, warnings};
use crate::client::{Client, ClientError, Endpoint, Health, Settings};

/// The flags of `ticker health`.
#[derive(Args, Debug)]
pub struct HealthArgs {
    /// Address of a server; repeat the flag or use commas for several servers, each of which must be serving [default: the
    /// server of --listen]
    #[arg(long = "endpoint", env = "TICKER_ENDPOINT", value_name = "URL", value_delimiter = ',')]
    pub endpoints: Vec<Endpoint>,

    /// Address that the server of this machine or container listens on; not used with --endpoint
    #[arg(long, env = "TICKER_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,

    /// gRPC service to ask about, such as ticker.v1.TickerStreamService [default: the server as a whole]
    #[arg(
        long,
        env = "TICKER_HEALTH_SERVICE",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub service: String,

    /// Time to wait for the answer of each server, such as 500ms
    #[arg(long, env = "TICKER_HEALTH_TIMEOUT", value_name = "DURATION", default_value = "2s", value_parser = usage::parse_positive_duration)]
    pub timeout: Duration,

    /// TLS and tokens.
    #[command(flatten)]
    pub security: SecurityArgs,
}

/// Asks each server and prints its answer; with several servers each line has the address.
///
/// # Errors
/// A single server cannot be reached or does not answer in time. (With several servers that is a warning.)
pub async fn run(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let mut endpoints = args.endpoints;
    if endpoints.is_empty() {
        endpoints.push(Endpoint::of_listener(args.listen).ok_or_else(|| {
            anyhow!("--listen has port 0, which stands for any free port: name the server with --endpoint")
        })?);
    }
    let mut code = ExitCode::SUCCESS;
    for endpoint in &endpoints {
        let answer = timeout(args.timeout, check(endpoint, &args.service, args.security.settings())).await;
        let answer = answer.with_context(|| format!("{endpoint} did not answer within {:?}", args.timeout));
        let found = match answer.and_then(|answer| Ok(answer?)) {
            Ok(found) => found,
            // The other servers are still asked.
            Err(error) if endpoints.len() > 1 => {
                warnings::print(&format!("{error:#}"));
                code = ExitCode::FAILURE;
                continue;
            }
            Err(error) => return Err(error),
        };
        if found != Health::Serving {
            code = ExitCode::FAILURE;
        }
        let written = match endpoints.len() {
            1 => writeln!(io::stdout(), "{found}"),
            _ => writeln!(io::stdout(), "{endpoint}  {found}"),
        };
        if let Err(error) = written {
            return output::exit_code(Err(error.into()));
        }
    }
    Ok(code)
}

async fn check(endpoint: &Endpoint, service: &str, settings: Settings) -> Result<Health, ClientError> {
    Client::connect(&endpoint.clone().into(), settings).await?.health(service).await
}
