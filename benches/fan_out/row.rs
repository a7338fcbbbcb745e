//! A row of the table: how many connections, how many symbols each, how many ticks a second.

use std::{fmt, fmt::Write as _, io, num::ParseIntError, time::Duration};

use clap::Args;
use tempfile::NamedTempFile;

/// The instruments of every row of the table.
pub(crate) const UNIVERSE: usize = 1_000;

/// One setting that every subject is measured in.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Row {
    /// The instruments that the connections share.
    #[arg(long)]
    pub(crate) universe: usize,
    /// Connections, each with one stream.
    #[arg(long)]
    pub(crate) connections: usize,
    /// Symbols that each connection subscribes to.
    #[arg(long)]
    pub(crate) symbols: usize,
    /// Ticks a second of each symbol.
    #[arg(long)]
    pub(crate) hz: usize,
    /// Ticks that fall due within one such interval leave together.
    #[arg(long = "flush-micros", value_parser = micros)]
    pub(crate) flush: Duration,
}

/// The name of an instrument. All are of one length, so that a message of a peer is of one length too.
pub(crate) fn symbol(index: usize) -> String {
    format!("S{index:04}")
}

/// Writes an instruments file for `ticker`.
pub(crate) fn instruments(
    symbols: impl Iterator<Item = String>,
    interval: Duration,
) -> io::Result<NamedTempFile> {
    let mut text = String::new();
    let interval = interval.as_millis();
    for symbol in symbols {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[[instrument]]\nsymbol = \"{symbol}\"\nreference_price = \"1000.00\"\n\
             tick_interval = \"{interval}ms\"\n\n"
        );
    }
    let file = NamedTempFile::with_suffix(".toml")?;
    io::Write::write_all(&mut file.as_file(), text.as_bytes())?;
    Ok(file)
}

impl Row {
    /// The rows of the table.
    pub(crate) const ALL: [Row; 5] = [
        Row::new(100, 100, 20, 10),
        Row::new(1_000, 10, 100, 10),
        Row::new(100, 100, 100, 10),
        Row::new(100, 100, 500, 1),
        Row::new(1_000, 10, 10, 10),
    ];

    /// More and more connections with the same few ticks each, then the ticks of 10,000 connections over 1,000.
    pub(crate) const BY_CONNECTIONS: [Row; 6] = [
        Row::new(100, 10, 1, 10),
        Row::new(300, 10, 1, 10),
        Row::new(1_000, 10, 1, 10),
        Row::new(3_000, 10, 1, 10),
        Row::new(10_000, 10, 1, 10),
        Row::new(1_000, 10, 10, 10),
    ];

    pub(crate) const fn new(connections: usize, symbols: usize, hz: usize, flush_millis: u64) -> Self {
        Row { universe: UNIVERSE, connections, symbols, hz, flush: Duration::from_millis(flush_millis) }
    }

    /// The same among so many instruments.
    pub(crate) const fn among(self, universe: usize) -> Self {
        Row { universe, ..self }
    }

    /// The options from which a process reads this row.
    pub(crate) fn options(&self) -> [String; 5] {
        [
            format!("--universe={}", self.universe),
            format!("--connections={}", self.connections),
            format!("--symbols={}", self.symbols),
            format!("--hz={}", self.hz),
            format!("--flush-micros={}", self.flush.as_micros()),
        ]
    }

    /// The symbols of one connection: as many as the row says, from an offset that moves with the connection, so
    /// that all instruments have the same number of watchers and hardly any two connections the same set.
    pub(crate) fn symbols_of(&self, connection: usize) -> impl Iterator<Item = String> + use<> {
        self.indices_of(connection).map(symbol)
    }

    /// The only connection that has this symbol, where no symbol has two.
    pub(crate) fn connection_of(&self, index: usize) -> usize {
        index / self.symbols
    }

    fn indices_of(&self, connection: usize) -> impl Iterator<Item = usize> + use<> {
        let offset = connection * self.universe / self.connections;
        let universe = self.universe;
        (offset..offset + self.symbols).map(move |index| index % universe)
    }

    /// The time between two ticks of one symbol.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.hz as u32
    }

    /// In how many flush intervals every symbol ticks once.
    pub(crate) fn flushes_per_interval(&self) -> usize {
        (self.interval().as_nanos() / self.flush.as_nanos()).max(1) as usize
    }

    /// In which flush of an interval a symbol ticks, where ticks come from a publisher or from the floor.
    ///
    /// With several ticks a flush, neighbours tick in turn, so that every connection is due as much in each flush. With
    /// one tick a flush or fewer, each symbol ticks in a flush of its own choice, so that a connection is due none, one
    /// or a few ticks, as with symbols that know nothing of each other.
    pub(crate) fn flush_of(&self, index: usize) -> usize {
        let flushes = self.flushes_per_interval();
        if self.symbols > flushes { index % flushes } else { scatter(index as u64) as usize % flushes }
    }

    /// The ticks that one connection is due in each flush of an interval.
    pub(crate) fn due(&self, connection: usize) -> Vec<usize> {
        let mut due = vec![0; self.flushes_per_interval()];
        for index in self.indices_of(connection) {
            due[self.flush_of(index)] += 1;
        }
        due
    }

    /// The ticks a second due to all connections together.
    pub(crate) fn offered(&self) -> f64 {
        (self.connections * self.symbols * self.hz) as f64
    }

    /// The flushes a second due to all connections together. A flush without a tick is not due.
    pub(crate) fn flushes(&self) -> f64 {
        let due = (0..self.connections).flat_map(|connection| self.due(connection));
        let with_ticks = due.filter(|ticks| *ticks > 0).count();
        with_ticks as f64 / (self.flushes_per_interval() as f64 * self.flush.as_secs_f64())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {} × {}", thousands(self.connections), self.symbols, self.hz)
    }
}

fn micros(text: &str) -> Result<Duration, ParseIntError> {
    text.parse().map(Duration::from_micros)
}

/// A pseudo-random number for each number: one step of SplitMix64.
fn scatter(number: u64) -> u64 {
    let mut mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number with a comma before every third digit.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
