//! The gRPC face of the ticker: RPC methods, conversions, the mapping of errors to statuses.

mod budget;
mod call;
mod connection_context;
mod convert;
mod gogen;
mod history;
mod history_pool;
mod replay;
mod reply;
mod requests;
mod router;
mod server_context;
mod session;
mod status;
mod stream;
mod subscribe_error;
mod subscribe_options;
mod symbol_request;
mod symbol_status;
mod turns;
mod unary;
mod unsent;
mod v1;
mod watch;
mod wire;
mod worker_context;

pub use budget::Held;
pub use connection_context::{BusyStream, ConnectionContext, Notice, OpenStream};
pub use history_pool::{CallerId, HistoryPool};
pub use reply::{Reply, Ticks};
pub use requests::RequestBody;
pub use router::Router;
pub use server_context::ServerContext;
pub use turns::{Ticket, Turn, TurnShare, Turns};
pub use unsent::AnswerBudget;
pub use worker_context::WorkerContext;

use crate::hub::Interest;

/// The most bytes of one request: a thousand of the longest symbols, each with a sequence to resume after, fit.
pub const MAX_REQUEST_BYTES: usize = 128 * 1024;
/// The most symbols of one message.
pub const MAX_SYMBOLS_PER_MESSAGE: usize = 1_000;
/// The most symbols of one stream.
pub const MAX_SYMBOLS_PER_STREAM: usize = 10_000;

/// The services whose health is reported, beside `""`.
pub const SERVICES: [&str; 2] = ["gogen.TickerStreamService", "ticker.v1.TickerStreamService"];

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
