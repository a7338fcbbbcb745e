//! How long a tick is under way, from its time on the tape to its arrival, and what a shorter way costs.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, ensure};
use prost::Message;
use ticker::contract::v1::{TickerStreamResponse, ticker_stream_response::Event};

use crate::{
    Effort,
    client::Attention,
    http2::{CountOnly, Observer},
    ours::{self, Package},
    row::{self, Row, UNIVERSE},
    sample::{Running, Sample, undisturbed},
};

const FLUSH_INTERVALS: [u64; 5] = [1, 2, 5, 10, 20];
/// One message in so many is decoded. It has no common factor with the ticks of a flush, so that no place in a
/// flush is preferred.
const ONE_IN: usize = 17;

/// Nanoseconds from a tick's time to its arrival.
type Latencies = Rc<RefCell<Vec<i64>>>;

/// At least one, in ascending order.
pub(crate) struct Sorted(Vec<i64>);

/// Decodes one message in so many.
struct Stopwatch {
    seen: usize,
    latencies: Latencies,
}

/// Measures and prints.
pub(crate) fn report(effort: Effort) -> Result<()> {
    let [row, ..] = Row::ALL;
    println!("From a tick's time to its arrival, `ticker.v1`, {row}:\n");
    println!("| flush interval | p50 | p99 | longest | server CPU per tick | server core |");
    println!("| --: | --: | --: | --: | --: | --: |");
    for millis in FLUSH_INTERVALS {
        let row = Row { flush: Duration::from_millis(millis), ..row };
        let (latencies, sample) = undisturbed(|| look(&row, effort))?;
        println!(
            "| {millis} ms | {:.2} ms | {:.2} ms | {:.2} ms | {:.0} ns | {:.1} % |",
            latencies.quantile(0.5),
            latencies.quantile(0.99),
            latencies.quantile(1.0),
            sample.cost,
            sample.server_busy * 100.0
        );
    }
    println!();
    Ok(())
}

/// The longest pause, and the latencies of a row that is served there.
pub(crate) fn measure(server: SocketAddr, row: &Row, effort: Effort) -> Result<(Duration, Sorted)> {
    let latencies = Latencies::default();
    let mut client =
        ours::subscribe(server, row, Package::V1, Attention::Immediate, || Stopwatch::new(&latencies))?;
    // What arrives while subscriptions are set up says nothing about the hundredth second.
    client.read_for(effort.warm_up)?;
    latencies.borrow_mut().clear();
    let received = client.read_for(effort.window)?;
    drop(client);
    let mut latencies = latencies.take();
    latencies.sort_unstable();
    ensure!(!latencies.is_empty(), "no tick arrived");
    Ok((received.longest_pause, Sorted(latencies)))
}

/// The longest pause, the latencies, and the cost.
fn look(row: &Row, effort: Effort) -> Result<(Duration, (Sorted, Sample))> {
    let instruments = row::instruments((0..UNIVERSE).map(row::symbol), row.interval())?;
    let server = ours::serve(instruments.path(), row.flush, None)?;
    let (longest_pause, latencies) = measure(server.address(), row, effort)?;
    // A client that is woken for each write costs the server more: the cost is measured with one that is not.
    let client = ours::subscribe(server.address(), row, Package::V1, Attention::Pauses, || CountOnly)?;
    let sample = Running { client, server, publisher: None }.sample(row, effort)?;
    Ok((longest_pause.max(sample.longest_pause), (latencies, sample)))
}

impl Sorted {
    /// In milliseconds: 0.5 is the median, 1 the longest.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len() - 1;
        self.0[(last as f64 * share) as usize] as f64 / 1e6
    }
}

impl Stopwatch {
    fn new(latencies: &Latencies) -> Self {
        Stopwatch { seen: 0, latencies: latencies.clone() }
    }
}

impl Observer for Stopwatch {
    fn message(&mut self, message: &[u8]) {
        self.seen += 1;
        if !self.seen.is_multiple_of(ONE_IN) {
            return;
        }
        let Ok(TickerStreamResponse { event: Some(Event::Tick(tick)) }) =
            TickerStreamResponse::decode(message)
        else {
            return;
        };
        let Some(time) = tick.time else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let latency = now.as_nanos() as i64 - time.seconds * 1_000_000_000 - i64::from(time.nanos);
        self.latencies.borrow_mut().push(latency);
    }
}
