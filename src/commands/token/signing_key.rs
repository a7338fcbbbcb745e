//! The key that tokens are signed with: Ed25519, new or from a file.

use std::{fs, io, path::Path};

use anyhow::{Context, anyhow};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use rcgen::{KeyPair, PKCS_ED25519};
use ring::rand as secure_random;
use serde::Serialize;

use crate::{
    access,
    commands::output_files::{self, Readers},
};

/// A private key, and the JWK of its public key.
pub(super) struct SigningKey {
    key: EncodingKey,
    jwk: Jwk,
}

impl SigningKey {
    /// Makes a key that is not kept.
    pub(super) fn new() -> anyhow::Result<Self> {
        Self::of(&new_key()?)
    }

    /// Reads the key of a file, and makes the file if it is missing.
    pub(super) fn of_file(path: &Path) -> anyhow::Result<Self> {
        let key = match fs::read_to_string(path) {
            Ok(pem) => KeyPair::from_pkcs8_pem_and_sign_algo(&pem, &PKCS_ED25519).map_err(|_| {
                anyhow!(
                    "{} holds no Ed25519 key as PKCS#8 in PEM: put one there, or remove the file to have a new key made",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = new_key()?;
                output_files::create(path, &key.serialize_pem(), Readers::Owner)?;
                key
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Self::of(&key)
    }

    fn of(key: &KeyPair) -> anyhow::Result<Self> {
        access::install_cryptography();
        let public = DecodingKey::from_ed_der(key.public_key_raw());
        let mut jwk = Jwk::from_decoding_key(&public, Some(Algorithm::EdDSA))
            .context("cannot write the public key as a JWK")?;
        let thumbprint =
            jwk.thumbprint(ThumbprintHash::SHA256).context("cannot make the thumbprint of the key")?;
        jwk.common.key_id = Some(thumbprint);
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { key: EncodingKey::from_ed_der(key.serialized_der()), jwk })
    }

    /// The public key as a JWKS on one line.
    pub(super) fn jwks(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&JwkSet { keys: vec![self.jwk.clone()] })?)
    }

    /// Signs claims: the result is a token.
    pub(super) fn sign(&self, claims: &impl Serialize) -> anyhow::Result<String> {
        let header = Header { kid: self.jwk.common.key_id.clone(), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &self.key).context("cannot sign the token")
    }
}

/// A new key without its public part, because OpenSSL 3.0 reads no key in which ring and rcgen have put that.
fn new_key() -> anyhow::Result<KeyPair> {
    /// The head of a PKCS#8 key up to the seed. (RFC 8410, section 7)
    const HEAD: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let seed = secure_random::generate::<[u8; 32]>(&secure_random::SystemRandom::new());
    let seed = seed.map_err(|_| anyhow!("there is no randomness for a key"))?.expose();
    KeyPair::try_from([HEAD, &seed].concat()).context("cannot make a key")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The example of RFC 8037, appendix A: its private key (A.1), public key (A.2) and thumbprint (A.3).
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
         MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
         -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    #[test]
    fn the_key_of_a_file_is_named_by_its_thumbprint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, PRIVATE).unwrap();
        let key = SigningKey::of_file(&path).unwrap();
        let jwks: Value = serde_json::from_str(&key.jwks().unwrap()).unwrap();
        let expected = serde_json::json!({"keys": [{
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": THUMBPRINT, "x": PUBLIC,
        }]});
        assert_eq!(jwks, expected);
        assert!(
            key.sign(&serde_json::json!({})).is_ok(),
            "a PKCS#8 key without its public key signs as well"
        );
    }

    #[test]
    fn a_new_key_is_written_in_the_form_that_openssl_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let made = SigningKey::of_file(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        // The same length and beginning as the example: version 1, and no public key after the private one.
        let begin = PRIVATE.find("MC4").unwrap() + "MC4CAQAwBQYDK2VwBCIEI".len();
        assert_eq!((text.replace('\r', "").len(), &text[..begin]), (PRIVATE.len(), &PRIVATE[..begin]));
        assert_eq!(SigningKey::of_file(&path).unwrap().jwks().unwrap(), made.jwks().unwrap());
        assert_ne!(SigningKey::new().unwrap().jwks().unwrap(), made.jwks().unwrap());
    }

    #[test]
    fn a_file_with_something_else_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let p256 = KeyPair::generate().unwrap().serialize_pem();
        for text in ["", "secret", p256.as_str()] {
            fs::write(&path, text).unwrap();
            let error = SigningKey::of_file(&path).map(drop).unwrap_err().to_string();
            assert!(error.contains("holds no Ed25519 key"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
