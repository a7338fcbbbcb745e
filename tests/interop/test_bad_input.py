"""Clients that send what they should not. Each gets an answer, and the server goes on for the others."""

import time

import grpc
import pytest

import raw_http2
from grpc_client import GOGEN, V1, Client, codes, failure


@pytest.fixture(autouse=True)
def others_are_served(client):
    """Another stream of the same server lives through every test of this file."""
    with client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["RELIANCE"]}})
        yield
        stream.ask({"ping": {}}, "pong")
        stream.until("tick")


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("TickerStream", {"subscribe": {"symbols": [f"S{n}" for n in range(100_000)]}}),
        ("Watch", {"symbols": [f"S{n}" for n in range(100_000)]}),
        ("GetLastPrices", {"symbols": [f"S{n}" for n in range(100_000)]}),
        ("GetLastPrices", {"symbols": [f"S{n}" for n in range(1_001)]}),
    ],
)
def test_a_request_that_is_too_large_exhausts_a_resource(client, method, request_):
    requests = [request_] if method == "TickerStream" else request_
    code, details = failure(lambda: client.call(V1, method, requests, timeout=5))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details


def test_symbols_past_the_thousandth_of_a_message_exceed_a_limit(client):
    with client.stream(V1, "TickerStream") as stream:
        result = stream.ask({"subscribe": {"symbols": [f"S{n}" for n in range(999)] + ["TCS", "INFY"]}})
        assert codes(result)[-3:] == ["UNKNOWN_SYMBOL", "SUBSCRIBED", "LIMIT_EXCEEDED"]
        assert result.statuses[-1].message
        assert codes(stream.ask({"subscribe": {"symbols": ["INFY"]}})) == ["SUBSCRIBED"]


def test_more_than_ten_thousand_symbols_on_a_stream_exceed_a_limit(serve):
    with Client(serve("--any-symbol").address) as client, client.stream(V1, "TickerStream") as stream:
        for batch in range(10):
            symbols = [f"S{batch}-{n}" for n in range(1_000)]
            assert set(codes(stream.ask({"subscribe": {"symbols": symbols, "minInterval": "3600s"}}))) == {"SUBSCRIBED"}
        assert codes(stream.ask({"subscribe": {"symbols": ["ONE-MORE"]}})) == ["LIMIT_EXCEEDED"]
        assert codes(stream.ask({"unsubscribe": {"symbols": ["S0-0"]}})) == ["UNSUBSCRIBED"]
        assert codes(stream.ask({"subscribe": {"symbols": ["ONE-MORE"]}})) == ["SUBSCRIBED"]


@pytest.mark.parametrize("method", ["TickerStream", "Watch", "GetTape"])
@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\x12\x7fshort"])
def test_garbage_is_an_invalid_argument(client, method, garbage):
    requests = [garbage] if method == "TickerStream" else garbage
    code, _ = failure(lambda: client.call(V1, method, requests, raw=True, timeout=5))
    assert code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("service", [GOGEN, V1])
@pytest.mark.parametrize(
    "body",
    [
        # A frame of 100 bytes of which two come; half a header; a flag that is no flag.
        b"\x00\x00\x00\x00\x64\x0a\x01",
        b"\x00\x00\x00",
        b"\x07\x00\x00\x00\x02\x0a\x00",
    ],
)
def test_a_truncated_or_broken_frame_ends_the_call_with_a_status(server, service, body):
    trailers = raw_http2.call(server.address, f"/{service}/TickerStream", body)
    assert trailers["grpc-status"] not in ("0", "2"), trailers


@pytest.mark.parametrize(
    "options",
    [
        {"delivery": 99},
        {"minInterval": "-1s"},
        {"minInterval": "86401s"},
        {"minInterval": "315576000000s"},
        {"minInterval": "1s", "delivery": "DELIVERY_EVERY_TICK"},
    ],
)
def test_an_option_out_of_range_is_refused_for_each_symbol(client, options):
    with client.stream(V1, "TickerStream") as stream:
        result = stream.ask({"subscribe": {"symbols": ["TCS", "RELIANCE"], **options}})
        assert codes(result) == ["INVALID_ARGUMENT", "INVALID_ARGUMENT"]
        assert all(status.message for status in result.statuses)
        assert stream.ask({"listSubscriptions": {}}).statuses == []


def test_a_request_without_a_verb_is_answered(client):
    with client.stream(V1, "TickerStream") as stream:
        result = stream.ask({"requestId": 3})
        assert (result.request_id, codes(result)) == (3, ["INVALID_ARGUMENT"])
        stream.ask({"ping": {}}, "pong")


def test_what_was_never_subscribed_cannot_be_unsubscribed(client):
    with client.stream(V1, "TickerStream") as stream:
        assert codes(stream.ask({"unsubscribe": {"symbols": ["TCS"]}})) == ["NOT_SUBSCRIBED"]


def test_a_deadline_is_kept_by_the_server(server):
    # A raw client: grpcio would end the call by its own clock and hide a server that does not.
    watch = b"\x0a\x03TCS"
    start = time.monotonic()
    trailers = raw_http2.call(
        server.address,
        f"/{V1}/Watch",
        bytes(4) + bytes([len(watch)]) + watch,
        headers=[("grpc-timeout", "1S")],
    )
    assert trailers["grpc-status"] == "4", "DEADLINE_EXCEEDED"
    assert 0.9 < time.monotonic() - start < 2


def test_a_deadline_ends_a_watch_in_grpcio_too(client):
    code, _ = failure(lambda: client.call(V1, "Watch", {"symbols": ["TCS"]}, timeout=1))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("path", "status"), [(f"/{V1}/NoSuchMethod", "12"), ("/no.such.Service/Watch", "12"), ("/", "12")]
)
def test_a_path_that_is_not_here_is_unimplemented(server, path, status):
    assert raw_http2.call(server.address, path, b"")["grpc-status"] == status


def test_what_is_no_grpc_gets_an_http_status(server):
    path = f"/{V1}/GetTape"
    assert raw_http2.call(server.address, path, b"", headers=[(":method", "GET")])[":status"] == "405"
    assert (
        raw_http2.call(server.address, path, b"{}", headers=[("content-type", "application/json")])[":status"] == "415"
    )


def test_compression_that_the_server_does_not_speak_is_unimplemented(server):
    tcs = b"\x0a\x03TCS"
    body = b"\x01\x00\x00\x00" + bytes([len(tcs)]) + tcs
    trailers = raw_http2.call(server.address, f"/{V1}/Watch", body, headers=[("grpc-encoding", "gzip")])
    assert trailers["grpc-status"] == "12"
