//! NATS JetStream without `ticker`: each tick is a message in a file, and each connection has a push consumer.
//!
//! A consumer of nats-server 2.9 has one filter only. So a symbol's subject begins with the connection that watches it, and
//! one wildcard is all that a connection watches. This favours NATS: nobody could choose other symbols.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    client::{Client, Protocol, Received},
    look::Look,
    nats,
    nats_messages::{Message, Messages},
    numbered::{self, Numbered, Numbers},
    publisher::{self, PACE, Peer, Publisher},
    row::{self, Row},
    sample::Running,
};

/// What every connection says first.
const HELLO: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// Where answers of JetStream arrive.
const ANSWERS: &str = "answers";

/// How long JetStream may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many ticks may wait for their acknowledgements: the default of the client for Go.
const UNACKNOWLEDGED: usize = 4_000;

/// Where the ticks are stored.
#[derive(Clone, Copy)]
pub(crate) enum Streams {
    /// In one stream, of which every consumer has to find its share.
    One,
    /// In a stream for each connection. This favours NATS once more.
    Split,
}

/// A connection on which JetStream answers.
struct Answers {
    socket: TcpStream,
    messages: Messages,
    buffer: Vec<u8>,
}

/// The receiving side of one push consumer.
struct Subscription {
    messages: Messages,
    ticks: Numbered,
}

/// The server, the clients of a row and their publisher; nothing when NATS is not installed.
pub(crate) fn start(row: &Row, streams: Streams, look: &Look) -> Result<Option<Running>> {
    let Some(server) = nats::serve_jetstream()? else { return Ok(None) };
    ask(server.address(), &streams.create(row)).context("no streams")?;
    let client = Client::connect(server.address(), row.connections, look.attention, |connection| {
        let hello = format!("{HELLO}SUB {} 1\r\n", deliver(connection));
        (Subscription::new(look), hello.into_bytes())
    })?;
    let consumers = (0..row.connections).map(|connection| streams.consume(connection));
    ask(server.address(), &consumers.collect::<Vec<_>>()).context("no consumers")?;
    let publisher = publisher::start(Peer::JetStream, server.address(), &Row { flush: PACE, ..*row })?;
    Ok(Some(Running { server, client, publisher: Some(publisher) }))
}

/// Publishes until the server goes away. Each tick is a message, and is acknowledged.
pub(crate) fn publish(publisher: &Publisher) -> Result<()> {
    let row = publisher.row();
    let mut peer = publisher.connect(format!("{HELLO}SUB {ANSWERS} 1\r\n").as_bytes())?;
    let mut answers = Answers::new(peer.try_clone()?);
    let (acknowledge, acknowledged) = mpsc::channel();
    thread::spawn(move || {
        loop {
            let answered = answers.count();
            let failed = answered.is_err();
            if acknowledge.send(answered).is_err() || failed {
                break;
            }
        }
    });
    let mut numbers = Numbers::new(row);
    let mut waiting = 0;
    let publish = |index, bytes: &mut Vec<u8>| {
        let subject = format!("t.{:03}.{}", row.connection_of(index), row::symbol(index));
        request(&subject, &[b'0'; numbered::LENGTH], bytes);
    };
    publisher.each_flush(publish, |flush, now| {
        numbers.write(flush, now)?;
        peer.write_all(&flush.bytes)?;
        waiting += flush.ticks.len();
        while waiting > UNACKNOWLEDGED {
            waiting -= acknowledged.recv()??;
        }
        Ok(())
    })
}

/// Sends requests to the API of JetStream, and waits until each has succeeded.
fn ask(server: SocketAddr, requests: &[(String, Value)]) -> Result<()> {
    let mut bytes = format!("{HELLO}SUB {ANSWERS} 1\r\n").into_bytes();
    for (name, content) in requests {
        request(&format!("$JS.API.{name}"), content.to_string().as_bytes(), &mut bytes);
    }
    let mut socket = TcpStream::connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(&bytes)?;
    let mut answers = Answers::new(socket);
    let mut answered = 0;
    while answered < requests.len() {
        answered += answers.count()?;
    }
    Ok(())
}

/// Appends a message whose answer is wanted.
fn request(subject: &str, content: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(format!("PUB {subject} {ANSWERS} {}\r\n", content.len()).as_bytes());
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(b"\r\n");
}

/// The subjects of a connection's symbols.
fn share(connection: usize) -> String {
    format!("t.{connection:03}.*")
}

/// Where a connection's consumer delivers.
fn deliver(connection: usize) -> String {
    format!("d.{connection:03}")
}

impl Streams {
    /// The requests that make the streams.
    fn create(self, row: &Row) -> Vec<(String, Value)> {
        let subjects = match self {
            Streams::One => vec!["t.*.*".to_owned()],
            Streams::Split => (0..row.connections).map(share).collect(),
        };
        let create = |(at, subject)| {
            let name = self.holding(at);
            let config = json!({ "name": name, "subjects": [subject], "storage": "file" });
            (format!("STREAM.CREATE.{name}"), config)
        };
        subjects.into_iter().enumerate().map(create).collect()
    }

    /// The request for a connection's consumer, whose settings are those of an ordered consumer of the clients: nothing is
    /// acknowledged or sent twice, and its state is in memory.
    fn consume(self, connection: usize) -> (String, Value) {
        let name = self.holding(connection);
        let config = json!({
            "deliver_subject": deliver(connection),
            "filter_subject": share(connection),
            "deliver_policy": "all",
            "ack_policy": "none",
            "max_deliver": 1,
            "flow_control": true,
            "idle_heartbeat": Duration::from_secs(5).as_nanos() as u64,
            "mem_storage": true,
            "num_replicas": 1,
        });
        (format!("CONSUMER.CREATE.{name}"), json!({ "stream_name": name, "config": config }))
    }

    /// The stream that has the ticks of a connection.
    fn holding(self, connection: usize) -> String {
        match self {
            Streams::One => "TICKS".into(),
            Streams::Split => format!("TICKS-{connection:03}"),
        }
    }
}

impl Answers {
    fn new(socket: TcpStream) -> Self {
        Answers { socket, messages: Messages::default(), buffer: vec![0; 1 << 16] }
    }

    /// Waits for answers, and counts them. All must tell of success.
    fn count(&mut self) -> Result<usize> {
        let length = self.socket.read(&mut self.buffer).context("JetStream does not answer")?;
        ensure!(length > 0, "the server closed the connection");
        let mut answers = 0;
        // No connection here lives so long that the server would miss an answer to its PING.
        self.messages.receive(&self.buffer[..length], &mut Vec::new(), |message, _| {
            ensure!(message.headers.is_empty(), "JetStream answers {}", message.headers.trim_end());
            let answer: Value = serde_json::from_slice(message.payload)?;
            ensure!(answer.get("error").is_none(), "JetStream answers {answer}");
            answers += 1;
            Ok(())
        })?;
        Ok(answers)
    }
}

impl Subscription {
    fn new(look: &Look) -> Self {
        Subscription { messages: Messages::default(), ticks: Numbered::new(look.stamps()) }
    }
}

impl Protocol for Subscription {
    fn receive(&mut self, bytes: &[u8], received: &mut Received, answer: &mut Vec<u8>) -> Result<()> {
        let Subscription { messages, ticks } = self;
        messages.receive(bytes, answer, |message, answer| match message.headers {
            "" => ticks.take(message.payload, received),
            _ => control_flow(&message, answer),
        })
    }
}

/// Lets a consumer go on that waits for its client. It asks in a message of its own, or else in a heartbeat.
fn control_flow(message: &Message, answer: &mut Vec<u8>) -> Result<()> {
    let Message { reply, headers, .. } = message;
    if !headers.starts_with("NATS/1.0 100 ") {
        bail!("JetStream says {}", headers.trim_end());
    }
    let stalled = || headers.lines().find_map(|line| line.strip_prefix("Nats-Consumer-Stalled: "));
    if let Some(subject) = reply.or_else(stalled) {
        answer.extend_from_slice(format!("PUB {subject} 0\r\n\r\n").as_bytes());
    }
    Ok(())
}
