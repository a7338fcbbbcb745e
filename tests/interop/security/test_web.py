"""Tokens and TLS for browsers and curl: the rules are those of gRPC."""

import json
import subprocess

import pytest

from conftest import tool
from grpc_client import V1, failure
from security.conftest import SecureServer
from web import grpc_web
from web.http1 import Connection, get

TICKS = "/v1/ticks?startSequence=1000&endSequence=1010&symbol="
STATUSES = {"INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404}


def bearer(token):
    """The header with a token."""
    return [("Authorization", f"Bearer {token}")]


def status_of(server, target, headers):
    """The HTTP status of a GET, of whose body no more is read than there is of an error."""
    with Connection(server.address) as connection:
        connection.request("GET", target, headers)
        status, headers = connection.head()
        error = None if status == 200 else json.loads(b"".join(connection.pieces(headers)))["error"]
    return status, headers, error


REFUSED = {
    "no token": lambda issuer: [],
    "garbage": lambda issuer: [("Authorization", "Bearer garbage")],
    "an expired token": lambda issuer: bearer(issuer.token(life=-100)),
    "two tokens": lambda issuer: bearer(issuer.token()) * 2,
}
TARGETS = ["/v1/tape", TICKS + "TCS", "/v1/watch?symbols=TCS"]


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("target", TARGETS)
def test_a_token_is_required(relay, issuer, target, headers):
    status, answered, error = status_of(relay, target, headers(issuer))
    assert (status, error["status"]) == (401, "UNAUTHENTICATED"), error
    assert answered["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("target", TARGETS)
def test_a_token_is_accepted(guarded, issuer, target):
    assert status_of(guarded, target, bearer(issuer.token()))[0] == 200


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
def test_a_call_of_grpc_web_needs_a_token(guarded, issuer, text):
    path, body = f"/{V1}/GetTape", grpc_web.frame(b"")
    assert grpc_web.call(guarded.address, path, body, text).trailers["grpc-status"] == "16", "UNAUTHENTICATED"
    assert grpc_web.call(guarded.address, path, body, text, bearer(issuer.token())).trailers["grpc-status"] == "0"


@pytest.mark.parametrize("symbol", ["TCS", "RELIANCE", "NOSUCH"])
def test_a_scope_allows_the_symbols_that_it_allows_over_grpc(guarded, issuer, connect, symbol):
    token = issuer.token(scope="ticker:read:TCS")
    status, _, error = status_of(guarded, TICKS + symbol, bearer(token))
    if symbol == "TCS":
        assert status == 200
        return
    request = {"symbol": symbol, "startSequence": 1000, "endSequence": 1010}
    code, text = failure(lambda: connect(guarded, token).call(V1, "ListTicks", request))
    assert (status, error["status"], error["message"]) == (STATUSES[code.name], code.name, text)


def test_a_stream_ends_when_its_token_has_expired(guarded, issuer):
    # Half a minute after that, so in five seconds.
    answer = get(guarded.address, "/v1/watch?symbols=TCS", bearer(issuer.token(life=-25)))
    assert answer.status == 200
    event = answer.body.decode().rstrip("\n").split("\n\n")[-1].splitlines()
    assert "event: end" in event
    (data,) = [line.removeprefix("data: ") for line in event if line.startswith("data: ")]
    assert json.loads(data)["error"]["status"] == "UNAUTHENTICATED"


@pytest.fixture(scope="module")
def encrypted(binary, issuer, tls_flags):
    """A server with TLS."""
    server = SecureServer(binary, issuer, *tls_flags)
    yield server
    server.check_and_stop()


@pytest.mark.parametrize(("option", "version"), [("--http1.1", "1.1"), ("--http2", "2"), ("--no-alpn", "1.1")])
def test_curl_gets_json_over_tls(encrypted, authority, option, version):
    command = [tool("curl"), "--silent", "--show-error", "--cacert", authority.file, "--write-out", "\n%{http_version}"]
    ran = subprocess.run([*command, option, f"https://{encrypted.address}/v1/tape"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    body, spoken = ran.stdout.rsplit("\n", 1)
    assert "tapeId" in json.loads(body)
    assert spoken == version


def test_curl_without_tls_is_told_to_use_it(encrypted):
    answer = get(encrypted.address, "/v1/tape")
    assert answer.status == 400
    assert b"https://" in answer.body


def test_curl_needs_its_certificate_where_grpc_does(binary, issuer, authority, tls_flags):
    server = SecureServer(binary, issuer, *tls_flags, "--tls-client-ca", authority.file)
    pair = authority.client()
    command = [
        tool("curl"),
        "--silent",
        "--show-error",
        "--cacert",
        authority.file,
        f"https://{server.address}/v1/tape",
    ]
    assert subprocess.run(command, capture_output=True).returncode != 0
    ran = subprocess.run([*command, "--cert", pair.cert, "--key", pair.key], capture_output=True, text=True)
    assert "tapeId" in ran.stdout, ran.stderr
    server.check_and_stop()
