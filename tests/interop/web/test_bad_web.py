"""Browsers that are slow, leave, or send what is no call. Each gets a clear status or a closed connection."""

import socket
import struct
import time

import pytest

from grpc_client import V1
from web import grpc_web, metrics
from web.http1 import Connection

pytestmark = pytest.mark.usefixtures("others_are_served")
TAPE = b"GET /v1/tape HTTP/1.1\r\nHost: ticker\r\n\r\n"
FRAMED = {"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}


def test_a_slow_client_is_closed_in_time(serve):
    server = serve("--max-connection-idle", "1s")
    post = f"POST /{V1}/GetTape HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: 100\r\n\r\n"
    begun = {
        "silent": b"",
        "half a line": b"GET /v1/ta",
        "half a head": b"GET /v1/tape HTTP/1.1\r\nHost: a\r\n",
        "kept open": TAPE,
        "half a body": post.encode() + bytes(10),
    }
    connections = {name: Connection(server.address, timeout=20) for name in begun}
    start = time.monotonic()
    for name, connection in connections.items():
        connection.send(begun[name])
    # A byte now and then is no progress.
    deadline = start + 12
    open_still = dict(connections)
    while open_still and time.monotonic() < deadline:
        for name, connection in list(open_still.items()):
            connection.socket.settimeout(0.05)
            try:
                if not connection.socket.recv(4_096):
                    del open_still[name]
            except TimeoutError:
                if name in ("half a head", "half a body"):
                    connection.send(b"X")
            except OSError:
                del open_still[name]
    for connection in connections.values():
        connection.socket.close()
    assert not open_still, f"open after 12 s: {list(open_still)}"


def test_a_reader_that_reads_nothing_is_cut(serve):
    server = serve("--seed", "7", "--stall-timeout", "5s", "--drain-deadline", "1s")
    connections = []
    for _ in range(5):
        connection = Connection(server.address)
        connection.request("GET", "/v1/watch?symbols=*&startTime=2020-01-01T00:00:00Z")
        connections.append(connection)
        connection = Connection(server.address)
        watch = b"\x0a\x01*\x2a\x06\x08\x80\xe1\xac\xf0\x05"
        grpc_web.request(connection, f"/{V1}/Watch", grpc_web.frame(watch))
        connections.append(connection)
    metrics.wait_for_streams(server, 10)
    metrics.wait_for_streams(server, 0, timeout=10)
    for connection in connections:
        connection.socket.close()


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_page_that_is_closed_in_mid_replay_leaves_nothing(server, how):
    before = metrics.count(server, "ticker_streams")
    connections = []
    for _ in range(10):
        connection = Connection(server.address)
        connection.request("GET", "/v1/watch?symbols=*&startTime=2020-01-01T00:00:00Z")
        assert connection.head()[0] == 200
        connection.more()
        connections.append(connection)
    metrics.wait_for_streams(server, before + 10)
    for connection in connections:
        if how == "reset":
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.close()
    metrics.wait_for_streams(server, before)


GRPC_WEB = {
    "empty": (b"", {"2", "0"}),
    "half a header": (b"\0\0\0", {"0", "2"}),
    "a frame that is shorter than its length": (grpc_web.frame(b"\x0a\x03TCS", length=100), {"0", "2"}),
    "a frame of 4 GiB": (grpc_web.frame(b"\x0a\x03TCS", length=0xFFFFFFFF), {"0", "2"}),
    "a frame that is longer than its length": (grpc_web.frame(b"\x0a\x03TCS", length=2), {"0", "2"}),
    "two messages": (grpc_web.frame(b"\x0a\x03TCS") * 2, {"2"}),
    "trailers": (grpc_web.frame(b"grpc-status: 0\r\n", grpc_web.TRAILERS), {"0", "2"}),
    "a message and trailers": (grpc_web.frame(b"\x0a\x03TCS") + grpc_web.frame(b"grpc-status: 0\r\n", 0x80), {"2"}),
    "a compressed message": (grpc_web.frame(b"\x0a\x03TCS", 1), {"0", "2"}),
    "a flag of nobody": (grpc_web.frame(b"\x0a\x03TCS", 7), {"0", "2"}),
    "no message of the type": (grpc_web.frame(b"\xff\xff\xff\xff"), {"0", "2"}),
    "too large": (grpc_web.frame(b"\x0a\x03TCS" * 100_000), {"0", "2"}),
}


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize("method", ["GetLastPrices", "Watch"])
@pytest.mark.parametrize("case", GRPC_WEB)
def test_a_broken_frame_ends_the_call_with_a_status(server, case, method, text):
    body, wrong = GRPC_WEB[case]
    with Connection(server.address) as connection:
        grpc_web.request(connection, f"/{V1}/{method}", body, text, [("Grpc-Timeout", "200m")])
        answer = grpc_web.read(connection)
    # An HTTP status, which the clients turn into a code, or a code.
    assert answer.status in (400, 413) or answer.trailers.get("grpc-status", "none") not in wrong | {"none"}, answer


@pytest.mark.parametrize(
    "body",
    [
        "!!!!",
        "AAAAAAUKA1RDUw",
        "AAAAAAUKA1RDUw=",
        "AAAA AAUKA1RDUw==",
        "AAAAAAUKA1RDUw==!",
        "\x00\x01",
        "ÿÿÿÿ",
        "=",
        "A",
    ],
)
def test_text_that_is_no_base64_ends_the_call_with_a_status(server, body):
    with Connection(server.address) as connection:
        grpc_web.request(connection, f"/{V1}/GetLastPrices", body, text=True)
        answer = grpc_web.read(connection)
    assert answer.status == 400 or answer.trailers.get("grpc-status", "none") not in {"0", "2", "none"}, answer


@pytest.mark.parametrize(
    ("method", "path", "content_type", "statuses"),
    [
        ("GET", f"/{V1}/GetTape", "application/grpc-web+proto", {405}),
        ("POST", f"/{V1}/GetTape", "application/json", {415}),
        ("POST", f"/{V1}/GetTape", "application/grpc+proto", {415, 400, 505}),
        ("POST", f"/{V1}/GetTape", "application/grpc-web+json", {415}),
        ("POST", f"/{V1}/GetTape", "application/grpc-webby", {415}),
    ],
)
def test_what_is_no_grpc_web_gets_an_http_status(server, method, path, content_type, statuses):
    with Connection(server.address) as connection:
        connection.request(method, path, [("Content-Type", content_type)], grpc_web.frame(b""))
        answer = connection.answer()
    assert answer.status in statuses, answer


@pytest.mark.parametrize("path", [f"/{V1}/NoSuchMethod", "/no.such.Service/Watch"])
def test_a_method_that_is_not_here_is_unimplemented(server, path):
    answer = grpc_web.call(server.address, path, grpc_web.frame(b""))
    assert answer.trailers["grpc-status"] == "12", answer


def test_an_answer_that_is_expected_to_go_on_goes_on(server):
    with Connection(server.address) as connection:
        body = grpc_web.frame(b"")
        headers = [*FRAMED.items(), ("Expect", "100-continue"), ("Content-Length", len(body))]
        connection.request("POST", f"/{V1}/GetTape", headers)
        status, _ = connection.head()
        assert status == 100
        connection.send(body)
        assert grpc_web.read(connection).trailers["grpc-status"] == "0"
