//! Redis streams with consumer groups: a group with one consumer for each connection.
//!
//! Three things favour Redis. Each connection has one stream with all of its symbols, so that nobody could choose other symbols
//! and one command reads them all. `NOACK` spares Redis the list of what is not acknowledged, and `XACK`. And it answers no `XADD`.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    client::{Client, Protocol, Received},
    look::Look,
    numbered::{self, Numbered, Numbers},
    pending::{Pending, Unit},
    publisher::{self, PACE, Peer, Publisher},
    redis,
    row::{self, Row},
    sample::Running,
};

/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ticks that a stream keeps, at least: more than a second of them at the highest load.
const KEPT: &str = "20000";

/// Ticks that an answer has, at most.
const TOGETHER: &str = "1000";

/// The receiving side of one consumer.
struct Consumer {
    /// Asks for ticks, and waits for them.
    request: Vec<u8>,
    pending: Pending,
    /// What is still to come of an answer.
    left: usize,
    ticks: Numbered,
}

/// The server, the clients of a row and their publisher; nothing when Redis is not installed.
pub(crate) fn start(row: &Row, look: &Look) -> Result<Option<Running>> {
    let Some(server) = redis::serve(Vec::new())? else { return Ok(None) };
    make_groups(server.address(), row).context("no consumer groups")?;
    let client = Client::connect(server.address(), row.connections, look.attention, |connection| {
        let consumer = Consumer::new(connection, look);
        let hello = consumer.request.clone();
        (consumer, hello)
    })?;
    let publisher = publisher::start(Peer::RedisStreams, server.address(), &Row { flush: PACE, ..*row })?;
    Ok(Some(Running { server, client, publisher: Some(publisher) }))
}

/// Publishes until the server goes away.
pub(crate) fn publish(publisher: &Publisher) -> Result<()> {
    let row = publisher.row();
    let mut peer = publisher.connect(redis::PUBLISHER_HELLO)?;
    let mut numbers = Numbers::new(row);
    let publish = |index, bytes: &mut Vec<u8>| {
        let (stream, symbol) = (stream(row.connection_of(index)), row::symbol(index));
        redis::array(
            &["XADD", &stream, "MAXLEN", "~", KEPT, "*", &symbol, &"0".repeat(numbered::LENGTH)],
            bytes,
        );
    };
    publisher.each_flush(publish, |flush, now| {
        numbers.write(flush, now)?;
        Ok(peer.write_all(&flush.bytes)?)
    })
}

/// Makes the streams and their groups.
fn make_groups(server: SocketAddr, row: &Row) -> Result<()> {
    let mut socket = TcpStream::connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut requests = Vec::new();
    for connection in 0..row.connections {
        redis::array(&["XGROUP", "CREATE", &stream(connection), "g", "0", "MKSTREAM"], &mut requests);
    }
    socket.write_all(&requests)?;
    let mut answers = BufReader::new(socket).lines();
    for _ in 0..row.connections {
        let answer = answers.next().context("the server closed the connection")??;
        ensure!(answer == "+OK", "Redis answers {answer}");
    }
    Ok(())
}

/// The stream of a connection.
fn stream(connection: usize) -> String {
    format!("s.{connection:03}")
}

impl Consumer {
    fn new(connection: usize, look: &Look) -> Self {
        let mut request = Vec::new();
        let words = ["XREADGROUP", "GROUP", "g", "c", "COUNT", TOGETHER, "BLOCK", "0", "NOACK", "STREAMS"];
        redis::array(&[&words[..], &[&stream(connection), ">"]].concat(), &mut request);
        Consumer { request, pending: Pending::default(), left: 0, ticks: Numbered::new(look.stamps()) }
    }
}

impl Protocol for Consumer {
    fn receive(&mut self, bytes: &[u8], received: &mut Received, answer: &mut Vec<u8>) -> Result<()> {
        let Consumer { request, pending, left, ticks } = self;
        pending.receive(bytes, |bytes| {
            let length = if *left == 0 {
                let Some((ticks, length)) = ticks_in_answer(bytes)? else { return Ok(None) };
                *left = ticks;
                length
            } else {
                let Some((tick, length)) = tick(bytes)? else { return Ok(None) };
                ticks.take(tick, received)?;
                *left -= 1;
                if *left == 0 {
                    answer.extend_from_slice(request);
                }
                length
            };
            Ok(Some(length))
        })
    }
}

/// What an answer begins with: how many ticks of the only stream it has.
fn ticks_in_answer(bytes: &[u8]) -> Result<Unit<usize>> {
    if bytes.first() == Some(&b'-') {
        bail!("Redis answers {}", String::from_utf8_lossy(bytes).trim_end());
    }
    let Some((lines, length)) = lines(bytes)? else { return Ok(None) };
    let [b"*1", b"*2", b"$5", _stream, count] = lines else { bail!("not an answer: {}", text(&lines)) };
    let ticks = str::from_utf8(count)?.strip_prefix('*').and_then(|ticks| ticks.parse().ok());
    let ticks = ticks.filter(|ticks| *ticks > 0).with_context(|| format!("no ticks: {}", text(&lines)))?;
    Ok(Some((ticks, length)))
}

/// The tick of an entry, which is an ID and a list of a symbol and the tick.
fn tick(bytes: &[u8]) -> Result<Unit<&[u8]>> {
    let Some((lines, length)) = lines(bytes)? else { return Ok(None) };
    let [b"*2", _, _id, b"*2", b"$5", _symbol, _length, tick] = lines else {
        bail!("not an entry: {}", text(&lines))
    };
    Ok(Some((tick, length)))
}

/// The first lines. No tick has a line end in it.
fn lines<const COUNT: usize>(bytes: &[u8]) -> Result<Unit<[&[u8]; COUNT]>> {
    let mut lines = [&[][..]; COUNT];
    let mut rest = bytes;
    for line in &mut lines {
        let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(None) };
        *line = rest[..end].strip_suffix(b"\r").context("a line without its end")?;
        rest = &rest[end + 1..];
    }
    Ok(Some((lines, bytes.len() - rest.len())))
}

/// For an error message.
fn text(lines: &[&[u8]]) -> String {
    String::from_utf8_lossy(&lines.join(&b' ')).into_owned()
}
