//! One thread that serves connections: its own runtime, its own hub, its own pacer. Workers share nothing that
//! changes, so a tick never crosses from one thread to another.

use std::{io, net::TcpStream, pin::pin, sync::Arc, time::Duration};

use tokio::{
    runtime,
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::connection;
use crate::{
    grpc::{Feed, Gate},
    hub::{Change, Hub},
    pacer::{Alarm, Pacer},
    tick::Time,
};

/// A worker as the listener sees it.
pub(super) struct Worker {
    incoming: mpsc::Sender<TcpStream>,
    stop: oneshot::Sender<Instant>,
    connections: TaskTracker,
}

impl Worker {
    /// After so many turns of tasks the runtime looks at its timers and sockets. A stream that reads the past has the
    /// next turn ready at once; with tokio's 61, live ticks would wait for a millisecond or two of it.
    const TURNS: u32 = 16;

    /// Prepares a worker. It works while the returned function runs, which blocks its thread.
    pub(super) fn start(
        feed: Feed,
        gate: Gate,
        flush_interval: Duration,
    ) -> io::Result<(Self, impl FnOnce() + Send + 'static)> {
        let runtime =
            runtime::Builder::new_current_thread().event_interval(Self::TURNS).enable_all().build()?;
        let (incoming, accepted) = mpsc::channel(64);
        let (stop, stopped) = oneshot::channel();
        let connections = TaskTracker::new();
        let run = {
            let connections = connections.clone();
            let stopped = async { stopped.await.unwrap_or_else(|_| Instant::now()) };
            let serve = connection::serve_tcp;
            move || runtime.block_on(run(feed, gate, flush_interval, accepted, serve, stopped, connections))
        };
        Ok((Self { incoming, stop, connections }, run))
    }

    /// How many connections it serves.
    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Gives it a connection to serve.
    pub(super) async fn hand_over(&self, stream: TcpStream) {
        if self.incoming.send(stream).await.is_err() {
            debug!("a connection came for a worker that has ended");
        }
    }

    /// Lets its streams end and its connections close by the deadline.
    pub(super) fn stop(self, deadline: Instant) {
        // A worker that has ended already needs no telling.
        let _ = self.stop.send(deadline);
    }
}

/// Works until it is stopped: then connections have until the instant of `stopped` to close.
pub(super) async fn run<C, S>(
    feed: Feed,
    gate: Gate,
    flush_interval: Duration,
    mut accepted: mpsc::Receiver<C>,
    serve: impl Fn(C, Gate, CancellationToken) -> S,
    stopped: impl Future<Output = Instant>,
    connections: TaskTracker,
) where
    S: Future<Output = ()> + Send + 'static,
{
    let hub = feed.hub.clone();
    let stopping = CancellationToken::new();
    // A task of its own, so that it takes its turn after the streams that it has woken.
    let pacing = tokio::spawn(pace(feed, flush_interval, stopping.clone()));
    let sweeping = tokio::spawn(sweep(hub.clone(), stopping.clone()));
    let mut stopped = pin!(stopped);
    let deadline = loop {
        tokio::select! {
            Some(stream) = accepted.recv() => {
                connections.spawn(serve(stream, gate.clone(), stopping.clone()));
            }
            deadline = &mut stopped => break deadline,
        }
    };
    hub.close();
    stopping.cancel();
    connections.close();
    if timeout_at(deadline, connections.wait()).await.is_err() {
        debug!(left = connections.len(), "connections are cut that did not close in time");
    }
    if pacing.await.is_err() {
        debug!("the pacer ended in a panic");
    }
    if sweeping.await.is_err() {
        debug!("the sweeper ended in a panic");
    }
}

/// How many changes of the set of watched instruments the pacer hears at once.
const CHANGES: usize = 512;
/// How many interests whose minimum interval is over are signalled at once.
const DEFERRED: usize = 1_024;
/// How many subscriptions of subscribers that have left are removed at once.
const SWEPT: usize = 512;

/// Publishes ticks when they are due, and heartbeats. Sleeps while nothing is watched.
async fn pace(feed: Feed, flush_interval: Duration, stopping: CancellationToken) {
    let Feed { hub, clock, .. } = feed;
    let alarm = Alarm::new(clock);
    let mut pacer = Pacer::new(clock.speed(), flush_interval);
    let mut next_beat = None;
    while !stopping.is_cancelled() {
        let now = clock.now();
        if next_beat.is_none_or(|beat| beat <= now) {
            next_beat = hub.beat(now);
        }
        let more_changes = hub.tell(CHANGES, |change| match change {
            Change::Watch { id, series, from } => pacer.watch(id, series, from),
            Change::Unwatch { id } => pacer.unwatch(id),
        });
        let mut deferred = hub.wake_deferred(DEFERRED);
        if next_flush(&pacer, deferred).is_some_and(|due| due <= now) {
            flush(&hub, &mut pacer, now);
            deferred = hub.wake_deferred(DEFERRED);
        }
        // What is over already and is still deferred was too much to signal at once.
        if more_changes || deferred.is_some_and(|deferred| deferred <= pacer.flushed()) {
            tokio::task::yield_now().await;
            continue;
        }
        let due = next_flush(&pacer, deferred);
        let wake = [due, next_beat].into_iter().flatten().min();
        tokio::select! {
            () = alarm.wait_until(wake.unwrap_or(Time::MAX)), if wake.is_some() => {}
            () = hub.changed() => {}
            () = stopping.cancelled() => return,
        }
    }
}

/// When a tick is due, or a minimum interval is over.
fn next_flush(pacer: &Pacer, deferred: Option<Time>) -> Option<Time> {
    [pacer.next_due(), deferred.map(|deferred| pacer.flush_at(deferred))].into_iter().flatten().min()
}

/// Publishes what is due.
fn flush(hub: &Hub, pacer: &mut Pacer, now: Time) {
    let mut flush = hub.begin_flush();
    let boundary = pacer.advance(now, |id, tick| flush.publish(id, tick));
    flush.finish(boundary);
}

/// Removes the subscriptions of subscribers that have left, a few at a time.
async fn sweep(hub: Arc<Hub>, stopping: CancellationToken) {
    while !stopping.is_cancelled() {
        while hub.sweep(SWEPT) {
            tokio::task::yield_now().await;
        }
        tokio::select! {
            () = hub.left() => {}
            () = stopping.cancelled() => return,
        }
    }
}
