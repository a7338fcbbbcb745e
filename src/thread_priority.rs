//! Lower priorities of threads, so that the workers go first.

/// The lowest priority: other threads may starve the thread.
pub const LOWEST: i32 = 19;
/// Lower than that of the workers, which cannot starve the thread.
pub const LOW: i32 = 10;

/// Gives this thread a nice value of Linux. Elsewhere, and where it cannot be changed, the thread keeps its priority.
pub fn lower(nice: i32) {
    // On Linux a priority belongs to a thread.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, nice);
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}
