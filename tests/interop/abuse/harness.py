"""What every case does: a server of its own, a healthy client first alone and then beside the attack, and the figures
of the server meanwhile."""

import json
import os
import queue
import resource
import shlex
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from processes import Server

HERE = Path(__file__).resolve().parent
LONG = os.environ.get("ABUSE") == "long"
MIB = 1 << 20

# A healthy client's p99 beside an attack is at most 1.25 times its own p99 alone. The few milliseconds besides are for
# the scheduler of a machine that runs the attackers and the clients on the cores of the server. A second server, which
# nobody attacks, is measured at the same time: what it suffers is the machine's, and counts as the baseline when it is
# more.
AGE_FACTOR, AGE_FLOOR_MS = 1.25, 2.0
BASELINE_SECONDS = 10 if LONG else 2


def at_length(long, short):
    """A figure of the long form or of the short one."""
    return long if LONG else short


@cache
def known_flags(binary):
    """The options of the server, so that an older one can be measured by the same cases."""
    return subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, check=True).stdout


class Served(Server):
    """A server with a descriptor limit. Options that it does not know are left out."""

    def __init__(self, binary, *options, workers=1, descriptors=None):
        given = ["--workers", str(workers)]
        # A client that reads nothing is cut at the deadline, and the server must end soon after.
        for option in ["--drain-deadline 1s", *options]:
            words = shlex.split(option)
            if words[0] + " " in known_flags(binary) or words[0] + "\n" in known_flags(binary):
                given += words
        limit = descriptors or resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        program = ["bash", "-c", 'ulimit -n "$0" && exec "$@"', limit, binary]
        super().__init__([*program, "serve", "--listen", "127.0.0.1:0", *given])
        self.pid = self.process.pid

    def resident(self):
        """Resident memory in bytes."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024 if "VmRSS:" in text else 0

    def descriptors(self):
        """How many descriptors are open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def processor_seconds(self):
        """Processor time of all threads so far."""
        return sum(self.seconds_by_thread().values())

    def seconds_by_thread(self):
        """Processor time of each thread so far."""
        found = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                found[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                continue
        return found

    def alive(self):
        """Whether it still runs."""
        return self.process.poll() is None


class Child:
    """A client in a process of its own, which talks in lines of stdin and stdout."""

    def __init__(self, script, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, HERE / script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def say(self, line="go"):
        """Sends a line."""
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def line(self, timeout):
        """The next line of stdout, or None when there is no more."""
        try:
            return self.lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"{self.process.args} said nothing for {timeout} s") from None

    def stop(self):
        """Ends the process."""
        self.process.kill()
        self.process.wait()


class Attacker(Child):
    """A process that runs one attack of `attack.py`."""

    def __init__(self, name, address, **options):
        super().__init__("attack.py", name, address, json.dumps(options))
        self.name = name

    def wait_until_ready(self, timeout):
        """Waits until the attack is prepared; it begins at the next `say`."""
        line = self.line(timeout)
        assert line == "ready\n", f"{self.name} did not get ready: {line!r}"

    def result(self, timeout):
        """What the attack has to tell, once it is over."""
        line = self.line(timeout)
        assert line, f"{self.name} failed"
        return json.loads(line)


class HealthyClient(Child):
    """The client whose ticks must not suffer."""

    def __init__(self, address, tls=False):
        super().__init__("healthy.py", address, *["tls"] * tls)
        self.wrong, self.ended = [], None

    def ages(self):
        """Ages in milliseconds of the ticks since the last question."""
        self.say()
        line = self.line(30)
        assert line, "the healthy client failed"
        found = json.loads(line)
        self.wrong, self.ended = found["wrong"], found["ended"]
        return [age / 1e6 for age in found["ages"]]


def percentile(values, share):
    """A percentile, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


@dataclass
class Figures:
    """What was measured in one case."""

    name: str
    workers: int
    baseline_p99: float = 0.0
    control_p99: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    longest: float = 0.0
    idle: int = 0
    added: int = 0
    left: int = 0
    descriptors: int = 0
    cores: float = 0.0
    exit_code: object = "died"
    exit_seconds: float = 0.0
    wrong: list = field(default_factory=list)
    ended: object = None
    results: list = field(default_factory=list)
    verdict: str = ""

    def age_bound(self):
        """The largest p99 that the healthy client may have, in milliseconds."""
        return max(self.baseline_p99, self.control_p99) * AGE_FACTOR + AGE_FLOOR_MS


class Case:
    """One attack against one server. Use it as a context, and call `baseline`, `attack` and `leave` in that order."""

    def __init__(self, name, binary, *options, workers=1, descriptors=None, control=None):
        self.control = control
        self.figures = Figures(name, workers)
        self.server = Served(binary, *options, workers=workers, descriptors=descriptors)
        self.healthy, self.attackers = None, []
        self.tls = any(option.startswith("--tls-cert") for option in options)
        self.watching = threading.Event()
        self.watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def address(self):
        """Where the server listens."""
        return self.server.address

    def __enter__(self):
        try:
            self.healthy = HealthyClient(self.address, self.tls)
            time.sleep(0.4)
            self.healthy.ages()
            self.watcher.start()
        except BaseException:
            self.server.kill()
            raise
        return self

    def __exit__(self, *_):
        self.watching.set()
        for child in [*self.attackers, self.healthy]:
            child.stop()
        if self.server.alive():
            self.server.kill()

    def _watch(self):
        figures = self.figures
        while not self.watching.wait(0.03):
            try:
                if figures.idle:
                    figures.added = max(figures.added, self.server.resident() - figures.idle)
                figures.descriptors = max(figures.descriptors, self.server.descriptors())
            except OSError:
                return

    def baseline(self):
        """Measures the healthy client alone."""
        self.healthy.ages()
        time.sleep(BASELINE_SECONDS)
        self.figures.baseline_p99 = percentile(self.healthy.ages(), 0.99)
        self.figures.idle = self.server.resident()

    def begin(self, *attacks, timeout=60):
        """Starts attacks, each a name and its options, and returns when they are prepared and told to go."""
        self.healthy.ages()
        if self.control:
            self.control.ages()
        started = [Attacker(name, self.address, **options) for name, options in attacks]
        self.attackers += started
        for attacker in started:
            attacker.wait_until_ready(timeout)
        for attacker in started:
            attacker.say()
        return started

    def attack(self, *attacks, prepare=60, timeout=120, seconds=None, linger=0):
        """Runs attacks to their end, or for `seconds`, and measures the healthy client beside them and for `linger`
        seconds more."""
        before, start = self.server.processor_seconds(), time.monotonic()
        started = self.begin(*attacks, timeout=prepare)
        if seconds is None:
            self.figures.results = [attacker.result(timeout) for attacker in started]
        else:
            time.sleep(seconds)
        time.sleep(linger)
        self._measure(before, start)

    def _measure(self, before, start):
        ages = self.healthy.ages()
        figures = self.figures
        if self.control:
            figures.control_p99 = percentile(self.control.ages(), 0.99)
        if self.server.alive():
            figures.cores = (self.server.processor_seconds() - before) / (time.monotonic() - start)
        figures.p50, figures.p99 = percentile(ages, 0.5), percentile(ages, 0.99)
        figures.longest = max(ages, default=float("nan"))
        figures.wrong, figures.ended = self.healthy.wrong, self.healthy.ended

    def settle(self, bound, seconds):
        """Waits up to `seconds` until at most `bound` bytes above the idle size are resident; what is left counts."""
        deadline = time.monotonic() + seconds
        while self.server.alive():
            self.figures.left = self.server.resident() - self.figures.idle
            if self.figures.left <= bound or time.monotonic() > deadline:
                return
            time.sleep(0.1)

    def leave(self):
        """Ends the attackers."""
        for attacker in self.attackers:
            attacker.stop()

    def finish(self):
        """Stops the server and keeps how it went."""
        if self.server.alive():
            self.healthy.ages()
        self.figures.wrong, self.figures.ended = self.healthy.wrong, self.healthy.ended
        if self.server.alive():
            self.figures.exit_code, self.figures.exit_seconds = self.server.terminate()

    def check(self, *more, added=None, left=None, descriptors=None, cores=None, age=True):
        """Checks the figures against the bounds, and `more` claims: whether each holds, and the text when it does not.
        `age=False` is for an honest load, which may take its share."""
        figures = self.figures
        claims = [
            (figures.exit_code == 0, f"the server ended with {figures.exit_code}: {self.server}"),
            (figures.exit_seconds < 2, f"the server took {figures.exit_seconds:.2f} s to end"),
            ("panicked" not in "".join(self.server.stderr), f"a panic: {self.server}"),
            (not figures.wrong, f"ticks missing or twice: {figures.wrong[:5]}"),
            (not figures.ended, f"the healthy client lost its stream: {figures.ended}"),
            (
                not self.control or not self.control.ended,
                f"the client of the server that nobody attacks lost its stream: {self.control and self.control.ended}",
            ),
            (
                not age or figures.p99 <= figures.age_bound(),
                f"p99 {figures.p99:.1f} ms, allowed {figures.age_bound():.1f} ms (alone {figures.baseline_p99:.1f} ms,"
                f" on another server {figures.control_p99:.1f} ms)",
            ),
            (added is None or figures.added <= added, f"{figures.added / MIB:.0f} MiB added, allowed {(added or 0) / MIB:.0f}"),
            (left is None or figures.left <= left, f"{figures.left / MIB:.0f} MiB left, allowed {(left or 0) / MIB:.0f}"),
            (
                descriptors is None or figures.descriptors <= descriptors,
                f"{figures.descriptors} descriptors, allowed {descriptors}",
            ),
            (cores is None or figures.cores <= cores, f"{figures.cores:.2f} cores, allowed {cores}"),
            *more,
        ]
        wrong = [text for holds, text in claims if not holds]
        figures.verdict = "; ".join(wrong) or "holds"
        # Without a word about the lines of this file.
        __tracebackhide__ = True
        assert not wrong, "; ".join(wrong) + f"; attackers: {figures.results}"
