//! The RPCs: streams of ticks and calls, conversions between messages and domain types, statuses of errors, and the limits
//! of what a client may hold.

mod authentication;
mod budget;
mod call;
mod caller;
mod caller_name;
mod connection_context;
pub mod convert;
mod expiry;
mod gogen;
mod history;
mod history_pool;
mod instrument_pages;
mod limit_log;
mod past;
mod publish;
mod replay;
mod reply;
mod requests;
mod requirement;
mod router;
mod rpc;
mod rpc_metrics;
mod server_context;
mod services;
mod session;
mod status;
mod stream;
mod subscribe_error;
mod subscribe_options;
mod symbol_refusals;
mod symbol_request;
mod symbol_status;
mod turns;
mod unary;
mod unsent;
mod usage;
mod v1;
mod watch;
mod wire;
mod worker_context;

pub use authentication::Authentication;
pub use budget::Held;
pub use caller::Caller;
pub use connection_context::{BusyStream, ConnectionContext, Notice, OpenStream};
pub use history_pool::{CallerId, HistoryPool};
pub use limit_log::Limit;
pub use reply::{Part, Reply, SharedReply, StreamSummary, Ticks, code_in};
pub use requests::RequestBody;
pub use requirement::Requirement;
pub use router::{Router, is_grpc};
pub use rpc::Rpc;
pub use rpc_metrics::RpcMetrics;
pub use server_context::ServerContext;
pub use services::Services;
pub use status::cut;
pub use symbol_refusals::SymbolRefusals;
pub use turns::{Ticket, Turn, TurnShare, Turns};
pub use unsent::AnswerBudget;
pub use usage::CallerLimits;
pub use wire::put_message;
pub use worker_context::WorkerContext;

use crate::hub::Interest;

/// Largest request, in bytes. A thousand of the longest symbols fit, each with a sequence to resume after.
pub const MAX_REQUEST_BYTES: usize = 128 * 1024;
/// Largest number of ticks that one request pushes.
const MAX_TICKS_PER_REQUEST: usize = 1_000;
/// Largest number of symbols of one message.
pub const MAX_SYMBOLS_PER_MESSAGE: usize = 1_000;
/// Largest number of symbols of one stream.
pub const MAX_SYMBOLS_PER_STREAM: usize = 10_000;

/// The services whose health is reported, beside `""`.
pub const SERVICES: [&str; 2] = ["gogen.TickerStreamService", "ticker.v1.TickerStreamService"];

/// A wire format, as its index among the formats of the hub.
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
