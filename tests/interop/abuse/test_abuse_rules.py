"""Repeated and contradicting requests of careless clients."""

import time

import pytest

from grpc_client import V1, Client, codes


@pytest.fixture
def stream(serve):
    """A stream of a server of its own."""
    with Client(serve("--workers", "1").address) as client, client.stream(V1, "TickerStream") as stream:
        yield stream


def ticks_until(stream, deadline):
    """All ticks up to a point in time."""
    found = []
    while (rest := deadline - time.monotonic()) > 0:
        try:
            response = stream.next(rest)
        except AssertionError:
            break
        if response.WhichOneof("event") == "tick":
            found.append(response.tick)
    return found


def test_repeating_a_subscription_does_not_restart_its_interval(stream):
    request = {"subscribe": {"symbols": ["RELIANCE"], "minInterval": "1s"}}
    start, found = time.monotonic(), []
    for turn in range(20):
        stream.send(request)
        found += ticks_until(stream, start + (turn + 1) * 0.5)
    sent = {tick.sequence for tick in found}
    # The snapshot and one tick a second.
    assert 9 <= len(sent) <= 12, f"{len(sent)} ticks in 10 s"


def test_a_growing_set_does_not_restart_the_interval_of_what_was_in_it(stream):
    symbols = ["RELIANCE", "TCS", "INFY", "ITC", "LT", "SBIN", "WIPRO", "AAPL", "MSFT", "META"]
    start, found = time.monotonic(), []
    for turn in range(10):
        stream.send({"setSubscriptions": {"symbols": symbols[: turn + 1], "minInterval": "1s"}})
        found += ticks_until(stream, start + (turn + 1) * 0.8)
    sent = {tick.sequence for tick in found if tick.symbol == "RELIANCE"}
    assert 7 <= len(sent) <= 10, f"{len(sent)} ticks in 8 s"


def test_a_set_of_everything_keeps_what_was_subscribed(stream):
    named = ["RELIANCE", "TCS"]
    stream.ask({"subscribe": {"symbols": named, "delivery": "DELIVERY_EVERY_TICK"}})
    before = ticks_until(stream, time.monotonic() + 0.5)
    stream.send({"setSubscriptions": {"symbols": ["*"], "delivery": "DELIVERY_EVERY_TICK"}})
    between, result = stream.until("subscription_result")
    before += [response.tick for response in between if response.WhichOneof("event") == "tick"]
    assert "UNSUBSCRIBED" not in codes(result)
    after = ticks_until(stream, time.monotonic() + 1)
    # Either may be in a lull.
    deadline = time.monotonic() + 14
    while not {tick.symbol for tick in after}.issuperset(named) and time.monotonic() < deadline:
        after += ticks_until(stream, time.monotonic() + 0.5)
    for symbol in named:
        assert not [tick for tick in after if tick.symbol == symbol and tick.snapshot], "a second snapshot"
        found = [tick.sequence for tick in before + after if tick.symbol == symbol]
        assert found == list(range(found[0], found[0] + len(found)))
        assert [tick for tick in after if tick.symbol == symbol], "it ticks no more"


def test_a_set_that_is_refused_as_a_whole_follows_one_rule(stream):
    left = []
    for refused in (
        {"symbols": ["NO-SUCH-SYMBOL"]},
        {"symbols": ["TCS"], "delivery": "DELIVERY_EVERY_TICK", "minInterval": "1s"},
        {"symbols": ["TCS"], "tapeId": "another"},
    ):
        stream.ask({"setSubscriptions": {"symbols": ["RELIANCE"]}})
        assert "SUBSCRIBED" not in codes(stream.ask({"setSubscriptions": refused}))
        listed = stream.ask({"listSubscriptions": {}})
        left.append([status.symbol for status in listed.statuses])
    assert left[0] == left[1] == left[2], f"what is left after an unknown symbol, bad options, another tape: {left}"
