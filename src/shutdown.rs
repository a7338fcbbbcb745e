//! When to stop: Ctrl-C, or SIGTERM from whoever runs the service.

use std::io;

use tokio::signal;

/// Waits for the first signal to stop.
///
/// # Errors
/// The signals cannot be listened for.
pub async fn signalled() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
        tokio::select! {
            pressed = signal::ctrl_c() => pressed,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    signal::ctrl_c().await
}
