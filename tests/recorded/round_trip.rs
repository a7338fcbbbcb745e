//! What `ticker record` writes, `ticker serve --tape` plays: the built program against itself.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use flate2::read::GzDecoder;
use rustix::process::{Pid, Signal, kill_process};
use ticker::{
    tape::{Recorded, Simulated, Tape, Universe},
    tick::Sequence,
};

use crate::read;

/// `ticker serve` on a free port, which ends when it is dropped.
struct Server {
    process: Child,
    address: String,
    banner: Vec<String>,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        let mut process = ticker(&[&["--listen", "127.0.0.1:0"], flags].concat());
        let mut process = process.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let banner: Vec<_> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let address = banner[0].rsplit(' ').next().unwrap().to_owned();
        Self { process, address, banner }
    }

    fn record(&self, arguments: &[&str], out: &Path) -> Command {
        let mut command = ticker(&["record"]);
        command.args(arguments).arg("--endpoint").arg(&self.address).arg("--out").arg(out);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn ticker(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticker"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// Holds every tick of a recording against the tape that it was recorded from.
fn is_true_to(recording: &Recorded, source: &dyn Tape) {
    for recorded in recording.instruments().iter() {
        let played = recording.series(recorded);
        let instrument = source.instrument(&recorded.symbol).unwrap();
        let series = source.series(&instrument);
        for sequence in (played.first().0..=played.last().0).map(Sequence) {
            let (copy, tick) = (played.tick(sequence), series.tick(sequence));
            assert_eq!((copy.sequence, copy.time, copy.price), (tick.sequence, tick.time, tick.price));
            assert_eq!(
                copy.quantity * recorded.quantity_increment_nanos.get(),
                tick.quantity * instrument.quantity_increment_nanos.get()
            );
        }
    }
}

/// Holds a compressed recording against what `ticker record` said at its end.
fn is_whole(path: &Path, said: &str) {
    let mut text = String::new();
    GzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let ticks: usize = said.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(text.lines().count(), 1 + ticks, "{said}");
    assert!(text.starts_with("time,symbol,price,quantity,sequence\n"));
}

#[test]
fn a_recording_of_a_server_is_played_as_the_same_ticks() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first.csv.gz");
    let simulated = Server::start(&["--seed", "7"]);
    let output =
        simulated.record(&["TCS", "BTC-USD", "EUR-USD", "NIFTY50", "-n", "60"], &first).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = format!("recorded 60 ticks of 4 symbols to {}\n", first.display());
    assert_eq!(String::from_utf8_lossy(&output.stdout), said);
    let recording = read(&first).unwrap();
    assert_eq!(recording.extent().ticks, 60);
    let index = recording.series(&recording.instrument(&"NIFTY50".parse().unwrap()).unwrap());
    assert_eq!(index.tick(index.first()).quantity, 0);
    is_true_to(&recording, &Simulated::new(7, Universe::builtin().unwrap()));

    // Slower, so that most of it is yet to come when the recording begins.
    let played = Server::start(&["--tape", first.to_str().unwrap(), "--speed", "0.5"]);
    assert!(played.banner[2].starts_with("60 ticks from "), "{:?}", played.banner);
    let second = folder.path().join("second.csv.zst");
    let extent = recording.extent();
    let plays = 2 * Duration::from_nanos(extent.last.nanos() - extent.first.nanos());
    let (duration, count) = (format!("{}s", plays.as_secs() + 8), extent.ticks.to_string());
    let mut again = played.record(&["*", "--duration", &duration, "-n", &count], &second);
    let output = again.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let copy = read(&second).unwrap();
    is_true_to(&copy, &recording);
    assert_eq!(copy.extent().last, extent.last, "up to the last tick of all");
}

#[test]
fn a_recording_is_whole_when_a_signal_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    for signal in [Signal::INT, Signal::TERM] {
        let path = folder.path().join(format!("{signal:?}.csv.gz"));
        let process = server.record(&["*"], &path).spawn().unwrap();
        // It has begun when there is a file.
        while !path.exists() {
            std::thread::yield_now();
        }
        kill_process(Pid::from_child(&process), signal).unwrap();
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        is_whole(&path, &String::from_utf8(output.stdout).unwrap());
    }
}

#[test]
fn a_recording_waits_for_a_server_that_has_gone_and_is_whole_when_a_signal_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticks.csv.gz");
    let server = Server::start(&[]);
    let mut process = server.record(&["TCS"], &path).spawn().unwrap();
    let mut told = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
    // It has begun when there is a file.
    while !path.exists() {
        std::thread::yield_now();
    }
    drop(server);
    let lost = told.next().unwrap();
    assert!(lost.contains("ended the stream") && lost.ends_with("reconnecting (attempt 1)"), "{lost}");
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    is_whole(&path, &String::from_utf8(output.stdout).unwrap());
}

#[test]
fn a_recording_that_cannot_be_made_leaves_no_file_and_overwrites_none() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let missing = folder.path().join("missing/ticks.csv");
    let nothing = folder.path().join("nothing.csv");
    let there = folder.path().join("there.csv");
    fs::write(&there, "mine").unwrap();
    for (symbol, path, told) in [
        ("TCS", &missing, "error: cannot make "),
        ("RELAINCE", &nothing, "error: 1 symbol was refused, so nothing is recorded"),
        ("TCS", &there, "is there already: name another file with --out, or remove it first"),
    ] {
        let output = server.record(&[symbol, "-n", "1"], path).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.contains(told)), (Some(1), true), "{error}");
    }
    assert!(!nothing.exists());
    assert_eq!(fs::read_to_string(there).unwrap(), "mine");
}
