//! Three servers, and `kill -9` for the one that the client is connected to.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use ticker::client::{Client, Delivery, Endpoint, Endpoints, Event, Settings, SubscribeOptions};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use crate::ledger::Ledger;

const KILLS: usize = 20;
const SYMBOLS: usize = 50;
/// How long a client stays at a replica before that is killed: a stream that lives shorter makes it more careful.
const LIFE: Duration = Duration::from_millis(1100);
/// Nothing here takes longer, by far.
const PATIENCE: Duration = Duration::from_secs(20);

/// `ticker serve` as a process.
struct Replica {
    process: Child,
    address: SocketAddr,
}

impl Replica {
    /// `None` if it cannot listen there.
    fn start(listen: &str) -> Option<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ticker"))
            .args(["serve", "--seed", "7", "--workers", "1", "--listen", listen])
            .env_clear()
            .env("TICKER_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().split(' ').find_map(|word| word.parse().ok()));
        let Some(address) = address else {
            process.wait().unwrap();
            return None;
        };
        Some(Self { address, process })
    }

    /// SIGKILL: the process has no chance to say goodbye.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        let listen = self.address.to_string();
        // Meanwhile a connection of another test may have got the port.
        *self = (0..1_000).find_map(|_| Self::start(&listen)).unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test]
async fn twenty_kills_lose_no_tick_and_bring_none_twice() {
    let mut replicas: Vec<_> = (0..3).map(|_| Replica::start("127.0.0.1:0").unwrap()).collect();
    let endpoints: Endpoints = replicas.iter().map(|replica| Endpoint::from(replica.address)).collect();
    let client = Client::connect(&endpoints, Settings::default()).await.unwrap();
    let market = client.instruments().map(Result::unwrap).filter(|instrument| !instrument.is_for_tests());
    let symbols = market.map(|instrument| instrument.symbol.to_string());
    let symbols: Vec<_> = symbols.take(SYMBOLS).collect().await;
    let options = SubscribeOptions::new(symbols).with_delivery(Delivery::EveryTick);
    let mut subscription = client.subscribe(options).await.unwrap();

    let mut ledger = Ledger::default();
    let mut connected = client.endpoint().clone();
    let mut since = Instant::now();
    let mut restarted: Option<Instant> = None;
    let mut last_tick = Instant::now();
    let mut without = Vec::new();
    let mut events = Vec::new();
    while without.len() < KILLS {
        timeout(PATIENCE, subscription.next_batch(&mut events)).await.expect("no events come").unwrap();
        let now = Instant::now();
        for event in events.drain(..) {
            match &event {
                Event::Reconnected { replica, .. } => (connected, since) = (replica.clone(), now),
                Event::Tick(_) if restarted.is_some_and(|restarted| since > restarted) => {
                    without.push(now - last_tick.max(restarted.take().unwrap()));
                }
                _ => {}
            }
            if ledger.enter(&event).is_some() {
                last_tick = now;
            }
        }
        if restarted.is_none() && since.elapsed() >= LIFE {
            let at = |replica: &&mut Replica| Endpoint::from(replica.address) == connected;
            let replica = replicas.iter_mut().find(at).expect("one of the three");
            replica.kill();
            // The client waits too: it runs on this thread.
            replica.restart();
            restarted = Some(Instant::now());
        }
    }

    assert_eq!(ledger.symbols(), SYMBOLS);
    without.sort_unstable();
    println!(
        "{} ticks of {SYMBOLS} symbols, {KILLS} kills; without ticks each time: {without:?}",
        ledger.ticks
    );
    // The aim is one second, on a machine that does nothing else.
    assert!(without.last() < Some(&Duration::from_secs(5)), "{without:?}");
}
