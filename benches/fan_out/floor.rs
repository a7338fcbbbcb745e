//! The floor: a server that holds the bytes of every flush ready and only writes them, one `write` per connection that
//! is due ticks.

use std::{io::Write, net::TcpListener, time::Duration};

use anyhow::Result;
use clap::Args;

use crate::{
    SERVER_CORE,
    client::Client,
    http2::{self, Http2},
    look::Look,
    observer::CountOnly,
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
    #[command(flatten)]
    row: Row,
}

/// The server and the clients of a row.
pub(crate) fn start(row: &Row, look: &Look) -> Result<Running> {
    let command = process::role("floor")?.into_iter().chain(row.options().map(Into::into));
    let server = Process::start(&[SERVER_CORE], command, Duration::from_secs(10), process::address_in)?;
    let client = Client::connect(server.address(), row.connections, look.attention, |_| {
        (Http2::new(1, CountOnly), Vec::new())
    })?;
    Ok(Running { server, client, publisher: None })
}

impl Floor {
    pub(crate) fn run(self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("{}", listener.local_addr()?);
        let mut connections = Vec::new();
        for connection in 0..self.row.connections {
            connections.push((listener.accept()?.0, self.row.due(connection)));
        }
        for (socket, _) in &connections {
            socket.set_nodelay(true)?;
        }
        let flushes: Vec<_> = (0..=self.row.symbols).map(flush).collect();
        let mut pace = Pace::new(self.row.flush)?;
        for now in (0..self.row.flushes_per_interval()).cycle() {
            pace.wait()?;
            for (socket, due) in &mut connections {
                if due[now] > 0 {
                    socket.write_all(&flushes[due[now]])?;
                }
            }
        }
        Ok(())
    }
}

/// The bytes of a flush of `ticker`: as many messages, as long, in the same frames.
fn flush(ticks: usize) -> Vec<u8> {
    let content = vec![0; ours::bytes_per_tick() - http2::PREFIX];
    let mut messages = Vec::new();
    for _ in 0..ticks {
        http2::message(&content, &mut messages);
    }
    let mut bytes = Vec::new();
    for payload in messages.chunks(MAX_FRAME) {
        http2::data(1, payload, &mut bytes);
    }
    bytes
}
