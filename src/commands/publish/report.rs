//! What became of the ticks: warnings on the way, and a summary at the end.

use std::{collections::VecDeque, fmt};

use super::batch::Batch;
use crate::{
    client::{PublishTotals, PublisherEvent, Receipt},
    commands::{phrases::counted, warnings},
};

/// Warns of bad lines and rejected ticks, and counts them. It displays the summary.
pub(super) struct Report<W> {
    warn: W,
    /// What a place of the source is: `line` or `tick`.
    place: &'static str,
    /// The places of the ticks without a receipt, in order.
    unanswered: VecDeque<u64>,
    totals: PublishTotals,
    bad_lines: u64,
}

/// Number of bad lines and rejected ticks that are shown. The rest is counted.
const SHOWN: u64 = 20;

impl<W: FnMut(&str)> Report<W> {
    /// A report that gives its warnings to `warn`.
    pub(super) fn new(warn: W, place: &'static str) -> Self {
        let (unanswered, totals) = (VecDeque::new(), PublishTotals::default());
        Self { warn, place, unanswered, totals, bad_lines: 0 }
    }

    /// Takes note of the bad lines of a batch.
    pub(super) fn bad_lines(&mut self, batch: &Batch) {
        for (number, message) in &batch.bad_lines {
            self.refused(self.refusals(), *number, message);
            self.bad_lines += 1;
        }
    }

    /// Takes note of ticks that are published.
    pub(super) fn published(&mut self, places: Vec<u64>) {
        self.unanswered.extend(places);
    }

    /// Takes note of an event.
    pub(super) fn event(&mut self, event: PublisherEvent) {
        match event {
            PublisherEvent::Receipt(receipt) => self.receipt(&receipt),
            other => warnings::of_publisher(&other).iter().for_each(|warning| self.warn(warning)),
        }
    }

    /// Number of bad lines and rejected ticks.
    pub(super) fn refusals(&self) -> u64 {
        self.bad_lines + self.totals.rejected
    }

    /// Warns of how many refusals were not shown.
    pub(super) fn end(&mut self) {
        match self.refusals().saturating_sub(SHOWN) {
            0 => {}
            1 => self.warn(&format!("1 more {} was refused", self.place)),
            more => self.warn(&format!("{more} more {}s were refused", self.place)),
        }
    }

    fn receipt(&mut self, receipt: &Receipt) {
        for (refusals, rejection) in (self.refusals()..).zip(&receipt.rejected) {
            let at = rejection.number.saturating_sub(receipt.first_number);
            let place = usize::try_from(at).ok().and_then(|at| self.unanswered.get(at).copied());
            let message = match rejection.message.contains(&rejection.symbol) {
                true => rejection.message.clone(),
                false => format!("{}: {}", rejection.symbol, rejection.message),
            };
            self.refused(refusals, place.unwrap_or_default(), &message);
        }
        self.totals.add(receipt);
        let answered = usize::try_from(receipt.ticks).unwrap_or(usize::MAX).min(self.unanswered.len());
        self.unanswered.drain(..answered);
    }

    /// Warns of a refusal, if there are few before it.
    fn refused(&mut self, before: u64, place: u64, message: &str) {
        if before < SHOWN {
            self.warn(&format!("{} {place}: {message}", self.place));
        }
    }

    fn warn(&mut self, warning: &str) {
        // The text may be the server's: it must not steer the terminal.
        let warning: String = warning.chars().filter(|letter| !letter.is_control()).collect();
        (self.warn)(&warning);
    }
}

/// The summary: `published 3 ticks: 2 accepted, 1 rejected, 0 duplicates`.
impl<W> fmt::Display for Report<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PublishTotals { accepted, rejected, duplicates, .. } = self.totals;
        let ticks = counted(self.totals.ticks() + self.unanswered.len() as u64, "tick");
        let duplicates = counted(duplicates, "duplicate");
        write!(f, "published {ticks}: {accepted} accepted, {rejected} rejected, {duplicates}")?;
        if !self.unanswered.is_empty() {
            write!(f, ", {} without an answer", self.unanswered.len())?;
        }
        if self.bad_lines > 0 {
            write!(f, "; {} could not be read", counted(self.bad_lines, "line"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a report of these bad lines warns of, and its summary.
    fn report(bad_lines: u64) -> (Vec<String>, String) {
        let mut warned = Vec::new();
        let mut report = Report::new(|warning: &str| warned.push(warning.to_owned()), "line");
        let mut batch = Batch::default();
        batch
            .bad_lines
            .extend((1..=bad_lines).map(|number| (number, "price: \u{1b}there is none".to_owned())));
        report.bad_lines(&batch);
        report.end();
        assert_eq!(report.refusals(), bad_lines);
        let summary = report.to_string();
        (warned, summary)
    }

    #[test]
    fn a_tick_without_an_answer_is_part_of_the_summary() {
        let mut report = Report::new(|_: &str| {}, "line");
        report.published(vec![1]);
        let told = "published 1 tick: 0 accepted, 0 rejected, 0 duplicates, 1 without an answer";
        assert_eq!(report.to_string(), told);
    }

    #[test]
    fn the_first_refusals_are_shown_and_the_others_are_counted() {
        let (warned, summary) = report(1);
        assert_eq!(warned, ["line 1: price: there is none"]);
        assert_eq!(
            summary,
            "published 0 ticks: 0 accepted, 0 rejected, 0 duplicates; 1 line could not be read"
        );
        assert_eq!(report(SHOWN).0.len(), 20);
        assert_eq!(report(SHOWN + 1).0[20..], ["1 more line was refused"]);
        assert_eq!(report(1000).0[20..], ["980 more lines were refused"]);
    }
}
