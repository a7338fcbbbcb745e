"""Clients of HTTP/1.1: streams of server-sent events by the thousands, and requests whose answers nobody reads."""

import selectors
import socket
import time


# Bytes that the kernel takes of an answer that nobody reads.
SMALLEST_BUFFER = 4_096


def _open(address, number, addresses, request, reads):
    """One connection that has sent its request, from one of so many addresses of the loopback network."""
    host, port = address.rsplit(":", 1)
    peer = socket.socket()
    if not reads:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST_BUFFER)
    if addresses > 1:
        peer.bind((f"127.0.0.{2 + number % addresses}", 0))
    peer.settimeout(2)
    peer.connect((host, int(port)))
    peer.sendall(request)
    peer.setblocking(False)
    return peer


def event_streams(address, begin, count, query, seconds, addresses=1, reads=True):
    """Opens `count` streams and holds them for `seconds`. `statuses` counts the answers by their HTTP status, and `open` those
    streams that the server still holds. Without `reads` no answer is read."""
    request = f"GET /v1/watch?{query} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()
    begin()
    refused, statuses, received, held = 0, {}, 0, set()
    with selectors.DefaultSelector() as selector:

        def read(until, enough=lambda: False):
            nonlocal received
            while time.monotonic() < until and not enough():
                for key, _ in selector.select(0.05):
                    try:
                        got = key.fileobj.recv(65_536)
                    except OSError:
                        got = b""
                    received += len(got)
                    if not got:
                        selector.unregister(key.fileobj)
                        held.discard(key.fileobj)
                    elif key.data["status"] is None:
                        key.data["status"] = status = got[9:12].decode(errors="replace")
                        statuses[status] = statuses.get(status, 0) + 1

        for number in range(count):
            try:
                peer = _open(address, number, addresses, request, reads)
            except OSError:
                refused += 1
                continue
            held.add(peer)
            if reads:
                selector.register(peer, selectors.EVENT_READ, {"status": None})
            if reads and number % 100 == 0:
                read(time.monotonic() + 0.01)
        if reads:
            read(time.monotonic() + 30, lambda: sum(statuses.values()) >= len(held))
            read(time.monotonic() + seconds)
        else:
            time.sleep(seconds)
    # Kept until the process ends.
    globals()["kept"] = held
    return {"refused": refused, "statuses": statuses, "open": len(held), "received": received}


def pipelined(address, begin, seconds, connections, path):
    """Sends requests on each connection as fast as the server takes them, and reads no answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode() * 1_000
    begin()
    peers = [_open(address, number, 1, request[:0], False) for number in range(connections)]
    sent, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        for peer in peers:
            try:
                sent += peer.send(request)
            except OSError:
                pass
        time.sleep(0.01)
    return {"sent": sent}


ATTACKS = {"event_streams": event_streams, "pipelined": pipelined}
