//! What recordings `ticker` plays, and what it says of those that it cannot.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test may stop it")]

mod dbn;
mod faults;
mod formats;
mod round_trip;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use ticker::{
    tape::{Recorded, RecordedError, Tape},
    tick::Sequence,
    timestamp,
};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded").join(name)
}

fn read(path: &Path) -> Result<Recorded, RecordedError> {
    Recorded::read(path, false, None, &mut |_| {})
}

/// Reads a file of this name and with these bytes.
fn read_bytes(name: &str, bytes: &[u8]) -> Result<Recorded, RecordedError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    read(&path)
}

/// What is said of a file of this name and with these bytes, without its folder.
fn fault(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let error = read(&path).err().unwrap_or_else(|| panic!("{name} has no fault"));
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

/// Every tick: symbol, sequence, time, price and quantity.
fn ticks(tape: &Recorded) -> Vec<String> {
    let mut lines = Vec::new();
    for instrument in tape.instruments().iter() {
        let series = tape.series(instrument);
        for sequence in series.first().0..=series.last().0 {
            let tick = series.tick(Sequence(sequence));
            let quantity = tick.quantity as f64 * instrument.quantity_increment_nanos.get() as f64 / 1e9;
            let time = timestamp::show(tick.time);
            lines.push(format!("{} {sequence} {time} {} {quantity}", instrument.symbol, tick.price));
        }
    }
    lines
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 0).unwrap()
}
