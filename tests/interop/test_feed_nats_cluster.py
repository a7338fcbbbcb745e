"""A feed on a cluster of three servers of NATS outlives the loss of each of them."""

import urllib.request

import pytest
from feed.broker import Broker
from feed.publishing import Publisher, check_stored
from feed.replica import Replica, await_same
from ports import free_address
from replicas.harness import wait_until

PATIENCE = 60


class Member(Broker):
    """One server of a cluster."""

    def __init__(self, place, routes, directory):
        self.monitor = free_address()
        links = ", ".join(f"nats-route://{route}" for route in routes)
        super().__init__(directory / f"broker-{place}", (
            f"server_name: n{place}\nhttp: {self.monitor}\n"
            f"cluster {{ name: brokers, listen: {routes[place]}, routes: [{links}] }}\n"))

    def is_current(self):
        """Whether it has all of the stream."""
        try:
            with urllib.request.urlopen(f"http://{self.monitor}/healthz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False


@pytest.mark.timeout(300)
def test_every_acknowledged_tick_is_there_once_when_each_server_of_a_cluster_is_lost_in_turn(binary, tmp_path):
    routes = [free_address() for _ in range(3)]
    brokers = [Member(place, routes, tmp_path) for place in range(3)]
    processes = [*brokers]
    try:
        replicas = [Replica(binary, brokers, "--feed-nats-replicas", "3") for _ in range(2)]
        processes += [replica.server for replica in replicas]
        publisher = Publisher(0, [replica.address for replica in replicas], 1, tmp_path)
        processes.append(publisher.process)
        for broker in brokers:
            wait_until(lambda: all(member.is_current() for member in brokers), PATIENCE, "a broker lags")
            broker.kill()
            # What is acknowledged now may have been under way before.
            acknowledged = publisher.progress()
            wait_until(lambda: publisher.progress() > acknowledged + 1_000, PATIENCE, "nothing is stored")
            broker.start()
        publisher.stop()
        await_same(replicas)
        check_stored(replicas[0].address, [publisher])
        for replica in replicas:
            replica.server.check_and_stop()
    finally:
        for process in processes:
            process.kill()
    print(f"{publisher.acknowledged} ticks acknowledged")
