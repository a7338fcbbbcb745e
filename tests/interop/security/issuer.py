"""An issuer of JSON Web Tokens: sound ones by PyJWT, and forged ones by hand."""

import base64
import hashlib
import hmac
import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ALGORITHMS = ["EdDSA", "ES256", "RS256"]


class Key:
    """A signing key with its `kid`."""

    def __init__(self, algorithm, kid):
        self.algorithm, self.kid = algorithm, kid
        self.private = {
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "RS256": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2048),
        }[algorithm]()

    @property
    def pem(self):
        """The public key in PEM."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def jwk(self):
        """The public key as a member of a JWKS."""
        document = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        return document | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}


class Issuer:
    """Has a key of each algorithm, and remembers the tokens that it made, none of which may be in a log."""

    def __init__(self):
        self.keys = {algorithm: Key(algorithm, f"key-{algorithm}") for algorithm in ALGORITHMS}
        self.made = []

    def jwks(self):
        """The public keys of all algorithms."""
        return jwks(*self.keys.values())

    def token(self, scope="ticker:read", subject="alice", life=300, key=None, headers=None, without=(), **claims):
        """A token that expires after `life` seconds. `claims` are added, and those in `without` are left out; so is the
        `kid` when it is None."""
        key = key or self.keys["EdDSA"]
        content = self.claims(**({"scope": scope, "sub": subject, "exp": int(time.time()) + life} | claims))
        content = {name: value for name, value in content.items() if name not in without}
        # PyJWT checks the types of some claims, which must be wrong in some tests, so it only signs.
        payload = json.dumps(content, separators=(",", ":")).encode()
        headers = {"kid": key.kid} | (headers or {})
        if headers["kid"] is None:
            del headers["kid"]
        return self.note(jwt.api_jws.encode(payload, key.private, key.algorithm, headers=headers))

    def claims(self, **claims):
        """The claims of a sound token."""
        now = int(time.time())
        usual = {
            "iss": "ticker",
            "aud": "ticker",
            "sub": "alice",
            "scope": "ticker:read",
            "iat": now - 60,
            "exp": now + 300,
        }
        return usual | claims

    def forge(self, header, claims=None, sign=lambda signed: b""):
        """A token of any header, whose signature `sign` makes of the signed bytes."""
        signed = b".".join(encode(json.dumps(part).encode()) for part in (header, claims or self.claims()))
        return self.note((signed + b"." + encode(sign(signed))).decode())

    def note(self, token):
        """Remembers a token."""
        self.made.append(token)
        return token

    def check_log(self, text):
        """No token that was made, and no signature of one, is in a log."""
        for token in self.made:
            parts = token.split(".")
            # The header and claims of a forged token may be short enough to be somewhere by chance.
            for secret in [token, *(part for part in parts if len(part) > 40)]:
                assert secret not in text, f"the log has a part of a token: {secret}"


def jwks(*keys):
    """A JWKS of keys."""
    return json.dumps({"keys": [key.jwk for key in keys]})


def encode(data):
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def decode(text):
    """The bytes of base64 for URLs, without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hs256(secret):
    """Signs with a secret."""
    return lambda signed: hmac.new(secret, signed, hashlib.sha256).digest()
