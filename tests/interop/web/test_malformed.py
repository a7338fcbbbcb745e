"""Requests of HTTP/1.1 that are malformed, or whose end is not clear: no request is answered as something that it is not."""

import json
import random

import pytest

from grpc_client import V1
from web.http1 import Connection, Silence, get, refused

pytestmark = pytest.mark.usefixtures("others_are_served")
TAPE = b"GET /v1/tape HTTP/1.1\r\nHost: ticker\r\n\r\n"

# Heads, and the beginnings of bodies, of requests about whose end two parsers can disagree. A second request follows, and must
# not be answered.
HIDDEN = len(TAPE)
SMUGGLING = {
    "both a length and chunks": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (HIDDEN + 5),
    "chunks and then a length": b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n" % (HIDDEN + 5),
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % HIDDEN,
    "two lengths, the longer one first": b"Content-Length: %d\r\nContent-Length: 0\r\n\r\n" % HIDDEN,
    "a list of lengths": b"Content-Length: 0, %d\r\n\r\n" % HIDDEN,
    "a length with a sign": b"Content-Length: +%d\r\n\r\n" % HIDDEN,
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a length in hexadecimal": b"Content-Length: 0x10\r\n\r\n",
    "a length that is none": b"Content-Length: \r\n\r\n",
    "a length past 64 bits": b"Content-Length: 18446744073709551616\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "an unknown coding and a length": b"Transfer-Encoding: xchunked\r\nContent-Length: %d\r\n\r\n" % HIDDEN,
    "chunked not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a coding in two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a coding after a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a length with a space before the colon": b"Content-Length : %d\r\n\r\n" % HIDDEN,
    "a folded line": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a NUL in a header": b"X-Text: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in a header": b"X-Text: a\rContent-Length: %d\r\n\r\n" % HIDDEN,
    "a header without a name": b": value\r\n\r\n",
    "a header without a colon": b"Content-Length %d\r\n\r\n" % HIDDEN,
    "a chunk size that is none": b"Transfer-Encoding: chunked\r\n\r\nG\r\n\r\n",
    "a chunk size with a sign": b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "a negative chunk size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk size with a prefix": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a chunk size past 64 bits": b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
    "a chunk that is longer than its size": b"Transfer-Encoding: chunked\r\n\r\n2\r\nABCD\r\n0\r\n\r\n",
    "a chunk size that ends with a bare LF": b"Transfer-Encoding: chunked\r\n\r\n0\n\n",
}


@pytest.mark.parametrize("path", ["/v1/tape?no=such", f"/{V1}/GetTape"], ids=["JSON", "gRPC-Web"])
@pytest.mark.parametrize("shape", SMUGGLING.values(), ids=SMUGGLING)
def test_a_request_with_two_ends_is_the_last_one_of_its_connection(server, shape, path):
    method = "GET" if path.startswith("/v1") else "POST"
    head = f"{method} {path} HTTP/1.1\r\nHost: {server.address}\r\nContent-Type: application/grpc-web+proto\r\n"
    with Connection(server.address, timeout=0.5) as connection:
        connection.send(head.encode() + shape + TAPE)
        try:
            connection.more()
        except Silence:
            # The hidden request may be the body, or a part of it, that is waited for.
            connection.finish()
        # Less than the 10 s after which the server gives up a body that does not come.
        connection.socket.settimeout(5)
        answer = connection.answer()
        # Nothing follows, and the server closes the connection.
        assert connection.answer() is None
    # The status of gRPC-Web is in the head or in the trailers.
    assert answer is None or b"tapeId" not in answer.body, answer


# What is malformed, though its end is clear: nothing but an error, and the end of the connection.
MALFORMED = {
    "a space before the colon": b"GET /v1/tape HTTP/1.1\r\nHost : a\r\n\r\n",
    "a space before the first header": b"GET /v1/tape HTTP/1.1\r\n Host: a\r\n\r\n",
    "a folded line": b"GET /v1/tape HTTP/1.1\r\nHost: a\r\nX-Text: b\r\n c\r\n\r\n",
    "a NUL in a header": b"GET /v1/tape HTTP/1.1\r\nHost: a\r\nX-Text: \x00\r\n\r\n",
    "a NUL in the path": b"GET /v1/\x00tape HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the path": b"GET /v1/tape and more HTTP/1.1\r\nHost: a\r\n\r\n",
    "no path": b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path without a slash": b"GET v1/tape HTTP/1.1\r\nHost: a\r\n\r\n",
    "a version of nobody": b"GET /v1/tape HTTP/7.3\r\nHost: a\r\n\r\n",
    "no version": b"GET /v1/tape\r\n\r\n",
    "a method of nobody": b"G\x07T /v1/tape HTTP/1.1\r\nHost: a\r\n\r\n",
    "an HTTP/2 preface that goes wrong": b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + bytes(30),
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "a line without end": b"G" * 200_000,
    "a head without end": b"GET /v1/tape HTTP/1.1\r\nHost: a\r\n" + b"X-Text: value\r\n" * 20_000,
    "a header that is too long": b"GET /v1/tape HTTP/1.1\r\nHost: a\r\nX-Text: " + b"a" * 100_000 + b"\r\n\r\n",
    "a thousand headers": b"GET /v1/tape HTTP/1.1\r\nHost: a\r\n"
    + b"".join(b"X-%d: a\r\n" % n for n in range(1_000))
    + b"\r\n",
    "100,000 symbols": b"GET /v1/prices?symbols="
    + b",".join(b"S%d" % n for n in range(100_000))
    + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "100,000 symbols to watch": b"GET /v1/watch?symbols="
    + b",".join(b"S%d" % n for n in range(100_000))
    + b" HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_gets_an_error_and_the_connection_ends(server, request_):
    with Connection(server.address) as connection:
        connection.send(request_ + TAPE)
        if request_.startswith(b"PRI"):
            # The answer is one of HTTP/2.
            while connection.more():
                pass
            return
        answers = connection.answers()
    assert len(answers) <= 1, answers
    assert all(400 <= answer.status < 600 and answer.status != 500 for answer in answers), answers


@pytest.mark.parametrize(
    "hosts",
    [b"", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nHost: a\r\n", b"Host: a, b\r\n", b"Host: a b\r\n", b"Host: a@b\r\n"],
)
def test_a_request_without_exactly_one_host_is_refused(server, hosts):
    with Connection(server.address) as connection:
        connection.send(b"GET /v1/tape HTTP/1.1\r\n" + hosts + b"\r\n")
        refused(connection.answer(), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "line", ["GET *", "CONNECT 127.0.0.1:22", "CONNECT /v1/tape", "TRACE /v1/tape", "PRI /v1/tape"]
)
def test_what_is_no_request_for_a_server_like_this_is_refused(server, line):
    with Connection(server.address) as connection:
        connection.send(f"{line} HTTP/1.1\r\nHost: {server.address}\r\n\r\n".encode())
        assert connection.answer().status in (400, 404, 405)


@pytest.mark.parametrize("what", ["prices", "watch"])
def test_a_hundred_thousand_symbols_are_too_long_a_head(server, what):
    answer = get(server.address, f"/v1/{what}?symbols=" + ",".join(f"S{n}" for n in range(100_000)))
    assert answer.status in (414, 431), answer


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_end_the_connection(server, seed):
    noise = random.Random(seed)
    with Connection(server.address) as connection:
        for _ in range(20):
            connection.send(noise.randbytes(noise.randrange(1, 5_000)))
        connection.finish()
        while connection.more():
            pass


def test_requests_that_come_at_once_are_answered_in_turn(server):
    first = f"GET /v1/instruments?search=reliance HTTP/1.1\r\nHost: {server.address}\r\n\r\n".encode()
    third = f"GET /v1/nothing HTTP/1.1\r\nHost: {server.address}\r\nConnection: close\r\n\r\n".encode()
    with Connection(server.address) as connection:
        connection.send(first + TAPE + third + TAPE)
        one, two, three = connection.answers()
    assert "instruments" in json.loads(one.body)
    assert "tapeId" in json.loads(two.body)
    refused(three, 404, "NOT_FOUND")


def test_the_body_of_a_request_that_has_none_is_not_a_request(server):
    for method in ("GET", "POST", "HEAD", "DELETE", "OPTIONS"):
        with Connection(server.address) as connection:
            connection.request(method, "/v1/instruments?search=reliance", body=TAPE)
            connection.send(b"GET /v1/nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            connection.answer(method)
            # The connection may end, but if it goes on, then behind the body.
            rest = connection.answers()
        assert [answer.status for answer in rest] in ([], [404]), (method, rest)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /v1/tape HTTP/1.1\nHost: a\nConnection: close\n\n",
        b"GET http://ticker/v1/tape HTTP/1.1\r\nHost: ticker\r\nConnection: close\r\n\r\n",
        b"GET /v1/tape HTTP/1.0\r\n\r\n",
        b"GET /v1/tape HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /v1/tape HTTP/1.0\r\n\r\n",
        b"GET /v1/tape HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        b"GET /v1/tape HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        b"GET /v1/tape HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
    ],
    ids=["bare LF", "absolute form", "HTTP/1.0", "HTTP/1.0 twice", "upgrade to h2c", "websocket", "an empty body"],
)
def test_an_unusual_request_is_refused_or_answered_as_what_it_is(server, request_):
    with Connection(server.address) as connection:
        connection.send(request_)
        answers = connection.answers()
    assert 1 <= len(answers) <= request_.count(b"GET")
    for answer in answers:
        assert answer.status == 400 or "tapeId" in json.loads(answer.body), answer


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../v1/tape",
        "//v1/tape",
        "/v1/tape/",
        "/v1//tape",
        "/v1/tape%00",
        "/%76%31/tape",
        "/v1/TAPE",
        "/..",
        "/%2e%2e/etc/passwd",
        "/v1/tape;a=b",
    ],
)
def test_a_path_that_only_looks_like_one_of_ours_is_not_found(server, path):
    assert get(server.address, path).status == 404
