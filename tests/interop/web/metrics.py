"""What the admin port of a server counts."""

import re
import time
import urllib.request


def count(server, name):
    """The sum of all series of one metric."""
    with urllib.request.urlopen(f"http://{server.admin}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def wait_for_streams(server, expected, timeout=5):
    """Waits until the server has so many open streams of ticks."""
    deadline = time.monotonic() + timeout
    while (found := count(server, "ticker_streams")) != expected:
        assert time.monotonic() < deadline, f"{found} streams after {timeout} s, expected {expected}: {server}"
        time.sleep(0.02)
