//! Callers whose tokens were verified lately.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};

use crate::{access::Tokens, grpc::caller::Caller};

/// The callers whose tokens were verified lately, so that a token is verified once.
#[derive(Default)]
pub(super) struct Verified(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// That of the keys and roles with which they were verified.
    generation: u64,
    /// By the SHA-256 of the token, so that no token is kept.
    callers: HashMap<[u8; 32], Caller>,
}

impl Verified {
    /// Most callers that are kept.
    const MOST: usize = 10_000;

    /// The caller of a token; `None` when it has to be verified.
    pub(super) fn caller(&self, tokens: &Tokens, token: &str) -> Option<Caller> {
        let caller = self.lock(tokens).callers.get(&digest(token)).cloned()?;
        is_valid(tokens, &caller).then_some(caller)
    }

    /// Keeps a caller whose token was verified with the keys of this generation.
    pub(super) fn keep(&self, tokens: &Tokens, generation: u64, token: &str, caller: &Caller) {
        let kept = &mut *self.lock(tokens);
        if kept.callers.len() >= Self::MOST {
            kept.callers.retain(|_, caller| is_valid(tokens, caller));
            if kept.callers.len() >= Self::MOST {
                kept.callers.clear();
            }
        }
        if kept.generation == generation {
            kept.callers.insert(digest(token), caller.clone());
        }
    }

    /// What is kept, without those that were verified with keys or roles that have been replaced.
    fn lock(&self, tokens: &Tokens) -> MutexGuard<'_, Kept> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = tokens.generation();
        if kept.generation != generation {
            *kept = Kept { generation, callers: HashMap::new() };
        }
        kept
    }
}

fn is_valid(tokens: &Tokens, caller: &Caller) -> bool {
    caller.token().is_some_and(|token| tokens.is_valid(token))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
