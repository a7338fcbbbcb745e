//! The tables.

use anyhow::Result;

use crate::{
    fleet::Fleet,
    measures::{Measures, Second, index},
    model::{self, Scenario, since},
    real,
};

const HEAD: &str = "\
    | what | takes | moves | reconnects/s, peak | at one replica | of a core | silence p50 / p99 / longest | fullest, peak | then fullest / emptiest | even after | failed |\n\
    | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |";

/// Runs scenarios, prints a line for each, and returns what was measured.
pub(crate) fn table(scenarios: &[Scenario]) -> Vec<(&Scenario, Measures)> {
    println!("{HEAD}");
    let run = |scenario| {
        let (fleet, measures) = model::run(scenario);
        println!("{}", line(scenario.name, scenario, &fleet, &measures));
        (scenario, measures)
    };
    scenarios.iter().map(run).collect()
}

/// Runs scenarios as a model, and with real servers and clients.
///
/// # Errors
/// Those of [`real::run`].
pub(crate) fn check(scenarios: &[Scenario]) -> Result<()> {
    println!("{HEAD}");
    for scenario in scenarios {
        let (fleet, measures) = model::run(scenario);
        println!("{}", line(&format!("{}: model", scenario.name), scenario, &fleet, &measures));
        let (fleet, measures) = real::run(scenario)?;
        println!("{}", line("… real servers and clients", scenario, &fleet, &measures));
    }
    Ok(())
}

/// A line of the table. Streams of a replica are in units of their mean.
fn line(name: &str, scenario: &Scenario, fleet: &Fleet, measures: &Measures) -> String {
    let mean = f64::from(scenario.streams) / scenario.replicas as f64;
    let end = scenario.end_of_change(fleet);
    let (since_begin, since_end) =
        (&measures.seconds[index(Fleet::BEGIN)..], &measures.seconds[index(end)..]);
    let peak = |of: fn(&Second) -> f64| since_begin.iter().map(of).fold(0.0, f64::max);
    let moves: u32 =
        since_begin[..since_begin.len() - since_end.len()].iter().map(|second| second.opened).sum();
    let is_even =
        |second: &Second| second.fullest as f64 <= mean * 1.1 && second.emptiest as f64 >= mean * 0.9;
    let after = since_end.iter().position(is_even);
    let last = since_end.first().copied().unwrap_or_default();
    let worst = peak(|second| f64::from(second.opened_at_worst));
    format!(
        "| {name} | {:.0} s | {:.2} | {:.0} | {worst:.0} | {:.0} % | {:.0} / {:.0} / {:.0} ms | {:.2} | {:.2} / {:.2} | {} | {} |",
        since(Fleet::BEGIN, end).as_secs_f64(),
        f64::from(moves) / f64::from(scenario.streams),
        peak(|second| f64::from(second.opened)),
        worst * scenario.opening.as_secs_f64() * 100.0,
        measures.silence(0.5),
        measures.silence(0.99),
        measures.silence(1.0),
        peak(|second| second.fullest as f64) / mean,
        last.fullest as f64 / mean,
        last.emptiest as f64 / mean,
        after.map_or_else(|| "–".to_owned(), |after| format!("{} min", after.div_ceil(60))),
        measures.failed,
    )
}
