//! Where the replicas of a service are: several addresses, or names that have several.

use std::{net::SocketAddr, str::FromStr};

use tokio::time::timeout;

use super::{ClientError, Endpoint, EndpointError, Settings};

/// The endpoints of one service. Each address of each of them is a replica of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(Vec<Endpoint>);

/// A replica that may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The endpoint that it was found under.
    pub(super) endpoint: Endpoint,
    pub(super) address: SocketAddr,
}

impl Endpoints {
    /// The addresses of each endpoint, or why it has none.
    pub(super) async fn resolve(&self, settings: &Settings) -> Vec<Result<Vec<Candidate>, ClientError>> {
        let mut found: Vec<SocketAddr> = Vec::new();
        let mut resolved = Vec::new();
        for endpoint in &self.0 {
            let addresses = settings.network.resolve(endpoint.host(), endpoint.port());
            let addresses = timeout(settings.connect, addresses).await;
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

/// None at all is refused when it is connected to.
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
