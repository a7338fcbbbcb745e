//! The CPU time that a thread has used.

use std::time::Duration;

/// A point in the CPU time of this thread, or in real time on systems that do not report CPU time.
///
/// A thread of low priority is often preempted. Measured in real time, its caller would be charged for the work of
/// others.
pub(super) struct CpuTime(
    #[cfg(target_os = "linux")] Duration,
    #[cfg(not(target_os = "linux"))] std::time::Instant,
);

impl CpuTime {
    #[cfg(target_os = "linux")]
    pub(super) fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        // No thread runs for 584 years.
        Self(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn now() -> Self {
        Self(std::time::Instant::now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        #[cfg(target_os = "linux")]
        return Self::now().0.saturating_sub(self.0);
        #[cfg(not(target_os = "linux"))]
        return self.0.elapsed();
    }
}
