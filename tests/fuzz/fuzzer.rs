//! Mutates valid inputs, and runs cases that can be repeated by their seeds.

use std::{
    env, process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// Random numbers of one case.
pub(crate) type Random = ChaCha8Rng;

/// Mutates valid inputs.
pub(crate) struct Mutator {
    corpus: Vec<Vec<u8>>,
    dictionary: Vec<&'static [u8]>,
}

impl Mutator {
    /// Longest input, in bytes.
    const LONGEST: usize = 64 * 1024;
    /// Longest piece that one mutation moves, in bytes.
    const PIECE: usize = 64;
    /// Bytes at the limits of what parsers tell apart.
    const BYTES: [u8; 12] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'-', b'.', b'"', b'\n', b' '];

    /// Mutates these inputs. The dictionary has what their grammar repeats.
    pub(crate) fn new(
        corpus: impl IntoIterator<Item = impl Into<Vec<u8>>>,
        dictionary: &[&'static str],
    ) -> Self {
        let dictionary = dictionary.iter().map(|token| token.as_bytes()).collect();
        let corpus: Vec<Vec<u8>> = corpus.into_iter().map(Into::into).collect();
        assert!(!corpus.is_empty());
        Self { corpus, dictionary }
    }

    /// The valid inputs.
    pub(crate) fn corpus(&self) -> &[Vec<u8>] {
        &self.corpus
    }

    /// One of the valid inputs after a few mutations.
    pub(crate) fn input(&self, random: &mut Random) -> Vec<u8> {
        let mut input = self.corpus[random.random_range(0..self.corpus.len())].clone();
        // Most inputs are almost valid, so that they get beyond the first check.
        for _ in 0..[1, 1, 1, 1, 2, 3, 5][random.random_range(0..7)] {
            self.mutate(&mut input, random);
        }
        input.truncate(Self::LONGEST);
        input
    }

    /// The same as text.
    pub(crate) fn text(&self, random: &mut Random) -> String {
        String::from_utf8_lossy(&self.input(random)).into_owned()
    }

    fn mutate(&self, input: &mut Vec<u8>, random: &mut Random) {
        let from = random.random_range(0..=input.len());
        let to = (from + random.random_range(0..=Self::PIECE)).min(input.len());
        match random.random_range(0..10) {
            0 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte = Self::BYTES[random.random_range(0..Self::BYTES.len())];
                }
            }
            2 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte = match byte {
                        b'0'..=b'9' => random.random_range(b'0'..=b'9'),
                        _ => random.random(),
                    };
                }
            }
            3 => input.truncate(from),
            4 => drop(input.drain(from..to)),
            5 => {
                let bytes: Vec<u8> = (from..to).map(|_| random.random()).collect();
                drop(input.splice(from..from, bytes));
            }
            6 => {
                let piece = input[from..to].to_vec();
                let times = random.random_range(1..=8);
                let at = random.random_range(0..=input.len());
                drop(input.splice(at..at, piece.repeat(times)));
            }
            7 => {
                let other = &self.corpus[random.random_range(0..self.corpus.len())];
                let start = random.random_range(0..=other.len());
                let end = random.random_range(start..=other.len());
                drop(input.splice(from..to, other[start..end].iter().copied()));
            }
            _ if self.dictionary.is_empty() => {}
            overwritten => {
                let token = self.dictionary[random.random_range(0..self.dictionary.len())];
                let end = if overwritten == 8 { from } else { (from + token.len()).min(input.len()) };
                drop(input.splice(from..end, token.iter().copied()));
            }
        }
    }
}

/// Says how to repeat a case that panics.
struct Case {
    test: &'static str,
    seed: u64,
}

impl Drop for Case {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("repeat it: {}", self.repeat());
        }
    }
}

impl Case {
    fn repeat(&self) -> String {
        format!("FUZZ_SEED={} FUZZ_CASES=1 cargo test --test fuzz {}", self.seed, self.test)
    }
}

/// Runs the cases of a test: as many as `FUZZ_CASES` says, otherwise `cases`. Each has its own seed, which is that of the one
/// before it and one more.
pub(crate) fn run(test: &'static str, cases: u64, mut case: impl FnMut(&mut Random) -> bool) {
    /// A case that takes longer hangs. The longest ones take seconds in a debug build: a digest reads up to 2^20 ticks.
    const LONGEST: Duration = Duration::from_secs(60);
    let cases = setting("FUZZ_CASES").unwrap_or(cases);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // Seeds of runs are far from each other, so that their cases are different ones.
    let first = setting("FUZZ_SEED").unwrap_or(u64::from(since.subsec_nanos()) << 32 ^ since.as_secs());
    println!("{test}: FUZZ_SEED={first} FUZZ_CASES={cases}");
    let running = Arc::new(AtomicU64::new(first));
    let watched = Arc::downgrade(&running);
    thread::spawn(move || {
        let mut seen = (first, Instant::now());
        while let Some(running) = watched.upgrade() {
            let seed = running.load(Relaxed);
            drop(running);
            if seed != seen.0 {
                seen = (seed, Instant::now());
            }
            if seen.1.elapsed() > LONGEST {
                eprintln!(
                    "a case takes longer than {LONGEST:?}; repeat it: {}",
                    Case { test, seed }.repeat()
                );
                process::exit(1);
            }
            thread::sleep(Duration::from_millis(500));
        }
    });
    let (began, mut accepted) = (Instant::now(), 0_u64);
    let mut slowest = (Duration::ZERO, first);
    for seed in (0..cases).map(|number| first.wrapping_add(number)) {
        running.store(seed, Relaxed);
        let _case = Case { test, seed };
        let started = Instant::now();
        accepted += u64::from(case(&mut Random::seed_from_u64(seed)));
        slowest = slowest.max((started.elapsed(), seed));
    }
    let (longest, seed) = slowest;
    println!(
        "{test}: {accepted} of {cases} accepted, {:.1?}; the slowest took {longest:.1?} (FUZZ_SEED={seed})",
        began.elapsed()
    );
}

fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}
