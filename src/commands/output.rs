//! The output formats of the commands, and the exit code when standard output cannot be written.

use std::{io, process::ExitCode};

use anyhow::Context;
use clap::ValueEnum;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned columns with headings
    Table,
    /// Plain lines without headings
    Lines,
    /// One JSON object per line
    Json,
    /// Comma-separated values after a line of column names
    Csv,
}

/// The exit code of a command that wrote to standard output. A reader that closes the pipe, as `head` does, has read all
/// that it wants, so that is a success.
pub(super) fn exit_code(written: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match written {
        // Only what the command itself could not write: errors of the network have a type of their own.
        Err(error) => match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::BrokenPipe) => Ok(ExitCode::SUCCESS),
            Some(_) => Err(error).context("cannot write to standard output"),
            None => Err(error),
        },
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_a_success_and_a_full_disk_is_not() {
        let failed = |kind: io::ErrorKind| exit_code(Err(io::Error::from(kind).into()));
        assert_eq!(failed(io::ErrorKind::BrokenPipe).unwrap(), ExitCode::SUCCESS);
        assert_eq!(
            failed(io::ErrorKind::StorageFull).unwrap_err().to_string(),
            "cannot write to standard output"
        );
        assert_eq!(exit_code(Err(anyhow::anyhow!("else"))).unwrap_err().to_string(), "else");
    }
}
