"""A proxy between that speaks HTTP/1.1 and nothing else: what a browser behind one gets."""

import subprocess

import pytest

from grpc_client import V1, Client
from web import metrics
from web.events import Stream
from web.http1 import get
from web.node_client import CONNECT_WEB, GRPC_WEB_TEXT
from web.proto3_json import parsed
from web.ticks import check_every_tick

EVERY_TICK = {"symbols": ["RELIANCE", "TCS"], "delivery": "DELIVERY_EVERY_TICK"}


@pytest.fixture
def behind(server, proxy):
    """The shared server behind a proxy, which is where `address` leads."""
    return proxy(server)


def test_the_proxy_speaks_http_1_to_both_sides(behind, curl):
    assert get(behind.address, "/v1/tape").headers["via"] == "1.1 proxy"
    command = [curl, "--silent", "--http2-prior-knowledge", f"http://{behind.address}/v1/tape"]
    assert subprocess.run(command, capture_output=True).returncode != 0


@pytest.mark.parametrize("kind", [CONNECT_WEB, GRPC_WEB_TEXT], ids=["connect-web", "grpc-web"])
def test_grpc_web_clients_get_every_tick(web, behind, client, kind):
    ticks = web.call(kind, behind.address, V1, "Watch", EVERY_TICK).ticks(EVERY_TICK["symbols"], 15)
    assert min(check_every_tick(client, ticks).values()) > 5
    assert web.call(kind, behind.address, V1, "GetTape").one().tape_id == client.call(V1, "GetTape").tape_id
    assert web.call(kind, behind.address, V1, "ListTicks", {"symbol": "NOSUCH"}).code() == "NOT_FOUND"


def test_curl_gets_every_tick_and_resumes(behind, client, contract, curl):
    query = "symbols=RELIANCE,TCS&delivery=EVERY_TICK"
    with Stream(curl, behind.address, query) as first:
        events = first.bytes(9_000)
    with Stream(curl, behind.address, query, first.last_id) as second:
        events += second.until("caughtUp") + second.until("tick")
    messages = [parsed(contract, "ticker.v1.WatchResponse", event.data) for event in events]
    check_every_tick(client, [message.tick for message in messages if message.WhichOneof("event") == "tick"])


def test_a_client_that_leaves_ends_its_stream_on_the_server(web, serve, proxy, curl):
    server = serve("--seed", "7")
    behind = proxy(server)
    with Stream(curl, behind.address, "symbols=*") as stream:
        stream.until("tick")
        metrics.wait_for_streams(server, 1)
    replay = {"symbols": ["*"], "startTime": "2020-01-01T00:00:00Z"}
    assert web.call(CONNECT_WEB, behind.address, V1, "Watch", replay, cancelAfter=100).code() == "CANCELED"
    metrics.wait_for_streams(server, 0)


def test_a_server_that_stops_is_seen_behind_the_proxy(web, serve, proxy, contract):
    server = serve("--seed", "7")
    behind = proxy(server)
    with Client(server.address, contract=contract) as client:
        answer = web.call(CONNECT_WEB, behind.address, V1, "Watch", EVERY_TICK)
        ticks = [message.tick for message in [next(answer) for _ in range(10)] if message.WhichOneof("event") == "tick"]
        check_every_tick(client, ticks)
    server.terminate()
    assert answer.code() == "UNAVAILABLE"
