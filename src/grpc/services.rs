//! The services that generated code serves, found by their names.

use std::{collections::HashMap, convert::Infallible};

use http::{Request, Response};
use tonic::{Status, body::Body, server::NamedService};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

/// Services by their full names, such as `grpc.health.v1.Health`.
#[derive(Default)]
pub struct Services(HashMap<&'static str, BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>>);

impl Services {
    /// Adds a service.
    #[must_use]
    pub fn with<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        self.0.insert(S::NAME, BoxCloneSyncService::new(service));
        self
    }

    /// Answers a request with the service that its path names, or with UNIMPLEMENTED.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
        let Some(service) = path.and_then(|(name, _)| self.0.get(name)) else {
            return Status::unimplemented("").into_http();
        };
        let Ok(response) = service.clone().oneshot(request).await;
        response
    }
}
