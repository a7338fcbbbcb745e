//! Resident memory of streams and of connections.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

use crate::{
    Effort,
    client::{Attention, Client},
    cpu,
    http2::{self, Http2},
    look::Look,
    observer::CountOnly,
    ours::{self, Package},
    row::{self, Row, thousands},
    sample::undisturbed,
    subject::{Server, Subject},
    tls::Tls,
};

const CONNECTIONS: usize = 100;
/// Streams of each connection, where streams are measured.
const STREAMS: usize = 100;
const SETTLED: Duration = Duration::from_secs(3);
const QUICKLY_SETTLED: Duration = Duration::from_secs(1);

/// Connections with one live stream each, where connections are measured.
const LIVE_CONNECTIONS: usize = 10_000;
const FEW_LIVE_CONNECTIONS: usize = 1_000;

/// The subjects whose connections are measured.
const SUBJECTS: [Server; 5] = [Server::V1, Server::Naive, Server::GrpcGo, Server::Redis, Server::Nats];

/// What each of many streams watches.
struct Watch {
    name: &'static str,
    package: Package,
    symbols: usize,
    /// The time between two ticks of a symbol.
    interval: Duration,
}

const WATCHES: [Watch; 4] = [
    Watch { name: "idle", package: Package::Gogen, symbols: 1, interval: Duration::from_secs(3_600) },
    Watch { name: "idle", package: Package::V1, symbols: 1, interval: Duration::from_secs(3_600) },
    Watch { name: "idle", package: Package::V1, symbols: 10, interval: Duration::from_secs(3_600) },
    Watch { name: "live, 1 Hz", package: Package::V1, symbols: 10, interval: Duration::from_secs(1) },
];

/// Measures and prints.
pub(crate) fn report(subjects: &[Subject], effort: Effort) -> Result<()> {
    let settled = if effort.is_quick() { QUICKLY_SETTLED } else { SETTLED };
    streams(settled)?;
    connections(subjects, effort, settled)
}

fn streams(settled: Duration) -> Result<()> {
    let streams = CONNECTIONS * STREAMS;
    println!("Resident memory, {} streams over {CONNECTIONS} connections:\n", thousands(streams));
    println!(
        "| package | symbols | ticks | before | after | per stream, its share of a connection included |"
    );
    println!("| --- | --: | --- | --: | --: | --: |");
    for watch in WATCHES {
        let instruments = row::instruments((0..watch.symbols).map(row::symbol), watch.interval)?;
        let server = ours::serve(instruments.path(), Row::ALL[0].flush, None)?;
        // The first stream pages code in, which no later one does.
        let mut first = watch.open(server.address(), 1, 1)?;
        first.read_for(settled)?;
        let before = server.resident()?;
        let mut client = watch.open(server.address(), CONNECTIONS, STREAMS)?;
        client.read_for(settled)?;
        let after = server.resident()?;
        let package = match watch.package {
            Package::Gogen => "gogen",
            Package::V1 => "ticker.v1",
        };
        println!(
            "| `{package}` | {} | {} | {} KiB | {} KiB | {} bytes |",
            watch.symbols,
            watch.name,
            thousands((before / 1_024) as usize),
            thousands((after / 1_024) as usize),
            thousands(after.saturating_sub(before) as usize / streams)
        );
    }
    println!();
    Ok(())
}

/// Compares each server with one connection to the same server with many.
fn connections(subjects: &[Subject], effort: Effort, settled: Duration) -> Result<()> {
    let wanted = if effort.is_quick() { FEW_LIVE_CONNECTIONS } else { LIVE_CONNECTIONS };
    let one = Row::new(1, 2, 1, 10);
    let many = Row { connections: cpu::connections_up_to(wanted), ..one };
    println!(
        "Resident memory, {} connections, each with one live stream of {} symbols at {} Hz:\n",
        thousands(many.connections),
        many.symbols,
        many.hz
    );
    println!("| subject | one connection | all | per connection |");
    println!("| --- | --: | --: | --: |");
    let tls = Tls::new()?;
    let resident = |subject: Subject, row: &Row| -> Result<Option<u64>> {
        undisturbed(|| {
            let Some(mut running) = subject.start(row, &tls, &Look::default())? else {
                return Ok((Duration::ZERO, None));
            };
            let received = running.client.read_for(settled)?;
            Ok((received.longest_pause, Some(running.server.resident()?)))
        })
    };
    for &subject in subjects.iter().filter(|subject| SUBJECTS.contains(&subject.server) && !subject.tls) {
        let figures = resident(subject, &one).and_then(|one| Ok(one.zip(resident(subject, &many)?)));
        match figures {
            Ok(Some((before, after))) => println!(
                "| {subject} | {} KiB | {} KiB | {} bytes |",
                thousands((before / 1_024) as usize),
                thousands((after / 1_024) as usize),
                thousands(after.saturating_sub(before) as usize / (many.connections - 1))
            ),
            Ok(None) => println!("| {subject} | not installed | | |"),
            Err(error) => println!("| {subject} | failed: {error:#} | | |"),
        }
    }
    println!();
    Ok(())
}

impl Watch {
    fn open(&self, server: SocketAddr, connections: usize, streams: usize) -> Result<Client> {
        Client::connect(server, connections, Attention::Pauses, |_| {
            let mut hello = http2::preface();
            for stream in 0..streams {
                let symbols = (0..self.symbols).map(row::symbol);
                self.package.call(stream as u32 * 2 + 1, symbols, &mut hello);
            }
            (Http2::new(streams, CountOnly), hello)
        })
    }
}
