//! The tables, in Markdown.

use std::{
    fs,
    io::{Write, stderr},
    process::Command,
};

use anyhow::Result;

use crate::{
    Effort, grpc_go, nats, ours, process, redis,
    row::{Row, thousands},
    sample::Sample,
    subject::{Server, Subject},
    tls::Tls,
};

/// A subject that delivers less than this share of the offered ticks does not keep up. One that delivers more than
/// the other way round works off a backlog, or is miscounted.
const KEEPS_UP: f64 = 0.98;

const FLOOR: Subject = Subject::plain(Server::Floor);

/// What the rounds of one subject in one row showed.
struct Outcome {
    subject: Subject,
    /// One for each round; none when the subject is not installed.
    samples: Vec<Sample>,
    /// Why there are no more samples.
    failure: Option<String>,
}

/// What a tick cost a subject in a row.
pub(crate) struct Cost {
    pub(crate) row: Row,
    pub(crate) subject: Subject,
    /// Server CPU, in nanoseconds.
    pub(crate) nanos: f64,
}

/// What the figures were taken on.
pub(crate) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field =
        |name: &str| cpu.lines().find(|line| line.starts_with(name)).and_then(|l| l.split(": ").nth(1));
    let model = field("model name").unwrap_or("unknown CPU");
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let virtual_machine = if cpu.contains(" hypervisor") { ", virtual machine" } else { "" };
    let peers = [
        version(redis::PROGRAM, "--version", "Redis"),
        version(nats::PROGRAM, "--version", "NATS"),
        version(grpc_go::PROGRAM, "version", "Go"),
    ];
    format!("{model}, {cores} cores{virtual_machine}, Linux {}, {}", kernel.trim(), peers.join(", "))
}

/// Measures every subject in every row, and prints.
pub(crate) fn fan_out(rows: &[Row], subjects: &[Subject], effort: Effort) -> Result<Vec<Cost>> {
    let tls = Tls::new()?;
    let table: Vec<_> = rows.iter().map(|row| (row, outcomes(row, subjects, &tls, effort))).collect();
    println!("Server CPU per delivered tick, and its ratio to the raw `write` floor of the same run:\n");
    print_line(["connections × symbols × Hz".into(), "flush".into()], subjects.iter().map(|s| s.to_string()));
    print_line(["---".into(), "--:".into()], subjects.iter().map(|_| "--:".into()));
    for (row, outcomes) in &table {
        let flush = format!("{} ms", row.flush.as_millis());
        print_line([row.to_string(), flush], outcomes.iter().map(|outcome| outcome.cell(row, outcomes)));
    }
    println!("\nEach in detail, the median of {} windows of {:?}:\n", effort.rounds, effort.window);
    println!(
        "| connections × symbols × Hz | subject | CPU per tick | × floor | of Redis | of NATS | of plain | ticks/s \
         | delivered | flushes | late, p99 | server core | client core | bytes per tick |"
    );
    println!("| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |");
    for (row, outcomes) in &table {
        for outcome in outcomes {
            outcome.print(row, outcomes);
        }
    }
    println!(
        "\nA tick of `gogen` is {} bytes with its gRPC prefix, and so is a message of Redis, of NATS and of the \
         floor. Redis and NATS include taking the ticks in from a publisher. \"Of Redis\" and \"of NATS\" compare TLS with \
         TLS; \"of plain\" compares a server under TLS with the same server in plain text. \"Flushes\" are the frames that arrived, as \
         a share of one for each connection and each flush interval in which it is due a tick: a server that is late sends \
         fewer and larger ones, which is cheaper. With one tick a flush, `ticker` sends fewer frames on time too, as its ticks come in \
         clusters and those of the floor do not. \"Late\" is the bound that 99 % of the flushes of `ticker` began within, from its metrics.",
        ours::bytes_per_tick()
    );
    let cost = |row: &Row, outcome: &Outcome| {
        let nanos = outcome.median(|sample| sample.cost)?;
        Some(Cost { row: *row, subject: outcome.subject, nanos })
    };
    let all = table.iter().flat_map(|(row, outcomes)| outcomes.iter().map(move |outcome| cost(row, outcome)));
    Ok(all.flatten().collect())
}

/// Tells whoever waits. It is of no use to whoever reads the report; it may be lost.
pub(crate) fn progress(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

/// Runs the subjects one after the other, and again, so that a change of the machine's mood reaches them all.
fn outcomes(row: &Row, subjects: &[Subject], tls: &Tls, effort: Effort) -> Vec<Outcome> {
    let new = |&subject| Outcome { subject, samples: Vec::new(), failure: None };
    let mut outcomes: Vec<_> = subjects.iter().map(new).collect();
    for round in 1..=effort.rounds {
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.failure.is_none()) {
            let name = outcome.subject;
            let done = match outcome.subject.measure(row, tls, effort) {
                Ok(Some(sample)) => {
                    outcome.samples.push(sample);
                    format!("{:.0} ns, {:.2} M/s", sample.cost, sample.rate / 1e6)
                }
                Ok(None) => "not installed".into(),
                Err(error) => {
                    outcome.failure = Some("failed".into());
                    format!("{error:#}")
                }
            };
            progress(&format!("{row}, round {round}, {name}: {done}"));
        }
    }
    outcomes
}

fn print_line(first: [String; 2], rest: impl Iterator<Item = String>) {
    let cells: Vec<_> = first.into_iter().chain(rest).collect();
    println!("| {} |", cells.join(" | "));
}

/// The name and version of a program.
fn version(program: &str, argument: &str, name: &str) -> String {
    let output = process::installed(program).and_then(|file| Command::new(file).arg(argument).output().ok());
    let Some(output) = output else { return format!("{name} not installed") };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let digits = |word: &str| {
        word.trim_start_matches("v=").trim_start_matches('v').trim_start_matches("go").to_owned()
    };
    let version =
        text.split_whitespace().map(digits).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    format!("{name} {}", version.unwrap_or_default())
}

/// What a share of the offered ticks calls for.
fn verdict(delivered: f64) -> &'static str {
    if delivered < KEEPS_UP {
        ", behind"
    } else if delivered > 1.0 / KEEPS_UP {
        ", over"
    } else {
        ""
    }
}

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

impl Outcome {
    /// The cell of the first table.
    fn cell(&self, row: &Row, others: &[Outcome]) -> String {
        let Some(cost) = self.median(|sample| sample.cost) else { return self.absence() };
        let ratio = match self.ratio_to(FLOOR, others) {
            Some(ratio) if self.subject != FLOOR => format!(" ({ratio:.2} ×)"),
            _ => String::new(),
        };
        let rate = self.median(|sample| sample.rate).unwrap_or_default();
        let verdict = match verdict(rate / row.offered()) {
            "" => String::new(),
            verdict => format!("{verdict} at {:.2} M/s", rate / 1e6),
        };
        let kept = self.median(|sample| sample.frames / row.flushes()).unwrap_or_default();
        let late = match self.subject.flushes() && kept < KEEPS_UP {
            true => format!(", {:.0} % of the flushes", kept * 100.0),
            false => String::new(),
        };
        format!("{cost:.0} ns{ratio}{verdict}{late}")
    }

    /// The line of the second table.
    fn print(&self, row: &Row, others: &[Outcome]) {
        let name = self.subject;
        let middle = |figure: fn(&Sample) -> f64| self.median(figure).unwrap_or_default();
        let Some(cost) = self.median(|sample| sample.cost) else {
            println!("| {row} | {name} | {} | | | | | | | | | | | |", self.absence());
            return;
        };
        let ratio = |to| self.ratio_to(to, others).map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        let delivered = middle(|sample| sample.rate) / row.offered();
        let verdict = verdict(delivered);
        let flushes = match self.subject.flushes() {
            true => format!("{:.0} %", middle(|sample| sample.frames) / row.flushes() * 100.0),
            false => "–".to_owned(),
        };
        let late = self.samples.iter().filter_map(|sample| sample.lateness).max();
        let late = late.map_or("–".to_owned(), |late| format!("≤ {late:?}"));
        println!(
            "| {row} | {name} | {cost:.0} ns | {} | {} | {} | {} | {} | {:.1} %{verdict} | {flushes} | {late} | {:.0} % | {:.0} % | {:.1} |",
            ratio(FLOOR),
            ratio(Subject { server: Server::Redis, ..self.subject }),
            ratio(Subject { server: Server::Nats, ..self.subject }),
            ratio(Subject { tls: false, ..self.subject }),
            thousands(middle(|sample| sample.rate) as usize),
            delivered * 100.0,
            middle(|sample| sample.server_busy) * 100.0,
            middle(|sample| sample.client_busy) * 100.0,
            middle(|sample| sample.bytes),
        );
    }

    fn absence(&self) -> String {
        self.failure.clone().unwrap_or_else(|| "not installed".into())
    }

    fn median(&self, figure: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.samples.iter().map(figure).collect())
    }

    /// The cost against another subject's, round by round.
    fn ratio_to(&self, subject: Subject, others: &[Outcome]) -> Option<f64> {
        let other = others.iter().find(|other| other.subject == subject)?;
        median(self.samples.iter().zip(&other.samples).map(|(own, other)| own.cost / other.cost).collect())
    }
}
