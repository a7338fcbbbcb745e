"""Clients that hold connections and streams and ask for nothing."""

import socket
import time

import frames
from peer import Peer, outcome, pump

STARTS = {
    "byte": b"P",
    "preface": frames.PREFACE,
    "settings": frames.PREFACE + frames.settings(window=65_535),
}


def sockets(address, begin, count, start, seconds=0, addresses=1):
    """Opens `count` sockets, sends the start of a connection on each, and leaves them open. They come from so many
    addresses of the loopback network. `open` says how many of them the server still holds after `seconds`."""
    host, port = address.rsplit(":", 1)
    begin()
    held, refused = [], 0
    for number in range(count):
        source = (f"127.0.0.{2 + number % addresses}", 0) if addresses > 1 else None
        try:
            peer = socket.create_connection((host, int(port)), 2, source)
            peer.send(STARTS[start])
            held.append(peer)
        except OSError:
            refused += 1
    made = len(held)
    time.sleep(seconds)
    still = 0
    for peer in held:
        peer.setblocking(False)
        try:
            while peer.recv(4_096):
                pass
        except BlockingIOError:
            still += 1
        except OSError:
            pass
    # Kept until the process ends.
    globals()["kept"] = held
    return {"made": made, "refused": refused, "open": still}


def idle_streams(address, begin, seconds, connections=50, streams=200):
    """Streams that begin and ask for nothing."""
    begin()
    peers = []
    for _ in range(connections):
        try:
            peers.append(Peer(address))
        except OSError:
            pass
    pump(peers, 5, until=lambda: all(peer.greeted or peer.closed for peer in peers))
    for peer in peers:
        for _ in range(streams):
            peer.open(frames.V1_STREAM)
    pump(peers, seconds)
    return outcome(peers)


ATTACKS = {"sockets": sockets, "idle_streams": idle_streams}
