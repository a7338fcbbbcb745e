"""Server-sent events through `curl -N`, read as the HTML standard says."""

import json
import os
import select
import subprocess
import time
from dataclasses import dataclass


@dataclass
class Event:
    """One event. `id` is the last one that came, with this event or before it."""

    kind: str
    data: dict
    id: str


class Parser:
    """Makes events of bytes. What is not complete is not an event."""

    def __init__(self, last_id):
        # The id counts only when the event that it came with is complete.
        self.buffer, self.id, self.last_id = b"", last_id, last_id
        self.kind, self.data = "", []

    def feed(self, data):
        """The events that are complete with these bytes."""
        self.buffer += data
        *lines, self.buffer = self.buffer.split(b"\n")
        found = []
        for line in lines:
            if line:
                self._field(line.decode())
                continue
            self.last_id = self.id
            if self.data:
                found.append(Event(self.kind or "message", json.loads("\n".join(self.data)), self.last_id))
            self.kind, self.data = "", []
        return found

    def _field(self, line):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self.data.append(value)
        elif name == "event":
            self.kind = value
        elif name == "id":
            self.id = value


class Stream:
    """A request for events by curl, as a context. It is cut when the context ends."""

    def __init__(self, curl, address, query, last_id=None, timeout=5, options=()):
        command = [curl, "--no-buffer", "--silent", "--include", f"http://{address}/v1/watch?{query}", *options]
        if last_id is not None:
            command += ["--header", f"Last-Event-ID: {last_id}"]
        self.timeout = timeout
        self.parser = Parser(last_id or "")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        head = b""
        while b"\r\n\r\n" not in head:
            got = self._read(65_536)
            assert got, f"curl ended with {self.process.wait()} after {head!r}"
            head += got
        head, self.ahead = head.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @property
    def last_id(self):
        """What a client sends as `Last-Event-ID` when it comes back."""
        return self.parser.last_id

    def _read(self, count):
        assert select.select([self.process.stdout], [], [], self.timeout)[0], f"nothing for {self.timeout} s"
        return os.read(self.process.stdout.fileno(), count)

    def bytes(self, count):
        """The events in exactly the next `count` bytes; fewer when the stream ends."""
        found = []
        while count:
            got, self.ahead = self.ahead[:count], self.ahead[count:]
            got = got or self._read(count)
            if not got:
                break
            count -= len(got)
            found += self.parser.feed(got)
        return found

    def __iter__(self):
        """All events until the stream ends."""
        while got := self.ahead or self._read(65_536):
            self.ahead = b""
            yield from self.parser.feed(got)

    def until(self, name, timeout=10):
        """The events up to the first one that has this member, and that one."""
        found, deadline = [], time.monotonic() + timeout
        while not any(name in event.data for event in found):
            assert time.monotonic() < deadline, f"no {name} in {timeout} s"
            got = self.ahead or self._read(65_536)
            self.ahead = b""
            assert got, f"the stream ended without {name}: {found[-3:]}"
            found += self.parser.feed(got)
        return found

    def body(self):
        """What is left, when it is no events."""
        found = self.ahead
        while got := self._read(65_536):
            found += got
        return found
