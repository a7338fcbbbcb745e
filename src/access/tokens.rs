//! Verification of JSON Web Tokens. (RFC 7519, and RFC 8725 for what must not be accepted)

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{
    Algorithm, Validation, decode, decode_header,
    errors::{Error, ErrorKind},
};
use tokio::time::Instant;

use super::{Grant, KeySet, LEEWAY, Plan, Roles, claims::Claims, ring_provider};

/// Verifies tokens. Keys and roles can be replaced at any time.
pub struct Tokens {
    audience: Audience,
    state: RwLock<Arc<State>>,
    /// The time on the wall.
    now: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

/// Who issues tokens, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// The claim `iss`.
    pub issuer: String,
    /// One of the claim `aud`.
    pub audience: String,
}

struct State {
    keys: KeySet,
    roles: Roles,
    generation: u64,
}

/// A token that was verified.
#[derive(Clone, Debug)]
pub struct Token {
    /// The claim `sub`.
    pub subject: Arc<str>,
    /// What it allows.
    pub grant: Grant,
    /// Limits that it narrows.
    pub plan: Plan,
    /// The claim `exp`.
    pub expires: SystemTime,
    /// The same on the clock of this machine that never jumps.
    pub expires_at: Instant,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none.
    Missing,
    /// There is more than one value of `authorization`.
    Several,
    /// It is longer than [`Tokens::LONGEST`].
    TooLong,
    /// It is no `Bearer` token.
    NotBearer,
    /// It is no JSON Web Token.
    Malformed,
    /// Its header has the member `crit`.
    Critical,
    /// It names no key, or one that is not known.
    UnknownKey,
    /// It is signed with an algorithm that its key is not for.
    Algorithm,
    /// Its signature is wrong.
    Signature,
    /// A claim is missing or malformed.
    Claims,
    /// It was issued by another issuer.
    Issuer,
    /// It is for another audience.
    Audience,
    /// It is not valid yet.
    NotYetValid,
    /// It has expired.
    Expired,
    /// It is for another subject than the stream.
    Subject,
}

impl Tokens {
    /// Longest token, in bytes.
    pub const LONGEST: usize = 4 * 1024;

    /// Longest subject, in bytes.
    pub const LONGEST_SUBJECT: usize = Claims::LONGEST_SUBJECT;

    /// Verifies with these keys.
    pub fn new(audience: Audience, keys: KeySet, roles: Roles) -> Self {
        Self::with_clock(audience, keys, roles, SystemTime::now)
    }

    /// The same, on another clock than that of the system.
    pub fn with_clock(
        audience: Audience,
        keys: KeySet,
        roles: Roles,
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        ring_provider::install();
        let state = RwLock::new(Arc::new(State { keys, roles, generation: 0 }));
        Self { audience, state, now: Box::new(now) }
    }

    /// Replaces the keys and roles. Streams that are open go on.
    pub fn replace(&self, keys: KeySet, roles: Roles) {
        let state = &mut *self.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = Arc::new(State { keys, roles, generation: state.generation + 1 });
    }

    /// Rises whenever the keys or roles are replaced. What was verified before has to be verified again.
    pub fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// It is not accepted.
    pub fn verify(&self, token: &str) -> Result<Token, Refusal> {
        if token.len() > Self::LONGEST {
            return Err(Refusal::TooLong);
        }
        let state = self.state();
        let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
        if header.crit.is_some() {
            return Err(Refusal::Critical);
        }
        let key = state.keys.key(header.kid.as_deref()).ok_or(Refusal::UnknownKey)?;
        let claims =
            decode::<Claims>(token, &key.key, &self.validation(key.algorithm)).map_err(refusal)?.claims;
        let now = (self.now)();
        self.check_times(&claims, now)?;
        if claims.sub.is_empty() || claims.sub.len() > Claims::LONGEST_SUBJECT {
            return Err(Refusal::Claims);
        }
        let expires = UNIX_EPOCH + Duration::from_secs(claims.exp);
        let expires_at = match expires.duration_since(now) {
            Ok(left) => Instant::now().checked_add(left).ok_or(Refusal::Claims)?,
            // Expired, and accepted because of the leeway.
            Err(ago) => Instant::now().checked_sub(ago.duration()).unwrap_or_else(Instant::now),
        };
        Ok(Token {
            grant: claims.grant(&state.roles),
            subject: claims.sub.into(),
            plan: claims.plan,
            expires,
            expires_at,
        })
    }

    /// Whether a token that was accepted before is still valid: by the clock that never jumps, which limits how long a token
    /// may be used, and by the clock on the wall.
    pub fn is_valid(&self, token: &Token) -> bool {
        Instant::now() < token.expires_at + LEEWAY && (self.now)() < token.expires + LEEWAY
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.audience.issuer]);
        validation.set_audience(&[&self.audience.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Times are checked here, on the clock of this verifier.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        validation
    }

    fn check_times(&self, claims: &Claims, now: SystemTime) -> Result<(), Refusal> {
        let time = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        if now >= time(claims.exp) + LEEWAY {
            return Err(Refusal::Expired);
        }
        let begins = claims.nbf.map_or(claims.iat, |nbf| nbf.max(claims.iat));
        if time(begins) > now + LEEWAY {
            return Err(Refusal::NotYetValid);
        }
        Ok(())
    }

    fn state(&self) -> Arc<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn refusal(error: Error) -> Refusal {
    match error.kind() {
        ErrorKind::InvalidSignature | ErrorKind::Provider(_) | ErrorKind::Signing(_) => Refusal::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => Refusal::Algorithm,
        ErrorKind::InvalidIssuer => Refusal::Issuer,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::Json(_) | ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => {
            Refusal::Claims
        }
        _ => Refusal::Malformed,
    }
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Missing,
        Self::Several,
        Self::TooLong,
        Self::NotBearer,
        Self::Malformed,
        Self::Critical,
        Self::UnknownKey,
        Self::Algorithm,
        Self::Signature,
        Self::Claims,
        Self::Issuer,
        Self::Audience,
        Self::NotYetValid,
        Self::Expired,
        Self::Subject,
    ];

    /// Its name in the log and in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Several => "several",
            Self::TooLong => "too_long",
            Self::NotBearer => "not_bearer",
            Self::Malformed => "malformed",
            Self::Critical => "critical",
            Self::UnknownKey => "unknown_key",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Subject => "subject",
        }
    }
}

/// What the client is told. It says nothing that helps to forge a token.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "a token is required: send the metadata `authorization: Bearer TOKEN`, once",
            Self::Expired => "the token has expired: get a fresh one",
            _ => "the token is invalid: get one that the issuer of this service has made for you",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use jsonwebtoken::{EncodingKey, Header, encode};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The private key of RFC 8410, section 10.3, and its public key.
    const PRIVATE: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\
        \xd4\xee\x72\xdb\xf9\x13\x58\x4a\xd5\xb6\xd8\xf1\xf7\x69\xf8\xad\x3a\xfe\x7c\x28\xcb\xf1\xd4\xfb\xe0\x97\xa8\x8f\
        \x44\x75\x58\x42";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    const NOW: u64 = 1_800_000_000;

    type Clock = Arc<Mutex<SystemTime>>;

    fn tokens() -> (Tokens, Clock) {
        let clock = Clock::new(Mutex::new(UNIX_EPOCH + Duration::from_secs(NOW)));
        let audience = Audience { issuer: "i".to_owned(), audience: "a".to_owned() };
        let now = clock.clone();
        let keys = KeySet::parse(PUBLIC).unwrap();
        (Tokens::with_clock(audience, keys, Roles::default(), move || *now.lock().unwrap()), clock)
    }

    fn claims() -> Value {
        json!({"sub": "s", "iss": "i", "aud": "a", "iat": NOW, "exp": NOW + 600, "scope": "openid ticker:read"})
    }

    fn sign(claims: &Value) -> String {
        ring_provider::install();
        encode(&Header::new(Algorithm::EdDSA), claims, &EncodingKey::from_ed_der(PRIVATE)).unwrap()
    }

    fn with(name: &str, value: Value) -> Result<Token, Refusal> {
        let mut claims = claims();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        tokens().0.verify(&sign(&claims))
    }

    #[tokio::test]
    async fn a_token_says_who_its_caller_is_and_what_it_may_do() {
        let token = with("max_streams", json!(3)).unwrap();
        assert_eq!((&*token.subject, token.plan.max_streams, token.plan.max_symbols), ("s", Some(3), None));
        assert!(token.grant.reads_everything() && !token.grant.publishes_something());
        assert_eq!(token.expires, UNIX_EPOCH + Duration::from_secs(NOW + 600));
        assert!(with("aud", json!(["other", "a"])).is_ok());
        assert!(with("exp", json!(NOW as f64 + 600.5)).is_ok());
        assert!(with("scope", json!(["ticker:publish"])).unwrap().grant.publishes_something());
    }

    #[tokio::test]
    async fn each_claim_is_checked() {
        for (claim, value, refusal) in [
            ("exp", json!(NOW - 30), Refusal::Expired),
            ("exp", Value::Null, Refusal::Claims),
            ("iss", Value::Null, Refusal::Claims),
            ("aud", Value::Null, Refusal::Claims),
            ("sub", Value::Null, Refusal::Claims),
            ("iss", json!("other"), Refusal::Issuer),
            ("aud", json!("other"), Refusal::Audience),
            ("aud", json!([]), Refusal::Audience),
            ("nbf", json!(NOW + 31), Refusal::NotYetValid),
            ("iat", json!(NOW + 31), Refusal::NotYetValid),
            ("sub", json!(""), Refusal::Claims),
            ("sub", json!("s".repeat(256)), Refusal::Claims),
        ] {
            assert_eq!(with(claim, value.clone()).unwrap_err(), refusal, "{claim}: {value}");
        }
        for (claim, value) in [
            ("exp", json!((NOW + 600).to_string())),
            ("exp", json!(-1)),
            ("exp", json!(1e300)),
            ("iat", Value::Null),
            ("nbf", json!("now")),
            ("sub", json!(7)),
            ("scope", json!({"a": 1})),
            ("max_streams", json!(-1)),
        ] {
            assert!(with(claim, value.clone()).is_err(), "{claim}: {value}");
        }
        assert!(with("exp", json!(NOW - 29)).is_ok() && with("nbf", json!(NOW + 30)).is_ok(), "the leeway");
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_of_the_clock_does_not_keep_a_token_alive() {
        let (tokens, clock) = tokens();
        let token = tokens.verify(&sign(&claims())).unwrap();
        let set = |seconds| *clock.lock().unwrap() = UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(tokens.is_valid(&token));
        // Back by a day: the time that the token was valid for goes on.
        set(NOW - 86_400);
        tokio::time::advance(Duration::from_secs(629)).await;
        assert!(tokens.is_valid(&token));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!tokens.is_valid(&token));
        // Ahead by an hour.
        set(NOW);
        let token = tokens.verify(&sign(&claims())).unwrap();
        set(NOW + 3_600);
        assert!(!tokens.is_valid(&token));
    }

    proptest! {
        #[test]
        fn no_other_bytes_are_accepted(at in 0_usize..400, byte in any::<u8>()) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _guard = runtime.enter();
            let valid = sign(&claims());
            let mut bytes = valid.clone().into_bytes();
            let at = at % bytes.len();
            // The last character of the signature has bits that mean nothing; the decoder refuses others than zero there.
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(tokens().0.verify(&text).is_err(), "{}", text);
            }
        }
    }
}
