"""Resume, replay and quotes through grpcio."""

import datetime
import itertools
import time

import grpc
import pytest

from grpc_client import V1, codes, failure, past_ticks


def newest(client, symbol="RELIANCE"):
    (tick,) = client.call(V1, "GetLastPrices", {"symbols": [symbol]}).ticks
    return tick


def at(seconds):
    """A time of day in JSON."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def an_hour_ago():
    return int(time.time()) - 3600


def test_a_resume_brings_what_was_missed_then_says_so_then_live_ticks(client):
    last = newest(client).sequence - 5_000
    with client.stream(V1, "TickerStream") as stream:
        subscribe = {"symbols": ["RELIANCE"], "afterSequence": {"RELIANCE": str(last)}}
        assert codes(stream.ask({"subscribe": {**subscribe, "delivery": "DELIVERY_EVERY_TICK"}})) == ["SUBSCRIBED"]
        missed, caught_up = stream.until("caught_up")
        sequences = [message.tick.sequence for message in missed]
        assert sequences == list(range(last + 1, caught_up.sequence + 1))
        assert len(sequences) >= 5_000
        assert stream.until("tick")[1].sequence == caught_up.sequence + 1


def test_a_start_time_begins_there(client):
    start = an_hour_ago()
    with client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["RELIANCE"], "startTime": at(start)}})
        first = stream.until("tick")[1]
    assert first.sequence == past_ticks(client, "RELIANCE", startTime=at(start), endTime=at(start + 60))[0].sequence
    assert not first.snapshot


def test_a_replay_ends_with_ok_and_is_in_the_order_of_time(client):
    start = an_hour_ago()
    symbols, minute = ["RELIANCE", "BTC-USD", "TCS"], {"startTime": at(start), "endTime": at(start + 60)}
    replay = client.call(V1, "Watch", {"symbols": symbols, **minute}, timeout=30)
    ticks = [message.tick for message in replay if message.WhichOneof("event") == "tick"]
    assert replay.code() == grpc.StatusCode.OK
    for symbol in symbols:
        assert [tick for tick in ticks if tick.symbol == symbol] == past_ticks(client, symbol, **minute)
    times = [tick.time.ToNanoseconds() for tick in ticks]
    assert times == sorted(times)


def test_a_replay_keeps_its_pace(client):
    start = an_hour_ago()
    within = {"startTime": at(start), "endTime": at(start + 20)}
    expected = past_ticks(client, "RELIANCE", **within)
    began = time.monotonic()
    replay = client.call(V1, "Watch", {"symbols": ["RELIANCE"], **within, "speed": 20}, timeout=30)
    assert sum(message.WhichOneof("event") == "tick" for message in replay) == len(expected)
    last = expected[-1].time.ToNanoseconds() / 1e9 - start
    assert time.monotonic() - began >= last / 20 * 0.98


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"speed": 2}, "start_time"),
        ({"endTime": "2026-01-01T00:00:00Z"}, "start_time"),
        ({"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"}, "before start_time"),
        ({"startTime": "2026-01-02T00:00:00Z", "speed": -3}, "0.001"),
    ],
)
def test_what_makes_no_replay_is_refused(client, option, told):
    code, details = failure(lambda: client.call(V1, "Watch", {"symbols": ["TCS"], **option}, timeout=5))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert told in details


def test_a_quote_has_the_figures_of_the_candle_of_its_day(client):
    with client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["RELIANCE"], "detail": "DETAIL_QUOTE"}})
        tick = stream.until("tick")[1]
    quote = tick.quote
    assert quote.bid_nanos < quote.ask_nanos
    day = {
        "symbol": "RELIANCE",
        "startTime": quote.day_start_time.ToJsonString(),
        "endTime": (tick.time.ToDatetime() + datetime.timedelta(microseconds=1)).isoformat() + "Z",
        "interval": "86400s",
    }
    (candle,) = client.call(V1, "ListCandles", day).candles
    # The candle may have a few more ticks by now.
    later = client.call(V1, "ListTicks", {"symbol": "RELIANCE", "startSequence": tick.sequence + 1, "pageSize": 10_000}).ticks
    assert candle.open_nanos == quote.open_nanos
    assert candle.high_nanos >= quote.high_nanos and candle.low_nanos <= quote.low_nanos
    assert quote.volume <= candle.volume <= quote.volume + sum(tick.last_quantity for tick in later)
    close = client.call(
        V1,
        "ListTicks",
        {"symbol": "RELIANCE", "endTime": day["startTime"], "newestFirst": True, "pageSize": 1},
    ).ticks[0]
    assert quote.previous_close_nanos == close.ltp_nanos
    change = (tick.ltp_nanos / close.ltp_nanos - 1) * 100
    assert quote.change_percent == pytest.approx(change)


def test_a_trade_is_at_the_bid_or_the_ask_that_stood_before_it(client):
    last = newest(client).sequence
    request = {"symbols": ["RELIANCE"], "afterSequence": {"RELIANCE": str(last - 201)}, "detail": "DETAIL_QUOTE"}
    call = client.call(V1, "Watch", request, timeout=10)
    ticks = [message.tick for message in itertools.islice(call, 201) if message.WhichOneof("event") == "tick"]
    call.cancel()
    assert [tick.sequence for tick in ticks] == list(range(last - 200, last))
    for before, tick in zip(ticks, ticks[1:]):
        assert tick.ltp_nanos in (before.quote.bid_nanos, before.quote.ask_nanos)
