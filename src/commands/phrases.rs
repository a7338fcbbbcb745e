//! Phrases that the messages of several commands share.

use std::{path::Path, time::Duration};

/// Stands for what is cut off.
pub(super) const ELLIPSIS: &str = "…";

/// A count with its noun, such as `1 tick` or `2 ticks`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A duration in its largest unit, such as `4m`: short, not exact.
pub(super) fn rough_duration(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{}ms", duration.as_millis()),
        1..10 => format!("{:.1}s", duration.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

/// A text of at most this many characters. A longer one is cut and ends in an ellipsis.
pub(super) fn shortened(text: &str, width: usize) -> String {
    match text.chars().count() <= width {
        true => text.to_owned(),
        false => text.chars().take(width.saturating_sub(1)).chain(ELLIPSIS.chars()).collect(),
    }
}

/// A path as one word of a command line that can be pasted into a shell.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%".contains(letter);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_every_other_count_is_plural() {
        let phrases = [0, 1, 2].map(|count| counted(count, "tick"));
        assert_eq!(phrases, ["0 ticks", "1 tick", "2 ticks"]);
    }

    #[test]
    fn a_rough_duration_has_one_unit() {
        let phrases = [999, 1500, 59_000, 119_000, 3_600_000, 86_400_000]
            .map(|millis| rough_duration(Duration::from_millis(millis)));
        assert_eq!(phrases, ["999ms", "1.5s", "59s", "119s", "60m", "24h"]);
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        let words = ["certs/ca.pem", "my certs", "it's", "$HOME"].map(|path| shell_word(Path::new(path)));
        assert_eq!(words, ["certs/ca.pem", "'my certs'", r"'it'\''s'", "'$HOME'"]);
    }
}
