//! How fast one stream reads the past, what that costs, and how live ticks fare beside it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use rustix::process::nice;
use ticker::contract::v1::Detail;

use crate::{
    Effort, latency, ours,
    row::{self, Row, UNIVERSE},
    sample::undisturbed,
};

/// How many streams read the past while others are live.
const READERS: [usize; 3] = [0, 1, 10];

/// Streams that read the past until this is dropped, in a thread that gives way to whoever measures.
struct Readers {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64>>>,
    began: Instant,
}

/// Measures and prints.
pub(crate) fn report(effort: Effort) -> Result<()> {
    rate(effort)?;
    beside_live(effort)
}

fn rate(effort: Effort) -> Result<()> {
    let [row, ..] = Row::ALL;
    println!("One stream that reads one symbol from 1970 on, `ticker.v1`:\n");
    println!("| detail | ticks a second | server CPU per tick | server core | resident before | after |");
    println!("| --- | --: | --: | --: | --: | --: |");
    for (name, detail) in [("LTP", Detail::Ltp), ("quote", Detail::Quote)] {
        let instruments = row::instruments((0..UNIVERSE).map(row::symbol), row.interval())?;
        let server = ours::serve(instruments.path(), row.flush, None)?;
        let mut client = ours::catch_up(server.address(), detail)?;
        client.read_for(effort.warm_up)?;
        let (before, resident) = (server.cpu_time()?, server.resident()?);
        let received = client.read_for(effort.window)?;
        let used = server.cpu_time()?.since(&before).as_secs_f64();
        let seconds = received.elapsed.as_secs_f64();
        println!(
            "| {name} | {:.2} M | {:.0} ns | {:.0} % | {} KiB | {} KiB |",
            received.ticks as f64 / seconds / 1e6,
            used * 1e9 / received.ticks as f64,
            used / seconds * 100.0,
            resident / 1024,
            server.resident()? / 1024
        );
    }
    println!();
    Ok(())
}

fn beside_live(effort: Effort) -> Result<()> {
    let [row, ..] = Row::ALL;
    println!("Live ticks, from a tick's time to its arrival, {row}, while others read the past:\n");
    println!("| round | streams that read the past | p50 | p99 | longest | their ticks a second |");
    println!("| --: | --: | --: | --: | --: | --: |");
    for round in 1..=effort.rounds {
        for streams in READERS {
            let (latencies, past) = undisturbed(|| {
                let instruments = row::instruments((0..UNIVERSE).map(row::symbol), row.interval())?;
                let server = ours::serve(instruments.path(), row.flush, None)?;
                let readers = Readers::start(server.address(), streams)?;
                let (longest_pause, latencies) = latency::of_v1(server.address(), &row, effort)?;
                Ok((longest_pause, (latencies, readers.stop()?)))
            })?;
            println!(
                "| {round} | {streams} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} M |",
                latencies.quantile(0.5),
                latencies.quantile(0.99),
                latencies.quantile(1.0),
                past / 1e6
            );
        }
    }
    println!();
    Ok(())
}

impl Readers {
    fn start(server: SocketAddr, streams: usize) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let read = move || {
            // Of this thread alone.
            nice(19)?;
            let mut clients = Vec::new();
            for _ in 0..streams {
                clients.push(ours::catch_up(server, Detail::Ltp)?);
            }
            let mut ticks = 0;
            while !stopped.load(Ordering::Relaxed) {
                for client in &mut clients {
                    ticks += client.read_for(Duration::from_millis(1))?.ticks;
                }
                if streams == 0 {
                    thread::sleep(Duration::from_millis(10));
                }
            }
            Ok(ticks)
        };
        Ok(Self { stop, thread: Some(thread::spawn(read)), began: Instant::now() })
    }

    /// How many ticks a second they have read.
    fn stop(mut self) -> Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(0.0) };
        let ticks = thread.join().map_err(|_| anyhow!("the readers panicked"))??;
        Ok(ticks as f64 / self.began.elapsed().as_secs_f64())
    }
}
