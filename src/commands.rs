//! The commands that are clients: `watch`, `record`, `list`, `verify` and `health`.

mod endpoint_args;
pub mod health;
pub mod list;
mod output;
mod phrases;
pub mod record;
mod rows;
mod security_args;
mod silence;
mod usage;
pub mod verify;
mod warnings;
pub mod watch;

pub use endpoint_args::EndpointArgs;
pub use security_args::SecurityArgs;
