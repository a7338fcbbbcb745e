//! Who may see what: tokens, roles and scopes, and the part of a tape that a caller sees.

mod claims;
mod keys;
mod ring_provider;
mod roles;
mod scope;
mod tokens;
mod view;

pub use claims::{LEEWAY, Plan};
pub use keys::{KeyError, KeySet};
pub use ring_provider::install as install_cryptography;
pub use roles::{Roles, RolesError};
pub use scope::{Grant, Pattern, Scope, ScopeError};
pub use tokens::{Audience, Refusal, Token, Tokens};
pub use view::VisibleTape;
