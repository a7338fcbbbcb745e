"""The healthy client: one stream of 20 symbols at every tick, as a process of its own.

    python healthy.py ADDRESS [tls]

It is cheap, so that the measurement is of the server: a plain socket, and a decoder of the few fields that it needs.
The age of a tick is the wall clock at its arrival minus its `time`. For each line on stdin it prints one JSON document
about the time since the previous line, once every symbol has had a tick that took place after the line came: a tick
that the server holds back is counted in the time in which it was due."""

import json
import os
import selectors
import socket
import ssl
import sys
import time

import frames

SYMBOLS = """AAPL ADANIENT AMD AMZN AVGO AXISBANK BAJFINANCE BANKNIFTY BHARTIARTL BTC-USD DOGE-USD ETH-USD EUR-USD GBP-USD
GOOGL HCLTECH HDFCBANK ICICIBANK INFY RELIANCE""".split()
LONGEST_WAIT = 15


class Healthy:
    """The stream and what was seen of it."""

    def __init__(self, address, tls):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = encrypted(self.socket)
        self.socket.sendall(
            frames.PREFACE
            + frames.settings(window=frames.LARGEST_WINDOW)
            + frames.window_update(0, frames.LARGEST_WINDOW - 65_535)
            + frames.headers(1, frames.V1_STREAM)
            + frames.frame(frames.DATA, stream=1, payload=frames.subscribe(SYMBOLS, delivery=frames.EVERY_TICK))
        )
        self.input, self.message = bytearray(), bytearray()
        self.unacknowledged = 0
        self.ages, self.next_ages = [], []
        self.last = {}
        self.wrong = []
        self.ended = None
        # The wall clock of the question, and the symbols that have had no tick since.
        self.asked, self.lacking, self.deadline = None, set(), 0

    def ask(self):
        """Begins to end the time that is measured."""
        self.asked, self.lacking = time.time_ns(), set(SYMBOLS)
        self.deadline = time.monotonic() + LONGEST_WAIT

    def answer(self):
        """What was seen since the last answer, when it is complete."""
        if self.lacking and not self.ended and time.monotonic() < self.deadline:
            return None
        # A symbol that is silent is as old as its silence.
        silent = [time.time_ns() - self.asked for _ in self.lacking]
        found = {"ages": self.ages + silent, "wrong": self.wrong, "ended": self.ended, "symbols": len(self.last)}
        self.ages, self.next_ages, self.asked = self.next_ages, [], None
        return found

    def read(self):
        """Reads what has come."""
        try:
            got = self.socket.recv(262_144)
            # What is decrypted already is not seen by the selector.
            while got and isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
                got += self.socket.recv(262_144)
        except OSError as error:
            self.ended = repr(error)
            return
        now = time.time_ns()
        if not got:
            self.ended = "the connection was closed"
            return
        self.input += got
        at = 0
        while at + 9 <= len(self.input):
            length = int.from_bytes(self.input[at : at + 3], "big")
            if at + 9 + length > len(self.input):
                break
            self._frame(self.input[at + 3], self.input[at + 4], bytes(self.input[at + 9 : at + 9 + length]), now)
            at += 9 + length
        del self.input[:at]

    def _frame(self, kind, flags, payload, now):
        if kind == frames.DATA:
            self.message += payload
            self.unacknowledged += len(payload)
            if self.unacknowledged > 10_000_000:
                update = frames.window_update(0, self.unacknowledged) + frames.window_update(1, self.unacknowledged)
                self.socket.sendall(update)
                self.unacknowledged = 0
            at = 0
            while at + 5 <= len(self.message):
                length = int.from_bytes(self.message[at + 1 : at + 5], "big")
                if at + 5 + length > len(self.message):
                    break
                self._event(bytes(self.message[at + 5 : at + 5 + length]), now)
                at += 5 + length
            del self.message[:at]
        elif kind in (frames.SETTINGS, frames.PING) and not flags & frames.ACK:
            self.socket.sendall(frames.frame(kind, frames.ACK, payload=payload if kind == frames.PING else b""))
        elif kind == frames.HEADERS and flags & frames.END_STREAM:
            self.ended = "the stream ended"
        elif kind == frames.RST_STREAM:
            self.ended = "the stream was reset"
        elif kind == frames.GOAWAY:
            self.ended = f"GOAWAY {payload!r}"

    def _event(self, message, now):
        for number, value in frames.fields(message):
            if number == 1:
                self._tick(dict(frames.fields(value)), now)
            elif number == 4:
                self.wrong.append("a gap")

    def _tick(self, tick, now):
        symbol, sequence = tick[1].decode(), tick[4]
        last = self.last.get(symbol)
        self.last[symbol] = sequence
        if tick.get(8):
            return
        if last is None or sequence != last + 1:
            self.wrong.append(f"{symbol} {sequence} after {last}")
        stamp = dict(frames.fields(tick[3]))
        took_place = stamp.get(1, 0) * 1_000_000_000 + stamp.get(2, 0)
        if self.asked is not None and took_place > self.asked:
            self.lacking.discard(symbol)
            self.next_ages.append(now - took_place)
        else:
            self.ages.append(now - took_place)


def encrypted(plain):
    """The socket after a TLS handshake, whatever the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(plain)


def main(address, tls=False):
    try:
        # What is measured is how long the server takes, not how long this process waits for a core.
        os.nice(-10)
    except PermissionError:
        pass
    healthy = Healthy(address, tls)
    with selectors.DefaultSelector() as selector:
        selector.register(healthy.socket, selectors.EVENT_READ, healthy.read)
        selector.register(sys.stdin, selectors.EVENT_READ, None)
        while True:
            for key, _ in selector.select(0.05):
                if key.data:
                    key.data()
                    if healthy.ended:
                        selector.unregister(healthy.socket)
                elif sys.stdin.readline():
                    healthy.ask()
                else:
                    return
            if healthy.asked is not None:
                found = healthy.answer()
                if found:
                    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
