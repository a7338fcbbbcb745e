//! What a recording costs: how long it takes to open, how much memory it holds, and what one of its ticks costs.
//!
//! ```text
//! cargo bench --bench recorded               10 million ticks in each format
//! cargo bench --bench recorded -- 1000000    so many
//! ```
//!
//! Each file is opened in a process of its own, with the allocator of `ticker`, so that its memory can be told. Linux
//! only.

#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

use std::{
    env,
    fs::{self, File},
    hint::black_box,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::GzEncoder};
use ticker::{
    tape::{Recorded, Series, Tape},
    tick::{Sequence, Time},
    timestamp,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a child is told before the file that it opens.
const OPEN: &str = "--open";
const TICKS: u64 = 10_000_000;
/// Reads of each kind that are timed.
const READS: u64 = 10_000_000;

/// Pseudo-random numbers, the same each time.
struct Draws(u64);

/// A trade of one of a hundred symbols.
struct Trade {
    symbol: u64,
    nanos: u64,
    price_cents: u64,
    quantity_thousandths: u64,
    sequence: u64,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [open, path] = &arguments[..]
        && open == OPEN
    {
        return measure(Path::new(path));
    }
    let count = arguments.first().map_or(Ok(TICKS), |count| count.parse()).context("how many ticks?")?;
    let folder = tempfile::tempdir()?;
    println!("{count} ticks of 100 symbols (of one in Binance's dump)\n");
    println!("| file | size | open | resident | next tick | any tick | sequence at a time |");
    println!("| --- | --: | --: | --: | --: | --: | --: |");
    for (name, write) in FILES {
        let path = folder.path().join(name);
        write(&path, count)?;
        let size = fs::metadata(&path)?.len() / 1_000_000;
        let child = Command::new(env::current_exe()?).arg(OPEN).arg(&path).output()?;
        ensure!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
        println!("| `{name}` | {size} MB | {} |", String::from_utf8_lossy(&child.stdout).trim());
        fs::remove_file(path)?;
    }
    Ok(())
}

type WriteFile = fn(&Path, u64) -> Result<()>;

const FILES: [(&str, WriteFile); 4] = [
    ("ticks.csv", |path, count| write_csv(BufWriter::new(File::create(path)?), count).map(drop)),
    ("ticks.csv.gz", |path, count| {
        let file = BufWriter::new(File::create(path)?);
        Ok(write_csv(GzEncoder::new(file, Compression::fast()), count)?.finish()?.flush()?)
    }),
    ("ticks.csv.zst", |path, count| {
        let file = BufWriter::new(File::create(path)?);
        Ok(write_csv(zstd::Encoder::new(file, 1)?, count)?.finish()?.flush()?)
    }),
    ("BTCUSDT-trades-2025-01-01.csv", write_binance),
];

/// What `ticker record` writes.
fn write_csv<W: Write>(mut file: W, count: u64) -> Result<W> {
    writeln!(file, "time,symbol,price,quantity,sequence")?;
    for Trade { symbol, nanos, price_cents, quantity_thousandths, sequence } in trades(count, 100) {
        let time = timestamp::show(Time::from_nanos(nanos));
        let (price, quantity) = (hundredths(price_cents), quantity_thousandths as f64 / 1_000.0);
        writeln!(file, "{time},SYMBOL{symbol},{price},{quantity},{sequence}")?;
    }
    file.flush()?;
    Ok(file)
}

fn write_binance(path: &Path, count: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for Trade { nanos, price_cents, quantity_thousandths, sequence, .. } in trades(count, 1) {
        let (price, quantity) = (hundredths(price_cents), quantity_thousandths as f64 / 1_000.0);
        let micros = nanos / 1_000;
        writeln!(file, "43{sequence:08},{price}000000,{quantity:.8},15.90792000,{micros},False,True")?;
    }
    Ok(file.flush()?)
}

fn hundredths(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Trades a few milliseconds apart, each symbol a random walk of its price.
fn trades(count: u64, symbols: u64) -> impl Iterator<Item = Trade> {
    let mut draws = Draws(7);
    let mut nanos = 1_735_689_600_000_000_000;
    let mut prices = vec![9_357_600; symbols as usize];
    let mut sequences = vec![0; symbols as usize];
    (0..count).map(move |_| {
        let symbol = draws.below(symbols);
        nanos += draws.below(17_000_000);
        let (price, sequence) = (&mut prices[symbol as usize], &mut sequences[symbol as usize]);
        *price = (*price + draws.below(21)).saturating_sub(10).max(1);
        *sequence += 1;
        let quantity_thousandths = 1 + draws.below(3_000);
        Trade { symbol, nanos, price_cents: *price, quantity_thousandths, sequence: *sequence }
    })
}

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Opens a file, and prints the cells of its row.
fn measure(path: &Path) -> Result<()> {
    let begun = Instant::now();
    let tape = Recorded::read(path, true, None, &mut |_| {})?;
    let took = begun.elapsed().as_secs_f64();
    let (resident, most) = (status("VmRSS:")?, status("VmHWM:")?);

    let series: Vec<_> = tape.instruments().iter().map(|instrument| tape.series(instrument)).collect();
    let first: &dyn Series = series.first().context("there is a symbol")?.as_ref();
    let mut cursor = first.cursor(first.first());
    let next = nanos_each(|_| {
        cursor.advance();
        cursor.tick().price.nanos().unsigned_abs()
    });
    let mut draws = Draws(11);
    let len = tape.extent().ticks / series.len() as u64;
    let any = nanos_each(|n| {
        let series = &series[n as usize % series.len()];
        series.tick(Sequence(1 + draws.below(len))).price.nanos().unsigned_abs()
    });
    let span = tape.extent().last.nanos() - tape.extent().first.nanos();
    let at = nanos_each(|n| {
        let time = tape.extent().first.nanos() + draws.below(1 << 31) * (span >> 31);
        series[n as usize % series.len()].sequence_at(Time::from_nanos(time)).unwrap_or_default().0
    });
    println!("{took:.2} s | {resident} MB, at most {most} MB | {next:.1} ns | {any:.1} ns | {at:.1} ns");
    Ok(())
}

fn nanos_each(mut read: impl FnMut(u64) -> u64) -> f64 {
    let begun = Instant::now();
    for n in 0..READS {
        black_box(read(n));
    }
    begun.elapsed().as_secs_f64() * 1e9 / READS as f64
}

/// A line of what the kernel says of this process, in megabytes.
fn status(key: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).context("the kernel tells memory")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024 / 1_000_000)
}
