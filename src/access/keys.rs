//! The public keys that tokens are signed with: a JWKS, or one key in PEM.

use std::collections::{HashMap, hash_map::Entry};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use thiserror::Error;

/// Keys, each with its only algorithm.
pub struct KeySet(Keys);

/// A key and the algorithm that it is used with, which a token cannot change.
#[derive(Clone)]
pub(super) struct VerificationKey {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

enum Keys {
    /// By `kid`.
    ById(HashMap<String, VerificationKey>),
    /// One key in PEM, which has no `kid`: tokens need not name it.
    Only(VerificationKey),
}

/// Why a file has no keys.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It is neither.
    #[error("it is neither a JWKS ({{\"keys\": […]}}) nor a public key in PEM: {0}")]
    Malformed(String),
    /// A key of a JWKS cannot be used.
    #[error("key {0} of the JWKS {1}")]
    Key(usize, &'static str),
    /// No key is left.
    #[error("the JWKS has no key for signatures with EdDSA (Ed25519), ES256 or RS256")]
    NoKey,
}

impl KeySet {
    /// Reads a JWKS, or one public key in PEM. Keys for encryption and of other algorithms are left out.
    ///
    /// # Errors
    /// The text is neither, a key is malformed or has no `kid`, two have the same, one is secret, or none is left.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.contains("-----BEGIN") {
            return Ok(Self(Keys::Only(of_pem(text)?)));
        }
        let set: JwkSet =
            serde_json::from_str(text).map_err(|error| KeyError::Malformed(error.to_string()))?;
        let mut keys = HashMap::new();
        for (at, jwk) in set.keys.iter().enumerate() {
            let refused = |problem| KeyError::Key(at + 1, problem);
            let Some(key) = of_jwk(jwk).map_err(refused)? else { continue };
            let Some(kid) = &jwk.common.key_id else {
                return Err(refused("has no kid: give it one, because tokens name their key by it"));
            };
            match keys.entry(kid.clone()) {
                Entry::Vacant(vacant) => drop(vacant.insert(key)),
                Entry::Occupied(_) => {
                    return Err(refused("has the kid of a key before it: give each its own"));
                }
            }
        }
        match keys.is_empty() {
            true => Err(KeyError::NoKey),
            false => Ok(Self(Keys::ById(keys))),
        }
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        match &self.0 {
            Keys::ById(keys) => keys.len(),
            Keys::Only(_) => 1,
        }
    }

    /// The key that a token names.
    pub(super) fn key(&self, kid: Option<&str>) -> Option<&VerificationKey> {
        match &self.0 {
            Keys::ById(keys) => keys.get(kid?),
            Keys::Only(key) => Some(key),
        }
    }
}

/// The key for signatures; `None` when it is for something else.
fn of_jwk(jwk: &Jwk) -> Result<Option<VerificationKey>, &'static str> {
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return Ok(None);
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => {
            return Err("is a secret (kty oct): a JWKS for this server has public keys only");
        }
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return Ok(None),
    };
    if jwk.common.key_algorithm.as_ref().is_some_and(|algorithm| *algorithm != named) {
        return Ok(None);
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|_| "is malformed")?;
    Ok(Some(VerificationKey { algorithm, key }))
}

fn of_pem(text: &str) -> Result<VerificationKey, KeyError> {
    /// The head of a SubjectPublicKeyInfo up to the key itself. (RFC 8410, section 10.1)
    const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    /// The same of a point on P-256 that is not compressed. (RFC 5480)
    const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
    /// `rsaEncryption` with its empty parameters, and the tag of the key, whose length follows. (RFC 8017, appendix A.1)
    const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82";
    let malformed = |problem: &str| KeyError::Malformed(problem.to_owned());
    let mut keys = SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes());
    let (Some(Ok(der)), None) = (keys.next(), keys.next()) else {
        return Err(malformed(
            "a PEM file needs exactly one -----BEGIN PUBLIC KEY-----; several keys go into a JWKS",
        ));
    };
    let der = der.as_ref();
    let key = |algorithm, key| Ok(VerificationKey { algorithm, key });
    if let Some(point) = der.strip_prefix(ED25519) {
        return key(Algorithm::EdDSA, DecodingKey::from_ed_der(point));
    }
    if let Some(point) = der.strip_prefix(P256) {
        return key(Algorithm::ES256, DecodingKey::from_ec_der(point));
    }
    // A sequence whose length has two bytes; then the key after its own length and the number of unused bits.
    let rsa = der.get(4..).and_then(|der| der.strip_prefix(RSA)?.get(3..));
    match rsa {
        Some(rsa) => key(Algorithm::RS256, DecodingKey::from_rsa_der(rsa)),
        None => Err(malformed("the key is none of Ed25519, P-256 and RSA")),
    }
}
