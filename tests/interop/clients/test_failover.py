"""One table for five clients: three servers, of which one is killed, one drained, one frozen, and one plays another tape."""

import signal
import time

import pytest

from clients.programs import PROGRAMS, Watch, count, tape_of
from ports import free_port
from replicas.harness import ADDRESSES, Replica, wait_until

# The fleet is started once.
pytestmark = [pytest.mark.xdist_group("failover"), pytest.mark.timeout(180)]

# The last one has ten ticks a second, at all hours.
SYMBOLS = ["RELIANCE", "TCS", "BTC-USD", "TEST.SQUARE"]
SECONDS = 48
# A client notices a frozen server by its keepalive: a PING after 10 s, and 5 s for its answer. 3 s are for a busy machine.
FROZEN = 18
# A replica that has just come back is tried again after at most a second, or two on a busy machine.
QUICK = 3


class Fleet:
    """All five clients on the same servers."""

    def __init__(self, endpoints):
        self.clients = {language: Watch(language, endpoints, SYMBOLS, SECONDS) for language in PROGRAMS}
        self.silences = {language: {} for language in PROGRAMS}

    def all_at(self, address, seconds=20):
        """Waits until each client has ticks of the server at an address."""

        def reached():
            return all(client.endpoint() == address for client in self.clients.values())

        wait_until(reached, seconds, lambda: "\n".join(str(client) for client in self.clients.values()))

    def through(self, name, fault, address, within):
        """Does harm to the server that all are on, and measures how long each has no tick until it is at `address`."""
        moment = time.monotonic()
        fault()
        self.all_at(address, within + 5)
        time.sleep(1)
        for language, client in self.clients.items():
            self.silences[language][name] = client.silence_after(moment)


@pytest.fixture(scope="module")
def fleet(binary):
    """What the five clients printed while their servers failed."""
    port = free_port(ADDRESSES)
    endpoints = [f"{address}:{port}" for address in ADDRESSES]
    options = ["--heartbeat-interval", "1s", "--seed"]
    first, foreign, second = (
        Replica(binary, address, port, *options, seed) for address, seed in zip(ADDRESSES, ["7", "8", "7"])
    )
    for replica in (first, foreign, second):
        replica.start()
    fleet = Fleet(endpoints)
    try:
        fleet.all_at(endpoints[0])
        time.sleep(2)
        fleet.through("killed", first.server.kill, endpoints[2], QUICK)
        first.start()
        fleet.through("drained", second.stop, endpoints[0], QUICK)
        assert second.server.process.returncode == 0, second.server
        second.start()
        fleet.through("frozen", lambda: first.server.send(signal.SIGSTOP), endpoints[2], FROZEN)
        for client in fleet.clients.values():
            client.finish(SECONDS)
        truth = tape_of(endpoints[2])
        fleet.counts = {language: count(client, SYMBOLS, truth) for language, client in fleet.clients.items()}
    finally:
        for client in fleet.clients.values():
            client.kill()
        first.server.kill()
        second.server.check_and_stop()
        foreign.server.check_and_stop()
    print(table(fleet))
    return fleet


def table(fleet):
    """The outcome, in Markdown."""
    lines = [
        "\n| client | ticks | missing | twice | wrong | silence when killed | drained | frozen |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for language, found in fleet.counts.items():
        silences = " | ".join(f"{silence * 1000:,.0f} ms" for silence in fleet.silences[language].values())
        lines.append(f"| {language} | {found.ticks:,} | {found.missing} | {found.twice} | {found.wrong} | {silences} |")
    return "\n".join(lines)


def test_no_tick_is_missing_or_comes_twice(fleet, language):
    found, client = fleet.counts[language], fleet.clients[language]
    assert all(client.ticks(symbol) for symbol in SYMBOLS)
    # A JVM takes its time to start.
    assert len(client.ticks("TEST.SQUARE")) > 10 * (SECONDS - 10)
    assert (found.missing, found.twice, found.wrong) == (0, 0, 0)


def test_the_next_replica_answers_soon(fleet, language):
    silences = fleet.silences[language]
    assert silences["killed"] < QUICK and silences["drained"] < QUICK and silences["frozen"] < FROZEN


def test_a_replica_with_another_tape_is_left_alone(fleet, language):
    client = fleet.clients[language]
    assert len({connected["tape_id"] for connected in client.events("connected")}) == 1
    # It says when each symbol has reached the present after a resume.
    assert {event["symbol"] for event in client.events("caught_up")} == set(SYMBOLS)
