//! A progress bar on a terminal while a long file is read; nothing in a pipe.

use indicatif::{ProgressBar, ProgressStyle};

use crate::tape::LoadProgress;

/// The bar, which is removed on drop. A file that is read at once shows none.
pub struct Bar(ProgressBar);

const TEMPLATE: &str = "reading the tape {bar:40} {percent:>3} %  {bytes} of {total_bytes}, {eta} left";

impl Bar {
    /// A bar that is not drawn yet.
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        // A test parses the template.
        bar.set_style(
            ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self(bar)
    }

    /// Draws the progress, a few times a second.
    pub fn show(&self, progress: LoadProgress) {
        self.0.set_length(progress.size);
        self.0.set_position(progress.read);
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
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
