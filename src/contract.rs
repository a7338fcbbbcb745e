//! The generated code of `proto/` and its descriptor set, and what both sides need beside it.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

#[cfg(feature = "server")]
mod encoded;
pub mod health;
#[cfg(feature = "server")]
mod json;
#[cfg(feature = "cli")]
mod outline;
mod rpc_code;

#[cfg(feature = "server")]
pub use encoded::Encoded;
#[cfg(feature = "cli")]
pub use outline::{EventOutline, ResponseOutline, TickOutline};
pub use rpc_code::RpcCode;

/// `package gogen`: the contract that existing clients hold.
pub mod gogen {
    tonic::include_proto!("gogen");
}

/// `package ticker.v1`: the versioned contract.
pub mod v1 {
    tonic::include_proto!("ticker.v1");

    /// The symbol that stands for every listed instrument.
    pub const ALL_INSTRUMENTS: &str = "*";

    /// The server of the RPCs that answer once.
    #[cfg(feature = "server")]
    pub mod server {
        include!(concat!(env!("OUT_DIR"), "/server/ticker.v1.rs"));
    }
}

/// The descriptors of both packages, as a serialized `google.protobuf.FileDescriptorSet`.
#[cfg(feature = "server")]
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/contract.bin"));
