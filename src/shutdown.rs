//! When to stop: Ctrl-C, or SIGTERM from whoever runs the service.

use std::io;

use tokio::signal;

/// Listens for the signals to stop from now on, and returns a future of the first one. Needs a tokio runtime.
///
/// # Errors
/// The signals cannot be listened for.
pub fn signals() -> io::Result<impl Future<Output = ()>> {
    use signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
