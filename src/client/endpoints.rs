//! The addresses of the replicas of a service.

use std::{net::SocketAddr, str::FromStr, time::Duration};

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
    /// Longest wait for the name server when addresses of the name are known.
    const WAIT_IF_KNOWN: Duration = Duration::from_millis(500);

    /// Resolves each endpoint to its addresses. An address that several endpoints have is listed once. An endpoint that cannot be
    /// resolved has the addresses of the last time, which are in `known` by endpoint: a name server may be lost together with a
    /// replica.
    pub(super) async fn resolve(
        &self,
        settings: &Settings,
        known: &mut Vec<Vec<SocketAddr>>,
    ) -> Vec<Result<Vec<Candidate>, ClientError>> {
        known.resize(self.0.len(), Vec::new());
        let mut found: Vec<SocketAddr> = Vec::new();
        let mut resolved = Vec::new();
        for (endpoint, known) in self.0.iter().zip(known) {
            let patience = match known.is_empty() {
                true => settings.connect_timeout,
                false => settings.connect_timeout.min(Self::WAIT_IF_KNOWN),
            };
            let addresses = settings.network.resolve(endpoint.host(), endpoint.port());
            let addresses = match timeout(patience, addresses).await.unwrap_or_else(|late| Err(late.into())) {
                Ok(addresses) => {
                    known.clone_from(&addresses);
                    Ok(addresses)
                }
                Err(_) if !known.is_empty() => Ok(known.clone()),
                Err(error) => Err(error),
            };
            resolved.push(match addresses {
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
