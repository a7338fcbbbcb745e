//! The floor: a server that holds the bytes of every flush ready and only writes them, one `write` per connection.

use std::{io::Write, net::TcpListener, time::Duration};

use anyhow::Result;
use clap::Args;

use crate::{
    SERVER_CORE,
    client::{Attention, Client},
    http2::{self, CountOnly, Http2},
    ours,
    pace::Pace,
    process::{self, Process},
    row::Row,
    sample::Running,
};

/// The largest frame that a client takes unless it says otherwise.
const MAX_FRAME: usize = 16_384;

/// The role of writing what `ticker` would write.
#[derive(Args)]
pub(crate) struct Floor {
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    bytes_per_tick: usize,
    #[arg(long)]
    ticks_per_flush: usize,
    #[arg(long)]
    flush_micros: u64,
}

/// The server and the clients of a row.
pub(crate) fn start(row: &Row) -> Result<Running> {
    let options = [
        format!("--connections={}", row.connections),
        format!("--bytes-per-tick={}", ours::bytes_per_tick()),
        format!("--ticks-per-flush={}", row.ticks_per_flush()),
        format!("--flush-micros={}", row.flush.as_micros()),
    ];
    let command = process::role("floor")?.into_iter().chain(options.map(Into::into));
    let server = Process::start(SERVER_CORE, command, Duration::from_secs(10), process::address_in)?;
    let client = Client::connect(server.address(), row.connections, Attention::Pauses, |_| {
        (Http2::new(1, CountOnly), Vec::new())
    })?;
    Ok(Running { server, client, publisher: None })
}

impl Floor {
    pub(crate) fn run(self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("{}", listener.local_addr()?);
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(listener.accept()?.0);
        }
        for connection in &connections {
            connection.set_nodelay(true)?;
        }
        let flush = self.flush();
        let mut pace = Pace::new(Duration::from_micros(self.flush_micros))?;
        loop {
            pace.wait()?;
            for connection in &mut connections {
                connection.write_all(&flush)?;
            }
        }
    }

    /// The ticks of one flush: as many messages, as long, in the same frames.
    fn flush(&self) -> Vec<u8> {
        let content = vec![0; self.bytes_per_tick - http2::PREFIX];
        let mut messages = Vec::new();
        for _ in 0..self.ticks_per_flush {
            http2::message(&content, &mut messages);
        }
        let mut bytes = Vec::new();
        for payload in messages.chunks(MAX_FRAME) {
            http2::data(1, payload, &mut bytes);
        }
        bytes
    }
}
