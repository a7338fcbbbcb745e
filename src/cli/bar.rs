//! A progress bar on a terminal while a long file is read; in a pipe, a line of the log now and then.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

use crate::tape::LoadProgress;

/// The bar, which is removed on drop. A file that is read at once shows none.
pub struct Bar {
    bar: ProgressBar,
    /// When the progress was last logged.
    logged: Instant,
}

const TEMPLATE: &str = "reading the tape {bar:40} {percent:>3} %  {bytes} of {total_bytes}, {eta} left";

/// How often the progress is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

impl Bar {
    /// A bar that is not drawn yet.
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        // A test parses the template.
        bar.set_style(
            ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { bar, logged: Instant::now() }
    }

    /// Draws the progress, a few times a second, or logs it.
    pub fn show(&mut self, LoadProgress { read, size }: LoadProgress) {
        self.bar.set_length(size);
        self.bar.set_position(read);
        if self.bar.is_hidden() && self.logged.elapsed() >= LOG_INTERVAL {
            self.logged = Instant::now();
            info!(bytes_read = read, bytes_in_all = size, "reading the tape");
        }
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_of_the_bar_is_valid() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
