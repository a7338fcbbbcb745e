//! The rows of a recording: CSV, perhaps compressed, in which no tick is missing.

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
    client::{Event, LiveTick},
    commands::{phrases::counted, quantity_increments::QuantityIncrements, rows::io_error, warnings},
    decimal,
    tick::{Sequence, Symbol},
    timestamp,
};

/// An unfinished recording. It displays how many ticks and symbols it has so far.
pub(super) struct Recording {
    rows: csv::Writer<Destination>,
    increments: QuantityIncrements,
    /// The last sequence of each symbol.
    last: HashMap<Symbol, Sequence>,
    ticks: u64,
    remaining: Option<u64>,
}

/// Where the rows go: to standard output, or to a file whose name gives the compression.
enum Destination {
    Stdout(BufWriter<io::Stdout>),
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Recording {
    /// Writes plain CSV to standard output.
    pub(super) fn to_stdout(
        increments: QuantityIncrements,
        count: Option<NonZeroU64>,
    ) -> anyhow::Result<Self> {
        Self::begin(Destination::Stdout(BufWriter::new(io::stdout())), increments, count)
    }

    /// Makes the file.
    pub(super) fn create(
        path: &Path,
        increments: QuantityIncrements,
        count: Option<NonZeroU64>,
    ) -> anyhow::Result<Self> {
        let file = match OpenOptions::new().write(true).create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if path.metadata().is_ok_and(|found| !found.is_file()) {
                    bail!(
                        "{} is not a regular file: use --out - and redirect standard output",
                        path.display()
                    )
                }
                bail!("{} is there already: name another file with --out, or remove it first", path.display())
            }
            made => made.with_context(|| format!("cannot make {}", path.display()))?,
        };
        Self::begin(Destination::new(path, BufWriter::new(file))?, increments, count)
    }

    fn begin(
        destination: Destination,
        increments: QuantityIncrements,
        count: Option<NonZeroU64>,
    ) -> anyhow::Result<Self> {
        let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(destination);
        rows.write_record(["time", "symbol", "price", "quantity", "sequence"]).map_err(io_error)?;
        let remaining = count.map(NonZeroU64::get);
        Ok(Self { rows, increments, last: HashMap::new(), ticks: 0, remaining })
    }

    /// Takes events in; false when there are as many ticks as were asked for.
    pub(super) fn take(&mut self, events: &mut Vec<Event>, warn: impl FnMut(&str)) -> anyhow::Result<bool> {
        let more = self.take_each(events, warn)?;
        if matches!(self.rows.get_ref(), Destination::Stdout(_)) {
            self.rows.flush()?;
        }
        Ok(more)
    }

    fn take_each(&mut self, events: &mut Vec<Event>, mut warn: impl FnMut(&str)) -> anyhow::Result<bool> {
        for event in events.drain(..) {
            match event {
                Event::Tick(live) => self.write(&live)?,
                Event::Gap { .. } => {
                    bail!("{}; the recording ends before them", warnings::of_event(&event).join("; "))
                }
                other => warnings::of_event(&other).iter().for_each(|warning| warn(warning)),
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
        let increment = self.increments.get(symbol);
        let row = [
            &timestamp::show(tick.time),
            symbol.as_str(),
            &tick.price.to_string(),
            &decimal::show(tick.quantity.saturating_mul(increment)),
            &tick.sequence.to_string(),
        ];
        self.rows.write_record(row).map_err(io_error).context("cannot write the recording")?;
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
        write!(f, "{} of {}", counted(self.ticks, "tick"), counted(self.last.len() as u64, "symbol"))
    }
}

impl Destination {
    fn new(path: &Path, file: BufWriter<File>) -> io::Result<Self> {
        Ok(match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip(GzEncoder::new(file, Compression::default())),
            Some("zst") => Self::Zstd(zstd::Encoder::new(file, 0)?),
            _ => Self::Plain(file),
        })
    }

    fn finish(self) -> io::Result<()> {
        let mut file = match self {
            Self::Stdout(mut stdout) => return stdout.flush(),
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        file.flush()
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tick::{Price, Tick, Time};

    fn tick(symbol: &str, sequence: u64) -> Event {
        tick_of(symbol, sequence, 12)
    }

    fn tick_of(symbol: &str, sequence: u64, quantity: u64) -> Event {
        Event::Tick(LiveTick {
            symbol: symbol.parse().unwrap(),
            tick: Tick {
                sequence: Sequence(sequence),
                time: Time::from_nanos(1_764_000_000_020_000_000),
                price: Price::from_nanos(2_930_550_000_000).unwrap(),
                quantity,
            },
            conflated: 0,
            snapshot: false,
            quote: None,
        })
    }

    /// What is in the file after these events, and how they were taken.
    fn recorded(mut events: Vec<Event>, count: Option<u64>) -> (String, anyhow::Result<bool>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ticks.csv");
        let increments = QuantityIncrements::from_iter([("BTC-USD".parse().unwrap(), 100_000)]);
        let mut recording = Recording::create(&path, increments, count.and_then(NonZeroU64::new)).unwrap();
        let taken = recording.take(&mut events, |_| panic!("nothing to warn of"));
        recording.finish().unwrap();
        (fs::read_to_string(path).unwrap(), taken)
    }

    const TWO: &str = "time,symbol,price,quantity,sequence\n\
                       2025-11-24T16:00:00.02Z,BTC-USD,2930.55,0.0012,7\n\
                       2025-11-24T16:00:00.02Z,ANY,2930.55,12,1\n";

    #[test]
    fn a_row_has_what_the_tick_had_in_units_that_people_use() {
        let (text, taken) = recorded(vec![tick("BTC-USD", 7), tick("ANY", 1)], None);
        assert_eq!(text, TWO);
        assert!(taken.unwrap());
    }

    #[test]
    fn a_row_of_an_index_has_the_quantity_0() {
        let (text, _) = recorded(vec![tick_of("NIFTY50", 7, 0)], None);
        assert_eq!(text.lines().last(), Some("2025-11-24T16:00:00.02Z,NIFTY50,2930.55,0,7"));
    }

    #[test]
    fn a_recording_ends_before_a_gap_and_says_which_ticks_are_missing() {
        let gap = Event::Gap { symbol: "ANY".parse().unwrap(), first: Sequence(2), last: Sequence(5) };
        let (text, taken) = recorded(vec![tick("BTC-USD", 7), tick("ANY", 1), gap, tick("ANY", 6)], None);
        assert_eq!(text, TWO);
        let message = taken.unwrap_err().to_string();
        assert!(message.contains("left out the ticks 2 to 5; the recording ends before them"), "{message}");

        let (text, taken) = recorded(vec![tick("BTC-USD", 7), tick("ANY", 1), tick("ANY", 6)], None);
        assert_eq!(text, TWO);
        let message = taken.unwrap_err().to_string();
        assert_eq!(message, "ANY: the tick 6 came after 1; the recording ends before it");
    }

    #[test]
    fn a_recording_has_no_more_ticks_than_it_was_asked_for() {
        let (text, taken) = recorded(vec![tick("BTC-USD", 7), tick("ANY", 1), tick("ANY", 2)], Some(2));
        assert_eq!(text, TWO);
        assert!(!taken.unwrap());
    }

    #[test]
    fn a_file_that_is_there_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ticks.csv");
        fs::write(&path, "mine").unwrap();
        let refused = Recording::create(&path, QuantityIncrements::default(), None).map(|_| ()).unwrap_err();
        assert!(
            refused
                .to_string()
                .ends_with("is there already: name another file with --out, or remove it first")
        );
        assert_eq!(fs::read_to_string(path).unwrap(), "mine");
    }
}
