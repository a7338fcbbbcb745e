//! Prints the ticks of two symbols: `cargo run --example subscribe -- http://127.0.0.1:50051`

use std::{env, error::Error};

use ticker::client::{Client, Endpoints, Event, Settings, SubscribeOptions};
use tokio_stream::StreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoints = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let endpoints: Endpoints = endpoints.parse()?;
    let client = Client::connect(&endpoints, Settings::default()).await?;
    let mut subscription = client.subscribe(SubscribeOptions::new(["RELIANCE", "BTC-USD"])).await?;
    while let Some(event) = subscription.next().await {
        match event? {
            Event::Tick(live) => println!("{} {} {}", live.symbol, live.tick.sequence, live.tick.price),
            other => println!("{other:?}"),
        }
    }
    Ok(())
}
