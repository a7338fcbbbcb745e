"""The versioned contract, `ticker.v1`, through grpcio."""

import time

import grpc
import pytest

from grpc_client import V1, Client, codes, failure


def test_a_subscription_is_answered_then_the_last_price_then_every_tick(client):
    with client.stream(V1, "TickerStream") as stream:
        stream.send({"requestId": 9, "subscribe": {"symbols": ["RELIANCE"], "delivery": "DELIVERY_EVERY_TICK"}})
        result = stream.next().subscription_result
        assert (result.request_id, codes(result)) == (9, ["SUBSCRIBED"])
        assert result.tape_id == client.call(V1, "GetTape").tape_id
        ticks = [stream.until("tick")[1] for _ in range(10)]
    assert [tick.snapshot for tick in ticks] == [True] + [False] * 9
    assert [tick.sequence - ticks[0].sequence for tick in ticks] == list(range(10))
    assert all(tick.conflated == 0 for tick in ticks)
    assert all(tick.ltp == float(tick.ltp_nanos) / 1e9 for tick in ticks)
    assert all(tick.last_quantity > 0 for tick in ticks)


def test_no_tick_follows_the_answer_to_an_unsubscribe(client):
    with client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["RELIANCE", "TCS"]}})
        for _ in range(10):
            stream.until("tick")
        result = stream.ask({"requestId": 2, "unsubscribe": {"symbols": ["TCS"]}})
        assert (result.request_id, codes(result)) == (2, ["UNSUBSCRIBED"])
        assert {stream.until("tick")[1].symbol for _ in range(20)} == {"RELIANCE"}


def test_a_symbol_can_come_back_after_an_unsubscribe(client):
    with client.stream(V1, "TickerStream") as stream:
        for _ in range(3):
            assert codes(stream.ask({"subscribe": {"symbols": ["TCS"]}})) == ["SUBSCRIBED"]
            assert stream.until("tick")[1].snapshot
            assert codes(stream.ask({"unsubscribe": {"symbols": ["*"]}})) == ["UNSUBSCRIBED"]


def test_each_symbol_has_its_own_status_and_the_stream_lives(client):
    with client.stream(V1, "TickerStream") as stream:
        result = stream.ask({"subscribe": {"symbols": ["TCS", "", "NOSUCH", "not a symbol", "X" * 33, "RELIANCE"]}})
        assert codes(result) == [
            "SUBSCRIBED",
            "INVALID_ARGUMENT",
            "UNKNOWN_SYMBOL",
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
            "SUBSCRIBED",
        ]
        assert all(status.message for status in result.statuses if status.code > 3), "a refusal says what was wrong"
        assert {stream.until("tick")[1].symbol for _ in range(10)} == {"TCS", "RELIANCE"}


def test_a_second_subscribe_changes_the_options(client):
    with client.stream(V1, "TickerStream") as stream:
        stream.ask({"subscribe": {"symbols": ["TCS"]}})
        (status,) = stream.ask({"subscribe": {"symbols": ["TCS"], "minInterval": "0.5s"}}).statuses
        assert status.min_interval.nanos == 500_000_000
        (listed,) = stream.ask({"listSubscriptions": {}}).statuses
        assert (listed.symbol, listed.min_interval) == ("TCS", status.min_interval)


def test_a_minimum_interval_conflates_and_says_how_much(client):
    with client.stream(V1, "TickerStream") as stream:
        # Ten ticks a second, at all hours.
        stream.ask({"subscribe": {"symbols": ["TEST.SQUARE"], "minInterval": "0.5s"}})
        ticks = [stream.until("tick")[1] for _ in range(5)]
    for earlier, later in zip(ticks, ticks[1:]):
        assert later.sequence == earlier.sequence + 1 + later.conflated
    assert ticks[-1].conflated > 0


def test_set_subscriptions_makes_exactly_this_set(client):
    with client.stream(V1, "TickerStream") as stream:
        # Ten ticks a second, at all hours.
        steady = "TEST.SQUARE"
        stream.ask({"subscribe": {"symbols": ["RELIANCE", steady]}})
        result = stream.ask({"setSubscriptions": {"symbols": [steady, "BTC-USD"]}})
        assert [(status.symbol, code) for status, code in zip(result.statuses, codes(result))] == [
            (steady, "SUBSCRIBED"),
            ("BTC-USD", "SUBSCRIBED"),
            ("RELIANCE", "UNSUBSCRIBED"),
        ]
        assert {stream.until("tick")[1].symbol for _ in range(20)} == {steady, "BTC-USD"}


def test_the_star_is_every_instrument_but_those_for_tests(client):
    instruments = client.call(V1, "ListInstruments").instruments
    symbols = {instrument.symbol for instrument in instruments if instrument.kind != "test"}
    assert len(symbols) == 60 and len(instruments) == 67
    with client.stream(V1, "TickerStream") as stream:
        stream.send({"subscribe": {"symbols": ["*"]}})
        result = stream.until("subscription_result")[1]
        assert codes(result) == ["SUBSCRIBED"]
        assert {stream.until("tick")[1].symbol for _ in range(len(symbols))} == symbols


def test_a_quiet_stream_answers_pings_and_sends_heartbeats(serve):
    with Client(serve("--heartbeat-interval", "500ms").address) as client, client.stream(V1, "TickerStream") as stream:
        stream.until("heartbeat")
        pong = stream.ask({"requestId": 5, "ping": {}}, "pong")
        assert pong.request_id == 5
        assert abs(pong.time.ToSeconds() - time.time()) < 5


def test_a_half_close_ends_a_stream_only_when_it_follows_nothing(client):
    with client.stream(V1, "TickerStream") as stream:
        stream.send({"subscribe": {"symbols": ["TCS"]}})
        stream.half_close()
        for _ in range(5):
            stream.until("tick")
    code, _ = failure(lambda: client.call(V1, "TickerStream", [], timeout=5))
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_prices_come_in_pages(client):
    instruments = client.call(V1, "ListInstruments").instruments
    symbols = [instrument.symbol for instrument in instruments if instrument.kind != "test"]
    seen, token = [], ""
    while not seen or token:
        page = client.call(V1, "GetLastPrices", {"pageSize": 7, "pageToken": token})
        assert 1 <= len(page.ticks) <= 7
        seen += [tick.symbol for tick in page.ticks]
        token = page.next_page_token
    assert seen == symbols


@pytest.mark.parametrize("method", ["ListInstruments", "GetLastPrices"])
def test_a_page_token_of_nobody_is_refused(client, method):
    code, _ = failure(lambda: client.call(V1, method, {"pageToken": "no such page"}))
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_a_watch_for_nothing_valid_is_refused(client):
    code, details = failure(lambda: client.call(V1, "Watch", {"symbols": ["NOSUCH"]}, timeout=5))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "NOSUCH" in details


def test_the_tape_id_must_be_this_servers(client):
    tape_id = client.call(V1, "GetTape").tape_id
    with client.stream(V1, "TickerStream") as stream:
        foreign = {"symbols": ["TCS", "RELIANCE"], "tapeId": "another"}
        assert codes(stream.ask({"subscribe": foreign})) == ["FOREIGN_TAPE", "FOREIGN_TAPE"]
        assert codes(stream.ask({"subscribe": {"symbols": ["TCS"], "tapeId": tape_id}})) == ["SUBSCRIBED"]
