"""Servers that share a feed by NATS JetStream."""

import time

import grpc
from grpc_client import V1, Client
from ports import free_address
from processes import Server

from feed.publisher import SYMBOLS


class Replica:
    """A server on one address, however often it is started."""

    def __init__(self, binary, brokers, *options):
        self.address = free_address()
        feed = ",".join(f"nats://{broker.address}" for broker in brokers)
        self.command = [binary, "serve", "--listen", self.address, "--admin", "127.0.0.1:0", "--feed", feed, *options]
        self.start()

    def start(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                # It reads the stream first, which may have the messages of minutes.
                self.server = Server(self.command, patience=60)
                return
            except AssertionError:
                # Without its broker it does not start.
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def kill(self):
        self.server.kill()
        assert "panicked" not in "".join(self.server.stdout + self.server.stderr), str(self.server)


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
