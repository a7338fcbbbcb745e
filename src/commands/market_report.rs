//! `ticker market-report`: how much a tape is like a market.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::Args;

use super::{output, phrases::counted, usage};
use crate::{
    facts::{self, Fact, Section, Span},
    tape::{Instrument, Recorded, Simulated, Tape, Universe, all_but_tests},
    tick::{Symbol, Time},
    timestamp,
};

/// Where a simulated tape is read from, if --from does not say it: 2025-01-01.
const FROM: Time = Time::from_nanos(1_735_689_600_000_000_000);

/// The flags of `ticker market-report`.
#[derive(Args, Debug)]
pub struct MarketReportArgs {
    /// Symbols to measure, separated by spaces; several are measured against each other; '*' stands for every instrument
    #[arg(required = true, value_name = "SYMBOL", value_parser = usage::parse_symbol)]
    pub symbols: Vec<String>,

    /// Number that the simulated prices are made from
    #[arg(long, env = "TICKER_SEED", value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,

    /// TOML file of instruments instead of the built-in ones; with --tape it names those of the tape
    #[arg(long, env = "TICKER_INSTRUMENTS", value_name = "FILE")]
    pub instruments: Option<PathBuf>,

    /// Measure recorded ticks instead of a simulated tape
    #[arg(long, env = "TICKER_TAPE", value_name = "FILE", conflicts_with = "seed")]
    pub tape: Option<PathBuf>,

    /// Day or time to begin at, such as 2025-01-01 or 2025-01-02T09:15:00Z [default: 2025-01-01, or the first tick of --tape]
    #[arg(long, env = "TICKER_FROM", value_name = "TIME", value_parser = parse_from)]
    pub from: Option<Time>,

    /// Number of days, or fewer when the recording ends
    #[arg(long, env = "TICKER_REPORT_DAYS", value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
}

/// Measures and prints.
///
/// # Errors
/// A file or a symbol cannot be used, or the report cannot be written.
pub fn run(args: &MarketReportArgs) -> anyhow::Result<ExitCode> {
    let (tape, span) = load(args)?;
    let instruments = instruments(&*tape, &args.symbols)?;
    let written = write(&*tape, &instruments, span, BufWriter::new(io::stdout().lock()));
    output::exit_code(written.map(|()| ExitCode::SUCCESS))
}

fn load(args: &MarketReportArgs) -> anyhow::Result<(Box<dyn Tape>, Span)> {
    let listed = args.instruments.as_deref().map(Universe::read).transpose();
    let listed = listed.context("cannot use the file of --instruments")?;
    let Some(path) = &args.tape else {
        let universe = listed.map_or_else(Universe::builtin, Ok)?;
        let tape = Simulated::new(args.seed, universe);
        return Ok((Box::new(tape), Span::days(args.from.unwrap_or(FROM), args.days)));
    };
    let tape = Recorded::read(path, false, listed.as_ref(), &mut |_| {});
    let tape = tape.context("cannot use the file of --tape")?;
    let extent = tape.extent();
    let from = args.from.unwrap_or(extent.first);
    if from > extent.last {
        let [from, last] = [from, extent.last].map(timestamp::show);
        bail!("the tape ends at {last}: --from must not be after that, and is {from}");
    }
    Ok((Box::new(tape), Span::between(from, extent.last, args.days)))
}

/// A day is its midnight in UTC.
fn parse_from(text: &str) -> Result<Time, String> {
    let parsed = timestamp::parse(text)
        .or_else(|error| timestamp::parse(&format!("{text}T00:00:00Z")).map_err(|_| error));
    parsed.map_err(|error| error.to_string())
}

fn instruments(tape: &dyn Tape, symbols: &[String]) -> anyhow::Result<Vec<Arc<Instrument>>> {
    if symbols.iter().any(|symbol| symbol == "*") {
        return Ok(all_but_tests(&tape.instruments()).cloned().collect());
    }
    let find = |text: &String| {
        let symbol: Symbol = text.parse().with_context(|| format!("cannot measure {text:?}"))?;
        let suggestion = || match tape.suggest(text) {
            Some(nearest) => format!("there is no {symbol}: did you mean {nearest}?"),
            None => format!("there is no {symbol}"),
        };
        tape.instrument(&symbol).with_context(suggestion)
    };
    symbols.iter().map(find).collect()
}

fn write(
    tape: &dyn Tape,
    instruments: &[Arc<Instrument>],
    span: Span,
    mut to: impl Write,
) -> anyhow::Result<()> {
    let length = length(span);
    let from = timestamp::show(span.from);
    let identity = tape.identity();
    writeln!(to, "tape {} (engine {})", identity.tape_id, identity.engine_version)?;
    let sections = match instruments {
        [instrument] => {
            let report = facts::of_instrument(tape, instrument, span);
            let Instrument { symbol, name, kind, currency, .. } = instrument.as_ref();
            let described = [kind, currency].map(String::as_str).join(" ");
            writeln!(to, "{symbol}  {name}  {}", described.trim())?;
            writeln!(
                to,
                "{length} from {from}: {:.0} ticks, of which {:.0} were read one by one",
                report.ticks, report.read
            )?;
            report.sections
        }
        _ => {
            writeln!(to, "{} instruments, {length} from {from}", instruments.len())?;
            facts::of_instruments(tape, instruments, span)
        }
    };
    write_sections(&sections, &mut to)?;
    Ok(to.flush()?)
}

fn write_sections(sections: &[Section], to: &mut impl Write) -> io::Result<()> {
    let name = sections.iter().flat_map(|section| &section.facts).map(|fact| fact.name.chars().count());
    let name = name.max().unwrap_or_default();
    for section in sections {
        writeln!(
            to,
            "\n{:<width$}  {:>11}  {:<12}  {:<6}  real markets",
            section.title,
            "found",
            "asked",
            "",
            width = name + 2
        )?;
        for fact in &section.facts {
            writeln!(to, "  {}", line(fact, name).trim_end())?;
        }
        for note in &section.notes {
            writeln!(to, "  {note}")?;
        }
    }
    let verdicts = || sections.iter().flat_map(|section| &section.facts).filter_map(Fact::is_met);
    let missed = verdicts().filter(|is_met| !is_met).count() as u64;
    writeln!(to, "\n{} with a bound, {missed} MISSED", counted(verdicts().count() as u64, "fact"))?;
    for (n, (name, title)) in facts::cited(sections).enumerate() {
        let heading = if n == 0 { "\nsources\n" } else { "" };
        writeln!(to, "{heading}  {name}: {title}")?;
    }
    Ok(())
}

fn line(fact: &Fact, width: usize) -> String {
    let asked = fact.asked.map(|bound| bound.to_string()).unwrap_or_default();
    let verdict = fact.is_met().map_or("", |is_met| if is_met { "ok" } else { "MISSED" });
    format!("{:<width$}  {:>11}  {asked:<12}  {verdict:<6}  {}", fact.name, fact.shown(), fact.real)
}

/// Whole days, or else minutes.
fn length(span: Span) -> String {
    const DAY: u64 = 1440;
    match span.minutes as u64 {
        minutes if minutes.is_multiple_of(DAY) => counted(minutes / DAY, "day"),
        minutes => counted(minutes, "minute"),
    }
}
