"""A live feed under real clients: what was acknowledged is there, once, whatever is killed."""

import itertools
import os
import random
import subprocess
import threading
import time

import grpc
import pytest

from conftest import missing
from grpc_client import V1, Client
from processes import Server

SYMBOLS = ("ACME", "BOLT", "CORE")
# How long the server is killed again and again. FEED_SECONDS=600 by hand.
SECONDS = float(os.environ.get("FEED_SECONDS", "20"))


class Publisher(threading.Thread):
    """Publishes ticks whose prices are their numbers, each request again until it is answered."""

    def __init__(self, address, name, seed):
        super().__init__(daemon=True)
        self.address, self.name, self.random = address, name, random.Random(seed)
        self.next, self.acknowledged, self.stopping, self.retries = 1, 0, False, 0
        self.sent = {}

    def run(self):
        while not self.stopping:
            count = self.random.randrange(1, 50)
            ticks = []
            for number in range(self.next, self.next + count):
                symbol = self.random.choice(SYMBOLS)
                self.sent[number] = symbol
                ticks.append({"symbol": symbol, "price_nanos": str(number), "quantity": "1"})
            self.publish({"publisher_id": self.name, "first_number": str(self.next), "ticks": ticks})
            self.next += count
            self.acknowledged = self.next - 1

    def publish(self, request):
        while True:
            try:
                with Client(self.address) as client:
                    answer = client.call(V1, "Publish", [request], timeout=5)
                assert answer.rejected == 0 and answer.accepted + answer.duplicates == len(request["ticks"])
                return
            except (grpc.RpcError, KeyError, TypeError) as error:
                self.last = repr(error)[:400]
                self.retries += 1
                time.sleep(0.02)


def stored(client, symbol):
    """The sequence and the price of every stored tick of a symbol."""
    ticks, token = [], ""
    while True:
        request = {"symbol": symbol, "page_size": 10000, "page_token": token}
        page = client.call(V1, "ListTicks", request, timeout=30)
        ticks += [(tick.sequence, tick.ltp_nanos) for tick in page.ticks]
        token = page.next_page_token
        if not token:
            return ticks


def free_port():
    with Server(["python3", "-u", "-c", "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print('127.0.0.1:%d' % s.getsockname()[1], flush=True)"]) as server:
        return server.address


@pytest.mark.timeout(SECONDS * 2 + 120)
@pytest.mark.parametrize("sync", ["20ms", "always"])
def test_every_acknowledged_tick_is_there_once_when_the_server_is_killed_again_and_again(binary, tmp_path, sync):
    seed = int(os.environ.get("FEED_SEED", time.time_ns() % 1_000_000))
    print(f"FEED_SEED={seed}")
    chance, address = random.Random(seed), free_port()

    def start():
        command = [binary, "serve", "--listen", address, "--admin", "127.0.0.1:0", "--feed", tmp_path, "--feed-sync", sync]
        return Server(command)

    server = start()
    publishers = [Publisher(address, f"p{number}", seed + number) for number in range(3)]
    for publisher in publishers:
        publisher.start()
    deadline, kills = time.monotonic() + SECONDS, 0
    while time.monotonic() < deadline:
        time.sleep(chance.uniform(0.05, 1.0))
        server.kill()
        kills += 1
        server = start()
    for publisher in publishers:
        publisher.stopping = True
    for publisher in publishers:
        publisher.join(30)
        assert not publisher.is_alive(), (publisher.last, publisher.retries, str(server))
    with Client(server.address) as client:
        found = {symbol: stored(client, symbol) for symbol in SYMBOLS}
    server.check_and_stop()
    for symbol, ticks in found.items():
        assert [sequence for sequence, _ in ticks] == list(range(1, len(ticks) + 1)), "sequences are dense"
        # Each publisher's ticks of the symbol are there once and in order, so together they interleave.
        expected = sorted(
            number for publisher in publishers for number, of in publisher.sent.items()
            if of == symbol and number <= publisher.acknowledged
        )
        assert sorted(price for _, price in ticks) == expected
    acknowledged = sum(publisher.acknowledged for publisher in publishers)
    retries = sum(publisher.retries for publisher in publishers)
    print(f"{acknowledged} ticks acknowledged, {kills} kills, {retries} retries")
    assert kills > 5 and acknowledged > 1000


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
        assert accepted > 1000 and len(stored(client, "ACME")) in range(accepted, accepted + 101)
        # Room again: the same request is accepted, or it was stored already.
        (small_disk / "feed" / "lock").unlink()
        subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
        answer = client.call(V1, "Publish", [last], timeout=5)
        assert answer.accepted + answer.duplicates == 100
        assert [sequence for sequence, _ in stored(client, "ACME")] == list(range(1, accepted + 101))


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
