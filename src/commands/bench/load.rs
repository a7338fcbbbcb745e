//! Opens the streams of a run, over its connections.

use std::{cell::RefCell, rc::Rc, time::Duration};

use hdrhistogram::CreationError;
use tokio::{
    sync::{Notify, OnceCell, Semaphore},
    task::spawn_local,
    time::{interval, sleep, timeout},
};

use super::{
    counts::Measured,
    plan::Plan,
    reader::{Reader, SLOW_WINDOW},
};
use crate::{
    causes::in_one_line,
    client::{Client, ClientError, Settings},
};

/// The streams and their connections.
pub(super) struct Load {
    pub(super) plan: Plan,
    pub(super) measured: RefCell<Measured>,
    /// Told of each stream that was accepted or has failed for the first time.
    pub(super) attempts: Notify,
    settings: Settings,
    /// Each is made when its first stream is opened.
    connections: Vec<OnceCell<Client>>,
    /// Limits how many streams are opened at the same time.
    opening: Semaphore,
}

/// Streams of a closed load that are opened at the same time.
const OPENING: usize = 100;

/// The wait before a stream that has ended is opened again. It doubles with each attempt until a tick arrives.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

impl Load {
    /// # Errors
    /// A histogram cannot be made. Their bounds are constants, so that never happens.
    pub(super) fn new(plan: Plan, settings: Settings) -> Result<Self, CreationError> {
        Ok(Self {
            measured: RefCell::new(Measured::new()?),
            attempts: Notify::new(),
            settings,
            connections: (0..plan.connections).map(|_| OnceCell::new()).collect(),
            opening: Semaphore::new(OPENING),
            plan,
        })
    }

    /// Opens a number of streams, and opens each of them again when it ends.
    pub(super) fn hold_all(self: &Rc<Self>, streams: usize) {
        for stream in 0..streams {
            let load = self.clone();
            spawn_local(async move { load.hold(stream).await });
        }
    }

    /// Opens streams at a rate, each of which is closed after a while.
    pub(super) fn keep_arriving(self: &Rc<Self>, a_second: u32, stay: Duration) {
        let load = self.clone();
        spawn_local(async move {
            // A late arrival does not delay the next one.
            let mut arrivals = interval(Duration::from_secs(1) / a_second);
            for stream in 0.. {
                arrivals.tick().await;
                let load = load.clone();
                spawn_local(async move { load.visit(stream, stay).await });
            }
        });
    }

    async fn hold(&self, stream: usize) {
        let mut backoff = FIRST_BACKOFF;
        let mut is_first = true;
        loop {
            let opened = {
                let _permit = self.opening.acquire().await;
                self.open(stream).await
            };
            if is_first {
                is_first = false;
                self.measured.borrow_mut().attempted += 1;
                self.attempts.notify_one();
            }
            let error = match opened {
                Ok(mut reader) => {
                    let error = reader.read().await;
                    if reader.has_tick() {
                        backoff = FIRST_BACKOFF;
                    }
                    error
                }
                Err(error) => error,
            };
            self.failed(&error);
            let retry_after = error.status().and_then(|status| status.retry_after).unwrap_or_default();
            sleep(backoff.max(retry_after)).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    async fn visit(&self, stream: usize, stay: Duration) {
        let ended = match self.open(stream).await {
            // A visit that is over has not failed.
            Ok(mut reader) => timeout(stay, reader.read()).await.ok(),
            Err(error) => Some(error),
        };
        if let Some(error) = ended {
            self.failed(&error);
        }
    }

    async fn open(&self, stream: usize) -> Result<Reader<'_>, ClientError> {
        let connection = self.plan.connection(stream);
        let client = self.connections[connection].get_or_try_init(|| self.connect(connection)).await?;
        Reader::open(client, self.plan.request(stream), self.plan.is_slow(stream), &self.measured).await
    }

    async fn connect(&self, connection: usize) -> Result<Client, ClientError> {
        let mut settings = self.settings.clone();
        if self.plan.is_slow_connection(connection) {
            settings = settings.with_stream_window(SLOW_WINDOW);
        }
        Client::connect(&self.plan.endpoint(connection).clone().into(), settings).await
    }

    fn failed(&self, error: &ClientError) {
        self.measured.borrow_mut().failed(status_of(error), &in_one_line(error));
    }
}

/// The status by which clients of gRPC report an error.
fn status_of(error: &ClientError) -> &'static str {
    match (error.status(), error) {
        (Some(status), _) => status.code.as_str(),
        (None, ClientError::TimedOut { .. }) => "DEADLINE_EXCEEDED",
        (None, ClientError::Token { .. }) => "UNAUTHENTICATED",
        _ => "UNAVAILABLE",
    }
}
