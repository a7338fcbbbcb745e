//! `ticker verify` against replicas that are the same, and against one that differs in a single tick.

use std::{
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use ticker::{
    pacer::Clock,
    tape::{Cursor, Identity, Instrument, Missing, Series, Simulated, Tape, Universe},
    tick::{Sequence, Symbol, Tick, Time},
    timestamp,
};

use crate::support::server::{INSTRUMENTS, Server, series};

fn verify(servers: &[&Server], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticker"));
    command.env_clear().arg("verify").args(arguments);
    for server in servers {
        command.args(["--endpoint", &server.address.to_string()]);
    }
    command.output().unwrap()
}

/// A time so many seconds ago, as people write it.
fn ago(seconds: u64) -> String {
    timestamp::show(Clock::Wall.now().before(Duration::from_secs(seconds)).unwrap())
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn replicas_of_one_tape_are_the_same() {
    let servers = [Server::start(), Server::start(), Server::start()];
    let from = ago(60);
    let fast = series("FAST");
    let sequence = |time| fast.sequence_from(time).0;
    let due = sequence(Clock::Wall.now()) - sequence(timestamp::parse(&from).unwrap());
    let output = verify(&servers.each_ref(), &["*", "--from", &from]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = stdout(&output);
    for symbol in ["FAST", "INFY", "SLOW", "TCS"] {
        let line = told.lines().find(|line| line.starts_with(symbol)).unwrap();
        assert!(line.ends_with("the same"), "{told}");
    }
    let fast = told.lines().find(|line| line.starts_with("FAST")).unwrap();
    let count: u64 = fast.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(due > 0 && count >= due, "{told}");
    assert!(told.ends_with("the replicas are the same\n"), "{told}");
}

#[test]
fn one_tick_that_differs_among_thousands_is_found_and_shown() {
    let (good, also_good) = (Server::start(), Server::start());
    let universe = Universe::parse(INSTRUMENTS, "instruments").unwrap();
    let tape = Simulated::new(7, universe);
    let fast = tape.instrument(&"FAST".parse().unwrap()).unwrap();
    let then = Clock::Wall.now().before(Duration::from_secs(100)).unwrap();
    let at = tape.series(&fast).sequence_at(then).unwrap();
    let was = tape.series(&fast).tick(at);
    let bad = Server::start_with(|config| config.tape = Arc::new(Altered { tape, at }));

    let output = verify(&[&good, &also_good, &bad], &["FAST", "INFY", "--from", &ago(150)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = stdout(&output);
    let sides: Vec<_> = told.lines().filter(|line| line.contains(&format!("tick {at} "))).collect();
    let [one, other] = sides[..] else { panic!("{told}") };
    assert!(
        one.contains(&good.address.to_string()) && one.ends_with(&format!("  {}", was.quantity)),
        "{told}"
    );
    let altered = was.quantity.saturating_add(1);
    assert!(other.contains(&bad.address.to_string()) && other.ends_with(&format!("  {altered}")), "{told}");
    assert!(told.lines().any(|line| line.starts_with("INFY") && line.ends_with("the same")), "{told}");
    assert!(told.ends_with(" ticks of 2 symbols: 1 symbol differs\n"), "{told}");
}

#[test]
fn another_tape_differs_even_where_nothing_has_traded() {
    let universe = Universe::parse(INSTRUMENTS, "instruments").unwrap();
    let other = Server::start_with(|config| config.tape = Arc::new(Simulated::new(8, universe)));
    let one = Server::start();
    let times = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T00:00:00.000000001Z"];
    let output = verify(&[&one, &other], &[&["SLOW"], &times[..]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout(&output).contains("the tapes differ"), "{output:?}");
    assert!(stdout(&output).ends_with("the ticks are the same, the tapes are not\n"), "{output:?}");
}

/// The same tape, they say, with one tick of `FAST` traded in another size.
struct Altered {
    tape: Simulated,
    at: Sequence,
}

impl Tape for Altered {
    fn identity(&self) -> &Identity {
        self.tape.identity()
    }
    fn instruments(&self) -> Arc<[Arc<Instrument>]> {
        self.tape.instruments()
    }
    fn instrument(&self, symbol: &Symbol) -> Result<Arc<Instrument>, Missing> {
        self.tape.instrument(symbol)
    }
    fn suggest(&self, text: &str) -> Option<Symbol> {
        self.tape.suggest(text)
    }
    fn series(&self, instrument: &Instrument) -> Arc<dyn Series> {
        let series = self.tape.series(instrument);
        match instrument.symbol.as_str() {
            "FAST" => Arc::new(AlteredSeries { series, at: self.at }),
            _ => series,
        }
    }
}

#[derive(Clone)]
struct AlteredSeries {
    series: Arc<dyn Series>,
    at: Sequence,
}

impl Series for AlteredSeries {
    fn first(&self) -> Sequence {
        self.series.first()
    }
    fn last(&self) -> Sequence {
        self.series.last()
    }
    fn sequence_at(&self, time: Time) -> Option<Sequence> {
        self.series.sequence_at(time)
    }
    fn tick(&self, sequence: Sequence) -> Tick {
        let mut tick = self.series.tick(sequence);
        if tick.sequence == self.at {
            tick.quantity = tick.quantity.saturating_add(1);
        }
        tick
    }
    fn cursor(&self, from: Sequence) -> Box<dyn Cursor> {
        Box::new(AlteredCursor { series: self.clone(), at: from })
    }
}

struct AlteredCursor {
    series: AlteredSeries,
    at: Sequence,
}

impl Cursor for AlteredCursor {
    fn tick(&self) -> Tick {
        self.series.tick(self.at)
    }
    fn advance(&mut self) {
        self.at = self.at.next();
    }
}
