"""One table for five clients: three servers, of which one is killed, one drained, one frozen, and one plays another tape."""

import signal
import time

import pytest

from clients.conftest import tape_of
from clients.programs import PROGRAMS, Watch, count
from processes import Server
from replicas.harness import wait_until

# The fleet is started once.
pytestmark = [pytest.mark.xdist_group("failover"), pytest.mark.timeout(180)]

SYMBOLS = ["RELIANCE", "TCS", "BTC-USD"]
SECONDS = 48
# A client notices a frozen server by its keepalive: a PING after 10 s, and 5 s for its answer. 3 s are for a busy machine.
FROZEN = 18
# A replica that has just come back is tried again after at most a second, or two on a busy machine.
QUICK = 3


class Replica:
    """A server that comes back at the same address."""

    def __init__(self, binary, *options):
        self.command = [binary, "serve", "--admin", "127.0.0.1:0", "--heartbeat-interval", "1s", *options]
        self.server = None
        self.start("127.0.0.1:0")

    def start(self, address):
        self.server = Server([*self.command, "--listen", address])
        self.address = self.server.address

    def kill(self):
        self.server.kill()

    def drain(self):
        code, seconds = self.server.terminate()
        assert code == 0, self.server
        return seconds

    def freeze(self):
        self.server.send(signal.SIGSTOP)


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
    first, second = Replica(binary, "--seed", "7"), Replica(binary, "--seed", "7")
    foreign = Replica(binary, "--seed", "8")
    fleet = Fleet([first.address, foreign.address, second.address])
    try:
        fleet.all_at(first.address)
        time.sleep(2)
        fleet.through("killed", first.kill, second.address, QUICK)
        first.start(first.address)
        fleet.through("drained", second.drain, first.address, QUICK)
        second.start(second.address)
        fleet.through("frozen", first.freeze, second.address, FROZEN)
        for client in fleet.clients.values():
            client.finish(SECONDS)
        truth = tape_of(second.address)
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
    found = fleet.counts[language]
    # 10 Hz each; a JVM takes its time to start.
    assert found.ticks > len(SYMBOLS) * 10 * (SECONDS - 10)
    assert (found.missing, found.twice, found.wrong) == (0, 0, 0)


def test_the_next_replica_answers_soon(fleet, language):
    silences = fleet.silences[language]
    assert silences["killed"] < QUICK and silences["drained"] < QUICK and silences["frozen"] < FROZEN


def test_a_replica_with_another_tape_is_left_alone(fleet, language):
    client = fleet.clients[language]
    assert len({connected["tape_id"] for connected in client.events("connected")}) == 1
    # It says when each symbol has reached the present after a resume.
    assert {event["symbol"] for event in client.events("caught_up")} == set(SYMBOLS)
