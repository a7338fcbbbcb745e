//! Publishes one tick to a server that runs with `--feed`: `cargo run --example publish -- http://127.0.0.1:50051`

use std::{env, error::Error};

use ticker::{
    client::{Client, Endpoints, NewTick, PublisherOptions, Settings},
    tick::Price,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoints = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let endpoints: Endpoints = endpoints.parse()?;
    let client = Client::connect(&endpoints, Settings::default()).await?;
    let price = Price::from_nanos(4_192_050_000_000).ok_or("a price is positive")?;
    let mut publisher = client.publisher(PublisherOptions::default()).await?;
    publisher.publish(vec![NewTick::new("TCS".parse()?, price, 3)]).await?;
    let totals = publisher.finish().await?;
    println!("{} accepted, {} rejected", totals.accepted, totals.rejected);
    Ok(())
}
