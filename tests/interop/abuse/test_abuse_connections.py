"""Connections and streams that ask for nothing are not kept, and lock nobody out."""

import time

import pytest

import frames
from harness import LONG, MIB, at_length
from peer import Peer, pump

WORKERS = at_length([1, 2], [1])
IDLE = 2
# A preface and SETTINGS have five seconds.
GREETING = 5
REST = 16 * MIB


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("start", ["byte", "preface", "settings"])
def test_ten_thousand_connections_without_a_call_are_closed(case, start, workers):
    with case(f"10,000 sockets: {start}", f"--max-connection-idle {IDLE}s", workers=workers) as it:
        it.baseline()
        addresses = at_length(20, 1)
        it.attack(("sockets", {"count": 10_000, "start": start, "addresses": addresses}))
        # The attacker keeps its sockets open.
        before = it.server.descriptors()
        deadline = time.monotonic() + GREETING + IDLE + 3
        while it.server.descriptors() > 40 and time.monotonic() < deadline:
            time.sleep(0.1)
        open_still = it.server.descriptors()
        it.settle(REST, 10 if open_still <= 40 else 0)
        it.leave()
        it.finish()
        it.figures.name += f" ({before} descriptors, then {open_still})"
        it.check((open_still <= 40, f"{open_still} descriptors are open still"), added=200 * MIB, left=REST)


def get_tape(address, patience):
    """Seconds until a new client has had an answer; it tries again when it is turned away."""
    start = time.monotonic()
    while time.monotonic() - start < patience:
        try:
            peer = Peer(address, patience=1)
        except OSError:
            continue
        stream = peer.open(frames.V1 + "GetTape", frames.grpc(b""), True)
        pump([peer], 1, until=lambda: stream in peer.ended or peer.closed)  # noqa: B023
        peer.close()
        if peer.ended.get(stream) == "0":
            return time.monotonic() - start
        time.sleep(0.05)
    return None


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("start", ["byte", "settings"])
def test_sockets_without_a_call_do_not_lock_an_honest_client_out(case, start, workers):
    # The idle timeout is far off: it is the eviction of the longest idle that makes room.
    with case(f"300 sockets at 256 descriptors: {start}", workers=workers, descriptors=256) as it:
        it.baseline()
        it.attack(("sockets", {"count": 300, "start": start}), seconds=1)
        honest = [get_tape(it.address, 2) for _ in range(5)]
        it.leave()
        it.finish()
        it.check((None not in honest, f"locked out: {honest}"), added=32 * MIB, descriptors=256)


@pytest.mark.skipif(not LONG, reason="takes minutes; the short form has the client of the other server")
def test_a_client_that_only_listens_is_kept(case):
    with case("nobody attacks, three minutes") as it:
        it.baseline()
        it.attack(seconds=180)
        it.finish()
        it.check()


@pytest.mark.parametrize("workers", WORKERS)
def test_idle_streams_are_bounded(case, workers):
    with case("50 × 200 idle streams", workers=workers) as it:
        it.baseline()
        it.attack(("idle_streams", {"seconds": at_length(15, 3)}))
        it.leave()
        it.settle(REST, 30)
        it.finish()
        it.check(added=96 * MIB, left=REST)


def test_connections_that_come_at_once_are_spread_over_the_workers(case):
    shares = []
    with case("two connections at once on two workers", workers=2) as it:
        it.baseline()
        before_any = it.server.descriptors()
        for _ in range(at_length(20, 8)):
            body = frames.subscribe(["*"], delivery=frames.EVERY_TICK)
            pair = [Peer(it.address), Peer(it.address)]
            for peer in pair:
                for _ in range(100):
                    peer.open(frames.V1_STREAM, body)
            pump(pair, 0.3)
            before = it.server.seconds_by_thread()
            pump(pair, 0.5)
            spent = [spent - before.get(thread, 0) for thread, spent in it.server.seconds_by_thread().items()]
            for peer in pair:
                peer.close()
            # A connection counts until the server has closed it.
            while it.server.descriptors() > before_any:
                time.sleep(0.01)
            # The two busiest threads are the workers, or the one worker and one that does next to nothing.
            most, second = sorted(spent)[:-3:-1]
            shares.append(second / most)
        it.finish()
        text = ", ".join(f"{share:.2f}" for share in shares)
        it.check((min(shares) > 0.3, f"the second worker did {text} of the work of the first"), age=False)
