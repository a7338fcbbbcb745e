//! What is wrong with a recording.

use std::{fmt, io, path::Path, path::PathBuf};

use thiserror::Error;

use super::file::Packing;

/// Why a file cannot be played.
#[derive(Debug, Error)]
pub enum RecordedError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A compressed file has no end.
    #[error("{} ends in the middle of its {packing} stream: it is not whole, so fetch or make it again", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// How it is compressed.
        packing: Packing,
    },
    /// A part of the file is wrong.
    #[error("{}{place}: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which part.
        place: Place,
        /// What is wrong with it and what to do.
        problem: String,
    },
}

/// What a file should have been.
pub(super) const READABLE: &str = "ticker reads CSV that begins with a line of names, such as time,symbol,price,quantity, \
                                   the dumps of trades of Binance, and DBN of Databento";

/// A part of a file, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// All of it.
    File,
    /// A line of text.
    Line(u64),
    /// A record that is no text.
    Record(u64),
}

/// A file whose faults are told.
#[derive(Clone, Copy)]
pub(super) struct SourceFile<'a> {
    pub(super) path: &'a Path,
    pub(super) packing: Packing,
}

impl SourceFile<'_> {
    /// The error of a part.
    pub(super) fn fault(&self, place: Place, problem: impl Into<String>) -> RecordedError {
        RecordedError::Invalid { path: self.path.to_owned(), place, problem: problem.into() }
    }

    /// The error of reading on.
    pub(super) fn broken(&self, source: io::Error) -> RecordedError {
        let path = self.path.to_owned();
        match (source.kind(), self.packing) {
            (io::ErrorKind::UnexpectedEof, packing @ (Packing::Gzip | Packing::Zstd)) => {
                RecordedError::CutOff { path, packing }
            }
            _ => RecordedError::Unreadable { path, source },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line(line) => write!(f, ":{line}"),
            Self::Record(record) => write!(f, ": record {record}"),
        }
    }
}
