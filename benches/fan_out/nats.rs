//! NATS: a subject per symbol.

use std::{
    ffi::OsString,
    fmt::Write as _,
    io::{self, Write},
    time::Duration,
};

use anyhow::Result;
use tempfile::{NamedTempFile, TempDir};

use crate::{
    SERVER_CORE,
    client::{Client, Endpoint, FixedLength},
    look::Look,
    ours,
    process::{self, Process},
    publisher::{self, Peer},
    row::{self, Row},
    sample::Running,
    tls::Tls,
};

/// What every connection says first.
pub(crate) const HELLO: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

/// The program.
pub(crate) const PROGRAM: &str = "nats-server";

/// The first subscription of a connection. All have three digits, so that all messages have one length.
const FIRST_ID: usize = 100;

/// The server, the clients of a row and their publisher; nothing when NATS is not installed. The publisher always
/// speaks plain text.
pub(crate) fn start(row: &Row, tls: Option<&Tls>, look: &Look) -> Result<Option<Running>> {
    let mut options = Vec::new();
    let configuration = tls.map(configuration).transpose()?;
    if let Some(file) = &configuration {
        options.extend(["--config".into(), file.path().into()]);
    }
    let Some(server) = serve(options)? else { return Ok(None) };
    let client = subscribe(Endpoint { address: server.address(), tls }, row, look)?;
    let publisher = publisher::start(Peer::Nats, server.address(), row)?;
    Ok(Some(Running { server, client, publisher: Some(publisher) }))
}

/// The server with JetStream, which stores in a folder of its own; nothing when NATS is not installed.
pub(crate) fn serve_jetstream() -> Result<Option<Process>> {
    let folder = TempDir::new()?;
    let mut server = serve(vec!["--jetstream".into(), "--store_dir".into(), folder.path().into()])?;
    if let Some(server) = &mut server {
        server.folder = Some(folder);
    }
    Ok(server)
}

/// Appends a `PUB` whose delivery is as long as a tick of `ticker`.
pub(crate) fn publish(index: usize, bytes: &mut Vec<u8>) {
    let symbol = row::symbol(index);
    let around = format!("MSG {symbol} {FIRST_ID} 00\r\n\r\n").len();
    let length = ours::bytes_per_tick() - around;
    bytes.extend_from_slice(format!("PUB {symbol} {length}\r\n{:0length$}\r\n", 0).as_bytes());
}

/// The server with some more options; nothing when NATS is not installed.
fn serve(options: Vec<OsString>) -> Result<Option<Process>> {
    let Some(program) = process::installed(PROGRAM) else { return Ok(None) };
    let mut command = vec![program.into_os_string()];
    command.extend(["--addr", "127.0.0.1", "--port", "-1"].map(OsString::from));
    command.extend(options);
    let ready = |line: &str| line.contains("client connections").then(|| process::address_in(line)).flatten();
    Process::start(&[SERVER_CORE], command, Duration::from_secs(10), ready).map(Some)
}

/// TLS for the clients and plain text for the publisher, on one port. Only a configuration file can allow both.
fn configuration(tls: &Tls) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    let (certificate, key) = (tls.certificate(), tls.key());
    write!(file, "allow_non_tls: true\ntls {{ cert_file: {certificate:?}, key_file: {key:?} }}\n")?;
    Ok(file)
}

fn subscribe(server: Endpoint, row: &Row, look: &Look) -> Result<Client> {
    Client::connect(server, row.connections, look.attention, |connection| {
        let mut hello = String::from_utf8_lossy(HELLO).into_owned();
        for (at, symbol) in row.symbols_of(connection).enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(hello, "SUB {symbol} {}\r\n", FIRST_ID + at);
        }
        (FixedLength::new(ours::bytes_per_tick(), look.stamps()), hello.into_bytes())
    })
}
