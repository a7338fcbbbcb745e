"""A client that keeps the history busy, and an honest one that asks it for little."""

import time

import frames
from peer import Peer, outcome, pump

START = 1_577_836_800  # 2020-01-01


def candles(address, begin, seconds, connections=50, streams=20):
    """Candles of years on every stream; an answer is followed by the next question."""
    body = frames.list_candles("RELIANCE", 86_400, START)
    peers = [Peer(address) for _ in range(connections)]
    pump(peers, 10, until=lambda: all(peer.greeted or peer.closed for peer in peers))
    begin()

    def ask():
        for peer in peers:
            if not peer.closed:
                for _ in range(streams - (peer.next_stream // 2 - len(peer.ended))):
                    peer.open(frames.V1 + "ListCandles", body, True)

    # A refusal comes back at once: ten times a second is enough.
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ask()
        pump(peers, 0.1)
    return outcome(peers)


def one_tick(address, begin, seconds, patience=10):
    """Asks for one tick, thirty times a second on a connection of its own. `ages` has the milliseconds of each answer."""
    peer = Peer(address)
    pump([peer], 10, until=lambda: peer.greeted or peer.closed)
    begin()
    ages, ends, end = [], {}, time.monotonic() + seconds
    while time.monotonic() < end and not peer.closed:
        start = time.monotonic()
        stream = peer.open(frames.V1 + "ListTicks", frames.list_ticks("TCS", 1), True)
        pump([peer], patience, until=lambda: stream in peer.ended or peer.closed, pause=0.001)
        ages.append((time.monotonic() - start) * 1_000)
        how = peer.ended.get(stream, "no answer")
        ends[how] = ends.get(how, 0) + 1
        time.sleep(0.03)
    return {"ages": ages, "ends": ends}


ATTACKS = {"candles": candles, "one_tick": one_tick}
