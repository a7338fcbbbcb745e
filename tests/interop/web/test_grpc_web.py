"""gRPC-Web through the two clients that pages use, `@connectrpc/connect-web` and `grpc-web`, compared with grpcio."""

import time

import pytest

from grpc_client import HEALTH, V1, failure
from web import grpc_web, metrics
from web.node_client import CONNECT_WEB, GRPC_WEB, GRPC_WEB_TEXT
from web.ticks import END, START, check_every_tick

# `grpc-web` streams in its text format only, and is used with both.
STREAMING = {"connect-web": CONNECT_WEB, "grpc-web text": GRPC_WEB_TEXT}
ALL = STREAMING | {"grpc-web binary": GRPC_WEB}
EVERY_TICK = "DELIVERY_EVERY_TICK"

streaming = pytest.mark.parametrize("kind", STREAMING.values(), ids=STREAMING)
any_kind = pytest.mark.parametrize("kind", ALL.values(), ids=ALL)


@any_kind
@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ListInstruments", {}),
        ("ListInstruments", {"pageSize": 7}),
        ("ListInstruments", {"search": "rel"}),
        ("ListTicks", {"symbol": "RELIANCE", "startTime": START, "endTime": END}),
        ("ListTicks", {"symbol": "TCS", "startSequence": 1000, "endSequence": 1100, "newestFirst": True}),
        ("ListCandles", {"symbol": "BTC-USD", "interval": "1s", "startTime": START, "endTime": END}),
        ("DigestTicks", {"symbol": "RELIANCE", "startSequence": 1, "endSequence": 1001}),
    ],
)
def test_a_call_answers_as_it_does_over_grpc(web, server, client, kind, method, request_):
    before = client.call(V1, method, request_)
    answer = web.call(kind, server.address, V1, method, request_).one()
    assert before.ByteSize() > 20
    # The status of an instrument may change in between.
    assert answer in (before, client.call(V1, method, request_))


@any_kind
def test_the_tape_and_the_health_are_those_over_grpc(web, server, client, kind):
    tape = web.call(kind, server.address, V1, "GetTape").one()
    assert abs(tape.time.ToSeconds() - time.time()) < 5
    expected = client.call(V1, "GetTape")
    expected.time.CopyFrom(tape.time)
    assert tape == expected
    assert web.call(kind, server.address, HEALTH, "Check", {"service": V1}).one().status == 1, "SERVING"


@any_kind
def test_last_prices_are_those_of_the_tape(web, server, client, kind):
    prices = web.call(kind, server.address, V1, "GetLastPrices", {"symbols": ["RELIANCE", "NOSUCH", "TCS"]}).one()
    assert [tick.symbol for tick in prices.ticks] == ["RELIANCE", "TCS"]
    assert [status.symbol for status in prices.statuses] == ["NOSUCH"]
    check_every_tick(client, prices.ticks)


@any_kind
def test_candles_have_the_nearest_doubles_of_their_exact_prices(web, server, kind):
    request = {"symbol": "RELIANCE", "interval": "1s", "startTime": START, "endTime": END}
    candles = web.call(kind, server.address, V1, "ListCandles", request).one().candles
    # A second without a tick has no candle.
    assert 50 < len(candles) <= 60
    for candle in candles:
        exact = (candle.open_nanos, candle.high_nanos, candle.low_nanos, candle.close_nanos)
        assert (candle.open_price, candle.high_price, candle.low_price, candle.close_price) == tuple(
            n / 1e9 for n in exact
        )


@streaming
def test_a_watch_is_answered_then_sends_the_last_price_then_every_tick(web, server, client, kind):
    symbols = ["RELIANCE", "TCS"]
    answer = web.call(kind, server.address, V1, "Watch", {"symbols": symbols, "delivery": EVERY_TICK})
    result = next(answer)
    assert [status.code for status in result.subscription_result.statuses] == [1, 1], "SUBSCRIBED"
    ticks = answer.ticks(symbols, 15)
    assert [tick.symbol for tick in ticks if tick.snapshot] in (["RELIANCE", "TCS"], ["TCS", "RELIANCE"])
    assert min(check_every_tick(client, ticks).values()) > 5


@streaming
def test_a_watch_resumes_after_a_sequence(web, server, client, kind):
    (last,) = client.call(V1, "GetLastPrices", {"symbols": ["RELIANCE"]}).ticks
    request = {
        "symbols": ["RELIANCE"],
        "delivery": EVERY_TICK,
        "afterSequence": {"RELIANCE": last.sequence - 2_000},
        "tapeId": client.call(V1, "GetTape").tape_id,
    }
    answer = web.call(kind, server.address, V1, "Watch", request)
    messages = answer.until("caught_up") + answer.until("tick")
    answer.cancel()
    ticks = [message.tick for message in messages if message.WhichOneof("event") == "tick"]
    assert ticks[0].sequence == last.sequence - 1_999
    assert not any(tick.snapshot for tick in ticks)
    assert check_every_tick(client, ticks)["RELIANCE"] > 2_000
    (caught_up,) = [message.caught_up for message in messages if message.WhichOneof("event") == "caught_up"]
    assert last.sequence <= caught_up.sequence < ticks[-1].sequence


@streaming
@pytest.mark.parametrize(("speed", "seconds"), [(0, 0), (100, 0.6)])
def test_a_replay_sends_every_tick_of_its_time_and_ends(web, server, client, kind, speed, seconds):
    symbols = ["RELIANCE", "TCS", "BTC-USD"]
    start = time.monotonic()
    request = {"symbols": symbols, "startTime": START, "endTime": END, "speed": speed}
    answer = web.call(kind, server.address, V1, "Watch", request)
    ticks = [message.tick for message in answer if message.WhichOneof("event") == "tick"]
    assert answer.end["code"] == "OK", answer.end
    assert time.monotonic() - start >= seconds * 0.9
    for symbol in symbols:
        page = client.call(V1, "ListTicks", {"symbol": symbol, "startTime": START, "endTime": END, "pageSize": 10_000})
        assert [tick for tick in ticks if tick.symbol == symbol] == list(page.ticks)
    times = [tick.time.ToNanoseconds() for tick in ticks]
    assert times == sorted(times)


@any_kind
@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("ListTicks", {"symbol": "NOSUCH"}, "NOT_FOUND"),
        ("ListInstruments", {"pageToken": "no such page"}, "INVALID_ARGUMENT"),
        ("GetLastPrices", {"symbols": [f"S{n}" for n in range(1_001)]}, "RESOURCE_EXHAUSTED"),
        ("GetLastPrices", {"symbols": [f"S{n}" for n in range(100_000)]}, "RESOURCE_EXHAUSTED"),
    ],
)
def test_an_error_has_the_code_and_the_text_of_grpc(web, server, client, kind, method, request_, code):
    expected, text = failure(lambda: client.call(V1, method, request_, timeout=5))
    assert expected.name == code
    answer = web.call(kind, server.address, V1, method, request_)
    assert answer.code() == code
    assert answer.end["message"] == text


@streaming
def test_a_watch_for_nothing_valid_is_refused(web, server, kind):
    answer = web.call(kind, server.address, V1, "Watch", {"symbols": ["NOSUCH"]})
    assert answer.code() == "INVALID_ARGUMENT"
    assert "NOSUCH" in answer.end["message"]


@streaming
def test_a_deadline_ends_a_watch(web, server, kind):
    answer = web.call(kind, server.address, V1, "Watch", {"symbols": ["TCS"]}, timeoutMs=700)
    assert answer.code() == "DEADLINE_EXCEEDED"


@streaming
def test_a_replay_that_is_cancelled_ends_on_the_server(web, serve, kind):
    server = serve("--seed", "7")
    request = {"symbols": ["*"], "startTime": "2020-01-01T00:00:00Z"}
    answer = web.call(kind, server.address, V1, "Watch", request, cancelAfter=500)
    assert len([message for message in answer if message.WhichOneof("event") == "tick"]) > 400
    metrics.wait_for_streams(server, 0)


@streaming
def test_a_server_that_stops_says_so_and_when_to_come_back(web, serve, kind):
    server = serve("--seed", "7")
    answer = web.call(kind, server.address, V1, "Watch", {"symbols": ["TCS"]})
    assert next(answer).WhichOneof("event") == "subscription_result"
    code, _ = server.terminate()
    assert code == 0
    assert "draining" in [message.WhichOneof("event") for message in answer]
    assert answer.end["code"] == "UNAVAILABLE"
    if kind is CONNECT_WEB:
        assert answer.end["details"] == ["google.rpc.RetryInfo"]


@pytest.mark.parametrize("kind", [GRPC_WEB, GRPC_WEB_TEXT], ids=["binary", "text"])
def test_a_page_of_another_origin_is_served_only_when_it_is_allowed(web, server, serve, kind):
    # jsdom asks first and refuses as browsers do.
    page = {"origin": "http://page.example"}
    refused = web.call(kind, server.address, V1, "GetTape", **page)
    assert list(refused) == [] and refused.end["code"] != "OK"
    allowing = serve("--seed", "7", "--cors-origin", page["origin"])
    assert web.call(kind, allowing.address, V1, "GetTape", **page).one().seed == 7
    error = web.call(kind, allowing.address, V1, "ListTicks", {"symbol": "NOSUCH"}, **page)
    assert error.code() == "NOT_FOUND"
    assert (
        len(
            list(
                web.call(
                    kind,
                    allowing.address,
                    V1,
                    "Watch",
                    {"symbols": ["TCS"], "startTime": START, "endTime": END},
                    **page,
                )
            )
        )
        > 400
    )


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
@pytest.mark.parametrize("method", ["TickerStream", "Publish", "PublishStream"])
def test_a_stream_of_requests_is_unimplemented_and_the_text_names_watch(server, method, text):
    answer = grpc_web.call(server.address, f"/{V1}/{method}", grpc_web.frame(b""), text)
    assert answer.trailers["grpc-status"] == "12", answer
    assert "Watch" in answer.trailers["grpc-message"]


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
def test_a_deadline_is_kept_by_the_server(server, text):
    # By hand: the clients would end the call by their own clocks and hide a server that does not.
    start = time.monotonic()
    watch = grpc_web.frame(b"\x0a\x03TCS")
    answer = grpc_web.call(server.address, f"/{V1}/Watch", watch, text, headers=[("Grpc-Timeout", "1S")])
    assert answer.trailers["grpc-status"] == "4", "DEADLINE_EXCEEDED"
    assert 0.9 < time.monotonic() - start < 2
