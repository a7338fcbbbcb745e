//! The commands besides `serve`: the clients `watch`, `record`, `publish`, `list`, `verify`, `bench` and `health`,
//! `market-report`, which measures a tape, and `certs` and `token`, which make certificates and tokens.

pub mod bench;
pub mod certs;
mod delivery_arg;
mod endpoint_args;
pub mod health;
pub mod list;
pub mod market_report;
mod output;
mod output_files;
mod phrases;
pub mod publish;
mod quantity_increments;
pub mod record;
mod rows;
mod security_args;
mod silence;
pub mod token;
mod usage;
pub mod verify;
mod warnings;
pub mod watch;

pub use delivery_arg::DeliveryArg;
pub use endpoint_args::EndpointArgs;
pub use security_args::SecurityArgs;
