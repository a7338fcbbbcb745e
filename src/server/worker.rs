//! One thread that serves connections: its own runtime, its own hub, its own pacer. Workers share nothing that
//! changes, so a tick never crosses from one thread to another.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime,
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use super::{
    Config, admission::Admitted, connection, drain::Draining, flush_metrics::FlushMetrics,
    transport::Incoming,
};
use crate::{
    grpc::{TurnShare, Turns, WorkerContext},
    hub::{Flush, Hub, WatchChange},
    pacer::{Alarm, Pacer, TickSink},
    tick::{Tick, Time},
    web::Web,
};

/// A worker as the listener sees it.
pub(super) struct Worker {
    incoming: mpsc::Sender<(Incoming, Admitted)>,
    drain: oneshot::Sender<Draining>,
    load: Arc<AtomicUsize>,
    flushes: Arc<FlushMetrics>,
    /// Id of the newest connection that it was given.
    last_given: AtomicU64,
}

/// Gives a worker one connection, perhaps after a TLS handshake.
pub(super) struct Handover(mpsc::Sender<(Incoming, Admitted)>);

impl Worker {
    /// Number of polls of tasks after which the runtime looks at its timers and sockets. With tokio's default of 61, live
    /// ticks would wait for a millisecond or two of other work.
    const POLLS: u32 = 16;

    /// Prepares a worker. It works while the returned function runs, which blocks its thread.
    pub(super) fn start(
        worker: WorkerContext,
        web: Web,
        config: Config,
    ) -> io::Result<(Self, impl FnOnce() + Send + 'static)> {
        let runtime =
            runtime::Builder::new_current_thread().event_interval(Self::POLLS).enable_all().build()?;
        let (incoming, accepted) = mpsc::channel(64);
        let (drain, draining) = oneshot::channel();
        let flushes = Arc::new(FlushMetrics::new());
        let run = {
            let flushes = flushes.clone();
            move || {
                let register = Incoming::register;
                runtime.block_on(run(worker, web, config, accepted, register, draining, flushes))
            }
        };
        Ok((Self { incoming, drain, load: Arc::default(), flushes, last_given: AtomicU64::new(0) }, run))
    }

    /// Number of its connections. The listener counts a connection before it hands it over.
    pub(super) fn load(&self) -> &Arc<AtomicUsize> {
        &self.load
    }

    /// What it has counted of its flushes.
    pub(super) fn flushes(&self) -> &Arc<FlushMetrics> {
        &self.flushes
    }

    /// The worker that has the fewest connections; among equals, the one whose newest connection is oldest.
    pub(super) fn idlest(workers: &[Self]) -> Option<&Self> {
        workers.iter().min_by_key(|worker| (worker.load.load(Relaxed), worker.last_given.load(Relaxed)))
    }

    /// The handle by which it is given a connection that was admitted.
    pub(super) fn handover(&self, admitted: &Admitted) -> Handover {
        self.last_given.store(admitted.context.id() + 1, Relaxed);
        Handover(self.incoming.clone())
    }

    /// Ends its streams over the spread, and itself when its connections have closed, or at the deadline.
    pub(super) fn drain(self, draining: Draining) {
        // Fails when the worker has ended already.
        let _ = self.drain.send(draining);
    }
}

impl Handover {
    /// Gives the worker its connection.
    pub(super) async fn give(self, connection: Incoming, admitted: Admitted) {
        if self.0.send((connection, admitted)).await.is_err() {
            debug!("a connection came for a worker that has ended");
        }
    }
}

/// Serves connections until it is told to drain, and then until its connections have closed, or the deadline is over.
/// `register` registers an accepted connection with this runtime.
pub(super) async fn run<A, C>(
    worker: WorkerContext,
    web: Web,
    config: Config,
    mut accepted: mpsc::Receiver<(A, Admitted)>,
    register: impl Fn(A) -> io::Result<C>,
    mut draining: oneshot::Receiver<Draining>,
    flushes: Arc<FlushMetrics>,
) where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Config { flush_interval, timeouts, collect_memory, .. } = config;
    let (hub, clock, turns) = (worker.hub.clone(), worker.clock, worker.turns.clone());
    let stopping = CancellationToken::new();
    let granting = tokio::spawn(turns.clone().grant());
    // A task of its own, so that it is polled again only after the streams that it has woken.
    let pacing = tokio::spawn(pace(worker, flush_interval, flushes, stopping.clone()));
    let connections = TaskTracker::new();
    let sweeping = tokio::spawn(sweep(hub.clone(), turns.clone(), stopping.clone()));
    let collecting = collect_memory.map(|collect| {
        tokio::spawn(collect_at_intervals(collect, hub.clone(), connections.clone(), turns.clone()))
    });
    let mut ticket = turns.ticket(&TurnShare::default());
    let draining = loop {
        let (stream, admitted) = tokio::select! {
            Some(accepted) = accepted.recv() => accepted,
            draining = &mut draining => break draining.ok(),
        };
        match register(stream) {
            Ok(stream) => {
                connections.spawn(connection::serve(stream, admitted, web.clone(), turns.clone(), timeouts));
            }
            Err(error) => debug!(%error, "a connection cannot be served"),
        }
        // Begins one connection per turn, however many arrive at once.
        tokio::select! {
            _ = ticket.turn() => ticket.give_up(),
            draining = &mut draining => break draining.ok(),
        }
    };
    let deadline = draining.map_or_else(Instant::now, |draining| draining.deadline);
    hub.drain(clock.now(), clock.span(draining.map_or(Duration::ZERO, |draining| draining.spread)));
    connections.close();
    if timeout_at(deadline, connections.wait()).await.is_err() {
        debug!(left = connections.len(), "cutting connections that did not close in time");
    }
    stopping.cancel();
    // These tasks may wait for a turn, and turns are not granted any more.
    for task in [granting, sweeping].into_iter().chain(collecting) {
        task.abort();
    }
    if pacing.await.is_err() {
        debug!("the pacer ended in a panic");
    }
}

/// Largest number of changes of the watched instruments that the pacer learns at once.
const CHANGES: usize = 128;
/// Largest number of interests that are signalled at once when their minimum interval is over.
const DEFERRED: usize = 1_024;
/// For how long nobody has a turn between the pieces of a flush.
const LONGEST_HOLD: Duration = Duration::from_millis(5);
/// Largest number of subscriptions of subscribers that have left that are removed at once.
const SWEPT: usize = 64;

/// Publishes ticks when they are due, and heartbeats. Sleeps while nothing is watched.
async fn pace(
    worker: WorkerContext,
    flush_interval: Duration,
    flushes: Arc<FlushMetrics>,
    stopping: CancellationToken,
) {
    let WorkerContext { hub, clock, turns, .. } = worker;
    let alarm = Alarm::new(clock);
    let mut pacer = Pacer::new(clock.speed(), flush_interval);
    let arrivals = pacer.arrivals();
    let mut next_beat = None;
    while !stopping.is_cancelled() {
        let now = clock.now();
        if next_beat.is_none_or(|beat| beat <= now) {
            next_beat = hub.beat(now);
        }
        let next_departure = hub.depart(now);
        let more_changes = hub.tell(CHANGES, |change| match change {
            WatchChange::Watch { id, series, from } => pacer.watch(id, series, from),
            WatchChange::Unwatch { id } => pacer.unwatch(id),
        });
        pacer.take_arrivals();
        let mut deferred = hub.wake_deferred(DEFERRED);
        if next_flush(&pacer, deferred).is_some_and(|due| due <= now) {
            // The pieces of a flush follow each other, unless it takes long.
            let hold = turns.hold(LONGEST_HOLD.min(flush_interval / 2));
            let ticks = flush(&hub, &mut pacer, now).await;
            drop(hold);
            let late = Duration::from_nanos(now.nanos().saturating_sub(pacer.first_due().nanos()));
            flushes.note(clock.speed().takes(late).as_nanos() as u64, ticks);
            deferred = hub.wake_deferred(DEFERRED);
        }
        // More has to be signalled than is allowed at once.
        if more_changes || deferred.is_some_and(|deferred| deferred <= pacer.flushed()) {
            yield_now().await;
            continue;
        }
        let due = next_flush(&pacer, deferred);
        let wake = [due, next_beat, next_departure].into_iter().flatten().min();
        // If the next flush has ticks to publish, it takes the arrivals as well, unless they are many.
        let is_due = due.is_some_and(|due| due <= pacer.flush_at(now));
        tokio::select! {
            () = alarm.wait_until(wake.unwrap_or(Time::MAX)), if wake.is_some() => {}
            () = hub.changed() => {}
            () = arrivals.wait(), if !is_due => {}
            () = arrivals.wait_for_many(), if is_due => {}
            () = stopping.cancelled() => return,
        }
    }
}

/// When a tick is due, or a minimum interval is over.
fn next_flush(pacer: &Pacer, deferred: Option<Time>) -> Option<Time> {
    [pacer.next_due(), deferred.map(|deferred| pacer.flush_at(deferred))].into_iter().flatten().min()
}

/// Publishes what is due. Returns the number of ticks. Between two pieces the streams that have got ticks send them.
async fn flush(hub: &Hub, pacer: &mut Pacer, now: Time) -> u64 {
    let mut ticks = flush_piece(hub, pacer, now);
    while pacer.has_more() {
        yield_now().await;
        ticks += flush_piece(hub, pacer, now);
    }
    ticks
}

fn flush_piece(hub: &Hub, pacer: &mut Pacer, now: Time) -> u64 {
    let mut counted = CountedFlush { flush: hub.begin_flush(), ticks: 0 };
    let boundary = pacer.advance(now, &mut counted);
    counted.flush.finish(boundary);
    counted.ticks
}

/// A flush that counts its ticks on their way from the pacer to the hub.
struct CountedFlush<'hub> {
    flush: Flush<'hub>,
    ticks: u64,
}

impl TickSink for CountedFlush<'_> {
    fn tick(&mut self, id: u32, tick: &Tick) {
        self.flush.publish(id, tick);
        self.ticks += 1;
    }

    fn read_ahead(&self, ids: &[u32]) {
        self.flush.read_ahead(ids);
    }
}

/// Removes the subscriptions of subscribers that have left, in turns.
async fn sweep(hub: Arc<Hub>, turns: Turns, stopping: CancellationToken) {
    let mut ticket = turns.ticket(&TurnShare::default());
    while !stopping.is_cancelled() {
        let turn = ticket.turn().await;
        let mut more = hub.sweep(SWEPT);
        while more && !turn.is_over() {
            more = hub.sweep(SWEPT);
        }
        ticket.give_up();
        if !more {
            tokio::select! {
                () = hub.left() => {}
                () = stopping.cancelled() => return,
            }
        }
    }
}

/// How often memory that this thread has freed is collected.
const COLLECT_INTERVAL: Duration = Duration::from_secs(1);
/// Number of intervals without a client that leaves, after which a collection is thorough.
const QUIET_INTERVALS: u32 = 5;

/// Calls [`Config::collect_memory`] at intervals, in turns.
async fn collect_at_intervals(collect: fn(bool), hub: Arc<Hub>, connections: TaskTracker, turns: Turns) {
    let mut ticket = turns.ticket(&TurnShare::default());
    let (mut before, mut quiet) = (0, 0_u32);
    loop {
        sleep(COLLECT_INTERVAL).await;
        let now = connections.len();
        let is_leaving = now < before || hub.has_leaving();
        quiet = if is_leaving { 0 } else { quiet.saturating_add(1) };
        before = now;
        ticket.turn().await;
        collect(quiet == QUIET_INTERVALS);
        ticket.give_up();
    }
}
