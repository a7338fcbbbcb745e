//! The claims of a token that this service reads.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

use super::{Grant, Roles, Scope};

/// How far the clocks of the issuer and of this server may be apart.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// Limits that a token narrows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Plan {
    /// Largest number of streams at the same time.
    pub max_streams: Option<usize>,
    /// Largest number of subscriptions at the same time.
    pub max_symbols: Option<usize>,
}

#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    #[serde(deserialize_with = "seconds")]
    pub(super) exp: u64,
    #[serde(deserialize_with = "seconds")]
    pub(super) iat: u64,
    #[serde(default, deserialize_with = "maybe_seconds")]
    pub(super) nbf: Option<u64>,
    /// Separated by spaces, or a list.
    #[serde(default, deserialize_with = "words")]
    scope: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(flatten)]
    pub(super) plan: Plan,
}

impl Claims {
    /// Longest subject, in bytes. It is in the log and the key of limits.
    pub(super) const LONGEST_SUBJECT: usize = 255;

    /// What the scopes and roles allow. Those that this service does not know allow nothing.
    pub(super) fn grant(&self, roles: &Roles) -> Grant {
        let own: Vec<Scope> = self.scope.iter().filter_map(|scope| scope.parse().ok()).collect();
        own.iter().chain(self.roles.iter().flat_map(|role| roles.scopes(role))).collect()
    }
}

/// A NumericDate: seconds since the Unix epoch, whole or with a fraction, and never a string. (RFC 7519, section 2)
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    /// The end of the year 9999.
    const LATEST: f64 = 253_402_300_799.0;
    let seconds = f64::deserialize(deserializer)?;
    match (0.0..=LATEST).contains(&seconds) {
        true => Ok(seconds as u64),
        false => Err(D::Error::custom("a time must be in the years 1970 to 9999")),
    }
}

fn maybe_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    seconds(deserializer).map(Some)
}

fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Words::deserialize(deserializer)? {
        Words::Text(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Words::List(list) => list,
    })
}
