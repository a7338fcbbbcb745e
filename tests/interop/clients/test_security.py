"""The clients in five languages, with TLS and tokens."""

import re

import pytest

from clients.programs import run
from replicas.harness import wait_until
from security.certificates import Authority
from security.conftest import SecureServer, authority, files, issuer, server_pair, tls_flags, token_flags  # noqa: F401
from security.relay import Relay
from security.test_clients import Identity
from security.test_tokens import MISSING

# The last one has ten ticks a second, at all hours.
SYMBOLS = ["TCS", "NSE:INFY", "TEST.SQUARE"]


@pytest.fixture(scope="module")
def secured(binary, issuer, tls_flags, token_flags):
    """A server with TLS that needs a token."""
    server = SecureServer(binary, issuer, *tls_flags, *token_flags)
    yield server
    server.check_and_stop()


@pytest.fixture
def identity(authority, issuer, tmp_path):
    """A client that may see all instruments, with a token that the server accepts for twelve seconds more."""
    return Identity(authority, tmp_path, issuer.token(life=-18))


def flags(identity):
    """The flags of TLS and tokens."""
    return ["--tls-ca", identity.ca, "--token-file", identity.token_file]


def test_a_token_and_a_ca_are_all_that_it_takes(language, watch, secured, issuer, identity):
    identity.write(issuer.token("ticker:read:TCS ticker:read:NSE:INFY ticker:read:TEST.SQUARE"))
    endpoint = f"localhost:{secured.address.rsplit(':', 1)[1]}"
    watching = watch(language, [endpoint], [*SYMBOLS, "RELIANCE"], 6, *flags(identity))
    watching.finish(20)
    assert len(watching.ticks("TEST.SQUARE")) > 20 and all(watching.ticks(symbol) for symbol in SYMBOLS), watching
    # It may not see this one.
    assert [refused["symbol"] for refused in watching.events("refused")] == ["RELIANCE"]


def test_what_is_missing_is_said(language, secured, authority, tmp_path):
    with Relay(secured.address) as relay:
        endpoints = ["--endpoints", f"localhost:{relay.address.rsplit(':', 1)[1]}", "--symbols", "TCS", "--seconds", "8"]
        ran = run(language, *endpoints, "--tls-ca", authority.file)
        assert ran.returncode == 1 and MISSING in ran.stderr, ran
        other = Authority(tmp_path / "other", "Another CA").file
        ran = run(language, *endpoints, "--tls-ca", other)
        # grpcio logs each handshake that fails.
        said = [line for line in ran.stderr.splitlines() if not re.match(r"[IWE]\d{4} ", line)]
        assert ran.returncode == 1 and not ran.stdout and 1 <= len(said) <= 3, ran


def test_a_token_that_nobody_renews_ends_the_program(language, secured, identity):
    # By name, because Node.js warns of an address with TLS.
    endpoint = f"localhost:{secured.address.rsplit(':', 1)[1]}"
    ran = run(language, "--endpoints", endpoint, "--symbols", "TCS", "--seconds", "60", *flags(identity), seconds=40)
    assert ran.returncode == 1 and "unauthenticated" in ran.stderr.lower() and len(ran.stderr.splitlines()) == 1, ran
    rows = [line.split() for line in ran.stdout.splitlines()]
    assert [row[0] for row in rows].count("disconnected") == 1 and [row[0] for row in rows].count("connected") == 1


def test_a_fresh_token_takes_over_without_a_gap(language, watch, secured, issuer, identity):
    # The server announces at once that the token expires.
    watching = watch(language, [secured.address], SYMBOLS, 20, *flags(identity))
    wait_until(lambda: len(watching.events("tick")) > 5, 10, lambda: str(watching))
    identity.write(issuer.token())
    watching.finish(30)
    assert len(watching.events("connected")) == 2, watching
    for symbol in SYMBOLS:
        sequences = [tick["sequence"] for tick in watching.ticks(symbol)]
        assert sequences == list(range(sequences[0], sequences[-1] + 1))
    assert len(watching.ticks("TEST.SQUARE")) > 15 * 10 * 0.8
