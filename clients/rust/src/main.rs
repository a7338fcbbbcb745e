//! Prints the candles of some symbols, and then every tick of them. When a replica fails, the next one continues.

mod output;
mod replicas;
mod watch;

use std::{error::Error, fs, io, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, builder::NonEmptyStringValueParser};
use http::uri::Authority;
use prost_types::Timestamp;
use tokio::{signal, time::timeout};
use tonic::transport::Certificate;

use crate::{
    output::{Event, Output, reason},
    replicas::{Client, Replica},
    v1::{GetTapeRequest, ListCandlesRequest},
};

/// What `buf generate` makes of the contract.
mod v1 {
    include!("generated/ticker.v1.rs");
}

/// Prints the candles of some symbols, and then every tick of them.
#[derive(Parser)]
struct Arguments {
    /// Replicas; when one fails, the next one continues
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', default_value = "127.0.0.1:50051")]
    endpoints: Vec<Authority>,
    /// Symbols to watch
    #[arg(long, value_name = "SYMBOL", value_delimiter = ',', default_value = "RELIANCE,TCS")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    symbols: Vec<String>,
    /// How long to watch
    #[arg(long, value_name = "N", default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// Print events as JSON
    #[arg(long)]
    json: bool,
    /// PEM file with the CA of the servers: turns TLS on
    #[arg(long, value_name = "FILE", value_parser = certificate)]
    tls_ca: Option<Certificate>,
    /// File with a token, which is read again for every call
    #[arg(long, value_name = "FILE", value_parser = readable, requires = "tls_ca")]
    token_file: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or("must be a positive number")
}

fn certificate(path: &str) -> io::Result<Certificate> {
    fs::read(path).map(Certificate::from_pem)
}

fn readable(path: &str) -> io::Result<PathBuf> {
    fs::read(path).map(|_| path.into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            // An empty line and the usage follow.
            let text = error.to_string();
            eprintln!("{}", text.lines().take_while(|line| !line.is_empty()).collect::<String>());
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    let ended = tokio::select! {
        ended = run(arguments) => ended,
        _ = signal::ctrl_c() => Ok(()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments { endpoints, symbols, seconds, json, tls_ca, token_file } = arguments;
    let output = Output { json };
    let connect = |endpoint| Replica::new(endpoint, tls_ca.as_ref(), token_file.as_ref());
    let replicas: Vec<_> = endpoints.into_iter().map(connect).collect::<Result<_, _>>()?;
    candles(&replicas, &symbols, output).await?;
    // Dropping the future, when the time is over, cancels its stream.
    timeout(seconds, watch::run(&replicas, symbols, output)).await.unwrap_or(Ok(()))
}

/// Prints the candles of the last five minutes on the tape.
async fn candles(replicas: &[Replica], symbols: &[String], output: Output) -> Result<(), Box<dyn Error>> {
    let tape = replicas::call(replicas, GetTapeRequest {}, Client::get_tape).await;
    let tape = tape.map_err(|status| format!("GetTape: {}", reason(&status)))?;
    let now = tape.time.unwrap_or_default();
    output.print(&Event::Tape { tape_id: &tape.tape_id, time: now.to_string() })?;
    for symbol in symbols {
        let mut request = ListCandlesRequest {
            symbol: symbol.clone(),
            interval: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            start_time: Some(Timestamp { seconds: now.seconds - 300, ..now }),
            end_time: Some(now),
            ..Default::default()
        };
        loop {
            match replicas::call(replicas, request.clone(), Client::list_candles).await {
                Ok(page) => {
                    page.candles
                        .iter()
                        .try_for_each(|candle| output.print(&Event::candle(symbol, candle)))?;
                    request.page_token = page.next_page_token;
                }
                Err(status) => {
                    eprintln!("candles of {symbol}: {}", reason(&status));
                    break;
                }
            }
            if request.page_token.is_empty() {
                break;
            }
        }
    }
    Ok(())
}
