"""Replicas that share a feed by NATS JetStream: what was acknowledged is there, once and the same on all, whatever is killed."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

from conftest import tool
from grpc_client import V1, Client
from processes import Process, Server

FEED = Path(__file__).parent / "feed"
sys.path.insert(0, str(FEED))
from publisher import PRICES, SYMBOLS, price_of, symbol_of  # noqa: E402

# How long processes are killed. FEED_SECONDS=600 by hand.
SECONDS = float(os.environ.get("FEED_SECONDS", "40"))
REPLICAS = 3
PUBLISHERS = 2


def free_address():
    code = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print('127.0.0.1:%d' % s.getsockname()[1])"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


class Broker:
    """A nats-server whose store outlives it."""

    def __init__(self, directory):
        self.program, self.directory, self.address = tool("nats-server"), directory, free_address()
        self.start()

    def start(self):
        port = self.address.split(":")[1]
        self.process = Process([self.program, "-js", "-a", "127.0.0.1", "-p", port, "-sd", self.directory])
        deadline = time.monotonic() + 20
        while not any("Server is ready" in line for line in self.process.stderr):
            assert time.monotonic() < deadline and self.process.process.poll() is None, str(self.process)
            time.sleep(0.01)

    def kill(self):
        self.process.kill()


class Replica:
    """A server on one address, however often it is started."""

    def __init__(self, binary, broker):
        self.address = free_address()
        self.command = [binary, "serve", "--listen", self.address, "--admin", "127.0.0.1:0"]
        self.command += ["--feed", f"nats://{broker.address}"]
        self.start()

    def start(self):
        deadline = time.monotonic() + 30
        while True:
            try:
                self.server = Server(self.command)
                return
            except AssertionError:
                # Without its broker it does not start.
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def kill(self):
        self.server.kill()
        assert "panicked" not in "".join(self.server.stdout + self.server.stderr), str(self.server)


class Publisher:
    """A publisher, however often it is started."""

    def __init__(self, place, replicas, seed, directory):
        self.place, self.addresses, self.seed = place, [replica.address for replica in replicas], seed
        # A pipe that nobody reads would stop it.
        self.output = directory / f"publisher-{place}"
        self.acknowledged, self.starts = 0, 0
        self.start()

    def start(self):
        self.starts += 1
        arguments = [f"p{self.place}", self.place, self.acknowledged + 1, self.seed + self.starts, *self.addresses]
        command = [sys.executable, str(FEED / "publisher.py"), *map(str, arguments)]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output)

    def read(self):
        """Waits until the process has ended, and reads what was acknowledged. The last line may be torn."""
        self.process.stdin.close()
        self.process.wait(60)
        lines = [line for line in self.output.read_text().splitlines(keepends=True) if line.endswith("\n")]
        self.acknowledged = max([self.acknowledged, *map(int, lines)])

    def acknowledged_of(self, symbol):
        return (number for number in range(1, self.acknowledged + 1) if symbol_of(number) == symbol)

    def kill(self):
        self.process.kill()
        self.read()

    def stop(self):
        self.read()
        assert self.process.returncode == 0


def stored(address, symbol):
    """The sequence and the price of every stored tick of a symbol."""
    ticks, token = [], ""
    with Client(address) as client:
        while True:
            request = {"symbol": symbol, "page_size": 10000, "page_token": token}
            page = client.call(V1, "ListTicks", request, timeout=30)
            ticks += [(tick.sequence, tick.ltp_nanos) for tick in page.ticks]
            token = page.next_page_token
            if not token:
                return ticks


def digests(address):
    """The end and the digest of each symbol, or the error."""
    with Client(address) as client:
        try:
            found = [client.call(V1, "DigestTicks", {"symbol": symbol}, timeout=30) for symbol in SYMBOLS]
        except grpc.RpcError as error:
            return error.details()
        return [(digest.tape_id, digest.start_sequence, digest.end_sequence, digest.digest) for digest in found]


def await_same(replicas):
    """Waits until all replicas have the same ticks."""
    deadline = time.monotonic() + 20
    while True:
        found = [digests(replica.address) for replica in replicas]
        if all(one == found[0] for one in found):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


@pytest.mark.timeout(SECONDS * 2 + 180)
def test_every_acknowledged_tick_is_there_once_on_all_replicas_whatever_is_killed(binary, tmp_path):
    seed = int(os.environ.get("FEED_SEED", time.time_ns() % 1_000_000))
    print(f"FEED_SEED={seed}")
    chance = random.Random(seed)
    broker = Broker(tmp_path / "broker")
    replicas = [Replica(binary, broker) for _ in range(REPLICAS)]
    publishers = [Publisher(place, replicas, seed + 1000 * place, tmp_path) for place in range(PUBLISHERS)]
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
        for symbol in SYMBOLS:
            ticks = stored(replicas[0].address, symbol)
            assert [sequence for sequence, _ in ticks] == list(range(1, len(ticks) + 1)), "sequences are dense"
            for publisher in publishers:
                # In its order, each once; those after the acknowledged ones may be stored or not.
                own = [price for _, price in ticks if price % PRICES == publisher.place]
                assert own == sorted(set(own)), symbol
                due = {price_of(number, publisher.place) for number in publisher.acknowledged_of(symbol)}
                last = price_of(publisher.acknowledged, publisher.place)
                assert {price for price in own if price <= last} == due, symbol
        # A replica that starts now has the same ticks.
        replicas[0].kill()
        replicas[0].start()
        await_same(replicas)
        for replica in replicas:
            replica.server.check_and_stop()
    finally:
        for process in (*(publisher.process for publisher in publishers), *(replica.server.process for replica in replicas)):
            process.kill()
        broker.process.__exit__()
    acknowledged = [publisher.acknowledged for publisher in publishers]
    print(f"{acknowledged} ticks acknowledged, {kills} killed")
    assert min(acknowledged) > 1000
