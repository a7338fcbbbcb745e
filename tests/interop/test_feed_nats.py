"""Replicas that share a feed by NATS JetStream: what was acknowledged is there, once and the same on all, whatever is killed."""

import os
import random
import time

import pytest
from feed.broker import Broker
from feed.publishing import Publisher, check_stored
from feed.replica import Replica, await_same

# How long processes are killed. FEED_SECONDS=600 by hand.
SECONDS = float(os.environ.get("FEED_SECONDS", "40"))
REPLICAS = 3
PUBLISHERS = 2


@pytest.mark.timeout(SECONDS * 2 + 180)
def test_every_acknowledged_tick_is_there_once_on_all_replicas_whatever_is_killed(binary, tmp_path):
    seed = int(os.environ.get("FEED_SEED", time.time_ns() % 1_000_000))
    print(f"FEED_SEED={seed}")
    chance = random.Random(seed)
    broker = Broker(tmp_path / "broker")
    replicas = [Replica(binary, [broker]) for _ in range(REPLICAS)]
    addresses = [replica.address for replica in replicas]
    publishers = [Publisher(place, addresses, seed + 1000 * place, tmp_path) for place in range(PUBLISHERS)]
    kills = dict.fromkeys(("Broker", "Replica", "Publisher"), 0)
    try:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            time.sleep(chance.uniform(0.1, 2.0))
            victim = chance.choice([broker, *replicas, *publishers])
            kills[type(victim).__name__] += 1
            victim.kill()
            if victim is broker:
                time.sleep(chance.choice([0, 0.3, 3]))
            victim.start()
        time.sleep(3)
        for publisher in publishers:
            publisher.stop()
        await_same(replicas)
        check_stored(replicas[0].address, publishers)
        # A replica that starts now has the same ticks.
        replicas[0].kill()
        replicas[0].start()
        await_same(replicas)
        for replica in replicas:
            replica.server.check_and_stop()
    finally:
        for process in (*(publisher.process for publisher in publishers), *(replica.server.process for replica in replicas)):
            process.kill()
        broker.kill()
    acknowledged = [publisher.acknowledged for publisher in publishers]
    print(f"{acknowledged} ticks acknowledged, {kills} killed")
    assert min(acknowledged) > 1000
