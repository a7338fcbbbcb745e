//! Where processes run, and the CPU time and memory they use.

use std::{collections::HashMap, fs, io, time::Duration};

use anyhow::{Context, Result};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_setaffinity},
};

/// The CPU time of every thread of some processes, at one moment.
pub(crate) struct CpuTime(HashMap<String, u64>);

/// Keeps the calling thread, and every thread and process that it starts later, on some cores.
pub(crate) fn pin(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(None, &set)
        .with_context(|| format!("cannot run on the cores {cores:?}: two cores are needed"))
}

/// Lets this process, and those it starts, open as many files as it may.
pub(crate) fn raise_file_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(())
}

/// So many connections, or as many as the limit of open files allows, and then says so.
pub(crate) fn connections_up_to(most: usize) -> usize {
    // Each end is in a process of its own, which has some other files open.
    const OTHERS: usize = 200;
    let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
    let connections = most.min(limit.saturating_sub(OTHERS));
    if connections < most {
        println!("The limit of open files is {limit}: {connections} connections in place of {most}.\n");
    }
    connections
}

/// The resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in status")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

impl CpuTime {
    /// Reads it from the scheduler, which counts in nanoseconds; `utime` and `stime` count in hundredths of a
    /// second. Interrupt work that the kernel does inside a thread's system calls is in it, which on loopback is
    /// the whole way of a packet to its receiver.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let mut threads = HashMap::new();
        for thread in fs::read_dir(format!("/proc/{pid}/task")).context("the server has gone")? {
            let thread = thread?;
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let on_cpu = text.split_whitespace().next().context("empty schedstat")?.parse()?;
            threads.insert(thread.file_name().to_string_lossy().into_owned(), on_cpu);
        }
        Ok(CpuTime(threads))
    }

    /// Of the threads of both.
    pub(crate) fn and(mut self, other: CpuTime) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The time used since an earlier moment.
    pub(crate) fn since(&self, earlier: &CpuTime) -> Duration {
        let used = |(thread, now): (&String, &u64)| now - earlier.0.get(thread).unwrap_or(&0);
        Duration::from_nanos(self.0.iter().map(used).sum())
    }
}
