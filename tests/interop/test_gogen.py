"""The contract of the clients in the field, `gogen`, through grpcio."""

import re
import time

import grpc
import pytest

from grpc_client import GOGEN, failure


def test_every_request_adds_a_symbol_and_repeats_are_harmless(client):
    # Their ticks are at least 100 ms apart: no two have the same time in milliseconds.
    first, second = "TEST.SQUARE", "TEST.COUNTER"
    with client.stream(GOGEN, "TickerStream") as stream:
        stream.send({"symbol": first})
        assert stream.next().symbol == first
        stream.send({"symbol": first})
        stream.send({"symbol": second})
        ticks = [stream.next() for _ in range(30)]
    assert {tick.symbol for tick in ticks} == {first, second}
    for symbol in (first, second):
        times = [tick.timestamp for tick in ticks if tick.symbol == symbol]
        assert times == sorted(set(times)), "a symbol asked for twice is sent once"


def test_a_tick_is_a_price_and_a_utc_time_in_milliseconds(client):
    with client.stream(GOGEN, "TickerStream") as stream:
        stream.send({"symbol": "RELIANCE"})
        for _ in range(10):
            tick = stream.next()
            assert tick.ltp > 0
            assert repr(tick.ltp) == f"{round(tick.ltp, 2)}", "the price prints as people write it"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", tick.timestamp)


def test_a_stream_that_asks_for_nothing_yet_is_left_open(client):
    with client.stream(GOGEN, "TickerStream") as stream:
        time.sleep(1)
        stream.send({"symbol": "TCS"})
        assert stream.next().symbol == "TCS"


@pytest.mark.parametrize(
    ("symbol", "code", "says"),
    [
        ("", grpc.StatusCode.INVALID_ARGUMENT, ""),
        ("RELIANCE\n", grpc.StatusCode.INVALID_ARGUMENT, ""),
        ("X" * 33, grpc.StatusCode.INVALID_ARGUMENT, ""),
        ("NOSUCH", grpc.StatusCode.NOT_FOUND, "NOSUCH"),
    ],
)
def test_a_bad_symbol_ends_a_stream_that_was_running(client, symbol, code, says):
    with client.stream(GOGEN, "TickerStream") as stream:
        stream.send({"symbol": "TCS"})
        stream.next()
        stream.send({"symbol": symbol})
        ended, details = stream.end()
    assert ended == code
    assert says in details


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\x0a\x7fshort", b"\x0a\x02\xff\xfe"])
def test_garbage_is_an_invalid_argument(client, garbage):
    code, _ = failure(lambda: client.call(GOGEN, "TickerStream", [garbage], raw=True, timeout=5))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
