//! Authentication and authorization, in one place for all RPCs: who calls, and whether the RPC is allowed.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use tracing::{debug, info};

use super::{
    Rpc,
    caller::Caller,
    caller_name::CallerName,
    status::Failure,
    usage::{CallerLimits, Usages},
};
use crate::{
    access::{Grant, Plan, Refusal, Token, Tokens, VisibleTape},
    metrics::Counter,
    rate::Rate,
    tape::Tape,
};

/// Knows who calls. One for all connections of a server.
pub struct Authentication {
    /// `None` when nobody has to authenticate.
    tokens: Option<Arc<Tokens>>,
    usages: Usages,
    verified: Mutex<Verified>,
    /// What is visible with each grant, while a caller has it.
    views: Mutex<HashMap<Grant, Weak<VisibleTape>>>,
    /// Failures by address, while they are counted.
    failures: Mutex<HashMap<IpAddr, Rate>>,
    /// Lines of the log about failures.
    log: Mutex<Rate>,
    accepted: Counter,
    /// By the place of the reason in [`Refusal::ALL`].
    refused: [Counter; Refusal::ALL.len()],
}

/// The callers whose tokens were verified lately, by the SHA-256 of the token, so that no token is kept.
#[derive(Default)]
struct Verified {
    generation: u64,
    callers: HashMap<[u8; 32], Caller>,
}

/// What an RPC needs of its caller, when callers have to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing.
    Nothing,
    /// A token, whatever it allows.
    Token,
    /// A scope of `ticker:read`.
    Read,
    /// The scope `ticker:publish`.
    Publish,
}

/// Where a request comes from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The address of the peer; `None` on a network without addresses.
    pub(super) peer: Option<SocketAddr>,
    /// The name in the certificate of the client, if it has shown one.
    pub(super) certificate: Option<&'a str>,
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

impl Rpc {
    /// What the RPC needs of its caller. There is no default: a new RPC has to be added here.
    pub fn requirement(self) -> Requirement {
        match self {
            Self::HealthCheck => Requirement::Nothing,
            Self::HealthWatch | Self::Reflection | Self::ReflectionAlpha | Self::Other => Requirement::Token,
            Self::GogenTickerStream
            | Self::TickerStream
            | Self::Watch
            | Self::ListInstruments
            | Self::GetLastPrices
            | Self::GetTape
            | Self::ListTicks
            | Self::ListCandles
            | Self::DigestTicks => Requirement::Read,
            Self::Publish => Requirement::Publish,
        }
    }
}

impl Requirement {
    fn check(self, grant: &Grant) -> Result<(), Failure> {
        match self {
            Self::Read if !grant.reads_something() => Err(Failure::Forbidden("ticker:read")),
            Self::Publish if !grant.publishes() => Err(Failure::Forbidden("ticker:publish")),
            _ => Ok(()),
        }
    }
}

impl Authentication {
    /// Most callers whose verified tokens are kept.
    const MOST_VERIFIED: usize = 10_000;
    /// Failures of one address in a second, after which no token of it is verified that was not verified before.
    const FAILURES_PER_SECOND: f64 = 1.0;
    /// Failures of one address that may come at once.
    const MOST_FAILURES: f64 = 20.0;
    /// Most addresses whose failures are counted.
    const MOST_ADDRESSES: usize = 10_000;
    /// Lines of the log in a second about failures.
    const LINES_PER_SECOND: f64 = 10.0;

    /// With tokens, every caller needs one that they accept. Without, nobody has to authenticate.
    pub fn new(tokens: Option<Arc<Tokens>>, limits: CallerLimits) -> Self {
        Self {
            tokens,
            usages: Usages::new(limits),
            verified: Mutex::default(),
            views: Mutex::default(),
            failures: Mutex::default(),
            log: Mutex::new(Rate::new(Self::LINES_PER_SECOND, Self::LINES_PER_SECOND)),
            accepted: Counter::default(),
            refused: Default::default(),
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
        let token = bearer(headers).map_err(|refusal| self.refuse(refusal, origin))?;
        match self.verified_before(tokens, token) {
            Some(caller) => {
                requirement.check(caller.grant())?;
                Ok(Claimed::Known(caller))
            }
            None if self.has_failed_often(origin) => Err(Failure::TooManyFailures),
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
        if self.has_failed_often(origin) {
            return Err(Failure::TooManyFailures);
        }
        let fresh = self.caller_of(token, origin, tape)?;
        match fresh.name() == caller.name() {
            true => Ok(fresh),
            false => Err(self.refuse(Refusal::Subject, origin)),
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
        Caller::new(name, Grant::unrestricted(), None, None, usage)
    }

    /// How many authentications there were, by result.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let refused = Refusal::ALL.into_iter().zip(&self.refused);
        let refused = refused.map(|(refusal, count)| (refusal.name(), count.get()));
        std::iter::once(("accepted", self.accepted.get())).chain(refused)
    }

    /// How many callers hold streams or subscriptions, or were verified lately.
    pub fn callers(&self) -> usize {
        self.usages.count()
    }

    /// The caller of a token, unless it has to be verified again.
    fn verified_before(&self, tokens: &Tokens, token: &str) -> Option<Caller> {
        let caller = self.lock_verified(tokens).callers.get(&digest(token)).cloned()?;
        caller.token().is_some_and(|token| tokens.is_valid(token)).then_some(caller)
    }

    fn caller_of(&self, token: &str, origin: Origin<'_>, tape: &Arc<dyn Tape>) -> Result<Caller, Failure> {
        let Some(tokens) = &self.tokens else { return Err(Failure::NoTokens) };
        // Before the token is verified: if the keys are replaced meanwhile, it is verified again next time.
        let generation = tokens.generation();
        let verified = tokens.verify(token).map_err(|refusal| self.refuse(refusal, origin))?;
        self.accepted.add(1);
        debug!(peer = origin.peer.map(display), subject = &*verified.subject, "accepted a token");
        let caller = self.caller(verified, tape);
        let cache = &mut *self.lock_verified(tokens);
        if cache.callers.len() >= Self::MOST_VERIFIED {
            cache.callers.retain(|_, caller| caller.token().is_some_and(|token| tokens.is_valid(token)));
            if cache.callers.len() >= Self::MOST_VERIFIED {
                cache.callers.clear();
            }
        }
        if cache.generation == generation {
            cache.callers.insert(digest(token), caller.clone());
        }
        Ok(caller)
    }

    fn caller(&self, token: Token, tape: &Arc<dyn Tape>) -> Caller {
        let name = CallerName::Subject(token.subject.clone());
        let usage = self.usages.of(&name, token.plan);
        let visible = (!token.grant.reads_everything()).then(|| self.view(&token.grant, tape));
        Caller::new(name, token.grant.clone(), visible, Some(token), usage)
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

    /// Counts and logs a failure. The token is not in the log.
    fn refuse(&self, refusal: Refusal, origin: Origin<'_>) -> Failure {
        self.refused[refusal as usize].add(1);
        // Who forgets the token costs nothing, and must not lock out others of its address.
        if let Some(peer) = origin.peer.filter(|_| refusal != Refusal::Missing) {
            self.rate_of(peer.ip(), |failures| failures.take(1.0));
        }
        if self.log.lock().unwrap_or_else(PoisonError::into_inner).take(1.0) {
            info!(
                peer = origin.peer.map(display),
                certificate = origin.certificate,
                reason = refusal.name(),
                "refused a token"
            );
        }
        Failure::Unauthenticated(refusal)
    }

    fn has_failed_often(&self, origin: Origin<'_>) -> bool {
        let Some(peer) = origin.peer else { return false };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get_mut(&peer.ip()).is_some_and(|failures| !failures.has_some())
    }

    fn rate_of<T>(&self, address: IpAddr, act: impl FnOnce(&mut Rate) -> T) -> T {
        let failures = &mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= Self::MOST_ADDRESSES && !failures.contains_key(&address) {
            failures.retain(|_, failures| !failures.is_full());
            if failures.len() >= Self::MOST_ADDRESSES {
                failures.clear();
            }
        }
        act(failures
            .entry(address)
            .or_insert_with(|| Rate::new(Self::FAILURES_PER_SECOND, Self::MOST_FAILURES)))
    }

    /// The verified tokens, without those of keys that were replaced.
    fn lock_verified(&self, tokens: &Tokens) -> MutexGuard<'_, Verified> {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = tokens.generation();
        if verified.generation != generation {
            *verified = Verified { generation, callers: HashMap::new() };
        }
        verified
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
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
    use std::collections::BTreeSet;

    use prost::Message;

    use super::*;

    #[test]
    fn every_method_of_every_service_needs_something_that_was_decided() {
        let sets = [
            crate::contract::DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let mut open = BTreeSet::new();
        for set in sets {
            let files = prost_types::FileDescriptorSet::decode(set).unwrap();
            for file in &files.file {
                for service in &file.service {
                    for method in &service.method {
                        let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                        let rpc = Rpc::of_path(&format!("/{name}"));
                        assert_ne!(rpc, Rpc::Other, "{name} has no requirement of its own");
                        if rpc.requirement() == Requirement::Nothing {
                            open.insert(name);
                        }
                    }
                }
            }
        }
        assert_eq!(open.into_iter().collect::<Vec<_>>(), ["grpc.health.v1.Health/Check"]);
        assert_eq!(Rpc::Other.requirement(), Requirement::Token);
    }

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
