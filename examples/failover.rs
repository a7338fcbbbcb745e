//! Receives every tick from one of two replicas, and goes on at the other one when it fails:
//! `cargo run --example failover -- http://127.0.0.1:50051,http://127.0.0.1:50052`
//!
//! Kill the replica that it is connected to, start it again, and kill the other one: no tick is lost or comes twice.

use std::{collections::HashMap, env, error::Error, time::Duration};

use ticker::{
    client::{Client, Delivery, Endpoints, Event, Settings, SubscribeOptions},
    tick::{Sequence, Symbol},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoints = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let endpoints: Endpoints = endpoints.parse()?;
    // A replica whose stream is silent for four seconds is given up, rather than sixteen.
    let settings = Settings::default().with_silence_timeout(Duration::from_secs(4));
    let client = Client::connect(&endpoints, settings).await?;
    println!("connected to {}", client.endpoint());

    let options = SubscribeOptions::new(["RELIANCE", "TCS"]).with_delivery(Delivery::EveryTick);
    let mut subscription = client.subscribe(options).await?;
    let mut last: HashMap<Symbol, Sequence> = HashMap::new();
    let (mut ticks, mut events) = (0_u64, Vec::new());
    loop {
        // A batch has all events that have arrived: fewer calls than the `Stream`, which yields them one by one.
        subscription.next_batch(&mut events).await?;
        for event in events.drain(..) {
            match event {
                Event::Tick(live) => {
                    let before = last.insert(live.symbol, live.tick.sequence);
                    assert!(before.is_none_or(|before| before.next() == live.tick.sequence), "{live:?}");
                    ticks += 1;
                    if ticks.is_multiple_of(100) {
                        println!("{ticks} ticks, none lost");
                    }
                }
                Event::Disconnected { cause, attempt } => println!("attempt {attempt}: {cause}"),
                Event::Reconnected { replica, without } => {
                    println!("connected to {replica} after {without:?}")
                }
                // The server reports the ticks that it has left out for a client that was too slow.
                Event::Gap { symbol, last: skipped, .. } => {
                    println!("{symbol}: a gap up to {skipped}");
                    last.insert(symbol, skipped);
                }
                _ => {}
            }
        }
    }
}
