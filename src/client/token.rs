//! Tokens that a client sends.

use std::{fmt::Debug, fs, io, path::PathBuf};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

use super::network::Task;

/// Gets the token of a client, before each call and before the token of a stream expires.
///
/// It is asked often, so a provider that has to fetch tokens keeps one until it has to be renewed.
pub trait TokenProvider: Debug + Send + Sync {
    /// A token that is valid now, without `Bearer`.
    fn token(&self) -> Task<io::Result<String>>;
}

/// A token in a file, which is read each time, so that a renewed one is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile(pub PathBuf);

impl TokenProvider for TokenFile {
    fn token(&self) -> Task<io::Result<String>> {
        let file = self.0.clone();
        Box::pin(async move {
            let token = fs::read_to_string(&file);
            let token = token
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
            Ok(token.trim().to_owned())
        })
    }
}

/// Adds a token to the requests of a call.
#[derive(Clone, Debug)]
pub(super) struct Authorization(Option<MetadataValue<Ascii>>);

impl Authorization {
    /// Nothing is added without a token.
    ///
    /// # Errors
    /// The token has characters that no header has.
    pub(super) fn of(token: Option<String>) -> io::Result<Self> {
        let Some(token) = token else { return Ok(Self(None)) };
        let value = format!("Bearer {token}").parse::<MetadataValue<Ascii>>();
        let mut value = value.map_err(|_| io::Error::other("the token has characters that no token has"))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Authorization {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}
