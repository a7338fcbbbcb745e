//! Redis pub/sub: a channel per symbol.

use std::{ffi::OsString, time::Duration};

use anyhow::Result;

use crate::{
    SERVER_CORE,
    client::{Client, Endpoint, FixedLength},
    look::Look,
    ours,
    process::{self, Process, free_address},
    publisher::{self, Peer},
    row::{self, Row},
    sample::Running,
    tls::Tls,
};

/// Spares Redis the answer to every `PUBLISH`.
pub(crate) const PUBLISHER_HELLO: &[u8] = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n";

/// The program.
pub(crate) const PROGRAM: &str = "redis-server";

/// The server, the clients of a row and their publisher; nothing when Redis is not installed. The publisher always
/// speaks plain text.
pub(crate) fn start(row: &Row, tls: Option<&Tls>, look: &Look) -> Result<Option<Running>> {
    let mut options = Vec::new();
    let mut tls_endpoint = None;
    if let Some(tls) = tls {
        let address = free_address()?;
        tls_endpoint = Some(Endpoint { address, tls: Some(tls) });
        options.extend(["--tls-port".into(), address.port().to_string().into()]);
        options.extend(["--tls-cert-file".into(), tls.certificate().into()]);
        options.extend(["--tls-key-file".into(), tls.key().into()]);
        options.extend(["--tls-auth-clients", "no"].map(OsString::from));
    }
    let Some(server) = serve(options)? else { return Ok(None) };
    let client = subscribe(tls_endpoint.unwrap_or(server.address().into()), row, look)?;
    let publisher = publisher::start(Peer::Redis, server.address(), row)?;
    Ok(Some(Running { server, client, publisher: Some(publisher) }))
}

/// The server with some more options; nothing when Redis is not installed.
pub(crate) fn serve(options: Vec<OsString>) -> Result<Option<Process>> {
    let Some(program) = process::installed(PROGRAM) else { return Ok(None) };
    // Redis takes port 0 for "no port".
    let address = free_address()?;
    let mut command = vec![program.into_os_string(), "--port".into(), address.port().to_string().into()];
    command.extend(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"].map(OsString::from));
    command.extend(["--client-output-buffer-limit", "pubsub 0 0 0"].map(OsString::from));
    // Which accepts 127.0.0.1 only.
    command.extend(["--protected-mode", "no"].map(OsString::from));
    // The default, 10,000, has no room for the publisher beside as many subscribers.
    command.extend(["--maxclients", "15000"].map(OsString::from));
    command.extend(options);
    let ready = move |line: &str| line.contains("Ready to accept connections").then_some(address);
    Process::start(&[SERVER_CORE], command, Duration::from_secs(10), ready).map(Some)
}

/// Appends a `PUBLISH` whose delivery is as long as a tick of `ticker`.
pub(crate) fn publish(index: usize, bytes: &mut Vec<u8>) {
    let symbol = &row::symbol(index);
    // Ten characters, since the length that stands before the payload has two digits.
    let ten = "0".repeat(10);
    let mut delivery = Vec::new();
    array(&["message", symbol, &ten], &mut delivery);
    let length = ten.len() + ours::bytes_per_tick() - delivery.len();
    array(&["PUBLISH", symbol, &"0".repeat(length)], bytes);
}

fn subscribe(server: Endpoint, row: &Row, look: &Look) -> Result<Client> {
    Client::connect(server, row.connections, look.attention, |connection| {
        let symbols: Vec<_> = row.symbols_of(connection).collect();
        let words: Vec<_> = ["SUBSCRIBE"].into_iter().chain(symbols.iter().map(String::as_str)).collect();
        let mut hello = Vec::new();
        array(&words, &mut hello);
        (FixedLength::new(ours::bytes_per_tick(), look.stamps()), hello)
    })
}

/// An array of strings in Redis's protocol.
pub(crate) fn array(words: &[&str], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}
