//! Replays the last 24 hours of some symbols as fast as possible, and prints a summary:
//! `cargo run --release --example replay_day -- http://127.0.0.1:50051`

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    time::{Duration, Instant},
};

use ticker::{
    client::{Client, Delivery, Endpoints, Event, ReplayOptions, Settings, SubscribeOptions},
    tick::{Price, Symbol},
    timestamp,
};

/// The day of a symbol, in figures.
struct Summary {
    ticks: u64,
    open: Price,
    high: Price,
    low: Price,
    close: Price,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoints = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let endpoints: Endpoints = endpoints.parse()?;
    let client = Client::connect(&endpoints, Settings::default()).await?;
    let to = client.tape().await?.time;
    let from = to.before(Duration::from_secs(24 * 60 * 60)).unwrap_or_default();
    println!("from {} to {}", timestamp::show(from), timestamp::show(to));

    let options = SubscribeOptions::new(["RELIANCE", "TCS", "BTC-USD"]).with_delivery(Delivery::EveryTick);
    let replay = ReplayOptions::new(from).with_to(to).with_speed(0.0);
    let started = Instant::now();
    let mut subscription = client.replay(options, replay).await?;
    let mut summaries: BTreeMap<Symbol, Summary> = BTreeMap::new();
    let mut events = Vec::new();
    'replay: loop {
        subscription.next_batch(&mut events).await?;
        for event in events.drain(..) {
            match event {
                Event::Tick(live) => {
                    let price = live.tick.price;
                    let new = Summary { ticks: 0, open: price, high: price, low: price, close: price };
                    let summary = summaries.entry(live.symbol).or_insert(new);
                    summary.ticks += 1;
                    summary.high = summary.high.max(price);
                    summary.low = summary.low.min(price);
                    summary.close = price;
                }
                Event::End => break 'replay,
                other => println!("{other:?}"),
            }
        }
    }
    for (symbol, Summary { ticks, open, high, low, close }) in &summaries {
        println!("{symbol}: {ticks} ticks, open {open}, high {high}, low {low}, close {close}");
    }
    let (ticks, seconds) =
        (summaries.values().map(|summary| summary.ticks).sum::<u64>(), started.elapsed().as_secs_f64());
    println!("{ticks} ticks in {seconds:.1} s, {:.0} a second", ticks as f64 / seconds);
    Ok(())
}
