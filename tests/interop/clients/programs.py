"""The clients of `clients/`, as tests/interop/prepare built them: each is a process that prints JSON."""

import json
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime

from conftest import TOOLS, missing
from grpc_client import V1, Client
from processes import Process

PROGRAMS = {
    "go": [TOOLS / "bin" / "client-go"],
    "python": [TOOLS / "client-python" / "bin" / "ticker-client"],
    "node": ["node", TOOLS / "checkout" / "clients" / "node" / "dist" / "main.js"],
    "java": ["java", "-jar", TOOLS / "checkout" / "clients" / "java" / "target" / "ticker-client.jar"],
    "rust": [TOOLS / "checkout" / "clients" / "rust" / "target" / "release" / "ticker-client"],
}


def command(language, *arguments):
    """The command line of one of the clients."""
    program = PROGRAMS[language]
    if not program[-1].exists():
        missing(f"the client in {language} (tests/interop/prepare builds it)")
    return [*program, *arguments]


def run(language, *arguments, seconds=30):
    """Runs a client to its end."""
    parts = [str(part) for part in command(language, *arguments)]
    return subprocess.run(parts, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)


def nanoseconds(text):
    """An instant in nanoseconds since the Unix epoch."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)


@dataclass
class Arrival:
    """One event, and when it arrived, on the clock of `time.monotonic`."""

    at: float
    event: dict


class Watch(Process):
    """A client that watches, and what it has printed so far."""

    def __init__(self, language, endpoints, symbols, seconds, *options):
        self.language = language
        self.arrivals = []
        common = ["--endpoints", ",".join(endpoints), "--symbols", ",".join(symbols), "--seconds", str(seconds), "--json"]
        super().__init__(command(language, *common, *options))

    def _read(self, source, kept, lines):
        for line in source:
            if lines:
                self.arrivals.append(Arrival(time.monotonic(), json.loads(line)))
            else:
                kept.append(line)

    def events(self, kind):
        """The events of one kind so far."""
        return [arrival.event for arrival in list(self.arrivals) if arrival.event["event"] == kind]

    def ticks(self, symbol):
        """The ticks of one symbol so far."""
        return [tick for tick in self.events("tick") if tick["symbol"] == symbol]

    def endpoint(self):
        """The endpoint of its stream."""
        connected = self.events("connected")
        return connected[-1]["endpoint"] if connected else None

    def silence_after(self, moment):
        """The longest time between two ticks, in seconds, from just before `moment` on until five ticks have come."""
        times = [arrival.at for arrival in list(self.arrivals) if arrival.event["event"] == "tick"]
        first = next((number for number, at in enumerate(times) if at > moment), len(times))
        around = times[max(0, first - 1) : first + 5]
        return max((after - before for before, after in zip(around, around[1:])), default=float("inf"))

    def finish(self, seconds):
        """Waits for the end of `--seconds`."""
        code = self.wait(seconds)
        assert code == 0, f"exit code {code}: {self}"

    def __str__(self):
        last = "\n".join(json.dumps(arrival.event) for arrival in self.arrivals[-20:])
        return f"{' '.join(self.command)}\n{last}\nstderr: {''.join(self.stderr[-20:])}"


@dataclass
class Count:
    """What a client lost of some symbols."""

    ticks: int = 0
    missing: int = 0
    twice: int = 0
    wrong: int = 0


def count(watch, symbols, truth):
    """Compares ticks with the tape: `truth(symbol, first, last)` lists the true ones."""
    found = Count()
    for symbol in symbols:
        ticks = watch.ticks(symbol)
        assert ticks, f"no tick of {symbol}: {watch}"
        sequences = [tick["sequence"] for tick in ticks]
        found.ticks += len(ticks)
        found.twice += len(sequences) - len(set(sequences))
        found.missing += sequences[-1] - sequences[0] + 1 - len(set(sequences))
        expected = truth(symbol, sequences[0], sequences[-1])
        for tick in ticks:
            true = expected[tick["sequence"]]
            found.wrong += (tick["ltp"], nanoseconds(tick["time"])) != (true.ltp, true.time.ToNanoseconds())
        found.wrong += sequences != sorted(sequences)
    return found


def tape_of(address):
    """`truth` of `count`: the ticks as a server lists them."""

    def truth(symbol, first, last):
        ticks, start = {}, first
        with Client(address) as client:
            while start <= last:
                asked = {"symbol": symbol, "startSequence": start, "endSequence": last + 1, "pageSize": 10_000}
                page = client.call(V1, "ListTicks", asked, timeout=10).ticks
                ticks |= {tick.sequence: tick for tick in page}
                start = page[-1].sequence + 1
        return ticks

    return truth
