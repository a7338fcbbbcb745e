"""TLS and mutual TLS: which versions, certificates and protocols the server takes, and how it turns others away."""

import http.client
import socket
import ssl
import time
import warnings

import grpc
import pytest

import raw_http2
from grpc_client import GOGEN, V1, codes, failure
from security.certificates import SERVER, Authority
from security.conftest import SecureServer
from security.handshake import closed_with, connect as connect_tls, context

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
NEEDS_TLS = b"this port needs TLS: connect with https://"
NEEDS_NAME = b"the client certificate needs a SPIFFE ID or a DNS name among its subject alternative names"


@pytest.fixture(scope="module")
def mutual(binary, issuer, authority, tls_flags):
    """A server that needs certificates of its clients."""
    server = SecureServer(
        binary, issuer, *tls_flags, "--tls-client-ca", authority.file, "--max-streams-per-caller", "5"
    )
    yield server
    server.check_and_stop()


@pytest.fixture(scope="module")
def optional(binary, issuer, authority, tls_flags):
    """A server that looks at certificates of clients that have one."""
    flags = ["--tls-client-ca", authority.file, "--tls-client-auth", "optional"]
    server = SecureServer(binary, issuer, *tls_flags, *flags)
    yield server
    server.check_and_stop()


@pytest.fixture(scope="module")
def pair(authority):
    """The certificate of a client."""
    return authority.client()


@pytest.fixture(autouse=True)
def others_are_served(mutual, authority, connect, channel_tls):
    """Another stream lives through every test of this file."""
    client = connect(mutual, tls=channel_tls(authority.client("healthy.example")))
    with client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["RELIANCE"]}})
        yield
        stream.ask({"ping": {}}, "pong")
        stream.until("tick")


def wait_for_log(server, text):
    """Waits until a text is in the log."""
    deadline = time.monotonic() + 6
    while text not in server.log:
        assert time.monotonic() < deadline, f"{text!r} is not in the log:\n{server.log[-2000:]}"
        time.sleep(0.02)


def answers(server, tls):
    """Whether a client of this TLS is served."""
    return raw_http2.call(server.address, f"/{V1}/GetTape", bytes(5), tls=tls)["grpc-status"] == "0"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_1_2_and_1_3_are_served(version, mutual, authority, pair):
    tls = context(authority, pair, versions=(version, version))
    assert answers(mutual, tls)
    with connect_tls(mutual.address, tls) as peer:
        assert (peer.version(), peer.selected_alpn_protocol()) == (version.name.replace("v1_", "v1."), "h2")


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_versions_before_1_2_are_refused(version, mutual, authority, pair):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        version = ssl.TLSVersion[version]
        tls = context(authority, pair, versions=(version, version))
    # The alert comes from the server: OpenSSL would have spoken the version.
    assert "alert handshake failure" in closed_with(mutual.address, tls)
    wait_for_log(mutual, 'reason="tls_handshake"')


def test_grpc_without_tls_is_told_that_the_port_needs_it(mutual, connect):
    start = time.monotonic()
    # grpcio fails at once and waits before it connects again: the server does not look like one that is there for a moment.
    code, _ = failure(lambda: connect(mutual).call(V1, "GetTape", timeout=5))
    assert code == grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - start < 2
    host, port = mutual.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 5) as peer:
        peer.sendall(PREFACE)
        answer = b""
        while received := peer.recv(65_536):
            answer += received
    assert answer.endswith(NEEDS_TLS), answer
    wait_for_log(mutual, 'reason="plaintext"')


def test_http_1_without_tls_is_told_that_the_port_needs_it(mutual):
    plain = http.client.HTTPConnection(mutual.address, timeout=5)
    plain.request("GET", "/")
    answer = plain.getresponse()
    text = answer.read().decode()
    assert answer.status == 400 and text.startswith("this port needs TLS")
    assert f"grpcurl -cacert CA.pem {mutual.address} list" in text and f"--endpoint https://{mutual.address}" in text


def test_tls_to_a_port_without_it_fails_at_once(server, connect, channel_tls):
    start = time.monotonic()
    code, _ = failure(lambda: connect(server, tls=channel_tls()).call(V1, "GetTape", timeout=5))
    assert code == grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - start < 2


def test_a_client_does_not_trust_a_server_of_another_ca(mutual, pair, connect, channel_tls, tmp_path):
    other = channel_tls(pair, ca=Authority(tmp_path, "Another CA"))
    code, text = failure(lambda: connect(mutual, tls=other).call(V1, "GetTape", timeout=5))
    assert code == grpc.StatusCode.UNAVAILABLE and "CERTIFICATE_VERIFY_FAILED" in text
    wait_for_log(mutual, 'reason="tls_handshake"')


# How each certificate of a client is made, and what the client is told.
REFUSED = {
    "none": (lambda authority, other: None, "alert certificate required"),
    "expired": (lambda authority, other: authority.client(days=(-10, -1)), "alert certificate expired"),
    "not valid yet": (lambda authority, other: authority.client(days=(1, 10)), "alert"),
    "self-signed": (lambda authority, other: authority.client(self_signed=True), "alert unknown ca"),
    "of another CA": (lambda authority, other: other.client(), "alert unknown ca"),
    "of another CA of the same name": (
        lambda authority, other: Authority(other.folder / "same", "Test CA").client(),
        "alert",
    ),
    "for servers only": (lambda authority, other: authority.client(use=SERVER), "alert"),
    "only a common name": (lambda authority, other: authority.client(dns=[]), NEEDS_NAME),
    "only an address": (lambda authority, other: authority.client(dns=[], addresses=["127.0.0.1"]), NEEDS_NAME),
    "a URI that is no SPIFFE ID": (
        lambda authority, other: authority.client(dns=[], uris=["https://client.example"]),
        NEEDS_NAME,
    ),
}


@pytest.mark.parametrize("row", REFUSED)
@pytest.mark.parametrize("choice", ["mutual", "optional"])
def test_a_certificate_that_is_not_sound_is_refused(row, choice, request, authority, connect, channel_tls, tmp_path):
    server = request.getfixturevalue(choice)
    make, alert = REFUSED[row]
    pair = make(authority, Authority(tmp_path, "Another CA"))
    if pair is None and choice == "optional":
        assert answers(server, context(authority)), "it need not show one"
        return
    told = closed_with(server.address, context(authority, pair), PREFACE)
    assert alert in told, told
    client = connect(server, tls=channel_tls(pair))
    assert failure(lambda: client.call(V1, "GetTape", timeout=5))[0] == grpc.StatusCode.UNAVAILABLE
    wait_for_log(server, 'reason="nameless_certificate"' if alert == NEEDS_NAME else 'reason="tls_handshake"')


@pytest.mark.parametrize(
    ("names", "name"),
    [
        ({"dns": ["one.example", "two.example"]}, "one.example"),
        ({"dns": ["one.example"], "uris": ["spiffe://example.org/feed"]}, "spiffe://example.org/feed"),
        ({"dns": [], "uris": ["https://x.example", "spiffe://example.org/other"]}, "spiffe://example.org/other"),
    ],
)
def test_a_client_is_named_by_its_spiffe_id_or_its_first_dns_name(
    names, name, serve_secure, issuer, tls_flags, authority, files, connect, channel_tls
):
    server = serve_secure(*tls_flags, "--tls-client-ca", authority.file, "--auth-jwks", files / "jwks.json")
    client = connect(server, tls=channel_tls(authority.client(**names)))
    code, _ = failure(lambda: client.call(V1, "GetTape", timeout=5))
    assert code == grpc.StatusCode.UNAUTHENTICATED, "a certificate is no token"
    wait_for_log(server, f'certificate="{name}"')
    token = connect(server, issuer.token(), tls=channel_tls(authority.client(**names)))
    assert token.call(V1, "GetTape", timeout=5).tape_id


def test_the_connections_of_a_certificate_share_its_limits(mutual, authority, connect, channel_tls):
    one, two = (connect(mutual, tls=channel_tls(authority.client("shared.example"))) for _ in range(2))
    other = connect(mutual, tls=channel_tls(authority.client("other.example")))
    streams = [client.stream(V1, "TickerStream") for client in (one, one, one, two, two)]
    for stream in streams:
        assert codes(stream.ask({"subscribe": {"symbols": ["TCS"]}})) == ["SUBSCRIBED"]
    text = "the caller has 5 streams, which is as many as it may: end some, or put more symbols on each"
    for client in (one, two):
        answer = failure(lambda: client.call(GOGEN, "TickerStream", [{"symbol": "TCS"}], timeout=5))
        assert answer == (grpc.StatusCode.RESOURCE_EXHAUSTED, text)
    with other.stream(V1, "TickerStream") as stream:
        assert codes(stream.ask({"subscribe": {"symbols": ["TCS"]}})) == ["SUBSCRIBED"]
    for stream in streams:
        stream.__exit__()


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
def test_http_1_is_served_with_and_without_alpn(mutual, authority, pair, alpn):
    request = b"GET /v1/tape HTTP/1.1\r\nhost: localhost:1\r\nconnection: close\r\n\r\n"
    answer = closed_with(mutual.address, context(authority, pair, alpn=alpn), request)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b'"tapeId":"' in answer


def test_alpn_without_http_fails_the_handshake(mutual, authority, pair):
    told = closed_with(mutual.address, context(authority, pair, alpn=["spdy/3"]))
    assert "alert no application protocol" in told


def test_handshakes_that_never_end_are_closed_and_delay_nobody(mutual, authority, pair, connect, channel_tls):
    host, port = mutual.address.rsplit(":", 1)
    # Half of a ClientHello: its record says that it is longer.
    half = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)
    begun = time.monotonic()
    peers = [socket.create_connection((host, int(port)), 10) for _ in range(500)]
    try:
        for peer in peers[::2]:
            peer.sendall(half)
        start = time.monotonic()
        with connect(mutual, tls=channel_tls(pair)).stream(V1, "TickerStream") as stream:
            assert codes(stream.ask({"subscribe": {"symbols": ["TCS"], "delivery": "DELIVERY_EVERY_TICK"}})) == [
                "SUBSCRIBED"
            ]
            stream.until("tick")
            assert time.monotonic() - start < 2, "a client waits for those that say nothing"
            ended = []
            for peer in peers:
                peer.settimeout(max(0.1, begun + 8 - time.monotonic()))
                try:
                    assert peer.recv(1) == b""
                except ConnectionResetError:
                    pass
                ended.append(time.monotonic() - begun)
            assert 4.5 < ended[0] and ended[-1] < 7.5
            stream.until("tick")
    finally:
        for peer in peers:
            peer.close()
    wait_for_log(mutual, 'reason="opening_timeout"')
