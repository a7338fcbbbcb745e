//! The file of a recording: CSV, perhaps compressed, in which no tick is missing.

use std::{
    collections::HashMap,
    fmt,
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    num::NonZeroU64,
    path::Path,
};

use anyhow::{Context, bail};
use flate2::{Compression, write::GzEncoder};

use crate::{
    client::{Event, LiveTick, record::written, watch::notices},
    decimal,
    tick::{Sequence, Symbol},
    timestamp,
};

/// A recording in progress. It prints as what it has so far.
pub(super) struct Recording {
    rows: csv::Writer<Packed>,
    increments: HashMap<Symbol, u64>,
    /// The last sequence of each symbol.
    last: HashMap<Symbol, Sequence>,
    ticks: u64,
    remaining: Option<u64>,
}

/// A file as its name says.
enum Packed {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

/// An instrument that the server does not list is traded in ones.
const ONE: u64 = 1_000_000_000;

impl Recording {
    /// Makes the file.
    pub(super) fn create(
        path: &Path,
        increments: HashMap<Symbol, u64>,
        count: Option<NonZeroU64>,
    ) -> anyhow::Result<Self> {
        let file = match OpenOptions::new().write(true).create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("{} is there already: name another file with --out, or remove it first", path.display())
            }
            made => made.with_context(|| format!("cannot make {}", path.display()))?,
        };
        let packed = Packed::new(path, BufWriter::new(file))?;
        let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(packed);
        rows.write_record(["time", "symbol", "price", "quantity", "sequence"]).map_err(written)?;
        let remaining = count.map(NonZeroU64::get);
        Ok(Self { rows, increments, last: HashMap::new(), ticks: 0, remaining })
    }

    /// Takes events in; false when there are as many ticks as were asked for.
    pub(super) fn take(
        &mut self,
        events: &mut Vec<Event>,
        mut warn: impl FnMut(&str),
    ) -> anyhow::Result<bool> {
        for event in events.drain(..) {
            match event {
                Event::Tick(live) => self.write(&live)?,
                Event::Gap { .. } => {
                    bail!("{}; the recording ends before them", notices(&event).join("; "))
                }
                other => notices(&other).iter().for_each(|notice| warn(notice)),
            }
            if self.remaining == Some(0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn write(&mut self, live: &LiveTick) -> anyhow::Result<()> {
        let LiveTick { symbol, tick, .. } = live;
        if let Some(last) = self.last.insert(*symbol, tick.sequence)
            && last.next() != tick.sequence
        {
            bail!("{symbol}: the tick {} came after {last}; the recording ends before it", tick.sequence);
        }
        let increment = self.increments.get(symbol).copied().unwrap_or(ONE);
        let row = [
            &timestamp::show(tick.time),
            symbol.as_str(),
            &tick.price.to_string(),
            &decimal::show(tick.quantity.get().saturating_mul(increment)),
            &tick.sequence.to_string(),
        ];
        self.rows.write_record(row).map_err(written).context("cannot write the recording")?;
        self.ticks += 1;
        self.remaining = self.remaining.map(|remaining| remaining - 1);
        Ok(())
    }

    /// Writes what is left, and ends the file.
    pub(super) fn finish(self) -> io::Result<()> {
        self.rows.into_inner().map_err(|error| error.into_error())?.finish()
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |count, of| format!("{count} {of}{}", if count == 1 { "" } else { "s" });
        write!(f, "{} of {}", one(self.ticks, "tick"), one(self.last.len() as u64, "symbol"))
    }
}

impl Packed {
    fn new(path: &Path, file: BufWriter<File>) -> io::Result<Self> {
        Ok(match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip(GzEncoder::new(file, Compression::default())),
            Some("zst") => Self::Zstd(zstd::Encoder::new(file, 0)?),
            _ => Self::Plain(file),
        })
    }

    fn finish(self) -> io::Result<()> {
        let mut file = match self {
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        file.flush()
    }
}

impl Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
