//! Prints the five-minute candles of the last hour: `cargo run --example candles -- http://127.0.0.1:50051`

use std::{env, error::Error, time::Duration};

use ticker::{
    client::{Client, Endpoints, Settings},
    timestamp,
};
use tokio_stream::StreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoints = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let endpoints: Endpoints = endpoints.parse()?;
    let client = Client::connect(&endpoints, Settings::default()).await?;
    let hour_ago = client.tape().await?.time.before(Duration::from_secs(60 * 60)).unwrap_or_default();
    let mut candles = client.candles("RELIANCE", Duration::from_secs(5 * 60), hour_ago..);
    while let Some(candle) = candles.next().await {
        let candle = candle?;
        println!(
            "{}  open {:<9} high {:<9} low {:<9} close {:<9} volume {:<9} {}",
            timestamp::show(candle.open_time),
            candle.open.to_string(),
            candle.high.to_string(),
            candle.low.to_string(),
            candle.close.to_string(),
            candle.volume,
            if candle.complete { "" } else { "not complete yet" },
        );
    }
    Ok(())
}
