//! The gRPC face of the ticker: RPC methods, conversions, the mapping of errors to statuses.

mod convert;
mod gate;
mod gogen;
mod history;
mod offload;
mod outcome;
mod reference;
mod replay;
mod session;
mod status;
mod stream;
mod terms;
mod v1;
mod watch;
mod wire;

use std::sync::Arc;

pub use gate::Gate;
pub use offload::Offload;

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
    /// Where long work is done.
    pub offload: Offload,
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
    pub fn new(tape: Arc<dyn Tape>, clock: Clock, limits: Limits, offload: Offload) -> Self {
        let tape_id = &tape.identity().tape_id;
        let hub = Arc::new(Hub::new(
            limits,
            vec![
                Box::new(wire::Gogen::default()),
                Box::new(wire::V1::new(tape_id)),
                Box::new(wire::V1::with_quotes(tape_id)),
            ],
            Quota::unlimited(),
        ));
        Self { tape, hub, clock, offload }
    }

    fn join(&self, format: Format) -> Subscriber {
        Subscriber::join(self.hub.clone(), format as u8, Quota::unlimited(), self.clock.now())
    }
}
