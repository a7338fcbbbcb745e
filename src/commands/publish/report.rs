//! What became of the ticks: warnings on the way, and a summary at the end.

use std::{collections::VecDeque, fmt};

use indicatif::ProgressBar;

use super::batch::Batch;
use crate::{
    client::{PublishTotals, PublisherEvent, Receipt},
    commands::{phrases::counted, warnings},
};

/// Warns of bad lines and rejected ticks, and counts them.
pub(super) struct Report {
    bar: ProgressBar,
    /// What a place of the source is: `line` or `tick`.
    place: &'static str,
    /// The places of the ticks without a receipt, in order.
    unanswered: VecDeque<u64>,
    totals: PublishTotals,
    bad_lines: u64,
}

impl Report {
    /// Number of bad lines and rejected ticks that are shown. The rest is counted.
    const SHOWN: u64 = 20;

    pub(super) fn new(bar: ProgressBar, place: &'static str) -> Self {
        let (unanswered, totals) = (VecDeque::new(), PublishTotals::default());
        Self { bar, place, unanswered, totals, bad_lines: 0 }
    }

    /// Takes note of the bad lines of a batch.
    pub(super) fn bad_lines(&mut self, batch: &Batch) {
        for (number, message) in &batch.bad_lines {
            self.refused(*number, message);
            self.bad_lines += 1;
        }
    }

    /// Takes note of ticks that are published.
    pub(super) fn published(&mut self, places: Vec<u64>) {
        self.unanswered.extend(places);
    }

    /// Takes note of an event, and of what has become of all ticks so far.
    pub(super) fn event(&mut self, event: PublisherEvent, totals: PublishTotals) {
        match event {
            PublisherEvent::Receipt(receipt) => self.receipt(receipt),
            other => {
                warnings::of_publisher(&other).iter().for_each(|warning| self.warn(warning));
            }
        }
        self.totals = totals;
        self.bar.set_message(self.to_string());
        self.bar.tick();
    }

    fn receipt(&mut self, receipt: Receipt) {
        for rejection in receipt.rejected {
            let at = rejection.number.saturating_sub(receipt.first_number);
            let place = usize::try_from(at).ok().and_then(|at| self.unanswered.get(at).copied());
            let message = match rejection.message.contains(&rejection.symbol) {
                true => rejection.message,
                false => format!("{}: {}", rejection.symbol, rejection.message),
            };
            self.refused(place.unwrap_or_default(), &message);
            self.totals.rejected += 1;
        }
        let answered = usize::try_from(receipt.ticks).unwrap_or(usize::MAX).min(self.unanswered.len());
        self.unanswered.drain(..answered);
    }

    /// Number of lines and ticks that were refused.
    pub(super) fn refusals(&self) -> u64 {
        self.bad_lines + self.totals.rejected
    }

    /// Removes the progress, and says how many refusals were not shown.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
        if let Some(more) = self.refusals().checked_sub(Self::SHOWN + 1) {
            self.warn(&format!("{} refused besides these", were(more + 1, self.place)));
        }
    }

    fn refused(&self, place: u64, message: &str) {
        if self.refusals() < Self::SHOWN {
            self.warn(&format!("{} {place}: {message}", self.place));
        }
    }

    fn warn(&self, warning: &str) {
        // The text may be the server's: it must not steer the terminal.
        let warning: String = warning.chars().filter(|letter| !letter.is_control()).collect();
        self.bar.suspend(|| warnings::print(&warning));
    }
}

/// The summary: `published 3 ticks: 2 accepted, 1 rejected, 0 duplicates`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PublishTotals { accepted, rejected, duplicates, .. } = self.totals;
        let ticks = counted(self.totals.ticks() + self.unanswered.len() as u64, "tick");
        write!(
            f,
            "published {ticks}: {accepted} accepted, {rejected} rejected, {}",
            counted(duplicates, "duplicate")
        )?;
        if !self.unanswered.is_empty() {
            write!(f, ", {} without an answer", self.unanswered.len())?;
        }
        if self.bad_lines > 0 {
            write!(f, "; {} could not be read", counted(self.bad_lines, "line"))?;
        }
        Ok(())
    }
}

fn were(count: u64, noun: &str) -> String {
    format!("{} {}", counted(count, noun), if count == 1 { "was" } else { "were" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::NewTick;

    fn report() -> Report {
        Report::new(ProgressBar::hidden(), "line")
    }

    /// A batch with ticks at these lines, and with this number of bad lines.
    fn batch(places: &[u64], bad: usize) -> Batch {
        let mut batch = Batch::default();
        for place in places {
            batch.push(
                *place,
                NewTick::new("A".parse().unwrap(), crate::tick::Price::from_nanos(1).unwrap(), 0),
            );
        }
        batch.bad_lines.extend((0..bad).map(|_| (7, "price: there is none".to_owned())));
        batch
    }

    #[test]
    fn the_summary_says_what_became_of_every_tick_and_line() {
        let mut report = report();
        report.published(batch(&[1], 0).places);
        assert_eq!(
            report.to_string(),
            "published 1 tick: 0 accepted, 0 rejected, 0 duplicates, 1 without an answer"
        );
        report.unanswered.clear();
        report.bad_lines(&batch(&[], 1));
        assert_eq!(
            report.to_string(),
            "published 0 ticks: 0 accepted, 0 rejected, 0 duplicates; 1 line could not be read"
        );
        assert_eq!(report.refusals(), 1);
    }

    #[test]
    fn every_bad_line_is_counted_although_few_are_shown() {
        let mut report = report();
        report.bad_lines(&batch(&[], 1000));
        assert_eq!(report.refusals(), 1000);
        assert!(report.to_string().ends_with("; 1000 lines could not be read"));
    }
}
