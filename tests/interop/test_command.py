"""The client commands of `ticker` in a shell, as people and scripts use them."""

import functools
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios

import pytest

from grpc_client import past_ticks
from ports import free_address
from processes import Process
from replicas.harness import wait_until
from typewriter import Typewriter


@pytest.fixture
def shell(binary, server):
    """Runs a line of bash in which `$TICKER` is the binary, against the shared server."""

    def run(line, **environment):
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            env={"PATH": "/usr/bin:/bin", "TICKER": binary, "ENDPOINT": f"http://{server.address}", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )

    return run


def test_the_banner_can_be_pasted(serve, grpcurl):
    server = serve()

    def printed(pattern):
        """What the banner says to paste, once it is printed."""
        wait_until(lambda: re.search(pattern, "".join(server.stdout)), 5, lambda: str(server))
        return re.search(pattern, "".join(server.stdout)).group()

    paste = printed(r"grpcurl .*TickerStream")
    with Process(["bash", "-c", "exec " + paste.replace("grpcurl", grpcurl, 1)]) as watching:
        assert watching.documents(3)[0]["ltp"] > 0
    paste = printed(r"ticker watch .*")
    with Process(["bash", "-c", "exec " + paste.replace("ticker", server.command[0], 1)]) as watching:
        for _ in range(3):
            watching.line()


def test_json_is_one_object_a_tick(shell):
    ran = shell("$TICKER watch RELIANCE TCS --output json --endpoint $ENDPOINT | head -n 10")
    assert ran.returncode == 0, ran.stderr
    ticks = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(ticks) == 10
    assert {tick["symbol"] for tick in ticks} == {"RELIANCE", "TCS"}
    assert all(tick["ltp"] > 0 for tick in ticks)


def test_csv_has_a_header_and_a_line_a_tick(shell):
    ran = shell("$TICKER watch TCS --output csv --endpoint $ENDPOINT | head -n 4")
    assert ran.returncode == 0, ran.stderr
    header, *rows = ran.stdout.splitlines()
    assert "symbol" in header and "ltp" in header
    assert all(row.count(",") == header.count(",") and "TCS" in row for row in rows)


@pytest.mark.parametrize("output", ["", "--output json", "--output csv"])
def test_a_closed_pipe_is_success(shell, output):
    ran = shell(f"$TICKER watch RELIANCE {output} --endpoint $ENDPOINT | head -n 3")
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 3
    assert ran.stderr == ""


def test_list_names_the_instruments(shell):
    ran = shell("$TICKER list --endpoint $ENDPOINT")
    assert ran.returncode == 0, ran.stderr
    assert all(symbol in ran.stdout for symbol in ("RELIANCE", "TCS", "BTC-USD"))


def test_health_tells_by_its_exit_code(shell):
    assert shell("$TICKER health --endpoint $ENDPOINT").returncode == 0
    nobody = shell("$TICKER health --endpoint http://127.0.0.1:1")
    assert nobody.returncode == 1
    assert "127.0.0.1:1" in nobody.stderr and "panicked" not in nobody.stderr


def test_the_endpoint_comes_from_the_environment_too(shell, server):
    assert shell("$TICKER health", TICKER_ENDPOINT=f"http://{server.address}").returncode == 0


def test_an_unknown_symbol_is_named(shell):
    ran = shell("timeout 5 $TICKER watch NOSUCH --endpoint $ENDPOINT")
    assert ran.returncode == 1
    assert "NOSUCH" in ran.stderr


@pytest.mark.parametrize("line", ["watch", "serve --listen nowhere", "serve --flush-interval soon", "nonsense"])
def test_bad_usage_exits_with_two(shell, line):
    ran = shell(f"$TICKER {line}")
    assert ran.returncode == 2
    assert ran.stderr and "panicked" not in ran.stderr


ON_ALTERNATE_SCREEN, BACK_ON_THE_FIRST = b"\x1b[?1049h", b"\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


@pytest.fixture
def on_terminal(binary):
    """Starts a command on a terminal of its own. Gives the user, the terminal with its settings before the start, and the process."""
    started = []

    def run(*arguments):
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        before = termios.tcgetattr(theirs)
        watching = subprocess.Popen(
            [binary, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        started.append(watching)
        return Typewriter(ours), (theirs, before), watching

    yield run
    for watching in started:
        watching.kill()
        watching.wait()


@pytest.fixture
def table(on_terminal):
    """Starts `ticker watch` on a terminal of its own."""
    return functools.partial(on_terminal, "watch")


def test_a_bench_shows_its_progress_and_reports_what_it_has_when_it_is_stopped(on_terminal, server):
    user, _, bench = on_terminal("bench", "--duration", "1h", "--endpoint", f"http://{server.address}")
    user.read_until(lambda: re.search(rb"of 3600 s  100 streams  [1-9]\d* ticks/s  p99 .* 0 errors", user.shown))
    bench.send_signal(signal.SIGINT)
    user.read_until(lambda: bench.poll() is not None and not select.select([user.terminal], [], [], 0)[0])
    assert bench.returncode == 0, user.shown
    assert re.search(rb"100 of 100 streams open.*\r\ndelay p99\.9 +[\d.]+ ms\r\n", user.shown, re.DOTALL), user.shown


def left_by(user, watching):
    """The lines that a table leaves on the first screen when it ends."""
    user.read_until(lambda: watching.poll() is not None and not select.select([user.terminal], [], [], 0)[0])
    shown = user.shown.rpartition(BACK_ON_THE_FIRST)[2].decode()
    return re.sub(r"\x1b\[[0-9;?]*[a-z]", "", shown).split("\r\n")


@pytest.mark.parametrize("stop", ["Ctrl-C", "q", signal.SIGTERM])
def test_a_live_table_gives_the_terminal_back_with_its_last_state_on_it(table, server, stop):
    user, (terminal, before), watching = table("RELIANCE", "TCS", "NOSUCH", "--endpoint", f"http://{server.address}")
    user.read_until(lambda: all(symbol in user.shown for symbol in (b"RELIANCE", b"TCS", b"NOSUCH")))
    assert termios.tcgetattr(terminal) != before, "a live table takes the terminal over"
    if stop == signal.SIGTERM:
        watching.send_signal(stop)
    else:
        os.write(user.terminal, {"Ctrl-C": b"\x03", "q": b"q"}[stop])
    heading, reliance, tcs, totals, began, warning, prompt = left_by(user, watching)
    assert watching.returncode == 0, user.shown
    assert termios.tcgetattr(terminal) == before
    entered, left = user.shown.rfind(ON_ALTERNATE_SCREEN), user.shown.rfind(BACK_ON_THE_FIRST)
    assert -1 < entered < left, "back on the screen that was there"
    assert user.shown.rfind(SHOW_CURSOR) > user.shown.rfind(HIDE_CURSOR), "with its cursor"
    assert heading.split() == "SYMBOL LTP CHANGE CHANGE % TICKS/S AGE".split()
    assert reliance.startswith("RELIANCE ") and tcs.startswith("TCS ")
    assert str(server.address) in totals and "2 symbols" in totals
    assert began.startswith("CHANGE since 20") and began.endswith("Z")
    assert warning.startswith("warning: unknown symbol NOSUCH") and prompt == ""


@pytest.mark.parametrize(
    ("arguments", "within"),
    [
        (["-n", "5"], None),
        (
            ["--from", "2026-01-01T09:15:00Z", "--to", "2026-01-01T09:15:02Z", "--speed", "0"],
            {"startTime": "2026-01-01T09:15:00Z", "endTime": "2026-01-01T09:15:02Z"},
        ),
    ],
    ids=["after a number of ticks", "after a replay"],
)
def test_a_table_that_ends_by_itself_leaves_its_last_state(table, server, client, arguments, within):
    ticks = len(past_ticks(client, "TCS", **within)) if within else 5
    user, _, watching = table("TCS", *arguments, "--endpoint", f"http://{server.address}")
    heading, tcs, totals, began, prompt = left_by(user, watching)
    assert watching.returncode == 0, user.shown
    assert heading.startswith("SYMBOL ") and tcs.startswith("TCS ")
    assert f" {ticks} ticks " in totals and began.startswith("CHANGE since 20") and prompt == ""


def test_the_r_key_is_offered_while_a_table_reconnects(table, serve):
    server = serve(listen=free_address())
    user, _, watching = table("TCS", "--endpoint", f"http://{server.address}")
    user.read_until(lambda: b"q quits" in user.shown)
    assert b"r retries now" not in user.shown
    server.terminate()
    user.read_until(lambda: b"r retries now" in user.shown)
    serve(listen=server.address)
    user.press(b"r")
    # Not "reconnecting". Only cells that change are drawn, so that "1 " may be there already.
    user.read_until(lambda: re.search(rb"reconnect[^i]", user.shown))
    user.press(b"q")
    left = left_by(user, watching)
    assert left[1].startswith("TCS ") and any("1 reconnect" in line for line in left), left
    assert watching.returncode == 0


def test_ctrl_z_stops_a_live_table_and_fg_goes_on_with_it(binary, server):
    # A shell with job control that does not touch the settings of the terminal itself.
    script = """
        set -m
        echo "before $(stty -g)."
        "$TICKER" watch BTC-USD --endpoint "$ENDPOINT"
        echo "code $?."
        echo "after $(stty -g)."
        stty -a
        echo "stopped."
        read -r
        fg >/dev/null
        echo "at the end $(stty -g)."
    """
    environment = {
        "PATH": "/usr/bin:/bin",
        "TERM": "xterm-256color",
        "TICKER": binary,
        "ENDPOINT": f"http://{server.address}",
    }
    shell, terminal = pty.fork()
    if shell == 0:
        os.execve("/bin/bash", ["bash", "-c", script], environment)
    user = Typewriter(terminal)
    termios.tcsetwinsize(terminal, (24, 100))

    def settings(name):
        return re.search(rf"{name} ([0-9a-f:]+)\.".encode(), user.shown).group(1)

    try:
        user.read_until(lambda: b"BTC-USD" in user.shown)
        before = settings("before")
        user.press(b"\x1a")
        user.read_until(lambda: b"stopped." in user.shown)
        assert f"code {128 + signal.SIGTSTP}.".encode() in user.shown, user.shown
        assert settings("after") == before
        assert re.search(rb"[ \n]icanon", user.shown) and re.search(rb"[ \n]echo ", user.shown), user.shown
        assert BACK_ON_THE_FIRST in user.shown
        assert user.shown.rfind(SHOW_CURSOR) > user.shown.rfind(HIDE_CURSOR)
        user.press(b"\n")
        # The whole table is drawn again.
        user.read_until(lambda: ON_ALTERNATE_SCREEN in user.shown and b"SYMBOL" in user.shown and b"q quits" in user.shown)
        assert not termios.tcgetattr(terminal)[3] & termios.ICANON, "the keys are the table's again"
        user.press(b"q")
        user.read_until(lambda: b"at the end" in user.shown and user.shown.endswith(b".\r\n"))
        assert settings("at the end") == before
    finally:
        os.kill(shell, signal.SIGKILL)
        os.waitpid(shell, 0)
        os.close(terminal)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {}])
def test_a_terminal_without_a_cursor_gets_lines(binary, server, environment):
    ours, theirs = pty.openpty()
    command = [binary, "watch", "BTC-USD", "-n", "3", "--endpoint", f"http://{server.address}"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as watching:
        user = Typewriter(ours)
        user.read_until(lambda: watching.poll() is not None and not select.select([ours], [], [], 0)[0])
    assert watching.returncode == 0
    assert user.shown.count(b" BTC-USD ") == 3 and b"\x1b" not in user.shown, user.shown
