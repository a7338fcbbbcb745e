"""grpcurl, which asks the server for the contract by reflection."""

import json
import subprocess

import pytest

from processes import Process

GOGEN = "gogen.TickerStreamService"
V1 = "ticker.v1.TickerStreamService"


@pytest.fixture
def run(grpcurl, server):
    """Runs grpcurl against the shared server until it ends."""

    def run(*arguments, data=None, seconds=10):
        data = ["-d", data] if data is not None else []
        command = [grpcurl, "-plaintext", *data, server.address, *arguments]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)

    return run


@pytest.fixture
def stream(grpcurl, server):
    """Starts grpcurl on a method that streams for ever."""
    running = []

    def start(method, data):
        running.append(Process([grpcurl, "-plaintext", "-d", data, server.address, method]))
        return running[-1]

    yield start
    for process in running:
        process.kill()


@pytest.mark.parametrize(
    ("symbol", "says"),
    [
        (GOGEN, "rpc TickerStream ( stream .gogen.TickerRequest ) returns ( stream .gogen.TickerResponse );"),
        (V1, "rpc Watch ( .ticker.v1.WatchRequest ) returns ( stream .ticker.v1.WatchResponse );"),
        ("ticker.v1.Tick", "int64 ltp_nanos = 5;"),
        ("grpc.health.v1.Health", "rpc Watch"),
    ],
)
def test_describe_shows_the_contract(run, symbol, says):
    described = run("describe", symbol)
    assert described.returncode == 0, described.stderr
    assert says in described.stdout


def test_the_first_price_comes_at_once_and_ticks_go_on_after_the_half_close(stream):
    # Its ticks are 100 ms apart: no two have the same time in milliseconds.
    watching = stream(f"{GOGEN}/TickerStream", '{"symbol":"TEST.SQUARE"}')
    first, *more = watching.documents(5)
    assert first["symbol"] == "TEST.SQUARE"
    assert first["ltp"] > 0
    assert len({tick["timestamp"] for tick in [first, *more]}) == 5
    assert watching.process.poll() is None, "the server ended a stream that only half-closed"


def test_several_symbols_share_one_stream(stream):
    symbols = ["RELIANCE", "TCS", "BTC-USD"]
    watching = stream(f"{GOGEN}/TickerStream", "".join(json.dumps({"symbol": symbol}) for symbol in symbols))
    assert {tick["symbol"] for tick in watching.documents(20)} == set(symbols)


@pytest.mark.parametrize(
    ("symbol", "code", "says"),
    [
        ("", "InvalidArgument", ""),
        ("NOT A SYMBOL", "InvalidArgument", ""),
        ("X" * 33, "InvalidArgument", ""),
        ("NOSUCH", "NotFound", "NOSUCH"),
    ],
)
def test_a_bad_symbol_ends_the_call_with_its_status(run, symbol, code, says):
    ended = run(f"{GOGEN}/TickerStream", data=json.dumps({"symbol": symbol}))
    assert f"Code: {code}" in ended.stderr
    assert says in ended.stderr
    assert ended.stdout == ""


def test_watch_answers_each_symbol_and_streams_the_good_ones(stream):
    watching = stream(f"{V1}/Watch", '{"symbols":["RELIANCE","NOSUCH"],"delivery":"DELIVERY_EVERY_TICK"}')
    result, first, *more = watching.documents(5)
    statuses = {status["symbol"]: status["code"] for status in result["subscriptionResult"]["statuses"]}
    assert statuses == {
        "RELIANCE": "SYMBOL_STATUS_CODE_SUBSCRIBED",
        "NOSUCH": "SYMBOL_STATUS_CODE_UNKNOWN_SYMBOL",
    }
    assert first["tick"]["snapshot"]
    assert not any(response["tick"].get("snapshot") for response in more)
    sequences = [int(response["tick"]["sequence"]) for response in [first, *more]]
    assert sequences == list(range(sequences[0], sequences[0] + 4))


def test_one_stream_takes_every_verb(stream):
    requests = [
        {"requestId": 1, "subscribe": {"symbols": ["RELIANCE", "TCS"], "delivery": "DELIVERY_EVERY_TICK"}},
        {"requestId": 2, "listSubscriptions": {}},
        {"requestId": 3, "ping": {}},
        {"requestId": 4, "unsubscribe": {"symbols": ["TCS"]}},
        {"requestId": 5, "setSubscriptions": {"symbols": ["BTC-USD"]}},
    ]
    watching = stream(f"{V1}/TickerStream", "".join(map(json.dumps, requests)))
    answers, after = [], []
    while len(after) < 3:
        (response,) = watching.documents(1)
        if "tick" not in response:
            answers.append(next(iter(response.values()))["requestId"])
        elif answers and answers[-1] == "5":
            after.append(response["tick"]["symbol"])
    assert answers == ["1", "2", "3", "4", "5"]
    assert set(after) == {"BTC-USD"}, "an answer is a barrier: what was removed sends no more"


def test_the_calls_that_answer_once(run):
    tape = json.loads(run(f"{V1}/GetTape").stdout)
    assert tape["seed"] == "7" and tape["tapeId"] and tape["engineVersion"]

    listed = json.loads(run(f"{V1}/ListInstruments").stdout)["instruments"]
    symbols = [instrument["symbol"] for instrument in listed]
    assert {"RELIANCE", "TCS", "BTC-USD"} <= set(symbols)
    assert symbols == sorted(symbols)

    prices = json.loads(run(f"{V1}/GetLastPrices", data='{"symbols":["TCS","NOSUCH"]}').stdout)
    assert [tick["symbol"] for tick in prices["ticks"]] == ["TCS"]
    assert [status["code"] for status in prices["statuses"]] == ["SYMBOL_STATUS_CODE_UNKNOWN_SYMBOL"]

    everything = json.loads(run(f"{V1}/GetLastPrices").stdout)["ticks"]
    market = [instrument["symbol"] for instrument in listed if instrument["kind"] != "test"]
    assert [tick["symbol"] for tick in everything] == market


def test_the_past_is_listed(run):
    hour = {"symbol": "RELIANCE", "start_time": "2026-11-19T09:00:00Z", "end_time": "2026-11-19T10:00:00Z"}
    ticks = json.loads(run(f"{V1}/ListTicks", data=json.dumps({**hour, "page_size": 2})).stdout)
    first, second = ticks["ticks"]
    before = json.dumps({"symbol": "RELIANCE", "end_time": hour["start_time"], "newest_first": True, "page_size": 1})
    (last,) = json.loads(run(f"{V1}/ListTicks", data=before).stdout)["ticks"]
    # Without the "Z", as a fraction follows.
    start = hour["start_time"].removesuffix("Z")
    assert last["time"] < start < first["time"] and int(first["sequence"]) == int(last["sequence"]) + 1
    assert ticks["nextPageToken"] == str(int(second["sequence"]) + 1)

    candles = json.loads(run(f"{V1}/ListCandles", data=json.dumps({**hour, "interval": "3600s"})).stdout)
    (candle,) = candles["candles"]
    until = json.dumps({"symbol": "RELIANCE", "end_time": hour["end_time"], "newest_first": True, "page_size": 1})
    (end,) = json.loads(run(f"{V1}/ListTicks", data=until).stdout)["ticks"]
    count = int(end["sequence"]) - int(last["sequence"])
    assert (candle["openTime"], candle["tickCount"]) == ("2026-11-19T09:00:00Z", str(count))
    assert candle["openNanos"] == first["ltpNanos"]

    newest = json.loads(run(f"{V1}/ListTicks", data='{"symbol":"TCS","newest_first":true,"page_size":3}').stdout)
    sequences = [int(tick["sequence"]) for tick in newest["ticks"]]
    assert sequences == list(range(sequences[0], sequences[0] - 3, -1))


def test_a_tape_that_is_no_feed_takes_no_ticks(run):
    for method in ("Publish", "PublishStream"):
        error = run(f"{V1}/{method}", data="{}").stderr
        assert "Code: FailedPrecondition" in error and "start it with --feed" in error


@pytest.mark.parametrize("service", ["", GOGEN, V1])
def test_health_answers_for_the_server_and_for_each_service(run, stream, service):
    request = json.dumps({"service": service})
    assert json.loads(run("grpc.health.v1.Health/Check", data=request).stdout) == {"status": "SERVING"}
    watching = stream("grpc.health.v1.Health/Watch", request)
    assert watching.documents(1) == [{"status": "SERVING"}]
    assert watching.process.poll() is None


def test_health_of_a_service_that_is_not_here_is_not_found(run):
    assert "Code: NotFound" in run("grpc.health.v1.Health/Check", data='{"service":"no.such.Service"}').stderr
