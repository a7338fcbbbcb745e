//! A row of the table: how many connections, how many symbols each, how many ticks a second.

use std::{fmt, fmt::Write as _, io, time::Duration};

use tempfile::NamedTempFile;

/// The instruments of every row of the table.
pub(crate) const UNIVERSE: usize = 1_000;

/// One setting that every subject is measured in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// The instruments that the connections share.
    pub(crate) universe: usize,
    /// Connections, each with one stream.
    pub(crate) connections: usize,
    /// Symbols that each connection subscribes to.
    pub(crate) symbols: usize,
    /// Ticks a second of each symbol.
    pub(crate) hz: usize,
    /// Ticks that fall due within one such interval leave together.
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
    pub(crate) const ALL: [Row; 4] = [
        Row { universe: UNIVERSE, connections: 100, symbols: 100, hz: 20, flush: Duration::from_millis(10) },
        Row {
            universe: UNIVERSE,
            connections: 1_000,
            symbols: 10,
            hz: 100,
            flush: Duration::from_millis(10),
        },
        Row { universe: UNIVERSE, connections: 100, symbols: 100, hz: 100, flush: Duration::from_millis(10) },
        Row { universe: UNIVERSE, connections: 100, symbols: 100, hz: 500, flush: Duration::from_millis(1) },
    ];

    /// The symbols of one connection: as many as the row says, from an offset that moves with the connection, so
    /// that all instruments have the same number of watchers and hardly any two connections the same set.
    pub(crate) fn symbols_of(&self, connection: usize) -> impl Iterator<Item = String> + use<> {
        let offset = connection * self.universe / self.connections;
        let universe = self.universe;
        (offset..offset + self.symbols).map(move |index| symbol(index % universe))
    }

    /// The time between two ticks of one symbol.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.hz as u32
    }

    /// In how many flush intervals every symbol ticks once.
    pub(crate) fn flushes_per_interval(&self) -> usize {
        (self.interval().as_nanos() / self.flush.as_nanos()).max(1) as usize
    }

    /// The ticks that one connection is due in one flush interval, on average.
    pub(crate) fn ticks_per_flush(&self) -> usize {
        self.symbols / self.flushes_per_interval()
    }

    /// The ticks a second due to all connections together.
    pub(crate) fn offered(&self) -> f64 {
        (self.connections * self.symbols * self.hz) as f64
    }

    /// The flushes a second due to all connections together.
    pub(crate) fn flushes(&self) -> f64 {
        self.connections as f64 / self.flush.as_secs_f64()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {} × {}", thousands(self.connections), self.symbols, self.hz)
    }
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
