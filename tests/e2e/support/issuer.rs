//! Issues tokens, as an identity provider does.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet},
};
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
        let public = DecodingKey::from_ed_der(pair.public_key().as_ref());
        let mut jwk = Jwk::from_decoding_key(&public, Some(Algorithm::EdDSA)).unwrap();
        jwk.common.key_id = Some("1".to_owned());
        let jwks = serde_json::to_string(&JwkSet { keys: vec![jwk] }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("jwks.json"), jwks).unwrap();
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
