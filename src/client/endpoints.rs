//! The addresses of the replicas of a service.

use std::{net::SocketAddr, str::FromStr};

use tokio::time::timeout;

use super::{ClientError, Endpoint, EndpointError, Settings};

/// The endpoints of one service. Each address of each endpoint is a replica of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(Vec<Endpoint>);

/// A replica that may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The endpoint that has the address.
    pub(super) endpoint: Endpoint,
    pub(super) address: SocketAddr,
}

impl Endpoints {
    /// Resolves each endpoint to its addresses. An address that several endpoints have is listed once.
    pub(super) async fn resolve(&self, settings: &Settings) -> Vec<Result<Vec<Candidate>, ClientError>> {
        let mut found: Vec<SocketAddr> = Vec::new();
        let mut resolved = Vec::new();
        for endpoint in &self.0 {
            let addresses = settings.network.resolve(endpoint.host(), endpoint.port());
            let addresses = timeout(settings.connect_timeout, addresses).await;
            resolved.push(match addresses.unwrap_or_else(|late| Err(late.into())) {
                Ok(mut addresses) => {
                    addresses.retain(|address| !found.contains(address));
                    found.extend(&addresses);
                    let candidate = |address| Candidate { endpoint: endpoint.clone(), address };
                    Ok(addresses.into_iter().map(candidate).collect())
                }
                Err(source) => Err(ClientError::Resolve { endpoint: endpoint.clone(), source }),
            });
        }
        resolved
    }
}

impl From<Endpoint> for Endpoints {
    fn from(endpoint: Endpoint) -> Self {
        Self(vec![endpoint])
    }
}

/// To connect to no endpoint at all is an error.
impl FromIterator<Endpoint> for Endpoints {
    fn from_iter<I: IntoIterator<Item = Endpoint>>(endpoints: I) -> Self {
        Self(endpoints.into_iter().collect())
    }
}

/// Separated by commas.
impl FromStr for Endpoints {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        text.split(',').map(|endpoint| endpoint.trim().parse()).collect()
    }
}
