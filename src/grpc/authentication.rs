//! Authentication and authorization, in one place for all RPCs: who calls, and whether the RPC is allowed.

mod failures;
mod origin;
mod verified;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use http::{HeaderMap, header};
use tracing::debug;

pub(super) use self::origin::Origin;
use self::{failures::Failures, verified::Verified};
use super::{
    Rpc,
    caller::{Caller, CallerParts},
    caller_name::CallerName,
    requirement::Requirement,
    status::Failure,
    usage::{CallerLimits, Usages},
};
use crate::{
    access::{Grant, Plan, Refusal, Token, Tokens, VisibleTape},
    metrics::Counter,
    tape::Tape,
};

/// Authenticates and authorizes callers. One for all connections of a server.
pub struct Authentication {
    /// `None` when nobody has to authenticate.
    tokens: Option<Arc<Tokens>>,
    usages: Usages,
    verified: Verified,
    /// What is visible with each grant, while a caller has it.
    views: Mutex<HashMap<Grant, Weak<VisibleTape>>>,
    failures: Failures,
    accepted: Counter,
}

/// What is known of the caller of a request before any cryptography.
pub(super) enum Claimed<'a> {
    /// It needs no token.
    WithoutToken,
    /// A caller whose token was verified before.
    Known(Caller),
    /// Its token has to be verified, which takes about 100 µs.
    Unverified(&'a str),
}

impl Authentication {
    /// With tokens, every caller needs one that they accept. Without, nobody has to authenticate.
    pub fn new(tokens: Option<Arc<Tokens>>, limits: CallerLimits) -> Self {
        Self {
            tokens,
            usages: Usages::new(limits),
            verified: Verified::default(),
            views: Mutex::default(),
            failures: Failures::new(),
            accepted: Counter::default(),
        }
    }

    /// What is known of the caller of an RPC.
    ///
    /// # Errors
    /// There is not exactly one token of an allowed length, or the caller may not make this RPC, or its address has had too many
    /// failures.
    pub(super) fn claimed<'a>(
        &self,
        rpc: Rpc,
        headers: &'a HeaderMap,
        origin: Origin<'_>,
    ) -> Result<Claimed<'a>, Failure> {
        let requirement = rpc.requirement();
        let Some(tokens) = self.tokens.as_ref().filter(|_| requirement != Requirement::Nothing) else {
            return Ok(Claimed::WithoutToken);
        };
        let token = bearer(headers).map_err(|refusal| self.failures.note(refusal, origin))?;
        match self.verified.caller(tokens, token) {
            Some(caller) => {
                requirement.check(caller.grant())?;
                Ok(Claimed::Known(caller))
            }
            None if self.failures.are_too_many(origin) => Err(Failure::TooManyFailures),
            None => Ok(Claimed::Unverified(token)),
        }
    }

    /// Verifies the token of a caller that is not [known](Claimed::Known). `tape` is what it may see a part of.
    ///
    /// # Errors
    /// The token is not accepted, or does not allow this RPC.
    pub(super) fn verify(
        &self,
        rpc: Rpc,
        token: &str,
        origin: Origin<'_>,
        tape: &Arc<dyn Tape>,
    ) -> Result<Caller, Failure> {
        let caller = self.caller_of(token, origin, tape)?;
        rpc.requirement().check(caller.grant())?;
        Ok(caller)
    }

    /// Verifies a fresh token of a caller.
    ///
    /// # Errors
    /// The token is not accepted, or its subject is another one.
    pub(super) fn renew(
        &self,
        caller: &Caller,
        token: &str,
        origin: Origin<'_>,
        tape: &Arc<dyn Tape>,
    ) -> Result<Caller, Failure> {
        if self.failures.are_too_many(origin) {
            return Err(Failure::TooManyFailures);
        }
        let fresh = self.caller_of(token, origin, tape)?;
        match fresh.name() == caller.name() {
            true => Ok(fresh),
            false => Err(self.failures.note(Refusal::Subject, origin)),
        }
    }

    /// The caller of requests without a token: the name in its certificate, else its address.
    pub(super) fn without_token(&self, origin: Origin<'_>) -> Caller {
        let name = match (origin.certificate, origin.peer) {
            (Some(name), _) => CallerName::Certificate(name.into()),
            (None, Some(peer)) => CallerName::Address(peer.ip()),
            (None, None) => CallerName::Unknown,
        };
        let usage = self.usages.of(&name, Plan::default());
        // Clients behind one address, such as that of a proxy, must not use up the changes of each other.
        let changes = match name.is_authenticated() {
            true => usage.changes().clone(),
            false => self.usages.changes_of_connection(),
        };
        CallerParts { name, grant: Grant::unrestricted(), visible: None, token: None, usage, changes }.into()
    }

    /// How many authentications there were, by result.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        std::iter::once(("accepted", self.accepted.get())).chain(self.failures.totals())
    }

    /// How many callers hold streams or subscriptions, or were verified lately.
    pub fn callers(&self) -> usize {
        self.usages.count()
    }

    fn caller_of(&self, token: &str, origin: Origin<'_>, tape: &Arc<dyn Tape>) -> Result<Caller, Failure> {
        let Some(tokens) = &self.tokens else { return Err(Failure::NoTokens) };
        // Before the token is verified: if the keys are replaced meanwhile, it is verified again next time.
        let generation = tokens.generation();
        let verified = tokens.verify(token).map_err(|refusal| self.failures.note(refusal, origin))?;
        self.accepted.add(1);
        debug!(peer = origin.peer.map(display), subject = &*verified.subject, "accepted a token");
        let caller = self.caller(verified, tape);
        self.verified.keep(tokens, generation, token, &caller);
        Ok(caller)
    }

    fn caller(&self, token: Token, tape: &Arc<dyn Tape>) -> Caller {
        let name = CallerName::Subject(token.subject.clone());
        let usage = self.usages.of(&name, token.plan);
        let visible = (!token.grant.reads_everything()).then(|| self.view(&token.grant, tape));
        let changes = usage.changes().clone();
        CallerParts { name, grant: token.grant.clone(), visible, token: Some(token), usage, changes }.into()
    }

    /// What a grant covers of a tape. Callers with the same grant share it.
    fn view(&self, grant: &Grant, tape: &Arc<dyn Tape>) -> Arc<dyn Tape> {
        let views = &mut *self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(grant).and_then(Weak::upgrade) {
            return view;
        }
        views.retain(|_, view| view.strong_count() > 0);
        let view = Arc::new(VisibleTape::new(tape.clone(), grant.clone()));
        views.insert(grant.clone(), Arc::downgrade(&view));
        view
    }
}

/// The token of a request. (RFC 6750, section 2.1)
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    const SCHEME: &str = "bearer ";
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let value = values.next().ok_or(Refusal::Missing)?;
    if values.next().is_some() {
        return Err(Refusal::Several);
    }
    if value.len() > Tokens::LONGEST {
        return Err(Refusal::TooLong);
    }
    let value = value.to_str().map_err(|_| Refusal::Malformed)?;
    match value.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(token.trim()),
        _ => Err(Refusal::NotBearer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_bearer_token_of_limited_length_is_read() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            headers
        };
        let read = |values: &[&str]| bearer(&headers(values)).map(str::to_owned);
        assert_eq!(read(&["Bearer a.b.c"]).as_deref(), Ok("a.b.c"));
        assert_eq!(read(&["bearer  a.b.c"]).as_deref(), Ok("a.b.c"));
        assert_eq!(read(&[]), Err(Refusal::Missing));
        assert_eq!(read(&["Bearer a", "Bearer a"]), Err(Refusal::Several));
        assert_eq!(read(&["Basic YTpi"]), Err(Refusal::NotBearer));
        assert_eq!(read(&["Bearer"]), Err(Refusal::NotBearer));
        assert_eq!(read(&[&format!("Bearer {}", "x".repeat(16 * 1024))]), Err(Refusal::TooLong));
    }
}
