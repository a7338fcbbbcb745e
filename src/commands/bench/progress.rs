//! Progress on a terminal; nothing in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::counts::Measured;

/// A line that is overwritten, and removed on drop.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self(ProgressBar::new_spinner().with_style(style))
    }

    pub(super) fn opening(&self, measured: &Measured, streams: usize) {
        self.show(format!(
            "opening streams: {} of {streams}  {} errors",
            measured.attempted,
            measured.error_count()
        ));
    }

    pub(super) fn measuring(&self, measured: &Measured, elapsed: Duration, duration: Duration) {
        let ticks = measured.ticks();
        let p99 = measured.readers.delays.value_at_quantile(0.99) as f64 / 1e6;
        self.show(format!(
            "{:.0} of {:.0} s  {} streams  {:.0} ticks/s  p99 {p99:.2} ms  {} errors",
            elapsed.as_secs_f64(),
            duration.as_secs_f64(),
            measured.open,
            ticks as f64 / elapsed.as_secs_f64().max(1e-9),
            measured.error_count()
        ));
    }

    fn show(&self, message: String) {
        self.0.set_message(message);
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
