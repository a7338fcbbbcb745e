//! A log that many replicas share: a stream of NATS JetStream, which has a subject for each symbol.
//!
//! A message has one or more ticks of one symbol that follow one another, as lines of the log. Every replica appends ticks to its
//! tape only when the stream delivers them, so that all replicas have the same ticks. Each message names the last one of its
//! subject that its replica knows, and the stream refuses it if there is a later one. So two replicas cannot give the same
//! sequence to different ticks.
//!
//! - `connection`: the connection to the servers;
//! - `subject`: symbols as subjects; `message`: ticks as messages;
//! - `stream`: the stream, which is made or checked;
//! - `consumer`: messages in order, once each; `reader`: the same across lost connections;
//! - `symbol_queue`: what waits to be published of one symbol; `batches`: batches whose receipts are due; `replica`: all of them,
//!   and the tape; `published`: what the servers answer;
//! - `catch_up`: what is read before the server starts; `stored`: what is read when a client asks for older ticks; `driver`: the thread.

mod batches;
mod catch_up;
mod connection;
mod consumer;
mod driver;
mod message;
mod published;
mod reader;
mod replica;
mod stored;
mod stream;
mod subject;
mod symbol_queue;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, mpsc as std_mpsc},
    thread,
};

use thiserror::Error;
use tokio::{runtime, sync::mpsc};

use super::{
    Counts, FeedStartError, Health, NatsSettings, StoredTicks, Submission, numbering::FixedInstruments,
};
use crate::tape::{Feed, LoadProgress, WindowLimits};
use driver::Driver;

/// Why a stream cannot be used.
#[derive(Debug, Error)]
pub enum NatsError {
    /// The file of credentials cannot be used.
    #[error("cannot use the credentials in {}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No server can be reached.
    #[error("cannot connect to NATS at {servers}: check the address, and that nats-server is running")]
    Connect {
        /// The addresses.
        servers: String,
        /// Why.
        source: async_nats::ConnectError,
    },
    /// A request to the server failed.
    #[error(
        "cannot {action} the stream {stream}: nats-server needs JetStream (-js), and permission for $JS.API.>"
    )]
    Request {
        /// What was tried.
        action: &'static str,
        /// The name of the stream.
        stream: String,
        /// Why it failed.
        source: async_nats::Error,
    },
    /// The stream is not one for a feed.
    #[error("the stream {stream} cannot be used for a feed: {problem}")]
    Unfit {
        /// Its name.
        stream: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// What the thread of a feed gets.
pub(super) struct Parts {
    pub(super) window: WindowLimits,
    pub(super) instruments: Option<FixedInstruments>,
    pub(super) submissions: mpsc::Receiver<Submission>,
    pub(super) counts: Arc<Counts>,
}

/// A feed that has started.
pub(super) struct Started {
    pub(super) tape: Arc<Feed>,
    pub(super) health: Health,
    pub(super) stored: Arc<dyn StoredTicks>,
}

/// What the thread tells while it starts.
enum Step {
    Read(LoadProgress),
    Started(Started),
    Failed(NatsError),
}

/// Starts the thread, and waits until it has read what is in the stream. The thread ends when nobody can submit any more and all
/// batches are answered.
///
/// # Errors
/// The stream cannot be used, or the thread cannot be started.
pub(super) fn start(
    settings: NatsSettings,
    parts: Parts,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Started, FeedStartError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    let (tell, steps) = std_mpsc::channel();
    let run = async move {
        // Nobody hears it when the server is stopped meanwhile.
        let mut read = |progress| drop(tell.send(Step::Read(progress)));
        match Driver::open(settings, parts, &mut read).await {
            Err(error) => drop(tell.send(Step::Failed(error))),
            Ok(driver) => {
                let (tape, health, stored) = (driver.tape(), driver.health(), driver.stored());
                drop(tell.send(Step::Started(Started { tape, health, stored })));
                driver.run().await;
            }
        }
    };
    thread::Builder::new().name("feed".to_owned()).spawn(move || runtime.block_on(run))?;
    loop {
        match steps.recv().map_err(|_| io::Error::other("the thread has ended"))? {
            Step::Read(read) => progress(read),
            Step::Started(started) => return Ok(started),
            Step::Failed(error) => return Err(error.into()),
        }
    }
}
