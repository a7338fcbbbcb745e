//! Golden vectors: ticks and quotes that were computed once and must come out the same on every machine for ever.

use std::{env, fs, path::PathBuf};

use sha2::{Digest, Sha256};
use ticker::{
    tape::{ENGINE_VERSION, Series, Tape, TopOfBook, all_but_tests},
    tick::{Sequence, Tick},
};

use super::{series, tape};

/// Set to write the vectors of a new engine version.
const WRITE: &str = "TICKER_WRITE_GOLDEN";

/// The ends of the tape, some ticks anywhere, and some of the present day.
fn sequences() -> Vec<u64> {
    let powers = [8, 12, 13, 20, 26, 30, 36, 63].map(|level| 1u64 << level);
    let mut sequences = vec![0, 1, 2, 3, u64::MAX - 1, u64::MAX];
    sequences.extend(powers.iter().flat_map(|power| [power - 1, *power, power + 1]));
    sequences.extend([500_000, 17_920_000_000, 17_920_000_001, 89_600_000_123, 17_920_000_000_000]);
    sequences.sort_unstable();
    sequences
}

/// A line for each vector, and a digest of many ticks of one instrument: few show a difference in the last bit of an
/// intermediate result, and among very many there is one that does.
fn vectors(columns: &str, values: impl Fn(&dyn Series, &Tick) -> Vec<u64>) -> String {
    let mut csv = format!("# engine version {ENGINE_VERSION}\nseed,symbol,sequence,{columns}\n");
    for seed in [0, 7, u64::MAX] {
        let tape = tape(seed);
        for instrument in all_but_tests(&tape.instruments()) {
            let series = tape.series(instrument);
            for n in sequences() {
                csv.push_str(&format!("{seed},{},{n}", instrument.symbol));
                for value in values(&*series, &series.tick(Sequence(n))) {
                    csv.push_str(&format!(",{value}"));
                }
                csv.push('\n');
            }
        }
    }
    let (_, wild) = series(7, "WILD");
    let mut digest = Sha256::new();
    for n in 0..20_000 {
        for value in values(&*wild, &wild.tick(Sequence(n * 1_000_003))) {
            digest.update(value.to_le_bytes());
        }
    }
    let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    csv.push_str(&format!("# SHA-256 of 20,000 ticks of WILD {digest}\n"));
    csv
}

/// Holds what is computed against a file of `tests/data`.
fn hold(name: &str, computed: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let golden = fs::read_to_string(&file).unwrap_or_default();
    if computed == golden {
        return;
    }
    let version = golden.lines().next().and_then(|line| line.strip_prefix("# engine version "));
    if version == Some(ENGINE_VERSION) {
        let mut lines = golden.lines().zip(computed.lines());
        let (expected, got) =
            lines.find(|(expected, got)| expected != got).unwrap_or(("more or less lines", ""));
        panic!(
            "expected {expected}\n     got {got}\n\
             Engine version {ENGINE_VERSION} changed, and replicas of the two builds would disagree. Undo the change, or \
             raise ENGINE_VERSION in src/tape/simulated.rs if the change is wanted."
        );
    }
    if env::var_os(WRITE).is_some() {
        fs::write(file, computed).unwrap();
        return;
    }
    panic!(
        "tests/data/{name} is of engine version {}, the engine of {ENGINE_VERSION}. \
         Write the new one: {WRITE}=1 cargo test --test tape golden",
        version.unwrap_or("none")
    );
}

#[test]
fn ticks_are_the_same_to_the_last_bit_on_every_machine() {
    let values =
        |_: &dyn Series, tick: &Tick| vec![tick.time.nanos(), tick.price.nanos() as u64, tick.quantity];
    hold("golden.csv", &vectors("time_nanos,price_nanos,quantity", values));
}

#[test]
fn the_book_is_the_same_to_the_last_bit_on_every_machine() {
    let values = |series: &dyn Series, tick: &Tick| {
        let TopOfBook { bid, bid_quantity, ask, ask_quantity } = series.top_of_book(tick).unwrap();
        vec![bid.nanos() as u64, bid_quantity, ask.nanos() as u64, ask_quantity]
    };
    hold("golden_book.csv", &vectors("bid_nanos,bid_quantity,ask_nanos,ask_quantity", values));
}
