"""HTTP/1.1 by hand, for requests that no library would send."""

import json
import socket
from dataclasses import dataclass


class Silence(AssertionError):
    """The server has neither answered nor closed the connection in time."""


@dataclass
class Answer:
    """One answer. The names of `headers` are in lower case."""

    status: int
    headers: dict
    body: bytes


class Connection:
    """A connection that sends bytes as they are and reads answers one by one."""

    def __init__(self, address, timeout=5):
        host, port = address.rsplit(":", 1)
        self.address, self.timeout = address, timeout
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.received = b""
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends bytes, unless the server has closed already."""
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def finish(self):
        """Says that nothing more is sent."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def request(self, method, target, headers=(), body=b""):
        """Sends a well-formed request."""
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Host: {self.address}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body)

    def more(self):
        """Reads once. False when the connection has ended."""
        if self.ended:
            return False
        try:
            got = self.socket.recv(65_536)
        except TimeoutError:
            raise Silence(f"nothing for {self.timeout} s after {self.received!r}") from None
        except OSError:
            got = b""
        self.ended = not got
        self.received += got
        return bool(got)

    def until(self, end):
        """What comes up to `end`, without it; None when the connection ends before."""
        while end not in self.received:
            if not self.more():
                return None
        found, self.received = self.received.split(end, 1)
        return found

    def bytes(self, count):
        """The next `count` bytes."""
        while len(self.received) < count:
            assert self.more(), f"{self.received!r} and then the end"
        found, self.received = self.received[:count], self.received[count:]
        return found

    def head(self):
        """The status and headers of the next answer, or None when the connection ends instead."""
        head = self.until(b"\r\n\r\n")
        if head is None:
            assert not self.received, f"no answer: {self.received!r}"
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ")
        assert version in ("HTTP/1.1", "HTTP/1.0"), first
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        return int(status), headers

    def answer(self, method="GET"):
        """The next answer, or None when the connection ends instead."""
        found = self.head()
        if found is None:
            return None
        status, headers = found
        if method == "HEAD" or status in (204, 304):
            return Answer(status, headers, b"")
        return Answer(status, headers, b"".join(self.pieces(headers)))

    def pieces(self, headers):
        """The body of an answer, as it comes."""
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self.until(b"\r\n"), 16):
                yield self.bytes(size)
                self.bytes(2)
            while self.until(b"\r\n"):
                pass
        elif "content-length" in headers:
            yield self.bytes(int(headers["content-length"]))
        else:
            while self.more():
                pass
            yield self.received
            self.received = b""

    def answers(self):
        """All answers until the server closes the connection, which it must do."""
        found = []
        while (answer := self.answer()) is not None:
            found.append(answer)
        return found


def get(address, target, headers=(), method="GET"):
    """The answer to one request."""
    with Connection(address) as connection:
        connection.request(method, target, headers)
        answer = connection.answer(method)
        assert answer, f"the connection ended without an answer to {method} {target}"
        return answer


def refused(answer, status, name):
    """Checks an error, and returns its text."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json", answer.headers
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["status"]) == (status, name), error
    assert error["message"]
    return error["message"]
