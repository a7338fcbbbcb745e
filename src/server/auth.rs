//! The keys and roles of tokens, from files that may change.

use std::{path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::{
    access::{Audience, KeyError, KeySet, Roles, RolesError, Tokens},
    watched_files::{Unreadable, WatchedFiles},
};

/// The files of authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthFiles {
    /// A JWKS, or one public key in PEM.
    pub keys: PathBuf,
    /// Roles and their scopes, in TOML.
    pub roles: Option<PathBuf>,
    /// Who issues tokens, and for whom.
    pub audience: Audience,
}

/// Why tokens cannot be verified with these files.
#[derive(Debug, Error)]
pub enum AuthError {
    /// A file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The keys cannot be used.
    #[error("cannot use the keys of {}", .0.display())]
    Keys(PathBuf, #[source] KeyError),
    /// The roles cannot be used.
    #[error("cannot use the roles of {}", .0.display())]
    Roles(PathBuf, #[source] RolesError),
}

impl AuthFiles {
    /// Loads the files. The returned ones are to be [followed](Self::follow).
    pub(super) fn load(&self) -> Result<(Arc<Tokens>, WatchedFiles), AuthError> {
        let paths = [Some(self.keys.clone()), self.roles.clone()];
        let watched = WatchedFiles::read(paths.into_iter().flatten().collect());
        let (keys, roles) = self.parse(&watched.contents()?)?;
        Ok((Arc::new(Tokens::new(self.audience.clone(), keys, roles)), watched))
    }

    /// Loads the files again whenever they change. Never returns.
    pub(super) async fn follow(self, files: WatchedFiles, tokens: Arc<Tokens>) {
        let apply = |contents: &[&[u8]]| {
            let (keys, roles) = self.parse(contents)?;
            tokens.replace(keys, roles);
            Ok::<_, AuthError>(())
        };
        files.follow("the keys and roles of tokens", apply).await;
    }

    fn parse(&self, contents: &[&[u8]]) -> Result<(KeySet, Roles), AuthError> {
        let text = |at: usize| String::from_utf8_lossy(contents.get(at).copied().unwrap_or_default());
        let keys = KeySet::parse(&text(0)).map_err(|error| AuthError::Keys(self.keys.clone(), error))?;
        let roles = match &self.roles {
            Some(path) => text(1).parse().map_err(|error| AuthError::Roles(path.clone(), error))?,
            None => Roles::default(),
        };
        Ok((keys, roles))
    }
}
