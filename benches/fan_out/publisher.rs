//! Feeds a peer with ticks: each symbol at the row's rate, batched as `ticker` batches its flushes.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    CLIENT_CORE,
    pace::Pace,
    process::{self, Process},
    row::{self, Row, UNIVERSE},
};

/// The role of publishing to a peer.
#[derive(Args)]
pub(crate) struct Publisher {
    #[arg(long)]
    peer: Peer,
    #[arg(long)]
    to: SocketAddr,
    /// Every symbol ticks once in so many flushes.
    #[arg(long)]
    flushes_per_interval: usize,
    #[arg(long)]
    flush_micros: u64,
}

/// Who is fed.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Peer {
    Redis,
    Nats,
}

/// A publisher for a row, on the client's core.
pub(crate) fn start(peer: Peer, to: SocketAddr, row: &Row) -> Result<Process> {
    let peer = match peer {
        Peer::Redis => "redis",
        Peer::Nats => "nats",
    };
    let options = [
        format!("--peer={peer}"),
        format!("--to={to}"),
        format!("--flushes-per-interval={}", row.flushes_per_interval()),
        format!("--flush-micros={}", row.flush.as_micros()),
    ];
    let command = process::role("publisher")?.into_iter().chain(options.map(Into::into));
    Process::start(CLIENT_CORE, command, Duration::from_secs(10), process::address_in)
}

impl Publisher {
    /// The peer that is fed.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Says hello and publishes until the peer goes away. `publish` appends the bytes that publish a tick of a symbol.
    pub(crate) fn run(self, hello: &[u8], publish: impl Fn(&str, &mut Vec<u8>)) -> Result<()> {
        let mut peer = TcpStream::connect(self.to)?;
        peer.set_nodelay(true)?;
        peer.write_all(hello)?;
        println!("{}", self.to);
        let flushes = self.flushes(publish);
        let mut pace = Pace::new(Duration::from_micros(self.flush_micros))?;
        for flush in flushes.iter().cycle() {
            pace.wait()?;
            peer.write_all(flush)?;
        }
        Ok(())
    }

    /// The bytes of every flush of an interval. A neighbour of a symbol ticks in the next flush, so that every
    /// connection is due as much in each.
    fn flushes(&self, publish: impl Fn(&str, &mut Vec<u8>)) -> Vec<Vec<u8>> {
        let mut flushes = vec![Vec::new(); self.flushes_per_interval];
        for index in 0..UNIVERSE {
            publish(&row::symbol(index), &mut flushes[index % self.flushes_per_interval]);
        }
        flushes
    }
}
