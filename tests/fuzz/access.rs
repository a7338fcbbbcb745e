//! Tokens, keys and roles.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::signature::{Ed25519KeyPair, KeyPair};
use ticker::access::{Audience, KeySet, LEEWAY, Refusal, Roles, Tokens};

use crate::fuzzer::{Mutator, run};

/// The time of these tests, in seconds since the Unix epoch.
const NOW: u64 = 1_800_000_000;
const HEADER: &str = r#"{"alg":"EdDSA","typ":"JWT","kid":"test"}"#;
const ROLES: &str = "[roles]\nanalyst = ['ticker:read:NSE:*']\n";
const JWKS: &str = include_str!("../data/keys/jwks.json");

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let digits = (0..=three.len()).map(|digit| DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]);
        text.extend(digits.map(char::from));
    }
    text
}

/// The key that the tokens of these tests are signed with.
fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn sign(key: &Ed25519KeyPair, header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", base64url(header), base64url(payload));
    let signature = base64url(key.sign(message.as_bytes()).as_ref());
    format!("{message}.{signature}")
}

fn verifier(keys: KeySet) -> Tokens {
    let audience = Audience { issuer: "ticker".to_owned(), audience: "ticker".to_owned() };
    let now = || UNIX_EPOCH + Duration::from_secs(NOW);
    Tokens::with_clock(audience, keys, ROLES.parse().unwrap(), now)
}

/// Verifies tokens that are signed with [`key`].
fn tokens() -> Tokens {
    let x = base64url(key().public_key().as_ref());
    let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"test","x":"{x}"}}]}}"#);
    verifier(KeySet::parse(&jwks).unwrap())
}

/// Payloads of valid tokens.
fn payloads() -> Vec<String> {
    let claims = format!(r#""sub":"alice","iss":"ticker","aud":"ticker","iat":{NOW},"exp":{}"#, NOW + 600);
    let list = claims.replace(r#""aud":"ticker""#, r#""aud":["other","ticker"]"#);
    vec![
        format!(r#"{{{claims},"scope":"ticker:read ticker:publish"}}"#),
        format!(r#"{{{claims},"scope":["ticker:read:TCS"],"roles":["analyst"],"nbf":{NOW}}}"#),
        format!(r#"{{{list},"roles":["analyst","nobody"],"max_streams":3,"max_symbols":100}}"#),
    ]
}

#[test]
fn a_token_that_was_changed_is_never_accepted() {
    let tokens = tokens();
    let valid = payloads().into_iter().map(|payload| sign(&key(), HEADER.as_bytes(), payload.as_bytes()));
    let dictionary = ["=", ".", "..", "eyJhbGciOiJub25lIn0", "A", "-", "_", "+", "/"];
    let mutator = Mutator::new(valid, &dictionary);
    for token in mutator.corpus() {
        tokens.verify(std::str::from_utf8(token).unwrap()).unwrap();
    }
    run("a_token_that_was_changed_is_never_accepted", 10_000, |random| {
        let token = mutator.text(random);
        let is_known = mutator.corpus().iter().any(|known| known == token.as_bytes());
        assert_eq!(tokens.verify(&token).is_ok(), is_known, "{token}");
        is_known
    });
}

/// An issuer signs what it likes, and this must not stop the server or lift a bound.
#[test]
fn a_token_that_is_accepted_is_within_its_bounds_whatever_its_issuer_signs() {
    let tokens = tokens();
    let dictionary = [
        "null",
        "true",
        "1e400",
        "-1",
        "18446744073709551616",
        "1.5",
        "[]",
        "{}",
        "\"\"",
        "[[[[",
        "\"exp\":",
        "\"sub\":",
        "\"nbf\":",
        "\"crit\":[\"exp\"],",
        "\"alg\":\"none\"",
        "\"kid\":null",
        "\\u0000",
        "253402300800",
        "\"max_streams\":0",
    ];
    let headers = Mutator::new([HEADER], &dictionary);
    let payloads = Mutator::new(payloads(), &dictionary);
    run("a_token_that_is_accepted_is_within_its_bounds_whatever_its_issuer_signs", 5_000, |random| {
        let header = headers.input(random);
        let header = if header.len().is_multiple_of(4) { header } else { HEADER.into() };
        let payload = payloads.input(random);
        let shown = || format!("{} {}", header.escape_ascii(), payload.escape_ascii());
        let Ok(token) = tokens.verify(&sign(&key(), &header, &payload)) else { return false };
        assert!((1..=255).contains(&token.subject.len()), "{}", shown());
        assert!(token.expires + LEEWAY > UNIX_EPOCH + Duration::from_secs(NOW), "{}", shown());
        assert!(token.expires.duration_since(SystemTime::UNIX_EPOCH).is_ok(), "{}", shown());
        assert!(tokens.is_valid(&token), "{}", shown());
        let read: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        let (issuer, audience) = (&read["iss"], &read["aud"]);
        let is_list =
            |value: &serde_json::Value| value.as_array().is_some_and(|list| list.contains(&"ticker".into()));
        assert!(issuer == "ticker" || is_list(issuer), "{}", shown());
        assert!(audience == "ticker" || is_list(audience), "{}", shown());
        true
    });
}

#[test]
fn keys_that_are_accepted_are_counted_and_let_no_stranger_in() {
    let pem = [
        include_str!("../data/keys/ed25519.pem"),
        include_str!("../data/keys/p256.pem"),
        include_str!("../data/keys/rsa.pem"),
    ];
    let dictionary = [
        "\"kty\":",
        "\"oct\"",
        "\"OKP\"",
        "\"EC\"",
        "\"RSA\"",
        "\"crv\":",
        "\"kid\":",
        "\"x\":\"\"",
        "\"n\":\"AA\"",
        "\"e\":\"AA\"",
        "\"use\":\"enc\"",
        "\"alg\":\"HS256\"",
        "\"key_ops\":[\"verify\"]",
        "null",
        "[]",
        "{}",
        "-----BEGIN PUBLIC KEY-----",
        "-----END PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY-----",
        "\n",
    ];
    let mutator = Mutator::new(pem.into_iter().chain([JWKS]), &dictionary);
    for known in mutator.corpus() {
        KeySet::parse(std::str::from_utf8(known).unwrap()).unwrap();
    }
    let strange = |algorithm: &str, kid: &str| {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#);
        sign(&key(), header.as_bytes(), payloads()[0].as_bytes())
    };
    let strange =
        [strange("EdDSA", "ed"), strange("ES256", "ec"), strange("RS256", "rsa"), strange("HS256", "ed")];
    run("keys_that_are_accepted_are_counted_and_let_no_stranger_in", 5_000, |random| {
        let text = mutator.text(random);
        let Ok(keys) = KeySet::parse(&text) else { return false };
        let most = text.matches("kty").count().max(text.matches("BEGIN PUBLIC KEY").count());
        assert!(text.contains("\\u") || (1..=most).contains(&keys.count()), "{text}");
        let tokens = verifier(keys);
        for token in &strange {
            let refused = tokens.verify(token).unwrap_err();
            assert!(
                matches!(refused, Refusal::Signature | Refusal::UnknownKey | Refusal::Algorithm),
                "{refused:?} {text}"
            );
        }
        true
    });
}

#[test]
fn roles_that_are_accepted_have_scopes_that_print_as_they_are_read() {
    let example = include_str!("../../k8s/components/jwt/roles.toml");
    let dictionary = [
        "ticker:read",
        "ticker:read:",
        "ticker:publish",
        "ticker:admin",
        "*",
        ":*",
        "'",
        "\"",
        "[roles]",
        "[roles.a]",
        "= []",
        "\\u0041",
        "\"\"\"",
        "[[roles]]",
        "\n",
    ];
    let mutator =
        Mutator::new([ROLES, example, "[roles]\nnone = []\n'a b' = ['ticker:admin']\n"], &dictionary);
    for known in mutator.corpus() {
        std::str::from_utf8(known).unwrap().parse::<Roles>().unwrap();
    }
    run("roles_that_are_accepted_have_scopes_that_print_as_they_are_read", 10_000, |random| {
        let text = mutator.text(random);
        let Ok(roles) = text.parse::<Roles>() else { return false };
        let table: toml::Table = toml::from_str(&text).unwrap();
        for (role, texts) in table["roles"].as_table().unwrap() {
            let scopes = roles.scopes(role);
            assert_eq!(scopes.len(), texts.as_array().unwrap().len(), "{text}");
            for (scope, read) in scopes.iter().zip(texts.as_array().unwrap()) {
                assert_eq!(scope.to_string().parse().as_ref(), Ok(scope), "{text}");
                let canonical = if scope.to_string() == "ticker:read" { "ticker:read:*" } else { "" };
                let read = read.as_str().unwrap();
                assert!(scope.to_string() == read || read == canonical, "{scope} {text}");
            }
        }
        true
    });
}
