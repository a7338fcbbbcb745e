//! A process on cores of its own that ends with its owner.

use std::{
    collections::VecDeque,
    env,
    ffi::OsString,
    io::{self, BufRead, BufReader, PipeReader, pipe},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::{Result, bail};
use clap::Args;
use rustix::process::{Signal, set_parent_process_death_signal};
use tempfile::TempDir;

use crate::cpu::{self, CpuTime};

/// A running process; dropping it kills it.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    /// Where `ticker` serves its metrics; other servers have none.
    pub(crate) metrics: Option<SocketAddr>,
    /// A process that it cannot do without. Their CPU time is counted together.
    pub(crate) beside: Option<Box<Process>>,
    /// Where it stores; removed when it has ended.
    pub(crate) folder: Option<TempDir>,
}

/// The role of pinning itself to cores and then becoming another program.
#[derive(Args)]
pub(crate) struct Pinned {
    #[arg(long, value_delimiter = ',')]
    cores: Vec<usize>,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// The newest lines that a process wrote, for the report of its failure.
type Log = Arc<Mutex<VecDeque<String>>>;

/// This executable in another role.
pub(crate) fn role(name: &str) -> Result<Vec<OsString>> {
    Ok(vec![env::current_exe()?.into(), "role".into(), name.into()])
}

/// The program of this name in `PATH`.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// An address whose port was free a moment ago.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// The address that a line names.
pub(crate) fn address_in(line: &str) -> Option<SocketAddr> {
    let after = line.split("127.0.0.1:").nth(1)?;
    let port: String = after.chars().take_while(char::is_ascii_digit).collect();
    Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
}

impl Process {
    /// Starts a command on some cores, and waits until `ready` finds the address it serves in a line that it writes.
    pub(crate) fn start(
        cores: &[usize],
        command: impl IntoIterator<Item = impl Into<OsString>>,
        patience: Duration,
        ready: impl Fn(&str) -> Option<SocketAddr> + Send + 'static,
    ) -> Result<Self> {
        let (output, input) = pipe()?;
        let pinned = role("pinned")?;
        let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
        let child = Command::new(&pinned[0])
            .args(&pinned[1..])
            .args(["--cores", &cores.join(","), "--"])
            .args(command.into_iter().map(Into::into))
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input)
            .spawn()?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Process { child, address, metrics: None, beside: None, folder: None };
        let log = Log::default();
        let (found, address) = mpsc::sync_channel(1);
        thread::spawn({
            let log = log.clone();
            move || read_output(output, &log, |line| ready(line).map(|address| found.try_send(address)))
        });
        match address.recv_timeout(patience) {
            Ok(address) => process.address = address,
            Err(cause) => {
                let why = match cause {
                    RecvTimeoutError::Timeout => "it is not ready in time",
                    RecvTimeoutError::Disconnected => "it ended",
                };
                let log = log.lock().map(|log| log.iter().cloned().collect::<Vec<_>>().join("\n"));
                bail!("{why}\n{}", log.unwrap_or_default());
            }
        }
        Ok(process)
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CPU time that it and the process beside it have used so far.
    pub(crate) fn cpu_time(&self) -> Result<CpuTime> {
        let own = CpuTime::of(self.child.id())?;
        match &self.beside {
            Some(beside) => Ok(own.and(beside.cpu_time()?)),
            None => Ok(own),
        }
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        cpu::resident(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pinned {
    pub(crate) fn run(self) -> Result<()> {
        cpu::pin(&self.cores)?;
        // The guard above does not run when the benchmark itself is killed.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Err(Command::new(&self.command[0]).args(&self.command[1..]).exec().into())
    }
}

/// Reads to the end, so that the process never waits for a full pipe.
fn read_output<T>(output: PipeReader, log: &Log, found: impl Fn(&str) -> T) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        found(&line);
        if let Ok(mut log) = log.lock() {
            log.push_back(line);
            if log.len() > 10 {
                log.pop_front();
            }
        }
    }
}
