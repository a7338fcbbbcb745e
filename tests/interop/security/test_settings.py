"""What `ticker serve` says of settings that cannot work, and of a server that others can reach without protection."""

import json
import os
import subprocess

import pytest

from processes import Server
from security.issuer import Key

UNPROTECTED = " WARN ticker: listens without "


@pytest.fixture
def refuse(binary):
    """Runs a server that must end by itself, and returns its exit code and its error."""

    def run(*arguments, env=None):
        command = [binary, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, env=os.environ | (env or {}))
        assert "panicked" not in done.stderr and done.stdout == "", done
        return done.returncode, done.stderr

    return run


def test_a_certificate_and_its_key_come_together(refuse, server_pair):
    for flags in [
        ["--tls-cert", server_pair.cert],
        ["--tls-key", server_pair.key],
        ["--tls-client-ca", server_pair.cert],
        ["--auth-roles", server_pair.cert],
        ["--tls-cert", server_pair.cert, "--tls-key", server_pair.key, "--tls-client-auth", "maybe"],
        ["--reflection", "perhaps"],
    ]:
        code, error = refuse(*flags)
        assert code == 2 and flags[-2] in error, error
    code, error = refuse(env={"TICKER_TLS_CERT": str(server_pair.cert)})
    assert code == 2 and "--tls-key" in error, error


def test_tls_files_that_cannot_be_used_are_named(refuse, server_pair, authority, tmp_path):
    empty, none, other = tmp_path / "empty.pem", tmp_path / "none.pem", authority.server()
    empty.write_text("")
    for cert, key, ca, problem in [
        (server_pair.cert, none, None, f"cannot read {none}: No such file or directory"),
        (none, server_pair.key, None, f"cannot read {none}: No such file or directory"),
        (tmp_path, server_pair.key, None, f"cannot read {tmp_path}: Is a directory"),
        (
            server_pair.cert,
            other.key,
            None,
            f"{server_pair.cert} and {other.key} are no pair of a certificate and its key",
        ),
        (empty, server_pair.key, None, f"{empty} has no certificate in PEM"),
        (server_pair.key, server_pair.key, None, f"{server_pair.key} has no certificate in PEM"),
        (server_pair.cert, empty, None, f"{empty} has no private key in PEM"),
        (server_pair.cert, server_pair.cert, None, f"{server_pair.cert} has no private key in PEM"),
        (server_pair.cert, server_pair.key, empty, f"{empty} has no certificate in PEM"),
        (server_pair.cert, server_pair.key, none, f"cannot read {none}: No such file or directory"),
    ]:
        code, error = refuse("--tls-cert", cert, "--tls-key", key, *(["--tls-client-ca", ca] if ca else []))
        assert code == 1 and problem in error, error
        assert error.startswith("error: cannot use the files of --tls-cert, --tls-key and --tls-client-ca\n")


JWKS = {
    "empty": ("", "it is neither a JWKS"),
    "no JSON": ("keys", "it is neither a JWKS"),
    "another document": ('{"issuer": "x"}', "it is neither a JWKS"),
    "no keys": ('{"keys": []}', "the JWKS has no key for signatures with EdDSA (Ed25519), ES256 or RS256"),
    "a secret": ('{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}', "key 1 of the JWKS is a secret (kty oct)"),
    "keys of others": (
        '{"keys": [{"kty": "RSA", "kid": "a", "use": "enc", "n": "AQAB", "e": "AQAB"}]}',
        "the JWKS has no key for signatures",
    ),
    "two PEM keys": (
        Key("ES256", "a").pem.decode() + Key("ES256", "b").pem.decode(),
        "a PEM file needs exactly one -----BEGIN PUBLIC KEY-----",
    ),
    "a private key": (
        "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n",
        "a PEM file needs exactly one -----BEGIN PUBLIC KEY-----",
    ),
}


@pytest.mark.parametrize("row", JWKS)
def test_keys_that_cannot_be_used_are_named(row, refuse, tmp_path):
    text, problem = JWKS[row]
    file = tmp_path / "jwks.json"
    file.write_text(text)
    code, error = refuse("--auth-jwks", file)
    assert code == 1 and f"cannot use the keys of {file}" in error and problem in error, error
    assert error.startswith("error: cannot use the files of --auth-jwks and --auth-roles\n")
    assert "c2VjcmV0" not in error, "a secret is not repeated"


def test_keys_without_a_kid_or_with_the_same_are_refused(refuse, issuer, tmp_path):
    jwk = issuer.keys["EdDSA"].jwk
    for keys, problem in [
        ([{name: value for name, value in jwk.items() if name != "kid"}], "key 1 of the JWKS has no kid"),
        ([jwk, jwk], "key 2 of the JWKS has the kid of a key before it"),
    ]:
        file = tmp_path / "jwks.json"
        file.write_text(json.dumps({"keys": keys}))
        code, error = refuse("--auth-jwks", file)
        assert code == 1 and problem in error, error


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("roles = 7", "line 1: "),
        ("[roles]\na = 'ticker:read'", "line 2: "),
        ("[roles]\na = ['ticker:raed']", 'role "a": "ticker:raed": it is no scope of this service'),
        ("[roles]\na = ['ticker:read:']", 'role "a": "ticker:read:": its pattern names no symbols'),
        ("[role]\n", "unknown field `role`"),
        ("[roles", "line 1: "),
        ("", "missing field `roles`"),
    ],
)
def test_roles_that_cannot_be_used_are_named(text, problem, refuse, files, tmp_path):
    file = tmp_path / "roles.toml"
    file.write_text(text)
    code, error = refuse("--auth-jwks", files / "jwks.json", "--auth-roles", file)
    assert code == 1 and f"cannot use the roles of {file}" in error and problem in error, error


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "127.0.0.1:0"])
@pytest.mark.parametrize("flags", ["none", "tls", "tokens", "tls and tokens", "mutual tls", "optional mutual tls"])
def test_a_server_that_others_reach_warns_once_of_what_protects_nobody(
    listen, flags, binary, tls_flags, token_flags, authority
):
    tls = tls_flags if "tls" in flags else []
    tokens = token_flags if "tokens" in flags else []
    mutual = ["--tls-client-ca", authority.file] if "mutual" in flags else []
    choice = ["--tls-client-auth", "optional"] if "optional" in flags else []
    command = [binary, "serve", "--listen", listen, "--admin", "127.0.0.1:0", *tls, *mutual, *choice, *tokens]
    server = Server(command, pattern=r"(0\.0\.0\.0|127\.0\.0\.1):[1-9][0-9]*")
    server.check_and_stop()
    warnings = [line for line in server.stderr if " WARN " in line]
    missing = {
        "none": "TLS and without authentication: everybody who reaches it can read everything",
        "tokens": "TLS: tokens and prices can be read on the network",
        "tls": "authentication: everybody who reaches it can read everything",
        "optional mutual tls": "authentication: everybody who reaches it can read everything",
    }.get(flags)
    if listen.startswith("127.") or missing is None:
        assert warnings == []
    else:
        assert len(warnings) == 1 and UNPROTECTED + missing in warnings[0], warnings
