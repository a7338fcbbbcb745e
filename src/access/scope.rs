//! Scopes, which name what a caller may do, and grants, which are what a set of scopes allows.

use std::{collections::BTreeSet, fmt, ops::Bound, str::FromStr};

use thiserror::Error;

use crate::tick::Symbol;

/// One scope, such as `ticker:read:NSE:*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// `ticker:read` or `ticker:read:PATTERN`: read the instruments of a pattern.
    Read(Pattern),
    /// `ticker:publish` or `ticker:publish:PATTERN`: push ticks of the instruments of a pattern.
    Publish(Pattern),
    /// `ticker:admin`: see what is for operators only, such as the seed of a simulated tape.
    Admin,
}

/// The symbols that a scope names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pattern {
    /// `*`: every symbol.
    All,
    /// `NSE:*`: the symbols that begin with the text before the star.
    Prefix(Box<str>),
    /// `RELIANCE`: this symbol.
    Exact(Symbol),
}

/// Why a text is no scope of this service.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ScopeError {
    /// It belongs to another service.
    #[error(
        "it is no scope of this service: use ticker:read, ticker:read:PATTERN, ticker:publish, ticker:publish:PATTERN or \
         ticker:admin"
    )]
    Foreign,
    /// The pattern of `ticker:read:PATTERN` or `ticker:publish:PATTERN` is malformed.
    #[error(
        "its pattern names no symbols: write a symbol (ticker:read:RELIANCE), the beginning of symbols and a star \
         (ticker:read:NSE:*), or a star"
    )]
    Pattern,
}

/// What a caller may do. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grant {
    read: Symbols,
    publish: Symbols,
    is_admin: bool,
}

/// The symbols of some patterns. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Symbols {
    all: bool,
    exact: BTreeSet<Symbol>,
    /// None of them begins with another one, so the symbols of each are next to each other in the order of symbols.
    prefixes: BTreeSet<Box<str>>,
}

impl Grant {
    /// All that callers may do when nobody has to authenticate: read everything and push ticks.
    pub fn unrestricted() -> Self {
        let mut grant = Self { is_admin: true, ..Self::default() };
        grant.read.add(&Pattern::All);
        grant.publish.add(&Pattern::All);
        grant
    }

    /// Allows what a scope names, besides what is allowed already.
    fn allow(&mut self, scope: &Scope) {
        match scope {
            Scope::Admin => self.is_admin = true,
            Scope::Read(pattern) => self.read.add(pattern),
            Scope::Publish(pattern) => self.publish.add(pattern),
        }
    }

    /// Whether an instrument may be read. The time that this takes does not depend on which instruments exist.
    pub fn may_read(&self, symbol: &Symbol) -> bool {
        self.read.contains(symbol)
    }

    /// Whether every instrument may be read.
    pub fn reads_everything(&self) -> bool {
        self.read.all
    }

    /// Whether some instruments may be read.
    pub fn reads_something(&self) -> bool {
        !self.read.is_empty()
    }

    /// Whether ticks of an instrument may be pushed.
    pub fn may_publish(&self, symbol: &Symbol) -> bool {
        self.publish.contains(symbol)
    }

    /// Whether ticks of some instruments may be pushed.
    pub fn publishes_something(&self) -> bool {
        !self.publish.is_empty()
    }

    /// Whether what is for operators may be seen.
    pub fn is_admin(&self) -> bool {
        self.is_admin
    }
}

impl Symbols {
    fn add(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::All => self.all = true,
            Pattern::Exact(symbol) => {
                self.exact.insert(*symbol);
            }
            Pattern::Prefix(prefix) => {
                if self.prefix_of(prefix).is_none() {
                    self.prefixes.retain(|other| !other.starts_with(&**prefix));
                    self.prefixes.insert(prefix.clone());
                }
            }
        }
    }

    fn contains(&self, symbol: &Symbol) -> bool {
        self.all || self.exact.contains(symbol) || self.prefix_of(symbol.as_str()).is_some()
    }

    fn is_empty(&self) -> bool {
        !self.all && self.exact.is_empty() && self.prefixes.is_empty()
    }

    /// The prefix that a text begins with. It is the greatest one that is not after the text, because none begins with
    /// another.
    fn prefix_of(&self, text: &str) -> Option<&str> {
        let before = self.prefixes.range::<str, _>((Bound::Unbounded, Bound::Included(text))).next_back()?;
        text.starts_with(&**before).then_some(before)
    }
}

impl<'a> FromIterator<&'a Scope> for Grant {
    fn from_iter<I: IntoIterator<Item = &'a Scope>>(scopes: I) -> Self {
        let mut grant = Self::default();
        scopes.into_iter().for_each(|scope| grant.allow(scope));
        grant
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let scope = text.strip_prefix("ticker:").ok_or(ScopeError::Foreign)?;
        match scope.split_once(':').unwrap_or((scope, "*")) {
            ("admin", _) if scope == "admin" => Ok(Self::Admin),
            ("read", pattern) => pattern.parse().map(Self::Read),
            ("publish", pattern) => pattern.parse().map(Self::Publish),
            _ => Err(ScopeError::Foreign),
        }
    }
}

impl FromStr for Pattern {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::All),
            // What a symbol may begin with is itself a symbol.
            Some(prefix) if prefix.parse::<Symbol>().is_ok() => Ok(Self::Prefix(prefix.into())),
            Some(_) => Err(ScopeError::Pattern),
            None => text.parse().map(Self::Exact).map_err(|_| ScopeError::Pattern),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, pattern) = match self {
            Self::Admin => ("admin", &Pattern::All),
            Self::Read(pattern) => ("read", pattern),
            Self::Publish(pattern) => ("publish", pattern),
        };
        write!(f, "ticker:{name}")?;
        match pattern {
            Pattern::All => Ok(()),
            Pattern::Prefix(prefix) => write!(f, ":{prefix}*"),
            Pattern::Exact(symbol) => write!(f, ":{symbol}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grant(scopes: &[&str]) -> Grant {
        let scopes: Vec<Scope> = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
        scopes.iter().collect()
    }

    fn reads(scopes: &[&str], symbol: &str) -> bool {
        grant(scopes).may_read(&symbol.parse().unwrap())
    }

    #[test]
    fn a_scope_names_everything_a_prefix_or_one_symbol() {
        assert!(reads(&["ticker:read"], "TCS") && reads(&["ticker:read:*"], "NSE:TCS"));
        assert!(reads(&["ticker:read:NSE:*"], "NSE:TCS") && !reads(&["ticker:read:NSE:*"], "BSE:TCS"));
        assert!(reads(&["ticker:read:TCS"], "TCS") && !reads(&["ticker:read:TCS"], "TCSX"));
        assert!(!reads(&["ticker:read:TCS"], "tcs"), "case matters");
        assert!(!grant(&["ticker:publish", "ticker:admin"]).reads_something());
    }

    #[test]
    fn scopes_of_others_and_malformed_patterns_are_told_apart() {
        for foreign in [
            "",
            "openid",
            "read",
            "ticker",
            "ticker:",
            "ticker:write",
            "ticker:readx",
            "TICKER:READ",
            "ticker:admin:X",
        ] {
            assert_eq!(foreign.parse::<Scope>(), Err(ScopeError::Foreign), "{foreign:?}");
        }
        for malformed in
            ["ticker:read:", "ticker:read:**", "ticker:read:N*E", "ticker:read:a b", "ticker:read::*"]
        {
            assert_eq!(malformed.parse::<Scope>(), Err(ScopeError::Pattern), "{malformed:?}");
        }
        for text in
            ["ticker:read", "ticker:read:M&M", "ticker:publish", "ticker:publish:NSE:*", "ticker:admin"]
        {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn a_grant_allows_what_one_of_its_scopes_names(
            patterns in prop::collection::vec("[AB]{1,4}\\*?", 0..8), symbols in prop::collection::vec("[AB]{1,5}", 1..20),
        ) {
            let granted = |verb: &str| -> Grant {
                let scope = |text: &String| format!("ticker:{verb}:{text}").parse::<Scope>().unwrap();
                patterns.iter().map(scope).collect::<Vec<_>>().iter().collect()
            };
            let (reader, publisher) = (granted("read"), granted("publish"));
            prop_assert!(!reader.publishes_something() && !publisher.reads_something());
            for symbol in symbols {
                let expected = patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                    Some(prefix) => symbol.starts_with(prefix),
                    None => symbol == *pattern,
                });
                let symbol = symbol.parse().unwrap();
                prop_assert_eq!(reader.may_read(&symbol), expected, "{} of {:?}", symbol, patterns);
                prop_assert_eq!(publisher.may_publish(&symbol), expected, "{} of {:?}", symbol, patterns);
            }
        }
    }
}
