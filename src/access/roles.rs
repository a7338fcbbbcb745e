//! Roles: named sets of scopes, from a TOML file.

use std::{collections::HashMap, str::FromStr};

use serde::Deserialize;
use thiserror::Error;

use super::scope::{Scope, ScopeError};

/// Roles and their scopes. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(HashMap<String, Vec<Scope>>);

/// Why a text is no list of roles.
#[derive(Debug, Error)]
pub enum RolesError {
    /// It is no TOML, or it has other keys.
    #[error("{0}")]
    Malformed(String),
    /// A role has something that is no scope.
    #[error("role {role:?}: {scope:?}: {problem}")]
    Scope {
        /// The role.
        role: String,
        /// The text in place of a scope.
        scope: String,
        /// What is wrong with it.
        problem: ScopeError,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    roles: HashMap<String, Vec<String>>,
}

impl Roles {
    /// The scopes of a role; none if there is no such role.
    pub fn scopes(&self, role: &str) -> &[Scope] {
        self.0.get(role).map_or(&[], Vec::as_slice)
    }
}

impl FromStr for Roles {
    type Err = RolesError;

    /// Reads a table `[roles]` with a list of scopes for each name, such as `analyst = ["ticker:read:NSE:*"]`.
    fn from_str(text: &str) -> Result<Self, RolesError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let problem = error.message().trim_end();
            let line =
                error.span().map(|span| 1 + text.get(..span.start).unwrap_or_default().matches('\n').count());
            RolesError::Malformed(match line {
                Some(line) => format!("line {line}: {problem}"),
                None => problem.to_owned(),
            })
        })?;
        let mut roles = HashMap::new();
        for (role, scopes) in file.roles {
            let parsed: Result<Vec<Scope>, RolesError> = scopes
                .into_iter()
                .map(|scope| {
                    scope.parse().map_err(|problem| RolesError::Scope { role: role.clone(), scope, problem })
                })
                .collect();
            roles.insert(role, parsed?);
        }
        Ok(Self(roles))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_set_of_scopes() {
        let roles: Roles =
            "[roles]\nanalyst = ['ticker:read:NSE:*', 'ticker:read:TCS']\nnone = []".parse().unwrap();
        let texts: Vec<_> = roles.scopes("analyst").iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["ticker:read:NSE:*", "ticker:read:TCS"]);
        assert!(roles.scopes("none").is_empty() && roles.scopes("unknown").is_empty());
    }

    #[test]
    fn a_mistake_is_told_with_its_role_or_its_line() {
        let told = |text: &str| text.parse::<Roles>().unwrap_err().to_string();
        assert!(
            told("[roles]\na = ['ticker:raed']").starts_with("role \"a\": \"ticker:raed\": it is no scope")
        );
        assert!(told("[roles]\na = ['ticker:read:']").contains("names no symbols"));
        assert!(told("[roles]\n\na = 7").starts_with("line 3: "), "{}", told("[roles]\n\na = 7"));
        assert!(told("[role]\na = []").contains("unknown field `role`"));
        assert!(told("").contains("missing field `roles`"));
    }
}
