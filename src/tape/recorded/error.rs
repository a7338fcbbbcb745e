//! Errors of a recording, with the file and the place in it.

use std::{fmt, io, path::Path, path::PathBuf};

use thiserror::Error;

use super::compression::Compression;

/// Why a recording cannot be used.
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
    /// A compressed file ends before its compressed stream does.
    #[error("{} ends in the middle of its {compression} stream: it is not whole, so fetch or make it again", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// How it is compressed.
        compression: Compression,
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

/// The formats that can be read, for error messages.
pub(super) const READABLE: &str = "ticker reads CSV that begins with a line of names, such as time,symbol,price,quantity, \
                                   the dumps of trades of Binance, and DBN of Databento";

/// A part of a file. Lines and records are counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The whole file.
    File,
    /// A line of text.
    Line(u64),
    /// A binary record.
    Record(u64),
}

/// The file that is being read, for error messages.
#[derive(Clone, Copy)]
pub(super) struct SourceFile<'a> {
    pub(super) path: &'a Path,
    pub(super) compression: Compression,
}

impl SourceFile<'_> {
    /// The error of an invalid part.
    pub(super) fn fault(&self, place: Place, problem: impl Into<String>) -> RecordedError {
        RecordedError::Invalid { path: self.path.to_owned(), place, problem: problem.into() }
    }

    /// The error of a read that failed.
    pub(super) fn broken(&self, source: io::Error) -> RecordedError {
        let path = self.path.to_owned();
        match (source.kind(), self.compression) {
            (io::ErrorKind::UnexpectedEof, compression @ (Compression::Gzip | Compression::Zstd)) => {
                RecordedError::CutOff { path, compression }
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
