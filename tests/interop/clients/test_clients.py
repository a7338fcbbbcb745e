"""What each of the five clients does, one server at a time. `language` stands for each of them."""

import os
import re
import signal
import time

import pytest

from clients.programs import count, nanoseconds, run, tape_of
from grpc_client import V1
from ports import free_address
from replicas.harness import wait_until

# The last one has ten ticks a second, at all hours.
SYMBOLS = ["RELIANCE", "BTC-USD", "TEST.SQUARE"]


def test_ticks_quotes_and_candles_are_those_of_the_tape(language, watch, server, client):
    watching = watch(language, [server.address], SYMBOLS, 6)
    watching.finish(20)
    found = count(watching, SYMBOLS, tape_of(server.address))
    assert (found.missing, found.twice, found.wrong) == (0, 0, 0) and found.ticks > 20
    (tape,) = watching.events("tape")
    assert tape["tape_id"] == client.call(V1, "GetTape").tape_id
    tick = watching.ticks("RELIANCE")[-1]
    # The quote after a trade, as anyone who resumes just before it gets it.
    asked = {"symbols": ["RELIANCE"], "afterSequence": {"RELIANCE": tick["sequence"] - 1}, "detail": "DETAIL_QUOTE"}
    call = client.call(V1, "Watch", asked, timeout=5)
    true = next(response.tick for response in call if response.WhichOneof("event") == "tick")
    call.cancel()
    assert true.sequence == tick["sequence"]
    assert [tick["bid"], tick["ask"]] == [true.quote.bid_nanos / 1e9, true.quote.ask_nanos / 1e9]
    assert [each["snapshot"] for each in watching.ticks("TEST.SQUARE")[:2]] == [True, False]
    for symbol in SYMBOLS:
        # Five whole minutes, and perhaps the one that goes on.
        candles = [candle for candle in watching.events("candle") if candle["symbol"] == symbol]
        assert 5 <= len(candles) <= 6
        started = nanoseconds(candles[0]["open_time"]) // 1_000_000_000
        asked = {"symbol": symbol, "interval": "60s", "startTime": f"{time.strftime('%FT%TZ', time.gmtime(started))}"}
        (first, *_) = client.call(V1, "ListCandles", asked).candles
        prices = [first.open_price, first.high_price, first.low_price, first.close_price, first.volume]
        assert [candles[0][name] for name in ("open", "high", "low", "close", "volume")] == prices


def test_text_is_for_people(language, server):
    ran = run(language, "--endpoints", server.address, "--symbols", "TEST.SQUARE", "--seconds", "6")
    assert ran.returncode == 0, ran
    rows = [line.split() for line in ran.stdout.splitlines()]
    assert rows[0] == ["event", "tape_id", "time"] and rows[1][0] == "tape"
    assert any(row[:2] == ["connected", server.address] for row in rows)
    ticks = [row for row in rows if row[0] == "tick"]
    assert len(ticks) > 10 and all(row[1] == "TEST.SQUARE" and len(row) == 8 for row in ticks), ran.stdout
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", row[4]) for row in ticks), ran.stdout
    assert rows.count("event symbol sequence ltp time bid ask snapshot".split()) == 1
    assert ran.stderr == ""


def test_a_symbol_that_is_refused_fails_no_other(language, watch, server):
    watching = watch(language, [server.address], ["TEST.SQUARE", "RELAINCE"], 6)
    watching.finish(20)
    (refused,) = watching.events("refused")
    assert refused["symbol"] == "RELAINCE" and "did you mean RELIANCE?" in refused["message"]
    assert len(watching.ticks("TEST.SQUARE")) > 10


def test_nothing_to_watch_is_a_failure_that_says_why(language, server):
    ran = run(language, "--endpoints", server.address, "--symbols", "RELAINCE", "--seconds", "5")
    assert ran.returncode == 1 and "RELAINCE" in ran.stderr, ran
    check_is_short(ran.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seconds", "0"],
        ["--seconds", "soon"],
        ["--symbols", ""],
        ["--endpoints", ","],
        ["--colour"],
        ["--tls-ca", "/nowhere/ca.pem"],
        ["--token-file", "token"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_bad_usage_is_one_line(language, tmp_path, arguments):
    (tmp_path / "token").write_text("secret-of-a-caller")
    arguments = [str(tmp_path / "token") if part == "token" else part for part in arguments]
    ran = run(language, *arguments)
    assert ran.returncode == 2 and not ran.stdout, ran
    assert "secret-of-a-caller" not in ran.stderr
    check_is_short(ran.stderr)


def check_is_short(text):
    """An error is a message, not a trace of the stack."""
    assert 1 <= len(text.splitlines()) <= 3, text
    assert "Traceback" not in text and "panicked" not in text and "\tat " not in text, text


def test_a_server_may_come_later(language, watch, serve):
    address = free_address()
    watching = watch(language, [address], SYMBOLS, 10)
    # Long enough for a JVM to start and to be refused.
    time.sleep(2)
    serve(listen=address)
    wait_until(lambda: len(watching.ticks("TEST.SQUARE")) > 5, 8, lambda: str(watching))
    watching.finish(15)


def test_no_replica_with_the_tape_is_a_failure(language, watch, serve):
    first, foreign = serve("--seed", "7", listen=free_address()), serve("--seed", "8")
    watching = watch(language, [first.address, foreign.address], SYMBOLS, 30)
    wait_until(lambda: len(watching.ticks("TEST.SQUARE")) > 5, 15, lambda: str(watching))
    tape = watching.events("connected")[0]["tape_id"]
    first.terminate()
    # The first endpoint answers nothing, so the client goes on; then it plays another tape, too.
    time.sleep(1)
    assert watching.process.poll() is None, watching
    serve("--seed", "8", listen=first.address)
    assert watching.wait(15) == 1, watching
    assert tape in "".join(watching.stderr), watching
    assert {event["tape_id"] for event in watching.events("connected")} == {tape}


def test_a_reader_that_stops_is_told_which_ticks_it_lacks(language, watch, serve, tmp_path):
    # 10,000 ticks a second: more than the windows of HTTP/2 and the buffers of sockets hold in a few seconds.
    symbols = [f"S{number}" for number in range(20)]
    instruments = tmp_path / "instruments.toml"
    # Their day has just begun: before its first quote, the server reads the day.
    common = f'reference_price = 100\ntick_interval = "2ms"\nday_start = "{time.strftime("%H:%M", time.gmtime())}"\n'
    instruments.write_text("".join(f'[[instrument]]\nsymbol = "{symbol}"\n{common}' for symbol in symbols))
    server = serve("--instruments", instruments, "--max-lag", "1s")
    watching = watch(language, [server.address], symbols, 12)
    wait_until(lambda: len(watching.events("tick")) > 1_000, 15, lambda: str(watching))
    os.kill(watching.process.pid, signal.SIGSTOP)
    time.sleep(4)
    os.kill(watching.process.pid, signal.SIGCONT)
    wait_until(lambda: watching.events("gap"), 10, lambda: str(watching))
    watching.kill()
    symbol = watching.events("gap")[0]["symbol"]
    last = None
    for arrival in watching.arrivals:
        event = arrival.event
        if event.get("symbol") != symbol or event["event"] not in ("tick", "gap"):
            continue
        first = event["sequence"] if event["event"] == "tick" else event["first_sequence"]
        assert last is None or first == last + 1, "a tick is neither there nor in a gap"
        last = event["sequence"] if event["event"] == "tick" else event["last_sequence"]
