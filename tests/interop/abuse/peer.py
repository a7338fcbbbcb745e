"""The attackers' side of an HTTP/2 connection: it keeps the rules that it must keep to stay connected (it answers
SETTINGS and PING, and sends no more than the windows allow), and leaves everything else to the attack."""

import selectors
import socket
import struct
import time
from collections import deque

import hpack

import frames

LARGEST_FRAME = 16_384


class Peer:
    """One connection. `window` is the initial window of every stream; `connection_window` opens that of the connection
    as far as it goes. `on_message(stream, message)` gets every gRPC message, and without it none is put together."""

    def __init__(self, address, window=frames.LARGEST_WINDOW, source=None, on_message=None, patience=10):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), patience, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.on_message = on_message
        self.decoder = hpack.Decoder()
        self.out = bytearray(frames.PREFACE + frames.settings(window=window))
        self.out += frames.window_update(0, frames.LARGEST_WINDOW - 65_535)
        self.input = bytearray()
        self.pending = deque()
        self.messages = {}
        self.next_stream = 1
        self.window, self.initial, self.windows = 65_535, 65_535, {}
        self.greeted = False
        self.closed = None
        self.goaway = None
        self.received = 0
        # Stream to its trailers, or to the code of its reset.
        self.ended = {}

    def open(self, path, body=b"", end_stream=False):
        """Begins a call."""
        stream = self.next_stream
        self.next_stream += 2
        self.windows[stream] = self.initial
        self.out += frames.headers(stream, path, end_stream and not body)
        if body:
            self.send(stream, body, end_stream)
        return stream

    def send(self, stream, body, end_stream=False):
        """Sends data of a call as soon as the windows allow. Each call is a DATA frame of its own, or more when it is
        larger than one."""
        for at in range(0, max(1, len(body)), LARGEST_FRAME):
            part = body[at : at + LARGEST_FRAME]
            self.pending.append((stream, part, end_stream and at + LARGEST_FRAME >= len(body)))

    def waiting(self):
        """Whether something is still to be sent."""
        return bool(self.out or self.pending)

    def advance(self):
        """Writes and reads what is possible now."""
        if self.closed:
            return
        self._fill()
        try:
            if self.out:
                sent = self.socket.send(self.out)
                del self.out[:sent]
        except BlockingIOError:
            pass
        except OSError as error:
            return self._close(repr(error))
        try:
            got = self.socket.recv(262_144)
            if not got:
                return self._close("closed")
            self.input += got
            self._parse()
            self._fill()
        except BlockingIOError:
            pass
        except OSError as error:
            self._close(repr(error))

    def close(self):
        """Drops the connection."""
        self._close("by us")

    def _close(self, why):
        if not self.closed:
            self.closed = why
            self.socket.close()

    def _fill(self):
        # Streams wait in turn; one without a window does not hold up the others.
        for _ in range(len(self.pending)):
            if len(self.out) > 1_000_000 or self.window <= 0:
                return
            stream, part, end = self.pending.popleft()
            if stream in self.ended:
                continue
            if min(self.window, self.windows.get(stream, 0)) < len(part):
                self.pending.append((stream, part, end))
                continue
            self.window -= len(part)
            self.windows[stream] -= len(part)
            self.out += frames.frame(frames.DATA, frames.END_STREAM if end else 0, stream, part)

    def _parse(self):
        at, end = 0, len(self.input)
        while at + 9 <= end:
            length = int.from_bytes(self.input[at : at + 3], "big")
            if at + 9 + length > end:
                break
            kind, flags = self.input[at + 3], self.input[at + 4]
            stream = int.from_bytes(self.input[at + 5 : at + 9], "big")
            payload = bytes(self.input[at + 9 : at + 9 + length]) if kind or self.on_message else b""
            at += 9 + length
            self._frame(kind, flags, stream, payload, length)
        del self.input[:at]

    def _frame(self, kind, flags, stream, payload, length):
        if kind == frames.DATA:
            self.received += length
            if self.on_message:
                self._data(stream, payload)
        elif kind == frames.HEADERS:
            found = dict(self.decoder.decode(payload))
            if flags & frames.END_STREAM:
                self._end(stream, found.get("grpc-status", "none"))
        elif kind == frames.RST_STREAM:
            self._end(stream, f"reset {int.from_bytes(payload, 'big')}")
        elif kind == frames.SETTINGS and not flags & frames.ACK:
            self.greeted = True
            for name, value in struct.iter_unpack("!HI", payload):
                if name == frames.INITIAL_WINDOW_SIZE:
                    for open_stream in self.windows:
                        self.windows[open_stream] += value - self.initial
                    self.initial = value
            self.out += frames.frame(frames.SETTINGS, frames.ACK)
        elif kind == frames.PING and not flags & frames.ACK:
            self.out += frames.frame(frames.PING, frames.ACK, payload=payload)
        elif kind == frames.WINDOW_UPDATE:
            increment = int.from_bytes(payload, "big")
            if not stream:
                self.window += increment
            elif stream in self.windows:
                self.windows[stream] += increment
        elif kind == frames.GOAWAY:
            self.goaway = (int.from_bytes(payload[4:8], "big"), payload[8:].decode(errors="replace"))

    def _data(self, stream, payload):
        kept = self.messages.setdefault(stream, bytearray())
        kept += payload
        while len(kept) >= 5:
            length = int.from_bytes(kept[1:5], "big")
            if len(kept) < 5 + length:
                return
            message = bytes(kept[5 : 5 + length])
            del kept[: 5 + length]
            self.on_message(stream, message)

    def _end(self, stream, how):
        self.ended[stream] = how
        self.windows.pop(stream, None)
        self.messages.pop(stream, None)


def pump(peers, seconds, until=None, every=None, pause=0.02):
    """Lets the connections go on for `seconds`, or until `until()`. `every()` is called each round. Returns whether
    `until` came true."""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for peer in peers:
            if not peer.closed:
                selector.register(peer.socket, selectors.EVENT_READ, peer)
        while time.monotonic() < deadline:
            if until and until():
                return True
            if every:
                every()
            for peer in list(selector.get_map().values()):
                peer = peer.data
                if peer.waiting():
                    _advance(selector, peer)
            busy = any(key.data.out for key in selector.get_map().values())
            for key, _ in selector.select(0.001 if busy else pause):
                _advance(selector, key.data)
            if not selector.get_map():
                time.sleep(0.05)
    return bool(until and until())


def _advance(selector, peer):
    descriptor = peer.socket.fileno()
    peer.advance()
    if peer.closed:
        selector.unregister(descriptor)


def outcome(peers):
    """What became of the connections and their calls, counted."""
    found = {"connections": len(peers), "closed": sum(bool(p.closed) and p.closed != "by us" for p in peers)}
    found["goaway"] = sorted({p.goaway for p in peers if p.goaway})
    ends = {}
    for peer in peers:
        for how in peer.ended.values():
            ends[how] = ends.get(how, 0) + 1
    return found | {"ended": ends, "received": sum(p.received for p in peers)}
