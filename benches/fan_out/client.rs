//! A client of many connections that costs as little as a client can: it reads, and counts.

use std::{
    io::{self, BufRead, ErrorKind, Read, Write},
    mem,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fd::OwnedFd,
    io::Errno,
    net::sockopt::set_socket_recv_buffer_size,
};
use rustls::ClientConnection;
use socket2::{Domain, Socket, Type};

use crate::{stopwatch::Stopwatch, tls::Tls};

/// Enough for all that a socket holds, so that one read takes it.
const BUFFER: usize = 1 << 20;
/// So much may wait in the kernel before the server feels a slow client. The kernel may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// After how many new connections a client looks.
const LOOK_AFTER: usize = 256;

/// How often a client looks that is not told.
const PAUSE: Duration = Duration::from_micros(500);

/// How one connection's bytes are understood.
pub(crate) trait Protocol {
    /// Adds what these bytes complete to `received`, and appends what must be answered.
    fn receive(&mut self, bytes: &[u8], received: &mut Received, answer: &mut Vec<u8>) -> Result<()>;
}

/// Counts messages that are all of one length, as those of the peers are: what arrives is divided, not parsed.
/// The few bytes of a greeting do not matter beside the millions of a window.
pub(crate) struct FixedLength {
    length: usize,
    rest: usize,
    stopwatch: Option<Stopwatch>,
}

/// A protocol inside TLS.
struct Encrypted {
    session: ClientConnection,
    protocol: Box<dyn Protocol>,
    /// What the protocol answers, not yet encrypted.
    answer: Vec<u8>,
}

/// Where a server serves.
#[derive(Clone, Copy)]
pub(crate) struct Endpoint<'a> {
    pub(crate) address: SocketAddr,
    /// Plain TCP without.
    pub(crate) tls: Option<&'a Tls>,
}

/// When a client looks for what has arrived.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Attention {
    /// Every now and then. A client that sleeps until something arrives is woken by the writing server, at the
    /// server's expense: a fifth of what `ticker` spends, more the slower a server is with its next write, and
    /// nothing that a server has to pay for a client on another machine.
    #[default]
    Pauses,
    /// The moment that something arrives.
    Immediate,
}

/// Connections to one server.
pub(crate) struct Client {
    attention: Attention,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    answer: Vec<u8>,
    events: Vec<Event>,
}

struct Connection {
    socket: TcpStream,
    protocol: Box<dyn Protocol>,
}

/// What arrived in a window.
#[derive(Clone, Copy, Default)]
pub(crate) struct Received {
    pub(crate) ticks: u64,
    /// Ticks that were left out before others, where ticks are numbered.
    pub(crate) lost: u64,
    /// Frames of data, where the protocol has them: a server that flushes on time sends one for each flush.
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
    /// The longest time between two looks at the sockets.
    pub(crate) longest_pause: Duration,
}

impl Client {
    /// Connects so many times. `open` gives a connection's protocol and the first bytes to send.
    pub(crate) fn connect<'a, P: Protocol + 'static>(
        server: impl Into<Endpoint<'a>>,
        connections: usize,
        attention: Attention,
        mut open: impl FnMut(usize) -> (P, Vec<u8>),
    ) -> Result<Self> {
        let mut client = Client {
            attention,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: Vec::new(),
            buffer: vec![0; BUFFER],
            answer: Vec::new(),
            events: Vec::with_capacity(1_024),
        };
        let server = server.into();
        // All connect before the first subscribes, as a server at its limit hardly accepts any more.
        let sockets = (0..connections).map(|at| connect(server.address, at));
        for (at, socket) in sockets.collect::<io::Result<Vec<_>>>()?.into_iter().enumerate() {
            let (protocol, hello) = open(at);
            client
                .add(socket, server.tls, Box::new(protocol), &hello)
                .with_context(|| format!("connection {at}"))?;
            // What piled up until the last connection is made would be counted later. To look after each connection would
            // take longer than a server waits for thousands to say hello.
            if at.is_multiple_of(LOOK_AFTER) {
                client.take(Duration::ZERO, &mut Received::default())?;
            }
        }
        Ok(client)
    }

    /// Reads for so long.
    pub(crate) fn read_for(&mut self, window: Duration) -> Result<Received> {
        let start = Instant::now();
        let mut received = Received::default();
        loop {
            received.elapsed = start.elapsed();
            let Some(left) = window.checked_sub(received.elapsed).filter(|left| !left.is_zero()) else {
                return Ok(received);
            };
            match self.attention {
                Attention::Pauses => {
                    thread::sleep(PAUSE.min(left));
                    self.take(Duration::ZERO, &mut received)?;
                }
                Attention::Immediate => self.take(left, &mut received)?,
            }
            received.longest_pause = received.longest_pause.max(start.elapsed() - received.elapsed);
        }
    }

    fn add(
        &mut self,
        mut socket: TcpStream,
        tls: Option<&Tls>,
        mut protocol: Box<dyn Protocol>,
        hello: &[u8],
    ) -> Result<()> {
        socket.set_nodelay(true)?;
        set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        match tls {
            Some(tls) => {
                let session = tls.connect(&mut socket, hello).context("TLS handshake")?;
                protocol = Box::new(Encrypted { session, protocol, answer: Vec::new() });
            }
            None => socket.write_all(hello)?,
        }
        socket.set_nonblocking(true)?;
        let at = self.connections.len() as u64;
        // Edge-triggered: a level-triggered epoll looks at every socket a second time after it has been read.
        epoll::add(&self.epoll, &socket, EventData::new_u64(at), EventFlags::IN | EventFlags::ET)?;
        self.connections.push(Connection { socket, protocol });
        Ok(())
    }

    /// Reads what all sockets hold; when they hold nothing, waits for it so long.
    fn take(&mut self, patience: Duration, received: &mut Received) -> Result<()> {
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&patience.try_into()?)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut events = mem::take(&mut self.events);
        for event in events.drain(..) {
            let at = event.data.u64() as usize;
            self.drain(at, received).with_context(|| format!("connection {at}"))?;
        }
        self.events = events;
        Ok(())
    }

    /// Reads what one socket holds.
    fn drain(&mut self, at: usize, received: &mut Received) -> Result<()> {
        let Connection { socket, protocol } = &mut self.connections[at];
        loop {
            let length = match socket.read(&mut self.buffer) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            received.bytes += length as u64;
            protocol.receive(&self.buffer[..length], received, &mut self.answer)?;
            if !self.answer.is_empty() {
                let written = socket.write(&self.answer)?;
                ensure!(written == self.answer.len(), "the server does not read");
                self.answer.clear();
            }
            // A short read has emptied the socket; the next byte is the next event.
            if length < self.buffer.len() {
                return Ok(());
            }
        }
    }
}

/// Connects from two addresses in turn: `ticker` gives half of its connections to one address at most.
fn connect(server: SocketAddr, at: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1 + (at % 2) as u8], 0)).into())?;
    socket.connect(&server.into())?;
    Ok(socket.into())
}

impl FixedLength {
    /// With a stopwatch, reads the stamps of the messages too.
    pub(crate) fn new(length: usize, stopwatch: Option<Stopwatch>) -> Self {
        FixedLength { length, rest: 0, stopwatch }
    }
}

impl Protocol for FixedLength {
    fn receive(&mut self, bytes: &[u8], received: &mut Received, _answer: &mut Vec<u8>) -> Result<()> {
        self.rest += bytes.len();
        received.ticks += (self.rest / self.length) as u64;
        self.rest %= self.length;
        if let Some(stopwatch) = &mut self.stopwatch {
            stopwatch.read_stamps(bytes, self.length);
        }
        Ok(())
    }
}

impl Protocol for Encrypted {
    fn receive(&mut self, mut bytes: &[u8], received: &mut Received, answer: &mut Vec<u8>) -> Result<()> {
        while !bytes.is_empty() {
            self.session.read_tls(&mut bytes)?;
            self.session.process_new_packets()?;
            let mut reader = self.session.reader();
            loop {
                let plain = match reader.fill_buf() {
                    Ok([]) => bail!("the server closed the TLS session"),
                    Ok(plain) => plain,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                };
                self.protocol.receive(plain, received, &mut self.answer)?;
                let length = plain.len();
                reader.consume(length);
            }
        }
        self.session.writer().write_all(&self.answer)?;
        self.answer.clear();
        while self.session.wants_write() {
            self.session.write_tls(answer)?;
        }
        Ok(())
    }
}

impl From<SocketAddr> for Endpoint<'_> {
    fn from(address: SocketAddr) -> Self {
        Endpoint { address, tls: None }
    }
}
