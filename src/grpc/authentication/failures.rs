//! Failed authentications: how many there were, and how many of one address may follow each other.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use tracing::info;

use super::origin::Origin;
use crate::{access::Refusal, grpc::status::Failure, metrics::Counter, rate::Rate};

/// Counts, limits and logs failed authentications.
pub(super) struct Failures {
    /// What each address has left, while that is less than at first.
    by_address: Mutex<HashMap<IpAddr, Rate>>,
    /// Limits the lines of the log.
    log: Mutex<Rate>,
    /// By the place of the reason in [`Refusal::ALL`].
    counts: [Counter; Refusal::ALL.len()],
}

impl Failures {
    /// Failures of one address in a second.
    const PER_SECOND: f64 = 1.0;
    /// Failures of one address that may come at once.
    const AT_ONCE: f64 = 20.0;
    /// Most addresses whose failures are counted.
    const MOST_ADDRESSES: usize = 10_000;
    /// Lines of the log in a second.
    const LINES_PER_SECOND: f64 = 10.0;

    pub(super) fn new() -> Self {
        Self {
            by_address: Mutex::default(),
            log: Mutex::new(Rate::new(Self::LINES_PER_SECOND, Self::LINES_PER_SECOND)),
            counts: Default::default(),
        }
    }

    /// Counts and logs a failure, and returns it. The token is not in the log.
    pub(super) fn note(&self, refusal: Refusal, origin: Origin<'_>) -> Failure {
        self.counts[refusal as usize].add(1);
        // A missing token costs no cryptography, and must not block other clients of the same address.
        if let Some(peer) = origin.peer.filter(|_| refusal != Refusal::Missing) {
            self.take(peer.ip());
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

    /// Whether so many authentications of an address have failed that no token of it is verified for a while.
    pub(super) fn are_too_many(&self, origin: Origin<'_>) -> bool {
        let Some(peer) = origin.peer else { return false };
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        by_address.get_mut(&peer.ip()).is_some_and(|left| !left.has_some())
    }

    /// How many there were, by reason.
    pub(super) fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::ALL.into_iter().zip(&self.counts).map(|(refusal, count)| (refusal.name(), count.get()))
    }

    fn take(&self, address: IpAddr) {
        let by_address = &mut *self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.len() >= Self::MOST_ADDRESSES && !by_address.contains_key(&address) {
            by_address.retain(|_, left| !left.is_full());
            if by_address.len() >= Self::MOST_ADDRESSES {
                by_address.clear();
            }
        }
        by_address.entry(address).or_insert_with(|| Rate::new(Self::PER_SECOND, Self::AT_ONCE)).take(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(number: u8) -> Origin<'static> {
        Origin { peer: Some(([127, 0, 0, number], 1).into()), certificate: None }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_with_many_failures_waits_and_others_do_not() {
        let failures = Failures::new();
        for _ in 0..100 {
            failures.note(Refusal::Missing, of(1));
        }
        assert!(!failures.are_too_many(of(1)), "a token that is missing costs nothing");
        for _ in 0..20 {
            assert!(!failures.are_too_many(of(1)));
            failures.note(Refusal::Signature, of(1));
        }
        assert!(failures.are_too_many(of(1)) && !failures.are_too_many(of(2)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!failures.are_too_many(of(1)));
        let counts: HashMap<_, _> = failures.totals().collect();
        assert_eq!((counts["missing"], counts["signature"]), (100, 20));
    }
}
