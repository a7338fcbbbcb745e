"""A live feed under real clients: what was acknowledged is there, once, whatever is killed."""

import itertools
import os
import random
import subprocess
import time

import grpc
import pytest

from conftest import missing
from feed.publishing import Publisher, check_stored, stored
from grpc_client import V1, Client
from ports import free_address
from processes import Server

# How long servers and publishers are killed. FEED_SECONDS=600 by hand.
SECONDS = float(os.environ.get("FEED_SECONDS", "20"))


@pytest.mark.timeout(SECONDS * 2 + 120)
@pytest.mark.parametrize("sync", ["20ms", "always"])
def test_every_acknowledged_tick_is_there_once_when_the_server_is_killed_again_and_again(binary, tmp_path, sync):
    seed = int(os.environ.get("FEED_SEED", time.time_ns() % 1_000_000))
    print(f"FEED_SEED={seed}")
    chance, address = random.Random(seed), free_address()

    def start():
        command = [binary, "serve", "--listen", address, "--admin", "127.0.0.1:0"]
        return Server([*command, "--feed", tmp_path / "feed", "--feed-sync", sync])

    server = start()
    publishers = [Publisher(place, [address], seed + 1000 * place, tmp_path) for place in range(3)]
    kills = 0
    try:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            time.sleep(chance.uniform(0.05, 1.0))
            victim = chance.choice([server, server, *publishers])
            victim.kill()
            kills += 1
            if victim is server:
                server = start()
            else:
                victim.start()
        for publisher in publishers:
            publisher.stop()
        check_stored(address, publishers)
    finally:
        for publisher in publishers:
            publisher.process.kill()
        server.kill()
    assert "panicked" not in "".join(server.stderr)
    acknowledged = [publisher.acknowledged for publisher in publishers]
    print(f"{acknowledged} ticks acknowledged, {kills} killed")
    assert kills > 5 and min(acknowledged) > 100


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode != 0:
        if os.geteuid() == 0:
            pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.strip()}")
        missing("root, which a small disk needs")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_acknowledges_nothing_and_the_server_goes_on(serve, small_disk):
    server = serve("--feed", small_disk / "feed", "--feed-sync", "20ms")
    numbers = itertools.count(1)

    def request():
        ticks = [{"symbol": "ACME", "price_nanos": "1000000000", "quantity": "1"}] * 100
        return {"publisher_id": "p", "first_number": str(next(numbers) * 100), "ticks": ticks}

    with Client(server.address) as client:
        accepted = 0
        with pytest.raises(grpc.RpcError) as full:
            while True:
                last = request()
                accepted += client.call(V1, "Publish", [last], timeout=5).accepted
        assert full.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "the feed cannot store ticks now" in full.value.details()
        assert "No space left on device" in full.value.details()
        assert accepted > 1000 and len(stored(server.address, "ACME")) in range(accepted, accepted + 101)
        # Room again: the same request is accepted, or it was stored already.
        (small_disk / "feed" / "lock").unlink()
        subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
        answer = client.call(V1, "Publish", [last], timeout=5)
        assert answer.accepted + answer.duplicates == 100
        assert [sequence for sequence, _ in stored(server.address, "ACME")] == list(range(1, accepted + 101))


def test_a_publisher_of_grpcurl_and_a_subscriber_of_grpcio_meet(serve, grpcurl):
    server = serve("--feed", "memory")
    tick = '{"symbol":"ACME","price_nanos":101500000000,"quantity":5}'
    command = [grpcurl, "-plaintext", "-d", tick, server.address, f"{V1}/Publish"]
    subprocess.run(command, check=True, capture_output=True)
    with Client(server.address) as client:
        stream = client.call(V1, "Watch", {"symbols": ["ACME"]}, timeout=10)
        ticks = (message.tick for message in stream if message.HasField("tick"))
        assert next(ticks).snapshot
        for sequence in (2, 3, 4):
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            assert '"accepted": "1"' in answer
            assert next(ticks).sequence == sequence
        stream.cancel()
