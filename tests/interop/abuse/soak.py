"""A soak: honest clients for a long time, and beside them every attack in turn.

    python soak.py BINARY [MINUTES]

Each minute is 48 seconds of attacks and a pause, at the end of which it prints the memory of the server. The last line
compares the end with ten minutes in. It fails when a healthy client missed a tick, when memory grew, or when the
server did not end well under attack."""

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import MIB, Attacker, HealthyClient, Served, percentile  # noqa: E402

ATTACK_SECONDS, PAUSE_SECONDS, AT_ONCE = 12, 12, 2
# What the allocator keeps differs by so much from minute to minute.
GROWTH = 16 * MIB

CARELESS = [
    ("burst", {"package": "v1", "rounds": 3}),
    ("burst", {"package": "gogen", "rounds": 3}),
    ("hold", {"count": 20_000, "seconds": 5}),
    ("one_tick", {"seconds": 10}),
]
HOSTILE = [
    ("rapid_reset", {"seconds": 10}),
    ("made_you_reset", {"seconds": 10}),
    ("continuation", {"seconds": 10}),
    ("hpack_bomb", {"seconds": 10}),
    ("ping", {"seconds": 10}),
    ("settings", {"seconds": 10}),
    ("moving_windows", {"seconds": 10}),
    ("priority", {"seconds": 10}),
    ("unknown", {"seconds": 10}),
    ("unread", {"what": "ticks", "seconds": 10, "connections": 5}),
    ("unread", {"what": "refused", "window": 1, "seconds": 10, "connections": 2}),
    ("unread", {"what": "reflection", "seconds": 10, "connections": 5}),
    ("drip", {"seconds": 10}),
    ("churn", {"seconds": 10}),
    ("replace", {"seconds": 10}),
    ("unknown_symbols", {"seconds": 10}),
    ("quotes", {"seconds": 10}),
    ("thinned_replay", {"seconds": 10}),
    ("hold", {"count": 400_000, "invented": 50_000}),
    ("sockets", {"count": 3_000, "start": "byte", "seconds": 5}),
    ("sockets", {"count": 3_000, "start": "settings", "seconds": 5}),
    ("idle_streams", {"seconds": 10}),
    ("candles", {"seconds": 10}),
]


def attacks(turns):
    """The next attacks: one careless client and the next hostile ones, so that each comes as often as the others."""
    while True:
        hostile = HOSTILE[:]
        turns.shuffle(hostile)
        for at in range(0, len(hostile), AT_ONCE):
            yield [turns.choice(CARELESS), *hostile[at : at + AT_ONCE]]


def start(server, batch):
    """Starts attackers, which begin as soon as they are prepared."""
    started = [Attacker(name, server.address, **options) for name, options in batch]
    for attacker in started:
        attacker.say()
    return started


def stop(attackers):
    """Ends attackers, wherever they are."""
    for attacker in attackers:
        attacker.stop()


def minute_of_attacks(server, batches):
    """Attacks for most of a minute, then quiet."""
    end = time.monotonic() + 60
    while time.monotonic() < end - PAUSE_SECONDS - ATTACK_SECONDS / 2:
        attackers = start(server, next(batches))
        time.sleep(ATTACK_SECONDS)
        stop(attackers)
        if not server.alive():
            return
    time.sleep(max(0, end - time.monotonic()))


def main(binary, minutes):
    batches = attacks(random.Random(7))
    wrong = []
    with Served(binary, "--any-symbol", workers=2) as server:
        healthy = [HealthyClient(server.address) for _ in range(3)]
        time.sleep(2)
        idle, resident = server.resident(), []
        print(f"idle: {idle / MIB:.0f} MiB", flush=True)
        for minute in range(1, minutes + 1):
            minute_of_attacks(server, batches)
            if not server.alive():
                sys.exit(f"the server died in minute {minute}: {server}")
            ages = [age for client in healthy for age in client.ages()]
            wrong = [text for client in healthy for text in [*client.wrong, client.ended] if text]
            resident.append(server.resident())
            print(
                f"minute {minute}: {resident[-1] / MIB:.0f} MiB, {server.descriptors()} descriptors, age p50"
                f" {percentile(ages, 0.5):.1f} p99 {percentile(ages, 0.99):.1f} longest {max(ages):.0f} ms,"
                f" {len(wrong)} ticks wrong, {len(server.stderr)} lines of log",
                flush=True,
            )
        attackers = start(server, next(batches))
        time.sleep(3)
        code, seconds = server.terminate()
        stop([*attackers, *healthy])
    early = resident[min(9, len(resident) // 3)]
    print(f"{resident[-1] / MIB:.0f} MiB at the end, {early / MIB:.0f} MiB ten minutes in, {idle / MIB:.0f} MiB idle")
    print(f"exit code {code} in {seconds:.2f} s under attack")
    if wrong or resident[-1] > early + GROWTH or code != 0 or seconds >= 2 or "panicked" in "".join(server.stderr):
        sys.exit(f"failed: {wrong[:5]}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 30)
