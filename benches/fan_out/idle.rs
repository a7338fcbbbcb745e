//! The memory of streams that are sent nothing.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

use crate::{
    client::{Attention, Client},
    http2::{self, CountOnly, Http2},
    ours::{self, Package},
    row::{self, Row, thousands},
};

const CONNECTIONS: usize = 100;
const STREAMS: usize = 100;
const SETTLED: Duration = Duration::from_secs(3);

/// Measures and prints.
pub(crate) fn report() -> Result<()> {
    let streams = CONNECTIONS * STREAMS;
    println!("Resident memory, {} idle streams over {CONNECTIONS} connections:\n", thousands(streams));
    println!("| package | before | after | per stream, its share of a connection included |");
    println!("| --- | --: | --: | --: |");
    for (name, package) in [("gogen", Package::Gogen), ("ticker.v1", Package::V1)] {
        let instruments = row::instruments([row::symbol(0)].into_iter(), Duration::from_secs(3_600))?;
        let server = ours::serve(instruments.path(), Row::ALL[0].flush, None)?;
        // The first stream pages code in, which no later one does.
        let mut first = open(server.address(), package, 1, 1)?;
        first.read_for(SETTLED)?;
        let before = server.resident()?;
        let mut client = open(server.address(), package, CONNECTIONS, STREAMS)?;
        client.read_for(SETTLED)?;
        let after = server.resident()?;
        println!(
            "| `{name}` | {} KiB | {} KiB | {} bytes |",
            thousands((before / 1_024) as usize),
            thousands((after / 1_024) as usize),
            thousands(after.saturating_sub(before) as usize / streams)
        );
    }
    println!();
    Ok(())
}

fn open(server: SocketAddr, package: Package, connections: usize, streams: usize) -> Result<Client> {
    Client::connect(server, connections, Attention::Pauses, |_| {
        let mut hello = http2::preface();
        for stream in 0..streams {
            package.call(stream as u32 * 2 + 1, [row::symbol(0)].into_iter(), &mut hello);
        }
        (Http2::new(streams, CountOnly), hello)
    })
}
