//! Issues tokens, as an identity provider does.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use ticker::{
    access::{Audience, install_cryptography},
    server::AuthFiles,
};

/// An issuer with one key, whose JWKS is in a file.
pub(crate) struct Issuer {
    key: EncodingKey,
    folder: TempDir,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        install_cryptography();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let x = base64url(pair.public_key().as_ref());
        let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "alg": "EdDSA", "use": "sig", "x": x}]});
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("jwks.json"), jwks.to_string()).unwrap();
        Self { key: EncodingKey::from_ed_der(pkcs8.as_ref()), folder }
    }

    /// The files of a server that accepts the tokens.
    pub(crate) fn files(&self) -> AuthFiles {
        AuthFiles {
            keys: self.folder.path().join("jwks.json"),
            roles: None,
            audience: Audience { issuer: "issuer".to_owned(), audience: "ticker".to_owned() },
        }
    }

    /// A token that is valid for this time from now on.
    pub(crate) fn token(&self, subject: &str, scope: &str, ttl: Duration) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.sign(json!({
            "sub": subject, "scope": scope, "iss": "issuer", "aud": "ticker",
            "iat": now.as_secs(), "exp": (now + ttl).as_secs(),
        }))
    }

    fn sign(&self, claims: Value) -> String {
        let header = Header { kid: Some("1".to_owned()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &self.key).unwrap()
    }
}

/// Base64 for URLs, without padding. (RFC 4648, section 5)
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let sixes = |three: &[u8]| {
        let word =
            three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        (0..=three.len())
            .map(|place| ALPHABET[(word >> (18 - 6 * place) & 63) as usize] as char)
            .collect::<Vec<_>>()
    };
    bytes.chunks(3).flat_map(sixes).collect()
}
