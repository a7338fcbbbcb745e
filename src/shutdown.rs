//! When to stop: Ctrl-C, or SIGTERM from the service manager.

use std::{fmt, io};

use tokio::signal;

/// A signal that asks the process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, which Ctrl-C sends.
    Interrupt,
    /// SIGTERM, which container runtimes and service managers send.
    Terminate,
}

/// Listens for the signals to stop from now on, and returns a future of the first one. Needs a tokio runtime.
///
/// # Errors
/// The signals cannot be listened for.
pub fn signals() -> io::Result<impl Future<Output = Signal>> {
    use signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        }
    })
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}
