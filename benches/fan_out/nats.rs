//! NATS: a subject per symbol.

use std::{ffi::OsString, fmt::Write as _, net::SocketAddr, time::Duration};

use anyhow::Result;

use crate::{
    SERVER_CORE,
    client::{Attention, Client, FixedLength},
    ours,
    process::{self, Process},
    publisher::{self, Peer},
    row::Row,
    sample::Running,
};

/// What every connection says first.
pub(crate) const HELLO: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

/// The program.
pub(crate) const PROGRAM: &str = "nats-server";

/// The first subscription of a connection. All have three digits, so that all messages have one length.
const FIRST_ID: usize = 100;

/// The server, the clients of a row and their publisher; nothing when NATS is not installed.
pub(crate) fn start(row: &Row) -> Result<Option<Running>> {
    let Some(program) = process::installed(PROGRAM) else { return Ok(None) };
    let options = ["--addr", "127.0.0.1", "--port", "-1"].map(OsString::from);
    let command = [program.into_os_string()].into_iter().chain(options);
    let server = Process::start(SERVER_CORE, command, Duration::from_secs(10), |line| {
        line.contains("client connections").then(|| process::address_in(line)).flatten()
    })?;
    let client = subscribe(server.address(), row)?;
    let publisher = publisher::start(Peer::Nats, server.address(), row)?;
    Ok(Some(Running { server, client, publisher: Some(publisher) }))
}

/// Appends a `PUB` whose delivery is as long as a tick of `ticker`.
pub(crate) fn publish(symbol: &str, bytes: &mut Vec<u8>) {
    let around = format!("MSG {symbol} {FIRST_ID} 00\r\n\r\n").len();
    let length = ours::bytes_per_tick() - around;
    bytes.extend_from_slice(format!("PUB {symbol} {length}\r\n{:0length$}\r\n", 0).as_bytes());
}

fn subscribe(server: SocketAddr, row: &Row) -> Result<Client> {
    Client::connect(server, row.connections, Attention::Pauses, |connection| {
        let mut hello = String::from_utf8_lossy(HELLO).into_owned();
        for (at, symbol) in row.symbols_of(connection).enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(hello, "SUB {symbol} {}\r\n", FIRST_ID + at);
        }
        (FixedLength::new(ours::bytes_per_tick()), hello.into_bytes())
    })
}
