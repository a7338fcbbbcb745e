"""Pages of other origins: only those of `--cors-origin` are served."""

import pytest

from grpc_client import V1
from processes import Server
from web import grpc_web
from web.http1 import Connection, get, refused

pytestmark = pytest.mark.usefixtures("others_are_served")
FOREIGN = "https://evil.example"
GRPC_WEB = [("Content-Type", "application/grpc-web+proto"), ("X-Grpc-Web", "1")]
# What a page can ask for: method, target, headers and body.
ASKED = {
    "JSON": ("GET", "/v1/tape", [], b""),
    "events": ("GET", "/v1/watch?symbols=TCS", [], b""),
    "gRPC-Web": ("POST", f"/{V1}/GetTape", GRPC_WEB, grpc_web.frame(b"")),
    "nothing": ("GET", "/v1/nothing", [], b""),
}


@pytest.fixture(scope="module")
def allowing(binary):
    """A server that allows one origin."""
    server = Server(
        [binary, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cors-origin", "https://a.example"]
    )
    yield server
    server.check_and_stop()


def ask(connection, what, origin):
    """Asks as a page of this origin."""
    method, target, headers, body = ASKED[what]
    connection.request(method, target, [("Origin", origin), *headers], body)


@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", "", "garbage", "http://127.0.0.1", "http://127.0.0.1:1", "a" * 5_000, "ÿ"]
)
@pytest.mark.parametrize("what", ASKED)
def test_a_page_of_another_origin_is_refused(server, what, origin):
    with Connection(server.address) as connection:
        ask(connection, what, origin)
        answer = connection.answer()
    assert "--cors-origin" in refused(answer, 403, "PERMISSION_DENIED")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("what", ASKED)
def test_the_page_of_the_server_itself_is_served(server, what):
    with Connection(server.address) as connection:
        ask(connection, what, f"http://{server.address}")
        assert connection.head()[0] == (404 if what == "nothing" else 200)


def preflight(address, origin, method, path, headers):
    """What a browser asks before a request that is not simple."""
    return get(
        address,
        path,
        [("Origin", origin), ("Access-Control-Request-Method", method), ("Access-Control-Request-Headers", headers)],
        "OPTIONS",
    )


GRPC_WEB_HEADERS = "authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--cors-origin", "https://a.example", "--cors-origin", "http://b.example:8080"], None),
        (["--cors-origin", "*"], "*"),
    ],
)
def test_an_origin_that_is_allowed_is_served(serve, flags, expected):
    server = serve("--seed", "7", *flags)
    for origin in ("https://a.example", "http://b.example:8080"):
        asked = preflight(server.address, origin, "POST", f"/{V1}/GetTape", GRPC_WEB_HEADERS)
        assert asked.status in (200, 204)
        allowed = {name.strip().lower() for name in asked.headers["access-control-allow-headers"].split(",")}
        assert set(GRPC_WEB_HEADERS.split(",")) | {"last-event-id"} <= allowed
        assert "POST" in asked.headers["access-control-allow-methods"]
        for what in ASKED:
            with Connection(server.address) as connection:
                ask(connection, what, origin)
                status, headers = connection.head()
            assert status == (404 if what == "nothing" else 200), what
            # An error is readable as well, so that the page can say what is wrong.
            assert headers["access-control-allow-origin"] in (origin, expected), what
            exposed = {name.strip().lower() for name in headers["access-control-expose-headers"].split(",")}
            assert {"grpc-status", "grpc-message", "grpc-status-details-bin"} <= exposed
            assert headers["access-control-allow-origin"] == "*" or "origin" in headers["vary"].lower()


@pytest.mark.parametrize(
    "origin",
    [
        "https://a.example.evil",
        "https://evil-a.example",
        "http://a.example",
        "https://a.example:444",
        "https://b.a.example",
        "null",
        FOREIGN,
    ],
)
def test_an_origin_that_is_nearly_allowed_is_refused(allowing, origin):
    refused(get(allowing.address, "/v1/tape", [("Origin", origin)]), 403, "PERMISSION_DENIED")
    asked = preflight(allowing.address, origin, "POST", f"/{V1}/GetTape", GRPC_WEB_HEADERS)
    assert asked.status == 403
    assert "access-control-allow-origin" not in asked.headers


@pytest.mark.parametrize("headers", [[], [("Origin", FOREIGN)], [("Access-Control-Request-Method", "POST")]])
def test_options_without_a_preflight_are_answered(server, headers):
    for path in ("/v1/tape", "*", "/v1/nothing"):
        assert get(server.address, path, headers, "OPTIONS").status in (200, 204, 400, 403, 404, 405)
