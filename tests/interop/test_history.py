"""The past, as clients that nobody here wrote see it."""

import hashlib
import struct

import grpc
import pytest

from grpc_client import V1, Client, failure

# 2026-11-19T09:00:00Z to 10:00:00Z: past, whenever this runs.
HOUR = {"startTime": "2026-11-19T09:00:00Z", "endTime": "2026-11-19T10:00:00Z"}


def pages(clients, method, request, field):
    """Everything that a listing has, each page from the next client."""
    found, token, turn = [], "", 0
    while not turn or token:
        page = clients[turn % len(clients)].call(V1, method, {**request, "pageToken": token})
        found += getattr(page, field)
        token, turn = page.next_page_token, turn + 1
    return found


def test_candles_are_the_folds_of_the_ticks_of_their_intervals(client):
    ticks = pages([client], "ListTicks", {"symbol": "RELIANCE", "pageSize": 10_000, **HOUR}, "ticks")
    request = {"symbol": "RELIANCE", "interval": "300s", "pageSize": 5, **HOUR}
    candles = pages([client], "ListCandles", request, "candles")
    assert len(candles) == 12
    for candle in candles:
        start = candle.open_time.seconds
        own = [tick for tick in ticks if start <= tick.time.seconds < start + 300]
        prices = [tick.ltp_nanos for tick in own]
        assert (candle.open_nanos, candle.close_nanos) == (prices[0], prices[-1])
        assert (candle.high_nanos, candle.low_nanos) == (max(prices), min(prices))
        assert candle.volume == sum(tick.last_quantity for tick in own)
        assert (candle.tick_count, candle.open) == (len(own), False)


def test_the_pages_of_two_replicas_are_one_listing(client, serve):
    with Client(serve("--seed", "7").address) as other:
        request = {"symbol": "TCS", "pageSize": 700, **HOUR}
        forwards = pages([client, other], "ListTicks", request, "ticks")
        backwards = pages([other, client], "ListTicks", {**request, "newestFirst": True}, "ticks")
    # Messages of two clients are of two classes, which never equal each other.
    assert [tick.SerializeToString() for tick in forwards] == [tick.SerializeToString() for tick in backwards[::-1]]
    first = forwards[0].sequence
    assert [tick.sequence for tick in forwards] == list(range(first, first + len(forwards)))


def test_a_digest_is_that_of_the_ticks(client):
    ticks = client.call(V1, "ListTicks", {"symbol": "TCS", "startSequence": 1000, "pageSize": 500}).ticks
    request = {"symbol": "TCS", "startSequence": 1000, "endSequence": 1500}
    found = client.call(V1, "DigestTicks", request)
    expected = b"".join(
        struct.pack("<4Q", tick.sequence, tick.time.ToNanoseconds(), tick.ltp_nanos, tick.last_quantity)
        for tick in ticks
    )
    assert found.digest == hashlib.sha256(expected).digest()
    assert (found.start_sequence, found.end_sequence) == (1000, 1500)
    assert found.tape_id == client.call(V1, "GetTape").tape_id


def test_the_newest_candle_is_open(client):
    request = {"symbol": "TCS", "interval": "86400s", "startTime": "2026-11-19T00:00:00Z"}
    candles = client.call(V1, "ListCandles", request).candles
    assert [candle.open for candle in candles] == [False] * (len(candles) - 1) + [True]


@pytest.mark.parametrize(
    ("method", "request_", "says"),
    [
        ("ListTicks", {"symbol": "TCS", "startSequence": 1, "endTime": "2026-01-01T00:00:00Z"}, "either"),
        ("ListTicks", {"symbol": "TCS", "pageToken": "no such page"}, "next_page_token"),
        ("ListCandles", {"symbol": "TCS", "interval": "60s"}, "start_time is missing"),
        ("ListCandles", {"symbol": "TCS", "interval": "7s", **HOUR}, "divides a day"),
        ("DigestTicks", {"symbol": "TCS", "startSequence": 2, "endSequence": 1}, "below start_sequence"),
    ],
)
def test_what_is_wrong_is_told(client, method, request_, says):
    code, details = failure(lambda: client.call(V1, method, request_))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert says in details


def test_a_deadline_ends_a_call_that_takes_too_long_and_the_server_lives(client):
    # The first page alone is the fold of 16 million ticks.
    request = {"symbol": "RELIANCE", "interval": "86400s", "startTime": "2025-01-01T00:00:00Z"}
    code, _ = failure(lambda: client.call(V1, "ListCandles", request, timeout=0.05))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert client.call(V1, "GetTape").tape_id
