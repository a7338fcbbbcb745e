//! Where the servers are, on the command line.

use clap::Args;

use crate::client::{Endpoint, Endpoints};

/// The flag of the commands that fail over.
#[derive(Args, Clone, Debug)]
pub struct EndpointArgs {
    /// The server; several are replicas of each other, one of which is enough. Repeat the flag or use commas.
    #[arg(
        id = "endpoint",
        long = "endpoint",
        env = "TICKER_ENDPOINT",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:50051"
    )]
    endpoints: Vec<Endpoint>,
}

impl From<EndpointArgs> for Endpoints {
    fn from(args: EndpointArgs) -> Self {
        args.endpoints.into_iter().collect()
    }
}
