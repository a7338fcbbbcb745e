//! The CPU time that this process has used.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A point in the CPU time of this process, of all its threads together.
pub(super) struct CpuTime(Duration);

impl CpuTime {
    pub(super) fn now() -> Self {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        // No process runs for 584 years.
        Self(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
    }

    pub(super) fn elapsed(&self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}
