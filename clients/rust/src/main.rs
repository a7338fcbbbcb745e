//! Prints the candles of some symbols, and then every tick. When a replica fails, the next one continues.

mod output;
mod replicas;
mod watch;

use std::{fs, path::PathBuf, process, time::Duration};

use clap::{Parser, builder::NonEmptyStringValueParser, value_parser};
use http::uri::Authority;
use prost_types::Timestamp;
use serde_json::json;
use tokio::time::timeout;
use tonic::{Code, Status, transport::Certificate};

use crate::{
    output::{Printer, reason, time},
    replicas::{Client, Replicas},
    v1::{GetTapeRequest, ListCandlesRequest},
};

/// What `buf generate` makes of the contract.
mod v1 {
    include!("generated/ticker.v1.rs");
}

/// A call about a symbol that is refused ends with one of these. The watch says why it is.
const REFUSALS: [Code; 3] = [Code::NotFound, Code::PermissionDenied, Code::InvalidArgument];

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
    #[arg(long, value_name = "N", default_value = "10", value_parser = value_parser!(u64).range(1..))]
    seconds: u64,
    /// Print events as JSON
    #[arg(long)]
    json: bool,
    /// PEM file with the CA of the servers: turns TLS on
    #[arg(long, value_name = "FILE", value_parser = |path: &str| fs::read(path).map(Certificate::from_pem))]
    tls_ca: Option<Certificate>,
    /// File with a token, which is read again for every call
    #[arg(long, value_name = "FILE", requires = "tls_ca")]
    token_file: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        // An empty line and the usage follow.
        eprintln!("{}", error.to_string().lines().take_while(|line| !line.is_empty()).collect::<String>());
        process::exit(2)
    });
    if let Err(status) = run(arguments).await {
        eprintln!("error: {}", reason(&status));
        process::exit(1);
    }
}

async fn run(arguments: Arguments) -> Result<(), Status> {
    let replicas = Replicas::new(&arguments)?;
    let mut out = Printer::new(arguments.json);
    let tape = replicas.call(GetTapeRequest {}, Client::get_tape).await?;
    let now = tape.time.unwrap_or_default();
    out.print(json!({ "event": "tape", "tape_id": tape.tape_id, "time": time(tape.time) }))?;
    for symbol in &arguments.symbols {
        match candles(&replicas, symbol, now, &mut out).await {
            Err(status) if REFUSALS.contains(&status.code()) => {}
            result => result?,
        }
    }
    // Dropping the future, when the time is over, cancels its stream.
    let watch = watch::run(&replicas.clients, arguments.symbols, |endpoint, received| {
        out.received(endpoint, received)
    });
    timeout(Duration::from_secs(arguments.seconds), watch).await.unwrap_or(Ok(()))
}

/// Prints the candles of the last five minutes on the tape, page by page.
async fn candles(replicas: &Replicas, symbol: &str, now: Timestamp, out: &mut Printer) -> Result<(), Status> {
    let mut request = ListCandlesRequest {
        symbol: symbol.to_owned(),
        interval: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        start_time: Some(Timestamp { seconds: now.seconds - 300, ..now }),
        end_time: Some(now),
        ..Default::default()
    };
    loop {
        let page = replicas.call(request.clone(), Client::list_candles).await?;
        for candle in page.candles {
            out.print(json!({
                "event": "candle",
                "symbol": symbol,
                "open_time": time(candle.open_time),
                "open": candle.open_price,
                "high": candle.high_price,
                "low": candle.low_price,
                "close": candle.close_price,
                "volume": candle.volume,
            }))?;
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}
