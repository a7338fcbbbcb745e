//! A subject at work, and what one window of it shows.

use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::{
    Effort,
    client::{Client, Received},
    cpu::CpuTime,
    lateness::Lateness,
    process::Process,
    row::Row,
};

/// How many times a fourth of the warm-up is added for a subject that works off a backlog.
const MOST_WARM_UPS: usize = 16;

/// A window is void if nothing ran for so long, as when a virtual machine is paused.
const STANDSTILL: Duration = Duration::from_millis(250);

/// How often a void window is tried again.
const ATTEMPTS: usize = 5;

/// A subject at work on a row. The client comes first, as it must be dropped before what it reads from.
pub(crate) struct Running {
    pub(crate) client: Client,
    pub(crate) server: Process,
    /// It publishes until it is dropped.
    pub(crate) publisher: Option<Process>,
}

/// What one window showed.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Server CPU per delivered tick, in nanoseconds.
    pub(crate) cost: f64,
    /// Ticks delivered per second.
    pub(crate) rate: f64,
    /// Frames received per second; zero where the protocol has none.
    pub(crate) frames: f64,
    /// Bytes received per tick.
    pub(crate) bytes: f64,
    /// How much of its core the server used.
    pub(crate) server_busy: f64,
    /// How much of its core the client used.
    pub(crate) client_busy: f64,
    /// Of `ticker`, the lateness that 99 % of the flushes keep within.
    pub(crate) lateness: Option<Duration>,
    /// The longest time between two looks of the client at its sockets.
    pub(crate) longest_pause: Duration,
}

/// Looks again while `look`, which returns the longest pause besides what it found, was disturbed.
pub(crate) fn undisturbed<T>(mut look: impl FnMut() -> Result<(Duration, T)>) -> Result<T> {
    let mut failure = anyhow!("the machine, or the client, stands still for longer than {STANDSTILL:?}");
    for _ in 0..ATTEMPTS {
        match look() {
            Ok((longest_pause, found)) if longest_pause < STANDSTILL => return Ok(found),
            Ok(_) => {}
            // After a pause of the machine a server may find its clients too silent and close on them.
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Running {
    pub(crate) fn sample(mut self, row: &Row, effort: Effort) -> Result<Sample> {
        self.settle(row, effort.warm_up)?;
        let own = std::process::id();
        let flushes = self.server.metrics.map(Lateness::read).transpose()?;
        let before = (self.server.cpu_time()?, CpuTime::of(own)?);
        let received = self.client.read_for(effort.window)?;
        let after = (self.server.cpu_time()?, CpuTime::of(own)?);
        let lateness = match (flushes, self.server.metrics) {
            (Some(earlier), Some(metrics)) => Lateness::read(metrics)?.quantile_since(&earlier, 0.99),
            _ => None,
        };
        Ok(Sample { lateness, ..Sample::new(received, &before, &after) })
    }

    /// Lets the subject warm up, and then catch up, if it can, with what became due while it took connections.
    fn settle(&mut self, row: &Row, warm_up: Duration) -> Result<()> {
        self.client.read_for(warm_up)?;
        for _ in 0..MOST_WARM_UPS {
            let received = self.client.read_for(warm_up / 4)?;
            if received.ticks as f64 / received.elapsed.as_secs_f64() < row.offered() * 1.1 {
                break;
            }
        }
        Ok(())
    }
}

impl Sample {
    /// From the CPU times of the server and of the client before and after.
    pub(crate) fn new(received: Received, before: &(CpuTime, CpuTime), after: &(CpuTime, CpuTime)) -> Self {
        let (ticks, seconds) = (received.ticks as f64, received.elapsed.as_secs_f64());
        let server = after.0.since(&before.0).as_secs_f64();
        let client = after.1.since(&before.1).as_secs_f64();
        Sample {
            cost: server * 1e9 / ticks,
            rate: ticks / seconds,
            frames: received.frames as f64 / seconds,
            bytes: received.bytes as f64 / ticks,
            server_busy: server / seconds,
            client_busy: client / seconds,
            lateness: None,
            longest_pause: received.longest_pause,
        }
    }
}
