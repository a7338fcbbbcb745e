//! Errors of a list of instruments.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why a list of instruments cannot be used.
#[derive(Debug, Error)]
pub enum UniverseError {
    /// The file cannot be read.
    #[error("cannot read the instruments of {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of the file is wrong.
    #[error("{origin}:{line}: {problem}")]
    Invalid {
        /// The file.
        origin: String,
        /// The line, from one.
        line: usize,
        /// The key, what is wrong with it, and what to do.
        problem: String,
    },
}
