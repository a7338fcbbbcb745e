"""The command `ticker-client`."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from datetime import datetime

import pytest

from ticker_client import Client
from ticker_client.__main__ import candles

COMMAND = [sys.executable, "-m", "ticker_client"]


def run(*arguments):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30)
    assert "Traceback" not in done.stderr
    return done


def test_it_prints_candles_and_ticks(server):
    symbols = ["--symbols", "RELIANCE,TEST.SQUARE"]
    done = run("--endpoints", server.endpoint, "--seconds", "2", *symbols)
    assert (done.returncode, done.stderr) == (0, "")
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    endpoint = re.escape(server.endpoint)
    assert re.fullmatch(
        rf"event       tape_id     time\n"
        rf"tape        [0-9a-f]{{32}} {time}\n"
        rf"event       symbol      open_time                      "
        rf"open        high        low         close       volume\n"
        rf"(candle      RELIANCE    {time}( +\d+\.\d+){{4}} +\d+\n){{5,6}}"
        rf"(candle      TEST.SQUARE {time}( +\d+\.\d+){{4}} +\d+\n){{5,6}}"
        rf"event       endpoint    tape_id\n"
        rf"connected   {endpoint} [0-9a-f]{{32}}\n"
        rf"event       symbol      sequence    ltp         time                           "
        rf"bid         ask         snapshot\n"
        rf"(tick        (RELIANCE   |TEST.SQUARE) \d{{11}} \d+\.\d+ +{time}"
        rf"( \d+\.\d+ +){{2}}(true|false)\n){{12,}}",
        done.stdout,
    )


def test_it_prints_json(server):
    done = run("--endpoints", server.endpoint, "--seconds", "1", "--json", "--symbols", "TCS,NOPE")
    assert (done.returncode, done.stderr) == (0, "")
    events = defaultdict(list)
    for line in done.stdout.splitlines():
        event = json.loads(line)
        events[event.pop("event")].append(event)
    assert list(events) == ["tape", "candle", "connected", "refused", "tick"]
    (tape,), (connected,), (refused,) = events["tape"], events["connected"], events["refused"]
    assert tape.keys() == {"tape_id", "time"}
    assert connected == {"endpoint": server.endpoint, "tape_id": tape["tape_id"]}
    assert refused["symbol"] == "NOPE"
    assert refused["message"].startswith("unknown symbol NOPE")
    for candle in events["candle"]:
        assert list(candle) == ["symbol", "open_time", "open", "high", "low", "close", "volume"]
        assert candle["low"] <= candle["open"] <= candle["high"]
    first, *others = events["tick"]
    assert list(first) == ["symbol", "sequence", "ltp", "time", "bid", "ask", "snapshot"]
    assert first["snapshot"]
    assert not any(tick["snapshot"] for tick in others)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", first["time"])
    assert datetime.fromisoformat(first["time"][:26]).year > 2025


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--seconds", "0"], "--seconds 0 is not a positive number"),
        (["--seconds", "nan"], "--seconds nan is not a positive number"),
        (["--seconds", "x"], "argument --seconds: invalid float value: 'x'"),
        (["--symbols", "A,,B"], "--symbols 'A,,B' has an empty symbol"),
        (["--symbols", ""], "--symbols '' has an empty symbol"),
        (["--endpoints", "here"], "endpoint 'here' is not of the form HOST:PORT"),
        (["--tls-ca", "none.pem"], "No such file or directory: 'none.pem'"),
        (["--tls-ca", __file__, "--token-file", "none"], "No such file or directory: 'none'"),
        (["--token-file", __file__], "a token is never sent in plain text"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_bad_usage_is_one_line(arguments, error):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(f"error: .*{re.escape(error)}.*\n", done.stderr)


def test_refused_symbols_alone_are_a_failure(server):
    done = run("--endpoints", server.endpoint, "--symbols", "NOPE")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert re.match(r"error: \S+: INVALID_ARGUMENT: .*unknown symbol NOPE", last)


def test_a_server_that_is_down_is_a_failure():
    done = run("--endpoints", "127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"error: 127\.0\.0\.1:9: UNAVAILABLE: .*Connection refused.*\n", done.stderr
    )


def test_all_pages_of_candles_are_printed(server):
    class SmallPages(Client):
        def pages(self, rpc, request):
            request.page_size = 2
            return super().pages(rpc, request)

    with SmallPages(server.endpoint) as client:
        now = datetime.fromisoformat("2026-11-20T09:15:00+00:00")
        times = [candle["open_time"] for candle in candles(client, "TCS", now)]
    assert times == [f"2026-11-20T09:1{minute}:00.000000000Z" for minute in range(5)]


def test_reconnects_are_printed(serve):
    servers = [serve(), serve()]
    endpoints = ",".join(server.endpoint for server in servers)
    watching = subprocess.Popen(
        [*COMMAND, "--endpoints", endpoints, "--seconds", "5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not watching.stdout.readline().startswith("connected"):
        pass
    servers[0].end()
    output, errors = watching.communicate(timeout=20)
    assert (watching.returncode, errors) == (0, "")
    assert "event       endpoint    reason\n" in output
    assert f"disconnected {servers[0].endpoint} UNAVAILABLE: " in output
    assert f"connected   {servers[1].endpoint} " in output


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_an_interrupt_ends_it_quietly(server, flags):
    watching = subprocess.Popen(
        [*COMMAND, "--endpoints", server.endpoint, "--seconds", "60", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "connected" not in watching.stdout.readline():
        pass
    time.sleep(0.5)
    began = time.monotonic()
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=10)
    assert (watching.returncode, errors) == (0, "")
    assert time.monotonic() - began < 2


def test_a_reader_that_has_enough_ends_it_quietly(server):
    watching = subprocess.Popen(
        [*COMMAND, "--endpoints", server.endpoint, "--seconds", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watching.stdout.readline()
    watching.stdout.close()
    assert watching.stderr.read() == ""
    watching.stderr.close()
    assert watching.wait(10) == 0
