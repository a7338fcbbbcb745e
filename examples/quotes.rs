//! Prints the best bid and ask and the change of the day, once a second:
//! `cargo run --example quotes -- http://127.0.0.1:50051`

use std::{env, error::Error, time::Duration};

use ticker::client::{Client, Detail, Endpoints, Event, PriceLevel, Settings, SubscribeOptions};
use tokio_stream::StreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoints = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let endpoints: Endpoints = endpoints.parse()?;
    let client = Client::connect(&endpoints, Settings::default()).await?;
    let options = SubscribeOptions::new(["RELIANCE", "TCS", "BTC-USD"])
        .with_detail(Detail::Quote)
        .with_min_interval(Duration::from_secs(1));
    let mut subscription = client.subscribe(options).await?;
    while let Some(event) = subscription.next().await {
        match event? {
            Event::Tick(live) => {
                let Some(quote) = live.quote else { continue };
                println!(
                    "{:<10} last {:<10} bid {:<17} ask {:<17} high {:<10} low {:<10} {:+.2} %",
                    live.symbol.as_str(),
                    live.tick.price.to_string(),
                    level(quote.bid),
                    level(quote.ask),
                    quote.high.to_string(),
                    quote.low.to_string(),
                    quote.change_percent.unwrap_or_default(),
                );
            }
            Event::Answer { refused, .. } => {
                refused.iter().for_each(|symbol| println!("{}: {}", symbol.symbol, symbol.message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A recorded tape has no order book.
fn level(level: Option<PriceLevel>) -> String {
    level.map_or_else(|| "-".to_owned(), |level| format!("{} x {}", level.price, level.quantity))
}
