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
    pace::{Pace, ahead_of_monotonic},
    process::{self, Process},
    row::Row,
    stopwatch::{STAMP, write_stamp},
};

/// How often the publisher of a feed sends what has happened: a market does not wait for the flushes of a server.
pub(crate) const PACE: Duration = Duration::from_millis(1);

/// The role of publishing to a peer.
#[derive(Args)]
pub(crate) struct Publisher {
    #[arg(long)]
    peer: Peer,
    #[arg(long)]
    to: SocketAddr,
    #[command(flatten)]
    row: Row,
}

/// The bytes that publish the ticks of one flush.
#[derive(Default)]
pub(crate) struct Flush {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ticks: Vec<Place>,
}

/// Where a tick is in the bytes of a flush.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The index of its symbol.
    pub(crate) index: usize,
    /// Where its stamp begins.
    pub(crate) stamp: usize,
}

/// Who is fed.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Peer {
    Redis,
    Nats,
    Ticker,
    JetStream,
    RedisStreams,
}

/// A publisher for a row, on the client's core.
pub(crate) fn start(peer: Peer, to: SocketAddr, row: &Row) -> Result<Process> {
    let peer = match peer {
        Peer::Redis => "redis",
        Peer::Nats => "nats",
        Peer::Ticker => "ticker",
        Peer::JetStream => "jet-stream",
        Peer::RedisStreams => "redis-streams",
    };
    let options = [format!("--peer={peer}"), format!("--to={to}")].into_iter().chain(row.options());
    let command = process::role("publisher")?.into_iter().chain(options.map(Into::into));
    Process::start(&[CLIENT_CORE], command, Duration::from_secs(10), process::address_in)
}

impl Publisher {
    /// The peer that is fed.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Where the peer listens.
    pub(crate) fn to(&self) -> SocketAddr {
        self.to
    }

    /// What is published.
    pub(crate) fn row(&self) -> &Row {
        &self.row
    }

    /// Says hello and publishes until the peer goes away. `publish` is that of [`each_flush`](Self::each_flush).
    pub(crate) fn run(self, hello: &[u8], publish: impl Fn(usize, &mut Vec<u8>)) -> Result<()> {
        let mut peer = self.connect(hello)?;
        self.each_flush(publish, |flush, end| {
            flush.stamp(end, self.row.flush);
            Ok(peer.write_all(&flush.bytes)?)
        })
    }

    /// A connection to the peer, on which hello is said.
    pub(crate) fn connect(&self, hello: &[u8]) -> Result<TcpStream> {
        let mut peer = TcpStream::connect(self.to)?;
        peer.set_nodelay(true)?;
        peer.write_all(hello)?;
        println!("{}", self.to);
        Ok(peer)
    }

    /// Lets `send` have each flush at its end, in nanoseconds since 1970. `publish` appends the bytes that publish a tick
    /// of the symbol with this index, which end with room for a stamp and a line end.
    pub(crate) fn each_flush(
        &self,
        publish: impl Fn(usize, &mut Vec<u8>),
        mut send: impl FnMut(&mut Flush, i64) -> Result<()>,
    ) -> Result<()> {
        let mut flushes = self.flushes(publish);
        let mut pace = Pace::new(self.row.flush)?;
        let since_1970 = ahead_of_monotonic();
        for now in (0..flushes.len()).cycle() {
            let end = pace.wait()? + since_1970;
            send(&mut flushes[now], end)?;
        }
        Ok(())
    }

    /// Every flush of an interval.
    fn flushes(&self, publish: impl Fn(usize, &mut Vec<u8>)) -> Vec<Flush> {
        let mut flushes = Vec::new();
        flushes.resize_with(self.row.flushes_per_interval(), Flush::default);
        for index in 0..self.row.universe {
            let flush = &mut flushes[self.row.flush_of(index)];
            publish(index, &mut flush.bytes);
            flush.ticks.push(Place { index, stamp: flush.bytes.len() - "\r\n".len() - STAMP });
        }
        flushes
    }
}

impl Flush {
    /// Gives the ticks times that are spread evenly over the flush interval which ends now, as those of `ticker` are.
    fn stamp(&mut self, end: i64, interval: Duration) {
        let (ticks, interval) = (self.ticks.len() as i64, interval.as_nanos() as i64);
        for (at, &Place { stamp, .. }) in self.ticks.iter().enumerate() {
            let due = end - interval + interval * at as i64 / ticks;
            write_stamp(due, &mut self.bytes[stamp..stamp + STAMP]);
        }
    }
}
