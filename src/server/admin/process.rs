//! The metrics that every process has, by the names that Prometheus' own clients use.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};

/// This process.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since the Unix epoch.
    start: f64,
}

impl Process {
    /// The process, which has just begun.
    pub(super) fn new() -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: start.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "When the server started, in seconds since the Unix epoch.";
        gauge(&mut out, "process_start_time_seconds", help, Some(self.start))?;
        #[cfg(target_os = "linux")]
        linux::encode(&mut out)?;
        Ok(())
    }
}

/// Leaves a metric out whose value is not known.
fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: Option<f64>) -> fmt::Result {
    let Some(value) = value else { return Ok(()) };
    out.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use rustix::{
        param::page_size,
        process::{Resource, getrlimit},
        time::{ClockId, clock_gettime},
    };

    use super::*;

    pub(super) fn encode(out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        out.encode_descriptor(
            "process_cpu_seconds",
            "Processor time that was used.",
            None,
            MetricType::Counter,
        )?
        .encode_counter::<NoLabelSet, _, u64>(&cpu, None)?;
        gauge(out, "process_resident_memory_bytes", "Resident memory.", resident())?;
        gauge(out, "process_open_fds", "Open file descriptors.", open_descriptors())?;
        let most = getrlimit(Resource::Nofile).current.map(|most| most as f64);
        gauge(out, "process_max_fds", "The limit of open file descriptors.", most)?;
        gauge(out, "process_threads", "Threads.", threads())
    }

    /// Bytes, from the second number in `statm`, which is in pages.
    fn resident() -> Option<f64> {
        let pages: u64 = fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
        Some((pages * page_size() as u64) as f64)
    }

    /// Since Linux 6.2 the size of the folder is the number of its entries. Before, it is zero and they have to be counted.
    fn open_descriptors() -> Option<f64> {
        let size = fs::metadata("/proc/self/fd").ok()?.len();
        let count = if size > 0 { size } else { fs::read_dir("/proc/self/fd").ok()?.count() as u64 };
        Some(count as f64)
    }

    fn threads() -> Option<f64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
    }
}
