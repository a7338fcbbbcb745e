//! The `--endpoint` flag of the commands that need one server.

use clap::Args;

use crate::client::{Endpoint, Endpoints};

/// The servers, which are replicas of each other.
#[derive(Args, Clone, Debug)]
pub struct EndpointArgs {
    /// Address of a server; repeat the flag or use commas for several replicas, of which one must be reachable
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

impl EndpointArgs {
    /// Each server, in the order of the user.
    pub fn each(&self) -> &[Endpoint] {
        &self.endpoints
    }
}

impl From<EndpointArgs> for Endpoints {
    fn from(args: EndpointArgs) -> Self {
        args.endpoints.into_iter().collect()
    }
}
