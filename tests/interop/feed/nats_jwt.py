"""What nats-server needs to check users by signed credentials: an operator, its accounts, and a user's file.

The formats are those of nkeys and of NATS JWTs, version 2:
https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt and
https://docs.nats.io/reference/reference-protocols/nkeys.
"""

import base64
import binascii
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED, OPERATOR, ACCOUNT, USER = 18 << 3, 14 << 3, 0, 20 << 3
UNLIMITED = -1


def encode(raw):
    checksum = binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw + checksum).decode().rstrip("=")


class Key:
    def __init__(self, kind):
        self.kind, self.key = kind, Ed25519PrivateKey.generate()
        self.public = encode(bytes([kind]) + self.key.public_key().public_bytes_raw())

    def seed(self):
        prefix = bytes([SEED | self.kind >> 5, (self.kind & 31) << 3])
        return encode(prefix + self.key.private_bytes_raw())

    def sign(self, kind, subject, **claims):
        """A JWT about a subject, which is a key."""
        claims = {"jti": subject.public, "iat": 0, "iss": self.public, "sub": subject.public, "name": kind,
                  "nats": {"type": kind, "version": 2, **claims}}
        parts = [json.dumps(part).encode() for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims)]
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        return (signed + b"." + base64.urlsafe_b64encode(self.key.sign(signed)).rstrip(b"=")).decode()


def operator(directory):
    """The configuration of a server with one account that may use JetStream, and the credentials of a user of it."""
    operator, account, system, user = Key(OPERATOR), Key(ACCOUNT), Key(ACCOUNT), Key(USER)
    names = ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams", "consumer")
    limits = {"wildcards": True, **dict.fromkeys(names, UNLIMITED)}
    accounts = {account.public: operator.sign("account", account, limits=limits),
                system.public: operator.sign("account", system, limits=dict.fromkeys(names[:7], UNLIMITED))}
    preload = "\n".join(f"{name}: {jwt}" for name, jwt in accounts.items())
    configuration = (f"operator: {operator.sign('operator', operator)}\nsystem_account: {system.public}\n"
                     f"resolver: MEMORY\nresolver_preload: {{\n{preload}\n}}\n")
    credentials = directory / "user.creds"
    credentials.write_text(
        f"-----BEGIN NATS USER JWT-----\n{account.sign('user', user, subs=UNLIMITED, data=UNLIMITED, payload=UNLIMITED)}\n"
        f"------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{user.seed()}\n------END USER NKEY SEED------\n")
    return configuration, credentials
