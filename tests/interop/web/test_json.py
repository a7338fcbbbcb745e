"""Plain JSON over HTTP for those who have only curl: the same values as over gRPC."""

import json
import subprocess
import time
from urllib.parse import urlencode

import pytest

from grpc_client import V1, Client
from web import http1
from web.http1 import refused
from web.proto3_json import parsed
from web.ticks import END, START, check_every_tick

TYPES = {
    "instruments": "ListInstruments",
    "prices": "GetLastPrices",
    "ticks": "ListTicks",
    "candles": "ListCandles",
    "tape": "GetTape",
}
# Paths that answer, with what they need.
PATHS = [
    "/v1/instruments",
    "/v1/prices",
    "/v1/ticks?symbol=TCS",
    f"/v1/candles?symbol=TCS&interval=1m&startTime={START}",
    "/v1/tape",
]


def target(what, query):
    """The path and query of a request."""
    return f"/v1/{what}" + ("?" + urlencode(query) if query else "")


def ask(server, pool, what, **query):
    """The message that a path answers with."""
    answer = http1.get(server.address, target(what, query))
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json", answer.headers
    return parsed(pool, f"ticker.v1.{TYPES[what]}Response", json.loads(answer.body))


@pytest.mark.parametrize(
    ("what", "query", "request_"),
    [
        ("instruments", {}, {}),
        ("instruments", {"search": "rElIaNcE"}, {"search": "rElIaNcE"}),
        ("instruments", {"search": "M&M"}, {"search": "M&M"}),
        ("instruments", {"search": "nothing has this name"}, {"search": "nothing has this name"}),
        ("ticks", {"symbol": "M&M", "startTime": START, "endTime": END}, None),
        (
            "ticks",
            {"symbol": "TCS", "startTime": "2026-03-02T09:15:00.25Z", "endTime": "2026-03-02T14:45:03+05:30"},
            None,
        ),
        ("ticks", {"symbol": "TCS", "startSequence": "1000", "endSequence": "1100", "newestFirst": "true"}, None),
        ("candles", {"symbol": "BTC-USD", "interval": "1s", "startTime": START, "endTime": END}, None),
        (
            "candles",
            {"symbol": "BTC-USD", "interval": "24h", "startTime": "2026-03-01T00:00:00Z", "endTime": END},
            None,
        ),
        # The far past, before which nothing ticked.
        (
            "candles",
            {"symbol": "TCS", "interval": "1m", "startTime": "1970-01-01T00:00:00Z", "endTime": "1970-01-01T00:10:00Z"},
            None,
        ),
    ],
)
def test_an_answer_is_the_message_of_grpc(server, client, contract, what, query, request_):
    request = request_ if request_ is not None else dict(query)
    if request.get("newestFirst"):
        request["newestFirst"] = True
    if "interval" in request:
        request["interval"] = {"1s": "1s", "1m": "60s", "24h": "86400s"}[request["interval"]]
    before = client.call(V1, TYPES[what], request)
    answer = ask(server, contract, what, **query)
    # The status of an instrument may change in between.
    assert answer in (before, client.call(V1, TYPES[what], request))


def test_the_tape_is_that_of_grpc(server, client, contract):
    tape = ask(server, contract, "tape")
    assert abs(tape.time.ToSeconds() - time.time()) < 5
    expected = client.call(V1, "GetTape")
    expected.time.CopyFrom(tape.time)
    assert tape == expected


def test_prices_are_the_newest_ticks(server, client, contract):
    # Ticks are sent in batches of 10 ms.
    moment = time.time_ns() - 50_000_000
    prices = ask(server, contract, "prices", symbols="RELIANCE,NOSUCH,M&M")
    assert [tick.symbol for tick in prices.ticks] == ["RELIANCE", "M&M"]
    listed = http1.get(server.address, "/v1/prices?symbols=RELIANCE&symbols=TCS,INFY")
    assert [tick["symbol"] for tick in json.loads(listed.body)["ticks"]] == ["RELIANCE", "TCS", "INFY"]
    assert [status.symbol for status in prices.statuses] == ["NOSUCH"]
    check_every_tick(client, prices.ticks)
    for tick in prices.ticks:
        later = client.call(V1, "ListTicks", {"symbol": tick.symbol, "startSequence": tick.sequence + 1, "pageSize": 1})
        assert all(moment <= next.time.ToNanoseconds() for next in later.ticks)
    listed = client.call(V1, "ListInstruments").instruments
    market = [each.symbol for each in listed if each.kind != "test"]
    assert [tick.symbol for tick in ask(server, contract, "prices").ticks] == market


def test_a_number_that_javascript_cannot_hold_is_a_string(serve, contract):
    assert ask(serve("--seed", str(2**53 - 1)), contract, "tape").seed == 2**53 - 1
    wide = serve("--seed", str(2**64 - 1))
    assert ask(wide, contract, "tape").seed == 2**64 - 1
    assert json.loads(http1.get(wide.address, "/v1/tape").body)["seed"] == str(2**64 - 1)


def test_a_tick_reads_as_the_documents_say(server):
    answer = http1.get(server.address, "/v1/ticks?symbol=RELIANCE&startSequence=1000&endSequence=1001")
    (tick,) = json.loads(answer.body)["ticks"]
    assert tick.keys() == {"symbol", "ltp", "time", "sequence", "ltpNanos", "lastQuantity"}
    assert (tick["symbol"], tick["sequence"]) == ("RELIANCE", 1000)
    assert tick["ltp"] == int(tick["ltpNanos"]) / 1e9


@pytest.mark.parametrize(
    ("what", "query", "field", "request_"),
    [
        ("instruments", {"pageSize": 7}, "instruments", {}),
        ("prices", {"pageSize": 7}, "ticks", {}),
        ("ticks", {"symbol": "TCS", "startTime": START, "endTime": END, "pageSize": 120}, "ticks", {}),
        (
            "ticks",
            {"symbol": "TCS", "startTime": START, "endTime": END, "pageSize": 120, "newestFirst": "true"},
            "ticks",
            {"newestFirst": True},
        ),
        (
            "candles",
            {"symbol": "TCS", "interval": "1s", "startTime": START, "endTime": END, "pageSize": 17},
            "candles",
            {"interval": "1s"},
        ),
    ],
)
def test_pages_together_are_the_whole_answer_of_grpc(server, client, contract, what, query, field, request_):
    whole_request = {**query, "pageSize": 10_000, **request_}
    before = client.call(V1, TYPES[what], whole_request)
    found, pages, token = [], 0, {}
    while not pages or token["pageToken"]:
        page = ask(server, contract, what, **query, **token)
        assert 1 <= len(getattr(page, field)) <= query["pageSize"]
        found += getattr(page, field)
        pages, token = pages + 1, {"pageToken": page.next_page_token}
    assert pages > 3
    after = client.call(V1, TYPES[what], whole_request)
    if what == "prices":
        assert [each.symbol for each in found] == [each.symbol for each in after.ticks]
        return
    # The status of an instrument may change in between.
    for each, *expected in zip(found, getattr(before, field), getattr(after, field), strict=True):
        assert each in expected


def test_a_page_has_at_most_a_thousand(server, contract):
    window = {"symbol": "TCS", "startTime": "2026-03-02T09:00:00Z", "endTime": "2026-03-02T10:00:00Z"}
    assert len(ask(server, contract, "ticks", **window).ticks) == 1_000
    assert len(ask(server, contract, "ticks", **window, pageSize=1_000).ticks) == 1_000


@pytest.mark.parametrize(
    ("path", "status", "name", "words"),
    [
        ("/v1/ticks?symbol=NOSUCH", 404, "NOT_FOUND", "NOSUCH"),
        ("/v1/ticks", 400, "INVALID_ARGUMENT", "symbol"),
        ("/v1/ticks?symbol=not%20a%20symbol", 400, "INVALID_ARGUMENT", ""),
        ("/v1/ticks?symbol=TCS&startTime=yesterday", 400, "INVALID_ARGUMENT", "startTime"),
        ("/v1/ticks?symbol=TCS&startSequence=-1", 400, "INVALID_ARGUMENT", "startSequence"),
        ("/v1/ticks?symbol=TCS&startSequence=18446744073709551616", 400, "INVALID_ARGUMENT", "startSequence"),
        ("/v1/ticks?symbol=TCS&newestFirst=perhaps", 400, "INVALID_ARGUMENT", "newestFirst"),
        ("/v1/ticks?symbol=TCS&pageSize=many", 400, "INVALID_ARGUMENT", "pageSize"),
        ("/v1/ticks?symbol=TCS&pageToken=nobody", 400, "INVALID_ARGUMENT", ""),
        ("/v1/ticks?symbol=TCS&startSequence=5&endSequence=1", 400, "INVALID_ARGUMENT", ""),
        ("/v1/candles?symbol=TCS&interval=7s&startTime=" + START, 400, "INVALID_ARGUMENT", ""),
        ("/v1/candles?symbol=TCS&interval=often&startTime=" + START, 400, "INVALID_ARGUMENT", "interval"),
        ("/v1/candles?symbol=TCS&interval=1m", 400, "INVALID_ARGUMENT", ""),
        ("/v1/prices?symbols=" + ",".join(f"S{n}" for n in range(1_001)), 429, "RESOURCE_EXHAUSTED", "1001"),
        # A parameter that is not there, one of another path, a wrong case, and one that comes twice.
        ("/v1/tape?verbose=1", 400, "INVALID_ARGUMENT", "verbose"),
        ("/v1/prices?symbol=TCS", 400, "INVALID_ARGUMENT", "symbol"),
        ("/v1/ticks?symbol=TCS&pagesize=5", 400, "INVALID_ARGUMENT", "pagesize"),
        ("/v1/ticks?symbol=TCS&symbol=RELIANCE", 400, "INVALID_ARGUMENT", "symbol"),
        ("/v1/instruments?search=a&search=b", 400, "INVALID_ARGUMENT", "search"),
        # Not UTF-8.
        ("/v1/ticks?symbol=%ff%fe", 400, "INVALID_ARGUMENT", ""),
        ("/v1/nothing", 404, "NOT_FOUND", ""),
        ("/v2/ticks", 404, "NOT_FOUND", ""),
        ("/v1/", 404, "NOT_FOUND", ""),
    ],
)
def test_an_error_has_its_status_and_says_what_is_wrong(server, path, status, name, words):
    assert words in refused(http1.get(server.address, path), status, name)


@pytest.mark.parametrize("path", [*PATHS, "/v1/watch?symbols=TCS"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_method_is_not_allowed_and_the_answer_says_which_are(server, path, method):
    answer = http1.get(server.address, path, [("Content-Length", "0")], method)
    assert answer.status == 405, answer
    allowed = {each.strip() for each in answer.headers["allow"].split(",")}
    assert allowed == ({"GET"} if "watch" in path else {"GET", "HEAD"})


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_the_body(server, path):
    with http1.Connection(server.address) as connection:
        connection.request("HEAD", path)
        head = connection.answer("HEAD")
        assert head.status == 200
        assert head.headers["content-type"] == "application/json"
        # Nothing is left of the answer, and the next one follows on the same connection.
        connection.request("GET", "/v1/tape")
        assert "tapeId" in json.loads(connection.answer().body)


def test_answers_follow_one_another_on_one_connection(server):
    with http1.Connection(server.address) as connection:
        for _ in range(3):
            for path in PATHS:
                connection.request("GET", path)
                assert connection.answer().status == 200


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2-prior-knowledge"])
def test_curl_gets_it_over_every_version_of_http(server, curl, version):
    command = [curl, "--silent", "--show-error", "--fail", "--max-time", "5", version]
    ran = subprocess.run([*command, f"http://{server.address}/v1/tape"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    with Client(server.address) as client:
        assert json.loads(ran.stdout)["tapeId"] == client.call(V1, "GetTape").tape_id


def test_curl_prints_pages_of_the_past(server, client, curl):
    url = f"http://{server.address}/v1/candles?symbol=RELIANCE&interval=1m&startTime=2026-03-02T09:15:00Z&endTime=2026-03-02T10:15:00Z"
    ran = subprocess.run(
        [curl, "--silent", "--show-error", "--fail", "--max-time", "5", url], capture_output=True, text=True
    )
    candles = json.loads(ran.stdout)["candles"]
    assert len(candles) == 60
    assert candles[0]["openTime"] == "2026-03-02T09:15:00Z"
    for candle in candles:
        for name in ("open", "high", "low", "close"):
            assert candle[f"{name}Price"] == int(candle[f"{name}Nanos"]) / 1e9
