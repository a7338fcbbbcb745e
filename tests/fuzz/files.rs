//! Files: instruments and recordings.

use std::{collections::BTreeMap, fmt::Write as _, fs, io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use rand::RngExt;
use ticker::{
    tape::{Recorded, Simulated, Tape, Universe},
    tick::{Sequence, Symbol, Time},
    timestamp,
};

use crate::fuzzer::{Mutator, run};

/// A time at which tapes are read: in the year 2027.
const NOW: Time = Time::from_nanos(1_800_000_000_000_000_000);

#[test]
fn instruments_that_are_accepted_are_sorted_and_have_ticks() {
    let dictionary = [
        "[[instrument]]",
        "symbol = ",
        "reference_price = ",
        "price_increment = ",
        "quantity_increment = ",
        "annual_volatility = ",
        "tick_interval = ",
        "day_start = ",
        "hours = ",
        "session = ",
        "annual_drift = ",
        "factors = ",
        "tracks = ",
        "product = ",
        "currency = ",
        "kind = ",
        "name = ",
        "'09:15-15:30 Asia/Kolkata Mon-Fri'",
        "{ world = 0.6, us = -0.3 }",
        "'INDEX'",
        "[\"EUR/USD\", \"USD/INR\"]",
        "'24h'",
        "'1ns'",
        "1e308",
        "nan",
        "inf",
        "-0",
        "0",
        "9223372036.854775807",
        "'0.000000001'",
        "18446744073709551615",
        "\n",
    ];
    let mutator = Mutator::new([include_str!("../data/instruments.toml")], &dictionary);
    Universe::parse(std::str::from_utf8(&mutator.corpus()[0]).unwrap(), "").unwrap();
    run("instruments_that_are_accepted_are_sorted_and_have_ticks", 1_000, |random| {
        let text = mutator.text(random);
        let universe = match Universe::parse(&text, "instruments.toml") {
            Ok(universe) => universe,
            Err(error) => {
                assert!(error.to_string().contains("instruments.toml"), "{error}");
                return false;
            }
        };
        let listed = universe.listed().clone();
        assert!(!listed.is_empty() && listed.is_sorted_by(|one, next| one.symbol < next.symbol), "{text}");
        let tape = Simulated::new(random.random(), universe);
        for instrument in listed.iter() {
            assert_eq!(instrument.symbol.to_string().parse::<Symbol>(), Ok(instrument.symbol));
            let series = tape.series(&tape.instrument(&instrument.symbol).unwrap());
            let sequence = series.sequence_at(NOW).unwrap_or_else(|| series.first());
            for sequence in [series.first(), sequence, series.last()] {
                let tick = series.tick(sequence);
                assert_eq!(tick.sequence, sequence, "{text}");
                assert_eq!(tick.price.nanos() % instrument.price_increment.nanos(), 0, "{text}");
            }
            assert!(series.sequence_at(NOW).is_none() || series.tick(sequence).time <= NOW, "{text}");
        }
        true
    });
}

fn read(path: &Path, name: &str, bytes: &[u8]) -> Option<Recorded> {
    let path = path.join(name);
    fs::write(&path, bytes).unwrap();
    Recorded::read(&path, false, None, &mut |_| {}).ok()
}

/// A recording as `ticker record` writes it.
fn as_csv(tape: &Recorded) -> String {
    let mut lines = BTreeMap::new();
    for instrument in tape.instruments().iter() {
        let series = tape.series(instrument);
        for sequence in (series.first().0..=series.last().0).map(Sequence) {
            let tick = series.tick(sequence);
            let quantity = u128::from(tick.quantity) * u128::from(instrument.quantity_increment_nanos.get());
            let (whole, nanos) = (quantity / 1_000_000_000, quantity % 1_000_000_000);
            let time = timestamp::show(tick.time);
            let line = format!("{time},{},{},{whole}.{nanos:09},{sequence}", instrument.symbol, tick.price);
            lines.insert((instrument.symbol, sequence), line);
        }
    }
    let mut text = "time,symbol,price,quantity,sequence\n".to_owned();
    lines.values().for_each(|line| writeln!(text, "{line}").unwrap());
    text
}

/// Holds what a recording says of itself against its ticks.
fn check(tape: &Recorded) {
    let (extent, mut count) = (tape.extent(), 0);
    for instrument in tape.instruments().iter() {
        let series = tape.series(instrument);
        let ticks: Vec<_> =
            (series.first().0..=series.last().0).map(|sequence| series.tick(Sequence(sequence))).collect();
        assert!(ticks.is_sorted_by_key(|tick| tick.time));
        assert!(ticks.iter().all(|tick| (extent.first..=extent.last).contains(&tick.time)));
        count += ticks.len() as u64;
    }
    assert_eq!(count, extent.ticks);
    assert!(count > 0);
}

fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded");
    let mut samples: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    samples.sort();
    samples
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Mutated before it is compressed, so that the readers of the formats see it, and after, so that the decompressors do.
#[test]
fn a_recording_that_is_accepted_is_the_same_tape_when_it_is_written_and_read_again() {
    const DICTIONARY: &[&str] = &[
        ",",
        "\n",
        "\r\n",
        "\"",
        "time",
        "symbol",
        "price",
        "quantity",
        "sequence",
        "ltp",
        "last_quantity",
        "1e-9",
        "0",
        "-1",
        "9223372036.854775807",
        "18446744073709551615",
        "2554-07-21T23:34:33Z",
        "1970-01-01T00:00:00Z",
        "\u{feff}",
        "NaN",
        "DBN",
    ];
    let samples = samples();
    let plain: Vec<Vec<u8>> = samples
        .iter()
        .map(|(name, bytes)| match name.ends_with(".zst") {
            true => zstd::decode_all(&bytes[..]).unwrap(),
            false => bytes.clone(),
        })
        .collect();
    let packed: Vec<Vec<u8>> =
        plain.iter().flat_map(|bytes| [gzip(bytes), zstd::encode_all(&bytes[..], 1).unwrap()]).collect();
    // Each sample by itself, because the format of a dump is told by the name of its file.
    let plain: Vec<_> = plain.into_iter().map(|bytes| Mutator::new([bytes], DICTIONARY)).collect();
    let packed: Vec<_> = packed.into_iter().map(|bytes| Mutator::new([bytes], &[])).collect();
    let folder = tempfile::tempdir().unwrap();
    run("a_recording_that_is_accepted_is_the_same_tape_when_it_is_written_and_read_again", 2_000, |random| {
        let at = random.random_range(0..samples.len());
        let name = samples[at].0.trim_end_matches(".zst");
        let (name, bytes) = match random.random_range(0..6) {
            0 => (format!("{name}.gz"), gzip(&plain[at].input(random))),
            1 => (format!("{name}.zst"), zstd::encode_all(&plain[at].input(random)[..], 1).unwrap()),
            2 => (format!("{name}.gz"), packed[2 * at].input(random)),
            3 => (format!("{name}.zst"), packed[2 * at + 1].input(random)),
            _ => (name.to_owned(), plain[at].input(random)),
        };
        let Some(tape) = read(folder.path(), &name, &bytes) else { return false };
        check(&tape);
        let text = as_csv(&tape);
        let again = read(folder.path(), "again.csv", text.as_bytes());
        let again = again.unwrap_or_else(|| panic!("{name} {} became {text}", bytes.escape_ascii()));
        assert_eq!(again.identity(), tape.identity(), "{name} {} became {text}", bytes.escape_ascii());
        true
    });
}
