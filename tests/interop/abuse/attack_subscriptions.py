"""Clients that change their subscriptions as often as the connection carries it, or hold as many as they can."""

import time

import frames
from frames import QUOTE, SET_SUBSCRIPTIONS, grpc, subscribe, subscription, unsubscribe
from peer import Peer, outcome, pump

DAY = 86_400


def _streams(address, count, path=frames.V1_STREAM, **options):
    peer = Peer(address, **options)
    pump([peer], 10, until=lambda: peer.greeted or peer.closed)
    return peer, [peer.open(path) for _ in range(count)]


def _repeat(peer, streams, bodies, seconds):
    """Sends on every stream the bodies in turn, without end; a body waits until the one before has left."""
    turn = 0

    def more():
        nonlocal turn
        if not peer.closed and not peer.pending:
            for stream in streams:
                peer.send(stream, bodies[turn % len(bodies)])
            turn += 1

    pump([peer], seconds, every=more, pause=0.002)
    return outcome([peer]) | {"rounds": turn}


def churn(address, begin, seconds, streams=20):
    """250 times (subscribe `*`, unsubscribe `*`) in one DATA frame."""
    peer, opened = _streams(address, streams)
    begin()
    body = (subscribe(["*"], min_interval=DAY) + unsubscribe(["*"])) * 250
    return _repeat(peer, opened, [body], seconds)


def replace(address, begin, seconds, streams=20):
    """Sets of 1,000 symbols, each time other ones."""
    peer, opened = _streams(address, streams)
    begin()
    sets = [[f"{letter}{number}" for number in range(1_000)] for letter in "AB"]
    bodies = [subscribe(names, verb=SET_SUBSCRIPTIONS, min_interval=DAY) for names in sets]
    return _repeat(peer, opened, bodies, seconds)


def unknown_symbols(address, begin, seconds, streams=20):
    """1,000 symbols that are nearly known."""
    peer, opened = _streams(address, streams)
    begin()
    return _repeat(peer, opened, [subscribe([f"RELIANC{number}" for number in range(1_000)])], seconds)


def quotes(address, begin, seconds, streams=20):
    """The quotes of everything, on and off 250 times in one DATA frame."""
    peer, opened = _streams(address, streams)
    begin()
    body = (subscribe(["*"], min_interval=DAY, detail=QUOTE) + subscribe(["*"], min_interval=DAY)) * 250
    return _repeat(peer, opened, [body], seconds)


def thinned_replay(address, begin, seconds, connections=1, streams=200):
    """Six years of every instrument, one tick a day."""
    start = 1_577_836_800  # 2020-01-01
    body = grpc(subscription(["*"], min_interval=DAY, start_time=start))
    peers = [Peer(address) for _ in range(connections)]
    pump(peers, 10, until=lambda: all(peer.greeted or peer.closed for peer in peers))
    begin()
    for peer in peers:
        for _ in range(streams):
            peer.open(frames.V1 + "Watch", body, True)
    pump(peers, seconds)
    return outcome(peers)


def _statuses(found):
    def count(_, message):
        for number, value in frames.fields(message):
            if number == 2:
                for inner, status in frames.fields(value):
                    if inner == 3:
                        code = dict(frames.fields(status)).get(2, 0)
                        found[code] = found.get(code, 0) + 1

    return count


def hold(address, begin, count, connections=1, streams=200, invented=10_000, seconds=0, patience=120):
    """Subscribes to `count` symbols in all, 10,000 a stream, of `invented` different names, one tick a day each. It
    gets ready when all is answered; at the word it stays for `seconds` and then drops the connections at once.
    `codes` counts the answers by their status code: 1 is SUBSCRIBED, 6 is LIMIT_EXCEEDED."""
    codes = {}
    peers = [Peer(address, on_message=_statuses(codes)) for _ in range(connections)]
    pump(peers, 10, until=lambda: all(peer.greeted or peer.closed for peer in peers))
    asked = name = 0
    plan = [(peer, turn) for turn in range(streams) for peer in peers]
    deadline = time.monotonic() + patience
    for peer, _ in plan:
        if asked >= count or time.monotonic() > deadline:
            break
        if peer.closed:
            continue
        stream = peer.open(frames.V1_STREAM)
        for _ in range(min(10, (count - asked) // 1_000)):
            names = [f"S{(name + number) % invented}" for number in range(1_000)]
            name, asked = name + 1_000, asked + 1_000
            peer.send(stream, subscribe(names, min_interval=DAY))
        # Not more at once than the server answers: this attack is about what is held.
        pump(peers, 5, until=lambda: sum(codes.values()) >= asked - 50_000)
    pump(peers, 5, until=lambda: sum(codes.values()) >= asked)
    begin()
    if seconds:
        pump(peers, seconds)
    for peer in peers:
        peer.close()
    return outcome(peers) | {"asked": asked, "codes": codes}


def burst(address, begin, package, count=10_000, rounds=20, patience=20):
    """`count` requests of one symbol each, written at once on one stream; `rounds` times, each on a new connection.
    `good` counts the rounds in which every request was answered: by a result in v1, by a tick in gogen."""
    if package == "v1":
        requests = [subscribe([f"SYM{number}"], min_interval=DAY) for number in range(count)]
        path = frames.V1_STREAM
    else:
        requests = [grpc(frames.field(1, f"SYM{number}")) for number in range(count)]
        path = frames.GOGEN_STREAM
    begin()
    good, failures, seen = 0, [], set()
    results = 0

    def on_message(_, message):
        nonlocal results
        for number, value in frames.fields(message):
            if package == "gogen" and number == 1:
                seen.add(value)
            elif package == "v1" and number == 2:
                results += 1

    for _ in range(rounds):
        seen.clear()
        results = 0
        peer = Peer(address, on_message=on_message)
        pump([peer], 10, until=lambda: peer.greeted or peer.closed)
        stream = peer.open(path)
        for body in requests:
            peer.send(stream, body)
        answered = lambda: (len(seen) if package == "gogen" else results) >= count  # noqa: E731
        pump([peer], patience, until=lambda: answered() or peer.closed or stream in peer.ended)
        if answered():
            good += 1
        else:
            failures.append([len(seen) or results, peer.goaway, peer.closed, peer.ended.get(stream)])
        peer.close()
    return {"rounds": rounds, "good": good, "failures": failures}


ATTACKS = {
    "churn": churn,
    "replace": replace,
    "unknown_symbols": unknown_symbols,
    "quotes": quotes,
    "thinned_replay": thinned_replay,
    "hold": hold,
    "burst": burst,
}
