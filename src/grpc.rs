//! The gRPC face of the ticker: RPC methods, conversions, the mapping of errors to statuses.

mod change;
mod context;
mod convert;
mod gate;
mod gogen;
mod history;
mod history_pool;
mod outcome;
mod reference;
mod replay;
mod reply;
mod requests;
mod room;
mod services;
mod session;
mod status;
mod stream;
mod terms;
mod turns;
mod v1;
mod watch;
mod wire;

use std::sync::Arc;

pub use context::{Blocked, ConnectionContext, Notice, ServerRoom};
pub use gate::Gate;
pub use history_pool::{CallerId, HistoryPool};
pub use reply::{Reply, Ticks};
pub use requests::RequestBody;
pub use services::Services;
pub use turns::{Ticket, Turn, TurnShare, Turns};

use crate::{
    hub::{Hub, Interest, Limits, Quota, Subscriber},
    pacer::Clock,
    tape::Tape,
};

/// The most bytes of one request: a thousand of the longest symbols, each with a sequence to resume after, fit.
pub const MAX_REQUEST_BYTES: usize = 128 * 1024;
/// The most symbols of one message.
pub const MAX_SYMBOLS_PER_MESSAGE: usize = 1_000;
/// The most symbols of one stream.
pub const MAX_SYMBOLS_PER_STREAM: usize = 10_000;

/// The services whose health is reported, beside `""`.
pub const SERVICES: [&str; 2] = ["gogen.TickerStreamService", "ticker.v1.TickerStreamService"];

/// What the RPCs of one worker answer from.
#[derive(Clone)]
pub struct Feed {
    /// The ticks.
    pub tape: Arc<dyn Tape>,
    /// The worker's subscribers.
    pub hub: Arc<Hub>,
    /// The time.
    pub clock: Clock,
    /// Threads that read history.
    pub history: HistoryPool,
    /// The turns of the worker: all its work except live ticks is done in them.
    pub turns: Turns,
}

/// A wire format's place among the formats of the hub.
#[derive(Clone, Copy)]
enum Format {
    Gogen = 0,
    V1 = 1,
    V1WithQuotes = 2,
}

impl Format {
    /// Whether an interest is in this format.
    fn is_of(self, interest: &Interest) -> bool {
        interest.format == self as u8
    }
}

impl Feed {
    /// A feed with a hub that speaks both packages' formats.
    ///
    /// `subscriptions` is the limit of subscriptions of the server.
    pub fn new(
        tape: Arc<dyn Tape>,
        clock: Clock,
        limits: Limits,
        subscriptions: Arc<Quota>,
        history: HistoryPool,
    ) -> Self {
        let tape_id = &tape.identity().tape_id;
        let hub = Arc::new(Hub::new(
            limits,
            vec![
                Box::new(wire::Gogen::default()),
                Box::new(wire::V1::new(tape_id)),
                Box::new(wire::V1::with_quotes(tape_id)),
            ],
            subscriptions,
        ));
        Self { tape, hub, clock, history, turns: Turns::default() }
    }

    fn join(&self, format: Format, context: &ConnectionContext) -> Subscriber {
        Subscriber::join(self.hub.clone(), format as u8, context.subscriptions(), self.clock.now())
    }
}
