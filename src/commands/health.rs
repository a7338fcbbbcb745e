//! `ticker health`: exit 0 when the server serves, 1 when not, for container health checks.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::time::timeout;

use super::{output, usage, watch::warn};
use crate::client::{Client, ClientError, Endpoint, Health, Settings};

/// The flags of `ticker health`.
#[derive(Args, Debug)]
pub struct HealthArgs {
    /// The server, such as http://127.0.0.1:50051; of several each must serve. Left out, it is the one that --listen
    /// tells of.
    #[arg(long = "endpoint", env = "TICKER_ENDPOINT", value_name = "URL", value_delimiter = ',')]
    pub endpoints: Vec<Endpoint>,

    /// The address that the server of this machine or container listens on.
    #[arg(long, env = "TICKER_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,

    /// The service to ask about, such as ticker.v1.TickerStreamService; empty for the server as a whole.
    #[arg(long, env = "TICKER_HEALTH_SERVICE", value_name = "NAME", default_value = "")]
    pub service: String,

    /// How long all of it may take.
    #[arg(long, env = "TICKER_HEALTH_TIMEOUT", value_name = "DURATION", default_value = "2s", value_parser = usage::longer_than_zero)]
    pub timeout: Duration,
}

/// Asks each server and prints its answer; with several servers each line has the address.
///
/// # Errors
/// A single server cannot be reached or does not answer in time. (With several servers that is a warning.)
pub async fn run(args: HealthArgs) -> anyhow::Result<ExitCode> {
    let mut endpoints = args.endpoints;
    if endpoints.is_empty() {
        endpoints.push(Endpoint::of_listener(args.listen).ok_or_else(|| {
            anyhow!("port 0 of --listen stands for any port: name the server with --endpoint")
        })?);
    }
    let mut code = ExitCode::SUCCESS;
    for endpoint in &endpoints {
        let answer = timeout(args.timeout, check(endpoint, &args.service)).await;
        let answer = answer.with_context(|| format!("{endpoint} did not answer within {:?}", args.timeout));
        let found = match answer.and_then(|answer| Ok(answer?)) {
            Ok(found) => found,
            // The other servers are still asked.
            Err(error) if endpoints.len() > 1 => {
                warn(&format!("{error:#}"));
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

async fn check(endpoint: &Endpoint, service: &str) -> Result<Health, ClientError> {
    Client::connect(&endpoint.clone().into(), Settings::default()).await?.health(service).await
}
