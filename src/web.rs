//! What browsers and `curl` get on the port of gRPC: gRPC-Web, JSON, event streams and the board. All of it is translated
//! to calls of gRPC, so that it goes through the same sessions, limits and authentication.

mod board;
mod call;
mod event_id;
mod event_stream;
mod events;
mod grpc_web;
mod json;
mod messages;
mod origins;
mod positions;
mod protocol;
mod query;
mod refusal;
mod request_body;
mod response;
mod service;
mod status;

pub use origins::{Origin, OriginError, Origins};
pub use protocol::{Protocol, WebRequests};
pub use service::{Answering, Web, WebSettings};
