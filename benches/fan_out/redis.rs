//! Redis pub/sub: a channel per symbol.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

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

/// Spares Redis the answer to every `PUBLISH`.
pub(crate) const PUBLISHER_HELLO: &[u8] = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n";

/// The program.
pub(crate) const PROGRAM: &str = "redis-server";

/// The server, the clients of a row and their publisher; nothing when Redis is not installed.
pub(crate) fn start(row: &Row) -> Result<Option<Running>> {
    let Some(program) = process::installed(PROGRAM) else { return Ok(None) };
    // Redis takes port 0 for "no port", so it is given one that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let port = address.port().to_string();
    let limit = ["--client-output-buffer-limit", "pubsub 0 0 0"];
    let options = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"];
    let options = options.into_iter().chain(limit).map(Into::into);
    let command = [program.into_os_string()].into_iter().chain(options);
    let server = Process::start(SERVER_CORE, command, Duration::from_secs(10), move |line| {
        line.contains("Ready to accept connections").then_some(address)
    })?;
    let client = subscribe(server.address(), row)?;
    let publisher = publisher::start(Peer::Redis, server.address(), row)?;
    Ok(Some(Running { server, client, publisher: Some(publisher) }))
}

/// Appends a `PUBLISH` whose delivery is as long as a tick of `ticker`.
pub(crate) fn publish(symbol: &str, bytes: &mut Vec<u8>) {
    // Ten characters, since the length that stands before the payload has two digits.
    let ten = "0".repeat(10);
    let mut delivery = Vec::new();
    array(&["message", symbol, &ten], &mut delivery);
    let length = ten.len() + ours::bytes_per_tick() - delivery.len();
    array(&["PUBLISH", symbol, &"0".repeat(length)], bytes);
}

fn subscribe(server: SocketAddr, row: &Row) -> Result<Client> {
    Client::connect(server, row.connections, Attention::Pauses, |connection| {
        let symbols: Vec<_> = row.symbols_of(connection).collect();
        let words: Vec<_> = ["SUBSCRIBE"].into_iter().chain(symbols.iter().map(String::as_str)).collect();
        let mut hello = Vec::new();
        array(&words, &mut hello);
        (FixedLength::new(ours::bytes_per_tick()), hello)
    })
}

/// An array of strings in Redis's protocol.
fn array(words: &[&str], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}
