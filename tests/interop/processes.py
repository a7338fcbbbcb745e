"""Processes that talk on stdout: the server under test, and command-line clients."""

import json
import queue
import re
import signal
import subprocess
import threading
import time


class Process:
    """A child process whose output is read as it comes."""

    def __init__(self, command, **options):
        self.command = [str(part) for part in command]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        self.lines = queue.Queue()
        self.stdout = []
        self.stderr = []
        self.readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.stdout, self.lines), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self.stderr, None), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def _read(self, source, kept, lines):
        for line in source:
            kept.append(line)
            if lines:
                lines.put(line)
        if lines:
            lines.put(None)

    def line(self, timeout=5):
        """The next line of stdout."""
        try:
            line = self.lines.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"nothing for {timeout} s from {self}") from None
        assert line is not None, f"stdout ended: {self}"
        return line

    def documents(self, count, timeout=5):
        """The next `count` JSON documents of stdout, each within `timeout` seconds; they may span lines."""
        found, text = [], ""
        while len(found) < count:
            text += self.line(timeout)
            try:
                found.append(json.loads(text))
                text = ""
            except json.JSONDecodeError:
                pass
        return found

    def send(self, number):
        """Sends a signal."""
        self.process.send_signal(number)

    def wait(self, timeout):
        """The exit code, once the process has ended and its output is read."""
        code = self.process.wait(timeout)
        for reader in self.readers:
            reader.join(5)
        return code

    def kill(self):
        """Ends the process, whatever it does."""
        self.process.kill()
        return self.wait(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()

    def __str__(self):
        return f"{' '.join(self.command)}\nstdout: {''.join(self.stdout[-20:])}\nstderr: {''.join(self.stderr[-20:])}"


class Server(Process):
    """A `ticker serve` on a free port. `address` is the one that it printed."""

    def __init__(self, command, pattern=r"127\.0\.0\.1:[1-9][0-9]*", patience=10, **options):
        super().__init__(command, **options)
        deadline = time.monotonic() + patience
        self.address = None
        try:
            while not self.address:
                # Not the port 0 that was asked for.
                match = re.search(pattern, self.line(max(0.1, deadline - time.monotonic())))
                self.address = match and match.group()
        except BaseException:
            self.kill()
            raise

    @property
    def admin(self):
        """The address of the admin port, from the third line."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            match = re.search(r"^metrics http://(\S+)/metrics$", "".join(self.stdout), re.MULTILINE)
            if match:
                return match.group(1)
            time.sleep(0.01)
        raise AssertionError(f"no admin port: {self}")

    def terminate(self, number=signal.SIGTERM):
        """Sends the signal, and returns the exit code and the seconds that the process took to end."""
        start = time.monotonic()
        self.send(number)
        try:
            code = self.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running 10 s after signal {number}: {self}") from None
        return code, time.monotonic() - start

    def check_and_stop(self):
        """Stops the server unless the test did, and checks that nothing went wrong inside."""
        if self.process.poll() is None:
            code, _ = self.terminate()
            assert code == 0, f"exit code {code}: {self}"
        assert "panicked" not in "".join(self.stdout + self.stderr), str(self)
